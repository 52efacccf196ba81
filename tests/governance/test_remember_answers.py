"""What was asked before is not asked again, and nothing that changed is answered as it was."""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from accounts.domain import Actor, DeviceIdentity, DeviceStatus, OrganizationRole, PrincipalKind
from governance import answered, engine, entities
from governance import services as governance
from governance.domain import Action, DecisionContext, Request, Securable, SecurableKind
from governance.engine import Json, PolicyBundle, Verdict
from governance.entities import Facts, Owner
from governance.models import TagAssignment
from workspaces.domain import WorkspaceRole

from .conftest import Company

ANA = Actor(PrincipalKind.USER, uuid.uuid4(), "ana@air.example", uuid.uuid4())
WORKSPACE = uuid.uuid4()
CATALOG = Securable(SecurableKind.CATALOG, "catalog:a", "a", uuid.uuid4(), WORKSPACE)
TABLE = replace(
    CATALOG, kind=SecurableKind.TABLE, key="table:a/1", label="a.main.t", parent=CATALOG
)
LAPTOP = DeviceIdentity(uuid.uuid4(), "laptop", "t", DeviceStatus.APPROVED, os="linux")
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)

CONDITIONS = (
    'context.now < datetime("2026-11-02T12:00:00Z")',
    'context.now >= datetime("2026-11-02T12:00:00Z")',
    'context.now == datetime("2026-11-02T12:00:00Z")',
    'datetime("2026-11-02T12:00:01Z") > context.now',
    'context.now.offset(duration("-2s")) < datetime("2026-11-02T12:00:00Z")',
    'context.now.toTime() < duration("12h0m1s")',
    "context.mfa",
)
"""What a policy may look at: the time in all the ways there are, or something else."""

seconds = st.integers(-2, 2) | st.integers(-(10**6), 10**6)
moments = st.builds(
    lambda away, part: NOON + timedelta(seconds=away, microseconds=part),
    seconds,
    st.sampled_from([0, 1, 999_999]),
)


def policies(condition: str) -> PolicyBundle:
    """Return one policy that permits on a condition."""
    text = (
        '@id("by-time") @summary("When.") permit (principal, action == Action::"table.query",'
        f" resource) when {{ {condition} }};"
    )
    return engine.parse(text, 1)


FACTS = Facts(
    {WORKSPACE: frozenset({WorkspaceRole.ANALYST})},
    {TABLE.key: frozenset({"public"})},
    {CATALOG.key: Owner(uuid.uuid4(), "Sam", "sam@air.example")},
    local_mode_enabled=True,
)


QUERY = Request(Action.TABLE_QUERY, TABLE)
THE_DAY_BEFORE = DecisionContext("server", NOON - timedelta(days=1))


@dataclass(frozen=True)
class Asked:
    """Whether somebody may do something, with all that is known."""

    actor: Actor = ANA
    request: Request = QUERY
    context: DecisionContext = THE_DAY_BEFORE
    facts: Facts = FACTS

    @property
    def key(self) -> tuple[Hashable, ...]:
        """Return what the question is remembered by, but for the time."""
        return (
            entities.asker(self.actor, self.facts, WORKSPACE),
            entities.question(self.request, self.context, self.facts),
        )

    def spelled(self) -> tuple[list[Json], list[Json]]:
        """Return the question as Cedar reads it."""
        told = replace(self.context, now=entities.moment(self.context))
        circumstances = entities.circumstances(self.actor, told, self.facts)
        roles = self.facts.roles_in(WORKSPACE)
        return (
            [entities.request(self.actor, self.request, circumstances)],
            [
                entities.principal(self.actor, roles),
                *entities.resources([self.request.securable], self.facts),
            ],
        )

    def answer(self, bundle: PolicyBundle) -> list[Verdict]:
        """Ask, as decisions do."""
        moment = entities.moment(self.context)
        return answered.evaluate(bundle, self.key, [moment], self.spelled)


def at(moment: datetime, actor: Actor = ANA) -> Asked:
    """Return the question at a moment."""
    return Asked(actor=actor, context=DecisionContext("server", moment))


@settings(max_examples=60)
@given(st.sampled_from(CONDITIONS), st.lists(moments, min_size=2, max_size=6), st.booleans())
def test_it_answers_at_every_moment_as_cedar_does(
    condition: str, times: list[datetime], mfa: bool
) -> None:
    bundle, actor = policies(condition), replace(ANA, mfa=mfa)
    for asked in [at(moment, actor) for moment in [*times, *times]]:
        assert asked.answer(bundle) == engine.evaluate(bundle, *asked.spelled())


def test_it_is_one_question_at_all_moments_that_no_policy_tells_apart() -> None:
    bundle = policies('context.now < datetime("2030-01-01T00:00:00Z")')
    first, *others = (at(NOON + timedelta(days=n)).answer(bundle) for n in range(3))
    assert all(other[0] is first[0] for other in others)
    assert at(NOON + timedelta(days=10_000)).answer(bundle) != first


