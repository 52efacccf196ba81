"""The life of a policy: drafted, reviewed by a second person, in force, rolled back, ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.domain import Actor
from accounts.models import Group
from accounts.selectors import actor_for_user
from audit.domain import Event
from governance.domain import VersionState
from governance.examination import PolicyRefused, examine, shown_text
from governance.models import Ownership, Policy
from governance.policy_selectors import UnknownPolicy, find_policy, visible_policies
from governance.services import AccessDenied, policies
from governance.services.policies.drafts import PolicyHasOpenVersion, PolicyNameTaken
from governance.services.policies.rows import PolicyChangedMeanwhile, PolicyMovedOn
from problems import Invalid

from .conftest import Company, build_company
from .drafting import (
    FORBID,
    PASSING,
    PERMIT,
    draft,
    may_browse,
    publish,
    records,
    set_version,
    submit,
)


def test_it_holds_from_the_moment_it_is_published(company: Company, crew: Group) -> None:
    version = draft(company, tests=PASSING)
    assert may_browse(company)
    before = set_version(company)
    published = publish(version, company.actors["owner"], expected=version.etag)
    assert published.state == VersionState.PUBLISHED
    assert not may_browse(company)
    assert set_version(company) > before
    (record,) = records(Event.POLICY_PUBLISHED)
    assert record.before is None
    assert record.after["version"] == 1
    assert len(record.after["text_sha256"]) == 64
    assert record.after["summary"] == published.summary != ""
    assert FORBID not in str(record.after)


def test_it_supersedes_the_version_before(company: Company, crew: Group) -> None:
    owner = company.actors["owner"]
    first = publish(draft(company), owner)
    policy = first.policy
    second = policies.draft_version(actor=owner, policy=policy, text=PERMIT)
    assert not may_browse(company)
    publish(second, owner)
    assert may_browse(company)
    states = dict(policy.versions.values_list("number", "state"))
    assert states == {1: VersionState.SUPERSEDED, 2: VersionState.PUBLISHED}
    assert records(Event.POLICY_PUBLISHED)[-1].before["version"] == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [("permit (principal, action, resource);\npermit (", 2), (FORBID.replace("crew", "cew"), 1)],
)
def test_it_refuses_a_text_with_errors_and_says_where(
    company: Company, crew: Group, text: str, line: int
) -> None:
    version = draft(company, text)
    with pytest.raises(PolicyRefused, match=rf"line {line}, column") as refused:
        publish(version, company.actors["owner"])
    assert refused.value.extra["findings"][0]["line"] == line
    assert refused.value.hint
    version.refresh_from_db()
    assert version.state == VersionState.DRAFT
    assert version.text == text
    assert set_version(company) == 0


def test_it_refuses_what_its_own_tests_contradict(company: Company, crew: Group) -> None:
    version = draft(company, PERMIT, tests=PASSING)
    with pytest.raises(PolicyRefused, match=r"1 of 1 tests .* fail.*Expected deny, decided allow"):
        publish(version, company.actors["owner"])
    assert may_browse(company)
    with pytest.raises(PolicyRefused):
        submit(version, company.actors["owner"])


def test_it_warns_of_the_tests_of_others_that_it_would_fail(company: Company, crew: Group) -> None:
    owner = company.actors["owner"]
    open_ = [dict(test, expect="allow") for test in PASSING]
    publish(draft(company, PERMIT, name="open-house", tests=open_), owner)
    closing = draft(company, FORBID, name="closed-house", tests=PASSING)
    found = [one for one in examine(closing, actor=owner).findings if "open-house" in one.message]
    assert [(one.severity, "Expected allow, decided deny" in one.message) for one in found] == [
        ("warning", True)
    ]
    assert publish(closing, owner).state == VersionState.PUBLISHED
    again = policies.draft_version(actor=owner, policy=closing.policy, text=FORBID)
    findings = examine(again, actor=owner).findings
    assert not any("open-house" in one.message for one in findings)  # it fails already


def test_it_refuses_to_lock_out_every_owner(company: Company, second: Actor) -> None:
    everyone = 'forbid (principal, action == Action::"policy.publish", resource);'
    with pytest.raises(PolicyRefused, match="No owner of Ops could see flights"):
        publish(draft(company, everyone), company.actors["owner"])
    email = company.users["owner"].email
    one = f'forbid (principal == User::"{email}", action == Action::"policy.publish", resource);'
    publish(draft(company, one, name="only-one"), company.actors["owner"])


def test_it_never_changes_a_text_that_was_submitted(company: Company, crew: Group) -> None:
    owner = company.actors["owner"]
    version = submit(draft(company), owner)
    with pytest.raises(PolicyMovedOn, match="in review"):
        policies.change_draft(
            actor=owner, policy=version.policy, number=1, expected=version.etag, text=PERMIT
        )
    with pytest.raises(PolicyHasOpenVersion):
        policies.draft_version(actor=owner, policy=version.policy, text=PERMIT)
    with pytest.raises(PolicyMovedOn, match="fixed"):
        policies.change_policy(actor=owner, policy=version.policy, name="other")
    rejected = policies.reject_version(
        actor=owner, policy=version.policy, number=1, reason="A typing error."
    )
    assert (rejected.state, rejected.is_approved) == (VersionState.REJECTED, False)
    again = policies.draft_version(actor=owner, policy=version.policy)
    assert (again.number, again.text) == (2, FORBID)


def test_it_rolls_back_in_one_step_with_the_names_of_today(company: Company, crew: Group) -> None:
    owner = company.actors["owner"]
    policy = publish(draft(company), owner).policy
    publish(policies.draft_version(actor=owner, policy=policy, text=PERMIT), owner)
    Group.objects.filter(id=crew.id).update(name="cabin")
    back = policies.roll_back_policy(actor=owner, policy=policy, reason="Too wide.")
    assert (back.number, back.state) == (3, VersionState.PUBLISHED)
    assert back.text == FORBID.replace("crew", "cabin")
    assert shown_text(policy.versions.get(number=1)) == back.text
    assert not may_browse(company)
    (record,) = records(Event.POLICY_ROLLED_BACK)
    assert (record.before["version"], record.after["to"]) == (2, 1)
    with pytest.raises(PolicyMovedOn, match="no version 3"):
        policies.roll_back_policy(actor=owner, policy=policy, reason="again", to=3)


def test_it_refuses_a_draft_that_something_newer_overtook(company: Company, crew: Group) -> None:
    owner = company.actors["owner"]
    policy = publish(draft(company), owner).policy
    publish(policies.draft_version(actor=owner, policy=policy, text=PERMIT), owner)
    waiting = policies.draft_version(actor=owner, policy=policy, text=PERMIT + PERMIT)
    policies.roll_back_policy(actor=owner, policy=policy, reason="A leak.")
    with pytest.raises(PolicyMovedOn, match="came into force after"):
        publish(waiting, owner)
    assert not may_browse(company)


def test_it_ends_when_it_is_retired(company: Company, crew: Group) -> None:
    owner = company.actors["owner"]
    policy = publish(draft(company), owner).policy
    with pytest.raises(Invalid, match="say why"):
        policies.retire_policy(actor=owner, policy=policy, reason="")
    with pytest.raises(AccessDenied):
        policies.retire_policy(actor=company.actors["steward"], policy=policy, reason="x")
    retired = policies.retire_policy(actor=owner, policy=policy, reason="Not needed.")
    assert retired.state == VersionState.RETIRED
    assert may_browse(company)
    with pytest.raises(PolicyMovedOn):
        policies.retire_policy(actor=owner, policy=policy, reason="again")
    with pytest.raises(PolicyMovedOn, match="was in force"):
        policies.delete_policy(actor=owner, policy=policy)
    policies.roll_back_policy(actor=owner, policy=policy, reason="Needed after all.")
    assert not may_browse(company)


def test_it_loses_neither_text_when_two_change_a_draft(
    company: Company, crew: Group, second: Actor
) -> None:
    version = draft(company)
    seen = version.etag
    policies.change_draft(actor=second, policy=version.policy, number=1, expected=seen, text=PERMIT)
    with pytest.raises(PolicyChangedMeanwhile) as conflict:
        policies.change_draft(
            actor=company.actors["owner"], policy=version.policy, number=1, expected=seen,
            text="mine",
        )  # fmt: skip
    assert conflict.value.extra["current"]["text"] == PERMIT
    assert conflict.value.extra["yours"] == {"text": "mine"}
    with pytest.raises(PolicyChangedMeanwhile):
        publish(version, company.actors["owner"], expected=seen)
    policies.change_draft(
        actor=company.actors["owner"], policy=version.policy, number=1,
        expected=conflict.value.extra["current"]["etag"], text="mine",
    )  # fmt: skip
    assert version.policy.versions.get().text == "mine"


def test_it_keeps_a_discarded_text_in_the_ledger(company: Company, crew: Group) -> None:
    owner = company.actors["owner"]
    version = draft(company)
    policies.discard_draft(actor=owner, policy=version.policy, number=1, expected=version.etag)
    assert not Policy.objects.exists()
    (discarded, deleted) = records(Event.POLICY_DISCARDED, Event.POLICY_DELETED)
    assert discarded.before["text"] == FORBID
    assert deleted.target_label == "no-crew"


def test_it_retires_what_has_expired_and_tells_so(company: Company, crew: Group) -> None:
    ends = timezone.now() + timedelta(hours=1)
    policy = publish(draft(company, expires_at=ends), company.actors["owner"]).policy
    assert policies.retire_expired() == 0
    assert not may_browse(company)
    Policy.objects.filter(id=policy.id).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert policies.retire_expired() == 1
    assert policies.retire_expired() == 0
    assert may_browse(company)
    (record,) = records(Event.POLICY_RETIRED)
    assert record.actor_label == "upend"
    assert record.organization_id == company.organization.id
    assert "expired" in record.after["reason"]


@pytest.mark.parametrize("name", ["Mask Email", "", "a_b", "-a", "x" * 81])
def test_it_refuses_names_that_nobody_could_address(company: Company, name: str) -> None:
    with pytest.raises(Invalid, match="not a name for a policy"):
        draft(company, name=name)


def test_it_refuses_a_name_that_is_taken_and_a_time_that_has_passed(company: Company) -> None:
    draft(company)
    with pytest.raises(PolicyNameTaken):
        draft(company)
    with pytest.raises(Invalid, match="has passed"):
        draft(company, name="late", expires_at=timezone.now() - timedelta(days=1))


def test_it_lets_owners_of_a_catalog_govern_it_and_nothing_else(
    company: Company, crew: Group
) -> None:
    analyst = actor_for_user(company.users["analyst"])
    with pytest.raises(AccessDenied):
        draft(company, actor=analyst)
    Ownership.objects.create(
        organization=company.organization,
        securable_key=company.catalog.securable.key,
        owner=company.users["analyst"],
    )
    publish(draft(company, PERMIT, actor=analyst), analyst)
    with pytest.raises(AccessDenied):
        draft(company, actor=analyst, name="wider", scope=company.securable("workspace"))


def test_it_refuses_a_scope_of_another_workspace(company: Company) -> None:
    other = build_company("rail")
    with pytest.raises(AccessDenied):
        draft(company, scope=other.catalog.securable)
    with pytest.raises(Invalid, match="cannot hold for"):
        draft(company, actor=other.actors["owner"], scope=other.catalog.securable)


def test_it_shows_policies_only_to_who_may_browse_what_they_are_about(
    company: Company, crew: Group
) -> None:
    publish(draft(company), company.actors["owner"])
    draft(company, name="for-all", scope=company.securable("workspace"))

    def seen_by(actor: Actor) -> set[str]:
        return {policy.name for policy in visible_policies(actor, company.workspace)}

    analyst = actor_for_user(company.users["analyst"])
    assert seen_by(analyst) == {"for-all"}
    with pytest.raises(UnknownPolicy):
        find_policy(analyst, company.workspace, "no-crew")
    for role in ("owner", "steward", "auditor", "organization_auditor"):
        assert seen_by(company.actors[role]) == {"no-crew", "for-all"}
    assert seen_by(company.actors["member"]) == set()
    assert seen_by(build_company("rail").actors["owner"]) == set()


@pytest.mark.django_db(transaction=True)
def test_it_lets_one_of_two_publishers_win(company: Company, crew: Group, second: Actor) -> None:
    version = draft(company)
    before = set_version(company)
    gate = threading.Barrier(2)
    ended: list[str] = []

    def attempt(actor: Actor) -> None:
        try:
            gate.wait(timeout=300)
            ended.append(publish(version, actor).state)
        except PolicyMovedOn as moved:
            ended.append(moved.code)
        finally:
            connection.close()

    _at_once([lambda: attempt(company.actors["owner"]), lambda: attempt(second)])
    assert sorted(ended) == ["policy-moved-on", "published"]
    assert version.policy.versions.get().state == VersionState.PUBLISHED
    assert set_version(company) == max(before, 1) + 1
    assert len(records(Event.POLICY_PUBLISHED)) == 1


def _at_once(attempts: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=attempt) for attempt in attempts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=300)
