"""Publishes notices without ever holding up, or failing, whoever has something to say."""

from __future__ import annotations

from collections.abc import Callable

import redis
from redis.client import Pipeline

from api.broker import broker
from execution.notices.domain import Notice


def send(notice: Notice, first: Callable[[Pipeline], object] | None = None) -> bool:
    """Publish `notice` on the broker of the settings; tell whether it left.

    What `first` does with the broker is done when the notice is heard, and goes the same way.
    """

    def tell(client: redis.Redis) -> object:
        if first is None:
            return client.publish(notice.channel, notice.as_text())
        with client.pipeline(transaction=False) as pipe:
            first(pipe)
            pipe.publish(notice.channel, notice.as_text())
            return pipe.execute()

    return broker().attempt(tell) is not None
