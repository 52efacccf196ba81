"""The changes that can be made to a table: each says what it does, in words and as SQL.

DuckLake 1.0 leaves a lake unreadable where one transaction renames a column and changes its type:
each operation is therefore a commit of its own.
"""

# ruff: noqa: D102 - what each method does is said by the protocol

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

from catalog.lake.types import quoted
from catalog.names import check_table_name
from catalog.tables import types
from catalog.tables.layout import ColumnLayout, InvalidChange, Layout, PartitionKey, SortKey
from catalog.tables.literals import default_text, literal
from catalog.writer.quoting import quoted_text

MAX_COMMENT = 2000


class Operation(Protocol):
    """One change of a table's definition."""

    op: ClassVar[str]

    def apply(self, layout: Layout) -> Layout:
        """Return the definition after the change. Raises `InvalidChange`."""

    def sql(self, layout: Layout) -> str:
        """Return the statement, given the definition before the change."""

    def sentence(self, layout: Layout) -> str:
        """Return what it does, in words, given the definition before the change."""


@dataclass(frozen=True, slots=True)
class AddColumn:
    """A new column; rows that are there have its default, or no value."""

    op: ClassVar[str] = "add_column"
    column: str
    type: str
    default: str | None = None

    def apply(self, layout: Layout) -> Layout:
        layout.check_new_name(self.column)
        added = ColumnLayout(self.column, self.type, default=self.default)
        return replace(layout, columns=(*layout.columns, added))

    def sql(self, layout: Layout) -> str:
        default = "" if self.default is None else f" DEFAULT {literal(self.default)}"
        return f"ALTER TABLE {target(layout)} ADD COLUMN {quoted(self.column)} {self.type}{default}"

    def sentence(self, layout: Layout) -> str:  # noqa: ARG002 - as the others
        rows = f"have {self.default}" if self.default is not None else "have no value in it"
        return f"Adds the column {self.column} of type {self.type}; rows that are there {rows}."


@dataclass(frozen=True, slots=True)
class CommentColumn:
    """What DuckLake's metadata says of a column; empty takes it away."""

    op: ClassVar[str] = "comment_column"
    column: str
    comment: str

    def apply(self, layout: Layout) -> Layout:
        check_comment(self.comment)
        return changed(layout, self.column, comment=self.comment)

    def sql(self, layout: Layout) -> str:
        name = quoted(layout.column(self.column).name)
        return f"COMMENT ON COLUMN {target(layout)}.{name} IS {comment_sql(self.comment)}"

    def sentence(self, layout: Layout) -> str:
        return f"{_said(self.comment)} of the column {layout.column(self.column).name}."


@dataclass(frozen=True, slots=True)
class CommentTable:
    """What DuckLake's metadata says of the table; empty takes it away."""

    op: ClassVar[str] = "comment_table"
    comment: str

    def apply(self, layout: Layout) -> Layout:
        check_comment(self.comment)
        return replace(layout, comment=self.comment)

    def sql(self, layout: Layout) -> str:
        return f"COMMENT ON TABLE {target(layout)} IS {comment_sql(self.comment)}"

    def sentence(self, layout: Layout) -> str:  # noqa: ARG002 - as the others
        return f"{_said(self.comment)} of the table."


@dataclass(frozen=True, slots=True)
class DropColumn:
    """A column less; older snapshots keep it."""

    op: ClassVar[str] = "drop_column"
    column: str

    def apply(self, layout: Layout) -> Layout:
        gone = layout.column(self.column)
        if len(layout.columns) + len(layout.hidden) == 1:
            raise InvalidChange("A table has at least one column.", hint="Drop the table instead.")
        for what, keys in (("partitioned", layout.partition_by), ("sorted", layout.sort_by)):
            if gone.name in {key.column for key in keys}:
                raise InvalidChange(
                    f"The table is {what} by {gone.name}.",
                    hint=f"Change what it is {what} by first.",
                )
        return replace(layout, columns=tuple(c for c in layout.columns if c is not gone))

    def sql(self, layout: Layout) -> str:
        name = quoted(layout.column(self.column).name)
        return f"ALTER TABLE {target(layout)} DROP COLUMN {name}"

    def sentence(self, layout: Layout) -> str:
        name = layout.column(self.column).name
        return f"Drops the column {name}: no query sees it any more, but older snapshots keep it."


