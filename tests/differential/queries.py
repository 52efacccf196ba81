"""The questions that every place must answer alike: TPC-H's 22 and ten about flights."""

from __future__ import annotations

import duckdb
from duckdb_extensions import import_extension


def tpch() -> dict[str, str]:
    """Return TPC-H's queries by name, as DuckDB's own extension spells them."""
    with duckdb.connect(":memory:") as con:
        import_extension("tpch", con=con)
        con.load_extension("tpch")
        rows = con.execute("SELECT query_nr, query FROM tpch_queries() ORDER BY 1").fetchall()
    return {f"tpch-{number:02d}": query.rstrip().rstrip(";") for number, query in rows}


FLIGHTS = {
    "carrier-delays": """
        SELECT a.name, count(*) AS flights, avg(f.dep_delay) AS departure_delay
        FROM flights f JOIN airlines a USING (carrier)
        WHERE f.month = 7 GROUP BY a.name ORDER BY departure_delay DESC, a.name""",
    "cancelled-by-month": """
        SELECT month, count(*) FILTER (WHERE dep_time IS NULL) AS cancelled, count(*) AS scheduled
        FROM flights GROUP BY month ORDER BY month""",
    "worst-hour": """
        SELECT origin, hour, avg(arr_delay) AS delay, count(*) AS flights
        FROM flights WHERE month IN (6, 7, 8) GROUP BY origin, hour ORDER BY origin, hour""",
    "one-day": """
        SELECT * FROM flights WHERE month = 5 AND day = 3 AND carrier = 'UA'
        ORDER BY sched_dep_time, flight, origin""",
    "weather-and-delay": """
        SELECT w.origin, w.visib < 2 AS foggy, count(*) AS flights, avg(f.dep_delay) AS delay
        FROM flights f JOIN weather w
          ON f.origin = w.origin AND f.time_hour = w.time_hour
        WHERE f.month = 1 GROUP BY ALL ORDER BY ALL""",
    "old-planes": """
        SELECT p.manufacturer, p.year AS built, count(*) AS flights, sum(f.distance) AS miles
        FROM flights f JOIN planes p USING (tailnum)
        WHERE p.year < 1975 GROUP BY ALL ORDER BY ALL""",
    "running-total": """
        SELECT day, carrier, n, sum(n) OVER (PARTITION BY carrier ORDER BY day) AS so_far
        FROM (SELECT day, carrier, count(*) AS n FROM flights WHERE month = 12 GROUP BY ALL)
        ORDER BY carrier, day""",
    "longest": """
        SELECT DISTINCT f.origin, f.dest, ap.name, f.distance
        FROM flights f LEFT JOIN airports ap ON ap.faa = f.dest
        ORDER BY f.distance DESC, f.origin, f.dest LIMIT 25""",
    "pivoted": """
        PIVOT (SELECT origin, month, dep_delay FROM flights WHERE month <= 3)
        ON origin IN ('EWR', 'JFK', 'LGA') USING count(dep_delay) AS n, max(dep_delay) AS worst
        GROUP BY month ORDER BY month""",
    "nested": """
        WITH daily AS (
            SELECT carrier, date_trunc('day', time_hour AT TIME ZONE 'UTC') AS d, count(*) AS n
            FROM flights WHERE month = 2 GROUP BY ALL)
        SELECT carrier, list(n ORDER BY d) AS per_day, max({'day': d, 'n': n}) AS busiest
        FROM daily GROUP BY carrier ORDER BY carrier""",
}

SELECTIVE = {
    "one-column-one-month": "SELECT avg(dep_delay) FROM flights WHERE month = 3",
    "two-columns-one-month": "SELECT carrier, count(*) FROM flights WHERE month = 7 GROUP BY 1",
    "three-columns-two-months": (
        "SELECT origin, dest, avg(arr_delay) FROM flights WHERE month IN (1, 2) GROUP BY ALL"
    ),
    "whole-rows-of-a-day": "SELECT * FROM flights WHERE month = 5 AND day = 3 AND carrier = 'UA'",
    "one-column-everywhere": "SELECT sum(distance) FROM flights",
    "top-five": (
        "SELECT tailnum, flight FROM flights WHERE month = 12"
        " ORDER BY arr_delay DESC NULLS LAST LIMIT 5"
    ),
    "late-in-january": "SELECT count(*) FROM flights WHERE month = 1 AND dep_delay > 60",
    "three-columns-everywhere": (
        "SELECT hour, avg(dep_delay), avg(arr_delay) FROM flights GROUP BY 1"
    ),
    "range-of-months": "SELECT dest, sum(air_time) FROM flights WHERE month >= 11 GROUP BY 1",
    "last-column": "SELECT max(time_hour) FROM flights WHERE month = 6",
}
