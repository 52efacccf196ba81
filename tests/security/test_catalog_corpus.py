"""A hostile lake: what its metadata says is data, and never Upend's authority over others."""

from __future__ import annotations

import json

import duckdb
import pytest

from accounts.domain import Actor
from catalog import services as catalogs
from catalog.buckets.rules import BucketSettings
from catalog.domain import AdoptionSource
from catalog.lake.paths import PathOutsidePrefix
from catalog.models import Adoption, Catalog
from catalog.selectors import UnknownTable
from catalog.services.adoptions import AdoptionMovedOn
from catalog.storage import Credentials
from execution.expansion import ViewNotSafe
from execution.planning import execution_record
from tests.catalog.foreign import Lakes, adopted, foreign, requested
from tests.catalog.lakes import WrittenLake, written_lake
from tests.execution.lakes import answer, built, locked, plan
from tests.security.corpus import Attack, by_id, runs
from upend import slices
from workspaces.models import Workspace

__all__ = ["foreign", "written_lake"]

THEIRS = "lake/production/"
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


@pytest.mark.django_db(transaction=True)
@runs(by_id("CATALOG-01", "CATALOG-02"))
def test_it_adopts_no_lake_that_names_files_of_others(
    attack: Attack, foreign: Lakes, owner: Actor
) -> None:
    metadata = "__ducklake_metadata_theirs.ducklake_data_file"
    for path, is_relative in FOREIGN_PATHS[attack.id]:
        lake = foreign.make(AdoptionSource.DUCKDB)
        lake.run(
            "CALL theirs.set_option('data_inlining_row_limit', 0)",
            "CREATE TABLE sales AS SELECT range AS id FROM range(100)",
            f"UPDATE {metadata} SET path = '{path}', path_is_relative = {is_relative}",
            "DROP TABLE sales",  # history counts too
        )
        lake.close()
        adoption = requested(owner, lake)
        assert adoption.state == "refused"
        assert codes(adoption, "blocking") == [attack.code]
        assert path not in json.dumps(adoption.report)
        with pytest.raises(AdoptionMovedOn):
            catalogs.confirm_adoption(actor=owner, adoption=adoption)
    assert not Catalog.objects.exists()


@pytest.mark.django_db(transaction=True)
@runs(by_id("CATALOG-03", "CATALOG-04"))
def test_it_adopts_stored_code_as_what_nobody_can_run(
    attack: Attack, foreign: Lakes, owner: Actor, analyst: Actor, workspace: Workspace
) -> None:
    code, use = STORED[attack.id]
    theirs = foreign.make(AdoptionSource.DUCKDB)
    theirs.run("CREATE TABLE sales AS SELECT range AS id FROM range(100)", code)
    theirs.close()
    adoption = adopted(owner, theirs)
    assert codes(adoption, "note") == [attack.code]
    use = use.replace("lake.main", "ours.main")
    with pytest.raises(REFUSED[attack.id]):  # who may mend it learns why
        plan(owner, workspace, use)
    with pytest.raises(UnknownTable):  # for others it is not there
        plan(analyst, workspace, use)
    found = plan(analyst, workspace, "SELECT sum(id) FROM sales")
    assert "read_text" not in json.dumps(execution_record(found))


def codes(adoption: Adoption, severity: str) -> list[str]:
    """Return the codes of what was found in a lake, of one severity."""
    assert adoption.report is not None
    return [one["code"] for one in adoption.report["findings"] if one["severity"] == severity]


@pytest.mark.parametrize("table", ["ducklake_data_file", "ducklake_delete_file"])
@pytest.mark.parametrize(
    "path",
    [
        "s3://upend/results/of-everyone.arrow",  # Upend's own bucket
        "s3://upend/{prefix}main/sales/x.parquet",  # the same prefix, there
        "s3://customer-b/{prefix}main/sales/x.parquet",  # another customer's
        "s3://customer-ab/{prefix}main/sales/x.parquet",  # a bucket whose name begins alike
        "s3://customer-a/lake/production/other/x.parquet",  # beside the lake, in its own bucket
        "s3://customer-a/{prefix}../other/x.parquet",
        "s3://customer-a/{prefix}main/sales/x.parquet?s3_endpoint=evil.example",
        "https://lake.customer.example/customer-a/{prefix}main/sales/x.parquet",
        "/etc/passwd",
    ],
)
def test_it_names_no_file_of_another_bucket(
    written_lake: WrittenLake,
    owner: Actor,
    analyst: Actor,
    table: str,
    path: str,
) -> None:
    workspace = written_lake.catalog.workspace
    _move_to_a_customer(written_lake, workspace, owner)
    written_lake.run(
        "CALL lake.set_option('data_inlining_row_limit', 0)",
        "CREATE TABLE sales AS SELECT range AS id FROM range(100)",
        "DELETE FROM sales WHERE id = 7",
    )
    schema = f"__ducklake_metadata_lake.{written_lake.catalog.metadata_schema}"
    found = plan(analyst, workspace, "SELECT sum(id) FROM sales")
    assert len(built(found, written_lake).files) == 2
    foreign = path.format(prefix=written_lake.catalog.prefix)
    written_lake.run(f"UPDATE {schema}.{table} SET path = '{foreign}', path_is_relative = false")
    with pytest.raises(PathOutsidePrefix) as refused:
        built(found, written_lake)
    assert foreign not in refused.value.detail


def _move_to_a_customer(lake: WrittenLake, workspace: Workspace, owner: Actor) -> None:
    """Let the lake be in a customer's bucket, which nothing here reaches."""
    bucket = catalogs.connect_bucket(
        actor=owner,
        workspace=workspace,
        settings=BucketSettings(
            name="Theirs",
            bucket_name="customer-a",
            endpoint="https://1.1.1.1",
            region="us-east-1",
            prefix=THEIRS,
        ),
        key=Credentials("AKIA", "secret"),
    )
    lake.catalog.bucket, lake.catalog.prefix = bucket, f"{THEIRS}{lake.catalog.prefix}"
    lake.catalog.save()


@runs(by_id("CATALOG-03", "CATALOG-04"))
def test_it_carries_no_stored_code(
    attack: Attack,
    written_lake: WrittenLake,
    workspace: Workspace,
    owner: Actor,
    analyst: Actor,
) -> None:
    code, use = STORED[attack.id]
    written_lake.run("CREATE TABLE sales AS SELECT range AS id FROM range(100)", code)
    with pytest.raises(REFUSED[attack.id]) as refused:
        plan(owner, workspace, use)  # who may mend it learns why
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
