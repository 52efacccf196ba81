"""What an engine is held to: its scratch directory, and the object stores it is started for.

The binder's process imports this too: no Django here but its settings.
"""

from __future__ import annotations

import os
import threading
from functools import lru_cache

from django.conf import settings

from execution import sandbox
from execution.engine import filecache
from execution.engine import scratch as scratch_
from execution.engine.filecache import FileCache

_probing = threading.Lock()
_caching = threading.Lock()
_caches: dict[int, FileCache | None] = {}


def hosted() -> tuple[sandbox.Endpoint, ...]:
    """Return the endpoint of Upend's own object store: what engines that wait may reach."""
    return (sandbox.Endpoint.of_url(settings.S3["endpoint"]),)


def egress() -> sandbox.Egress:
    """Return this process's relay."""
    return sandbox.shared_egress()


def policy(
    *, scratch: str, endpoints: tuple[sandbox.Endpoint, ...] | None = None
) -> sandbox.Policy:
    """Return what one engine keeps: its scratch directory and the way to its stores."""
    return sandbox.Policy(
        scratch=scratch,
        endpoints=hosted() if endpoints is None else endpoints,
        without=probed().without,
        require_full=settings.REQUIRE_FULL_ISOLATION,
    )


def binder_policy() -> sandbox.Policy:
    """Return what a binder keeps: nothing."""
    return sandbox.Policy(
        without=probed().without, require_full=settings.REQUIRE_FULL_ISOLATION, descriptors=()
    )


def file_cache() -> FileCache | None:
    """Return this process's copies of files; None where there are to be none, or can be none."""
    with _caching:
        if os.getpid() not in _caches:
            is_wanted = settings.FILE_CACHE_BYTES > 0 and filecache.is_possible()
            _caches[os.getpid()] = FileCache(settings.FILE_CACHE_BYTES) if is_wanted else None
        return _caches[os.getpid()]


def probed() -> sandbox.Probed:
    """Return what this host gives an engine, found out once per process."""
    with _probing:
        return _probe()


@lru_cache(maxsize=1)
def _probe() -> sandbox.Probed:
    directory = scratch_.create()
    try:
        return sandbox.probe(sandbox.Policy(scratch=str(directory), endpoints=hosted()))
    finally:
        scratch_.remove(directory)
