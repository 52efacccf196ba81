"""What sealing speaks of: where a secret belongs, what wraps its key, and what can go wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar, Protocol
from uuid import UUID

from problems import Problem


class KeyUnavailable(Problem):
    """The key-encryption key is missing or is not the one that sealed this secret."""

    code: ClassVar[str] = "key-unavailable"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "A sealed secret cannot be opened"


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a sealed secret belongs; it opens nowhere else, so rows cannot be swapped."""

    organization_id: UUID
    model: str
    row_id: UUID
    field: str

    def as_bytes(self) -> bytes:
        """Return the associated data, unambiguous for any content."""
        parts = [str(self.organization_id), self.model, str(self.row_id), self.field]
        return json.dumps(parts, separators=(",", ":")).encode()

    def as_context(self) -> dict[str, str]:
        """Return the same as pairs, the form that KMS authenticates and logs."""
        return {
            "organization": str(self.organization_id),
            "model": self.model,
            "row": str(self.row_id),
            "field": self.field,
        }


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A data key under a key-encryption key, and which one that is."""

    key_id: str
    content: bytes


class Provider(Protocol):
    """Where key-encryption keys are. They are named `<scheme>:<name>`, for good.

    The first of its configured keys wraps; the others only open what they wrapped before.
    """

    def current(self) -> str:
        """Return the id of the key that wraps now. Raises `KeyUnavailable`."""
        ...

    def wrap(self, data_key: bytes, binding: Binding) -> Wrapped:
        """Wrap a data key for one place. Raises `KeyUnavailable`."""
        ...

    def unwrap(self, wrapped: Wrapped, binding: Binding) -> bytes:
        """Return the data key that was wrapped for this place. Raises `KeyUnavailable`."""
        ...
