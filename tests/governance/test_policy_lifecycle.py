"""The life of a policy: drafted, reviewed by a second person, in force, rolled back, ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.domain import Actor, OrganizationRole
from accounts.models import Group
from accounts.selectors import actor_for_user
from audit.domain import Event
from audit.models import AuditRecord
from governance import services as governance
from governance.domain import Action, PolicyKind, Securable, VersionState
from governance.examination import PolicyRefused, shown_text
from governance.models import Ownership, Policy, PolicySet, PolicyVersion
from governance.policy_selectors import UnknownPolicy, find_policy, is_loud, visible_policies
from governance.services import AccessDenied, policies
from governance.services.policies.drafts import PolicyHasOpenVersion, PolicyNameTaken
from governance.services.policies.publishing import PolicyNeedsApproval
from governance.services.policies.review import PolicyNeedsSecondPerson
from governance.services.policies.rows import PolicyChangedMeanwhile, PolicyMovedOn
from problems import Invalid
from workspaces.domain import WorkspaceRole

from .conftest import Company, _person, build_company

FORBID = 'forbid (principal in Group::"crew", action == Action::"catalog.browse", resource);\n'
PERMIT = 'permit (principal in Group::"crew", action == Action::"catalog.browse", resource);\n'
PASSING = [
    {
        "principal": "analyst@air.example",
        "action": "catalog.browse",
        "on": "flights",
        "expect": "deny",
    }
]


@pytest.fixture
def crew(company: Company) -> Group:
    """Return a group with the analyst in it."""
    group = Group.objects.create(organization=company.organization, name="crew")
    group.users.add(company.users["analyst"])
    return group


@pytest.fixture
def second(company: Company) -> Actor:
    """Return another owner of the workspace."""
    _person(company, "second", OrganizationRole.MEMBER, WorkspaceRole.OWNER)
    return company.actors["second"]


def draft(
    company: Company, text: str = FORBID, name: str = "no-crew", **given: object
) -> PolicyVersion:
    """Begin a policy on the catalog."""
    arguments: dict[str, object] = {
        "actor": company.actors["owner"],
        "workspace": company.workspace,
        "name": name,
        "kind": PolicyKind.ACCESS,
        "scope": company.catalog.securable,
        "text": text,
    }
    return policies.create_policy(**(arguments | given))  # type: ignore[arg-type]


def publish(version: PolicyVersion, actor: Actor, **given: object) -> PolicyVersion:
    """Publish a version."""
    return policies.publish_policy(
        actor=actor,
        policy=version.policy,
        number=version.number,
        **given,  # type: ignore[arg-type]
    )


def submit(version: PolicyVersion, actor: Actor) -> PolicyVersion:
    """Submit a version as it is."""
    return policies.submit_version(
        actor=actor, policy=version.policy, number=version.number, expected=version.etag
    )


def may_browse(company: Company, securable: Securable | None = None) -> bool:
    """Tell whether the analyst, as they are now, may browse."""
    analyst = actor_for_user(company.users["analyst"])
    where = securable or company.catalog.securable
    return governance.decide(analyst, Action.CATALOG_BROWSE, where).allowed


def set_version(company: Company) -> int:
    """Return the number of what holds in the workspace."""
    held = PolicySet.objects.filter(workspace=company.workspace).first()
    return held.version if held else 0


def records(*events: Event) -> list[Any]:
    return list(AuditRecord.objects.filter(event__in=events).order_by("id"))


def ask_for_two(company: Company) -> None:
    policies.set_requires_approval(
        actor=company.actors["owner"], workspace=company.workspace, required=True
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


def test_it_refuses_to_lock_out_every_owner(company: Company, second: Actor) -> None:
    everyone = 'forbid (principal, action == Action::"policy.publish", resource);'
    with pytest.raises(PolicyRefused, match="No owner of Ops could see flights"):
        publish(draft(company, everyone), company.actors["owner"])
    email = company.users["owner"].email
    one = f'forbid (principal == User::"{email}", action == Action::"policy.publish", resource);'
    publish(draft(company, one, name="only-one"), company.actors["owner"])


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
            gate.wait(timeout=30)
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
        thread.join(timeout=60)
