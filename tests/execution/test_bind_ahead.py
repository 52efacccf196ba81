"""A binder has an empty lake ready for the next slice, and never more than one."""

from __future__ import annotations

from typing import Any

from execution.bind import child
from execution.bind.schema import schema_slices
from tests.execution.tables import hidden, table

PREFIX = "EXPLAIN (FORMAT json) "


def databases(binder: child.Binder) -> int:
    (count,) = binder.connection.execute("SELECT count(*) FROM duckdb_databases()").fetchall()[0]
    return int(count)


def test_it_keeps_one_lake_ready_whatever_it_binds() -> None:
    binder = child.Binder(child.load())
    one, other = (
        schema_slices(hidden(table(name, {"id": "BIGINT"}, table_id=number)))
        for number, name in enumerate("ab", start=1)
    )
    jobs: list[dict[str, Any]] = [
        {"slices": [], "search_path": [], "sql": "SELECT 1"},
        {"slices": one, "search_path": [["lake", "main"]], "sql": "FROM a"},
        {"slices": [], "search_path": [], "sql": "SELECT 2"},
        {"slices": other, "search_path": [["lake", "main"]], "sql": "FROM b"},
    ]
    binder.get_ready()
    before = databases(binder)
    more = []
    for job in jobs * 2:
        assert "plan" in binder.bind(job | {"prefix": PREFIX})
        binder.get_ready()
        more.append(databases(binder) - before)
        assert len(binder.lakes) == 1
    assert more == [0, more[1]] * 4
    binder.connection.close()
