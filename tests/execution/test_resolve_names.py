"""Names become tables, or an error that a person can act on and that betrays nothing."""

from __future__ import annotations

import secrets
from pathlib import Path

import psycopg
import pytest
from pytest_django.fixtures import DjangoAssertNumQueries

from accounts.domain import Actor
from accounts.selectors import actor_for_user
from catalog.lake import UnknownSnapshot
from catalog.models import Bucket, Catalog
from catalog.selectors import UnknownCatalog, UnknownTable
from execution.gate import check
from execution.planning import QueryTooLarge, plan
from execution.resolve import AmbiguousTable
from governance.services import AccessDenied
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake, conninfo, written_lake
from tests.security.corpus import ATTACKS
from workspaces.models import Workspace

__all__ = ["written_lake"]


@pytest.fixture
def lakes(written_lake: WrittenLake, workspace: Workspace, tmp_path: Path) -> WrittenLake:
    """Two catalogs, `lake` and `other`, with tables of equal and of different names."""
    written_lake.run(
        "CREATE SCHEMA ops",
        "CREATE TABLE airports (a INTEGER)",
        "CREATE TABLE sales (id INTEGER, region VARCHAR)",
        "CREATE TABLE ops.sales (b INTEGER)",
        "CREATE TABLE ops.crew (c INTEGER)",
    )
    schema = f"lake_{secrets.token_hex(6)}"
    with psycopg.connect(conninfo(), autocommit=True) as session:
        session.execute(f"CREATE SCHEMA {schema}")
    Catalog.objects.create(
        workspace=workspace,
        bucket=Bucket.objects.get(),
        name="other",
        metadata_schema=schema,
        prefix=f"catalogs/{schema}/",
    )
    written_lake.run(
        f"ATTACH 'ducklake:postgres:{conninfo()}' AS other"
        f" (META_SCHEMA '{schema}', DATA_PATH '{tmp_path}/other/')",
        "CREATE TABLE other.main.airports (d INTEGER)",
        "CREATE TABLE other.main.planes (e INTEGER)",
        "CREATE SCHEMA other.ops",
        "CREATE TABLE other.ops.crew (f INTEGER)",
    )
    return written_lake


FOUND = {
    # (text, default catalog): the columns of what it found
    ("FROM lake.main.sales", ""): ["id", "region"],
    ("FROM LAKE.Main.SALES", "other"): ["id", "region"],
    ("FROM lake.sales", ""): ["id", "region"],
    ("FROM lake.ops.sales", ""): ["b"],
    ("FROM sales", ""): ["id", "region"],
    ("FROM sales", "other"): ["id", "region"],
    ("FROM planes", ""): ["e"],
    ("FROM planes", "lake"): ["e"],
    ("FROM airports", "lake"): ["a"],
    ("FROM airports", "other"): ["d"],
    ("FROM airports", "OTHER"): ["d"],
    ("FROM ops.crew", "lake"): ["c"],
    ("FROM ops.crew", "other"): ["f"],
    ("FROM ops.sales", ""): ["b"],
    ("FROM sales, ops.sales o", ""): ["id", "region", "b"],
    ("FROM airports JOIN other.airports o ON a = o.d", "lake"): ["a", "d"],
    ("FROM airports JOIN planes ON a = e", "lake"): ["a", "e"],
    ("WITH airports AS (SELECT 1 AS z) FROM airports", ""): ["z"],
}


def test_it_finds_the_table_that_a_name_stands_for(
    lakes: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    for (sql, default), columns in FOUND.items():
        found = plan(actor=analyst, workspace=workspace, sql=sql, default_catalog=default)
        assert [name for name, _ in found.columns] == columns, (sql, default)


def test_it_says_what_is_wrong_with_a_name(
    lakes: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    def refused(sql: str, problem: type[Exception], **options: object) -> str:
        with pytest.raises(problem) as caught:
            plan(actor=analyst, workspace=workspace, sql=sql, **options)  # type: ignore[arg-type]
        return f"{caught.value} {getattr(caught.value, 'hint', '')}"

    assert "Did you mean" in refused("FROM salse", UnknownTable)
    assert "lake.sales" in refused("FROM lake.salse", UnknownTable)
    assert "lake.ops.crew or other.ops.crew" in refused("FROM ops.crew", AmbiguousTable)
    assert "upload" in refused("FROM 's3://b/x.parquet'", UnknownTable)
    assert "lake.main.airports or other.main.airports" in refused("FROM airports", AmbiguousTable)
    assert "lake" in refused("SELECT 1", UnknownCatalog, default_catalog="lakes")
    assert "snapshot" in refused("FROM sales", UnknownSnapshot, snapshots={"lake": 99})
    refused("FROM sales", UnknownCatalog, snapshots={"nowhere": 1})
    refused("FROM ops.nothing", UnknownTable, default_catalog="lake")
    refused("FROM x.lake.main", UnknownTable)


def test_it_does_not_tell_what_is_hidden_from_what_does_not_exist(
    lakes: WrittenLake, workspace: Workspace, outsider: Actor
) -> None:
    seen = set()
    for name in ("sales", "nothing"):
        with pytest.raises(UnknownTable) as caught:
            plan(actor=outsider, workspace=workspace, sql=f"FROM lake.main.{name}")
        seen.add((caught.value.detail.replace(name, "x"), caught.value.hint))
    assert len(seen) == 1


def test_it_says_that_one_may_see_but_not_query(
    lakes: WrittenLake, workspace: Workspace, auditor: Actor
) -> None:
    with pytest.raises(AccessDenied) as caught:
        plan(actor=auditor, workspace=workspace, sql="FROM sales")
    assert caught.value.extra["decision"]["allowed"] is False
    assert caught.value.denial is not None


def test_it_refuses_what_would_read_too_much(
    written_lake: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    written_lake.run(
        "CALL lake.set_option('data_inlining_row_limit', 0)",
        "CREATE TABLE t AS SELECT i, hash(i) AS h FROM range(10000) r(i)",
    )
    workspace.max_scan_bytes = 10_000
    with pytest.raises(QueryTooLarge) as caught:
        plan(actor=analyst, workspace=workspace, sql="FROM t")
    assert caught.value.extra["scan_bytes"] > 10_000
    assert plan(actor=analyst, workspace=workspace, sql="SELECT count(*) FROM t").columns


def in_this_lake(sql: str) -> str:
    return sql.replace("shop", "lake").replace("SHOP", "LAKE")


def test_it_refuses_every_table_of_the_corpus_that_is_not_granted(
    lakes: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    for attack in ATTACKS:
        if attack.expected == "refuse:table_not_granted":
            check(in_this_lake(attack.sql))
            with pytest.raises(UnknownTable) as caught:
                plan(actor=analyst, workspace=workspace, sql=in_this_lake(attack.sql))
            assert caught.value.extra["reason_code"] == "table_not_granted", attack.id


def test_it_asks_the_database_a_number_of_times_that_tables_alone_raise(
    lakes: WrittenLake,
    workspace: Workspace,
    cast: Cast,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    analyst = actor_for_user(cast.users["analyst"])
    with django_assert_max_num_queries(20):
        plan(actor=analyst, workspace=workspace, sql="FROM lake.main.sales")
