"""Engines that get their slices ahead of their queries, without the clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api import broker as brokers
from api.broker import broker
from execution import foreseen
from execution.engine import services as engine
from execution.engine.process import Engine
from tests.patience import LONG_SECONDS


@pytest.fixture(autouse=True)
def spares(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let two engines wait, and nothing end by the clock: planning may take long here."""
    monkeypatch.setattr("execution.engine.sessions.AHEAD_SECONDS", 600)
    monkeypatch.setattr("execution.engine.sessions.LAPSE_SECONDS", 600)
    monkeypatch.setattr(engine, "AHEAD_SECONDS", 600)
    monkeypatch.setattr(foreseen, "SECONDS", 600)
    monkeypatch.setattr(brokers, "LONGEST_SECONDS", LONG_SECONDS)
    forget_broker()  # one that did not answer another test would be asked nothing for a while
    forget_told()  # nor is what another test told heard here
    engine.discard_spare()
    engine._sessions._lapsed_at.clear()
    engine.keep_spare()
    yield
    engine.discard_spare()
    forget_told()
    forget_broker()


def forget_told() -> None:
    """Leave nothing to hear."""
    broker().attempt(lambda client: client.delete(foreseen.KEY))


def forget_broker() -> None:
    """Have the next question ask anew, by a connection of its own."""
    broker()._redis.close()
    brokers._broker.cache_clear()


def waiting() -> list[Engine]:
    """Return the engines that have a slice and no query yet."""
    return [one.engine for one in engine._sessions._waiting if one.is_ahead]
