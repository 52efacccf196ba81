"""Puts a small object by one request that is signed here: botocore takes twice the time for one.

What is not taken at once is botocore's to send: it tries again, and says what is wrong.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.request import getproxies

from urllib3 import PoolManager, Timeout
from urllib3.exceptions import HTTPError

from catalog.storage.location import Credentials, Location
from catalog.storage.signing import authorized

CONNECT_SECONDS = 1.0
READ_SECONDS = 10.0
CONNECTIONS = 16
PROXIES = frozenset({"all", "http", "https"})
REST_SECONDS = 60.0
"""After a failure nothing is tried for so long: a storage that hangs costs a worker 10 s a minute,
beside what botocore waits for it."""


class Sender:
    """Kept connections to one bucket. Threads may share it."""

    def __init__(self, location: Location, credentials: Callable[[], Credentials]) -> None:
        self._location, self._credentials = location, credentials
        self._pool = PoolManager(
            retries=False,
            timeout=Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            maxsize=CONNECTIONS,
            ca_certs=os.environ.get("AWS_CA_BUNDLE"),
        )
        is_proxied = not PROXIES.isdisjoint(getproxies())  # botocore knows when to ask them
        self._rests_until = float("inf") if is_proxied else 0.0

    def put(self, key: str, content: bytes, headers: Mapping[str, str]) -> bool:
        """Store `content` under `key`; False where it has to be sent another way."""
        if time.monotonic() < self._rests_until:
            return False
        url, signed = authorized(self._location, self._credentials(), "PUT", key, headers=headers)
        try:
            answer = self._pool.request("PUT", url, body=content, headers=signed, redirect=False)
            is_taken = answer.status == HTTPStatus.OK
        except HTTPError:
            is_taken = False
        if not is_taken:
            self._rests_until = time.monotonic() + REST_SECONDS
        return is_taken
