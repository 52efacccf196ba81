"""What the gate must let work, works: each form goes through gate, binder and engine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from accounts.domain import Actor
from tests.catalog.lakes import WrittenLake, written_lake
from tests.execution.lakes import built, plan
from tests.execution.test_run_engine import Collected, run
from tests.security.in_bucket import in_bucket
from workspaces.models import Workspace

__all__ = ["written_lake"]

TABLES = [
    (
        "CREATE TABLE sales AS SELECT i::INTEGER AS id, ['EU', 'US', 'AS'][1 + i % 3] AS region, "
        "i % 4 AS quarter, (i * 10)::INTEGER AS amount, [i, i + 1] AS parts, "
        "{'city': 'C' || i, 'zip': i} AS place, TIMESTAMP '2020-01-01' + INTERVAL (i) HOUR AS at "
        "FROM range(12) r(i)"
    ),
    (
        "CREATE TABLE prices AS SELECT TIMESTAMP '2020-01-01' + INTERVAL (i * 5) HOUR AS at, "
        "i AS price FROM range(3) r(i)"
    ),
]
FORMS = {
    case["form"]: case
    for case in yaml.safe_load(Path(__file__).with_name("forms.yaml").read_text(encoding="utf-8"))
}


@dataclass
class Shop:
    """Two tables, and an analyst who asks of them all the way through."""

    lake: WrittenLake
    workspace: Workspace
    analyst: Actor

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Plan `sql` and run it in an engine process on the plan's own slices."""
        found = plan(self.analyst, self.workspace, sql, default_catalog="lake")
        sink = Collected()
        path = [list(pair) for pair in found.search_path]
        slices = in_bucket(built(found, self.lake).slices)
        outcome = run(sql, sink=sink, slices=slices, search_path=path)
        assert outcome.columns == found.columns
        columns = [column.to_pylist() for column in sink.table.columns]
        return list(zip(*columns, strict=True))


@pytest.fixture
def shop(written_lake: WrittenLake, workspace: Workspace, analyst: Actor) -> Shop:
    written_lake.run(*TABLES)
    return Shop(written_lake, workspace, analyst)


@pytest.mark.parametrize("form", FORMS)
def test_it_runs(form: str, shop: Shop) -> None:
    asked = FORMS[form]
    assert [list(map(_plain, row)) for row in shop.ask(asked["sql"])] == asked["rows"]


def _plain(value: Any) -> Any:
    """Return a sum as the number it is: Arrow has HUGEINT as a decimal."""
    return int(value) if type(value).__name__ == "Decimal" else value


def test_it_documents_every_form() -> None:
    text = Path(__file__).parents[2].joinpath("docs/reference/sql.md").read_text("utf-8")
    table = text.partition("## What works, by example")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (.+?) \| `", table, re.MULTILINE) == list(FORMS)
