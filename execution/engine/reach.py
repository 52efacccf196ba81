"""What an engine may reach: the object stores that its slices lead to, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, ClassVar

from django.conf import settings

from execution import sandbox
from execution.engine import scratch as scratch_
from problems import Problem
from upend import slices as attaching

MAX_ENDPOINTS = 16
"""Far more buckets than a query reads, and few enough that an engine is still started at once."""

_probing = threading.Lock()


class TooManyStores(Problem):
    """The query reads from more object stores than one engine may reach."""

    code: ClassVar[str] = "too-many-stores"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The query reads from too many object stores"


def hosted() -> tuple[sandbox.Endpoint, ...]:
    """Return the endpoint of Upend's own object store: what engines that wait may reach."""
    return (sandbox.Endpoint.of_url(settings.S3["endpoint"]),)


def endpoints_of(slices: Iterable[dict[str, Any]]) -> tuple[sandbox.Endpoint, ...]:
    """Return the endpoints that the URLs in `slices` lead to; Upend's own where they are no others.

    Raises `TooManyStores`.
    """
    own = hosted()
    urls = {_origin(path): path for path in attaching.paths(slices)}
    found = {_place(one): one for one in map(sandbox.Endpoint.of_url, urls.values())}
    if len(found) > MAX_ENDPOINTS:
        raise TooManyStores(
            f"It reads from {len(found)} object stores; a query may read from {MAX_ENDPOINTS}.",
            hint="Ask for fewer catalogs at once.",
        )
    if found.keys() <= {_place(one) for one in own}:
        return own
    return tuple(found[place] for place in sorted(found))


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


def probed() -> sandbox.Probed:
    """Return what this host gives an engine, found out once per process."""
    with _probing:
        return _probe()


def _origin(url: str) -> str:
    """Return what of a URL says where it leads: scheme, host and port."""
    return "/".join(url.split("/", 3)[:3])


def _place(endpoint: sandbox.Endpoint) -> tuple[str, int]:
    """Return where an endpoint is inside an engine's network: `localhost` is an address there."""
    return "127.0.0.1" if endpoint.host == "localhost" else endpoint.host, endpoint.port


@lru_cache(maxsize=1)
def _probe() -> sandbox.Probed:
    directory = scratch_.create()
    try:
        return sandbox.probe(sandbox.Policy(scratch=str(directory), endpoints=hosted()))
    finally:
        scratch_.remove(directory)
