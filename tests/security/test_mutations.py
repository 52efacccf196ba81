"""A thousand statements that nobody wrote: nothing crashes, and nothing ungranted is ever read.

`UPEND_MUTATION_SEED` repeats a run; a failure names its seed. What a run finds becomes a case of
the corpus.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from execution import gate
from execution.bind import BinderPool
from execution.bind.binding import PREFIX
from execution.bind.process import BinderLost, Limits
from execution.bind.schema import schema_slices
from execution.engine.problems import EngineDied
from execution.gate import SqlRefused
from execution.gate.check import fold
from problems import Problem
from tests.execution.tables import hidden, table
from tests.execution.test_run_engine import Collected, run
from tests.security.frozen_shop import SECRET, frozen_shop
from tests.security.in_bucket import in_bucket
from tests.security.mutations import Statement, statements

SEED = int(os.environ.get("UPEND_MUTATION_SEED") or random.SystemRandom().randrange(10**9))
COUNT = 1000
ENGINE_RUNS = 25
RUN_SECONDS = 5.0
BIND_LIMITS = Limits(cpu_seconds=3.0, deadline_seconds=10.0)
SALES = table(
    "sales",
    {"id": "INTEGER", "region": "VARCHAR", "amount": "DECIMAL(12,2)", "parts": "INTEGER[]",
     "place": "STRUCT(a INTEGER, b VARCHAR)", "at": "TIMESTAMP"},
)  # fmt: skip
PRICES = table("prices", {"at": "TIMESTAMP", "price": "INTEGER"}, table_id=2)
TABLES = hidden(SALES, PRICES)
PATH = [["lake", "main"]]
SPELLINGS = {
    tuple(map(fold, parts))
    for name in ("sales", "prices")
    for parts in (
        ("", "", name), ("", "main", name), ("", "lake", name), ("lake", "main", name),
    )
}  # fmt: skip
LEAVES = {
    # What may be at the bottom of a plan: the hidden tables, and what makes rows of nothing.
    "COLUMN_DATA_SCAN", "CTE_SCAN", "DELIM_SCAN", "DUCKLAKE_SCAN", "DUMMY_SCAN", "EMPTY_RESULT",
    "EXPRESSION_SCAN", "RANGE", "GENERATE_SERIES", "REC_CTE_SCAN", "REC_REC_CTE_SCAN", "REPEAT",
    "UNNEST", "JSON_EACH", "JSON_TREE", "INOUT_FUNCTION",
}  # fmt: skip


@dataclass
class Verdicts:
    """What became of the statements of one run."""

    counts: Counter[str] = field(default_factory=Counter)
    bound: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def binders() -> Iterator[BinderPool]:
    pool = BinderPool(size=1, limits=BIND_LIMITS)
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def verdicts(binders: BinderPool) -> Verdicts:
    """Judge all statements once; the tests below ask about what was found."""
    found = Verdicts()
    for statement in statements(SEED, COUNT):
        outcome = judge(statement, binders, found)
        found.counts[outcome] += 1
    return found


def judge(statement: Statement, binders: BinderPool, found: Verdicts) -> str:
    """Send one statement through gate, names and binder, and say how far it came."""
    try:
        checked = gate.check(statement.sql)
    except SqlRefused:
        return "refused"
    named = {(fold(t.catalog), fold(t.schema), fold(t.table)) for t in checked.tables}
    if named - SPELLINGS:
        return "not granted"
    if statement.must_refuse:
        found.wrong.append(f"let {statement.must_refuse} through: {statement.sql!r}")
    job = {
        "prefix": PREFIX,
        "sql": statement.sql,
        "slices": schema_slices(TABLES),
        "search_path": PATH,
    }
    try:
        answer = binders.ask(job)
    except BinderLost as lost:
        if not lost.timed_out:
            found.wrong.append(f"ended the binder: {statement.sql!r}")
        return "lost"
    if answer.get("error"):
        kind = str(answer["error"].get("exception_type"))
        if kind.upper() in {"INTERNAL", "FATAL"}:
            found.wrong.append(f"internal error of the binder: {statement.sql!r}")
        return "does not fit"
    strange = set(leaves(answer["plan"]))
    if strange:
        found.wrong.append(f"reads {sorted(strange)}: {statement.sql!r}")
    found.bound.append(statement.sql)
    return "bound"


def leaves(plan: list[dict[str, Any]]) -> Iterator[str]:
    """Return what the plan reads beside the tables that were granted."""
    for node in plan:
        # How such a join finds its distinct values is told as a child that has none of its own.
        is_distinct = node["name"].strip().upper().endswith("DELIM_JOIN")
        children = [
            child
            for child in node["children"]
            if child["children"] or not (is_distinct and child["name"].strip() == "HASH_GROUP_BY")
        ]
        yield from leaves(children)
        table = node["extra_info"].get("Table", "")
        if node["name"] == "DUCKLAKE_SCAN" and table not in {one.name for one in TABLES}:
            yield f"table {table}"
        if not node["children"] and node["name"].strip().upper() not in LEAVES:
            yield str(node["name"])


def test_it_lets_nothing_forbidden_through(verdicts: Verdicts) -> None:
    assert not verdicts.wrong, f"UPEND_MUTATION_SEED={SEED}\n" + "\n".join(verdicts.wrong)


def test_it_tries_all_layers(verdicts: Verdicts) -> None:
    """A grammar whose every statement the gate refuses would prove nothing of the binder."""
    told = f"UPEND_MUTATION_SEED={SEED}: {dict(verdicts.counts)}"
    assert sum(verdicts.counts.values()) == COUNT, told
    for outcome in ("refused", "not granted", "does not fit", "bound"):
        assert verdicts.counts[outcome] >= COUNT // 50, told


def test_it_runs_a_sample_without_a_crash_or_a_secret(
    verdicts: Verdicts, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The lake beside the slice has a secret; no accepted statement shows it."""
    slices = in_bucket([frozen_shop(tmp_path_factory.mktemp("shop"))])
    sample = random.Random(SEED).sample(verdicts.bound, min(ENGINE_RUNS, len(verdicts.bound)))
    for sql in sample:
        assert SECRET not in shown_by(sql, slices), f"UPEND_MUTATION_SEED={SEED}: {sql!r}"


def shown_by(sql: str, slices: list[dict[str, Any]]) -> str:
    """Return the rows of a statement as text, or the problem that it ends with."""
    sink = Collected()
    try:
        run(sql, sink=sink, slices=slices, search_path=PATH, seconds=RUN_SECONDS)
    except EngineDied:
        pytest.fail(f"UPEND_MUTATION_SEED={SEED}: the engine died of {sql!r}")
    except Problem as problem:
        return str([problem.as_dict(), problem.__cause__])
    return str(sink.table.slice(0, 1000).to_pydict())


def test_it_makes_the_same_statements_of_the_same_seed() -> None:
    assert list(statements(7, 50)) == list(statements(7, 50))
    assert list(statements(7, 50)) != list(statements(8, 50))
