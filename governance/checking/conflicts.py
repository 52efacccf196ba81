"""Masks and row filters that cannot both hold: found before a policy does, with both names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from governance import tags, templates
from governance.checking.outcome import Asked
from governance.domain import PolicyReference, Securable, SecurableColumn
from governance.rules import MaskRule, Published
from governance.yaml_nodes import Node, at

OWN = PolicyReference("", 0)
"""Stands for the policy that is checked."""

TWO_MASKS = "A column has one mask: change one of the two, or retire {}."
MASKED_FILTER = "What rows are filtered by is not masked: change one of the two."


def of_mask(asked: Asked, own: MaskRule, node: Node) -> None:
    """Note every other mask on the same columns, and row filters that look at them."""
    tagged = tags.column_tags_of(asked.tables)
    for table in asked.tables:
        masked = _about(own, table, tagged)
        for other in asked.bundle.masks(table):
            both = masked & _about(other, table, tagged)
            _two_masks(asked, node, other.policy.name, sorted(_names(both, table)), table)
        for row_filter in asked.bundle.row_filters(table):
            both = masked & _filtered(row_filter.template, table)
            _masks_a_filter(asked, node, row_filter.policy.name, sorted(_names(both, table)))
    for other_rule, policy in _masks_that_meet(asked):
        names = {c.name.lower() for c in own.columns} & {c.name.lower() for c in other_rule.columns}
        _two_masks(asked, node, policy.name, sorted(names | (own.tags & other_rule.tags)), None)


def of_row_filter(asked: Asked, template: Sequence[Any], node: Node) -> None:
    """Note every mask on a column that the row filter looks at."""
    tagged = tags.column_tags_of(asked.tables)
    for table in asked.tables:
        filtered = _filtered(template, table)
        for mask in asked.bundle.masks(table):
            both = filtered & _about(mask, table, tagged)
            _masks_a_filter(asked, node, mask.policy.name, sorted(_names(both, table)))


def _two_masks(
    asked: Asked, node: Node, other: str, names: Sequence[str], table: Securable | None
) -> None:
    if names and not any(f"masked by {other}," in f.message for f in asked.findings):
        where = f" of {table.label}" if table else ""
        message = f"{names[0]}{where} is masked by {other}, and by {asked.shown_name} too."
        asked.note([at(node, message, TWO_MASKS.format(other))])


def _masks_a_filter(asked: Asked, node: Node, other: str, names: Sequence[str]) -> None:
    if names:
        message = (
            f"{names[0]} would be masked and filtered by: {other} and {asked.shown_name} disagree."
        )
        asked.note([at(node, message, MASKED_FILTER)])


def _about(rule: MaskRule, table: Securable, tagged: dict[str, frozenset[str]]) -> set[str]:
    """Return the keys of the columns that a mask is about, with all that is in them."""
    found: dict[tuple[str, ...], str] = {}
    for column in table.columns:
        if column.path[:-1] in found or rule.is_about(column, tagged.get(column.key, frozenset())):
            found[column.path] = column.key
    return set(found.values())


def _filtered(template: Sequence[Any], table: Securable) -> set[str]:
    """Return the keys of the columns that a row filter looks at, and of what they are in."""
    found: set[str] = set()
    for part in template:
        if isinstance(part, str) or "column" not in part:
            continue
        column = templates.find(part["column"]["name"], part["column"]["keys"], table.columns)
        if column is not None:
            found |= {c.key for c in table.columns if _is_around(c, column)}
    return found


def _is_around(outer: SecurableColumn, inner: SecurableColumn) -> bool:
    shorter, longer = sorted((outer.path, inner.path), key=len)
    return longer[: len(shorter)] == shorter


def _names(keys: set[str], table: Securable) -> set[str]:
    return {column.name for column in table.columns if column.key in keys}


def _masks_that_meet(asked: Asked) -> Iterator[tuple[MaskRule, Published]]:
    """Return the masks whose scope is around the checked one's, or within it."""
    above = {asked.scope.key, *(one.key for one in asked.scope.ancestors)}
    for rule, policy in asked.bundle.all_masks():
        if policy.scope_key in above or asked.scope.key in _above_key(asked, policy.scope_key):
            yield rule, policy


def _above_key(asked: Asked, key: str) -> set[str]:
    """Return the keys above a scope's, as its key tells: a table's has its catalog's."""
    found = {f"workspace:{asked.workspace.id}"}
    if key.startswith("table:"):
        found.add(f"catalog:{key.removeprefix('table:').partition('/')[0]}")
    return found
