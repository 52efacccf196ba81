"""Columns that hold sealed secrets: Django's own registry of models is the list of them all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.apps import apps
from django.db import models

from accounts.sealing.domain import Binding

if TYPE_CHECKING:
    _Bytes = models.BinaryField[bytes, bytes]
else:  # generic for types only
    _Bytes = models.BinaryField


class SealedField(_Bytes):
    """What `seal` made. Whoever adds one has it rotated, and in the test of the dump.

    `organization` is the lookup from the row to the id of the organization it belongs to.
    """

    def __init__(self, *args: Any, organization: str = "organization_id", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.organization = organization

    def deconstruct(self) -> Any:
        """Look like any bytes to migrations: the database has nothing to change."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.BinaryField", args, kwargs

    def binding(self, row_id: UUID, organization_id: UUID) -> Binding:
        """Return where the secret of a row belongs."""
        return Binding(organization_id, self.model._meta.label, row_id, self.name)  # noqa: SLF001 - Django's documented API


def sealed_fields() -> Iterator[SealedField]:
    """Yield every column of sealed secrets."""
    for model in apps.get_models():
        for field in model._meta.concrete_fields:  # noqa: SLF001 - Django's documented API
            if isinstance(field, SealedField):
                yield field
