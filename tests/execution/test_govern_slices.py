"""What a policy hides is in no slice that an engine could be talked into showing."""

from __future__ import annotations

import json
from dataclasses import replace

import duckdb
import pytest

from accounts.domain import Actor
from execution.bind import HiddenTable
from execution.domain import Plan
from governance.domain import ColumnMask, Obligations, RowFilter
from tests.catalog.lakes import WrittenLake, written_lake
from tests.execution.lakes import built, locked, plan
from workspaces.models import Workspace

__all__ = ["written_lake"]

OBLIGATIONS = Obligations(
    masks=(ColumnMask("email", "'***'", "mask-email"),),
    row_filters=(RowFilter("region = 'EU'", "own-region"),),
    hidden_columns=frozenset({"ssn"}),
)


@pytest.fixture
def governed(written_lake: WrittenLake, workspace: Workspace, analyst: Actor) -> Plan:
    """A plan whose table carries obligations, as `decide` will return them."""
    written_lake.run(
        "CALL lake.set_option('data_inlining_row_limit', 0)",
        "CREATE TABLE people (id INTEGER, region VARCHAR, email VARCHAR, ssn VARCHAR)",
        "ALTER TABLE people SET PARTITIONED BY (region)",
        "INSERT INTO people SELECT i, ['EU', 'US'][1 + i % 2], 'HIDDEN' || i, 'SSN' || i "
        "FROM range(100) r(i)",
    )
    found = plan(analyst, workspace, "SELECT id, region, email FROM people")
    (table,) = found.tables
    view = HiddenTable("t1", written_lake.table("people"), OBLIGATIONS).view()
    return replace(found, tables=(table | {"view": view},))


def test_it_applies_masks_filters_and_hidden_columns(
    governed: Plan, written_lake: WrittenLake
) -> None:
    with locked(governed, written_lake) as con:
        assert con.execute("SELECT count(*), min(region), max(region) FROM people").fetchall() == [
            (50, "EU", "EU")
        ]
        assert con.execute("SELECT DISTINCT email FROM people").fetchall() == [("***",)]
        with pytest.raises(duckdb.BinderException):
            con.execute("SELECT ssn FROM people")
        probe = (
            "SELECT count(*) FROM people WHERE (CASE WHEN region <> 'EU' THEN region "
            "ELSE '00000000-0000-0000-0000-000000000000' END)::UUID IS NOT NULL"
        )
        assert con.execute(probe).fetchall() == [(50,)]


def test_it_carries_no_statistics_of_a_governed_table(
    governed: Plan, written_lake: WrittenLake
) -> None:
    (one,) = built(governed, written_lake).slices
    text = json.dumps(one["tables"])
    assert "HIDDEN" not in text
    assert "SSN" not in text
    assert one["tables"]["ducklake_file_partition_value"]["rows"] == []
    statistics = one["tables"]["ducklake_file_column_stats"]
    for bound in ("min_value", "max_value"):
        at = statistics["columns"].index(bound)
        assert {row[at] for row in statistics["rows"]} <= {None}
