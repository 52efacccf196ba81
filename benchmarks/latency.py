"""What Upend adds to a small query: five group-bys over a million rows, with the pool warm.

Side by side in one run, query by query, on the same live lake and with as many threads: plain
DuckDB in this process, its file cache off and on; and DuckDB behind two
remote protocols, its own (`quack`) and Arrow Flight, each in a process that serves nobody else.

Three modes. In `pool` each query comes from another person than the eight before, so that none
finds an engine that was kept: it pays for a slice of its own. Everybody asks for the same file, so
the worker has a copy. In `cold` it has none: each query is about another table. In `session` one
person asks on and on about the same table, and the engine that holds its slice is kept. No two
texts are equal and results are not reused, so that every query runs. Options: --rounds N (of five
queries a mode), --print (keep nothing: the machine is busy).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from typing import Any

import upend
from benchmarks import remote
from benchmarks.people import analysts
from benchmarks.rows import create_table
from benchmarks.stage import Stage, percentiles, save, show, stage
from benchmarks.steps import Asked, steps
from tests.differential import live

ROWS = 1_000_000
PEOPLE = 12
"""More than a worker keeps engines for, by far."""
PAUSE_SECONDS = 0.3
"""Between two queries of `pool`, in which the worker warms the next engine."""
ROUNDS = 20
GROUP_BYS = (
    "SELECT {n} AS n, g, count(*), sum(v) FROM bench.{t} GROUP BY g ORDER BY g",
    "SELECT {n} AS n, g % 10 AS k, avg(v), min(i), max(i) FROM bench.{t} GROUP BY k ORDER BY k",
    "SELECT {n} AS n, g, count(DISTINCT i%1000) FROM bench.{t} WHERE v > 50 GROUP BY g ORDER BY g",
    "SELECT {n} AS n, s, count(*) FROM bench.{t} GROUP BY s ORDER BY count(*) DESC, s LIMIT 20",
    "SELECT {n} AS n, date_trunc('month', d) AS m, sum(v) FROM bench.{t} GROUP BY m ORDER BY m",
)
COLD_ROUNDS = 6
"""Of so many times five tables: each takes 9 MB."""
GOALS = {
    "pool": {"p50_ms": 60.0, "p95_ms": 150.0},
    "session": {"p50_ms": 25.0},
}
"""What Upend may add to plain DuckDB; `cold` is for information."""

Rows = list[tuple[Any, ...]]
Ask = Callable[[str], Rows]


class Upend:
    """Asks as one person after the other, and remembers when."""

    def __init__(self, here: Stage, tokens: list[str]) -> None:
        self._clients = cycle(
            [upend.connect(here.url, token=token, workspace="bench") for token in tokens]
        )
        self.asked: list[Asked] = []

    def __call__(self, sql: str) -> Rows:
        """Run `sql` as the next person and return its rows."""
        started = time.time()
        result = next(self._clients).sql(sql, on="server", cache=False)
        answered = time.time()
        rows = result.fetchall()
        self.asked.append(Asked(result.query_id, started, answered, time.time()))
        return rows


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--print", action="store_true", help="print the figures, keep none")
    given = parser.parse_args()
    rounds: int = given.rounds
    with stage() as here, ExitStack() as opened:
        document = here.catalog("bench")
        fill(document)
        tokens = list(analysts(here, [f"analyst{n}" for n in range(PEOPLE)]).values())
        baselines, notes = opened.enter_context(others(document))
        figures: dict[str, Any] = {"rows": ROWS, "queries": len(GROUP_BYS), "rounds": rounds}
        figures |= {"threads": threads(), "remote": notes}
        pool, one = Upend(here, tokens), Upend(here, tokens[:1])
        figures["pool"] = compare(pool, baselines, rounds, PAUSE_SECONDS, "pool")
        figures["session"] = compare(one, baselines, rounds, 0.0, "session")
        others_rounds = min(rounds, COLD_ROUNDS)
        copy(document, (others_rounds + 1) * len(GROUP_BYS))
        pool = Upend(here, tokens)
        figures["cold"] = compare(pool, baselines, others_rounds, PAUSE_SECONDS, "cold")
        show("latency", figures) if given.print else save("latency", figures)


def threads() -> int:
    """Return how many threads an engine gets; the baselines get as many."""
    from execution.engine.domain import threads_of_this_machine

    return threads_of_this_machine()


def fill(document: dict[str, Any]) -> None:
    """Write the table. Its values are exact, so that sums do not depend on their order."""
    con = live.connect(document)
    live.attach(con, document, "bench", writable=True)
    create_table(con, ROWS)
    con.close()


def copy(document: dict[str, Any], count: int) -> None:
    """Write the table so many times more."""
    con = live.connect(document)
    live.attach(con, document, "bench", writable=True)
    for number in range(count):
        con.execute(f"CREATE TABLE bench.t{number} AS FROM bench.t")
    con.close()


@contextmanager
def others(document: dict[str, Any]) -> Iterator[tuple[dict[str, Ask], dict[str, str]]]:
    """Yield who else answers, by name, and what there is to say of them."""
    asks: dict[str, Ask] = {
        "duckdb_uncached": plain(document, has_cache=False),
        "duckdb_cached": plain(document, has_cache=True),
    }
    notes = {}
    with ExitStack() as opened:
        for protocol in remote.PROTOCOLS:
            try:
                server = remote.server(protocol, document, "bench", threads())
                asks[protocol] = opened.enter_context(server)
                notes[protocol] = remote.described(protocol)
            except remote.NotInstalled as missing:
                notes[protocol] = str(missing)
        yield asks, notes


def plain(document: dict[str, Any], *, has_cache: bool) -> Ask:
    """Return DuckDB in this process, attached to the live lake."""
    con = live.connect(document)
    live.attach(con, document, "bench")
    con.execute(f"SET threads = {threads()}")
    con.execute(f"SET enable_external_file_cache = {has_cache}")
    return lambda sql: con.execute(sql).fetchall()


def compare(
    ours: Upend, baselines: dict[str, Ask], rounds: int, pause_seconds: float, mode: str
) -> dict[str, Any]:
    """Return the times of all, what lies between ours and each other, and our steps.

    Who was asked right before us matters on a busy machine, so the order turns from query to
    query. The first round warms all of them and is not counted.
    """
    asks: list[tuple[str, Ask]] = [("upend", ours), *baselines.items()]
    took: dict[str, list[float]] = {name: [] for name, _ in asks}
    for number in range((rounds + 1) * len(GROUP_BYS)):
        table = f"t{number}" if mode == "cold" else "t"
        sql = GROUP_BYS[number % len(GROUP_BYS)].format(n=number, t=table)
        turn = number % len(asks)
        answers = []
        for name, ask in asks[turn:] + asks[:turn]:
            started = time.perf_counter()
            answers.append(ask(sql))
            took[name].append((time.perf_counter() - started) * 1000)
        assert all(rows == answers[0] for rows in answers), f"the answers to {sql!r} differ"
        time.sleep(pause_seconds)
    counted = {name: values[len(GROUP_BYS) :] for name, values in took.items()}
    return report(counted, mode) | {"steps": steps(ours.asked[len(GROUP_BYS) :])}


def report(took: dict[str, list[float]], mode: str) -> dict[str, Any]:
    """Return percentiles of the times, and of what we add to each of the others, pair by pair."""
    added = {
        name: percentiles([a - b for a, b in zip(took["upend"], values, strict=True)])
        for name, values in took.items()
        if name != "upend"
    }
    found = {
        "times": {name: percentiles(values) for name, values in took.items()},
        "upend_adds_to": added,
    }
    if (goal := GOALS.get(mode)) is None:
        return found
    return found | {
        "goal": goal,
        "is_met_over_uncached": is_met(added["duckdb_uncached"], goal),
        "is_met_over_cached": is_met(added["duckdb_cached"], goal),
    }


def is_met(added: dict[str, float], goal: dict[str, float]) -> bool:
    """Tell whether no percentile is beyond its goal."""
    return all(added[name] <= most for name, most in goal.items())


if __name__ == "__main__":
    main()
