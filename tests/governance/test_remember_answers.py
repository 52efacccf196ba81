"""What was asked before is not asked again, and nothing that changed is answered as it was."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from accounts.domain import Actor, PrincipalKind
from governance import answered, engine, entities
from governance import services as governance
from governance.domain import Action, DecisionContext, Request, Securable, SecurableKind
from governance.engine import Json, PolicyBundle, Verdict
from governance.entities import Facts
from governance.models import TagAssignment

from .conftest import Company

ANA = Actor(PrincipalKind.USER, uuid.uuid4(), "ana@air.example", uuid.uuid4())
TABLE = Securable(SecurableKind.TABLE, "table:a/1", "a.main.t", ANA.organization_id or ANA.id)
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


def question(
    at: datetime, actor: Actor = ANA, **known: object
) -> tuple[Json, datetime, list[Json]]:
    """Return whether someone may query the table at a moment, with what is known."""
    facts = replace(Facts({}, {}, {}, local_mode_enabled=True), **known)  # type: ignore[arg-type]
    moment = entities.moment(DecisionContext(now=at))
    circumstances = entities.circumstances(actor, DecisionContext(now=moment), facts)
    asked = entities.request(actor, Request(Action.TABLE_QUERY, TABLE), circumstances)
    known_of = [entities.principal(actor, ()), *entities.resources([TABLE], facts)]
    return asked, moment, known_of


@settings(max_examples=60)
@given(st.sampled_from(CONDITIONS), st.lists(moments, min_size=2, max_size=6), st.booleans())
def test_it_answers_at_every_moment_as_cedar_does(
    condition: str, times: list[datetime], mfa: bool
) -> None:
    bundle, actor = policies(condition), replace(ANA, mfa=mfa)
    for at in [*times, *times]:
        asked, moment, known = question(at, actor)
        expected = engine.evaluate(bundle, [asked], known)
        assert answered.evaluate(bundle, [asked], [moment], known) == expected


def test_it_is_one_question_at_all_moments_that_no_policy_tells_apart() -> None:
    bundle = policies('context.now < datetime("2030-01-01T00:00:00Z")')
    first, *others = (ask(bundle, NOON + timedelta(days=n)) for n in range(3))
    assert all(other[0] is first[0] for other in others)
    assert ask(bundle, NOON + timedelta(days=10_000)) != first


def ask(bundle: PolicyBundle, at: datetime) -> list[Verdict]:
    """Ask whether Ana may query the table."""
    asked, moment, known = question(at)
    return answered.evaluate(bundle, [asked], [moment], known)


def test_it_asks_again_what_could_not_be_answered() -> None:
    bundle = policies('principal.getTag("region") == "eu"')  # an error for who has no region
    for _ in range(2):
        with capture_logs() as logs:
            assert ask(bundle, NOON) == [engine.NOT_EVALUATED]
        assert logs


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
