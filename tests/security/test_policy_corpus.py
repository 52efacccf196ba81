"""What a policy hides stays hidden from every trick of the corpus, in the real engine process.

The slices are built with obligations and given to the very process that runs queries. That
published policies come to such obligations is in `tests/security/test_policies_on_stack.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from accounts.domain import Actor
from execution import gate
from execution.bind import HiddenTable
from execution.domain import Plan
from execution.engine.problems import QueryFailed
from governance.domain import ColumnMask, Obligations, RowFilter
from tests.catalog.lakes import WrittenLake, written_lake
from tests.execution.lakes import built, plan
from tests.execution.test_run_engine import Collected, run
from tests.security.corpus import ATTACKS, Attack, runs
from tests.security.in_bucket import in_bucket
from workspaces.models import Workspace

__all__ = ["written_lake"]

OBLIGATIONS = Obligations(
    masks=(
        ColumnMask("email", "'***'", "mask-email"),
        ColumnMask("info", "struct_pack(iban := '***', bank := info.bank)", "mask-iban"),
    ),
    row_filters=(RowFilter("regexp_matches(region, '^(EU|XX)$')", "own-region"),),
    hidden_columns=frozenset({"ssn"}),
)
MASKED = [a for a in ATTACKS if a.expected == "ok:masked"]
PROBES = [a for a in ATTACKS if a.expected == "ok:no_hidden_value"]
EMPTY = [a for a in ATTACKS if a.expected == "ok:empty"]
SECRETS = ("@x.com", "HIDDEN", "NO1", "SSN", "US")
EXTRACTS = {
    # Other ways out that carry a value in a message, an order or a count.
    "cast of a filtered row": "SELECT max(CASE WHEN region <> 'EU' THEN email ELSE '1' END::INT) "
    "FROM sales",
    "cast in a join": "SELECT count(*) FROM sales a JOIN sales b ON a.id = b.email::INTEGER",
    "window": "SELECT max(email) OVER (PARTITION BY region) AS e, region FROM sales",
    "row as json": "SELECT to_json(sales)::VARCHAR AS j FROM sales LIMIT 3",
    "min and max": "SELECT min(email), max(email), min(region), max(region), min(info) FROM sales",
    "describe": "DESCRIBE sales",
    "summarize": "SUMMARIZE sales",
    "struct unpack": "SELECT unnest(info), info.* FROM sales LIMIT 3",
    "pivot": "PIVOT sales ON region IN ('EU', 'XX') USING count(*)",
    "unpivot": "FROM (SELECT region, email FROM sales) UNPIVOT (v FOR n IN (region, email))",
    "sample": "SELECT email, region FROM sales USING SAMPLE 10 ROWS",
    "correlated": "SELECT (SELECT max(s.email) FROM sales s WHERE s.id = t.id) AS e FROM sales t",
    "columns": "SELECT COLUMNS(c -> c <> 'id') FROM sales LIMIT 3",
    "histograms": "SELECT histogram(email), histogram(region), approx_top_k(info, 3) FROM sales",
    "regexp probe": "SELECT count(*) AS n FROM sales WHERE regexp_matches(email, '^user')",
}


@dataclass
class Secured:
    """A table that is masked and filtered for the analyst, in slices made for an engine."""

    slices: list[dict[str, Any]]
    search_path: list[list[str]]

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Run checked SQL in an engine process."""
        gate.check(sql)
        sink = Collected()
        run(sql, sink=sink, slices=self.slices, search_path=self.search_path)
        return list(sink.table.to_pylist())


@pytest.fixture
def secured(written_lake: WrittenLake, workspace: Workspace, analyst: Actor) -> Secured:
    written_lake.run(
        "CALL lake.set_option('data_inlining_row_limit', 0)",
        "CREATE TABLE sales AS SELECT i::INTEGER AS id, ['EU', 'US'][1 + i % 2] AS region, "
        "CASE WHEN i % 2 = 0 THEN 'user' || i || '@x.com' ELSE 'HIDDEN' || i END AS email, "
        "'SSN' || i AS ssn, {'iban': 'NO1' || i, 'bank': 'B' || i % 3} AS info "
        "FROM range(1000) r(i)",
        "CALL lake.set_option('data_inlining_row_limit', 100)",
        "INSERT INTO sales VALUES (5000, 'US', 'HIDDEN5000', 'SSN', {'iban': 'NO1', 'bank': 'B'})",
    )
    found: Plan = plan(analyst, workspace, "SELECT * FROM sales")
    (table,) = found.tables
    view = HiddenTable("t1", written_lake.table("sales"), OBLIGATIONS).view()
    governed = replace(found, tables=(table | {"view": view},))
    slices = in_bucket(built(governed, written_lake).slices)
    return Secured(slices, [list(pair) for pair in governed.search_path])


def hidden_in(shown: object) -> list[str]:
    return [secret for secret in SECRETS if secret in str(shown)]


@runs(MASKED)
def test_it_shows_masked_values_only(attack: Attack, secured: Secured) -> None:
    rows = secured.rows(attack.sql)
    assert rows
    assert hidden_in(rows) == []


@runs(EMPTY)
def test_it_compares_with_masked_values(attack: Attack, secured: Secured) -> None:
    assert secured.rows(attack.sql) == []


@runs(PROBES)
def test_it_prints_no_hidden_value(attack: Attack, secured: Secured) -> None:
    """It runs: the cast that would fail never meets a row that is filtered away."""
    assert [list(row.values()) for row in secured.rows(attack.sql)] == [[500]]


@pytest.mark.parametrize("name", EXTRACTS)
def test_it_lets_nothing_out_by(name: str, secured: Secured) -> None:
    try:
        rows = secured.rows(EXTRACTS[name])
    except QueryFailed as failed:
        rows = [failed.as_dict() | {"cause": str(failed.__cause__)}]
    assert rows
    assert hidden_in(rows) == []


def test_it_hides_a_column_altogether(secured: Secured) -> None:
    with pytest.raises(QueryFailed):
        secured.rows("SELECT ssn FROM sales")
    assert "ssn" not in secured.rows("SELECT * FROM sales LIMIT 1")[0]
