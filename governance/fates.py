"""How one recorded query would have fared: what must be decided of it, and what it comes to."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from governance.comparison import SERVER, shown, why
from governance.domain import (
    Action,
    Decision,
    Obligations,
    Request,
    Securable,
    SecurableKind,
)
from governance.materialization import least, outcomes, requests
from governance.recorded import ReadTable

ON_DEVICES = frozenset({Action.TABLE_MATERIALIZE_EXTRACT, Action.TABLE_MATERIALIZE_LOCALLY})


class Fate(StrEnum):
    """What would have been different for a query, the worst first."""

    FAILS = "fails"
    MOVES = "moves"
    SHOWN = "shown"
    ALLOWED = "allowed"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a query fares: `before` and `after` in words, and why."""

    fate: Fate
    before: str = ""
    after: str = ""
    why: str = ""


SAME = Outcome(Fate.SAME)


@dataclass(frozen=True, slots=True)
class Question:
    """What may be told apart of what was recorded; equal questions fare alike.

    With an `action`, it is one that was refused, on the one thing in `tables`; without, a query.
    """

    principal_id: UUID
    device_id: UUID | None
    is_local: bool
    tables: tuple[ReadTable, ...]
    mfa: bool = False
    purpose: str = ""
    address: str = ""
    moment: Hashable = None
    action: Action | None = None

    @property
    def circumstances(self) -> tuple[Hashable, ...]:
        """Return under which circumstances it was asked."""
        device = self.device_id if self.is_local or self.action else None
        return device, self.mfa, self.purpose, self.address, self.moment


Key = tuple[str, Action, str, int]
Cells = Mapping[Key, tuple[Decision, Decision]]
"""What both sides answer: by the securable's key, the action, the place and the bytes."""

Things = Mapping[str, Securable]
"""What there is in a workspace, by key; the workspace itself is there as `HERE` too."""

HERE = "workspace"


def key_of(asked: Request) -> Key:
    """Return what finds the answers to a request among `Cells`."""
    context = asked.context or SERVER
    return asked.securable.key, asked.action, context.place, context.scan_bytes


def needed(question: Question, things: Things, at: datetime) -> list[Request]:
    """Return what must be allowed, in the order in which planning refuses."""
    told = replace(SERVER, now=at, purpose=question.purpose)
    found: list[Request] = []
    if not question.action:
        found.append(Request(Action.WORKSPACE_QUERY, things[HERE], told))
    for read in question.tables:
        table = things[read.key]
        context = replace(told, scan_bytes=read.scan_bytes)
        if question.action:
            place = "local" if question.action in ON_DEVICES else "server"
            found.append(Request(question.action, table, replace(context, place=place)))
            continue
        above = {one.kind: one for one in table.ancestors}
        found += [
            Request(Action.CATALOG_BROWSE, above[SecurableKind.CATALOG], told),
            Request(Action.CATALOG_BROWSE, table, told),
            Request(Action.TABLE_QUERY, table, context),
        ]
    return found


def on_device(question: Question, things: Things, at: datetime) -> list[Request]:
    """Return what makes the outcome on the machine where a query ran; nothing for the server."""
    if not question.is_local or question.action:
        return []
    return [
        request
        for read in question.tables
        for request in requests(
            things[read.key],
            replace(
                SERVER, place="local", now=at, purpose=question.purpose, scan_bytes=read.scan_bytes
            ),
        )
    ]


def fares(question: Question, cells: Cells, things: Things, at: datetime) -> Outcome:
    """Return how it would have fared, from what both sides answered."""
    pairs = [cells[key_of(request)] for request in needed(question, things, at)]
    if found := _refused(pairs):
        return found
    if question.action:
        return SAME
    reads = [pair for pair in pairs if pair[0].action is Action.TABLE_QUERY]
    if found := _lost_columns(question, reads):
        return found
    device = [cells[key_of(request)] for request in on_device(question, things, at)]
    return _moved(device) or _shown(question, reads) or SAME


def _refused(pairs: Sequence[tuple[Decision, Decision]]) -> Outcome | None:
    """Return how it fares where a side refuses; None where neither does."""
    before, after = (all(side.allowed for side in sides) for sides in zip(*pairs, strict=True))
    if before and after:
        return None
    if before == after:
        return SAME
    one, other = next(pair for pair in pairs if pair[0].allowed != pair[1].allowed)
    reasons = why(one.determined_by, other.determined_by)
    if before:
        return Outcome(Fate.FAILS, "allowed", "denied", reasons)
    return Outcome(Fate.ALLOWED, "denied", "allowed", reasons)


def _lost_columns(question: Question, reads: Sequence[tuple[Decision, Decision]]) -> Outcome | None:
    """Return that it fails where it reads a column that would be hidden."""
    for read, (before, after) in zip(question.tables, reads, strict=True):
        hidden = after.obligations.hidden_columns - before.obligations.hidden_columns
        if lost := sorted(hidden.intersection(read.columns)):
            reasons = why(before.determined_by, after.determined_by)
            return Outcome(Fate.FAILS, "allowed", f"hidden: {', '.join(lost)}", reasons)
    return None


def _moved(pairs: Sequence[tuple[Decision, Decision]]) -> Outcome | None:
    """Return that other things may be on the machine, of all tables together."""
    if not pairs:
        return None
    sides = list(zip(*pairs, strict=True))
    before, after = (least(outcomes(side)) for side in sides)
    if before is after:
        return None
    one, other = ([p for d in side for p in d.determined_by] for side in sides)
    return Outcome(Fate.MOVES, before.value, after.value, why(one, other))


def _shown(question: Question, reads: Sequence[tuple[Decision, Decision]]) -> Outcome | None:
    """Return that other values or rows of what it reads would be shown."""
    for read, (before, after) in zip(question.tables, reads, strict=True):
        if _seen(before.obligations, read) != _seen(after.obligations, read):
            reasons = why(before.determined_by, after.determined_by)
            return Outcome(Fate.SHOWN, shown(before), shown(after), reasons)
    return None


def _seen(obligations: Obligations, read: ReadTable) -> tuple[object, ...]:
    return (
        {m.column: m.expression for m in obligations.masks if m.column in read.columns},
        [one.predicate for one in obligations.row_filters],
        obligations.hidden_columns.intersection(read.columns),
    )
