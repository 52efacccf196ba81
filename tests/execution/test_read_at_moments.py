"""A table is read at the snapshot that the text gives it, under the policies of today."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from accounts.domain import Actor
from catalog.lake.snapshots import UnknownSnapshot
from catalog.selectors import UnknownTable
from execution import planning, reuse, services, slices
from execution.authorization import PoliciesChanged
from execution.bind import BindError
from execution.domain import Place, Plan, RequestedPlace
from execution.engine.needs import Need
from execution.gate import RefusalCode, SqlRefused, check
from execution.models import Query
from execution.moments import Moment
from governance.domain import PolicyKind
from governance.services import AccessDenied
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake, written_lake
from tests.execution import governed
from tests.execution.lakes import locked, plan
from tests.governance.publishing import FORBID, access, publish
from workspaces.models import Workspace

__all__ = ["written_lake"]

pytestmark = pytest.mark.django_db(transaction=True)

Asking = Callable[[str], list[tuple[Any, ...]]]
CANARY = "@canary.example"


@pytest.fixture
def moments(written_lake: WrittenLake) -> dict[str, int]:
    """A lake that changed: the snapshots of `people` by what they are the last before."""
    run = written_lake.run
    run("CREATE TABLE people (id INTEGER, email VARCHAR, region VARCHAR)")
    run(f"INSERT INTO people SELECT i, 'p' || i || '{CANARY}', ['EU','US'][1 + i % 2]"
        " FROM range(4) r(i)")  # fmt: skip
    found = {"rename": written_lake.snapshot.snapshot_id}
    run("ALTER TABLE people RENAME email TO mail")
    found["drop"] = written_lake.snapshot.snapshot_id
    run("ALTER TABLE people DROP COLUMN region", "ALTER TABLE people ADD COLUMN email VARCHAR")
    run("INSERT INTO people VALUES (9, 'new@x', 'other')", "DELETE FROM people WHERE id = 0")
    return found


@pytest.fixture
def ask(
    moments: dict[str, int], written_lake: WrittenLake, workspace: Workspace, analyst: Actor
) -> Asking:
    """Ask as the analyst; `{rename}` and such are snapshots."""

    def asked(sql: str) -> list[tuple[Any, ...]]:
        return rows(plan(analyst, workspace, sql.format(**moments)), written_lake)

    return asked


def rows(found: Plan, written: WrittenLake) -> list[tuple[Any, ...]]:
    """Return what the slices of a plan answer to what engines are given."""
    sql = planning.execution_record(found).get("sql", found.query.sql)
    with locked(found, written) as con:
        return con.execute(sql).fetchall()


SAME = [
    "SELECT * FROM people AT (VERSION => {rename}) ORDER BY id",
    (
        "SELECT a.email, b.mail FROM people a AT (VERSION => {rename}) JOIN people b USING (id)"
        " ORDER BY ALL"
    ),
    (
        "SELECT count(*) FROM lake.main.people AT (VERSION => {rename}),"
        " main.people p AT (VERSION => {drop}), lake.people q"
    ),
    "SELECT people.email FROM lake.people AT (VERSION => {rename}) ORDER BY 1",
    "SELECT x.j FROM PEOPLE AS x(i, j) AT (version => {drop}) WHERE i > 1 ORDER BY 1",
    "FROM (SELECT id FROM people EXCEPT SELECT id FROM \"people\" AT\n(VERSION =>\t{drop}))",
    "WITH old AS (SELECT * FROM people AT (VERSION => {drop})) SELECT count(*) FROM old, people",
    "SELECT id FROM people AT (TIMESTAMP => '2999-01-01 00:00:00+02') ORDER BY id",
    "SELECT id FROM people AT (TIMESTAMP => '2999-01-01'::TIMESTAMPTZ) ORDER BY id",
    "SELECT id, 'AT (VERSION => 1)' FROM people AT (TIMESTAMP => DATE '2999-01-01') ORDER BY id",
    (
        "SELECT lake.main.people.email, lake.people.id FROM lake.people AT (VERSION => {rename})"
        " WHERE LAKE /* ö */ . people.id > 1 ORDER BY lake.main.\"people\".id"
    ),
    (
        "SELECT (SELECT max(lake.main.people.id) FROM people AT (VERSION => {drop})), b.id"
        " FROM people b ORDER BY 2"
    ),
    "SELECT lake.main.people.id FROM people AT (VERSION => {drop}) GROUP BY 1 ORDER BY ALL",
]  # fmt: skip


def test_it_answers_as_the_engine_does_over_its_own_lake(
    ask: Asking, written_lake: WrittenLake, moments: dict[str, int]
) -> None:
    for sql in SAME:
        assert ask(sql) == written_lake.run(sql.format(**moments)), sql


def test_it_takes_the_newest_snapshot_until_a_time(
    ask: Asking, written_lake: WrittenLake, moments: dict[str, int]
) -> None:
    (then,) = written_lake.run(
        f"SELECT strftime(snapshot_time AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S.%f')"
        f" FROM lake.snapshots() WHERE snapshot_id = {moments['drop']}"
    )
    at = f"SELECT mail FROM people AT (TIMESTAMP => '{then[0]}') ORDER BY 1"
    assert ask(at) == ask("SELECT mail FROM people AT (VERSION => {drop}) ORDER BY 1")
    with pytest.raises(UnknownSnapshot, match="no snapshot from before 1999"):
        ask("FROM people AT (TIMESTAMP => '1999-01-01')")


def test_it_tells_and_records_the_snapshot_of_each_table(
    moments: dict[str, int], written_lake: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    sql = f"SELECT count(*) FROM people a AT (VERSION => {moments['rename']}), people b"
    found = plan(analyst, workspace, sql).as_dict()
    newest = written_lake.snapshot.snapshot_id
    assert [(t["table"], t["snapshot"]) for t in found["tables"]] == [
        ("lake.main.people", moments["rename"]),
        ("lake.main.people", newest),
    ]
    assert found["snapshots"] == {"lake": newest}
    query = governed.ask(analyst, workspace, sql, on="server")
    assert query.sql == sql
    assert [t["snapshot"] for t in query.plan["tables"]] == [moments["rename"], newest]
    pinned = {entry["snapshot_id"] for entry in query.execution["tables"]}
    assert pinned == {moments["rename"], newest}  # what upkeep must leave, until it has run


def test_it_runs_on_the_server_from_rows_that_no_equal_text_shares(
    moments: dict[str, int], written_lake: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    governed.in_storage(written_lake)
    sql = "SELECT (SELECT count(*) FROM people AT (VERSION => {at})), (SELECT count(*) FROM people)"
    for at, then in (moments["rename"], "4"), (1, "0"):
        found = governed.on_server(analyst, workspace, f"FROM ({sql.format(at=at)}) t(a, b)")
        assert found == [[then, "4"]]
    keys = {
        reuse.key_of(plan(analyst, workspace, sql.format(at=at)), workspace)
        for at in moments.values()
    }
    assert len(keys - {""}) == 2
    before = reuse.key_of(plan(analyst, workspace, sql.format(at=1)), workspace)
    written_lake.run("INSERT INTO people VALUES (10, 'a', 'b')")
    assert reuse.key_of(plan(analyst, workspace, sql.format(at=1)), workspace) != before


def test_an_engine_that_holds_a_table_then_is_not_handed_one_that_reads_it_now(
    moments: dict[str, int], written_lake: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    def need(sql: str, **options: Any) -> Need:
        record = planning.execution_record(plan(analyst, workspace, sql, **options))
        kept = slices.with_every_column(json.loads(json.dumps(record))) | {"search_path": []}
        return Need.of(kept, principal="ana", workspace="w", memory_bytes=1)

    at = moments["drop"]
    then = need(f"FROM people AT (VERSION => {at})")
    assert then.covers(need(f"SELECT id FROM people AT (VERSION => {at})"))
    assert not then.covers(need("SELECT id FROM people"))
    assert not then.covers(need("SELECT id FROM lake.main.people", snapshots={"lake": at}))


def test_it_is_for_the_server_and_says_why(
    moments: dict[str, int], workspace: Workspace, cast: Cast
) -> None:
    laptop = governed.laptop_of(cast, "analyst")
    sql = f"SELECT id FROM people AT (VERSION => {moments['drop']})"
    found = plan(laptop.actor, workspace, sql)
    assert found.placement.place is Place.SERVER
    assert "time-travel" in {reason.code for reason in found.placement.reasons if reason.decisive}
    refused = plan(laptop.actor, workspace, sql, requested=RequestedPlace.LOCAL).placement
    assert refused.place is None
    assert refused.refusal
    assert "snapshots of their own" in refused.refusal.text


REFUSED = {
    "FROM people AT (VERSION => 1 + 1)": "expression",
    "FROM people AT (VERSION => (SELECT max(id) FROM people))": "expression",
    "FROM people AT (VERSION => '3')": "expression",
    "FROM people AT (VERSION => -3)": "expression",
    "FROM people AT (VERSION => NULL)": "expression",
    "FROM people AT (VERSION => 99999999999999999999999)": "expression",
    "FROM people AT (VERSION => 3::INTEGER)": "expression",
    "FROM people AT (TIMESTAMP => now() - INTERVAL 1 DAY)": "expression",
    "FROM people AT (TIMESTAMP => getenv('HOME'))": "expression",
    "FROM people AT (TIMESTAMP => 'yesterday')": "expression",
    "FROM people AT (TIMESTAMP => 5)": "expression",
    "FROM people AT (VERSION => ?)": "expression",
    "WITH people AS (SELECT 1) FROM people AT (VERSION => 1)": "common table expression",
    "FROM rich AT (VERSION => {view})": "lake.main.rich is a view",
    "FROM people AT (VERSION => /* AT (VERSION => */ 3)": "not clear",
    "FROM people AT (VERSION => -- AT (VERSION =>\n {drop})": "not clear",
}  # fmt: skip


def test_it_takes_nothing_but_constants_at_tables(
    written_lake: WrittenLake, workspace: Workspace, analyst: Actor, moments: dict[str, int]
) -> None:
    written_lake.run("CREATE VIEW rich AS SELECT id FROM people")
    numbers = moments | {"view": written_lake.snapshot.snapshot_id}
    for sql, why in REFUSED.items():
        with pytest.raises(SqlRefused, match=why) as caught:
            plan(analyst, workspace, sql.format(**numbers))
        assert caught.value.reason is RefusalCode.TIME_TRAVEL, sql
        assert "AT (" in caught.value.hint, sql
    with pytest.raises(SqlRefused) as caught:
        plan(analyst, workspace, "FROM people AT (VERSION => 3) p JOIN people q USING (id)")
    assert "FROM sales s AT" in caught.value.hint


def test_texts_that_are_no_query_have_no_moments(
    written_lake: WrittenLake, workspace: Workspace, analyst: Actor, moments: dict[str, int]
) -> None:
    for given in {}, {"also": frozenset({"mask_hmac"})}:
        with pytest.raises(SqlRefused):
            check("SELECT * FROM people AT (VERSION => 3)", **given)  # type: ignore[arg-type]
    found = check("FROM a AT (VERSION => 3), a, A AT (VERSION => 3)", time_travel=True)
    assert [(n.table, n.at) for n in found.tables] == [("a", Moment(3)), ("a", None)]


def test_no_name_of_the_text_reaches_a_snapshot(
    ask: Asking, moments: dict[str, int], workspace: Workspace, analyst: Actor
) -> None:
    shown = f'"lake@{moments["drop"]}".main.people'
    for sql in (f"FROM {shown}", f"FROM {shown}, people AT (VERSION => {{drop}})"):
        with pytest.raises(UnknownTable):
            ask(sql)


def test_what_was_not_there_is_unknown_and_says_when(
    ask: Asking, written_lake: WrittenLake, workspace: Workspace, outsider: Actor
) -> None:
    written_lake.run("CREATE TABLE later (a INTEGER)")
    with pytest.raises(UnknownTable, match=r"'later' at snapshot 2"):
        ask("FROM later AT (VERSION => 2)")
    with pytest.raises(UnknownSnapshot, match="lake has no snapshot 999"):
        ask("FROM people AT (VERSION => 999)")
    with pytest.raises(UnknownTable):  # who may not browse the catalog learns nothing of it
        plan(outsider, workspace, "FROM people AT (VERSION => 999)")


def test_it_says_where_in_the_text_that_was_sent_something_does_not_fit(
    ask: Asking, written_lake: WrittenLake, moments: dict[str, int]
) -> None:
    for sql, wrong in (
        ("SELECT b.region\nFROM people a AT (VERSION => {drop}), people b", "b.region"),
        ("FROM people a AT (VERSION => {drop}),\n people b WHERE b.region = 'ö'", "b.region"),
        ("SELECT 'ö' FROM people AT (VERSION => {drop}) WHERE nothing = 1", "nothing"),
        ("SELECT 1 FROM people AT (VERSION => {drop}) WHERE lake.people.no = 1", "lake.people.no"),
    ):
        with pytest.raises(BindError) as caught:
            ask(sql)
        line, column = caught.value.extra["line"], caught.value.extra["column"]
        assert sql.format(**moments).split("\n")[line - 1][column - 1 :].startswith(wrong), sql
        assert "lake@" not in caught.value.detail
    written_lake.run("CREATE VIEW broad AS SELECT id FROM people")
    with pytest.raises(BindError) as caught:
        ask("SELECT nothing FROM broad")
    assert "line" not in caught.value.extra, "the engine counted in a text with the view in it"


def test_an_expired_snapshot_is_unknown(ask: Asking, written_lake: WrittenLake) -> None:
    written_lake.run("CALL ducklake_expire_snapshots('lake', older_than => now())")
    with pytest.raises(UnknownSnapshot):
        ask("FROM people AT (VERSION => {rename})")
    assert ask("SELECT count(*) FROM people") == [(4,)]


def both(actor: Actor, written: WrittenLake, column: str, at: int) -> list[tuple[Any, ...]]:
    """Read `people` at a snapshot in the text and beside it, which must be the same."""
    workspace, text = written.catalog.workspace, f"SELECT {column} FROM people"
    inside = plan(actor, workspace, f"{text} AT (VERSION => {at})")
    beside = plan(actor, workspace, text, snapshots={"lake": at})
    found = rows(inside, written)
    assert sorted(found) == sorted(rows(beside, written))
    return found


def test_a_mask_is_on_its_column_under_the_name_of_then(
    moments: dict[str, int], written_lake: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    governed.mask(written_lake, "people", "mail", method="constant", value="***")
    for name, at in ("email", moments["rename"]), ("mail", moments["drop"]):
        assert both(analyst, written_lake, name, at) == [("***",)] * 4
    sql = f"SELECT a.email, b.mail, b.email FROM people a AT (VERSION => {moments['rename']})"
    found = plan(analyst, workspace, f"{sql} JOIN people b USING (id) WHERE id = 1")
    assert rows(found, written_lake) == [("***", "***", None)]


def test_a_hidden_column_is_hidden_under_the_name_of_then(
    moments: dict[str, int], written_lake: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    governed.mask(written_lake, "people", "mail", method="hide")
    for name, at in ("email", moments["rename"]), ("mail", moments["drop"]):
        assert plan(analyst, workspace, f"FROM people AT (VERSION => {at})").columns[1][0] != name
        with pytest.raises(BindError):
            plan(analyst, workspace, f"SELECT {name} FROM people AT (VERSION => {at})")


def test_a_row_filter_holds_at_every_snapshot(
    moments: dict[str, int], written_lake: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    governed.row_filter(written_lake, "people", "id < 2")
    at = moments["rename"]
    assert sorted(both(analyst, written_lake, "id", at)) == [(0,), (1,)]
    sql = (
        f"SELECT count(*) FROM people a AT (VERSION => {at}), people b AT (VERSION => {at}), people"
    )
    found = plan(analyst, workspace, sql)
    assert rows(found, written_lake) == [(2 * 2 * 1,)]


def test_a_policy_on_a_column_that_is_not_there_then_shows_nothing(
    moments: dict[str, int], written_lake: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    (key,) = [c.key for c in governed.table_of(written_lake, "people").columns if c.name == "email"]
    column = {"column": {"name": "added", "keys": [key]}}
    governed.row_filter(written_lake, "people", column, " IS NOT NULL")
    assert rows(plan(analyst, workspace, "SELECT id FROM people"), written_lake) == [(9,)]
    with pytest.raises(AccessDenied):
        plan(analyst, workspace, f"SELECT id FROM people AT (VERSION => {moments['rename']})")


def test_a_dropped_table_is_read_as_policies_of_today_allow(
    moments: dict[str, int],
    cast: Cast,
    written_lake: WrittenLake,
    workspace: Workspace,
    analyst: Actor,
) -> None:
    at, scope = written_lake.snapshot.snapshot_id, governed.table_of(written_lake, "people")
    governed.mask(written_lake, "people", "mail", method="constant", value="***")
    written_lake.run("DROP TABLE people")
    assert ("***",) in both(analyst, written_lake, "mail", at)
    publish(cast, "nobody", PolicyKind.ACCESS, scope, access(FORBID))
    with pytest.raises(AccessDenied):
        plan(analyst, workspace, f"FROM people AT (VERSION => {at})")


def test_rows_are_read_again_under_what_holds_of_each_snapshot(
    moments: dict[str, int], written_lake: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    governed.in_storage(written_lake)
    sql = f"SELECT a.region, b.id FROM people a AT (VERSION => {moments['drop']}) JOIN people b"
    query = governed.ask(analyst, workspace, f"{sql} USING (id) ORDER BY id", on="server")
    services.run_query(query.id, worker="test")
    query = Query.objects.get(id=query.id)
    assert services.read_page(actor=analyst, query=query).rows == [["US", 1], ["EU", 2], ["US", 3]]
    then = written_lake.table("people", at=moments["drop"]).securable(
        written_lake.catalog.securable
    )
    (key,) = [c.key for c in then.columns if c.name == "region"]
    compiled = {
        "columns": [{"name": "region", "keys": [key]}], "tags": [], "mask": {"method": "null"},
        "except": [],
    }  # fmt: skip
    governed.publish(workspace, "mask-region", PolicyKind.MASK, then, compiled)
    with pytest.raises((AccessDenied, PoliciesChanged)):
        services.read_page(actor=analyst, query=query)
