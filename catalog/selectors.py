"""Reads of what exists that depend on who asks: what one may not browse does not exist."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from heapq import nlargest
from uuid import UUID

from django.db.models import QuerySet

from accounts.domain import Actor
from catalog import lake
from catalog.domain import BucketKind, JobKind, Snapshot, Table
from catalog.models import Adoption, Bucket, Catalog, IngestBatch, Job
from catalog.visibility import nearest_labels
from governance import securables
from governance import services as governance
from governance.domain import Action, Request
from problems import NotFound
from workspaces.models import Workspace


class UnknownBucket(NotFound):
    """No bucket of the workspace has this name."""

    code = "unknown-bucket"
    title = "No such bucket"


LIKELY = 60
"""So many names are compared in full: those that begin and end as what was given."""


class UnknownCatalog(NotFound):
    """There is no such catalog, or the actor may not know that there is."""

    code = "unknown-catalog"
    title = "There is no such catalog"


class UnknownTable(NotFound):
    """There is no such table, or the actor may not know that there is."""

    code = "unknown-table"
    title = "There is no such table"


class UnknownColumn(NotFound):
    """The table has no such column."""

    code = "unknown-column"
    title = "There is no such column"


class UnknownBatch(NotFound):
    """There is no such batch of rows, or it was sent by somebody else."""

    code = "unknown-batch"
    title = "There is no such batch"


class UnknownAdoption(NotFound):
    """There is no such adoption, or the actor may not know that there is."""

    code = "unknown-adoption"
    title = "There is no such adoption"


class UnknownJob(NotFound):
    """There is no such job, or the actor may not know that there is."""

    code = "unknown-job"
    title = "There is no such job"


def visible_buckets(actor: Actor, workspace: Workspace) -> list[Bucket]:
    """Return the connected buckets of the workspace, by name; its members may see them."""
    found = Bucket.objects.visible_to(actor).connected().filter(workspace=workspace)
    return list(found.select_related("workspace__organization").prefetch_related("keys"))


def buckets_for_catalogs(actor: Actor, workspace: Workspace) -> list[Bucket]:
    """Return the customers' buckets that a catalog may be made in, by name."""
    return [
        bucket
        for bucket in visible_buckets(actor, workspace)
        if bucket.kind == BucketKind.CUSTOMER and not bucket.is_read_only
    ]


def find_bucket(actor: Actor, workspace: Workspace, reference: str) -> Bucket:
    """Return the bucket that `reference`, a name or an id, names to `actor`.

    Raises `UnknownBucket` with the nearest name where there is none.
    """
    visible = visible_buckets(actor, workspace)
    for bucket in visible:
        if reference in {bucket.name, str(bucket.id)}:
            return bucket
    raise UnknownBucket(
        f"There is no bucket {reference!r} in {workspace.name}.",
        hint=did_you_mean(reference, [bucket.name for bucket in visible]),
    )


def visible_catalogs(
    actor: Actor, workspace: Workspace, *, with_archived: bool = True
) -> list[Catalog]:
    """Return the workspace's catalogs that `actor` may browse, by name."""
    rows = Catalog.objects.live().filter(workspace=workspace)
    if not with_archived:
        rows = rows.filter(archived_at__isnull=True)
    return _browsable(actor, workspace, rows)


def dropped_catalogs(actor: Actor, workspace: Workspace) -> list[Catalog]:
    """Return what was dropped and can be restored by `actor`, the first to go first."""
    rows = Catalog.objects.restorable().filter(workspace=workspace).order_by("remove_after")
    rows = rows.exclude(jobs__kind=JobKind.DROP_CATALOG)
    return _browsable(actor, workspace, rows, Action.CATALOG_MANAGE)


def find_dropped_catalog(actor: Actor, workspace: Workspace, reference: str) -> Catalog:
    """Return the dropped catalog of that id, or the one dropped last of that name.

    Raises `UnknownCatalog`.
    """
    found = dropped_catalogs(actor, workspace)
    for catalog in sorted(found, key=lambda c: c.dropped_at or c.created_at, reverse=True):
        if reference.lower() in {catalog.name.lower(), str(catalog.id)}:
            return catalog
    raise UnknownCatalog(
        f"No catalog {reference!r} was dropped from {workspace.name} that you may restore.",
        hint=did_you_mean(reference, [catalog.name for catalog in found]),
    )


def _browsable(
    actor: Actor,
    workspace: Workspace,
    rows: QuerySet[Catalog],
    action: Action = Action.CATALOG_BROWSE,
) -> list[Catalog]:
    """Return those of a workspace's `rows` on which `actor` may do `action`."""
    found = list(rows.select_related("bucket"))
    for catalog in found:
        catalog.workspace = workspace  # known already
    requests = [Request(action, catalog.securable) for catalog in found]
    decisions = governance.decide_many(actor, requests)
    return [c for c, decision in zip(found, decisions, strict=True) if decision.allowed]


