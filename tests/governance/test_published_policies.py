"""What rows of published policies do to decisions: who may, where, and what breaks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.domain import Actor
from governance import bundle, selectors
from governance import services as governance
from governance.domain import (
    Action,
    DecisionContext,
    PolicyKind,
    Request,
    Securable,
)
from governance.rules import MENDING

from .conftest import APPROVED, Company
from .publishing import FORBID, PERMIT, access, ask, mask, publish


def test_it_permits_and_forbids_by_published_policies(company: Company) -> None:
    table, member, owner = company.table(), company.actors["member"], company.actors["owner"]
    publish(company, "all-read", PolicyKind.ACCESS, company.catalog.securable, access(PERMIT))
    decision = ask(member, table)
    assert decision.allowed
    assert [(p.name, p.version, p.summary) for p in decision.determined_by] == [
        ("all-read", 3, "Said by the text.")
    ]
    publish(company, "nobody-reads", PolicyKind.ACCESS, table, access(FORBID))
    refused = ask(owner, table)
    assert not refused.allowed
    assert [p.name for p in refused.determined_by] == ["nobody-reads"]
    assert "nobody-reads" in refused.remedy
    assert ask(member, company.table("airports")).allowed


def test_it_keeps_a_policy_within_its_scope(company: Company) -> None:
    member, table = company.actors["member"], company.table()
    everything = "permit (principal, action, resource);"
    publish(company, "wide", PolicyKind.ACCESS, table, access(everything))
    requests = [
        Request(Action.CATALOG_BROWSE, company.securable(kind)) for kind in ("workspace", "catalog")
    ]
    requests.append(Request(Action.TABLE_QUERY, company.table("airports")))
    assert not any(d.allowed for d in governance.decide_many(member, requests))
    assert ask(member, table).allowed


def test_it_keeps_even_a_misplaced_policy_within_its_scope(company: Company) -> None:
    member, table = company.actors["member"], company.table()
    publish(
        company, "narrow", PolicyKind.ACCESS, table,
        access(PERMIT, about=company.securable("workspace").key),
    )  # fmt: skip
    assert not ask(member, company.table("airports")).allowed
    assert ask(member, table).allowed


def test_it_never_opens_a_tenant_to_a_stranger(company: Company, stranger: Actor) -> None:
    scope = company.securable("workspace")
    publish(company, "open", PolicyKind.ACCESS, scope, access(PERMIT))
    publish(company, "secret-name", PolicyKind.ACCESS, scope, access(FORBID))
    decision = ask(stranger, company.table())
    assert not decision.allowed
    assert [p.name for p in decision.determined_by] == ["tenants-are-separate"]


def test_it_ends_a_grant_at_its_time_and_keeps_what_forbids(company: Company) -> None:
    table, end = company.table(), datetime.now(UTC) + timedelta(hours=1)
    scope = company.securable("workspace")
    publish(company, "grant", PolicyKind.ACCESS, scope, access(PERMIT), expires_at=end)
    asked = [Request(Action.TABLE_QUERY, table)]
    after = DecisionContext(now=end + timedelta(seconds=1))
    assert ask(company.actors["member"], table).allowed
    (decision,) = governance.decide_many(company.actors["member"], asked, after)
    assert not decision.allowed
    publish(company, "ban", PolicyKind.ACCESS, scope, access(FORBID), expires_at=end)
    (decision,) = governance.decide_many(company.actors["owner"], asked, after)
    assert not decision.allowed


GUARDED = [Action.TABLE_QUERY, Action.TABLE_MATERIALIZE_EXTRACT, Action.TABLE_MATERIALIZE_LOCALLY]


@pytest.mark.parametrize("compiled", [{}, {"columns": 3}, {"statements": [{"body": 1}]}])
@pytest.mark.parametrize("kind", PolicyKind)
def test_it_denies_where_a_policy_cannot_be_read(
    company: Company, kind: PolicyKind, compiled: dict[str, Any]
) -> None:
    publish(company, "unreadable", kind, company.catalog.securable, compiled)
    owner = company.on("owner", APPROVED)
    decisions = [ask(owner, company.table(), action) for action in GUARDED]
    assert not any(d.allowed for d in decisions)
    assert all("unreadable is broken" in d.reason for d in decisions)
    assert all(ask(owner, company.table(), a).allowed for a in MENDING)
    assert ask(owner, company.table(), Action.TABLE_APPEND).allowed is (kind != PolicyKind.ACCESS)


def test_it_denies_what_a_broken_policy_is_about(company: Company, people: Securable) -> None:
    because = "the group hr is gone."
    owner = company.on("owner", APPROVED)
    compiled = mask(people.columns[0])
    publish(company, "m", PolicyKind.MASK, people, compiled, broken_because=because)
    decision = ask(owner, people)
    assert decision.reason == "The policy m is broken: the group hr is gone."
    assert not any(ask(owner, people, action).allowed for action in GUARDED)
    assert ask(owner, people, Action.TABLE_APPEND).allowed
    assert ask(owner, company.table("airports")).allowed
    append = 'permit (principal, action == Action::"table.append", resource);'
    publish(
        company, "a", PolicyKind.ACCESS, company.catalog.securable, access(append),
        broken_because=because,
    )  # fmt: skip
    assert ask(owner, company.table("airports")).allowed
    assert not ask(owner, company.table("airports"), Action.TABLE_APPEND).allowed


def test_it_leaves_owners_what_mends_a_policy_that_errs(company: Company) -> None:
    errs = "forbid (principal, action, resource) when { 9223372036854775807 + 1 == 0 };"
    publish(company, "e", PolicyKind.ACCESS, company.securable("workspace"), access(errs))
    owner, analyst = company.actors["owner"], company.actors["analyst"]
    assert not ask(owner, company.table()).allowed
    assert all(ask(owner, company.table(), action).allowed for action in MENDING)
    assert not ask(analyst, company.table(), Action.CATALOG_BROWSE).allowed


def test_it_answers_by_what_holds_even_after_a_rollback(company: Company) -> None:
    owner, scope = company.actors["owner"], company.securable("workspace")
    publish(company, "first", PolicyKind.ACCESS, scope, access(PERMIT))
    with transaction.atomic():
        publish(company, "ban", PolicyKind.ACCESS, scope, access(FORBID))
        assert not ask(owner, company.table()).allowed
        transaction.set_rollback(True)
    assert ask(owner, company.table()).allowed
    publish(company, "other", PolicyKind.ACCESS, scope, access(PERMIT))
    assert ask(owner, company.table()).allowed


def test_it_keeps_a_bundle_and_asks_the_database_no_more_often(company: Company) -> None:
    publish(company, "p", PolicyKind.ACCESS, company.securable("workspace"), access(PERMIT))
    ask(company.actors["owner"], company.table())
    assert bundle.bundle_of(company.workspace.id) is bundle.bundle_of(company.workspace.id)
    with CaptureQueriesContext(connection) as captured:
        ask(company.actors["owner"], company.table())
    assert len(captured) <= 4


def test_it_decides_by_another_bundle_for_simulations(company: Company) -> None:
    owner, asked = company.actors["owner"], [Request(Action.TABLE_QUERY, company.table())]
    scope = company.securable("workspace")
    ban = publish(company, "ban", PolicyKind.ACCESS, scope, access(FORBID))
    now = bundle.bundle_of(company.workspace.id)
    without = now.without("ban")
    assert selectors.decide_many(owner, asked, bundle=without)[0].allowed
    assert not selectors.decide_many(owner, asked)[0].allowed
    again = without.with_policy(bundle.as_published(ban.versions.get()))
    assert not selectors.decide_many(owner, asked, bundle=again)[0].allowed


def test_it_asks_the_policies_of_many_tables_at_once_as_it_would_one_by_one(
    company: Company,
) -> None:
    tables = [company.table(f"t{number}") for number in range(40)]
    gone = replace(tables[5], key=f"{tables[5].key[:-4]}0000")
    for number, scope in enumerate([*tables[:30:2], gone, *tables[1:20:2]]):
        text = FORBID if number % 3 else PERMIT
        publish(company, f"own-{number}", PolicyKind.ACCESS, scope, access(text, about=scope.key))
    for name in ("analyst", "member"):
        actor = company.actors[name]
        asked = [Request(Action.TABLE_QUERY, table) for table in tables]
        together = [decision.allowed for decision in governance.decide_many(actor, asked)]
        assert together == [ask(actor, table).allowed for table in tables]
        assert len(set(together)) == 2
