"""A second person looks at policies where the workspace asks for it, or the glass is broken."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.domain import Actor
from accounts.models import Group
from audit.domain import Event
from governance.domain import VersionState
from governance.examination import PolicyRefused
from governance.policy_selectors import is_loud
from governance.services import AccessDenied, policies
from governance.services.policies.publishing import PolicyNeedsApproval
from governance.services.policies.review import PolicyNeedsSecondPerson
from problems import Invalid

from .conftest import Company
from .drafting import (
    FORBID,
    PERMIT,
    ask_for_two,
    draft,
    may_browse,
    publish,
    records,
    submit,
)


def test_it_needs_a_second_person_where_the_workspace_asks_for_one(
    company: Company, crew: Group, second: Actor
) -> None:
    owner, steward = company.actors["owner"], company.actors["steward"]
    ask_for_two(company)
    version = draft(company, actor=steward)
    policy = version.policy
    with pytest.raises(PolicyNeedsApproval):
        publish(version, owner)
    submit(version, owner)
    with pytest.raises(PolicyNeedsApproval):
        publish(version, owner)
    for actor, problem in (
        (owner, PolicyNeedsSecondPerson),  # who submitted it
        (steward, AccessDenied),  # who wrote it, and may not publish
        (company.actors["agent"], AccessDenied),
    ):
        with pytest.raises(problem):
            policies.approve_version(actor=actor, policy=policy, number=1, reason="fine")
    with pytest.raises(Invalid, match="say why"):
        policies.approve_version(actor=second, policy=policy, number=1, reason=" ")
    approved = policies.approve_version(actor=second, policy=policy, number=1, reason="fine")
    assert approved.is_approved
    assert may_browse(company)
    publish(approved, owner)
    assert not may_browse(company)
    (record,) = records(Event.POLICY_APPROVED)
    assert record.actor_id == second.id
    assert record.after["decision_reason"] == "fine"


def test_it_counts_everyone_who_had_a_hand_in_the_text(
    company: Company, crew: Group, second: Actor
) -> None:
    owner = company.actors["owner"]
    version = draft(company, "unfinished", actor=second)
    changed = policies.change_draft(
        actor=owner, policy=version.policy, number=1, expected=version.etag, text=FORBID
    )
    submit(changed, owner)
    for actor in (owner, second):
        with pytest.raises(PolicyNeedsSecondPerson):
            policies.approve_version(actor=actor, policy=version.policy, number=1, reason="mine")


def test_it_breaks_the_glass_loudly_and_only_with_a_reason(company: Company, crew: Group) -> None:
    owner = company.actors["owner"]
    version = draft(company)
    with pytest.raises(Invalid, match="no second person"):
        publish(version, owner, break_glass=True, reason="now")
    ask_for_two(company)
    with pytest.raises(Invalid, match="say why"):
        publish(version, owner, break_glass=True)
    with pytest.raises(AccessDenied):
        publish(version, company.actors["steward"], break_glass=True, reason="now")
    published = publish(version, owner, break_glass=True, reason="A leak.")
    assert published.is_break_glass
    assert is_loud(published)
    published.published_at = timezone.now() - timedelta(days=8)
    assert not is_loud(published)
    (record,) = records(Event.POLICY_BREAK_GLASS)
    assert record.after["why"] == "A leak."
    assert not may_browse(company)


def test_it_breaks_no_glass_for_a_text_that_is_not_fit(company: Company) -> None:
    ask_for_two(company)
    version = draft(company, "permit (")
    with pytest.raises(PolicyRefused):
        publish(version, company.actors["owner"], break_glass=True, reason="now")
    version.refresh_from_db()
    assert not version.is_break_glass
    assert records(Event.POLICY_BREAK_GLASS) == []


def test_it_rolls_back_without_a_second_person_only_to_what_one_approved(
    company: Company, crew: Group, second: Actor
) -> None:
    owner = company.actors["owner"]
    policy = publish(draft(company), owner).policy
    ask_for_two(company)
    for text in (PERMIT, FORBID):
        version = submit(policies.draft_version(actor=owner, policy=policy, text=text), owner)
        policies.approve_version(
            actor=second, policy=policy, number=version.number, reason="Discussed."
        )
        publish(version, owner)
    with pytest.raises(PolicyNeedsApproval):
        policies.roll_back_policy(actor=owner, policy=policy, reason="why not", to=1)
    back = policies.roll_back_policy(actor=owner, policy=policy, reason="Too narrow.", to=2)
    assert back.decided_by_id == second.id
    assert may_browse(company)


def test_it_takes_two_to_end_what_took_two_to_begin(
    company: Company, crew: Group, second: Actor
) -> None:
    owner = company.actors["owner"]
    policy = publish(draft(company), owner).policy
    ask_for_two(company)
    asked = policies.retire_policy(actor=owner, policy=policy, reason="Not needed.")
    assert (asked.state, asked.is_retirement) == (VersionState.IN_REVIEW, True)
    assert not may_browse(company)
    with pytest.raises(PolicyNeedsSecondPerson):
        policies.approve_version(actor=owner, policy=policy, number=2, reason="mine")
    policies.approve_version(actor=second, policy=policy, number=2, reason="Agreed.")
    publish(asked, owner)
    assert may_browse(company)
    states = set(policy.versions.values_list("state", flat=True))
    assert states == {VersionState.RETIRED}
