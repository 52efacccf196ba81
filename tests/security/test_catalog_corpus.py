"""A hostile lake: what its metadata says is data, and never Upend's authority over others."""

from __future__ import annotations

import json

import duckdb
import pytest

from accounts.domain import Actor
from catalog.lake.paths import PathOutsidePrefix
from catalog.selectors import UnknownTable
from execution.expansion import ViewNotSafe
from tests.catalog.lakes import WrittenLake, written_lake
from tests.execution.lakes import answer, built, locked, plan
from tests.security.corpus import Attack, by_id, runs
from upend import slices
from workspaces.models import Workspace

__all__ = ["written_lake"]

FOREIGN_PATHS = {
    "CATALOG-01": [("s3://tenant-b/secret.parquet", "false"), ("/etc/passwd", "false")],
    "CATALOG-02": [("../../other/x.parquet", "true"), ("a/../../../x.parquet", "true")],
}
STORED = {
    "CATALOG-03": (
        "CREATE VIEW peep AS SELECT content FROM read_text('/etc/passwd')",
        "SELECT * FROM peep",
    ),
    "CATALOG-04": (
        "CREATE MACRO peep(f) AS (SELECT content FROM read_text(f))",
        "SELECT * FROM lake.main.peep",
    ),
}
REFUSED = {"CATALOG-03": ViewNotSafe, "CATALOG-04": UnknownTable}
STRANGE = "sales\"; ATTACH '/x' AS y; --"


@runs(by_id("CATALOG-01", "CATALOG-02"))
def test_it_reads_no_file_outside_its_prefix(
    attack: Attack, written_lake: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    written_lake.run(
        "CALL lake.set_option('data_inlining_row_limit', 0)",
        "CREATE TABLE sales AS SELECT range AS id FROM range(100)",
    )
    sql = "SELECT sum(id) FROM sales"
    schema = f"__ducklake_metadata_lake.{written_lake.catalog.metadata_schema}"
    for path, is_relative in FOREIGN_PATHS[attack.id]:
        written_lake.run(
            f"UPDATE {schema}.ducklake_data_file SET path = '{path}', "
            f"path_is_relative = {is_relative}"
        )
        with pytest.raises(PathOutsidePrefix):
            built(plan(analyst, workspace, sql), written_lake)


@runs(by_id("CATALOG-03", "CATALOG-04"))
def test_it_carries_no_stored_code(
    attack: Attack, written_lake: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    code, use = STORED[attack.id]
    written_lake.run("CREATE TABLE sales AS SELECT range AS id FROM range(100)", code)
    with pytest.raises(REFUSED[attack.id]) as refused:
        plan(analyst, workspace, use)
    if attack.id == "CATALOG-03":
        assert attack.expected == f"refuse:{refused.value.extra['reason_code']}"
    found = plan(analyst, workspace, "SELECT sum(id) FROM sales")
    text = json.dumps(built(found, written_lake).slices)
    assert "read_text" not in text
    assert "peep" not in text
    with locked(found, written_lake) as con, pytest.raises(duckdb.Error):
        con.execute(use)


@runs(by_id("CATALOG-06"))
def test_it_quotes_the_strangest_name(
    attack: Attack, written_lake: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    name = '"' + STRANGE.replace('"', '""') + '"'
    written_lake.run(f"CREATE TABLE {name} AS SELECT range AS id FROM range(100)")
    sql = f"SELECT sum(id) AS s FROM {name}"
    found = plan(analyst, workspace, sql)
    with locked(found, written_lake) as con:
        assert answer(con, sql)[1] == [("4950",)]
        attached = con.execute("SELECT database_name FROM duckdb_databases()").fetchall()
        assert ("y",) not in attached
    with pytest.raises(slices.InvalidSlice):
        slices.attach(slices.connect(memory_bytes=2**28, threads=1), [{"format": "other"}])
