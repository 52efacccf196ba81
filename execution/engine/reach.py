"""What engines of this installation may reach: Upend's own object storage, and nothing else."""

from __future__ import annotations

import threading
from functools import lru_cache

from django.conf import settings

from execution import sandbox
from execution.engine import scratch as scratch_

_probing = threading.Lock()


def endpoints() -> tuple[sandbox.Endpoint, ...]:
    """Return the endpoints that URLs in slices for server engines lead to."""
    return (sandbox.Endpoint.of_url(settings.S3["endpoint"]),)


def egress() -> sandbox.Egress:
    """Return this process's relay to them."""
    return sandbox.shared_egress(endpoints())


def policy(*, scratch: str) -> sandbox.Policy:
    """Return what one engine keeps: its scratch directory and the way to the store."""
    return sandbox.Policy(
        scratch=scratch,
        endpoints=endpoints(),
        without=probed().without,
        require_full=settings.REQUIRE_FULL_ISOLATION,
    )


def binder_policy() -> sandbox.Policy:
    """Return what a binder keeps: nothing."""
    return sandbox.Policy(
        without=probed().without, require_full=settings.REQUIRE_FULL_ISOLATION, descriptors=()
    )


def probed() -> sandbox.Probed:
    """Return what this host gives an engine, found out once per process."""
    with _probing:
        return _probe()


@lru_cache(maxsize=1)
def _probe() -> sandbox.Probed:
    directory = scratch_.create()
    try:
        return sandbox.probe(sandbox.Policy(scratch=str(directory), endpoints=endpoints()))
    finally:
        scratch_.remove(directory)
