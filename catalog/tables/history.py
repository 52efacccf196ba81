"""A lake's history in words that name no table its reader may not see; what moments differ in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from accounts.domain import Actor
from catalog import lake
from catalog.domain import Table
from catalog.lake import histories
from catalog.lake.histories import FileChanges
from catalog.models import Catalog
from catalog.tables.held import tags_of
from catalog.tables.layout import ColumnLayout, Layout
from governance import services as governance
from governance.domain import Action, Request

OF_TABLE = re.compile(r"(?P<verb>[a-z_]+):(?P<table>[0-9]+)")
OF_NAME = re.compile(
    r'(?P<verb>created_table|created_view|created_schema):(?:"(?P<schema>(?:[^"]|"")*)"\.)?'
    r'"(?P<name>(?:[^"]|"")*)"'
)
VERBS = {
    "altered_table": "changed the definition of {}",
    "compacted_table": "compacted {}",
    "deleted_from_table": "deleted rows of {}",
    "dropped_table": "dropped {}",
    "flushed_inlined": "wrote small changes of {} to files",
    "inlined_delete": "deleted rows of {}",
    "inlined_insert": "added rows to {}",
    "inserted_into_table": "added rows to {}",
    "merge_adjacent": "compacted {}",
    "rewrite_delete": "compacted {}",
}
MADE = {
    "created_schema": "made the schema {}",
    "created_table": "made or renamed {}",
    "created_view": "made the view {}",
}
SOME_TABLE = "a table that you do not see"


@dataclass(frozen=True, slots=True)
class Moment:
    """One snapshot: who made it, why, what changed in words, and its tags."""

    change: lake.Change
    words: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much a table holds at a snapshot."""

    rows: int
    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs of a table between two snapshots, the older one first."""

    first: int
    last: int
    before: Sizes
    after: Sizes
    definition: tuple[str, ...]
    files: FileChanges


def moments(
    actor: Actor, catalog: Catalog, changes: Sequence[lake.Change], *, onlooker: Actor | None = None
) -> list[Moment]:
    """Return the snapshots in words. Tables that `actor` may not browse bear no name.

    Nor do those that an `onlooker` may not browse, who reads what `actor` would.
    """
    names = _names(actor, catalog, changes)
    if onlooker is not None:
        names = dict(names.items() & _names(onlooker, catalog, changes).items())
    tags = tags_of(catalog, (change.snapshot_id for change in changes))
    return [
        Moment(change, _words(change, names), tuple(tags.get(change.snapshot_id, ())))
        for change in changes
    ]


def sizes_at(catalog: Catalog, table: Table, snapshot_id: int) -> Sizes:
    """Return how much a table holds at a snapshot; exactly."""
    found = lake.table_by_uuid(catalog, snapshot_id, table.table_uuid) or table
    return Sizes(found.record_count, found.file_count, found.file_size_bytes)


def difference(
    catalog: Catalog,
    before: tuple[Table, Layout],
    after: tuple[Table, Layout],
    first: int,
    last: int,
) -> Difference:
    """Return what differs of one table between two snapshots."""
    return Difference(
        first=first,
        last=last,
        before=sizes_at(catalog, before[0], first),
        after=sizes_at(catalog, after[0], last),
        definition=tuple(definition_changes(before[1], after[1])),
        files=histories.file_changes(catalog, after[0].table_id, first, last),
    )


def definition_changes(before: Layout, after: Layout) -> list[str]:
    """Return in words how one definition became the other; columns are told apart by field id."""
    past = {column.field_id: column for column in before.columns}
    present = {column.field_id: column for column in after.columns}
    found = []
    if (before.schema, before.table) != (after.schema, after.table):
        found.append(f"{before.schema}.{before.table} is called {after.schema}.{after.table}.")
    found += [f"{c.name} ({c.type}) was added." for i, c in present.items() if i not in past]
    found += [f"{c.name} ({c.type}) was dropped." for i, c in past.items() if i not in present]
    for field_id, column in present.items():
        if field_id in past:
            found += _column_changes(past[field_id], column)
    for what, old, new in (
        ("partitioned", before.partition_by, after.partition_by),
        ("sorted", before.sort_by, after.sort_by),
    ):
        if old != new:
            keys = ", ".join(key.shown for key in new) or "nothing"
            found.append(f"New data is {what} by {keys}.")
    if before.comment != after.comment:
        found.append("The table's comment changed.")
    return found


def _column_changes(old: ColumnLayout, new: ColumnLayout) -> list[str]:
    found = []
    if old.name != new.name:
        found.append(f"{old.name} is called {new.name}.")
    if old.type != new.type:
        found.append(f"{new.name} became {new.type}; it was {old.type}.")
    if old.nulls_allowed != new.nulls_allowed:
        may = "may" if new.nulls_allowed else "may not"
        found.append(f"{new.name} {may} be without a value.")
    if old.default != new.default:
        found.append(f"The default of {new.name} is {new.default or 'no value'}.")
    if old.comment != new.comment:
        found.append(f"The comment of {new.name} changed.")
    return found


def _names(actor: Actor, catalog: Catalog, changes: Iterable[lake.Change]) -> dict[str, str]:
    """Return what to call each table, by id and by `schema.name`, of those one may browse."""
    texts = [text for change in changes for text in change.changes]
    ids = {int(found["table"]) for text in texts if (found := OF_TABLE.fullmatch(text))}
    known = histories.table_names(catalog, ids)
    made = {
        f"{found['schema']}.{found['name']}".lower()
        for text in texts
        if (found := OF_NAME.fullmatch(text)) and found["verb"] == "created_table"
    }
    newest = lake.latest_snapshot(catalog).snapshot_id
    uuids = frozenset(UUID(uuid) for uuid, _, _ in known.values())
    choice = lake.Choice(uuids, frozenset(made))
    live = lake.page(catalog, newest, only=choice, with_sizes=False)
    parent = catalog.securable
    asked = [Request(Action.CATALOG_BROWSE, table.securable(parent)) for table in live]
    decisions = governance.decide_many(actor, asked)
    return {
        name: f"{table.schema_name}.{table.name}"
        for table, decision in zip(live, decisions, strict=True)
        if decision.allowed
        for name in (str(table.table_id), f"{table.schema_name}.{table.name}".lower())
    }


def _words(change: lake.Change, names: dict[str, str]) -> str:
    said = [_said(text, names) for text in change.changes]
    sentence = "; ".join(dict.fromkeys(filter(None, said)))
    return f"{sentence[:1].upper()}{sentence[1:]}." if sentence else ""


def _said(text: str, names: dict[str, str]) -> str:
    if found := OF_TABLE.fullmatch(text):
        told = VERBS.get(found["verb"], "changed {}")
        return told.format(names.get(found["table"], SOME_TABLE))
    if found := OF_NAME.fullmatch(text):
        name = found["name"].replace('""', '"')
        if found["verb"] == "created_table":
            name = names.get(f"{found['schema']}.{name}".lower(), SOME_TABLE)
        return MADE[found["verb"]].format(name)
    return "changed the catalog"
