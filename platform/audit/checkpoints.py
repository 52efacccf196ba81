"""Checkpoints of the ledger: how long it is and its head, signed, and kept outside the database.

Each organization signs with its own key, whose private half opens only with the key-encryption
key. Who may change any row of the database can forge neither a signature nor what is kept outside.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction
from django.utils import timezone

from accounts import keys
from accounts.models import Organization, SigningKey
from audit import anchors
from audit.chain import BEGINNING, FIELDS, linked
from audit.models import AuditRecord, LedgerCheckpoint, LedgerLink

logger = structlog.get_logger(__name__)

TYP = "upend-ledger+jwt"
LATE = timedelta(days=1)
"""So long after it was written a record is still looked for: transactions do not last longer."""
LOCK = 0x75707765_6C6564
CHUNK = 1000


def take_checkpoint() -> LedgerCheckpoint | None:
    """Chain what was recorded since the last checkpoint, sign the new head, and keep it outside.

    Returns None where nothing was recorded, or nobody could sign. Raises `StorageUnreachable`
    where it could not be kept outside; the next call keeps it.
    """
    with transaction.atomic():
        made = _taken()
    keep_outside()
    return made


def keep_outside() -> int:
    """Keep the checkpoints outside that are not there yet; return how many."""
    place = anchors.anchor()
    there = set(place.numbers())
    missing = LedgerCheckpoint.objects.exclude(number__in=there).order_by("number")
    for found in missing:
        place.keep(found.number, found.text)
    return len(missing)


def _taken() -> LedgerCheckpoint | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    signers = _signers()
    last = LedgerCheckpoint.objects.order_by("-number").first()
    size, head = (last.size, bytes(last.head)) if last else (0, BEGINNING)
    now = timezone.now()
    new_size, head = _chained(size, head, last.taken_at - LATE if last else None)
    if new_size == size or not signers:
        transaction.set_rollback(True)
        return None
    number = last.number + 1 if last else 1
    claims = claims_of(number, new_size, head, now)
    text = json.dumps([keys.sign(one, claims, TYP) for one in signers])
    return LedgerCheckpoint.objects.create(
        number=number, size=new_size, head=head, taken_at=now, text=text
    )


def claims_of(number: int, size: int, head: bytes, taken_at: datetime) -> dict[str, Any]:
    """Return what is signed."""
    return {"number": number, "size": size, "head": head.hex(), "taken_at": taken_at.isoformat()}


def _chained(size: int, head: bytes, since: datetime | None) -> tuple[int, bytes]:
    """Put every record that is in no chain yet behind the last one; return the size and head."""
    fresh = AuditRecord.objects.unchained().order_by("id")
    if since is not None:
        fresh = fresh.filter(recorded_at__gte=since)
    links: list[LedgerLink] = []
    for members in fresh.values(*FIELDS).iterator(CHUNK):
        size, head = size + 1, linked(head, members)
        links.append(LedgerLink(position=size, record_id=members["id"]))
    LedgerLink.objects.bulk_create(links, batch_size=CHUNK)
    return size, head


def _signers() -> list[Organization]:
    live = SigningKey.objects.filter(retired_at__isnull=True).values("organization_id")
    return list(Organization.objects.filter(id__in=live).order_by("id"))
