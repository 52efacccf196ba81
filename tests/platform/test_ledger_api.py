"""Reading the ledger: filters, pages, exports, and who sees what."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

from django.test import Client

from accounts import services as accounts
from accounts.domain import Actor
from accounts.models import User
from audit.domain import Event
from audit.models import AuditRecord
from tests.cast import PASSWORD, Cast

EVENTS = "/api/v1/events"


def labels(answer: object) -> list[str]:
    return [row["event"] for row in answer.json()["results"]]  # type: ignore[attr-defined]


def test_it_filters_by_event_actor_target_and_time(
    owner: Actor, cast: Cast, signed_in: Callable[[Actor], Client]
) -> None:
    client = signed_in(owner)
    group = accounts.create_group(actor=owner, organization=cast.organization, name="=pilots")
    since = AuditRecord.objects.get(event=Event.GROUP_CREATED).recorded_at.isoformat()

    assert labels(client.get(EVENTS, {"event": "group"})) == ["group.created"]
    assert labels(client.get(EVENTS, {"event": "group.created"})) == ["group.created"]
    assert labels(client.get(EVENTS, {"actor": owner.label, "event": "group"})) == ["group.created"]
    assert "group.created" in labels(client.get(EVENTS, {"actor": str(owner.id)}))
    assert labels(client.get(EVENTS, {"target": str(group.id)})) == ["group.created"]
    assert labels(client.get(EVENTS, {"target": "group"})) == ["group.created"]
    assert labels(client.get(EVENTS, {"since": since})) == ["group.created"]
    assert "group.created" not in labels(client.get(EVENTS, {"until": since}))
    assert client.get(EVENTS, {"since": "yesterday"}).status_code == 422


def test_it_pages_by_cursor_without_losing_a_row(
    owner: Actor, cast: Cast, signed_in: Callable[[Actor], Client]
) -> None:
    client = signed_in(owner)
    expected = list(
        AuditRecord.objects.filter(organization=cast.organization).values_list("id", flat=True)
    )
    found: list[int] = []
    url: str | None = f"{EVENTS}?page_size=4"
    while url:
        page = client.get(url).json()
        found += [row["id"] for row in page["results"]]
        url = page["next"]
    assert found == expected


def test_it_shows_members_only_what_they_did(
    analyst: Actor, outsider: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    seen = signed_in(analyst).get(EVENTS).json()["results"]
    assert {row["actor_id"] for row in seen} == {str(analyst.id)}
    foreign = signed_in(outsider).get(EVENTS).json()["results"]
    assert "Demo Air" not in json.dumps(foreign)


def test_it_exports_and_records_the_export(
    owner: Actor, cast: Cast, signed_in: Callable[[Actor], Client]
) -> None:
    client = signed_in(owner)
    accounts.create_group(actor=owner, organization=cast.organization, name="=HYPERLINK()")

    lines = client.get(f"{EVENTS}/export").getvalue().decode().splitlines()
    assert json.loads(lines[0])["event"] == Event.AUDIT_EXPORTED
    text = client.get(f"{EVENTS}/export", {"format": "csv", "event": "group"}).getvalue().decode()
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["target_label"] == "'=HYPERLINK()"
    assert AuditRecord.objects.filter(event=Event.AUDIT_EXPORTED).count() == 2


def test_it_records_a_login(cast: Cast) -> None:
    form = {"login": "analyst@demo-air.example", "password": PASSWORD}
    answer = Client().post("/accounts/login/", form)

    assert answer.status_code == 302
    record = AuditRecord.objects.get(event=Event.USER_LOGGED_IN)
    assert record.actor_label == "analyst@demo-air.example"
    assert record.request_id
    assert record.address == "127.0.0.1"
    assert User.objects.get(email=record.actor_label).last_login is not None
