"""The keys of a writer's engine: the lake's for its own prefix, Upend's for what was staged.

Each reaches one prefix, so that a statement that names any other object finds no key for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from catalog.writer.quoting import quoted_text

if TYPE_CHECKING:
    from catalog.storage import Store

Given = dict[str, str]


def given(store: Store, prefix: str) -> Given:
    """Return what a writer's process is told of a store, to use below `prefix` alone.

    Hand it to the process's stdin and nowhere else. A customer's store is reached through
    `catalog.writer.gateway`, which hands out no keys.
    """
    location, keys = store.location, store.credentials
    return {
        "endpoint": location.endpoint,
        "region": location.region,
        "style": location.style.value,
        "scope": f"s3://{location.bucket}/{prefix}",
        "access_key_id": keys.access_key_id,
        "secret_access_key": keys.secret_access_key,
        "session_token": keys.session_token,
    }


def secret(name: str, given: Given) -> str:
    """Return the statement that makes an engine use the keys below their scope."""
    endpoint = urlsplit(given["endpoint"])
    members = {
        "KEY_ID": given["access_key_id"],
        "SECRET": given["secret_access_key"],
        "SESSION_TOKEN": given["session_token"],
        "REGION": given["region"],
        "ENDPOINT": endpoint.netloc,
        "URL_STYLE": "path" if given["style"] == "path" else "vhost",
        "SCOPE": given["scope"],
    }
    spelled = ", ".join(f"{key} {quoted_text(text)}" for key, text in members.items() if text)
    is_tls = "true" if endpoint.scheme == "https" else "false"
    return f"CREATE SECRET {name} (TYPE s3, USE_SSL {is_tls}, {spelled})"


def secrets_in(given: Given) -> tuple[str, ...]:
    """Return the texts that must never be repeated."""
    return tuple(filter(None, (given["secret_access_key"], given["session_token"])))
