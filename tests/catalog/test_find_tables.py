"""Tables are found as one types, and pages of a large catalog cost what those of a small one do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.domain import Actor
from benchmarks import crowd
from catalog import lake, overview, selectors
from catalog.lake import Search
from catalog.visibility import nearest_labels, visible_tables, visible_totals
from governance.domain import PolicyKind
from governance.models import TagAssignment
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake
from tests.catalog.test_listing import HIDE_FINANCE, hold
from tests.governance.publishing import mask, publish
from workspaces.models import Workspace

PAGES = (
    "/w/{slug}/catalog",
    "/w/{slug}/catalog/lake",
    "/w/{slug}/catalog/lake?q=t0",
    "/w/{slug}/query",
    "/w/{slug}/query/tables?q=t0",
    "/palette?w={slug}&q=t0",
    "/api/v1/workspaces/{slug}/catalogs/lake/tables",
    "/api/v1/workspaces/{slug}/catalogs/lake/tables?search=t0",
    "/api/v1/workspaces/{slug}/catalogs/lake/tables/main/nothing",
)

MOST_STATEMENTS = 33
SEARCHES = {
    "": ["Orders", "orders_2026", "refunds"],
    "ORD": ["Orders", "orders_2026"],
    "sales ord": ["orders_2026"],
    "ord sales": ["orders_2026"],
    "lake.main.orders": ["Orders"],
    "orders_": ["orders_2026"],  # no wildcard
    "%": [],
    "iban": [],
}


@pytest.fixture
def filled(written_lake: WrittenLake) -> WrittenLake:
    """Create three tables in two schemas, one with rows."""
    written_lake.run(
        "CREATE SCHEMA sales",
        "CREATE TABLE Orders (id BIGINT, customer VARCHAR)",
        "CREATE TABLE sales.orders_2026 (id BIGINT, iban VARCHAR)",
        "CREATE TABLE sales.refunds (id BIGINT)",
        "INSERT INTO Orders SELECT range, 'x' FROM range(7)",
    )
    return written_lake


def found(actor: Actor, written: WrittenLake, text: str, *, in_columns: bool = False) -> list[str]:
    """Return the names of what a search finds."""
    search = Search.of(text, in_columns=in_columns)
    page = overview.tables_page(actor, written.catalog, search)
    return [line.table.name for line in page.lines]


def test_it_finds_tables_by_every_word_of_their_names(filled: WrittenLake, analyst: Actor) -> None:
    for text, names in SEARCHES.items():
        assert found(analyst, filled, text) == names, text


def test_it_finds_tables_by_columns_that_one_is_shown(
    filled: WrittenLake, cast: Cast, owner: Actor, analyst: Actor
) -> None:
    assert found(analyst, filled, "iban", in_columns=True) == ["orders_2026"]
    assert found(analyst, filled, "sales iban", in_columns=True) == ["orders_2026"]
    table = filled.table("orders_2026", "sales").securable(filled.catalog.securable)
    iban = next(column for column in table.columns if column.name == "iban")
    spared = [{"kind": "role", "key": "owner"}]
    compiled = mask(iban, method="hide", spared=spared)
    publish(cast, "no-iban", PolicyKind.MASK, table, compiled)
    assert found(analyst, filled, "iban", in_columns=True) == []
    assert found(owner, filled, "iban", in_columns=True) == ["orders_2026"]


def test_it_counts_what_one_may_browse(
    filled: WrittenLake, cast: Cast, workspace: Workspace, owner: Actor, analyst: Actor
) -> None:
    newest = filled.snapshot.snapshot_id
    whole = visible_totals(analyst, filled.catalog, newest)
    listed = visible_tables(analyst, filled.catalog, newest)
    assert (whole.tables, whole.rows) == (3, 7)
    assert whole.rows == sum(table.record_count for table in listed)
    assert whole.size_bytes == sum(table.file_size_bytes for table in listed)
    hold(workspace, "finance", filled.catalog.securable, HIDE_FINANCE)
    orders = filled.table("Orders").securable(filled.catalog.securable)
    TagAssignment.objects.create(
        organization=cast.organization, securable_key=orders.key, tag="finance"
    )
    assert visible_totals(analyst, filled.catalog, newest) == lake.Totals(2, 0, 0)
    assert visible_totals(owner, filled.catalog, newest) == whole
    for who, sees in ((analyst, False), (owner, True)):
        near = nearest_labels(who, filled.catalog, newest, "lake.main.Ordesr")
        assert ("lake.main.Orders" in near) is sees


def test_it_counts_anew_after_a_commit(filled: WrittenLake, analyst: Actor) -> None:
    assert visible_totals(analyst, filled.catalog, filled.snapshot.snapshot_id).rows == 7
    filled.run("INSERT INTO Orders VALUES (9, 'y')")
    assert visible_totals(analyst, filled.catalog, filled.snapshot.snapshot_id).rows == 8


def test_it_goes_on_where_the_page_before_ended(filled: WrittenLake, analyst: Actor) -> None:
    first = overview.tables_page(analyst, filled.catalog, size=2)
    rest = overview.tables_page(analyst, filled.catalog, size=2, cursor=first.following)
    assert [len(first.lines), len(rest.lines), rest.following] == [2, 1, ""]
    names = [line.table.name for page in (first, rest) for line in page.lines]
    assert names == ["Orders", "orders_2026", "refunds"]


def test_it_refuses_a_cursor_of_nobodys(
    filled: WrittenLake, analyst: Actor, signed_in: Callable[[Actor], Client], workspace: Workspace
) -> None:
    for cursor in ("x", "eyJ9", "WzFd"):
        answer = signed_in(analyst).get(f"/w/{workspace.slug}/catalog/lake?after={cursor}")
        assert answer.status_code == 422
        assert "begin with its first page" in answer.content.decode()


def test_it_names_the_nearest_of_many(filled: WrittenLake, analyst: Actor) -> None:
    fill(filled, 300)
    newest = filled.snapshot.snapshot_id
    with pytest.raises(selectors.UnknownTable) as refused:
        selectors.find_table(analyst, filled.catalog, newest, "sales", "refnuds")
    assert "lake.sales.refunds" in refused.value.hint


def test_it_answers_the_filter_with_its_part_of_the_page(
    filled: WrittenLake, analyst: Actor, signed_in: Callable[[Actor], Client], workspace: Workspace
) -> None:
    client = signed_in(analyst)
    address = f"/w/{workspace.slug}/catalog/lake?q=refunds"
    whole = client.get(address).content.decode()
    part = client.get(address, headers={"HX-Request": "true", "HX-Target": "tables"}).content
    assert "<html" in whole
    assert "<html" not in part.decode()
    for text in (whole, part.decode()):
        assert "/catalog/lake/sales/refunds" in text
        assert "/catalog/lake/main/Orders" not in text
    found = client.get(
        f"/w/{workspace.slug}/query/tables?q=ord", headers={"Accept": "application/json"}
    )
    assert [table["name"] for table in found.json()["tables"]] == ["Orders", "orders_2026"]


def test_it_costs_no_more_statements_for_a_thousand_tables(
    filled: WrittenLake, analyst: Actor, signed_in: Callable[[Actor], Client], workspace: Workspace
) -> None:
    client = signed_in(analyst)
    fill(filled, 3)

    def statements() -> dict[str, int]:
        found = {}
        for address in PAGES:
            with CaptureQueriesContext(connection) as sent:
                client.get(address.format(slug=workspace.slug))
            found[address] = len(sent.captured_queries)
        return found

    statements()  # what is true of a snapshot is remembered from here on
    few = statements()
    fill(filled, 1000, first=4)
    assert statements() == few
    assert max(few.values()) <= MOST_STATEMENTS, few


def fill(written: WrittenLake, tables: int, first: int = 1) -> None:
    """Give the lake more tables, as rows."""
    with connection.cursor() as cursor:
        crowd.fill(cursor, schema=written.catalog.metadata_schema, tables=tables, first=first)


MISSPELT = (
    "lake.main.t00010x",
    "lake.man.t000100",
    "LAKE.MAIN.000100",
    "laek.main.t000100",
    "T00010",
)


def test_it_names_what_was_meant_among_many(written_lake: WrittenLake, analyst: Actor) -> None:
    with connection.cursor() as cursor:
        crowd.fill(cursor, schema=written_lake.catalog.metadata_schema, tables=300)
    newest = lake.latest_snapshot(written_lake.catalog).snapshot_id
    for text in MISSPELT:
        near = nearest_labels(analyst, written_lake.catalog, newest, text)
        assert len(near) < 300
        assert "lake.main.t000100" in near, text
