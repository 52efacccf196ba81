"""Upkeep of sent rows: whether they may change a table, and forgetting what is long done."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from accounts.domain import Actor
from audit import services as audit
from audit.domain import Event
from catalog import lake, storage
from catalog.domain import JobKind
from catalog.ingest import tables
from catalog.ingest.domain import BatchState, SchemaMode
from catalog.ingest.groups import forget
from catalog.models import Catalog, IngestBatch, IngestSetting, Job
from catalog.models.ingest import UNFINISHED
from catalog.selectors import find_table
from governance import securables
from governance import services as governance
from governance.domain import Action

EXPIRED_AT_ONCE = 5000


@audit.service
def change_schema_mode(
    *, actor: Actor, catalog: Catalog, schema: str, table: str, mode: SchemaMode
) -> SchemaMode:
    """Say whether rows may change a table's columns. Raises `AccessDenied`, `UnknownTable`."""
    found = find_table(actor, catalog, lake.latest_snapshot(catalog).snapshot_id, schema, table)
    securable = found.securable(catalog.securable)
    governance.authorize(actor, Action.TABLE_ALTER, securable)
    before = tables.schema_mode(catalog, found.table_uuid)
    IngestSetting.objects.update_or_create(
        catalog=catalog, table_uuid=found.table_uuid, defaults={"schema_mode": mode}
    )
    audit.record(
        actor=actor,
        event=Event.TABLE_ALTERED,
        target=securables.target(securable),
        before={"schema_mode": before},
        after={"schema_mode": mode},
    )
    return mode


def expire_batches() -> int:
    """Forget what became of batches long ago, and bodies that no batch names; return how many."""
    now = timezone.now()
    old = now - timedelta(seconds=settings.INGEST_KEEP_SECONDS)
    finished = IngestBatch.objects.filter(
        state__in=[BatchState.COMMITTED, BatchState.REJECTED], finished_at__lt=old
    )
    ids = list(finished.order_by("finished_at").values_list("id", flat=True)[:EXPIRED_AT_ONCE])
    gone, _ = IngestBatch.objects.filter(id__in=ids).delete()
    return gone + _sweep_bodies() + _forget_samples()


def _forget_samples() -> int:
    """Forget changed rows that somebody asked for a while ago."""
    old = timezone.now() - timedelta(hours=1)
    samples = Job.objects.filter(kind=JobKind.SAMPLE_CHANGES, finished_at__lt=old)
    return samples.filter(kept__isnull=False).update(kept=None)


def _sweep_bodies() -> int:
    """Remove staged bodies whose batch was never written, or is finished."""
    before = timezone.now() - timedelta(hours=1)
    named = set(
        IngestBatch.objects.filter(state__in=UNFINISHED)
        .exclude(staged_key="")
        .values_list("staged_key", flat=True)
    )
    store = storage.hosted()
    lost = [
        key for key in store.keys_before("staging/", before) if "/rows/" in key and key not in named
    ]
    forget(lost)
    return len(lost)
