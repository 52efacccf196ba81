"""What the console says of the parts that run queries, without trusting any cache."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from celery import Celery, current_app
from django.test import Client

from accounts.domain import Actor
from console import status


def test_it_knows_a_broker_that_is_away() -> None:
    away = Celery(broker="redis://127.0.0.1:1/0", set_as_current=False)
    away.conf.broker_transport_options = {"socket_connect_timeout": 0.2}
    away.conf.broker_connection_retry = False
    assert status.ask(away) == status.Status(broker=False, queues=frozenset())


def test_it_knows_a_broker_without_workers() -> None:
    assert status.ask(current_app) == status.Status(broker=True, queues=frozenset())


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (status.Status(broker=False, queues=frozenset()), "broker does not answer"),
        (status.Status(broker=True, queues=frozenset({"catalog"})), "No query worker answers"),
        (status.Status(broker=True, queues=frozenset({"query"})), "No catalog worker answers"),
    ],
)
def test_it_says_that_nothing_is_lost(
    found: status.Status,
    words: str,
    analyst: Actor,
    signed_in: Callable[[Actor], Client],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(status, "_last", (float("inf"), found))
    text = signed_in(analyst).get("/status").content.decode()
    assert words in text
    assert "nothing is lost" in text


def test_it_is_quiet_where_all_is_well(
    analyst: Actor, signed_in: Callable[[Actor], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    well = status.Status(broker=True, queues=frozenset({"catalog", "query"}))
    monkeypatch.setattr(status, "_last", (float("inf"), well))
    assert "banner" not in signed_in(analyst).get("/status").content.decode()
