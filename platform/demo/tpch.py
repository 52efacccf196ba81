"""The catalog `tpch`: the TPC-H data set (TPC-H specification 3.0.1), made by DuckDB itself."""

from __future__ import annotations

CATALOG = "tpch"
PERSONAL_DATA_TABLE = "customer"
EXTENSIONS = ["tpch"]
TABLES = {
    "region": "r_regionkey",
    "nation": "n_nationkey",
    "supplier": "s_suppkey",
    "customer": "c_custkey",
    "part": "p_partkey",
    "partsupp": "ps_partkey, ps_suppkey",
    "orders": "o_orderdate, o_orderkey",
    "lineitem": "l_shipdate, l_orderkey, l_linenumber",
}
"""Tables and the order of their rows: by date where queries ask for a range of dates."""


def setup(scale: float) -> list[str]:
    """Return the statements that make the data in the writer's memory."""
    return [f"CALL dbgen(sf = {scale!r})"]


def statements() -> list[str]:
    """Return the statements that copy it into the lake."""
    return [
        f"CREATE TABLE {table} AS SELECT * FROM memory.main.{table} ORDER BY {order}"  # noqa: S608 - ours
        for table, order in TABLES.items()
    ]
