"""Tags and owners: who may change them, and what the ledger keeps of it."""

from __future__ import annotations

import pytest

from accounts.domain import Actor
from audit.domain import Event
from audit.models import AuditRecord
from governance import selectors
from governance import services as governance
from governance.domain import Action
from governance.models import TagAssignment
from problems import Invalid

from .conftest import APPROVED, Company


def records(event: Event) -> list[tuple[object, object]]:
    return list(AuditRecord.objects.filter(event=event).values_list("before", "after"))


def test_it_tags_a_table_and_records_before_and_after(company: Company) -> None:
    table, steward = company.table(), company.actors["steward"]
    governance.assign_tag(actor=steward, securable=table, tag="finance")
    governance.assign_tag(actor=steward, securable=table, tag="personal-data")
    assert selectors.tags_of([table])[table.key] == {"finance", "personal-data"}
    assert sorted(records(Event.TAG_ASSIGNED)) == [
        ([], ["finance"]),
        (["finance"], ["finance", "personal-data"]),
    ]
    record = AuditRecord.objects.filter(event=Event.TAG_ASSIGNED).latest("id")
    assert (record.target_kind, record.target_label) == ("table", "flights.main.flights")
    assert record.workspace_id == company.workspace.id


def test_it_assigns_a_tag_twice_without_harm(company: Company) -> None:
    for _ in range(2):
        governance.assign_tag(
            actor=company.actors["owner"], securable=company.table(), tag="finance"
        )
    assert TagAssignment.objects.count() == 1


def test_it_changes_local_decisions_at_once(company: Company) -> None:
    steward, table = company.on("steward", APPROVED), company.table()
    assert governance.decide(steward, Action.TABLE_MATERIALIZE_LOCALLY, table).allowed
    governance.assign_tag(actor=steward, securable=company.catalog.securable, tag="personal-data")
    assert not governance.decide(steward, Action.TABLE_MATERIALIZE_LOCALLY, table).allowed
    governance.remove_tag(actor=steward, securable=company.catalog.securable, tag="personal-data")
    assert governance.decide(steward, Action.TABLE_MATERIALIZE_LOCALLY, table).allowed
    assert records(Event.TAG_REMOVED) == [(["personal-data"], [])]


def test_it_tells_own_tags_from_inherited_ones(company: Company) -> None:
    table = company.table()
    owner = company.actors["owner"]
    governance.assign_tag(actor=owner, securable=company.securable("workspace"), tag="internal")
    governance.assign_tag(actor=owner, securable=table, tag="finance")
    assert selectors.tags_of([table]) == {table.key: {"finance", "internal"}}
    assert selectors.assigned_tags_of([table]) == {table.key: {"finance"}}
    with pytest.raises(Invalid, match="does not itself bear"):
        governance.remove_tag(actor=owner, securable=table, tag="internal")


@pytest.mark.parametrize("tag", ["", "Personal", "personal data", "-x", "x-", "a" * 61, "é"])
def test_it_refuses_what_is_not_a_tag(company: Company, tag: str) -> None:
    with pytest.raises(Invalid):
        governance.assign_tag(actor=company.actors["owner"], securable=company.table(), tag=tag)
    assert not TagAssignment.objects.exists()


@pytest.mark.parametrize("role", ["analyst", "auditor", "member", "agent", "organization_auditor"])
def test_it_refuses_to_tag_without_the_right_and_records_the_refusal(
    company: Company, role: str
) -> None:
    actor, table = company.actors[role], company.table()
    with pytest.raises(governance.AccessDenied) as refused:
        governance.assign_tag(actor=actor, securable=table, tag="finance")
    document = refused.value.as_dict()
    assert (document["status"], document["code"]) == (403, "access-denied")
    assert document["decision"]["action"] == "table.tag"
    assert document["owner"]["email"] == company.users["owner"].email
    assert company.users["owner"].email in document["hint"]
    record = AuditRecord.objects.get(event=Event.DECISION_DENIED)
    assert record.decision == document["decision"]
    assert (record.actor_id, record.target_id) == (actor.id, table.key.partition(":")[2])


def test_it_names_the_owner_it_was_given(company: Company, stranger: Actor) -> None:
    table, owner = company.table(), company.actors["owner"]
    governance.set_owner(actor=owner, securable=table, owner=company.users["steward"])
    governance.set_owner(actor=owner, securable=table, owner=company.users["analyst"])
    assert records(Event.OWNER_CHANGED) == [
        ("steward@air.example", "analyst@air.example"),
        (None, "steward@air.example"),
    ]
    refusal = governance.decide(company.actors["member"], Action.TABLE_QUERY, table)
    assert "analyst@air.example can grant it" in refusal.reason


def test_it_gives_no_ownership_outside_the_organization(company: Company, stranger: Actor) -> None:
    outsider = type(company.users["owner"]).objects.get(id=stranger.id)
    with pytest.raises(Invalid, match="does not belong"):
        governance.set_owner(
            actor=company.actors["owner"], securable=company.table(), owner=outsider
        )


def test_it_lets_a_steward_tag_but_not_choose_owners(company: Company) -> None:
    with pytest.raises(governance.AccessDenied):
        governance.set_owner(
            actor=company.actors["steward"],
            securable=company.table(),
            owner=company.users["steward"],
        )