def find_catalog(actor: Actor, workspace: Workspace, reference: str) -> Catalog:
    """Return the catalog that `reference`, a name or an id, names to `actor`.

    Raises `UnknownCatalog` with the nearest name where there is none.
    """
    visible = visible_catalogs(actor, workspace)
    for catalog in visible:
        if reference.lower() in {catalog.name.lower(), str(catalog.id)}:
            return catalog
    raise UnknownCatalog(
        f"There is no catalog {reference!r} in {workspace.name} that you may browse.",
        hint=did_you_mean(reference, [catalog.name for catalog in visible]),
    )


def find_table(actor: Actor, catalog: Catalog, snapshot_id: int, schema: str, name: str) -> Table:
    """Return one table that `actor` may browse. Raises `UnknownTable` with the nearest name."""
    table = lake.table(catalog, snapshot_id, schema, name)
    if table is not None:
        securable = table.securable(catalog.securable)
        if governance.decide(actor, Action.CATALOG_BROWSE, securable).allowed:
            return table
    label = f"{catalog.name}.{schema}.{name}"
    known = nearest_labels(actor, catalog, snapshot_id, label)
    raise UnknownTable(f"There is no table {label}.", hint=did_you_mean(label, known))


def as_shown_to(actor: Actor, catalog: Catalog, tables: Sequence[Table]) -> list[Table]:
    """Return the tables without the columns that policies hide from `actor`.

    For what is shown of tables; who reads or governs them needs all columns.
    """
    parent = catalog.securable
    asked = [Request(Action.TABLE_QUERY, table.securable(parent)) for table in tables]
    decisions = governance.decide_many(actor, asked)
    return [
        table.without(decision.obligations.hidden_columns)
        for table, decision in zip(tables, decisions, strict=True)
    ]


def snapshot_of(catalog: Catalog, snapshot_id: int | None) -> Snapshot:
    """Return the snapshot asked for, the newest where none was. Raises `lake.UnknownSnapshot`."""
    if snapshot_id is None:
        return lake.latest_snapshot(catalog)
    return lake.snapshot(catalog, snapshot_id)


def find_job(actor: Actor, workspace: Workspace, job_id: UUID) -> Job:
    """Return one writer job of the workspace. Raises `UnknownJob`."""
    jobs = Job.objects.visible_to(actor).filter(catalog__workspace=workspace)
    job = jobs.select_related("catalog").filter(id=job_id).first()
    if job is None or not _may_browse(actor, job.catalog):
        raise UnknownJob(f"There is no job {job_id} in {workspace.name}.")
    return job


def find_batch(actor: Actor, catalog: Catalog, batch_id: int) -> IngestBatch:
    """Return one batch of rows that `actor` sent: others must not see values of theirs.

    Raises `UnknownBatch`.
    """
    found = IngestBatch.objects.filter(
        catalog=catalog, id=batch_id, requested_by__id=str(actor.id)
    ).first()
    if found is None:
        raise UnknownBatch(
            f"There is no batch {batch_id} of yours in {catalog.name}.",
            hint="What became of rows is remembered for a day, and told to who sent them.",
        )
    found.catalog = catalog
    return found


def visible_adoptions(actor: Actor, workspace: Workspace) -> list[Adoption]:
    """Return the workspace's adoptions, newest first, if `actor` may make catalogs in it."""
    place = securables.workspace(workspace)
    if not governance.decide(actor, Action.CATALOG_CREATE, place).allowed:
        return []
    rows = Adoption.objects.visible_to(actor).filter(workspace=workspace)
    return list(rows.select_related("bucket", "catalog", "workspace__organization")[:100])


def find_adoption(actor: Actor, workspace: Workspace, adoption_id: UUID) -> Adoption:
    """Return one adoption of the workspace. Raises `UnknownAdoption`."""
    for adoption in visible_adoptions(actor, workspace):
        if adoption.id == adoption_id:
            return adoption
    raise UnknownAdoption(f"There is no adoption {adoption_id} in {workspace.name}.")


def did_you_mean(given: str, known: list[str]) -> str:
    """Return the question that names the nearest known names; empty where none is near."""
    lowered = {name.lower(): name for name in known}
    likely = nlargest(LIKELY, lowered, key=lambda name: _common_ends(given.lower(), name))
    near = [lowered[name] for name in get_close_matches(given.lower(), likely, n=3)]
    return f"Did you mean {' or '.join(near)}?" if near else ""


def _may_browse(actor: Actor, catalog: Catalog) -> bool:
    return governance.decide(actor, Action.CATALOG_BROWSE, catalog.securable).allowed


def _common_ends(one: str, other: str) -> int:
    """Return how long the beginning and the end are that two names share."""
    return _common_start(one, other) + _common_start(one[::-1], other[::-1])


def _common_start(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
