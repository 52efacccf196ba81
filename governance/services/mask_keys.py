"""The key by which an organization's masks of the method hmac make pseudonyms: sealed at rest."""

from __future__ import annotations

import os
import uuid
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts import keys
from accounts.domain import SYSTEM
from accounts.keys import Binding
from accounts.models import Organization
from audit import services as audit
from audit import targets
from audit.domain import Event
from governance.models import MaskKey

KEY_BYTES = 32


def mask_key(organization_id: UUID) -> bytes:
    """Return the organization's key, made when it is first needed. Raises `KeyUnavailable`.

    For engines only: what it is used on is shown, the key is not, to nobody.
    """
    row = MaskKey.objects.filter(organization_id=organization_id).first()
    if row is None:
        row = _created(Organization.objects.get(id=organization_id))
    return keys.unseal(bytes(row.sealed_key), _binding(row))


@audit.service
def _created(organization: Organization) -> MaskKey:
    """Make the key, or return the one that another process made at the same time."""
    row = MaskKey(id=uuid.uuid4(), organization=organization)
    row.sealed_key = keys.seal(os.urandom(KEY_BYTES), _binding(row))
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        return MaskKey.objects.get(organization=organization)
    audit.record(
        actor=SYSTEM,
        event=Event.MASK_KEY_CREATED,
        target=targets.organization(organization),
        after={"mask_key": str(row.id)},
    )
    return row


def _binding(row: MaskKey) -> Binding:
    return Binding(row.organization_id, "governance.MaskKey", row.id, "sealed_key")
