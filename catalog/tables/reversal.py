"""How a table goes back to what it was: its definition first, then only the rows that differ.

DuckLake expires files by path: two rows of its metadata that name one file would let the older
one's expiry delete the younger one's data. Files are therefore never listed again. Rows that were
added since are deleted (whole files, without being rewritten), rows that were changed or deleted
since are written again, and everything else keeps its files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from catalog.lake.types import quoted
from catalog.tables.layout import ColumnLayout, InvalidChange, Layout
from catalog.tables.operations import (
    AddColumn,
    CommentColumn,
    CommentTable,
    DropColumn,
    Operation,
    PartitionBy,
    RenameColumn,
    SetDefault,
    SetNullable,
    SortBy,
    target,
)

ROW = "upend_rowid"
BACK, GONE = "temp.upend_back", "temp.upend_gone"


@dataclass(frozen=True, slots=True)
class Reversal:
    """What takes a table back: operations, each a commit, then one commit for the rows.

    `regained` are columns that come back under new field ids, `notes` what stays as it is now.
    """

    operations: tuple[Operation, ...]
    setup: tuple[str, ...]
    rows: tuple[str, ...]
    regained: tuple[str, ...]
    notes: tuple[str, ...]


def reversal(then: Layout, now: Layout, snapshot_id: int, place: int = 0) -> Reversal:
    """Return how `now` becomes what it was at the snapshot, where it was `then`.

    `place` tells the tables apart that go back together.
    """
    operations = _definition(then, now)
    after = now
    for operation in operations:
        after = operation.apply(after)
    before_ids = {column.field_id for column in now.columns}
    return Reversal(
        operations=tuple(operations),
        setup=_setup(then, after, snapshot_id, place),
        rows=_rows(then, after, place),
        regained=tuple(c.name for c in then.columns if c.field_id not in before_ids),
        notes=tuple(_notes(then, now)),
    )


def _definition(then: Layout, now: Layout) -> list[Operation]:
    """Return the operations that give the definition back, those that free names first."""
    past = {column.field_id: column for column in then.columns}
    present = {column.field_id: column for column in now.columns}
    found: list[Operation] = []
    if now.partition_by and now.partition_by != then.partition_by:
        found.append(PartitionBy(()))
    if now.sort_by and now.sort_by != then.sort_by:
        found.append(SortBy(()))
    found += [DropColumn(c.name) for id_, c in present.items() if id_ not in past]
    kept = [(past[id_], column) for id_, column in present.items() if id_ in past]
    found += _renames(kept)
    found += [AddColumn(c.name, c.type, c.default) for id_, c in past.items() if id_ not in present]
    for before, column in kept:
        found += _mended(before, column)
    found += [
        CommentColumn(c.name, c.comment)
        for id_, c in past.items()
        if id_ not in present and c.comment
    ]
    if then.comment != now.comment:
        found.append(CommentTable(then.comment))
    if then.partition_by and then.partition_by != now.partition_by:
        found.append(PartitionBy(then.partition_by))
    if then.sort_by and then.sort_by != now.sort_by:
        found.append(SortBy(then.sort_by))
    # Nothing is left where every column was added since: that table is another one.
    if not kept:
        raise InvalidChange(
            "No column of the table is left from that snapshot.",
            hint="Make a new table from a query at that snapshot instead.",
        )
    return found


def _renames(kept: Sequence[tuple[ColumnLayout, ColumnLayout]]) -> list[Operation]:
    """Return the renames; where names were swapped, by way of names that nobody uses."""
    changed = [(b, c) for b, c in kept if b.name != c.name]
    taken = {column.name.lower() for _, column in changed}
    if not any(b.name.lower() in taken and b.name.lower() != c.name.lower() for b, c in changed):
        return [RenameColumn(column.name, before.name) for before, column in changed]
    free = [(before, column, f"upend_{column.field_id}") for before, column in changed]
    away = [RenameColumn(column.name, name) for _, column, name in free]
    return [*away, *(RenameColumn(name, before.name) for before, _, name in free)]


def _mended(before: ColumnLayout, column: ColumnLayout) -> list[Operation]:
    found: list[Operation] = []
    if before.nulls_allowed and not column.nulls_allowed:
        found.append(SetNullable(before.name, nulls_allowed=True))
    if before.default != column.default:
        found.append(SetDefault(before.name, before.default))
    if before.comment != column.comment:
        found.append(CommentColumn(before.name, before.comment))
    return found


def _notes(then: Layout, now: Layout) -> list[str]:
    past = {column.field_id: column for column in then.columns}
    found = [
        f"{past[c.field_id].name} keeps the type {c.type} (it was {past[c.field_id].type}): it"
        " holds the same values."
        for c in now.columns
        if c.field_id in past and past[c.field_id].type != c.type
    ]
    found += [
        f"{past[c.field_id].name} may stay without a value, though it must have had one."
        for c in now.columns
        if c.field_id in past and c.nulls_allowed and not past[c.field_id].nulls_allowed
    ]
    if (then.schema, then.table) != (now.schema, now.table):
        found.append(f"The table keeps its name; it was called {then.schema}.{then.table}.")
    return found


def _setup(then: Layout, after: Layout, snapshot_id: int, place: int) -> tuple[str, ...]:
    """Return what works out the difference, before anything is written.

    Rows are told apart by DuckLake's row ids, which survive updates and compaction.
    """
    names = [quoted(column.name) for column in then.columns]
    types = after.by_name
    past = ", ".join(
        f"CAST({name} AS {types[column.name.lower()].type}) AS {name}"
        for name, column in zip(names, then.columns, strict=True)
    )
    old = f"SELECT rowid AS {ROW}, {past} FROM {target(then)} AT (VERSION => {snapshot_id})"  # noqa: S608
    new = f"SELECT rowid AS {ROW}, {', '.join(names)} FROM {target(after)}"  # noqa: S608
    back, gone = f"upend_back{place}", f"upend_gone{place}"
    only_new = f"SELECT {ROW} FROM ({new} EXCEPT {old}) AS differing"  # noqa: S608
    return (
        f"CREATE TEMP TABLE {back} AS {old} EXCEPT {new}",
        f"CREATE TEMP TABLE {gone} AS {only_new}",
    )


def _rows(then: Layout, after: Layout, place: int) -> tuple[str, ...]:
    """Return what makes the rows those of the snapshot, in one commit."""
    names = ", ".join(quoted(column.name) for column in then.columns)
    return (
        f"DELETE FROM {target(after)} WHERE rowid IN (SELECT {ROW} FROM {GONE}{place})",  # noqa: S608
        f"INSERT INTO {target(after)} ({names}) SELECT {names} FROM {BACK}{place}",  # noqa: S608
    )
