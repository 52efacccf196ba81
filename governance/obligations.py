"""What someone is shown of a table: the masks and row filters that hold for them, as final SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from governance import masks, rules, templates
from governance.bundle import Bundle
from governance.domain import (
    NO_OBLIGATIONS,
    ColumnMask,
    MaskMethod,
    Obligations,
    PolicyReference,
    RowFilter,
    Securable,
    SecurableColumn,
)
from governance.masks import Mask, Path
from governance.rules import MaskRule, RowFilterRule
from governance.subjects import Subject
from governance.tags import Assigned, of_columns

ANY_COLUMN = "*"
"""Hidden where nobody said which columns there are: then any of them may be."""

NO_ROWS = "false"
NOTHING_SHOWN = Mask(MaskMethod.NULL)

ColumnTags = Mapping[str, frozenset[str]]
"""The tags that count for each column, by its key."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What holds for someone on a table, and the policies that say so, in order of their names.

    `covered` are the paths that masks replace or hide, with all within them. Where `broken` is
    there, nothing is shown: that policy cannot be applied to the table.
    """

    obligations: Obligations = NO_OBLIGATIONS
    policies: tuple[PolicyReference, ...] = ()
    broken: PolicyReference | None = None
    covered: frozenset[Path] = frozenset()

    def exposes(self, column: SecurableColumn) -> bool:
        """Tell whether values of the column itself are shown."""
        depths = range(1, len(column.path) + 1)
        return not any(column.path[:depth] in self.covered for depth in depths)


EVERYTHING = Shown()


def of(bundle: Bundle, who: Subject, table: Securable, tags: ColumnTags) -> Shown:
    """Return what `who` is shown of a table; the order of the policies makes no difference."""
    in_scope, row_filters = bundle.masks_about(table, tags), bundle.row_filters(table)
    if not in_scope and not row_filters:
        return EVERYTHING
    if broken := _broken(in_scope, row_filters, table, tags):
        return Shown(broken=broken)
    holding = [mask for mask in in_scope if not mask.exempts(who)]
    filtering = [one for one in row_filters if not one.exempts(who)]
    masked, hidden, masking, covered = _masked(holding, table, tags)
    obligations = Obligations(masked, _filtered(filtering, who, table), hidden)
    policies = {*masking, *(one.policy for one in filtering)}
    in_order = tuple(sorted(policies, key=lambda policy: policy.name))
    return Shown(obligations, in_order, covered=covered)


def may_shape(bundle: Bundle, table: Securable, assigned: Assigned) -> bool:
    """Tell whether any mask or row filter of the bundle is about a table, for whomever."""
    in_scope = bundle.masks(table)
    if bundle.row_filters(table) or any(mask.lost(table) for mask in in_scope):
        return True
    tags = of_columns(table, assigned) if in_scope else {}
    return any(_may_concern(mask, table, tags) for mask in in_scope)


def _broken(
    in_scope: Sequence[MaskRule],
    row_filters: Sequence[RowFilterRule],
    table: Securable,
    tags: ColumnTags,
) -> PolicyReference | None:
    """Return the first policy, by name, that cannot be applied to the table."""
    found = [one.policy for one in row_filters if one.is_broken]
    found += [m.policy for m in in_scope if m.is_broken and _may_concern(m, table, tags)]
    every: list[MaskRule | RowFilterRule] = [*in_scope, *row_filters]
    for rule in every:
        if not rule.is_broken and (name := rule.lost(table)):
            because = f"it names the column {name}, which {table.label} does not have."
            found.append(rules.broken(rule.policy, because))
    return min(found, key=lambda policy: policy.name, default=None)


def _may_concern(mask: MaskRule, table: Securable, tags: ColumnTags) -> bool:
    names_nothing = not mask.columns and not mask.tags
    return names_nothing or not table.columns or bool(_columns(mask, table, tags))


def _columns(mask: MaskRule, table: Securable, tags: ColumnTags) -> list[SecurableColumn]:
    """Return the columns that a mask is about; those within others of them are left out."""
    found: dict[Path, SecurableColumn] = {}
    for column in table.columns:
        is_within = any(column.path[:depth] in found for depth in range(1, len(column.path)))
        if not is_within and mask.is_about(column, tags.get(column.key, frozenset())):
            found[column.path] = column
    return list(found.values())


def _masked(
    holding: Sequence[MaskRule], table: Securable, tags: ColumnTags
) -> tuple[tuple[ColumnMask, ...], frozenset[str], set[PolicyReference], frozenset[Path]]:
    """Return the masks by top-level column in the table's order, what is hidden, and by whom.

    Last come the paths that are replaced or hidden.
    """
    if not table.columns:
        hidden = frozenset({ANY_COLUMN}) if holding else frozenset()
        return (), hidden, {mask.policy for mask in holding}, frozenset()
    by_path: dict[Path, list[MaskRule]] = {}
    for mask in holding:
        for column in _columns(mask, table, tags):
            by_path.setdefault(column.path, []).append(mask)
    methods = dict(_fitting(by_path, table))
    hidden = frozenset(p[0] for p, mask in methods.items() if mask.method is MaskMethod.HIDE)
    shown = {path: mask for path, mask in methods.items() if path[0] not in hidden}
    names = _policy_names(by_path)
    expressions = masks.compile_masks(shown, table.columns)
    masked = tuple(
        ColumnMask(column.path[0], expressions[column.path[0]], names[column.path[0]])
        for column in table.columns
        if len(column.path) == 1 and column.path[0] in expressions
    )
    masking = {mask.policy for found in by_path.values() for mask in found}
    covered = frozenset(methods) | {(name,) for name in hidden}
    return masked, hidden, masking, covered


def _fitting(
    by_path: Mapping[Path, Sequence[MaskRule]], table: Securable
) -> Iterator[tuple[Path, Mask]]:
    """Return one mask for each path, none of them within another.

    Publishing refuses two masks on one column and masks that do not fit. What a tag brings
    together later, or a changed type, shows nothing: never the value, never one mask at random.
    """
    columns = {column.path: column for column in table.columns}
    for path, found in by_path.items():
        if any(path[:depth] in by_path for depth in range(1, len(path))):
            continue
        within = {m for p, others in by_path.items() if p[: len(path)] == path for m in others}
        if any(mask.mask.method is MaskMethod.HIDE for mask in found) and len(path) == 1:
            yield path, Mask(MaskMethod.HIDE)
        elif len(within) > 1:
            yield path, NOTHING_SHOWN
        else:
            yield _fitted(found[0], columns[path], table, columns)


def _fitted(
    rule: MaskRule,
    column: SecurableColumn,
    table: Securable,
    columns: Mapping[Path, SecurableColumn],
) -> tuple[Path, Mask]:
    """Return the rule's mask where it fits the column, else NULL for as little as can be NULL."""
    try:
        sql = templates.render(rule.template, table.columns, {}) if rule.template else None
        mask = replace(rule.mask, sql=sql)
    except templates.Unrenderable:
        mask = NOTHING_SHOWN
    if not masks.problems(mask, column, table.columns):
        return column.path, mask
    path = column.path
    while masks.problems(NOTHING_SHOWN, columns[path], table.columns):
        path = path[:-1]
    return path, NOTHING_SHOWN


def _policy_names(by_path: Mapping[Path, Sequence[MaskRule]]) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for path, rules_on in by_path.items():
        found.setdefault(path[0], set()).update(rule.policy.name for rule in rules_on)
    return {top: ", ".join(sorted(names)) for top, names in found.items()}


def _filtered(
    filtering: Sequence[RowFilterRule], who: Subject, table: Securable
) -> tuple[RowFilter, ...]:
    """Return the predicates in order of their policies' names."""
    return tuple(RowFilter(_predicate(one, who, table), one.policy.name) for one in filtering)


def _predicate(rule: RowFilterRule, who: Subject, table: Securable) -> str:
    """Return the predicate; no row where the principal lacks a value or no column is known."""
    try:
        predicate = templates.render(rule.template, table.columns, who.values)
    except templates.Unrenderable:
        return NO_ROWS
    # The line break ends a comment, which would take the engine's parenthesis with it.
    return f"{predicate}\n" if "--" in predicate else predicate
