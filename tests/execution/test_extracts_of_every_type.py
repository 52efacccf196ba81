"""A value of any type is on the device what it is on the server: in files, inlined and nested."""

from __future__ import annotations

import pytest

from accounts.domain import Actor
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake, written_lake
from tests.execution import governed
from tests.execution.governed import Laptop, on_device, on_server
from tests.execution.test_slice_attach import IN_PARQUET, VALUES
from workspaces.models import Workspace

__all__ = ["written_lake"]

NAMES = [f"v{number}" for number in range(len(VALUES))]
EXACT = ("BLOB", "DECIMAL(12,2)", "HUGEINT", "TIMESTAMP_S", "TIMETZ", "UHUGEINT")
FORMS = {"inlined": {kind: VALUES[kind] for kind in EXACT}, "parquet": IN_PARQUET}
"""Data files of a lake bend some types; inlined rows have them as they are."""

EDGES = {
    "DOUBLE": ["'nan'", "'infinity'", "-0.0", "1.5"],
    "FLOAT": ["'nan'", "'-infinity'", "0.1"],
    "HUGEINT": ["9", "10", "-100"],
    "TIMESTAMP": ["'infinity'", "'290000-01-01 00:00:00.000001'"],
    "TIMESTAMP_S": ["'infinity'", "'1970-01-01 00:00:00'"],
    "VARCHAR": ["''", "'a'", "'ä'"],
}
"""Values that statistics or text would put in another order, or into another value."""


@pytest.fixture
def laptop(cast: Cast, analyst: Actor) -> Laptop:
    return governed.laptop_of(cast, "analyst")


def filtered(lake: WrittenLake, workspace: Workspace, table: str) -> None:
    """Filter the table for everyone, so that devices read it as an extract."""
    governed.in_storage(lake)
    governed.row_filter(lake, table, "id > 0")


@pytest.mark.parametrize("form", ["inlined", "parquet"])
def test_it_shows_a_value_of_every_type_as_the_server_does(
    form: str, written_lake: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    values = FORMS[form]
    limit = 10 if form == "inlined" else 0
    columns = dict(zip(NAMES, values, strict=False))
    declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    written_lake.run(
        f"CALL lake.set_option('data_inlining_row_limit', {limit})",
        f"CREATE TABLE t (id INTEGER, {declared})",
        f"INSERT INTO t VALUES (1, {', '.join(values.values())}), "
        f"(2, {', '.join(['NULL'] * len(values))})",
    )
    filtered(written_lake, workspace, "t")
    sql = "SELECT * FROM t ORDER BY id"
    rows = on_device(laptop, workspace, sql)
    assert rows == on_server(laptop.actor, workspace, sql)
    assert all(value is not None for value in rows[0])
    assert all(value is None for value in rows[1][1:])
    kinds = f"SELECT {', '.join(f'typeof({name})' for name in columns)} FROM t LIMIT 1"
    assert on_device(laptop, workspace, kinds) == on_server(laptop.actor, workspace, kinds)


def test_it_filters_values_as_the_server_does(
    written_lake: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    """Row groups are skipped by statistics, which for some types are those of text."""
    columns = {f"e{number}": kind for number, kind in enumerate(EDGES)}
    written_lake.run(
        "CALL lake.set_option('data_inlining_row_limit', 100)",
        f"CREATE TABLE t (id INTEGER, {', '.join(f'{n} {k}' for n, k in columns.items())})",
    )
    for name, kind in columns.items():
        values = ", ".join(f"(1, {value})" for value in EDGES[kind])
        written_lake.run(f"INSERT INTO t (id, {name}) VALUES {values}")
    filtered(written_lake, workspace, "t")
    counts = [
        f"count(*) FILTER ({name} {operator} {value}::{kind})"
        for name, kind in columns.items()
        for value in EDGES[kind]
        for operator in ("=", "<", ">=")
    ]
    asked = [f"SELECT {', '.join(counts)} FROM t"]
    asked += [
        f"SELECT count(*), min(id) FROM t WHERE {name} > {EDGES[kind][0]}::{kind}"
        for name, kind in columns.items()
    ]
    for sql in asked:
        assert on_device(laptop, workspace, sql) == on_server(laptop.actor, workspace, sql)
