"""Tests beside a policy: what must be decided for whom, asked of what would hold with the draft.

A test is a mapping: `principal` (an e-mail address or the name of a service account), `on` (the
label of a table, a catalog, or nothing for the workspace), `action` (`table.query` where left
out), `place` (`server` or `local`), and `expect`: `allow`, `deny`, or what of a table a machine
gets: `raw`, `extract`, `server`. `masked` and `hidden` list columns that must be so, an empty list
says that none is; `filtered` says whether rows are. `device: none` asks without an approved
device, `mfa` with or without a second factor, `purpose` and `bytes` as a query would say.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from accounts.domain import Actor, DeviceIdentity, DeviceStatus
from accounts.models import Organization, ServiceAccount, User
from accounts.selectors import actor_for_service_account, actor_for_user
from governance import inventory, securables
from governance.bundle import Bundle
from governance.domain import Action, Decision, DecisionContext, Request, Securable, SecurableKind
from governance.materialization import Outcome, outcome, requests
from governance.selectors import decide_many
from workspaces.models import Workspace

KEYS = frozenset(
    {"action", "bytes", "device", "expect", "filtered", "hidden", "masked", "mfa", "name", "on"}
    | {"place", "principal", "purpose"}
)
EXPECTED = ("allow", "deny", *(o.value for o in Outcome))
PLACES = ("server", "local")
ABOUT_TABLES = frozenset(
    {
        Action.TABLE_APPEND,
        Action.TABLE_MATERIALIZE_EXTRACT,
        Action.TABLE_MATERIALIZE_LOCALLY,
        Action.TABLE_MODIFY,
        Action.TABLE_QUERY,
    }
)
OUTCOMES = frozenset(o.value for o in Outcome)


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test of a policy, what was decided instead of believed, and why."""

    __test__ = False  # pytest collects whatever is called Test

    number: int
    title: str
    passed: bool
    expected: str = ""
    decided: str = ""
    reason: str = ""
    determined_by: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    filtered: bool = False
    problems: tuple[str, ...] = ()


class TestMalformed(ValueError):
    """A test that cannot be asked; its text is for the author."""

    __test__ = False


@dataclass(frozen=True, slots=True)
class _Asked:
    """One well-formed test: who asks what, and what is expected of the answer."""

    expect: str
    actor: Actor
    action: Action
    securable: Securable
    context: DecisionContext
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    filtered: bool | None = None

    @property
    def is_outcome(self) -> bool:
        return self.expect in OUTCOMES

    def requests(self) -> list[Request]:
        """Return what to decide: the action itself, then what the obligations or outcome need."""
        if self.is_outcome:
            return requests(self.securable, self.context)
        return [Request(self.action, self.securable, self.context)]


def run_tests(
    workspace: Workspace, tests: Sequence[Any], *, bundle: Bundle | None = None
) -> list[TestResult]:
    """Return each test's result, in order, decided by what holds in `bundle`; none raises."""
    asker = _Asker(workspace, tests)
    return [_result(n, test, asker, bundle) for n, test in enumerate(tests, start=1)]


def title_of(test: object) -> str:
    """Return a test as one sentence: its name, or what it says."""
    if not isinstance(test, dict):
        return "A test that is no mapping"
    if test.get("name"):
        return str(test["name"])
    deed = f"{test.get('action', Action.TABLE_QUERY)} on {test.get('on') or 'the workspace'}"
    place = f" ({test['place']})" if test.get("place") else ""
    return f"{test.get('principal', 'nobody')}: {deed}{place}: {test.get('expect', '')}"


