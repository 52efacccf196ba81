"""Health: what is missing is said with a remedy, and stops nothing that still works."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from django.conf import settings
from django.test import Client

from accounts.domain import Actor
from config import health
from execution import presence
from tests.execution.queue import queue, waited
from workspaces.models import Workspace


def checks() -> dict[str, dict[str, Any]]:
    """Return the checks of an installation that serves, by name."""
    answer = Client().get("/health/ready")
    assert answer.status_code == 200
    found = {check["name"]: check for check in answer.json()["checks"]}
    is_whole = all(check["ok"] for check in found.values())
    assert answer.json()["status"] == ("ready" if is_whole else "degraded")
    return found


def test_it_names_the_workers_that_are_silent(db: None) -> None:
    presence.tell(name for name in presence.EXPECTED if name != presence.SWEEP)
    told = checks()["workers"]
    assert not told["ok"]
    assert told["detail"].endswith(": sweep.")
    assert "beat" in told["remedy"]
    presence.tell(presence.EXPECTED)
    assert checks()["workers"]["ok"]


def test_it_says_when_a_query_waits_for_long(analyst: Actor, workspace: Workspace) -> None:
    [query] = queue(workspace, analyst)
    assert checks()["queue"]["ok"]
    waited(query, 2 * health.LONG_WAIT_SECONDS)
    told = checks()["queue"]
    assert not told["ok"]
    assert told["remedy"]


def test_it_lives_without_anything_else() -> None:
    assert Client().get("/health/live").json() == {"status": "live"}


def test_it_says_no_address_and_no_secret(db: None) -> None:
    said = Client().get("/health/ready").content.decode()
    kept = [settings.DATABASE_URL, settings.BROKER_URL, *settings.S3.values()]
    assert not [secret for secret in kept if len(secret) > 8 and secret in said]


@pytest.fixture(autouse=True)
def _forget_presence() -> None:
    with redis.Redis(connection_pool=presence._pool()) as broker:
        broker.delete(*[f"{presence.KEY}{name}" for name in presence.EXPECTED])
