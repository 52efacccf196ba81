"""What conditions of access policies look at: device, network, second factor, bytes, purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from accounts.domain import Actor
from governance import materialization
from governance import services as governance
from governance.domain import Action, DecisionContext, PolicyKind, Request
from governance.materialization import Outcome

from .conftest import APPROVED, Company
from .publishing import access, publish

KNOWN = replace(
    APPROVED,
    os="macos",
    is_managed=True,
    is_disk_encrypted=True,
    last_seen_at=datetime(2026, 11, 1, tzinfo=UTC),
)
LOCAL = DecisionContext(place="local", scan_bytes=5_000_000, purpose="audit-2026")
AT_HOME = "84.12.3.4"
AT_WORK = "10.1.2.3"

Change = Callable[[Actor, DecisionContext], tuple[Actor, DecisionContext]]


def on(**device: object) -> Change:
    """Ask from a device that differs."""
    return lambda actor, context: (
        replace(actor, device=replace(KNOWN, **device)),  # type: ignore[arg-type]
        context,
    )


def asking(**given: object) -> Change:
    """Ask as someone who differs."""
    return lambda actor, context: (replace(actor, **given), context)  # type: ignore[arg-type]


def within(**given: object) -> Change:
    """Ask in a context that differs."""
    return lambda actor, context: (actor, replace(context, **given))  # type: ignore[arg-type]


CONDITIONS: list[tuple[str, Change]] = [
    ("context.device.managed", on(is_managed=False)),
    ("context.device.disk_encrypted", on(is_disk_encrypted=False)),
    ('["macos", "linux"].contains(context.device.os)', on(os="windows")),
    ('context.device.last_seen > datetime("2026-10-20")', on(last_seen_at=None)),
    ("context.bytes < 10000000", within(scan_bytes=10_000_000)),
    ('context.purpose like "audit-*"', within(purpose="")),
    ("context.mfa", asking(mfa=False)),
    (
        'context.network has address && context.network.address.isInRange(ip("10.0.0.0/8"))',
        asking(address=AT_HOME),
    ),
    (
        'context.network has address && context.network.address.isInRange(ip("10.0.0.0/8"))',
        asking(address=""),
    ),
    (
        'principal.hasTag("region") && principal.getTag("region") == "eu"',
        asking(attributes={"region": "us"}),
    ),
    ('principal.hasTag("region") && principal.getTag("region") == "eu"', asking(attributes={})),
]


@pytest.mark.parametrize(("condition", "change"), CONDITIONS)
def test_it_decides_local_runs_by_the_circumstances(
    company: Company, condition: str, change: Change
) -> None:
    local = 'action in [Action::"table.materialize_locally", Action::"table.materialize_extract"]'
    text = f"forbid (principal, {local}, resource) unless {{ {condition} }};"
    publish(company, "conditions", PolicyKind.ACCESS, company.catalog.securable, access(text))
    actor = replace(
        company.on("analyst", KNOWN), mfa=True, address=AT_WORK, attributes={"region": "eu"}
    )

    def outcome(actor: Actor, context: DecisionContext) -> Outcome:
        asked = materialization.requests(company.table(), context)
        (found,) = materialization.outcomes(governance.decide_many(actor, asked))
        return found.outcome

    assert outcome(actor, LOCAL) is Outcome.RAW
    assert outcome(*change(actor, LOCAL)) is Outcome.SERVER


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "::ffff:10.1.2.3", "fe80::1%eth0", "::1", "", "unix:", "1.2.3.4:99"]
)
def test_it_answers_from_whatever_address(company: Company, address: str) -> None:
    actor = replace(company.actors["analyst"], address=address)
    assert governance.decide(actor, Action.TABLE_QUERY, company.table()).allowed


def test_it_reads_a_mapped_address_as_what_it_maps(company: Company) -> None:
    text = (
        'forbid (principal, action == Action::"table.query", resource) unless'
        ' { context.network has address && context.network.address.isInRange(ip("10.0.0.0/8")) };'
    )
    publish(company, "office", PolicyKind.ACCESS, company.catalog.securable, access(text))
    for address, allowed in (("::ffff:10.1.2.3", True), ("::ffff:84.1.2.3", False)):
        actor = replace(company.actors["analyst"], address=address)
        assert governance.decide(actor, Action.TABLE_QUERY, company.table()).allowed is allowed


def test_it_holds_one_batch_to_each_requests_own_circumstances(company: Company) -> None:
    text = (
        'forbid (principal, action == Action::"table.query", resource)'
        " when { context.bytes > 1000 };"
    )
    publish(company, "small-only", PolicyKind.ACCESS, company.catalog.securable, access(text))
    asked = [
        Request(Action.TABLE_QUERY, company.table(), DecisionContext("server", scan_bytes=size))
        for size in (1000, 1001)
    ]
    answers = governance.decide_many(company.actors["analyst"], asked)
    assert [answer.allowed for answer in answers] == [True, False]
