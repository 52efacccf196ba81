"""Before anything runs, no plan and no page says more of governed data than its rows would."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.domain import Actor
from execution.domain import Plan
from governance.domain import PolicyKind
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake, written_lake
from tests.execution.lakes import plan
from tests.governance.publishing import mask, publish, row_filter
from workspaces.models import Workspace

__all__ = ["written_lake"]

SignedIn = Callable[[Actor], Client]
OWNERS = ({"kind": "role", "key": "owner"},)
TABLE = "/api/v1/workspaces/flight-ops/catalogs/lake/tables/main/visits"
DAYS = ("2020-01-10", "2020-02-10", "2020-03-10", "2020-04-10")


@pytest.fixture
def visits(written_lake: WrittenLake) -> WrittenLake:
    """Four files, one a month."""
    written_lake.run(
        "CALL lake.set_option('data_inlining_row_limit', 0)",
        "CREATE TABLE visits (id INTEGER, day DATE, region VARCHAR, ssn VARCHAR)",
        *(f"INSERT INTO visits VALUES ({n}, '{day}', 'R{n}', 'CANARY{n}')"
          for n, day in enumerate(DAYS)),
    )  # fmt: skip
    return written_lake


class Policies:
    """Publishes policies about the table of visits."""

    def __init__(self, cast: Cast, lake: WrittenLake) -> None:
        self.cast = cast
        self.table = lake.table("visits").securable(lake.catalog.securable)

    def mask(self, column: str, **given: Any) -> None:
        (found,) = (c for c in self.table.columns if c.name == column)
        compiled = mask(found, spared=OWNERS, **given)
        publish(self.cast, f"mask-{column}", PolicyKind.MASK, self.table, compiled)

    def filter(self, *template: Any) -> None:
        compiled = row_filter(*template, spared=OWNERS)
        publish(self.cast, "some-rows", PolicyKind.ROW_FILTER, self.table, compiled)


@pytest.fixture
def policies(cast: Cast, visits: WrittenLake) -> Policies:
    return Policies(cast, visits)


def cost(found: Plan) -> dict[str, Any]:
    shown = found.as_dict()
    return {name: shown[name] for name in ("scan_bytes", "files", "memory_bytes", "tables")}


def test_it_leaves_out_no_file_by_what_the_engine_makes_of_a_filter_on_a_mask(
    policies: Policies, analyst: Actor, owner: Actor, workspace: Workspace
) -> None:
    """Through this one it sees: the filter is on `region` itself, and may not count its files."""
    policies.mask("region", method="expression", template=["region -- as it is"])
    asked = [f"SELECT id FROM visits WHERE region = 'R{n}'" for n in (1, 9)]
    plans = [plan(analyst, workspace, sql) for sql in asked]
    assert [item.column for found in plans for item in found.scans[0].filters] == ["region"] * 2
    costs = [cost(found) for found in plans]
    assert costs[0] == costs[1]
    assert costs[0]["files"] == 4
    assert costs[0]["tables"][0]["filters"] == []
    assert [cost(plan(owner, workspace, sql))["files"] for sql in asked] == [1, 0]


def test_it_leaves_out_files_by_filters_on_what_is_not_masked(
    policies: Policies, analyst: Actor, workspace: Workspace
) -> None:
    policies.mask("ssn")
    found = plan(analyst, workspace, "SELECT ssn FROM visits WHERE id = 2 AND ssn IS NULL")
    assert cost(found)["files"] == 1
    assert cost(found)["tables"][0]["filters"] == ["id = 2"]


@pytest.mark.parametrize("sql", ["region = 'R1'", "id = 99", "ssn LIKE 'CANARY1%'", "true"])
def test_it_says_the_same_of_a_filtered_table_whatever_is_asked(
    policies: Policies, analyst: Actor, workspace: Workspace, sql: str
) -> None:
    """The policy's own filter leaves files out; the query's never get past its fence."""
    policies.filter("id >= 2")
    found = plan(analyst, workspace, f"SELECT count(id), max(region), max(ssn) FROM visits "
                                     f"WHERE day > '2020-01-01' AND {sql}")  # fmt: skip
    (table,) = cost(found)["tables"]
    assert (table["files"], table["rows"], table["filters"]) == (2, 2, [])


def test_it_says_nothing_of_columns_that_are_hidden(
    policies: Policies, analyst: Actor, owner: Actor, workspace: Workspace, signed_in: SignedIn
) -> None:
    policies.mask("ssn", method="hide")
    policies.filter("ssn <> 'CANARY1'")
    found = plan(analyst, workspace, "SELECT * FROM visits")
    assert [name for name, _ in found.columns] == ["id", "day", "region"]
    (table,) = found.as_dict()["tables"]
    assert table["columns"] == ["id", "day", "region"]
    assert "CANARY1" not in json.dumps(table)
    seen = signed_in(analyst).get(TABLE).json()["columns"]
    assert [c["name"] for c in seen] == ["id", "day", "region"]
    assert len(signed_in(owner).get(TABLE).json()["columns"]) == 4
    editor = signed_in(analyst).get("/w/flight-ops/query").content.decode()
    assert "region" in editor
    assert "ssn" not in editor


def test_it_shows_bounds_and_nulls_to_whom_nothing_is_hidden_only(
    policies: Policies, analyst: Actor, owner: Actor, signed_in: SignedIn
) -> None:
    policies.mask("region")
    address = "/w/flight-ops/catalog/lake/main/visits"
    assert "CANARY3" in signed_in(owner).get(address).content.decode()
    shown = signed_in(analyst).get(address).content.decode()
    assert "ssn" in shown
    assert "CANARY" not in shown
    assert "R3" not in shown
