"""Two bundles asked the same questions, with one question for all that no policy tells apart."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from accounts.domain import Actor, DeviceIdentity, DeviceStatus
from governance import reasons, rules, verdicts
from governance.bundle import Bundle
from governance.domain import (
    Action,
    Decision,
    DecisionContext,
    PolicyKind,
    PolicyReference,
    Request,
    Securable,
    SecurableKind,
)
from governance.entities import Facts
from governance.materialization import ASKED, outcome
from governance.obligations import may_shape
from governance.rules import GUARDED, Published
from governance.subjects import subject
from governance.tags import bears_on_column
from workspaces.selectors import Principal

SERVER = DecisionContext(place="server")
LOCAL = DecisionContext(place="local")
MATERIALIZE = "table.materialize"
"""Stands for what of a table may be on one's own machine: raw files, an extract, nothing."""

BEST_DEVICE = DeviceIdentity(
    UUID(int=3),
    "an approved device",
    "",
    DeviceStatus.APPROVED,
    is_managed=True,
    is_disk_encrypted=True,
)
"""What most policies about devices let through."""

ACTIONS_ON: dict[SecurableKind, tuple[Action, ...]] = {
    SecurableKind.WORKSPACE: (
        Action.AUDIT_READ,
        Action.CATALOG_BROWSE,
        Action.CATALOG_CREATE,
        Action.MEMBER_MANAGE,
        Action.POLICY_AUTHOR,
        Action.POLICY_PUBLISH,
        Action.POLICY_VIEW_AS,
        Action.QUERY_MANAGE,
        Action.TABLE_TAG,
        Action.WORKSPACE_MANAGE,
        Action.WORKSPACE_QUERY,
    ),
    SecurableKind.CATALOG: (
        Action.CATALOG_BROWSE,
        Action.CATALOG_MANAGE,
        Action.POLICY_AUTHOR,
        Action.POLICY_PUBLISH,
        Action.TABLE_ALTER,
        Action.TABLE_CREATE,
        Action.TABLE_MAINTAIN,
        Action.TABLE_TAG,
    ),
    SecurableKind.TABLE: (
        Action.CATALOG_BROWSE,
        Action.CATALOG_MANAGE,
        Action.POLICY_AUTHOR,
        Action.POLICY_PUBLISH,
        Action.TABLE_ALTER,
        Action.TABLE_APPEND,
        Action.TABLE_MAINTAIN,
        Action.TABLE_MODIFY,
        Action.TABLE_QUERY,
        Action.TABLE_TAG,
    ),
}
"""What is asked about each kind, besides what of a table may leave the server."""


class Effect(StrEnum):
    """What becomes of one action of one principal on one thing."""

    GAINS = "gains"
    LOSES = "loses"
    MOVES = "moves"
    SHOWN = "shown"


@dataclass(frozen=True, slots=True)
class Change:
    """What changes of an action: `before` and `after` in words, and why.

    `effect` says whether it becomes allowed or refused, whether it moves between the machine and
    the server, or whether other columns, values or rows are shown. `circumstance` is empty in
    ordinary ones.
    """

    effect: Effect
    action: str
    before: str
    after: str
    why: str
    circumstance: str = ""


