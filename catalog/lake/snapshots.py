"""Reads a lake's history: which snapshots there are, who made them, and what changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from catalog.domain import Snapshot
from catalog.lake import facts
from catalog.lake.metadata import not_ready, rows
from catalog.models import Catalog
from problems import Problem


class UnknownSnapshot(Problem):
    """There is no such snapshot, or it was expired."""

    code = "unknown-snapshot"
    status = 404
    title = "There is no such snapshot"


@dataclass(frozen=True, slots=True)
class Change:
    """One snapshot with who committed it, why, and what it changed (`ducklake_snapshot_changes`).

    `changes` are the specification's words, such as `inserted_into_table:1`.
    """

    snapshot_id: int
    snapshot_time: datetime
    schema_version: int
    author: str
    message: str
    changes: tuple[str, ...]


def latest_snapshot(catalog: Catalog) -> Snapshot:
    """Return the newest snapshot. Raises `CatalogNotReady` before there is one."""
    found = rows(
        catalog,
        "SELECT snapshot_id, snapshot_time, schema_version, next_catalog_id, next_file_id"
        " FROM {ducklake_snapshot} ORDER BY snapshot_id DESC LIMIT 1",
    )
    if not found:
        raise not_ready(catalog)
    newest = Snapshot(*found[0])
    facts.saw(catalog, newest.snapshot_id)
    return newest


def snapshot(catalog: Catalog, snapshot_id: int) -> Snapshot:
    """Return one snapshot. Raises `UnknownSnapshot`."""
    found = rows(
        catalog,
        "SELECT snapshot_id, snapshot_time, schema_version, next_catalog_id, next_file_id"
        " FROM {ducklake_snapshot} WHERE snapshot_id = %(id)s",
        {"id": snapshot_id},
    )
    if not found:
        raise UnknownSnapshot(
            f"Catalog {catalog.name} has no snapshot {snapshot_id}.",
            hint=f"Its newest one is {latest_snapshot(catalog).snapshot_id}.",
        )
    return Snapshot(*found[0])


def snapshot_at(catalog: Catalog, time: datetime) -> Snapshot:
    """Return the newest snapshot until a time. Raises `UnknownSnapshot` where none is so old."""
    found = rows(
        catalog,
        "SELECT snapshot_id, snapshot_time, schema_version, next_catalog_id, next_file_id"
        " FROM {ducklake_snapshot} WHERE snapshot_time <= %(time)s"
        " ORDER BY snapshot_time DESC, snapshot_id DESC LIMIT 1",
        {"time": time},
    )
    if not found:
        raise UnknownSnapshot(
            f"Catalog {catalog.name} has no snapshot from before {time:%Y-%m-%d %H:%M:%S%z}.",
            hint="It is younger, or its snapshots of then have expired.",
        )
    return Snapshot(*found[0])


def snapshots(catalog: Catalog, limit: int = 50, before: int | None = None) -> list[Change]:
    """Return up to `limit` snapshots, newest first, older than `before` where it is given."""
    found = rows(
        catalog,
        "SELECT s.snapshot_id, s.snapshot_time, s.schema_version, coalesce(c.author, ''),"
        " coalesce(c.commit_message, ''), coalesce(c.changes_made, '')"
        " FROM {ducklake_snapshot} s LEFT JOIN {ducklake_snapshot_changes} c USING (snapshot_id)"
        " WHERE %(before)s::bigint IS NULL OR s.snapshot_id < %(before)s"
        " ORDER BY s.snapshot_id DESC LIMIT %(limit)s",
        {"limit": limit, "before": before},
    )
    return [
        Change(number, time, version, author, message, tuple(filter(None, changes.split(","))))
        for number, time, version, author, message, changes in found
    ]


def committed_with(catalog: Catalog, extra_info: str) -> int | None:
    """Return the snapshot whose commit carries `extra_info`, None where there is none."""
    found = rows(
        catalog,
        "SELECT max(snapshot_id) FROM {ducklake_snapshot_changes}"
        " WHERE commit_extra_info = %(extra_info)s",
        {"extra_info": extra_info},
    )
    newest: int | None = found[0][0]
    return newest
