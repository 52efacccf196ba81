"""Where a job leads: the object stores that its slices name, each looked up once and held to that.

Customers name servers. What a name is answered with is checked here and given to the relay, which
asks nobody again; an engine that breaks out reaches the stores of its own slices and no other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

from catalog.storage.endpoints import resolved
from execution.engine import reach
from execution.engine.domain import COPY
from execution.sandbox import Endpoint
from problems import Problem
from upend import slices as attaching

MAX_ENDPOINTS = 16
"""Far more stores than a query reads from; each costs an engine time as it starts."""


class TooManyStores(Problem):
    """The query reads from more object stores than one engine may reach."""

    code: ClassVar[str] = "too-many-stores"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The query reads from too many object stores"


def endpoints_of(slices: Iterable[dict[str, Any]]) -> tuple[Endpoint, ...]:
    """Return the endpoints that the URLs in `slices` lead to; Upend's own where they are no others.

    Copies that the job brings lead nowhere. Raises `TooManyStores`, or `EndpointRefused` where a
    name leads to what Upend may not be sent to.
    """
    own = {_place(one): one for one in reach.hosted()}
    paths = (path for path in attaching.paths(slices) if not path.startswith(COPY))
    urls = {_origin(path): path for path in paths}
    found = {_place(one): one for one in map(Endpoint.of_url, urls.values())}
    if len(found) > MAX_ENDPOINTS:
        raise TooManyStores(
            f"It reads from {len(found)} object stores; a query may read from {MAX_ENDPOINTS}.",
            hint="Ask for fewer catalogs at once.",
        )
    if found.keys() <= own.keys():
        return reach.hosted()
    return tuple(own.get(place) or _pinned(found[place]) for place in sorted(found))


def _pinned(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with the addresses it may be reached at. Raises `EndpointRefused`."""
    return replace(endpoint, addresses=resolved(endpoint.host, endpoint.port))


def _origin(url: str) -> str:
    """Return what of a URL says where it leads: scheme, host and port."""
    return "/".join(url.split("/", 3)[:3])


def _place(endpoint: Endpoint) -> tuple[str, int]:
    """Return where an endpoint is inside an engine's network: `localhost` is an address there."""
    return "127.0.0.1" if endpoint.host == "localhost" else endpoint.host, endpoint.port