@dataclass(frozen=True, slots=True)
class DropTable:
    """The table less; older snapshots keep it."""

    op: ClassVar[str] = "drop_table"

    def apply(self, layout: Layout) -> Layout:
        return layout

    def sql(self, layout: Layout) -> str:
        return f"DROP TABLE {target(layout)}"

    def sentence(self, layout: Layout) -> str:
        return (
            f"Drops the table {layout.schema}.{layout.table}: its rows can be read at older"
            " snapshots until those expire."
        )


@dataclass(frozen=True, slots=True)
class PartitionBy:
    """By what new data is split into files; nothing, where there are no keys."""

    op: ClassVar[str] = "partition_by"
    keys: tuple[PartitionKey, ...]

    def apply(self, layout: Layout) -> Layout:
        return replace(layout, partition_by=self.named(layout))

    def sql(self, layout: Layout) -> str:
        keys = ", ".join(key.sql for key in self.named(layout))
        what = f"SET PARTITIONED BY ({keys})" if keys else "RESET PARTITIONED BY"
        return f"ALTER TABLE {target(layout)} {what}"

    def sentence(self, layout: Layout) -> str:
        keys = ", ".join(key.shown for key in self.named(layout))
        what = f"Partitions new data by {keys}" if keys else "Partitions new data no more"
        return f"{what}; files that are there stay as they are."

    def named(self, layout: Layout) -> tuple[PartitionKey, ...]:
        """Return the keys with the columns' own spelling."""
        return tuple(replace(key, column=layout.column(key.column).name) for key in self.keys)


@dataclass(frozen=True, slots=True)
class PromoteColumn:
    """A wider type, in which every value stays what it is."""

    op: ClassVar[str] = "promote_column"
    column: str
    type: str

    def apply(self, layout: Layout) -> Layout:
        before = layout.column(self.column)
        if not types.is_widening(before.type, self.type):
            wider = ", ".join(types.widenings(before.type))
            hint = f"It can become {wider}." if wider else "Add a column of the new type instead."
            raise InvalidChange(
                f"{before.name} is of type {before.type}, which {self.type} does not hold exactly.",
                hint=hint,
            )
        return changed(layout, self.column, type=self.type)

    def sql(self, layout: Layout) -> str:
        name = quoted(layout.column(self.column).name)
        return f"ALTER TABLE {target(layout)} ALTER COLUMN {name} SET DATA TYPE {self.type}"

    def sentence(self, layout: Layout) -> str:
        before = layout.column(self.column)
        return f"Widens {before.name} from {before.type} to {self.type}; no file is rewritten."


@dataclass(frozen=True, slots=True)
class RenameColumn:
    """Another name; tags, masks and row filters follow the column."""

    op: ClassVar[str] = "rename_column"
    column: str
    to: str

    def apply(self, layout: Layout) -> Layout:
        before = layout.column(self.column).name
        if before.lower() != self.to.lower():
            layout.check_new_name(self.to)
        elif before == self.to:
            raise InvalidChange(f"The column is called {before!r} already.")
        return replace(
            changed(layout, before, name=self.to),
            partition_by=tuple(
                replace(key, column=self.to) if key.column == before else key
                for key in layout.partition_by
            ),
            sort_by=tuple(
                replace(key, column=self.to) if key.column == before else key
                for key in layout.sort_by
            ),
        )

    def sql(self, layout: Layout) -> str:
        name = quoted(layout.column(self.column).name)
        return f"ALTER TABLE {target(layout)} RENAME COLUMN {name} TO {quoted(self.to)}"

    def sentence(self, layout: Layout) -> str:
        name = layout.column(self.column).name
        return f"Renames the column {name} to {self.to}; its tags and masks follow it."


@dataclass(frozen=True, slots=True)
class RenameTable:
    """Another name in the same schema; grants, tags and policies follow the table."""

    op: ClassVar[str] = "rename_table"
    to: str

    def apply(self, layout: Layout) -> Layout:
        check_table_name(self.to)
        if self.to == layout.table:
            raise InvalidChange(f"The table is called {self.to!r} already.")
        return replace(layout, table=self.to)

    def sql(self, layout: Layout) -> str:
        return f"ALTER TABLE {target(layout)} RENAME TO {quoted(self.to)}"

    def sentence(self, layout: Layout) -> str:
        return (
            f"Renames the table {layout.table} to {self.to}; grants, tags and policies follow it,"
            " queries that name it do not."
        )