class _Asker:
    """Turns tests into questions, with every name looked up once for all of them."""

    def __init__(self, workspace: Workspace, tests: Sequence[Any]) -> None:
        mappings = [test for test in tests if isinstance(test, dict)]
        self.workspace = workspace
        self.organization: Organization = workspace.organization
        self.actors = self._actors({str(t.get("principal", "")) for t in mappings})
        labels = {str(t["on"]) for t in mappings if t.get("on")}
        self.securables = inventory.named(workspace, labels) if labels else {}

    def _actors(self, names: set[str]) -> dict[str, Actor]:
        people = User.objects.filter(organization=self.organization, is_active=True)
        programs = ServiceAccount.objects.filter(
            organization=self.organization, disabled_at__isnull=True
        )
        found = {p.name: actor_for_service_account(p) for p in programs.filter(name__in=names)}
        return found | {p.email: actor_for_user(p) for p in people.filter(email__in=names)}

    def ask(self, test: Any) -> _Asked:
        """Return the question that a test puts. Raises `TestMalformed`."""
        if not isinstance(test, dict):
            message = "A test is a mapping: {principal: …, on: …, expect: …}."
            raise TestMalformed(message)
        if unknown := sorted(map(str, test.keys() - KEYS)):
            message = f"A test has no {', '.join(unknown)}; it may have {', '.join(sorted(KEYS))}."
            raise TestMalformed(message)
        expect = _one_of("expect", test.get("expect"), EXPECTED)
        on_machine = expect in {Outcome.RAW, Outcome.EXTRACT, Outcome.SERVER}
        place = _one_of("place", test.get("place", "local" if on_machine else "server"), PLACES)
        action = _one_of("action", test.get("action", Action.TABLE_QUERY), [*Action])
        return _Asked(
            expect=expect,
            actor=self._actor(test, "local" if on_machine else place),
            action=Action(action),
            securable=self._securable(test, Action(action)),
            context=DecisionContext(
                place="local" if on_machine else place,
                scan_bytes=_number(test.get("bytes", 0)),
                purpose=str(test.get("purpose", "")),
            ),
            columns={
                name: _names(name, test[name]) for name in ("masked", "hidden") if name in test
            },
            filtered=_flag("filtered", test.get("filtered")),
        )

    def _actor(self, test: dict[str, Any], place: str) -> Actor:
        name = str(test.get("principal", ""))
        actor = self.actors.get(name)
        if actor is None:
            message = (
                f"There is no active person or service account {name!r} in "
                f"{self.organization.name}; write an e-mail address or a service account's name."
            )
            raise TestMalformed(message)
        mfa = _flag("mfa", test.get("mfa"))
        without = _one_of("device", test.get("device", "approved"), ("approved", "none")) == "none"
        if place != "local" or without or not actor.is_person:
            return replace(actor, mfa=bool(mfa))
        return replace(actor, mfa=bool(mfa), device=TEST_DEVICE)

    def _securable(self, test: dict[str, Any], action: Action) -> Securable:
        label = str(test.get("on") or "")
        found = self.securables.get(label) if label else securables.workspace(self.workspace)
        if found is None:
            message = f"There is no catalog or table {label!r} in {self.workspace.name}."
            raise TestMalformed(message)
        if action in ABOUT_TABLES and found.kind is not SecurableKind.TABLE:
            message = f"{action.value} is about a table; {found.label} is none."
            raise TestMalformed(message)
        return found


TEST_DEVICE = DeviceIdentity(uuid.UUID(int=1), "the device of a test", "", DeviceStatus.APPROVED)


def _result(number: int, test: Any, asker: _Asker, bundle: Bundle | None) -> TestResult:
    title = title_of(test)
    try:
        asked = asker.ask(test)
    except TestMalformed as error:
        return TestResult(number, title, passed=False, problems=(str(error),))
    decisions = decide_many(asked.actor, asked.requests(), asked.context, bundle=bundle)
    decided, reason = _decided(asked, decisions)
    first = decisions[0]
    problems = [] if decided == asked.expect else [f"Expected {asked.expect}, decided {decided}."]
    problems += _column_problems(asked, first)
    return TestResult(
        number,
        title,
        passed=not problems,
        expected=asked.expect,
        decided=decided,
        reason=reason,
        determined_by=tuple(policy.name for policy in first.determined_by),
        masked=tuple(mask.column for mask in first.obligations.masks),
        hidden=tuple(sorted(first.obligations.hidden_columns)),
        filtered=bool(first.obligations.row_filters),
        problems=tuple(problems),
    )


def _decided(asked: _Asked, decisions: Sequence[Decision]) -> tuple[str, str]:
    if not asked.is_outcome:
        return "allow" if decisions[0].allowed else "deny", decisions[0].reason
    if not decisions[0].allowed:
        return "deny", decisions[0].reason
    found = outcome(*decisions)
    return found.outcome.value, found.reason


def _column_problems(asked: _Asked, decision: Decision) -> list[str]:
    obligations = decision.obligations
    found = {
        "masked": {mask.column.lower() for mask in obligations.masks},
        "hidden": {column.lower() for column in obligations.hidden_columns},
    }
    problems: list[str] = []
    for what, names in asked.columns.items():
        missing = [n for n in names if n.partition(".")[0].lower() not in found[what]]
        if missing:
            problems.append(f"Not {what}: {', '.join(missing)}.")
        if not names and found[what]:
            problems.append(f"Nothing should be {what}, but is: {', '.join(sorted(found[what]))}.")
    if asked.filtered is not None and asked.filtered is not bool(obligations.row_filters):
        problems.append("Rows are not filtered." if asked.filtered else "Rows are filtered.")
    return problems


def _one_of(name: str, given: object, allowed: Sequence[str]) -> str:
    if not isinstance(given, str) or given not in set(allowed):
        message = f"`{name}` is one of {', '.join(allowed)}, not {given!r}."
        raise TestMalformed(message)
    return given


def _names(name: str, given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        message = f"`{name}` is a list of columns: [email, info.iban]."
        raise TestMalformed(message)
    return tuple(given)


def _flag(name: str, given: object) -> bool | None:
    if given is not None and not isinstance(given, bool):
        message = f"`{name}` is true or false, not {given!r}."
        raise TestMalformed(message)
    return given


def _number(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        message = f"`bytes` is a whole number, not {given!r}."
        raise TestMalformed(message)
    return given
