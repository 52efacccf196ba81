"""Says what registering files would do: their footers are read, and nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from accounts.domain import Actor
from catalog import lake, storage
from catalog.connectors.domain import Columns
from catalog.domain import Table, UploadMode
from catalog.lake.files import registered_in
from catalog.models import Catalog
from catalog.registration.fitting import Wanted, misfit
from catalog.registration.footers import Footer, footers
from catalog.services import registering
from catalog.services.registering import Registration
from catalog.writer.files import check_names
from catalog.writer.problems import BadInput
from problems import Invalid

OPENED = 500
"""So many files are opened while somebody waits; of the others the size is told alone."""
IN_TABLE = "it is in the table already"


@dataclass(frozen=True, slots=True)
class PreviewedFile:
    """A file by its name below the prefix.

    `rows` is None where it was not opened, or is none; `problem` says why it does not fit.
    """

    name: str
    size_bytes: int
    rows: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RegistrationPreview:
    """The files that would be registered, and the columns of the table that they would be of.

    `is_new` says that the catalog never registered from the prefix before; `skipped` files are in
    the table and would be passed over.
    """

    prefix: str
    files: tuple[PreviewedFile, ...]
    columns: Columns
    is_new: bool
    skipped: int = 0

    @property
    def size_bytes(self) -> int:
        """Return what all of them weigh."""
        return sum(one.size_bytes for one in self.files)

    @property
    def rows(self) -> int:
        """Return how many rows those have that were opened."""
        return sum(one.rows or 0 for one in self.files)

    @property
    def unopened(self) -> int:
        """Return how many were not looked into."""
        return sum(one.rows is None and not one.problem for one in self.files)

    @property
    def misfits(self) -> int:
        """Return how many are known not to fit: with one of them none is registered."""
        return sum(bool(one.problem) for one in self.files)

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "prefix": self.prefix,
            "is_new_prefix": self.is_new,
            "size_bytes": self.size_bytes,
            "rows": self.rows,
            "unopened": self.unopened,
            "misfits": self.misfits,
            "skipped": self.skipped,
            "columns": [{"name": name, "type": kind} for name, kind in self.columns],
            "files": [asdict(one) for one in self.files],
        }


def preview_registration(
    *, actor: Actor, catalog: Catalog, asked: Registration
) -> RegistrationPreview:
    """Return which files would be registered, and which of them do not fit; nothing is written.

    What footers tell is checked: names and types of columns, and what the table has already. NULL
    in a column that may have none is found when the files are registered. Raises as
    `register_files`.
    """
    arguments = registering.check_registration(actor=actor, catalog=catalog, asked=asked)
    prefix = arguments["prefix"]
    store = storage.of(catalog.bucket, prefix)
    files = _files(store, prefix, asked.files)
    table = _table(catalog, arguments)
    taken = registered_in(catalog, table, [key for key, _ in files]) if table else frozenset()
    skipped = len(taken) if asked.skip_registered else 0
    if skipped:
        files = [one for one in files if one[0] not in taken]
    seen = footers(store, files[:OPENED])
    wanted, problem = _wanted(table, seen)
    previewed = []
    for number, (key, size) in enumerate(files):
        footer = seen[number] if number < len(seen) else None
        why = IN_TABLE if key in taken else _why(footer, wanted, asked)
        rows = footer.rows if footer and not footer.problem else None
        why = why or (problem if number == 0 else "")
        previewed.append(PreviewedFile(key.removeprefix(prefix), size, rows, why))
    return RegistrationPreview(
        prefix,
        tuple(previewed),
        tuple((one.name, one.type) for one in wanted),
        not registering.is_known(catalog, prefix),
        skipped,
    )


def _files(store: storage.Store, prefix: str, names: Sequence[str]) -> list[tuple[str, int]]:
    """Return the keys of the files that are meant, with their sizes."""
    sizes = dict(store.sizes(prefix))
    named = [prefix + name for name in dict.fromkeys(names)]
    if missing := [key.removeprefix(prefix) for key in named if key not in sizes]:
        raise Invalid(
            f"Of the named files, {len(missing)} cannot be found, such as {missing[0][:200]!r}.",
            hint=f"Names are those below {prefix!r}.",
        )
    keys = registering.refuse_odd(prefix, named or registering.parquet_keys(sizes))
    return [(key, sizes[key]) for key in keys]


def _table(catalog: Catalog, arguments: dict[str, Any]) -> Table | None:
    """Return the table that the files would be of; None where it would be made."""
    if arguments["mode"] == UploadMode.CREATE:
        return None
    newest = lake.latest_snapshot(catalog).snapshot_id
    return lake.table(catalog, newest, arguments["schema"], arguments["table"])


def _wanted(table: Table | None, seen: Sequence[Footer]) -> tuple[tuple[Wanted, ...], str]:
    """Return the columns of the table, a new one's from the first file; and why it has none."""
    if table is not None:
        of_table = table.top_columns
        return tuple(Wanted(c.name, c.duckdb_type, not c.nulls_allowed) for c in of_table), ""
    first = seen[0] if seen else Footer()
    try:
        check_names([name for name, _ in first.columns], "it")
    except BadInput as bad:
        return (), bad.detail
    return tuple(Wanted(name, kind) for name, kind in first.columns), ""


def _why(footer: Footer | None, wanted: Sequence[Wanted], asked: Registration) -> str:
    if footer is None or footer.problem or not wanted:
        return footer.problem if footer else ""
    return misfit(
        footer.columns, wanted, allow_missing=asked.allow_missing, ignore_extra=asked.ignore_extra
    )