@dataclass(frozen=True, slots=True)
class SetDefault:
    """What new rows have where they say nothing; no value where it is None."""

    op: ClassVar[str] = "set_default"
    column: str
    default: str | float | None

    def apply(self, layout: Layout) -> Layout:
        return changed(layout, self.column, default=self.text(layout))

    def sql(self, layout: Layout) -> str:
        name, text = quoted(layout.column(self.column).name), self.text(layout)
        what = "DROP DEFAULT" if text is None else f"SET DEFAULT {literal(text)}"
        return f"ALTER TABLE {target(layout)} ALTER COLUMN {name} {what}"

    def sentence(self, layout: Layout) -> str:
        name, text = layout.column(self.column).name, self.text(layout)
        what = "no value" if text is None else text
        return f"New rows that do not say {name} have {what}; rows that are there stay."

    def text(self, layout: Layout) -> str | None:
        """Return the default as text of the column's type. Raises `InvalidChange`."""
        kind = layout.column(self.column).type
        return None if self.default is None else default_text(self.default, kind)


@dataclass(frozen=True, slots=True)
class SetNullable:
    """Whether rows may be without a value in the column."""

    op: ClassVar[str] = "set_nullable"
    column: str
    nulls_allowed: bool

    def apply(self, layout: Layout) -> Layout:
        return changed(layout, self.column, nulls_allowed=self.nulls_allowed)

    def sql(self, layout: Layout) -> str:
        name = quoted(layout.column(self.column).name)
        what = "DROP NOT NULL" if self.nulls_allowed else "SET NOT NULL"
        return f"ALTER TABLE {target(layout)} ALTER COLUMN {name} {what}"

    def sentence(self, layout: Layout) -> str:
        name = layout.column(self.column).name
        if self.nulls_allowed:
            return f"Rows may be without a value in {name}."
        return f"Rows must have a value in {name}; it is refused where one of them has none."


@dataclass(frozen=True, slots=True)
class SortBy:
    """By what the rows of new files are sorted; nothing, where there are no keys."""

    op: ClassVar[str] = "sort_by"
    keys: tuple[SortKey, ...]

    def apply(self, layout: Layout) -> Layout:
        return replace(layout, sort_by=self.named(layout))

    def sql(self, layout: Layout) -> str:
        keys = ", ".join(key.sql for key in self.named(layout))
        what = f"SET SORTED BY ({keys})" if keys else "RESET SORTED BY"
        return f"ALTER TABLE {target(layout)} {what}"

    def sentence(self, layout: Layout) -> str:
        keys = ", ".join(key.shown for key in self.named(layout))
        what = f"Sorts new files by {keys}" if keys else "Sorts new files no more"
        return f"{what}; files that are there stay until they are compacted."

    def named(self, layout: Layout) -> tuple[SortKey, ...]:
        """Return the keys with the columns' own spelling."""
        return tuple(replace(key, column=layout.column(key.column).name) for key in self.keys)


def target(layout: Layout) -> str:
    """Return the table's quoted name in the writer's lake."""
    return f'"lake".{quoted(layout.schema)}.{quoted(layout.table)}'


def changed(layout: Layout, which: str, /, **fields: object) -> Layout:
    """Return the definition with other fields of one column. Raises `InvalidChange`."""
    before = layout.column(which)
    after = replace(before, **fields)  # type: ignore[arg-type]  # the callers name its fields
    return replace(layout, columns=tuple(after if c is before else c for c in layout.columns))


def check_comment(text: str) -> None:
    """Raise `InvalidChange` for a comment that is too long or has control characters."""
    if len(text) > MAX_COMMENT or "\x00" in text:
        raise InvalidChange(f"A comment has at most {MAX_COMMENT:,} characters of text.")


def comment_sql(text: str) -> str:
    """Return a comment as SQL has it; nothing takes it away."""
    return quoted_text(text) if text else "NULL"


def _said(comment: str) -> str:
    return "Sets the comment" if comment else "Takes away the comment"
