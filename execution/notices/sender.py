"""Publishes notices without ever holding up, or failing, whoever has something to say."""

from __future__ import annotations

from api.broker import broker
from execution.notices.domain import Notice


def send(notice: Notice) -> bool:
    """Publish `notice` on the broker of the settings; tell whether it left."""
    heard = broker().attempt(lambda client: client.publish(notice.channel, notice.as_text()))
    return heard is not None
