"""The endpoints of rows: who may send them, in which forms, and what the answers promise."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from accounts.domain import Actor
from audit.domain import Event
from audit.models import AuditRecord
from catalog import lake
from catalog.ingest import wake
from catalog.services import ingest, jobs
from tests.cast import Cast
from tests.catalog.ingest import Shop
from workspaces.models import Membership

pytestmark = pytest.mark.django_db(transaction=True)

CATALOG = "/api/v1/workspaces/flight-ops/catalogs/shop"
ROWS = f"{CATALOG}/tables/main/t/rows"
ACTORS = ("owner", "steward", "analyst", "agent", "auditor", "outsider", "nobody")
TABLE: list[tuple[str, str, tuple[int, ...]]] = [
    ("POST", f"{ROWS}?ack=staged", (202, 202, 403, 403, 403, 404, 401)),
    ("PUT", f"{ROWS}?ack=staged&key=id", (202, 202, 403, 403, 403, 404, 401)),
    ("DELETE", f"{ROWS}?ack=staged&key=id", (202, 202, 403, 403, 403, 404, 401)),
    ("GET", f"{CATALOG}/batches/{{batch}}", (200, 404, 404, 404, 404, 404, 401)),
    ("GET", f"{ROWS}/settings", (200, 200, 200, 200, 200, 404, 401)),
    ("PUT", f"{ROWS}/settings", (200, 200, 403, 403, 403, 404, 401)),
]


def send(client: Client, body: str | bytes = '{"id": 1}', **given: Any) -> Any:
    address = ROWS + given.pop("query", "")
    kind = given.pop("form", "application/x-ndjson")
    verb = given.pop("verb", "POST")
    return client.generic(verb, address, data=body, content_type=kind, **given)


@pytest.fixture
def client(cast: Cast, signed_in: Callable[[Actor], Client]) -> Client:
    return signed_in(cast.actor("owner"))


def test_it_answers_each_actor(
    cast: Cast, shop: Shop, client: Client, signed_in: Callable[[Actor], Client]
) -> None:
    batch = send(client, query="?ack=staged").json()["id"]
    found, expected = {}, {}
    for verb, path, statuses in TABLE:
        for actor, status in zip(ACTORS, statuses, strict=True):
            who = Client() if actor == "nobody" else signed_in(cast.actor(actor))
            is_setting = path.endswith("settings")
            answer = who.generic(
                verb,
                path.format(batch=batch),
                data='{"schema": "strict"}' if is_setting else '{"id": 1}',
                content_type="application/json" if is_setting else "application/x-ndjson",
            )
            found[verb, path, actor] = answer.status_code
            expected[verb, path, actor] = status
    assert found == expected


def test_it_answers_with_the_commit(shop: Shop, client: Client) -> None:
    answers: list[Any] = []

    def wait() -> None:
        answers.append(send(client, headers={"Idempotency-Key": "k", "Prefer": "wait=30"}))
        connection.close()

    waiting = threading.Thread(target=wait)
    waiting.start()
    while not jobs.run_jobs(shop.catalog.id):
        waiting.join(timeout=0.05)
    waiting.join()
    again = send(client, headers={"Idempotency-Key": "k"})
    assert [a.status_code for a in (*answers, again)] == [200, 200]
    assert answers[0].json() == again.json()
    told = again.json()
    assert (told["state"], told["rows"], told["table"]) == ("committed", 1, "shop.main.t")
    assert client.get(again.headers["Location"]).json() == told


def test_it_says_that_rows_are_kept_where_the_commit_takes_longer(
    shop: Shop, client: Client
) -> None:
    answer = send(client, headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.json()["state"]) == (202, "waiting")
    shop.work()
    assert client.get(answer.headers["Location"]).json()["state"] == "committed"
    record = AuditRecord.objects.get(event=Event.ROWS_RECEIVED)
    assert record.target_label == "shop.main.t"
    assert record.after is not None
    assert (record.after["rows"], record.after["bytes"] > 0) == (1, True)


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"form": "application/xml"}, 415, "unknown-rows-format"),
    ({"body": "x" * 2000}, 413, "rows-too-large"),
    ({"query": "?ack=later"}, 422, "invalid"),
    ({"verb": "PUT"}, 422, "invalid"),
    ({"verb": "PUT", "query": "?key=nothing"}, 422, "rows-rejected"),
    ({"body": "\n", "form": "text/csv"}, 422, "rows-rejected"),
    ({"body": "junk", "form": "application/vnd.apache.arrow.stream"}, 422, "rows-rejected"),
    ({"body": '{"id": "no"}'}, 422, "rows-rejected"),
]


def test_it_says_what_is_wrong_and_takes_nothing(
    shop: Shop, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "INGEST_MAX_BYTES", 1000)
    for given, status, code in WRONG:
        answer = send(client, **given)
        assert (answer.status_code, answer.json()["code"]) == (status, code), given
        assert answer.json()["detail"]
    assert not shop.catalog.batches.exists()
    refused = AuditRecord.objects.filter(event=Event.INGEST_REJECTED).count()
    assert refused == sum(code == "rows-rejected" for *_, code in WRONG)


def test_it_asks_the_database_little_for_each_request(
    shop: Shop, owner: Actor, bearer: Callable[..., dict[str, str]], django_assert_num_queries: Any
) -> None:
    client = Client(headers=bearer(owner))
    send(client, query="?ack=staged")  # the table's columns are remembered from here on
    with django_assert_num_queries(5):
        # who sends, where to, how things stand, rights; the rows with their record
        assert send(client, query="?ack=staged").status_code == 202


def test_it_hides_a_catalog_from_who_may_not_browse_it_whatever_its_state(
    shop: Shop, cast: Cast, signed_in: Callable[[Actor], Client], client: Client
) -> None:
    lake.drop(shop.catalog)
    assert send(client).json()["code"] == "catalog-not-ready"
    Membership.objects.filter(user=cast.users["analyst"]).delete()
    answer = send(signed_in(cast.actor("analyst")))
    assert (answer.status_code, "shop" in answer.json()["detail"]) == (404, False)


def test_it_tells_who_comes_late_and_who_waits_of_an_end(shop: Shop) -> None:
    early, late = shop.send([{"id": 1}]), shop.send([{"id": 2}])
    heard: list[Any] = []

    def wait() -> None:
        heard.append(wake.waiting().wait(early.id, 30))

    waiting = threading.Thread(target=wait)
    waiting.start()
    shop.work()
    waiting.join()
    heard.append(wake.waiting().wait(late.id, 30))
    assert [found["state"] for found in heard] == ["committed", "committed"]
    assert wake.waiting().wait(late.id + 1, 0.01) is None


def test_it_is_told_of_rows_while_it_lingers() -> None:
    catalog_id = uuid4()
    with closing(wake.Lingering(catalog_id)) as lingering:
        assert not wake.rouse(catalog_id)
        assert lingering.heard(30)  # it looks once more from where it listens
        assert wake.rouse(catalog_id)
        assert wake.rouse(catalog_id)
        assert lingering.heard(30)
        while lingering.heard(0.05):
            pass
    assert not wake.rouse(catalog_id)


def test_it_takes_in_what_comes_while_it_lingers(
    shop: Shop, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[Any] = []
    monkeypatch.setattr(ingest, "publish", published.append)
    states = [send(client, query="?ack=staged").json()["state"]]
    assert published == [shop.catalog.id]

    class Sending(wake.Lingering):
        def heard(self, seconds: float) -> bool:
            looks = super().heard(seconds)
            if len(states) == 1:  # it listens already: nobody else needs to be told
                states.append(send(client, query="?ack=staged").json()["state"])
            return looks

    monkeypatch.setattr(wake, "Lingering", Sending)
    assert jobs.run_jobs(shop.catalog.id, linger_seconds=0.05) == len(states) == 2
    assert len(published) == 1
    assert len(shop.rows()) == 2
