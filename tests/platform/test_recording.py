"""The ledger: one record per service, denials after rollback, and no way to change the past."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import DatabaseError, transaction

from accounts import services as accounts
from accounts.authorization import NotAllowed, Verdict
from accounts.domain import Actor
from accounts.models import Group, Organization
from api import errors
from audit import services as audit
from audit import targets
from audit.domain import Event
from audit.models import AuditRecord
from tests.cast import Cast


def test_it_records_one_event_for_a_service(owner: Actor, cast: Cast) -> None:
    group = accounts.create_group(actor=owner, organization=cast.organization, name="pilots")

    record = AuditRecord.objects.get(event=Event.GROUP_CREATED)
    assert record.actor_id == owner.id
    assert record.target_id == str(group.id)
    assert record.request_id == "test-request"
    assert record.organization_id == cast.organization.id


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_auditrecord SET actor_label = 'someone else'", "DELETE FROM audit_auditrecord"],
)
def test_it_refuses_to_change_the_past(cast: Cast, statement: str) -> None:
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        transaction.get_connection().cursor() as cursor,
    ):
        cursor.execute(statement)


def test_it_records_a_denial_and_changes_nothing(analyst: Actor, cast: Cast) -> None:
    with pytest.raises(NotAllowed) as refused:
        accounts.create_group(actor=analyst, organization=cast.organization, name="mine")

    assert not Group.objects.exists()
    record = AuditRecord.objects.get(event=Event.DECISION_DENIED)
    assert record.actor_id == analyst.id
    assert record.decision is not None
    assert record.decision["action"] == "member.manage"
    assert refused.value.as_dict()["status"] == 403


@pytest.mark.django_db(transaction=True)
def test_it_records_a_nested_denial_once_after_the_outer_rollback(
    analyst: Actor, owner: Actor, cast: Cast
) -> None:
    @audit.service
    def outer(*, actor: Actor, organization: Organization) -> None:
        accounts.create_group(actor=owner, organization=organization, name="rolled back")
        accounts.create_group(actor=actor, organization=organization, name="denied")

    with pytest.raises(NotAllowed):
        outer(actor=analyst, organization=cast.organization)

    assert not Group.objects.exists()
    assert not AuditRecord.objects.filter(event=Event.GROUP_CREATED).exists()
    assert AuditRecord.objects.filter(event=Event.DECISION_DENIED).count() == 1


@pytest.mark.django_db(transaction=True)
def test_it_refuses_to_record_outside_a_transaction(owner: Actor, cast: Cast) -> None:
    with pytest.raises(audit.NotRecordable):
        audit.record(
            actor=owner,
            event=Event.GROUP_CREATED,
            target=targets.organization(cast.organization),
        )


def test_it_records_a_refused_read_where_it_is_shown_and_only_once(
    analyst: Actor, cast: Cast
) -> None:
    target = targets.organization(cast.organization)
    refused = NotAllowed(Verdict(False, "audit.read", "No."), actor=analyst, target=target)
    for _ in range(2):
        response = errors.handle(refused, {})

    assert response is not None
    assert response.status_code == 403
    assert AuditRecord.objects.filter(event=Event.DECISION_DENIED).count() == 1


RENAME = "UPDATE accounts_organization SET name = %s WHERE id = %s RETURNING id"


def rename(actor: Actor, organization: Organization, organization_id: object) -> bool:
    return audit.record_change(
        RENAME,
        ["Renamed", organization_id],
        actor=actor,
        event=Event.ORGANIZATION_CHANGED,
        target=targets.organization(organization),
        after={"name": "Renamed"},
    )


def test_it_records_a_change_by_the_statement_that_makes_it(owner: Actor, cast: Cast) -> None:
    assert rename(owner, cast.organization, cast.organization.id)
    cast.organization.refresh_from_db()
    assert cast.organization.name == "Renamed"
    record = AuditRecord.objects.get(event=Event.ORGANIZATION_CHANGED)
    assert (record.actor_id, record.after) == (owner.id, {"name": "Renamed"})


def test_it_records_nothing_where_there_was_nothing_to_change(owner: Actor, cast: Cast) -> None:
    assert not rename(owner, cast.organization, uuid4())
    assert not AuditRecord.objects.filter(event=Event.ORGANIZATION_CHANGED).exists()


@pytest.mark.django_db(transaction=True)
def test_it_changes_nothing_outside_a_transaction(owner: Actor, cast: Cast) -> None:
    with pytest.raises(audit.NotRecordable):
        rename(owner, cast.organization, cast.organization.id)
    cast.organization.refresh_from_db()
    assert cast.organization.name != "Renamed"
