"""Commits a group of batches of rows: one snapshot, whatever number of senders there were.

What was checked before is cast as it comes; what was not is checked here, piece by piece. A batch
that turns out not to fit is refused by itself, and the others are committed without it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
from psycopg import sql

from catalog.ingest import casting, checking
from catalog.ingest.domain import (
    REJECTED_SUFFIX,
    SHOWN_ERRORS,
    BadRow,
    IngestMode,
    Mismatch,
    OnError,
    RowFormat,
    SchemaMode,
    Target,
    Wanted,
    shape_of,
)
from catalog.ingest.reading import CHUNK_ROWS, Chunk, chunks
from catalog.writer.quoting import quoted_name, quoted_text
from catalog.writer.session import Lake, Spec
from catalog.writer.sources import Home, Source

INLINED_ROWS = 500
"""Inserts of at most so many rows go into the metadata, where they cost no file."""
FLUSHED_ROWS = 20_000
"""Inlined rows of one table after which they become a file, whatever maintenance does."""
PLACE = sql.SQL(
    "SELECT s.schema_name, t.table_name,"
    " (SELECT schema_version FROM {snapshots} ORDER BY snapshot_id DESC LIMIT 1)"
    " FROM {tables} t JOIN {schemas} s USING (schema_id)"
    " WHERE t.table_uuid = %s::uuid AND t.end_snapshot IS NULL AND s.end_snapshot IS NULL"
)
"""Where a table is now: asked for by its id, because it may have been renamed."""
INLINED = sql.SQL(
    "SELECT i.table_name FROM {inlined} i JOIN {tables} t ON t.table_id = i.table_id"
    " JOIN {schemas} s ON s.schema_id = t.schema_id"
    " WHERE s.schema_name = %s AND t.table_name = %s"
    " AND t.end_snapshot IS NULL AND s.end_snapshot IS NULL"
)
"""Where the inlined rows of a table are: a table of the metadata for each of its shapes."""
SIDE_COLUMNS = (
    "batch_id BIGINT, row_number BIGINT, column_name VARCHAR, reason VARCHAR, raw VARCHAR,"
    " rejected_at TIMESTAMP WITH TIME ZONE"
)


@dataclass(slots=True)
class Group:
    """What becomes of one group: rows to write, rows put aside, and what to tell."""

    sources: list[Source] = field(default_factory=list)
    aside: dict[tuple[str, str], list[dict[str, Any]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    homes: dict[str, Home] = field(default_factory=dict)


class Rows:
    """The live lake, and how many rows it keeps inlined since they were last written out.

    Columns change with the lake's schema version only, so they are remembered under it.
    """

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._inlined: dict[tuple[str, str], int] = {}
        self._homes: dict[str, tuple[tuple[Any, ...], Home]] = {}
        lake.execute(f"SET ducklake_default_data_inlining_row_limit = {INLINED_ROWS}")

    def commit(self, spec: Spec, session: psycopg.Connection) -> dict[str, Any]:
        """Commit a group; return its snapshot, and what there is to tell of single batches.

        `session` reads the lake's metadata: the engine would copy whole tables of it.
        """
        self.lake.spec, self.lake.session, self._session = spec, session, session
        group = self._prepared(spec.arguments["batches"])
        statements = list(self._statements(group))
        if not statements:
            return {"snapshot_id": None, "batches": group.told}
        try:
            is_first = bool(spec.arguments.get("is_first"))
            result = self.lake.commit(spec.marker(), statements, is_first=is_first)
        finally:
            self._unregister(group)
        self._flush(group)
        return result | {"batches": group.told}

    def _prepared(self, batches: list[dict[str, Any]]) -> Group:
        group = Group()
        for batch in batches:
            try:
                self._prepare(batch, group)
            except Mismatch as mismatch:
                told = group.told.setdefault(str(batch["id"]), {})
                told |= {"problem": mismatch.as_dict(), "rows": 0}
        return group

    def _prepare(self, batch: dict[str, Any], group: Group) -> None:
        """Put one batch's rows into the group, or raise `Mismatch`."""
        home = self._home(batch, group)
        if batch["is_checked"]:
            cells = pa.ipc.open_stream(pa.memory_map(batch["path"])).read_all()
            if not _fits(batch, home, cells):
                home, cells = self._checked(batch, home, group, _arrow_chunks(cells))
            else:
                self._put_aside(batch, home, group, batch["rejected"])
        else:
            home, cells = self._checked(batch, home, group, self._chunks(batch))
        if cells.num_rows:
            _join(group, Source(home, batch["mode"], tuple(batch["keys"]), cells.schema, [cells]))

    def _checked(
        self, batch: dict[str, Any], home: Home, group: Group, found: Iterator[Chunk]
    ) -> tuple[Home, pa.Table]:
        """Check a batch here; refuse it, or put its bad rows aside, as its sender asked."""
        bad: list[BadRow] = []
        good: list[pa.Table] = []
        count = 0
        for chunk in found:
            checked = checking.check(chunk, _wanted(batch, home))
            home = self._evolved(batch, home, checked.evolution.as_dict())
            group.homes[batch["table_uuid"]] = home
            bad += checked.bad
            count += len(checked.bad) + checked.cells.num_rows
            good.append(checked.cells)
        group.told[str(batch["id"])] = {
            "rows": count - len(bad),
            "rejected": len(bad),
            "errors": [one.as_dict() for one in bad[:SHOWN_ERRORS]],
        }
        if bad and batch["on_error"] == OnError.REJECT:
            raise _rejected(len(bad), count)
        self._put_aside(batch, home, group, [[o.row, o.column, o.reason, o.raw] for o in bad])
        return home, pa.concat_tables(good, promote_options="permissive") if good else pa.table({})

    def _chunks(self, batch: dict[str, Any]) -> Iterator[Chunk]:
        form = RowFormat(batch["format"])
        if form is not RowFormat.PARQUET:
            yield from chunks(pa.memory_map(batch["path"]).read_buffer(), form)
            return
        first = 1
        try:
            read = f"SELECT * FROM read_parquet({quoted_text(batch['path'])})"  # noqa: S608 - our own path
            for piece in self.lake.con.cursor().execute(read).to_arrow_reader(CHUNK_ROWS):
                yield Chunk(pa.Table.from_batches([piece]), range(first, first + piece.num_rows))
                first += piece.num_rows
        except duckdb.Error as error:
            text = str(error).partition("\n")[0].replace(batch["path"], "the body")
            raise Mismatch(
                "bad-rows-body", f"The body is not readable as Parquet: {text}"
            ) from error

    def _home(self, batch: dict[str, Any], group: Group) -> Home:
        """Return the table of a batch, changed as the batch needs it."""
        name = batch["table_uuid"]
        known = group.homes.get(name) or self._found(batch)
        group.homes[name] = self._evolved(batch, known, batch["evolution"])
        return group.homes[name]

    def _found(self, batch: dict[str, Any]) -> Home:
        """Return the table as it is now."""
        name = batch["table_uuid"]
        found = self._session.execute(self._place, [name]).fetchone()
        if found is None:
            raise Mismatch("table-gone", "The table was dropped after the rows were taken in.")
        known = self._homes.get(name)
        if known is None or known[0] != found:
            known = self._homes[name] = found, self._described(*found[:2])
        return known[1]

    @cached_property
    def _place(self) -> sql.Composed:
        schema = self.lake.spec.metadata_schema
        return PLACE.format(
            schemas=sql.Identifier(schema, "ducklake_schema"),
            snapshots=sql.Identifier(schema, "ducklake_snapshot"),
            tables=sql.Identifier(schema, "ducklake_table"),
        )

    def _described(self, schema: str, name: str) -> Home:
        found = self.lake.execute(f"DESCRIBE {self.lake.name(schema, name)}")
        targets = tuple(
            Target(row[0], row[1], row[2] == "YES", row[4] is not None) for row in found
        )
        return Home(schema, name, targets)

    def _evolved(self, batch: dict[str, Any], home: Home, evolution: dict[str, Any]) -> Home:
        """Add and widen the columns that are not there yet: one commit before the rows'."""
        known = {target.name.lower(): target for target in home.targets}
        table = self.lake.name(home.schema, home.name)
        texts = []
        for name, kind in evolution.get("added", {}).items():
            if name.lower() not in known:
                texts.append(f"ALTER TABLE {table} ADD COLUMN {quoted_name(name)} {kind}")
        for name, kind in evolution.get("widened", {}).items():
            target = known.get(name.lower())
            if target is not None and kind in casting.wider(target.type):
                column = quoted_name(target.name)
                texts.append(f"ALTER TABLE {table} ALTER COLUMN {column} SET DATA TYPE {kind}")
        if texts:
            self.lake.commit(f"upend-ingest:{batch['id']}:{shape_of(home.targets)}", texts)
        return self._described(home.schema, home.name) if texts else home

    def _put_aside(
        self, batch: dict[str, Any], home: Home, group: Group, rejected: list[list[Any]]
    ) -> None:
        for row, column, reason, raw in rejected:
            kept = raw if batch["keeps_raw"] else None
            group.aside[home.schema, home.name].append(
                {
                    "batch_id": batch["id"],
                    "row_number": row,
                    "column_name": column,
                    "reason": reason,
                    "raw": kept,
                }
            )

    def _statements(self, group: Group) -> Iterator[str]:
        for number, source in enumerate(group.sources):
            self.lake.con.register(f"rows_{number}", source.cells())
            yield source.statement(f"temp.main.rows_{number}")
        for number, ((schema, name), rows) in enumerate(group.aside.items()):
            side = self.lake.name(schema, name + REJECTED_SUFFIX)
            self.lake.con.register(f"aside_{number}", pa.Table.from_pylist(rows, ASIDE))
            yield f"CREATE TABLE IF NOT EXISTS {side} ({SIDE_COLUMNS})"
            yield (
                f"INSERT INTO {side} SELECT batch_id, row_number, column_name, reason, raw,"  # noqa: S608 - quoted
                f" now() FROM temp.main.aside_{number}"
            )

    def _unregister(self, group: Group) -> None:
        for number in range(len(group.sources)):
            self.lake.con.unregister(f"rows_{number}")
        for number in range(len(group.aside)):
            self.lake.con.unregister(f"aside_{number}")

    def _flush(self, group: Group) -> None:
        """Write out a table's inlined rows once there are many: they slow every plan down."""
        for source in group.sources:
            if source.rows > INLINED_ROWS:
                continue
            home = source.home.schema, source.home.name
            known = self._inlined.get(home)
            self._inlined[home] = known + source.rows if known is not None else self._kept(*home)
            if self._inlined[home] >= FLUSHED_ROWS:
                self.lake.execute(
                    "CALL ducklake_flush_inlined_data('lake', schema_name => ?, table_name => ?)",
                    list(home),
                )
                self._inlined[home] = 0

    def _kept(self, schema: str, name: str) -> int:
        """Count the inlined rows of a table that were there before this process was."""
        metadata = self.lake.spec.metadata_schema
        of_table = INLINED.format(
            inlined=sql.Identifier(metadata, "ducklake_inlined_data_tables"),
            tables=sql.Identifier(metadata, "ducklake_table"),
            schemas=sql.Identifier(metadata, "ducklake_schema"),
        )
        total = 0
        for (table,) in self._session.execute(of_table, [schema, name]).fetchall():
            count = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(metadata, table))
            total += sum(found for (found,) in self._session.execute(count))
        return total


