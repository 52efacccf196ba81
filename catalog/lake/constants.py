"""Reads the constants of pushed-down filters, so that they compare with statistics safely.

Everything here fails towards "unknown": a constant that is not certainly understood prunes
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from math import isnan

from catalog.lake.types import Comparison

DATE = re.compile(r"\d{4}-\d\d-\d\d")
TIME = re.compile(r"\d\d:\d\d:\d\d(\.\d{1,9})?")
TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,9})?)")
OFFSET = re.compile(r"[+-]\d\d(?::?\d\d)?$")
FLOAT32_SLACK = 1.2e-7
"""One step of a FLOAT, relative: statistics of a widened column keep the narrow spelling."""

Bound = str | float | Decimal | int
Bounds = tuple[Bound, Bound]


def bounds_of(text: str, comparison: Comparison) -> Bounds | None:
    """Return (low, high) around a constant, None where it is not understood.

    Rows equal to the constant have statistics `max >= low` and `min <= high`.
    """
    reader = READERS.get(comparison)
    return reader(text) if reader else None


def _same(value: Bound | None) -> Bounds | None:
    return None if value is None else (value, value)


def _numeric(text: str) -> Bounds | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return (value, value) if value.is_finite() else None


def _float(text: str) -> Bounds | None:
    try:
        value = float(text)
    except ValueError:
        return None
    if isnan(value):
        return None
    slack = abs(value) * FLOAT32_SLACK
    return (value, value) if slack == float("inf") else (value - slack, value + slack)


def _trimmed(text: str) -> str:
    """Return time text without trailing zeros of its fraction, as the engine writes it."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _timestamp(text: str) -> Bounds | None:
    if DATE.fullmatch(text):
        return _same(f"{text} 00:00:00")
    return _same(_trimmed(text)) if TIMESTAMP.fullmatch(text) else None


def _timestamptz(text: str) -> Bounds | None:
    offset = OFFSET.search(text)
    if offset is None or not TIMESTAMP.fullmatch(text[: offset.start()]):
        return None
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return _same(_trimmed(moment.strftime("%Y-%m-%d %H:%M:%S.%f")))


def _boolean(text: str) -> Bounds | None:
    return _same({"true": 1, "false": 0}.get(text.lower()))


def _date(text: str) -> Bounds | None:
    return _same(text) if DATE.fullmatch(text) else None


def _text(text: str) -> Bounds | None:
    return None if "\0" in text else (text, text)


def _time(text: str) -> Bounds | None:
    return _same(_trimmed(text)) if TIME.fullmatch(text) else None


READERS: dict[Comparison, Callable[[str], Bounds | None]] = {
    Comparison.BOOLEAN: _boolean,
    Comparison.FLOAT: _float,
    Comparison.ISO_DATE: _date,
    Comparison.ISO_TIME: _time,
    Comparison.ISO_TIMESTAMP: _timestamp,
    Comparison.ISO_TIMESTAMPTZ: _timestamptz,
    Comparison.NUMERIC: _numeric,
    Comparison.TEXT: _text,
}
