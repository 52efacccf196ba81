"""Policies whose names lead nowhere: they deny, say so, are recorded, and can be mended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accounts.models import Group, ServiceAccount, User
from audit.domain import Event
from audit.models import AuditRecord
from governance import broken, tasks
from governance.domain import Action, PolicyKind
from governance.models import Policy, PolicySet, PolicyVersion, TagAssignment, TagDefinition

from .conftest import Company
from .publishing import PERMIT, access, ask, mask, publish
from .shelf import Shelf, checked


def publish_checked(company: Company, shelf: Shelf, text: str) -> Policy:
    """Check a mask of people and make it hold."""
    people = shelf.securables[1]
    found = checked(company, PolicyKind.MASK, text, people)
    assert found.findings == ()
    policy = publish(company, "m", PolicyKind.MASK, people, found.compiled)
    PolicyVersion.objects.filter(policy=policy).update(references=found.references)
    return policy


@pytest.mark.parametrize("gone", ["group", "service_account", "user", "tag"])
def test_it_breaks_a_policy_with_what_it_names(
    company: Company, shelf: Shelf, hr: Group, gone: str
) -> None:
    organization = company.organization
    pilot = User.objects.create(
        username="pilot", email="pilot@air.example", organization=organization
    )
    robot = ServiceAccount.objects.create(
        organization=organization, name="robot", created_by=company.users["owner"]
    )
    secret = TagDefinition.objects.create(organization=organization, name="secret")
    policy = publish_checked(
        company,
        shelf,
        "columns: [email, {tag: secret}]\nmethod: null\n"
        "except: [{group: hr}, {user: pilot@air.example}, {service_account: robot}]",
    )
    people, owner = shelf.securables[1], company.actors["owner"]
    assert ask(owner, people).allowed
    before = PolicySet.objects.get().version
    named = {"group": hr, "service_account": robot, "tag": secret, "user": pilot}[gone]
    name = str(named)
    named.delete()
    policy.refresh_from_db()
    assert name in policy.broken_because
    assert PolicySet.objects.get().version == before + 1
    decision = ask(owner, people)
    assert not decision.allowed
    assert name in decision.reason
    assert ask(owner, people, Action.CATALOG_BROWSE).allowed
    assert ask(owner, shelf.securables[2]).allowed
    record = AuditRecord.objects.filter(event=Event.POLICY_BROKEN).get()
    assert record.target_id == str(policy.id)


def test_it_breaks_nothing_of_another_organization(company: Company, shelf: Shelf) -> None:
    TagDefinition.objects.create(organization=company.organization, name="secret")
    policy = publish_checked(company, shelf, "columns: [{tag: secret}]\nmethod: null")
    other = type(company.organization).objects.create(name="Rail", slug="rail")
    TagDefinition.objects.create(organization=other, name="secret").delete()
    policy.refresh_from_db()
    assert policy.broken_because == ""


def test_it_marks_what_is_gone_from_the_catalog_and_mends_what_is_back(
    company: Company, shelf: Shelf
) -> None:
    policy = publish_checked(company, shelf, "columns: [email, region]\nmethod: null")
    people = shelf.securables[1]
    assert broken.recheck(company.workspace) == []
    shelf.securables[1] = replace(people, columns=people.columns[1:])
    assert [p.name for p in broken.recheck(company.workspace)] == ["m"]
    policy.refresh_from_db()
    assert policy.broken_because == "the column email is gone."
    assert broken.recheck(company.workspace) == []
    shelf.securables[1] = people
    assert broken.recheck(company.workspace) == []
    policy.refresh_from_db()
    assert policy.broken_because == ""
    assert ask(company.actors["owner"], people).allowed
    assert tasks.recheck_policies() == 0
    del shelf.securables[1]
    assert tasks.recheck_policies() == 1
    policy.refresh_from_db()
    assert "flights.main.people, for which it holds, is gone" in policy.broken_because


def test_it_denies_a_table_that_took_the_name_of_a_governed_one(
    company: Company, shelf: Shelf
) -> None:
    people, owner = shelf.securables[1], company.actors["owner"]
    publish(company, "m", PolicyKind.MASK, people, mask(people.columns[0]))
    publish(company, "p", PolicyKind.ACCESS, people, access(PERMIT))
    again = replace(people, key=f"table:{company.catalog.id}/another")
    decision = ask(owner, again)
    assert not decision.allowed
    assert "written for another table" in decision.reason
    assert ask(owner, again, Action.TABLE_APPEND).allowed
    renamed = replace(people, label="flights.main.old_people")
    assert ask(owner, renamed).obligations.masks


def test_it_forbids_a_namesake_what_was_forbidden(company: Company, shelf: Shelf) -> None:
    people, owner = shelf.securables[1], company.actors["owner"]
    publish(company, "p", PolicyKind.ACCESS, people, access(PERMIT))
    again = replace(people, key=f"table:{company.catalog.id}/another", columns=())
    assert ask(owner, again).allowed
    narrow = 'forbid (principal == User::"x", action == Action::"table.query", resource);'
    publish(company, "f", PolicyKind.ACCESS, people, access(narrow))
    assert ask(owner, people).allowed
    assert not ask(owner, again).allowed
    assert ask(owner, again, Action.TABLE_APPEND).allowed


def test_it_takes_a_tag_that_nothing_bears_for_no_loss(company: Company, shelf: Shelf) -> None:
    owner = company.actors["owner"]
    TagAssignment.objects.create(
        organization=company.organization, securable_key=company.table().key, tag="secret"
    )
    policy = publish_checked(company, shelf, "columns: [{tag: secret}, email]\nmethod: null")
    TagAssignment.objects.all().delete()
    assert broken.recheck(company.workspace) == []
    definition = TagDefinition.objects.create(organization=company.organization, name="secret")
    definition.delete()
    broken.recheck(company.workspace)
    policy.refresh_from_db()
    assert policy.broken_because == "the tag secret is gone."
    assert not ask(owner, shelf.securables[1]).allowed
    TagDefinition.objects.create(organization=company.organization, name="secret")
    broken.recheck(company.workspace)
    assert ask(owner, shelf.securables[1]).allowed
