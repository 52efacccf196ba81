"""Binds checked SQL to the tables it names, in a process that holds only their schema."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from catalog.domain import ColumnFilter
from execution import filters
from execution.bind import explain, pool
from execution.bind.process import BinderLost
from execution.bind.schema import HiddenTable, schema_slices
from execution.gate.refusal import position
from problems import Problem

KIND = "exception_type"
UNATTACHED = "unattached"
"""As `execution.bind.child` says it."""

PREFIX = "EXPLAIN (FORMAT json) "
INTERNAL_NAMES = re.compile(r"\b[hms]_[0-9a-f]{16}(\.main)?\.?")
MAX_MESSAGE_CHARACTERS = 600


class BindError(Problem):
    """The query names a column, function overload or type that does not fit."""

    code: ClassVar[str] = "bind-error"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The query does not fit the tables"


class PlanningFailed(Problem):
    """The engine could not plan the query in time, or at all."""

    code: ClassVar[str] = "planning-failed"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The query could not be planned"


@dataclass(frozen=True, slots=True)
class BoundScan:
    """One scan, in real names. `columns` are top-level ones that it reads, in table order."""

    hidden: HiddenTable
    columns: tuple[str, ...]
    filters: tuple[ColumnFilter, ...]
    unknown_filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """What the engine will do: its scans and its operators. `columns` are the result's, typed."""

    scans: tuple[BoundScan, ...]
    columns: tuple[tuple[str, str], ...]
    joins: int
    roots: tuple[explain.Operator, ...]


def bind(
    sql: str,
    tables: Sequence[HiddenTable],
    search_path: Sequence[tuple[str, str]],
    *,
    principal: str = "",
    binders: pool.BinderPool | None = None,
) -> Bound:
    """Return how the engine binds checked `sql` on `tables`, for the principal with that id.

    Raises `BindError`, `PlanningFailed` or `BinderBusy`.
    """
    job = {
        "prefix": PREFIX,
        "sql": sql,
        "slices": schema_slices(tables),
        "search_path": [list(pair) for pair in search_path],
    }
    try:
        answer = (binders or pool.shared()).ask(job, principal=principal)
    except BinderLost as lost:
        raise _failed(lost) from lost
    if error := answer.get("error"):
        raise _unattached(tables) if error.get(KIND) == UNATTACHED else _refused(error, sql)
    plan = explain.read(answer["plan"])
    by_name = {table.name: table for table in tables}
    return Bound(
        scans=tuple(_scan(scan, by_name) for scan in plan.scans),
        columns=tuple((name, kind) for name, kind in answer["columns"]),
        joins=plan.joins,
        roots=plan.roots,
    )


def _scan(scan: explain.RawScan, by_name: dict[str, HiddenTable]) -> BoundScan:
    """Put real names in; a scan of anything that was not handed over cannot be."""
    hidden = by_name.get(scan.table)
    if hidden is None:
        message = "The plan reads a relation that the query was not given."
        raise PlanningFailed(message)
    names = hidden.column_names
    pushed = filters.read(scan.filters, names)
    read = {names[p.split(".")[0]] for p in scan.projections if p.split(".")[0] in names}
    wanted = set(names.values()) if pushed.columns is None else read | pushed.columns
    return BoundScan(
        hidden=hidden,
        columns=tuple(name for name in names.values() if name in wanted),
        filters=pushed.known,
        unknown_filters=pushed.unknown,
    )


def _unattached(tables: Sequence[HiddenTable]) -> PlanningFailed:
    """Return the problem of views that do not bind; what the engine says of them is a policy's."""
    if all(table.obligations.is_empty for table in tables):
        return PlanningFailed("The engine could not hold the tables of the query.")
    return PlanningFailed(
        "A policy of a table in the query does not fit the table any more.",
        hint="Ask who publishes the policies of the table to bring it up to date.",
    )


def _refused(error: dict[str, Any], sql: str) -> Problem:
    """Return the engine's message, made safe: only names of granted tables can be in it."""
    kind = str(error.get(KIND, ""))
    if kind in {"INTERNAL", "FATAL", "Out of Memory", "OutOfMemoryException"}:
        return PlanningFailed("The engine could not plan the query.", hint="Simplify the query.")
    message = INTERNAL_NAMES.sub("", str(error.get("exception_message", "")))
    problem = BindError(
        message[:MAX_MESSAGE_CHARACTERS], reason_code=kind.lower().replace(" ", "_")
    )
    if str(error.get("position", "")).isdigit():
        offset = int(error["position"]) - len(PREFIX)
        problem.extra |= position(sql, offset) if offset >= 0 else {}
    return problem


def _failed(lost: BinderLost) -> PlanningFailed:
    if lost.timed_out:
        return PlanningFailed(
            f"Planning took longer than {pool.LIMITS.cpu_seconds:g} seconds.",
            hint="Join fewer tables at once, compute less from constants, or split the query.",
        )
    return PlanningFailed("The engine stopped while it planned the query.")
