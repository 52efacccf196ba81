"""A list of tables shows what one may browse, by pages, in a number of statements that stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.domain import Actor
from catalog import lake
from catalog.visibility import visible_tables
from governance.domain import Action, PolicyKind, Securable
from governance.models import Ownership, Policy, PolicySet, PolicyVersion, TagAssignment
from governance.selectors import decide
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake
from tests.governance.publishing import access
from workspaces.models import Workspace

HIDE_FINANCE = """
forbid (principal, action == Action::"catalog.browse", resource)
when { resource.tags.contains("finance") && !principal.workspace_roles.contains("owner") };
"""
SHOW_FINANCE = """
forbid (principal, action == Action::"catalog.browse", resource is Table)
unless { resource.tags.contains("finance") || resource.owners.contains(principal)
         || principal.workspace_roles.contains("owner") };
"""


@pytest.fixture
def tables(written_lake: WrittenLake) -> dict[str, Securable]:
    """Create twelve tables in two schemas."""
    written_lake.run(
        "CREATE SCHEMA other",
        *(f"CREATE TABLE {'other.' if n % 3 else ''}t{n} (id BIGINT)" for n in range(12)),
        "INSERT INTO t0 VALUES (1), (2)",
    )
    parent = written_lake.catalog.securable
    found = lake.tables(written_lake.catalog, written_lake.snapshot.snapshot_id)
    return {table.name: table.securable(parent) for table in found}


def hold(workspace: Workspace, name: str, scope: Securable, text: str, **given: Any) -> None:
    """Publish an access policy as rows."""
    policy = Policy.objects.create(
        workspace=workspace, name=name, kind=PolicyKind.ACCESS, scope_key=scope.key,
        scope_label=given.get("label", scope.label),
    )  # fmt: skip
    compiled = access(text, about=given.get("about", ""))
    PolicyVersion.objects.create(
        policy=policy, number=1, state="published", text="-", compiled=compiled, summary="-"
    )
    held, _ = PolicySet.objects.get_or_create(workspace=workspace)
    held.version += 1
    held.save()


def tag(cast: Cast, *securables: Securable) -> None:
    """Tag tables as finance."""
    for one in securables:
        TagAssignment.objects.create(
            organization=cast.organization, securable_key=one.key, tag="finance"
        )


def one_by_one(actor: Actor, tables: dict[str, Securable]) -> list[str]:
    """Return what the actor may browse, each table asked about alone."""
    allowed = [t.label for t in tables.values() if decide(actor, Action.CATALOG_BROWSE, t).allowed]
    return sorted(allowed, key=lambda label: label.split("."))


@pytest.mark.parametrize("text", [HIDE_FINANCE, SHOW_FINANCE])
def test_it_shows_what_one_may_browse_each_asked_alone(
    cast: Cast, workspace: Workspace, written_lake: WrittenLake,
    tables: dict[str, Securable], text: str,
) -> None:  # fmt: skip
    hold(workspace, "finance", written_lake.catalog.securable, text)
    tag(cast, tables["t1"], tables["t3"], tables["t8"])
    Ownership.objects.create(
        organization=cast.organization, securable_key=tables["t2"].key, owner=cast.users["analyst"]
    )
    of_t4 = f'forbid (principal, action, resource == Table::"{tables["t4"].key}");'
    hold(workspace, "t4", tables["t4"], of_t4, about=tables["t4"].key)
    hold(workspace, "t9", written_lake.catalog.securable, of_t4.replace(
        tables["t4"].key, tables["t9"].key
    ))  # fmt: skip
    hold(workspace, "gone", Securable(
        tables["t5"].kind, f"{written_lake.catalog.securable.key.replace('catalog', 'table')}/"
        "00000000-0000-0000-0000-000000000005", tables["t5"].label, cast.organization.id,
    ), of_t4)  # fmt: skip
    newest = written_lake.snapshot.snapshot_id
    for name in ("owner", "analyst", "auditor", "agent"):
        actor = cast.actor(name)
        whole = visible_tables(actor, written_lake.catalog, newest)
        assert [t.label for t in whole] == one_by_one(actor, tables)
        assert 0 < len(whole) < len(tables)
        paged, after = [], None
        while page := visible_tables(actor, written_lake.catalog, newest, after=after, limit=2):
            paged += page
            after = (page[-1].schema_name, page[-1].name)
        assert paged == whole


def test_it_takes_as_many_statements_for_many_as_for_few(
    cast: Cast, written_lake: WrittenLake, tables: dict[str, Securable]
) -> None:
    newest, analyst = written_lake.snapshot.snapshot_id, cast.actor("analyst")

    def statements() -> int:
        with CaptureQueriesContext(connection) as sent:
            assert visible_tables(analyst, written_lake.catalog, newest, limit=3)
        return len(sent.captured_queries)

    assert statements() == 3
    tag(cast, tables["t1"])
    assert statements() == 4  # those that differ are read by name
    tag(cast, *(tables[f"t{number}"] for number in range(2, 12)))
    assert statements() == 4


def test_it_is_paged_over_the_api(
    owner: Actor, workspace: Workspace, tables: dict[str, Securable],
    signed_in: Callable[[Actor], Client],
) -> None:  # fmt: skip
    client = signed_in(owner)
    address = f"/api/v1/workspaces/{workspace.slug}/catalogs/lake/tables?page_size=5"
    found: list[dict[str, Any]] = []
    while address:
        body = client.get(address).json()
        found += body["results"]
        address = body["next"]
    names = [one["sql_name"] for one in found]
    assert sorted(names) == sorted(table.label for table in tables.values())
    assert len(names) == len(set(names)) == 12
    assert {one["name"]: one["record_count"] for one in found}["t0"] == 2
    wrong = client.get(f"/api/v1/workspaces/{workspace.slug}/catalogs/lake/tables?cursor=x")
    assert wrong.status_code == 422
