"""A slice of two tables of a lake that holds a third, with a secret in it."""

from __future__ import annotations

from pathlib import Path

from tests.execution.frozen import freeze, live_lake
from upend import slices

SECRET = "CANARY-7f3a"


def frozen_shop(directory: Path) -> slices.Slice:
    """Return the slice of `sales` and `prices`; `hr` is in the lake and not in the slice."""
    con = live_lake(directory)
    for statement in (
        (
            "CREATE TABLE lake.main.sales AS SELECT i::INTEGER AS id, 'EU' AS region, "
            "(i * 1.5)::DECIMAL(12, 2) AS amount, [i::INTEGER] AS parts, "
            "{'a': i::INTEGER, 'b': 'x'} AS place, TIMESTAMP '2020-01-01' AS at FROM range(50) r(i)"
        ),
        (
            "CREATE TABLE lake.main.prices AS SELECT TIMESTAMP '2020-01-01' AS at, "
            "i::INTEGER AS price FROM range(5) r(i)"
        ),
        f"CREATE TABLE lake.main.hr AS SELECT i AS id, '{SECRET}' AS ssn FROM range(50) r(i)",
    ):
        con.execute(statement)
    found = freeze(con, "sales", "prices")
    con.close()
    return _only_shown(found)


def _only_shown(one: slices.Slice) -> slices.Slice:
    """Leave out every table that no view shows, as the server's own slices do."""
    shown = {view["table"] for view in one["views"]}
    tables = one["tables"]["ducklake_table"]
    name, key = tables["columns"].index("table_name"), tables["columns"].index("table_id")
    gone = {row[key] for row in tables["rows"] if row[name] not in shown}
    for table in one["tables"].values():
        if "table_id" in table["columns"]:
            at = table["columns"].index("table_id")
            table["rows"] = [row for row in table["rows"] if row[at] not in gone]
    one["inlined"] = [t for t in one["inlined"] if t["name"].split("_")[3] not in gone]
    return one
