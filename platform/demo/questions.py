"""Saved example queries: real questions about real delays, one per thing worth showing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """A saved query of the demo: its name is the question it answers."""

    name: str
    description: str
    sql: str


QUESTIONS = (
    Question(
        "Which airlines are late most often?",
        "Arrivals more than 15 minutes late, as the US Department of Transportation counts them.",
        """\
SELECT a.name AS airline,
       count(f.arr_delay) AS arrivals,
       round(avg(f.arr_delay), 1) AS mean_delay_minutes,
       round(100.0 * count(*) FILTER (WHERE f.arr_delay > 15) / count(f.arr_delay), 1)
           AS late_percent
FROM flights.flights AS f
JOIN flights.airlines AS a ON a.carrier = f.carrier
GROUP BY a.name
ORDER BY late_percent DESC
""",
    ),
    Question(
        "When in the day do delays build up?",
        "Departure delay by scheduled hour: a late morning makes a later evening.",
        """\
SELECT hour AS scheduled_hour,
       count(dep_delay) AS departures,
       round(avg(dep_delay), 1) AS mean_delay_minutes,
       quantile_cont(dep_delay, 0.9) AS ninth_decile_minutes
FROM flights.flights
WHERE dep_delay IS NOT NULL
GROUP BY hour
ORDER BY hour
""",
    ),
    Question(
        "What went wrong in February?",
        "Cancellations and delays by day of one month: reads one partition of twelve.",
        """\
SELECT make_date(year, month, day) AS flight_date,
       count(*) AS scheduled,
       count(*) FILTER (WHERE dep_time IS NULL) AS cancelled,
       round(avg(dep_delay), 1) AS mean_delay_minutes
FROM flights.flights
WHERE month = 2
GROUP BY flight_date
ORDER BY cancelled DESC, flight_date
LIMIT 10
""",
    ),
    Question(
        "Which destinations lose the most time?",
        "Hours of late arrival per destination over the year.",
        """\
SELECT f.dest AS code,
       p.name AS airport,
       count(*) AS late_arrivals,
       round(sum(f.arr_delay) / 60.0) AS hours_lost
FROM flights.flights AS f
LEFT JOIN flights.airports AS p ON p.faa = f.dest
WHERE f.arr_delay > 0
GROUP BY f.dest, p.name
ORDER BY hours_lost DESC
LIMIT 15
""",
    ),
    Question(
        "Does wind delay departures?",
        "Hourly weather at the three New York airports beside the flights of that hour.",
        """\
SELECT f.origin,
       CASE WHEN w.wind_speed < 5 THEN '0-5 mph'
            WHEN w.wind_speed < 10 THEN '05-10 mph'
            WHEN w.wind_speed < 20 THEN '10-20 mph'
            ELSE 'over 20 mph' END AS wind,
       count(*) AS departures,
       round(avg(f.dep_delay), 1) AS mean_delay_minutes
FROM flights.flights AS f
JOIN flights.weather AS w ON w.origin = f.origin AND w.time_hour = f.time_hour
WHERE f.dep_delay IS NOT NULL AND w.wind_speed IS NOT NULL
GROUP BY f.origin, wind
ORDER BY f.origin, wind
""",
    ),
    Question(
        "Are older planes late more often?",
        "Arrival delay by the decade in which the plane was built.",
        """\
SELECT p.year // 10 * 10 AS built_in_decade,
       count(DISTINCT p.tailnum) AS planes,
       count(f.arr_delay) AS arrivals,
       round(avg(f.arr_delay), 1) AS mean_delay_minutes
FROM flights.flights AS f
JOIN flights.planes AS p ON p.tailnum = f.tailnum
WHERE p.year IS NOT NULL
GROUP BY built_in_decade
ORDER BY built_in_decade
""",
    ),
    Question(
        "Who makes up time in the air?",
        "Minutes won between a late departure and the arrival.",
        """\
SELECT a.name AS airline,
       count(*) AS late_departures,
       round(avg(f.dep_delay - f.arr_delay), 1) AS mean_minutes_made_up
FROM flights.flights AS f
JOIN flights.airlines AS a ON a.carrier = f.carrier
WHERE f.dep_delay > 15 AND f.arr_delay IS NOT NULL
GROUP BY a.name
HAVING count(*) > 500
ORDER BY mean_minutes_made_up DESC
""",
    ),
    Question(
        "Which orders earn most if shipped late? (TPC-H)",
        "Joins customers, so it runs on the server: that table is tagged personal-data.",
        """\
SELECT l.l_orderkey,
       sum(l.l_extendedprice * (1 - l.l_discount)) AS revenue,
       o.o_orderdate,
       o.o_shippriority
FROM tpch.customer AS c
JOIN tpch.orders AS o ON o.o_custkey = c.c_custkey
JOIN tpch.lineitem AS l ON l.l_orderkey = o.o_orderkey
WHERE c.c_mktsegment = 'BUILDING'
  AND o.o_orderdate < DATE '1995-03-15'
  AND l.l_shipdate > DATE '1995-03-15'
GROUP BY l.l_orderkey, o.o_orderdate, o.o_shippriority
ORDER BY revenue DESC, o.o_orderdate
LIMIT 10
""",
    ),
)
