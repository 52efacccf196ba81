"""Policies about tables that change: renamed, rebuilt and dropped in a real lake."""

from __future__ import annotations

import pytest

from accounts.domain import Actor
from catalog import services as catalogs
from catalog.domain import JobKind
from catalog.models import Catalog
from catalog.services import jobs
from governance import broken, inventory, securables
from governance import services as governance
from governance.checking import check
from governance.domain import Action, Decision, PolicyKind, Securable, VersionState
from governance.models import Policy, PolicySet, PolicyVersion
from tests.catalog.lakes import WrittenLake
from workspaces.models import Workspace


def found(workspace: Workspace, label: str) -> Securable:
    """Return a table as it is now."""
    return inventory.named(workspace, [label])[label]


def publish(workspace: Workspace, scope: Securable, text: str) -> Policy:
    """Check a mask and make it hold."""
    checked = check(workspace=workspace, kind=PolicyKind.MASK, scope=scope, text=text)
    assert checked.findings == ()
    policy = Policy.objects.create(
        workspace=workspace, name="m", kind=PolicyKind.MASK, scope_key=scope.key,
        scope_label=scope.label,
    )  # fmt: skip
    PolicyVersion.objects.create(
        policy=policy, number=1, state=VersionState.PUBLISHED, text=text,
        compiled=checked.compiled, references=checked.references, summary=checked.summary,
    )  # fmt: skip
    PolicySet.objects.create(workspace=workspace)
    return policy


def ask(actor: Actor, table: Securable) -> Decision:
    """Ask whether the table may be read, and under which obligations."""
    return governance.decide(actor, Action.TABLE_QUERY, table)


def test_it_lists_the_tables_below_each_securable(written_lake: WrittenLake) -> None:
    where = written_lake.catalog.workspace
    written_lake.run("CREATE TABLE a (x INT, s STRUCT(y INT))", "CREATE TABLE b (z INT)")
    for scope in (securables.workspace(where), written_lake.catalog.securable):
        tables = inventory.tables(where, scope)
        assert {t.label: [c.name for c in t.columns] for t in tables} == {
            "lake.main.a": ["x", "s", "s.y"],
            "lake.main.b": ["z"],
        }
    only = found(where, "lake.main.b")
    assert inventory.tables(where, only) == [only]


def test_it_follows_a_table_through_changes_and_denies_what_took_its_place(
    written_lake: WrittenLake, owner: Actor
) -> None:
    where = written_lake.catalog.workspace
    written_lake.run("CREATE TABLE t (id INT, info STRUCT(iban VARCHAR, age INT))")
    table = found(where, "lake.main.t")
    policy = publish(where, table, "columns: [info.iban]\nmethod: null")
    (masked,) = ask(owner, table).obligations.masks
    assert masked.column == "info"
    written_lake.run("ALTER TABLE t RENAME info TO details")
    (masked,) = ask(owner, found(where, "lake.main.t")).obligations.masks
    assert masked.column == "details"
    assert broken.recheck(where) == []
    written_lake.run("ALTER TABLE t RENAME TO old", "CREATE TABLE t (id INT, iban VARCHAR)")
    assert ask(owner, found(where, "lake.main.old")).obligations.masks
    refused = ask(owner, found(where, "lake.main.t"))
    assert not refused.allowed
    assert "written for another table" in refused.reason
    written_lake.run("ALTER TABLE old DROP COLUMN details")
    gone = ask(owner, found(where, "lake.main.old"))
    assert not gone.allowed
    assert "info.iban" in gone.reason
    assert broken.recheck(where) == [policy]


@pytest.mark.django_db(transaction=True)
def test_it_marks_a_policy_when_a_job_drops_its_table(workspace: Workspace, owner: Actor) -> None:
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="flights")
    _run(owner, catalog, "CREATE TABLE lake.main.t (email VARCHAR)")
    scope = found(workspace, "flights.main.t")
    policy = publish(workspace, scope, "columns: [email]\nmethod: hide")
    _run(owner, catalog, "INSERT INTO lake.main.t VALUES ('a@x.y')")
    policy.refresh_from_db()
    assert policy.broken_because == ""
    _run(owner, catalog, "DROP TABLE lake.main.t")
    policy.refresh_from_db()
    assert policy.broken_because == "flights.main.t, for which it holds, is gone."


def _run(owner: Actor, catalog: Catalog, *statements: str) -> None:
    catalogs.enqueue_job(
        actor=owner,
        catalog=catalog,
        kind=JobKind.STATEMENTS,
        arguments={"statements": list(statements)},
    )
    assert jobs.run_jobs(catalog.id) >= 1
