"""Celery's way to Valkey, with one thing mended: a closed connection is a lost one.

When the broker is killed, kombu closes the connection while timers and threads still hold its
channels. What they do next asks the closed connection for its address, and kombu 5.7 answers by
`AttributeError: 'NoneType' object has no attribute 'hostname'`: Celery takes that for a fault of
the program and ends the worker, where it connects anew after an error of the connection.
Source: https://github.com/celery/kombu/issues/582.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import redis


class Channel(redis.Channel):
    """A channel that says so where its connection was closed."""

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.connection is None or self.connection.client is None:
            raise ConnectionError("the connection to the broker was closed")
        return super()._connparams(asynchronous=asynchronous)  # type: ignore[misc]  # the stubs end before it


class Transport(redis.Transport):
    """The transport that the settings name."""

    Channel = Channel
