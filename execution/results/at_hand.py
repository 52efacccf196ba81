"""Small results, kept a moment in the broker's memory for who waits for them.

The object in the bucket is the result, and it is whole before its query has succeeded. What is
here is the same bytes, so that whoever is told of the end has the rows in the same answer. It may
be gone at any time, and is sealed: who reads the broker reads no rows.
"""

from __future__ import annotations

from collections.abc import Callable

from redis.client import Pipeline

from api.broker import broker
from execution.sealed import opened, seal

MOST_BYTES = 128 * 2**10
"""What is larger is fetched from the bucket: it takes longer than the way there."""
SECONDS = 20
"""Who waited has it by then."""
PREFIX = "upend:results:"
KIND = "results at hand"


def kept(name: str, rows: bytes) -> Callable[[Pipeline], object] | None:
    """Return what keeps the Arrow file of a run under its `name`; None where it is large."""
    if len(rows) > MOST_BYTES:
        return None
    sealed = seal(KIND, name, rows)
    return lambda pipe: pipe.set(PREFIX + name, sealed, ex=SECONDS)


def take(name: str) -> bytes | None:
    """Return what is kept under `name`, None where nothing is."""
    found = broker().attempt(lambda client: client.get(PREFIX + name))
    return opened(KIND, name, found) if isinstance(found, bytes) else None
