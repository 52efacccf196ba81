"""The chain over the ledger: each record's hash holds all that came before it.

Records are chained in the order in which a checkpoint first saw them, because transactions end in
another order than their ids were given. The text that is hashed is every column of a record.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

FIELDS = (
    "id",
    "recorded_at",
    "event",
    "actor_kind",
    "actor_id",
    "actor_label",
    "device_id",
    "token_id",
    "organization_id",
    "workspace_id",
    "target_kind",
    "target_id",
    "target_label",
    "before",
    "after",
    "decision",
    "request_id",
    "address",
)
BEGINNING = bytes(32)
"""The head of an empty ledger."""


def linked(head: bytes, members: dict[str, Any]) -> bytes:
    """Return the head of the chain after one more record, given as its columns by name."""
    return hashlib.sha256(head + hashlib.sha256(_text(members)).digest()).digest()


def _text(members: dict[str, Any]) -> bytes:
    """Return the one text of a record: JSON without spaces, names sorted, times in UTC."""
    plain = members | {"recorded_at": members["recorded_at"].isoformat()}
    return json.dumps(plain, default=str, separators=(",", ":"), sort_keys=True).encode()
