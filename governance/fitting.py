"""Whether a mask can be on a column: its parameters, the type, and what the column is nested in."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from uuid import UUID

from governance.domain import MaskMethod, SecurableColumn

HMAC = "mask_hmac"
"""The macro that engines define with the organization's key; the text of a policy has no key."""

INTEGERS = {
    "TINYINT": (-(2**7), 2**7 - 1),
    "SMALLINT": (-(2**15), 2**15 - 1),
    "INTEGER": (-(2**31), 2**31 - 1),
    "BIGINT": (-(2**63), 2**63 - 1),
    "HUGEINT": (-(2**127), 2**127 - 1),
    "UTINYINT": (0, 2**8 - 1),
    "USMALLINT": (0, 2**16 - 1),
    "UINTEGER": (0, 2**32 - 1),
    "UBIGINT": (0, 2**64 - 1),
    "UHUGEINT": (0, 2**128 - 1),
}
FLOATS = frozenset({"FLOAT", "DOUBLE"})
TIMESTAMPS = frozenset(
    {"TIMESTAMP", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP_S", "TIMESTAMP WITH TIME ZONE"}
)
DATE_UNITS = ("week", "month", "quarter", "year", "decade", "century")
TIME_UNITS = ("second", "minute", "hour", "day")
DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
MAX_KEPT = 100

WIDEST = 18
"""How many digits the width of a bucket of whole numbers may have."""

POSITIVE = re.compile(r"[0-9]+([.][0-9]+)?")
PLAIN_NUMBER = re.compile(r"-?[0-9]+([.][0-9]+)?")
ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
ISO_TIME = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class Mask:
    """A method with its parameters, as a mask document has them; what is not given is None.

    `value` is for constant, `keep_last` for partial, `unit` for date_trunc, `width` for bucket
    (a number as text, so that it stays exact), `sql` for expression.
    """

    method: MaskMethod
    value: str | int | float | bool | None = None
    keep_last: int | None = None
    unit: str | None = None
    width: str | None = None
    sql: str | None = None


@dataclass(frozen=True, slots=True)
class MaskProblem:
    """Why a mask cannot be put on a column; `parameter` is the key in the document to change."""

    message: str
    hint: str = ""
    parameter: str = "method"


def problems(
    mask: Mask, column: SecurableColumn, columns: Sequence[SecurableColumn] = ()
) -> tuple[MaskProblem, ...]:
    """Return why `mask` cannot be on `column`, nothing where it can.

    `columns` are the table's: without them, what a column is nested in is not looked at. Whether
    the SQL of an expression fits is not known here; see `governance.expressions`.
    """
    return _nesting(mask, column, columns) or _parameters(mask, column) or _fitting(mask, column)


def constant_text(value: str | float | bool | None) -> str:
    """Return a constant as the text that DuckDB casts."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _nesting(
    mask: Mask, column: SecurableColumn, columns: Sequence[SecurableColumn]
) -> tuple[MaskProblem, ...]:
    """Refuse what cannot be rebuilt around a nested column."""
    if len(column.path) == 1:
        return ()
    whole = column.path[0]
    if mask.method is MaskMethod.HIDE:
        return (
            MaskProblem(
                f"{column.name} is a part of {whole}: a part cannot be hidden.",
                f"Hide all of {whole}, or use the method null for {column.name}.",
            ),
        )
    types = {c.path: c.type for c in columns}
    above = [types.get(column.path[:n], "") for n in range(1, len(column.path))]
    if any(kind.startswith("MAP(") and not kind.endswith("[]") for kind in above):
        return (
            MaskProblem(
                f"{column.name} is inside a map: masks reach into structs and lists only.",
                f"Mask all of {whole}.",
                "columns",
            ),
        )
    if mask.method is MaskMethod.EXPRESSION and any(kind.endswith("[]") for kind in above):
        return (
            MaskProblem(
                f"{column.name} is inside a list: an expression cannot name one element.",
                f"Mask all of {whole} by an expression with list_transform, or use another method.",
            ),
        )
    return ()


def _parameters(mask: Mask, column: SecurableColumn) -> tuple[MaskProblem, ...]:
    """Refuse parameters that are missing or make no sense, whatever the column's type is."""
    match mask.method:
        case MaskMethod.CONSTANT if mask.value is None:
            return (MaskProblem("The method constant needs a value.", "Write value: …", "value"),)
        case MaskMethod.PARTIAL if mask.keep_last is None or not 0 < mask.keep_last <= MAX_KEPT:
            return (
                MaskProblem(
                    f"The method partial needs keep_last, a number from 1 to {MAX_KEPT}.",
                    "Write keep_last: 4; to keep nothing, use the method constant.",
                    "keep_last",
                ),
            )
        case MaskMethod.DATE_TRUNC if mask.unit not in DATE_UNITS + TIME_UNITS:
            units = ", ".join(_units(column.type))
            return (
                MaskProblem(f"There is no unit {mask.unit!r}.", f"Use one of {units}.", "unit"),
            )
        case MaskMethod.BUCKET if _number(mask.width) is None or _number(mask.width) == 0:
            return (
                MaskProblem(
                    "The method bucket needs a width, a number above 0.",
                    "Write width: 1000",
                    "width",
                ),
            )
        case MaskMethod.EXPRESSION if not (mask.sql or "").strip():
            return (MaskProblem("The method expression needs SQL.", "Write sql: …", "sql"),)
    return ()


def _fitting(mask: Mask, column: SecurableColumn) -> tuple[MaskProblem, ...]:
    """Refuse methods that would not give a value of the column's own type."""
    kind = column.type
    match mask.method:
        case MaskMethod.CONSTANT:
            return _constant_problems(mask, column)
        case MaskMethod.PARTIAL | MaskMethod.EMAIL_DOMAIN | MaskMethod.HMAC if kind != "VARCHAR":
            return _unfit(mask, column, "text")
        case MaskMethod.DATE_TRUNC if not _units(kind):
            return _unfit(mask, column, "dates and timestamps")
        case MaskMethod.DATE_TRUNC if mask.unit not in _units(kind):
            message = (
                f"Cutting {column.name}, {_article(kind)}, to its {mask.unit} changes nothing."
            )
            return (MaskProblem(message, f"Use one of {', '.join(_units(kind))}.", "unit"),)
        case MaskMethod.BUCKET:
            return _bucket_problems(mask, column)
    return ()


def _constant_problems(mask: Mask, column: SecurableColumn) -> tuple[MaskProblem, ...]:
    """Refuse a constant that the column's type cannot hold exactly."""
    kind, text = column.type, constant_text(mask.value)
    form = CONSTANTS.get("DECIMAL" if DECIMAL.fullmatch(kind) else kind)
    if form is None:
        return _unfit(mask, column, "scalar values")
    try:
        is_exact = form(text, kind)
    except (ValueError, ArithmeticError):
        is_exact = False
    if is_exact:
        return ()
    message = f"{column.name} is {_article(kind)}, which cannot be {text[:60]!r}."
    return (MaskProblem(message, "Write a value of that type, or use the method null.", "value"),)


def _is_integer(text: str, kind: str) -> bool:
    low, high = INTEGERS[kind]
    return bool(PLAIN_NUMBER.fullmatch(text)) and low <= int(text) <= high


def _is_decimal(text: str, kind: str) -> bool:
    found = DECIMAL.fullmatch(kind)
    if found is None or not PLAIN_NUMBER.fullmatch(text):
        return False
    digits, scale = int(found[1]), int(found[2])
    value = Decimal(text)
    return abs(value) < Decimal(10) ** (digits - scale) and _decimals(value) <= scale


def _is_date(text: str, _kind: str) -> bool:
    return bool(ISO_DATE.fullmatch(text) and date.fromisoformat(text))


def _is_time(text: str, _kind: str) -> bool:
    return bool(ISO_TIME.fullmatch(text)) and time.fromisoformat(text) is not None


def _is_timestamp(text: str, kind: str) -> bool:
    day, _, rest = text.replace("T", " ").partition(" ")
    clock = rest.removesuffix("+00").removesuffix("Z")
    is_held = kind != "TIMESTAMP_NS" or "1678" <= day[:4] <= "2261"
    return is_held and _is_date(day, "") and (not rest or _is_time(clock, ""))


def _is_text(text: str, _kind: str) -> bool:
    return bool(text.encode()) or not text


CONSTANTS: dict[str, Callable[[str, str], bool]] = {
    **dict.fromkeys(INTEGERS, _is_integer),
    **dict.fromkeys(TIMESTAMPS, _is_timestamp),
    **dict.fromkeys(FLOATS, lambda text, _kind: bool(PLAIN_NUMBER.fullmatch(text))),
    "BOOLEAN": lambda text, _kind: text in {"true", "false"},
    "DATE": _is_date,
    "DECIMAL": _is_decimal,
    "TIME": _is_time,
    "UUID": lambda text, _kind: str(UUID(text)) == text.lower(),
    "VARCHAR": _is_text,
}
"""Tell, by type, whether a text is exactly one value of it. Other types take no constants."""


def _bucket_problems(mask: Mask, column: SecurableColumn) -> tuple[MaskProblem, ...]:
    """Refuse a width that numbers of the column's type cannot have."""
    kind, width = column.type, _number(mask.width) or Decimal(1)
    if kind in FLOATS:
        return ()
    decimal = DECIMAL.fullmatch(kind)
    if not decimal and kind not in INTEGERS:
        return _unfit(mask, column, "numbers")
    scale = int(decimal[2]) if decimal else 0
    below = 10 ** (int(decimal[1]) - scale if decimal else WIDEST)
    if _decimals(width) <= scale and width < below:
        return ()
    shown = "whole numbers" if scale == 0 else f"numbers with at most {scale} decimal places"
    return (
        MaskProblem(
            f"Buckets of {column.name}, {_article(kind)}, cannot be {mask.width} wide.",
            f"Widths are {shown}, below {below:,}.",
            "width",
        ),
    )


def _decimals(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else MAX_KEPT


def _unfit(mask: Mask, column: SecurableColumn, fits: str) -> tuple[MaskProblem, ...]:
    message = (
        f"The method {mask.method.value} is for {fits}; {column.name} is {_article(column.type)}."
    )
    return (MaskProblem(message, _alternatives(column.type)),)


def _article(kind: str) -> str:
    return f"an {kind}" if kind[:1] in "AEIO" else f"a {kind}"


def _alternatives(kind: str) -> str:
    """Say what may be used for a type instead."""
    if kind in FLOATS or kind in INTEGERS or DECIMAL.fullmatch(kind):
        return f"Use bucket, constant or null, or an expression, which may call {HMAC}(…)."
    if _units(kind):
        return "Use date_trunc, constant or null, or an expression."
    if kind == "VARCHAR":
        return "Use partial, hmac, email_domain, constant or null, or an expression."
    return "Use the method null, or an expression."


def _units(kind: str) -> tuple[str, ...]:
    """Return the units that a type can be cut to; none where it is no date."""
    if kind == "DATE":
        return DATE_UNITS
    return TIME_UNITS + DATE_UNITS if kind in TIMESTAMPS else ()


def _number(text: str | None) -> Decimal | None:
    """Return a plain positive number, None where it is anything else."""
    is_plain = text is not None and POSITIVE.fullmatch(text)
    return Decimal(text) if text is not None and is_plain else None
