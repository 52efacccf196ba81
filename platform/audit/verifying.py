"""Finds out whether the ledger is what it was: against what was signed, and what is kept outside.

Nothing that the database says of the chain is believed but its order: every head is worked out
anew from the records, and must be the one of each checkpoint, inside and outside.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Max
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from accounts import keys
from accounts.models import SigningKey
from audit import anchors
from audit.chain import BEGINNING, FIELDS, linked
from audit.checkpoints import CHUNK, LATE, TYP
from audit.models import AuditRecord, LedgerCheckpoint, LedgerLink


@dataclass(frozen=True, slots=True)
class Statement:
    """What a checkpoint says, and where it was found."""

    place: str
    number: int
    size: int
    head: str


@dataclass(slots=True)
class Verdict:
    """What was found. `failures` say what is not as it was signed."""

    records: int = 0
    checkpoints: int = 0
    waiting: int = 0
    """Records since the last checkpoint, which nothing holds yet."""
    failures: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Tell whether the ledger is what was signed."""
        return not self.failures


def verify_ledger(witnesses: Iterable[str] = ()) -> Verdict:
    """Check the whole ledger; `witnesses` are texts of checkpoints that somebody kept elsewhere.

    Raises `StorageUnreachable` where what is kept outside cannot be read: that is no verdict.
    """
    verdict = Verdict()
    public = _public_keys(verdict)
    stated = list(_statements(verdict, public, witnesses))
    verdict.checkpoints = len({one.number for one in stated})
    _check_gaps(verdict, stated)
    _check_chain(verdict, stated)
    _check_unchained(verdict)
    return verdict


def _public_keys(verdict: Verdict) -> dict[str, OKPKey]:
    """Return the keys by their ids, from the sealed halves: who rules the database makes none."""
    found: dict[str, OKPKey] = {}
    for row in SigningKey.objects.all():
        try:
            private = keys.unseal(bytes(row.sealed_private_key), keys.binding_of(row))
        except keys.KeyUnavailable:
            verdict.failures.append(f"The signing key {row.key_id} was replaced or does not open.")
            continue
        key = OKPKey.import_key(json.loads(private))
        found[key.thumbprint()] = key
    return found


def _statements(
    verdict: Verdict, public: dict[str, OKPKey], witnesses: Iterable[str]
) -> Iterator[Statement]:
    """Yield what every checkpoint says whose signatures all hold."""
    inside = LedgerCheckpoint.objects.order_by("number").values_list("number", "text")
    found = [(f"checkpoint {number} in the database", text) for number, text in inside]
    found += [(f"checkpoint {number} outside", text) for number, text in anchors.anchor().kept()]
    found += [("a checkpoint that was brought", text) for text in witnesses]
    for place, text in found:
        try:
            said = [_opened(one, public) for one in json.loads(text)]
        except (JoseError, ValueError, KeyError, TypeError):
            verdict.failures.append(f"The signature of {place} does not hold.")
            continue
        if not said or any(one != said[0] for one in said):
            verdict.failures.append(f"{place[0].upper()}{place[1:]} says several things at once.")
            continue
        yield Statement(place, said[0]["number"], said[0]["size"], said[0]["head"])


def _opened(text: str, public: dict[str, OKPKey]) -> dict[str, Any]:
    header = jws.extract_compact(text.encode()).headers()
    if header.get("typ") != TYP:
        message = "another kind of document"
        raise ValueError(message)
    opened = jws.deserialize_compact(text, public[str(header["kid"])], registry=keys.REGISTRY)
    return dict(json.loads(opened.payload))


def _check_gaps(verdict: Verdict, stated: list[Statement]) -> None:
    """Find checkpoints that are gone, and two of one size that say different heads."""
    numbers = {one.number for one in stated}
    for gone in sorted(set(range(1, max(numbers, default=0) + 1)) - numbers):
        verdict.failures.append(f"Checkpoint {gone} is gone.")
    heads: dict[int, Statement] = {}
    for one in stated:
        other = heads.setdefault(one.size, one)
        if other.head != one.head:
            verdict.failures.append(
                f"There are two ledgers of {one.size:,} records: {other.place} and {one.place}"
                " say different heads."
            )


def _check_chain(verdict: Verdict, stated: list[Statement]) -> None:
    """Work out the head at the size of each checkpoint, from the records as they are."""
    wanted: dict[int, list[Statement]] = {}
    for one in stated:
        wanted.setdefault(one.size, []).append(one)
    head, size, held = BEGINNING, 0, 0
    for position, members in _chained():
        size += 1
        if position != size or members is None:
            verdict.failures.append(f"The record at place {size:,} is gone.")
            return
        head = linked(head, members)
        here = wanted.pop(size, [])
        if wrong := next((one for one in here if one.head != head.hex()), None):
            verdict.failures.append(
                f"A record between places {held + 1:,} and {size:,} is not what it was when"
                f" {wrong.place} was signed."
            )
            return
        held = size if here else held
    verdict.records = size
    if wanted:
        longest = max(wanted)
        verdict.failures.append(
            f"{longest - size:,} records are gone from the end: {wanted[longest][0].place} was"
            f" signed when there were {longest:,}."
        )


def _chained() -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Yield the place and the record of each link, in the order of the chain."""
    start = 0
    while links := list(LedgerLink.objects.filter(position__gt=start).order_by("position")[:CHUNK]):
        found = AuditRecord.objects.filter(id__in=[one.record_id for one in links])
        records = {members["id"]: members for members in found.values(*FIELDS)}
        for one in links:
            yield one.position, records.get(one.record_id)
        start = links[-1].position


def _check_unchained(verdict: Verdict) -> None:
    """Find records that were slipped in: dated before a checkpoint that did not see them."""
    loose = AuditRecord.objects.unchained()
    last = LedgerCheckpoint.objects.aggregate(at=Max("taken_at"))["at"]
    if last is not None and (slipped := loose.filter(recorded_at__lt=last - LATE).count()):
        verdict.failures.append(f"{slipped:,} records were slipped in with a date of the past.")
    verdict.waiting = loose.count()
