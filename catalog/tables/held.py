"""Which snapshots people have named: maintenance expires none of them."""

from __future__ import annotations

from collections.abc import Iterable

from catalog.models import Catalog, SnapshotTag


def held_snapshots(catalog: Catalog) -> set[int]:
    """Return the snapshots of the catalog that bear a tag."""
    found = SnapshotTag.objects.filter(catalog=catalog)
    return set(found.values_list("snapshot_id", flat=True))


def tags_of(catalog: Catalog, snapshot_ids: Iterable[int]) -> dict[int, list[str]]:
    """Return the tags of these snapshots, sorted; a snapshot without one is left out."""
    found: dict[int, list[str]] = {}
    tags = SnapshotTag.objects.filter(catalog=catalog, snapshot_id__in=list(snapshot_ids))
    for number, name in tags.values_list("snapshot_id", "name"):
        found.setdefault(number, []).append(name)
    return found
