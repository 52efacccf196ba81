"""A broker that is away: Celery of this process is pointed at a closed port, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import celery
import pytest
from django.conf import settings
from kombu import pools

NOBODY = "redis://127.0.0.1:9/0"
SETTINGS = ("broker_url", "broker_write_url", "broker_read_url")


@pytest.fixture
def broker_away() -> Iterator[Callable[[], None]]:
    """Take the broker away for a test; calling the fixture's value brings it back sooner."""
    conf: Any = celery.current_app.conf
    known, ours = {name: getattr(conf, name) for name in SETTINGS}, settings.BROKER_URL

    def point(urls: dict[str, str], url: str) -> None:
        conf.update(urls)
        settings.BROKER_URL = url
        forget_connections()

    point(dict.fromkeys(SETTINGS, NOBODY), NOBODY)
    yield lambda: point(known, ours)
    point(known, ours)


def forget_connections() -> None:
    """Make Celery connect anew, as its settings say now."""
    app: Any = celery.current_app  # the stubs do not know what is private
    app._pool = None
    app.amqp._producer_pool = None
    pools.reset()
