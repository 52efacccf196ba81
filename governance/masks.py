"""What a masked column shows instead of its values: each method as SQL of the column's own type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from governance import literals
from governance.domain import MaskMethod, SecurableColumn
from governance.fitting import (
    DECIMAL,
    FLOATS,
    HMAC,
    Mask,
    MaskProblem,
    constant_text,
    problems,
)

__all__ = [
    "HMAC",
    "Mask",
    "MaskProblem",
    "NotMaskable",
    "compile_mask",
    "compile_masks",
    "problems",
]

SHOWN_INSTEAD = "****"

Path = tuple[str, ...]


class NotMaskable(ValueError):
    """The mask does not fit the column: `problems` would have said so."""


def compile_mask(mask: Mask, column: SecurableColumn, columns: Sequence[SecurableColumn]) -> str:
    """Return what the *top-level* column of `column` shows where `mask` is on `column`.

    SQL over the table's own columns, of the top-level column's type. A struct is rebuilt around
    its masked child; one that is NULL stays NULL. Raises `NotMaskable`.
    """
    return compile_masks({column.path: mask}, columns)[column.path[0]]


def compile_masks(masks: Mapping[Path, Mask], columns: Sequence[SecurableColumn]) -> dict[str, str]:
    """Return the expression of each top-level column that something is masked in, by its name.

    `masks` are by the paths of their columns; a column that is masked hides masks below it, and
    `hide` is no expression: leave such columns out. Raises `NotMaskable`.
    """
    table = _Table(tuple(columns), masks)
    tops = dict.fromkeys(path[0] for path in masks)
    return {top: table.shown((top,), literals.name(top)) for top in tops}


@dataclass(frozen=True, slots=True)
class _Table:
    columns: tuple[SecurableColumn, ...]
    masks: Mapping[Path, Mask]

    def shown(self, path: Path, reference: str, depth: int = 0) -> str:
        """Return what is shown of the value `reference` that is at `path`."""
        column = self._at(path)
        if (mask := self.masks.get(path)) is not None:
            if found := problems(mask, column, self.columns):
                raise NotMaskable(found[0].message)
            return masked(mask, column.type, reference)
        if not any(other[: len(path)] == path for other in self.masks):
            return reference
        if column.type.endswith("[]"):
            return self._list(path, reference, depth)
        return self._struct(path, reference, depth)

    def _struct(self, path: Path, reference: str, depth: int) -> str:
        """Rebuild a struct. Its fields are extracted by function: a dot may name a table."""
        children = [c for c in self.columns if c.path[:-1] == path]
        fields = []
        for child in children:
            field = f"struct_extract({reference}, {literals.text(child.path[-1])})"
            shown = self.shown(child.path, field, depth)
            fields.append(f"{literals.name(child.path[-1])} := {shown}")
        packed = f"struct_pack({', '.join(fields)})"
        return f"CASE WHEN {reference} IS NULL THEN NULL ELSE {packed} END"

    def _list(self, path: Path, reference: str, depth: int) -> str:
        """Rebuild every element of a list; a list or an element that is NULL stays NULL."""
        (element,) = (c for c in self.columns if c.path[:-1] == path)
        variable = literals.name(self._unused(depth))
        shown = self.shown(element.path, variable, depth + 1)
        return f"list_transform({reference}, lambda {variable}: {shown})"

    def _unused(self, depth: int) -> str:
        """Return a name that no column of the table bears."""
        taken = {c.path[0].lower() for c in self.columns}
        found = f"element_{depth}"
        while found in taken:
            found += "_"
        return found

    def _at(self, path: Path) -> SecurableColumn:
        for column in self.columns:
            if column.path == path:
                return column
        message = f"The table has no column {'.'.join(path)}."
        raise NotMaskable(message)


def masked(mask: Mask, kind: str, reference: str) -> str:
    """Return what `mask` makes of the value `reference` of type `kind`, which it must fit."""
    match mask.method:
        case MaskMethod.NULL:
            shown = f"CAST(NULL AS {kind})"
        case MaskMethod.CONSTANT:
            shown = f"CAST({literals.text(constant_text(mask.value))} AS {kind})"
        case MaskMethod.PARTIAL:
            # A value that is not longer than what is kept would be shown whole.
            shown = (
                f"CASE WHEN length({reference}) > {mask.keep_last} THEN '{SHOWN_INSTEAD}' || "
                f"right({reference}, {mask.keep_last}) "
                f"WHEN {reference} IS NOT NULL THEN '{SHOWN_INSTEAD}' END"
            )
        case MaskMethod.HMAC:
            shown = f"{HMAC}({reference})"
        case MaskMethod.DATE_TRUNC:
            shown = f"CAST(date_trunc('{mask.unit}', {reference}) AS {kind})"
        case MaskMethod.BUCKET:
            shown = _bucket(str(mask.width), kind, reference)
        case MaskMethod.EMAIL_DOMAIN:
            # What is no address has no domain: all of it would be shown otherwise.
            shown = rf"nullif(regexp_extract({reference}, '@([^@\s]+)$', 1), '')"
        case MaskMethod.EXPRESSION:
            # The line break ends a comment. Types may widen later: then no cast may print values.
            shown = f"TRY_CAST(({mask.sql}\n) AS {kind})"
        case MaskMethod.HIDE:
            message = "A hidden column is shown as nothing: it has no expression."
            raise NotMaskable(message)
    return shown


def _bucket(width: str, kind: str, reference: str) -> str:
    """Return the lower end of the bucket that a number is in; NULL where the type has none.

    The remainder of a negative number is negative: it is moved up by one width.
    """
    if kind in FLOATS:
        wide = f"CAST({reference} AS DOUBLE)"
        step = f"CAST('{width}' AS DOUBLE)"
        return f"TRY(CAST(floor({wide} / {step}) * {step} AS {kind}))"
    decimal = DECIMAL.fullmatch(kind)
    calculated = f"DECIMAL(38,{decimal[2]})" if decimal else "HUGEINT"
    if kind == "UHUGEINT":
        calculated = kind
    wide, step = f"CAST({reference} AS {calculated})", f"CAST('{width}' AS {calculated})"
    rest = f"(({wide} % {step}) + {step}) % {step}" if kind[0] != "U" else f"{wide} % {step}"
    return f"TRY(CAST({wide} - ({rest}) AS {kind}))"
