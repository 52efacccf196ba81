"""What a change will do and what it breaks, worked out before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from accounts.domain import Actor
from catalog.domain import Table
from catalog.models import Catalog
from catalog.tables import dependents
from catalog.tables.layout import InvalidChange, Layout
from catalog.tables.operations import (
    DropColumn,
    DropTable,
    Operation,
    PromoteColumn,
    RenameColumn,
    RenameTable,
)
from governance import mentions
from governance import selectors as governance

MAX_OPERATIONS = 50


class ImpactKind(StrEnum):
    """What a change can touch beside the table."""

    POLICY = "policy"
    SAVED_QUERY = "saved_query"
    TAG = "tag"
    VIEW = "view"


@dataclass(frozen=True, slots=True)
class Impact:
    """Something that the change breaks or takes away."""

    kind: ImpactKind
    name: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        """Return it JSON-ready."""
        return {"kind": self.kind.value, "name": self.name, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Preview:
    """The steps of a change, each a commit of its own, and what it breaks."""

    schema_version: int
    sentences: tuple[str, ...]
    statements: tuple[str, ...]
    impacts: tuple[Impact, ...]
    after: Layout

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "schema_version": self.schema_version,
            "steps": [
                {"does": does, "sql": sql}
                for does, sql in zip(self.sentences, self.statements, strict=True)
            ],
            "breaks": [impact.as_dict() for impact in self.impacts],
        }


def preview(
    actor: Actor, catalog: Catalog, table: Table, layout: Layout, operations: Sequence[Operation]
) -> Preview:
    """Return what the operations do, one after the other. Raises `InvalidChange`."""
    if not 0 < len(operations) <= MAX_OPERATIONS:
        raise InvalidChange(f"A change has 1 to {MAX_OPERATIONS} operations.")
    if any(isinstance(one, DropTable) for one in operations) and len(operations) > 1:
        raise InvalidChange("Nothing else can be done to a table that is dropped.")
    sentences, statements, current = [], [], layout
    for operation in operations:
        following = operation.apply(current)
        sentences.append(operation.sentence(current))
        statements.append(operation.sql(current))
        current = following
    return Preview(
        schema_version=layout.schema_version,
        sentences=tuple(sentences),
        statements=tuple(statements),
        impacts=impacts(actor, catalog, table, layout, operations),
        after=current,
    )


def impacts(
    actor: Actor, catalog: Catalog, table: Table, layout: Layout, operations: Sequence[Operation]
) -> tuple[Impact, ...]:
    """Return what the operations break or take away, beside the table itself."""
    touched = _touched(layout, operations)
    is_gone = any(isinstance(one, DropTable) for one in operations)
    is_renamed = is_gone or any(isinstance(one, RenameTable) for one in operations)
    found = [*_policies(catalog, table, touched, is_gone=is_gone)]
    found += _tags(catalog, table, touched)
    if touched or is_renamed:
        names = None if is_renamed else frozenset(touched)
        found += [
            Impact(ImpactKind(one.kind), one.name, one.detail)
            for one in dependents.naming(actor, catalog, table, names)
        ]
    return tuple(found)


def _touched(layout: Layout, operations: Sequence[Operation]) -> dict[str, Operation]:
    """Return the operations after which what names a column may fail, by the column's name."""
    known = layout.by_name
    return {
        known[one.column.lower()].name: one
        for one in operations
        if isinstance(one, DropColumn | RenameColumn | PromoteColumn)
        and one.column.lower() in known
    }


def _policies(
    catalog: Catalog, table: Table, touched: dict[str, Operation], *, is_gone: bool
) -> list[Impact]:
    prefix = f"column:{catalog.id}/{table.table_uuid}"
    ids = {column.name: column.column_id for column in table.top_columns}
    keys = {f"{prefix}/{ids[name]}": name for name in touched}
    if is_gone:
        keys = {table.key: table.label} | {
            f"{prefix}/{column.column_id}": column.name for column in table.columns
        }
    found = []
    for policy, key in mentions.policies_naming(catalog.workspace, list(keys)):
        found.append(Impact(ImpactKind.POLICY, policy, _said_of_policy(touched.get(keys[key]))))
    return list(dict.fromkeys(found))


def _said_of_policy(operation: Operation | None) -> str:
    match operation:
        case RenameColumn():
            return "names the column; it follows the new name by itself."
        case PromoteColumn():
            return "names the column; check that what it shows in its place fits the new type."
        case _:
            return "names what goes away: it will deny until somebody mends it."


def _tags(catalog: Catalog, table: Table, touched: dict[str, Operation]) -> list[Impact]:
    dropped = {name for name, one in touched.items() if isinstance(one, DropColumn)}
    if not dropped:
        return []
    securable = table.securable(catalog.securable)
    own = governance.own_column_tags(securable)
    found = []
    for column in securable.columns:
        if column.path[0] in dropped:
            found += [
                Impact(
                    ImpactKind.TAG,
                    tag,
                    f"is on {column.name}: a column that is added later does not bear it.",
                )
                for tag in sorted(map(str, own[column.key]))
            ]
    return found
