"""What happens to a catalog after it was made: renamed, put away, dropped, taken back, removed."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.domain import SYSTEM, Actor
from audit import services as audit
from audit.domain import Event
from catalog.domain import JobKind, JobState
from catalog.maintenance.leases import leases_of
from catalog.models import Catalog, Job
from catalog.names import check_catalog_name
from catalog.services.catalogs import refuse_taken
from catalog.services.jobs import enqueue_job
from governance import broken, securables
from governance import services as governance
from governance.domain import Action
from problems import Conflict

DESCRIPTION_MAX = 2000


class NotArchived(Conflict):
    """The catalog is not archived."""

    code = "catalog-not-archived"
    title = "The catalog is not archived"


@audit.service
def change_catalog(
    *, actor: Actor, catalog: Catalog, name: str | None = None, description: str | None = None
) -> Catalog:
    """Rename or describe a catalog; grants, policies and history follow it.

    None leaves as is. SQL that names it by the old name finds nothing from now on. Raises
    `AccessDenied`, `InvalidName` or `CatalogNameTaken`.
    """
    governance.authorize(actor, Action.CATALOG_MANAGE, catalog.securable)
    before = {"name": catalog.name, "description": catalog.description}
    if name is not None and name != catalog.name:
        check_catalog_name(name)
        refuse_taken(catalog.workspace, name)
        catalog.name = name
        transaction.on_commit(lambda: broken.recheck(catalog.workspace), robust=True)
    if description is not None:
        catalog.description = description[:DESCRIPTION_MAX]
    catalog.save(update_fields=["name", "description"])
    audit.record(
        actor=actor,
        event=Event.CATALOG_CHANGED,
        target=securables.target(catalog.securable),
        before=before,
        after={"name": catalog.name, "description": catalog.description},
    )
    return catalog


@audit.service
def archive_catalog(*, actor: Actor, catalog: Catalog, archived: bool = True) -> Catalog:
    """Put a catalog away: it is read as before, written no more, and left out of lists.

    With `archived` false, take it out again. Raises `AccessDenied`.
    """
    governance.authorize(actor, Action.CATALOG_MANAGE, catalog.securable)
    before = catalog.archived_at is not None
    if before is not archived:
        catalog.archived_at = timezone.now() if archived else None
        catalog.save(update_fields=["archived_at"])
    audit.record(
        actor=actor,
        event=Event.CATALOG_ARCHIVED,
        target=securables.target(catalog.securable),
        before={"is_archived": before},
        after={"is_archived": archived},
    )
    return catalog


@audit.service
def drop_catalog(*, actor: Actor, catalog: Catalog) -> Catalog:
    """Take a catalog away at once; `remove_after` says until when it can be restored.

    Its name is free from now on. What its writer had accepted before is still carried out.
    Raises `AccessDenied`.
    """
    governance.authorize(actor, Action.CATALOG_MANAGE, catalog.securable)
    now = timezone.now()
    catalog.dropped_at = now
    catalog.remove_after = now + timedelta(days=catalog.workspace.drop_grace_days)
    catalog.save(update_fields=["dropped_at", "remove_after"])
    audit.record(
        actor=actor,
        event=Event.CATALOG_DROPPED,
        target=securables.target(catalog.securable),
        before={"name": catalog.name},
        after={"remove_after": catalog.remove_after.isoformat()},
    )
    transaction.on_commit(lambda: broken.recheck(catalog.workspace), robust=True)
    return catalog


@audit.service
def restore_catalog(*, actor: Actor, catalog: Catalog, name: str = "") -> Catalog:
    """Take a dropped catalog back as it was, under another `name` where one is given.

    Raises `AccessDenied`, `CatalogGone` where its removal has begun, `InvalidName`, or
    `CatalogNameTaken` where another has its name by now.
    """
    governance.authorize(actor, Action.CATALOG_MANAGE, catalog.securable)
    locked = Catalog.objects.select_for_update().get(id=catalog.id)
    if locked.dropped_at is None or is_being_removed(locked):
        raise CatalogGone(
            f"Catalog {catalog.name} cannot be restored: it is there, or its files are being"
            " removed.",
            hint="Look at the list of catalogs; a backup is the only way back after removal.",
        )
    wanted = name or catalog.name
    check_catalog_name(wanted)
    refuse_taken(catalog.workspace, wanted)
    catalog.name, catalog.dropped_at, catalog.remove_after = wanted, None, None
    catalog.save(update_fields=["name", "dropped_at", "remove_after"])
    audit.record(
        actor=actor,
        event=Event.CATALOG_RESTORED,
        target=securables.target(catalog.securable),
        before={"name": locked.name},
        after={"name": wanted},
    )
    transaction.on_commit(lambda: broken.recheck(catalog.workspace), robust=True)
    return catalog


class CatalogGone(Conflict):
    """What was dropped is no longer there to be restored."""

    code = "catalog-gone"
    title = "The catalog cannot be restored"


def is_being_removed(catalog: Catalog) -> bool:
    """Tell whether the job that removes a dropped catalog has been queued."""
    removal = catalog.jobs.filter(kind=JobKind.DROP_CATALOG)
    return catalog.removed_at is not None or removal.exists()


def remove_dropped() -> int:
    """Queue the removal of every catalog whose time to be restored is over; return how many.

    One whose removal failed is tried again, and one that is still read waits until nobody does.
    Safe to repeat.
    """
    over = Catalog.objects.restorable().filter(remove_after__lte=timezone.now())
    waiting = Job.objects.filter(
        kind=JobKind.DROP_CATALOG, state__in=[JobState.QUEUED, JobState.RUNNING]
    )
    found = list(over.exclude(id__in=waiting.values("catalog_id")).values_list("id", flat=True))
    return sum(_remove(catalog_id) for catalog_id in found)


def _remove(catalog_id: UUID) -> bool:
    """Queue one removal, unless the catalog was restored a moment ago or is still read.

    What was asked before the drop goes on reading: queries, devices with manifests, extracts.
    """
    with transaction.atomic():
        over = Catalog.objects.restorable().filter(remove_after__lte=timezone.now())
        catalog = over.select_for_update().filter(id=catalog_id).first()
        if catalog is None or not leases_of(catalog).is_empty:
            return False
        enqueue_job(actor=SYSTEM, catalog=catalog, kind=JobKind.DROP_CATALOG)
    return True