ASIDE = pa.schema(
    [
        ("batch_id", pa.int64()),
        ("row_number", pa.int64()),
        ("column_name", pa.string()),
        ("reason", pa.string()),
        ("raw", pa.string()),
    ]
)


def _fits(batch: dict[str, Any], home: Home, cells: pa.Table) -> bool:
    """Tell whether checked rows fit the table still: it may have changed since."""
    if batch["shape"] == shape_of(home.targets):
        return True
    types = {target.name: target.type for target in home.targets}
    if not all(one.name in types for one in cells.schema):
        return False
    asked = [(at, types[one.name]) for at, one in enumerate(cells.schema)]
    return not any(checking.lost_cells(cells, asked))


def _rejected(bad: int, count: int) -> Mismatch:
    return Mismatch(
        "rows-rejected",
        f"{bad:,} of {count:,} rows do not fit the table; none was written.",
        hint="Correct them and send the batch again, or send it with on_error=quarantine.",
    )


def _wanted(batch: dict[str, Any], home: Home) -> Wanted:
    return Wanted(
        home.targets,
        IngestMode(batch["mode"]),
        SchemaMode(batch["schema_mode"]),
        tuple(batch["keys"]),
    )


def _arrow_chunks(cells: pa.Table) -> Iterator[Chunk]:
    yield Chunk(cells, range(1, cells.num_rows + 1))


def _join(group: Group, source: Source) -> None:
    """Put the rows behind the last ones where they are of the same kind: one statement then."""
    for earlier in reversed(group.sources):
        if earlier.home.schema == source.home.schema and earlier.home.name == source.home.name:
            is_same = earlier.schema.equals(source.schema) and earlier.home == source.home
            if is_same and earlier.keys == source.keys:
                earlier.tables += source.tables
                return
            break
    group.sources.append(source)
