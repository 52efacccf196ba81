"""Wraps the keys of sealed secrets by the current key-encryption key, while everything runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from accounts.domain import Actor
from accounts.models import Organization
from accounts.sealing import KeyUnavailable, current_key, key_of, rewrapped
from accounts.sealing.fields import SealedField, sealed_fields
from audit import services as audit
from audit import targets
from audit.domain import Event

BATCH = 100
PASSES = 5
"""Rows that others write meanwhile are found by another pass; nobody writes faster than this."""


@dataclass(slots=True)
class Rotation:
    """What a rotation did: how many secrets it wrapped anew, and which it could not open."""

    key_id: str
    rewrapped: int = 0
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Secret:
    """A sealed column of one row as it was read."""

    field: SealedField
    row_id: UUID
    organization_id: UUID
    sealed: bytes

    @property
    def label(self) -> str:
        return f"{self.field.model._meta.label} {self.row_id}"  # noqa: SLF001 - Django's documented API


def rotate_keys(*, actor: Actor) -> Rotation:
    """Wrap every secret that another key wraps by the current one; call again to go on.

    Batches are transactions of their own, and a row that somebody else writes meanwhile is left to
    its writer, so it may be stopped at any time and run beside everything else. What does not open
    is left as it is and named. Raises `KeyUnavailable` where the current key cannot be used.
    """
    rotation = Rotation(current_key())
    for _ in range(PASSES):
        before = rotation.rewrapped
        for batch in _batches(rotation):
            rotation.rewrapped += _replace(actor=actor, batch=batch, key_id=rotation.key_id)
        if rotation.rewrapped == before:
            break
    return rotation


def keys_in_use() -> Counter[str]:
    """Return how many secrets each key-encryption key still opens."""
    return Counter(key_of(secret.sealed) for secret in _secrets())


def _batches(rotation: Rotation) -> Iterator[list[tuple[_Secret, bytes]]]:
    """Yield secrets beside what replaces them; keys are asked for outside any transaction."""
    batch = []
    for secret in _secrets():
        if key_of(secret.sealed) == rotation.key_id or secret.label in rotation.failed:
            continue
        binding = secret.field.binding(secret.row_id, secret.organization_id)
        try:
            batch.append((secret, rewrapped(secret.sealed, binding)))
        except KeyUnavailable as problem:
            rotation.failed[secret.label] = problem.detail
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _secrets() -> Iterator[_Secret]:
    """Yield every sealed secret, page by page in the order of its rows' ids."""
    for column in sealed_fields():
        held = column.model._base_manager.exclude(**{column.name: b""})  # noqa: SLF001 - Django's documented API
        held = held.exclude(**{column.name: None})
        rows = held.order_by("pk").values_list("pk", column.organization, column.name)
        last: Any = None
        while page := list((rows if last is None else rows.filter(pk__gt=last))[:BATCH]):
            for row_id, organization_id, sealed in page:
                yield _Secret(column, row_id, organization_id, bytes(sealed))
            last = page[-1][0]


@audit.service
def _replace(*, actor: Actor, batch: list[tuple[_Secret, bytes]], key_id: str) -> int:
    """Store a batch where it still is what was read, and record it for each organization."""
    done: Counter[UUID] = Counter()
    for secret, fresh in batch:
        name, model = secret.field.name, secret.field.model
        unchanged = model._base_manager.filter(pk=secret.row_id, **{name: secret.sealed})  # noqa: SLF001 - Django's documented API
        done[secret.organization_id] += unchanged.update(**{name: fresh})
    organizations = Organization.objects.in_bulk(done)
    for organization_id, count in done.items():
        if count:
            audit.record(
                actor=actor,
                event=Event.ENCRYPTION_KEY_ROTATED,
                target=targets.organization(organizations[organization_id]),
                after={"key": key_id, "secrets": count},
            )
    return done.total()