def test_it_asks_again_what_could_not_be_answered() -> None:
    bundle = policies('principal.getTag("region") == "eu"')  # an error for who has no region
    for _ in range(2):
        with capture_logs() as logs:
            assert at(NOON).answer(bundle) == [engine.NOT_EVALUATED]
        assert logs


OTHERS: dict[type, dict[str, object]] = {
    Actor: {
        "kind": PrincipalKind.SERVICE_ACCOUNT,
        "id": uuid.uuid4(),
        "label": "bo",
        "organization_id": None,
        "organization_role": OrganizationRole.ADMIN,
        "group_ids": frozenset({uuid.uuid4()}),
        "device": None,
        "token_id": uuid.uuid4(),
        "scopes": frozenset({"admin"}),
        "mfa": True,
        "request_id": "r",
        "address": "10.1.2.3",
        "attributes": {"team": "hr"},
    },
    DeviceIdentity: {
        "id": uuid.uuid4(),
        "name": "other",
        "thumbprint": "u",
        "status": DeviceStatus.REVOKED,
        "memory_bytes": 1,
        "cores": 1,
        "link_bytes_per_second": 1,
        "cached_bytes": {"t": 1},
        "os": "macos",
        "is_managed": True,
        "is_disk_encrypted": True,
        "last_seen_at": NOON,
    },
    DecisionContext: {"place": "local", "now": NOON, "scan_bytes": 1, "purpose": "audit"},
    Facts: {
        "roles": {WORKSPACE: frozenset({WorkspaceRole.OWNER})},
        "tags": {CATALOG.key: frozenset({"public"})},
        "owners": {TABLE.key: Owner(uuid.uuid4(), "", "")},
        "local_mode_enabled": False,
    },
    Request: {
        "action": Action.CATALOG_BROWSE,
        "securable": CATALOG,
        "context": DecisionContext("local"),
    },
    Securable: {
        "kind": SecurableKind.COLUMN,
        "key": "table:a/2",
        "label": "a.main.u",
        "organization_id": uuid.uuid4(),
        "workspace_id": None,
        "parent": replace(CATALOG, key="catalog:b"),
        "columns": (),
    },
}
"""Another value for every field of all that a question is made of."""

WHOLE = Asked(actor=replace(ANA, device=LAPTOP))


def with_part(part: object) -> Asked:
    """Return the question with one of its parts in place of its own."""
    match part:
        case Actor():
            return replace(WHOLE, actor=part)
        case DeviceIdentity():
            return replace(WHOLE, actor=replace(WHOLE.actor, device=part))
        case DecisionContext():
            return replace(WHOLE, context=part)
        case Facts():
            return replace(WHOLE, facts=part)
        case Request():
            return replace(WHOLE, request=part)
        case Securable():
            return replace(WHOLE, request=replace(WHOLE.request, securable=part))
    raise TypeError(part)


@pytest.mark.parametrize(
    "part", [WHOLE.actor, LAPTOP, WHOLE.context, WHOLE.facts, WHOLE.request, TABLE],
    ids=lambda part: type(part).__name__,
)  # fmt: skip
def test_it_is_another_question_where_cedar_is_told_anything_else(part: Any) -> None:
    others = OTHERS[type(part)]
    assert {field.name for field in fields(part)} == others.keys()
    told = 0
    for name, value in others.items():
        other = with_part(replace(part, **{name: value}))
        differs = other.spelled() != WHOLE.spelled()
        told += differs
        is_time = name == "now"  # which is kept as a class of moments
        assert is_time or not differs or other.key != WHOLE.key, name
    assert told


@pytest.fixture
def prepared(company: Company) -> Iterator[Company]:
    """Return the company; afterwards the connection keeps statements as it did."""
    threshold = connection.connection.prepare_threshold
    yield company
    connection.connection.prepare_threshold = threshold


def kept_plans() -> int:
    """Return how many plans the connection keeps of what decisions read."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%%local_mode%%'"
        )
        (found,) = cursor.fetchone()
        return int(found)


def test_it_has_what_decisions_read_planned_once(prepared: Company) -> None:
    analyst = prepared.actors["analyst"]
    asked = [Request(Action.TABLE_QUERY, prepared.table(f"t{number}")) for number in range(9)]
    for request in asked:
        governance.decide(analyst, request.action, request.securable)
    once = kept_plans()
    assert once
    for number in range(1, 9):
        governance.decide_many(analyst, asked[:number])
    assert kept_plans() == once


@pytest.mark.parametrize("threshold", [0, None])
def test_it_sees_a_change_at_once_with_and_without_kept_plans(
    prepared: Company, threshold: int | None
) -> None:
    connection.connection.prepare_threshold = threshold
    owner, table = prepared.actors["owner"], prepared.table()
    assert governance.tags_of([table])[table.key] == frozenset()
    for tag in ("first", "second"):
        TagAssignment.objects.create(
            organization=prepared.organization, securable_key=table.key, tag=tag
        )
        known = governance.know(owner, [Request(Action.TABLE_QUERY, table)])
        assert tag in known.facts.tags_of(table)