class Comparison:
    """Two bundles, asked the same questions."""

    def __init__(self, now: Bundle, then: Bundle, facts: Facts) -> None:
        self._now, self._then, self._facts = now, then, facts
        self._lenses = (now.lens, then.lens)
        self._shapes = [*now.shapes(), *then.shapes()]
        self._owners = frozenset(owner.id for owner in facts.owners.values())
        self._actions = frozenset(a for p in _changed(now, then) for a in actions_of(p))
        reads = now.lens.circumstances | then.lens.circumstances
        self._factors = (True, False) if reads & {"mfa", "*"} else (True,)

    def class_of(self, principal: Principal) -> Hashable:
        """Return what is equal for principals that no policy tells apart."""
        who = subject(principal.actor, principal.roles)
        return (
            *(one.principal(principal.actor, principal.roles, self._owners)
              for one in self._lenses),
            tuple(shape.exempts(who) for shape in self._shapes),
            tuple(sorted({v for shape in self._shapes for v in shape.values_of(who)})),
        )  # fmt: skip

    def by_class(self, securables: Iterable[Securable]) -> list[list[Securable]]:
        """Return the securables in groups that no policy tells apart."""
        found: dict[Hashable, list[Securable]] = {}
        for one in securables:
            found.setdefault(self._class_of(one), []).append(one)
        return list(found.values())

    def _class_of(self, of: Securable) -> Hashable:
        bundles = (self._now, self._then)
        is_alone = any(
            bundle.access_of(of) or may_shape(bundle, of, self._facts.tags) for bundle in bundles
        )
        return (
            *(one.securable(of, self._facts) for one in self._lenses),
            of.key if is_alone else "",
            bears_on_column(of, self._facts.tags, verdicts.PERSONAL_DATA),
        )

    def changes(
        self, principal: Principal, things: Sequence[Securable]
    ) -> Iterator[tuple[Securable, Change]]:
        """Return what changes for a principal on each of some things."""
        for mfa in self._factors:
            label = "" if mfa else "without a second factor"
            actor = replace(principal.actor, mfa=mfa)
            before = self._asked(actor, principal, things, self._now)
            after = self._asked(actor, principal, things, self._then)
            for request, one, other in zip(
                before.requests, before.server, after.server, strict=True
            ):
                for change in _changes_of(one, other, label):
                    yield request.securable, change
            for table, one_, other_ in zip(before.tables, before.local, after.local, strict=True):
                for change in _moves(one_, other_, label):
                    yield table, change

    def _asked(
        self, actor: Actor, principal: Principal, things: Sequence[Securable], bundle: Bundle
    ) -> _Asked:
        """Ask on the server, and for tables what makes the outcome on a machine."""
        requests = [
            Request(action, one, SERVER)
            for one in things
            for action in ACTIONS_ON[one.kind]
            if action in self._actions
        ]
        reads = not self._actions.isdisjoint(GUARDED)
        tables = [one for one in things if reads and one.kind is SecurableKind.TABLE]
        local = [Request(action, table, LOCAL) for table in tables for action in ASKED]
        facts = replace(self._facts, roles={_workspace_id(things): principal.roles})
        from_device = replace(actor, device=BEST_DEVICE) if actor.is_person else actor
        on_device = decided(from_device, local, facts, bundle)
        return _Asked(
            requests,
            decided(actor, requests, facts, bundle),
            tables,
            list(zip(*[iter(on_device)] * len(ASKED), strict=True)),
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one bundle answers to one principal, in the order of the questions."""

    requests: list[Request]
    server: list[Decision]
    tables: list[Securable]
    local: list[tuple[Decision, ...]]


def _changed(now: Bundle, then: Bundle) -> list[Published]:
    """Return the policies that only one of the two has, as they are there."""
    old = {policy.name: policy for policy in now.policies}
    new = {policy.name: policy for policy in then.policies}
    return [
        policy
        for name in old.keys() | new.keys()
        if old.get(name) != new.get(name)
        for policy in (old.get(name), new.get(name))
        if policy is not None
    ]


def actions_of(policy: Published) -> frozenset[Action]:
    """Return the actions that a policy may be about: all where that cannot be told."""
    if policy.kind is not PolicyKind.ACCESS:
        return GUARDED
    try:
        bodies = [one["body"] for one in policy.compiled["statements"]]
        return frozenset(action for body in bodies for action in rules.actions_of(body))
    except (KeyError, TypeError):
        return frozenset(Action)


def _workspace_id(things: Sequence[Securable]) -> UUID:
    """Return the workspace of things that are all of one."""
    found = {one.workspace_id for one in things}
    (only,) = found
    assert only is not None  # noqa: S101 - nothing above workspaces is asked about
    return only


def decided(
    actor: Actor, requests: Sequence[Request], facts: Facts, bundle: Bundle
) -> list[Decision]:
    """Return what a bundle answers, by facts that were read before."""
    held = {bundle.workspace_id: bundle} if bundle.workspace_id else {}
    answers = verdicts.answers(actor, requests, SERVER, facts, held)
    return [
        reasons.decision(actor, request, answer, None)
        for request, answer in zip(requests, answers, strict=True)
    ]


def _changes_of(before: Decision, after: Decision, circumstance: str) -> Iterator[Change]:
    action = before.action.value
    because = why(before.determined_by, after.determined_by)
    if before.allowed != after.allowed:
        effect = Effect.GAINS if after.allowed else Effect.LOSES
        yield Change(effect, action, shown(before), shown(after), because, circumstance)
    elif before.obligations.fingerprint != after.obligations.fingerprint:
        now, then = shown(before), shown(after)
        then = then if then != now else f"{then}, otherwise than now"
        yield Change(Effect.SHOWN, action, now, then, because, circumstance)


def _moves(
    before: Sequence[Decision], after: Sequence[Decision], circumstance: str
) -> Iterator[Change]:
    one, other = outcome(*before), outcome(*after)
    if one.outcome is not other.outcome:
        because = why(
            [p for d in before for p in d.determined_by],
            [p for d in after for p in d.determined_by],
        )
        yield Change(
            Effect.MOVES, MATERIALIZE, one.outcome.value, other.outcome.value, because, circumstance
        )


def shown(decision: Decision) -> str:
    """Return an answer in a few words: `denied`, `allowed`, or what is done to what is shown."""
    if not decision.allowed:
        return "denied"
    obligations = decision.obligations
    masked = ", ".join(mask.column for mask in obligations.masks)
    hidden = ", ".join(sorted(obligations.hidden_columns))
    filtered = ", ".join(one.policy for one in obligations.row_filters)
    parts = (("masked: ", masked), ("hidden: ", hidden), ("rows filtered by ", filtered))
    return "; ".join(f"{word}{names}" for word, names in parts if names) or "allowed"


def why(before: Iterable[PolicyReference], after: Iterable[PolicyReference]) -> str:
    """Return the policies that speak now and did not, or else those that do not any more."""
    old, new = dict.fromkeys(before), dict.fromkeys(after)
    added = [one.summary for one in new if one not in old]
    gone = [f"No longer: {one.summary}" for one in old if one not in new]
    return " ".join(added or gone)
