"""The list of objects that a connector has taken: why each file of a bucket is read once.

A run names its files in this list before it reads them, so one that was killed reads the same; the
rows say `taken` in the transaction that ends the run, after its commit. What failed stays with its
reason until it is written again or somebody runs the connector by hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from django.db import transaction
from django.db.models import QuerySet

from catalog import storage
from catalog.connectors import paths
from catalog.domain import ConnectorFileState
from catalog.models import Bucket, Connector, ConnectorFile, ConnectorRun
from catalog.storage.store import Listed
from problems import Invalid

MAX_FILES = 500
MAX_BYTES = 2 * 2**30
"""What one run fetches: it lies on this machine for a moment, and in one staged file."""
TROUBLED_SHOWN = 50
OF_THE_FILE = frozenset({"bad-column-name", "bad-file", "unknown-columns"})
"""Codes of jobs that failed by what is in the file, not by who or what carried it."""
CHANGED = "It was written again after it was taken; what it holds now was not taken."


def listed(bucket: Bucket, path: str) -> list[Listed]:
    """Return the objects that fit the path, oldest first."""
    fits = paths.chosen_by(bucket, path)
    found = storage.of(bucket).objects(paths.literal_part(path))
    fitting = (one for one in found if one.size_bytes and fits(one.key))
    return sorted(fitting, key=lambda one: (one.written_at, one.key))


def digest(found: Iterable[Listed]) -> str:
    """Return what tells whether any of these objects was written since."""
    told = "\n".join(f"{one.key}\t{one.etag}\t{one.size_bytes}" for one in found)
    return f"sha256:{hashlib.sha256(told.encode()).hexdigest()}"


def check_size(found: Sequence[Listed]) -> None:
    """Raise `Invalid` where these cannot be read in one run."""
    size = sum(one.size_bytes for one in found)
    if len(found) > MAX_FILES or size > MAX_BYTES:
        raise Invalid(
            f"To put all rows in place of all, {len(found):,} files of {size / 1e9:.1f} GB would be"
            f" read at once; {MAX_FILES} files and {MAX_BYTES / 1e9:.1f} GB are the most.",
            hint="Choose the mode append, or a path that fits fewer files.",
        )


@transaction.atomic
def assigned(run: ConnectorRun, found: Sequence[Listed]) -> list[ConnectorFile]:
    """Return the files of a run: those it was given before, or the next that nobody took."""
    if mine := list(run.files.filter(state=ConnectorFileState.TAKING)):
        return mine
    waiting = _waiting(run.connector, found)
    chosen: list[ConnectorFile] = []
    size = 0
    for one in waiting:
        if chosen and (size + one.size_bytes > MAX_BYTES or len(chosen) == MAX_FILES):
            break
        if chosen and ConnectorFileState.ALONE in {one.state, chosen[0].state}:
            break
        chosen.append(one)
        size += one.size_bytes
    run.is_partial = len(chosen) < len(waiting)
    run.save(update_fields=["is_partial"])
    for one in chosen:
        one.run, one.state, one.problem = run, ConnectorFileState.TAKING, ""
    ConnectorFile.objects.bulk_create(
        chosen,
        update_conflicts=True,
        unique_fields=["connector", "key"],
        update_fields=["etag", "size_bytes", "modified_at", "state", "run", "problem"],
    )
    return list(run.files.filter(state=ConnectorFileState.TAKING))


def note(files: Sequence[ConnectorFile], bad: dict[int, str]) -> str:
    """Keep why some files could not be read; return that in words."""
    told = [(files[place], why) for place, why in sorted(bad.items()) if place < len(files)]
    for one, why in told:
        one.state, one.problem, one.run = ConnectorFileState.FAILED, why, None
    ConnectorFile.objects.bulk_update([one for one, _ in told], ["state", "problem", "run"])
    if not told:
        return ""
    more = f" {len(told) - 1} more could not be read either." if told[1:] else ""
    return f"{told[0][0].key} was left out: {told[0][1]}{more}"


def give_back(run: ConnectorRun, files: Sequence[ConnectorFile]) -> None:
    """Leave files to a later run; the next begins at once."""
    ConnectorFile.objects.filter(id__in=[one.id for one in files]).delete()
    ConnectorRun.objects.filter(id=run.id).update(is_partial=True)
    run.is_partial = True


def took(run: ConnectorRun) -> None:
    """Say that the run's files are in the table."""
    run.files.filter(state=ConnectorFileState.TAKING).update(state=ConnectorFileState.TAKEN)


def failed(run: ConnectorRun, code: str, why: str) -> None:
    """Give the run's files back; those that their own content stopped are tried by themselves."""
    mine = run.files.filter(state=ConnectorFileState.TAKING)
    if code not in OF_THE_FILE:
        mine.delete()
    elif mine.count() == 1:
        mine.update(state=ConnectorFileState.FAILED, problem=why, run=None)
    else:
        mine.update(state=ConnectorFileState.ALONE, run=None)


def try_again(connector: Connector) -> int:
    """Have the files that failed read once more, each by itself; return how many."""
    rows = connector.files.filter(state=ConnectorFileState.FAILED)
    return rows.update(state=ConnectorFileState.ALONE)


def troubled_files() -> QuerySet[ConnectorFile]:
    """Return the files with which something is wrong, as many of a connector as one looks at."""
    return ConnectorFile.objects.exclude(problem="")[:TROUBLED_SHOWN]


def has_some_alone(connector: Connector) -> bool:
    """Tell whether files wait to be tried by themselves."""
    return connector.files.filter(state=ConnectorFileState.ALONE).exists()


def _waiting(connector: Connector, found: Sequence[Listed]) -> list[ConnectorFile]:
    """Return what is not taken yet: what is to be tried alone first, the rest in order."""
    known = {one.key: one for one in connector.files.all()}
    alone, others, changed = [], [], []
    for one in found:
        before = known.get(one.key)
        fresh = ConnectorFile(
            connector=connector,
            key=one.key,
            etag=one.etag,
            size_bytes=one.size_bytes,
            modified_at=one.written_at,
            state=ConnectorFileState.TAKING,
        )
        if before is None:
            others.append(fresh)
        elif before.state == ConnectorFileState.ALONE:
            fresh.state = ConnectorFileState.ALONE
            alone.append(fresh)
        elif before.etag == one.etag:
            continue
        elif before.state == ConnectorFileState.FAILED:
            others.append(fresh)
        elif not before.problem:
            before.problem = CHANGED
            changed.append(before)
    ConnectorFile.objects.bulk_update(changed, ["problem"])
    return alone + others
