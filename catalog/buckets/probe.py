"""What the steps of a check share: the bucket, its store, and what they leave for one another."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from urllib.parse import urlsplit

from urllib3 import BaseHTTPResponse, PoolManager
from urllib3.exceptions import HTTPError

from catalog.buckets.advice import Documents
from catalog.buckets.report import Failed
from catalog.domain import AddressingStyle
from catalog.models import Bucket
from catalog.storage import Credentials, Store
from catalog.storage.customer import make_store
from catalog.storage.guard import plain_client

CONTENT = b"Upend checks that it can read what it wrote: 0123456789"


@dataclass
class Probe:
    """One bucket under examination by one key. `origin` is where the console is served from."""

    bucket: Bucket
    key: Credentials | None
    origin: str
    now: Callable[[], datetime]
    addresses: tuple[str, ...] = ()
    """Where the endpoint is, once the first step has found and checked that."""
    readable: str = ""
    """The key of an object that the later steps may read; empty where there is none."""
    size: int = 0
    http: PoolManager = field(
        default_factory=lambda: plain_client(connect_seconds=3, read_seconds=8)
    )
    folder: str = field(default_factory=lambda: f".upend-check-{secrets.token_hex(8)}/")

    @cached_property
    def store(self) -> Store:
        """Return the store; made when first asked for, since it may borrow keys."""
        return make_store(self.bucket, self.key, is_hurried=True)

    @property
    def inside(self) -> str:
        """Return the folder that the check writes into, and leaves empty."""
        return f"{self.bucket.prefix}{self.folder}"

    @property
    def host(self) -> str:
        """Return the host that requests for the bucket go to."""
        host = urlsplit(self.bucket.endpoint).hostname or ""
        is_virtual = self.bucket.addressing_style == AddressingStyle.VIRTUAL
        return f"{self.bucket.bucket_name}.{host}" if is_virtual else host

    @property
    def port(self) -> int:
        """Return the port that they go to."""
        parts = urlsplit(self.bucket.endpoint)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def is_encrypted(self) -> bool:
        """Tell whether requests go over TLS."""
        return self.bucket.endpoint.startswith("https:")

    @property
    def documents(self) -> Documents:
        """Return what can be pasted into the provider's console."""
        of = self.bucket
        return Documents(
            of.bucket_name,
            of.prefix,
            of.region,
            of.is_read_only,
            of.external_id,
            self.origin,
            of.provider,
            is_session=bool(self.key and self.key.session_token),
        )

    def ask(self, method: str, url: str, headers: dict[str, str] | None = None) -> BaseHTTPResponse:
        """Send one request without keys or redirects. Raises `Failed` where nothing answers."""
        try:
            return self.http.request(method, url, headers=headers, redirect=False)
        except HTTPError as error:
            found = f"{urlsplit(url).netloc} did not answer: {type(error).__name__}."
            raise Failed(found, "Is the address right, and its port open to us?") from error
