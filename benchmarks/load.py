"""Has fifty analysts ask at once, and a neighbour flood: what fails, and who waits how long.

Phases, each on the same running Upend with default limits, results not reused unless said:
`idle`: one query at a time, each by the next analyst, as in the others, so that the paths are
equal; `loaded`: all of them, 80 % small aggregations, 15 % joins, 5 % heavy ones, with time to
think; `abused`: the same beside one more who submits 100 heavy queries at once; `reusing`: as
`loaded`, over few texts and with the result cache on, for information.

A phase asks nothing new after its seconds, and ends a minute later at the latest: an answer that
takes longer has failed. All of it takes about three minutes.

Options: --seconds of each phase, --analysts, --think seconds, --only some phases, --print only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import httpx

from benchmarks.abuser import Elsewhere, withdraw
from benchmarks.analysts import Answer, Desk, connections
from benchmarks.busy import Busy
from benchmarks.people import analysts
from benchmarks.rows import create_table
from benchmarks.stage import Stage, percentiles, save, stage
from benchmarks.steps import Asked, steps
from tests.differential import live

ROWS = 1_000_000
HEAVY_ROWS = 3_000_000
SECONDS = 30
ANALYSTS = 50
THINK_SECONDS = 15.0
IDLE_THINK_SECONDS = 0.3
FLOOD = 100
SHARES = {"small": 80, "medium": 15, "heavy": 5}
SMALL = (
    "SELECT {n} AS n, g, count(*), sum(v) FROM bench.t GROUP BY g ORDER BY g",
    "SELECT {n} AS n, g % 10 AS k, avg(v), min(i), max(i) FROM bench.t GROUP BY k ORDER BY k",
    "SELECT {n} AS n, date_trunc('month', d) AS m, sum(v) FROM bench.t GROUP BY m ORDER BY m",
    "SELECT {n} AS n, count(*), avg(v) FROM bench.t WHERE d = DATE '2021-03-01'",
)
MEDIUM = (
    (
        "SELECT {n} AS n, p.area, sum(t.v) FROM bench.t JOIN bench.place AS p USING (g)"
        " GROUP BY p.area ORDER BY p.area"
    ),
    (
        "SELECT {n} AS n, t.s, count(*) FROM bench.t JOIN bench.place AS p USING (g)"
        " WHERE p.area < 5 AND t.v > 50 GROUP BY t.s ORDER BY count(*) DESC, t.s LIMIT 20"
    ),
)
HEAVY = (
    (
        "SELECT {n} AS n, k % 100 AS r, max(c) FROM"
        " (SELECT k, count(DISTINCT s) AS c FROM bench.big GROUP BY k) GROUP BY r ORDER BY r"
    ),
)
TEXTS = {"small": SMALL, "medium": MEDIUM, "heavy": HEAVY}
FEW = 5
"""Variants of each text where results are reused."""
PHASES = ["idle", "loaded", "abused", "reusing"]
RATIOS = {"loaded_over_idle": ("loaded", "idle"), "abused_over_loaded": ("abused", "loaded")}
GOALS = {"failures": 0, "loaded_over_idle": 5.0, "abused_over_loaded": 2.0}


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    seconds: float
    analysts: int
    think: float
    only: list[str]
    print: bool


def main() -> None:
    """Measure, print and save."""
    options = arguments()
    with stage() as here:
        fill(here.catalog("bench"))
        names = [f"analyst{n}" for n in range(options.analysts)]
        tokens = analysts(here, [*names, "abuser"])
        measure = Measure(here, tokens, options)
        chosen = options.only or PHASES
        figures: dict[str, Any] = {phase: measure.phase(phase) for phase in chosen}
        settings = {
            "analysts": options.analysts,
            "think_seconds": options.think,
            "seconds": options.seconds,
            "shares_percent": SHARES,
        }
        document = settings | figures | verdict(figures)
        if options.print:
            print(json.dumps(document, indent=2))
        else:
            save("load", document)


def arguments() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--analysts", type=int, default=ANALYSTS)
    parser.add_argument("--think", type=float, default=THINK_SECONDS)
    parser.add_argument("--only", choices=PHASES, nargs="+", default=[])
    parser.add_argument("--print", action="store_true", help="keep no result: a busy machine's")
    return Options(**vars(parser.parse_args()))


def fill(document: dict[str, Any]) -> None:
    """Write the tables."""
    con = live.connect(document)
    live.attach(con, document, "bench", writable=True)
    create_table(con, ROWS)
    con.execute(
        "CREATE TABLE bench.place AS SELECT range::INT AS g, (range % 10)::INT AS area"
        " FROM range(100)"
    )
    con.execute(
        "CREATE TABLE bench.big AS SELECT range AS i, (hash(range) % 200000)::INT AS k,"
        f" 's' || (hash(range, 2) % 50)::VARCHAR AS s FROM range({HEAVY_ROWS})"
    )
    con.close()


class Measure:
    """Runs phases against one stage."""

    def __init__(self, here: Stage, tokens: dict[str, str], options: Options) -> None:
        self.here, self.tokens, self.options = here, tokens, options
        self.number = 0

    def phase(self, name: str) -> dict[str, Any]:
        """Run one phase and return its figures."""
        print(f"{name} …", file=sys.stderr, flush=True)
        busy = Busy(self.here.running.processes)
        began = time.monotonic()
        answers, more = asyncio.run(self._run(name))
        figures = report(answers, time.monotonic() - began)
        return figures | more | {"processors": busy.since(queries=len(answers))}

    async def _run(self, name: str) -> tuple[list[Answer], dict[str, Any]]:
        with connections(self.here.url, "bench") as http:
            async with http:
                desks = [
                    Desk(who, token, http, reuse=name == "reusing")
                    for who, token in self.tokens.items()
                    if who != "abuser"
                ]
                more = {}
                if name == "idle":
                    await self._in_turn(desks)
                elif name == "abused":
                    more = await self._abused(desks, http)
                else:
                    await self._together(desks, few=name == "reusing")
        return [answer for desk in desks for answer in desk.answers], more

    async def _in_turn(self, desks: list[Desk]) -> None:
        """Have one analyst after the other ask a small question, none beside another."""
        until, turn = time.monotonic() + self.options.seconds, 0
        while time.monotonic() < until:
            await desks[turn % len(desks)].ask("small", self.text("small", turn))
            turn += 1
            await asyncio.sleep(IDLE_THINK_SECONDS)

    async def _together(self, desks: list[Desk], *, few: bool = False) -> None:
        """Have all analysts work."""
        until = time.monotonic() + self.options.seconds

        def choose(dice: random.Random) -> tuple[str, str]:
            kind = dice.choices(list(SHARES), list(SHARES.values()))[0]
            return kind, self.text(kind, dice.randrange(100), few=few)

        think = self.options.think
        await asyncio.gather(*(d.work(choose, until=until, think_seconds=think) for d in desks))

    async def _abused(self, desks: list[Desk], http: httpx.AsyncClient) -> dict[str, Any]:
        """Have all analysts work beside one who floods; stop the flood at the end."""
        desk = Desk("abuser", self.tokens["abuser"], http)
        texts = [self.text("heavy", n) for n in range(FLOOD)]
        flooding = Elsewhere().flood(self.here.url, desk.token, texts, self.options.seconds)
        abuse, _ = await asyncio.gather(flooding, self._together(desks))
        left = await asyncio.to_thread(outcome, abuse.accepted)
        await withdraw(desk, abuse.accepted)
        return {
            "abuser": {
                "submitted": FLOOD,
                "accepted": len(abuse.accepted),
                "refused_429": abuse.refused,
                "failures": dict(Counter(abuse.failures)),
            }
            | left
        }

    def text(self, kind: str, choice: int, *, few: bool = False) -> str:
        """Return a text of this kind: one never asked before, or with `few` one of a few."""
        self.number += 1
        forms = TEXTS[kind]
        return forms[choice % len(forms)].format(n=choice % FEW if few else self.number)


def outcome(query_ids: list[str]) -> dict[str, int]:
    """Return how many of these queries have not ended, and how many admission took for heavy."""
    from execution.models import Query

    rows = Query.objects.filter(id__in=query_ids)
    return {
        "taken_for_heavy": rows.filter(is_heavy=True).count(),
        "not_over_at_the_end": rows.filter(finished_at__isnull=True).count(),
    }


def report(answers: list[Answer], seconds: float) -> dict[str, Any]:
    """Return failures, throughput, times by kind, and the steps of small queries."""
    good = [answer for answer in answers if not answer.problem]
    small = [answer for answer in good if answer.kind == "small"]
    kinds = {
        kind: {"count": len(times)} | percentiles(times)
        for kind in SHARES
        if (times := [a.seconds * 1000 for a in good if a.kind == kind])
    }
    ends = [Asked(a.query_id, a.started, end := a.started + a.seconds, end) for a in small]
    return {
        "queries": len(answers),
        "queries_per_second": round(len(answers) / seconds, 2),
        "failures": dict(Counter(answer.problem for answer in answers if answer.problem)),
        "times": kinds,
        "steps_of_small": steps(ends),
    }


def verdict(figures: dict[str, Any]) -> dict[str, Any]:
    """Return the ratios of the phases that were run, and whether they meet their goals."""
    p95 = {name: figures[name]["times"].get("small", {}).get("p95_ms") for name in figures}
    found: dict[str, float] = {
        "failures": sum(sum(phase["failures"].values()) for phase in figures.values())
    }
    for ratio, (over, under) in RATIOS.items():
        if p95.get(over) and p95.get(under):
            found[ratio] = round(p95[over] / p95[under], 2)
    met = all(value <= GOALS[name] for name, value in found.items())
    return {"small_p95": found, "goals": GOALS, "are_met": met}


if __name__ == "__main__":
    main()
