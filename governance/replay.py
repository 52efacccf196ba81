"""What a change of policies would have done to the queries and refusals of the last days.

Everything recorded is asked again, as people, devices and tables are now, under what holds and
under what would hold: what differs is the change's doing. What no policy tells apart is decided
once, however often it was asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from accounts.domain import Actor, DeviceIdentity, PrincipalKind
from governance.bundle import Bundle
from governance.classes import ANYTHING
from governance.comparison import Comparison, decided
from governance.domain import Securable, SecurableKind
from governance.entities import Facts
from governance.fates import (
    HERE,
    Cells,
    Fate,
    Outcome,
    Question,
    fares,
    key_of,
    needed,
    on_device,
)
from governance.recorded import Recorded
from workspaces.domain import WorkspaceRole
from workspaces.selectors import Principal

IDS_KEPT = 10
"""Of queries that fared alike, so many are named."""

RECORDED = frozenset({"bytes", "mfa", "network", "now", "purpose"})
"""The circumstances that are kept of a query."""


@dataclass(slots=True)
class Occurrences:
    """How often a question was asked: when first and last, and by which queries."""

    first_at: datetime
    last_at: datetime
    count: int = 0
    ids: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Affected:
    """Queries that would have fared differently, all in the same way."""

    kind: PrincipalKind
    label: str
    question: Question
    outcome: Outcome
    occurrences: Occurrences


@dataclass(frozen=True, slots=True)
class Replayed:
    """What would have been different. `gone` are queries of people or tables that are no more."""

    recorded: int
    gone: int
    counts: Mapping[Fate, int]
    affected: tuple[Affected, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Asker:
    """One who stands for all that no policy tells apart, and when they asked first."""

    actor: Actor
    roles: frozenset[WorkspaceRole]
    at: datetime


class Replay:
    """Takes recorded queries in, batch by batch, and says at the end how they would have fared."""

    def __init__(
        self,
        *,
        now: Bundle,
        then: Bundle,
        principals: Iterable[Principal],
        devices: Mapping[UUID, DeviceIdentity],
        securables: Iterable[Securable],
        facts: Facts,
    ) -> None:
        self._now, self._then, self._facts = now, then, facts
        self._principals = {one.actor.id: one for one in principals}
        self._devices = devices
        self._things = {one.key: one for one in securables}
        here = (one for one in self._things.values() if one.kind is SecurableKind.WORKSPACE)
        self._things[HERE] = next(here)
        reads = now.lens.circumstances | then.lens.circumstances
        self._looks = RECORDED if ANYTHING in reads else RECORDED & reads
        comparison = Comparison(now, then, facts)
        self._classes = {key: comparison.class_of(one) for key, one in self._principals.items()}
        self._found: dict[Question, Occurrences] = {}

    def add(self, recorded: Iterable[Recorded]) -> None:
        """Count what was recorded by what may be told apart of it."""
        for one in recorded:
            question = self._question(one)
            seen = self._found.get(question)
            if seen is None:
                seen = self._found[question] = Occurrences(one.at, one.at)
            seen.count += 1
            seen.last_at = one.at
            if len(seen.ids) < IDS_KEPT:
                seen.ids.append(one.id)

    def end(self, *, beat: Callable[[], None] = lambda: None) -> Replayed:
        """Decide each question once under both; return what differs, the most frequent first.

        `beat` is called now and then, and may raise to stop.
        """
        counts: Counter[Fate] = Counter()
        affected: list[Affected] = []
        here = {q: seen for q, seen in self._found.items() if self._is_there(q)}
        for asker, questions in self._by_asker(here).items():
            beat()
            cells = self._decide(asker, questions)
            for question in questions:
                outcome = fares(question, cells, self._things, asker.at)
                counts[outcome.fate] += here[question].count
                if outcome.fate is not Fate.SAME:
                    affected.append(self._affected(question, outcome, here[question]))
        affected.sort(key=lambda one: -one.occurrences.count)
        recorded = sum(seen.count for seen in self._found.values())
        gone = recorded - sum(seen.count for seen in here.values())
        return Replayed(recorded, gone, counts, tuple(affected))

    def _affected(self, question: Question, outcome: Outcome, seen: Occurrences) -> Affected:
        actor = self._principals[question.principal_id].actor
        return Affected(actor.kind, actor.label, question, outcome, seen)

    def _question(self, one: Recorded) -> Question:
        looks = self._looks
        tables = one.tables
        if "bytes" not in looks:
            tables = tuple(read.without_bytes for read in tables)
        return Question(
            principal_id=one.principal_id,
            device_id=one.device_id,
            is_local=one.is_local,
            tables=tables,
            mfa=one.mfa and "mfa" in looks,
            purpose=one.purpose if "purpose" in looks else "",
            address=one.address if "network" in looks else "",
            moment=self._moment(one.at) if "now" in looks else None,
            action=one.action,
        )

    def _moment(self, at: datetime) -> Hashable:
        at = at.replace(microsecond=0)  # as fine as decisions look at it
        return tuple(held.lens.moment(at) for held in (self._now, self._then))

    def _is_there(self, question: Question) -> bool:
        known = all(table.key in self._things for table in question.tables)
        return known and question.principal_id in self._principals

    def _by_asker(self, found: Mapping[Question, Occurrences]) -> dict[_Asker, list[Question]]:
        """Return the questions of all that no policy tells apart, with one who stands for them."""
        first: dict[Hashable, _Asker] = {}
        askers: dict[_Asker, list[Question]] = {}
        for question, seen in found.items():
            key = (self._classes[question.principal_id], *question.circumstances)
            if key not in first:
                first[key] = self._asker(question, seen.first_at)
            askers.setdefault(first[key], []).append(question)
        return askers

    def _asker(self, question: Question, at: datetime) -> _Asker:
        """Return who asked, as they are now, from the device that it was."""
        who = self._principals[question.principal_id]
        device_id = question.circumstances[0]
        device = self._devices.get(device_id) if isinstance(device_id, UUID) else None
        actor = replace(who.actor, device=device, mfa=question.mfa, address=question.address)
        return _Asker(actor, who.roles, at)

    def _decide(self, asker: _Asker, questions: Sequence[Question]) -> Cells:
        """Ask all that the questions of one asker need, under both, each thing once."""
        wanted = {
            key_of(request): request
            for question in questions
            for read in (needed, on_device)
            for request in read(question, self._things, asker.at)
        }
        asked = list(wanted.values())
        roles = {one.securable.workspace_id: asker.roles for one in asked}
        facts = replace(self._facts, roles={key: held for key, held in roles.items() if key})
        sides = [decided(asker.actor, asked, facts, held) for held in (self._now, self._then)]
        return dict(zip(wanted, zip(*sides, strict=True), strict=True))
