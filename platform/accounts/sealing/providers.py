"""Which key-encryption keys there are: one provider wraps, and each opens what names its scheme.

So an installation moves from one to another by changing `UPEND_KEY_PROVIDER`, wrapping anew, and
keeping the old one's settings until that is done.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import Lock

from django.conf import settings

from accounts.sealing import aws_kms, local, vault
from accounts.sealing.domain import Binding, KeyUnavailable, Provider, Wrapped

PROVIDERS: dict[str, Provider] = {
    "file": local.LocalKeys("file"),
    "environment": local.LocalKeys("environment"),
    "aws-kms": aws_kms.AwsKms(),
    "vault": vault.Vault(),
}
OPENED_BY = {local.SCHEME: "file", aws_kms.SCHEME: "aws-kms", vault.SCHEME: "vault"}
REMEMBERED_SECONDS = 300.0
"""How long a data key that was unwrapped elsewhere is kept in memory, to ask less often."""
REMEMBERED = 1000


def current_key() -> str:
    """Return the id of the key that wraps now. Raises `KeyUnavailable`."""
    return _configured().current()


def wrap(data_key: bytes, binding: Binding) -> Wrapped:
    """Wrap a data key for one place by the configured provider. Raises `KeyUnavailable`."""
    return _configured().wrap(data_key, binding)


def unwrap(wrapped: Wrapped, binding: Binding) -> bytes:
    """Return the data key, by the provider that wrapped it. Raises `KeyUnavailable`."""
    scheme = wrapped.key_id.partition(":")[0]
    provider = PROVIDERS.get(OPENED_BY.get(scheme, ""))
    if provider is None:
        message = f"The secret is wrapped by a key of an unknown kind: {scheme!r}."
        raise KeyUnavailable(message, hint="Is this version of Upend older than the database?")
    if scheme == local.SCHEME:
        return provider.unwrap(wrapped, binding)
    return _memory.opened(provider, wrapped, binding)


def _configured() -> Provider:
    try:
        return PROVIDERS[settings.KEY_PROVIDER]
    except KeyError:
        message = f"UPEND_KEY_PROVIDER is {settings.KEY_PROVIDER!r}."
        raise KeyUnavailable(message, hint=f"It is one of {', '.join(PROVIDERS)}.") from None


class _Memory:
    """Data keys that were unwrapped a moment ago: a manifest is signed for each query."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: OrderedDict[tuple[Wrapped, Binding], tuple[bytes, float]] = OrderedDict()

    def opened(self, provider: Provider, wrapped: Wrapped, binding: Binding) -> bytes:
        """Return the data key, from memory where it is fresh and of the same place."""
        place, now = (wrapped, binding), time.monotonic()
        with self._lock:
            data_key, until = self._held.get(place, (b"", 0.0))
        if now < until:
            return data_key
        data_key = provider.unwrap(wrapped, binding)
        with self._lock:
            self._held[place] = data_key, now + REMEMBERED_SECONDS
            while len(self._held) > REMEMBERED:
                self._held.popitem(last=False)
        return data_key


_memory = _Memory()
