"""Gives nested values the shape their column has now, when its fields were renamed or changed.

PostgreSQL keeps nested inlined values as the engine's text, with the field names of their time.
Cast to the present type, a renamed field would fail, and two fields that swapped names would
swap their values. Fields are followed by field id instead; leaves keep their text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from catalog.domain import Column

OPENING, CLOSING = "{[(", "}])"


@dataclass(frozen=True, slots=True)
class Shape:
    """A column with everything nested in it."""

    column: Column
    children: tuple[Shape, ...]


def shape_of(column: Column, columns: Sequence[Column]) -> Shape:
    """Return the shape of one column among the columns of its table."""
    nested = [c for c in columns if c.parent_id == column.column_id]
    return Shape(column, tuple(shape_of(child, columns) for child in nested))


def is_reshaped(then: Shape, now: Shape) -> bool:
    """Tell whether text of `then` must be rewritten to be read as `now`."""
    return _fields(then) != _fields(now)


def reshaped(text: str, then: Shape, now: Shape) -> str:
    """Return the engine's text of a value of shape `then` as text of shape `now`.

    Raises `ValueError` where the text is not of that shape.
    """
    if text == "NULL" or not then.children:
        return text
    members = _members(text)
    match now.column.ducklake_type:
        case "struct":
            return _struct(members, then, now)
        case "list":
            return f"[{', '.join(reshaped(m, then.children[0], now.children[0]) for m in members)}]"
        case "map":
            return f"{{{', '.join(_entry(member, then, now) for member in members)}}}"
        case kind:
            message = f"{kind} has no fields"
            raise ValueError(message)


def _struct(members: list[str], then: Shape, now: Shape) -> str:
    if len(members) != len(then.children):
        message = f"{len(members)} fields where there should be {len(then.children)}"
        raise ValueError(message)
    pairs = zip(then.children, members, strict=True)
    known = {child.column.column_id: (child, _after(member, ":")) for child, member in pairs}
    fields = []
    for child in now.children:
        before = known.get(child.column.column_id)
        value = _default(child.column) if before is None else reshaped(before[1], before[0], child)
        fields.append(f"{_quoted(child.column.name)}: {value}")
    return f"{{{', '.join(fields)}}}"


def _entry(member: str, then: Shape, now: Shape) -> str:
    at = _positions(member, "=")[0]
    key = reshaped(member[:at], then.children[0], now.children[0])
    return f"{key}={reshaped(member[at + 1 :], then.children[1], now.children[1])}"


def _fields(shape: Shape) -> object:
    """Return the field ids and names below a shape; the names of list elements do not matter."""
    is_struct = shape.column.ducklake_type == "struct"
    return tuple(
        (child.column.column_id, child.column.name if is_struct else "", _fields(child))
        for child in shape.children
    )


def _members(text: str) -> list[str]:
    """Return the top-level members between a value's brackets."""
    if len(text) < 2 or text[0] not in OPENING or text[-1] not in CLOSING:  # noqa: PLR2004
        message = "not a nested value"
        raise ValueError(message)
    inner = text[1:-1]
    if not inner:
        return []
    cuts = [-1, *_positions(inner, ","), len(inner)]
    return [inner[a + 1 : b].strip() for a, b in pairwise(cuts)]


def _after(member: str, separator: str) -> str:
    return member[_positions(member, separator)[0] + 1 :].strip()


def _positions(text: str, separator: str) -> list[int]:
    """Return where `separator` stands outside quotes and brackets."""
    found, depth, is_quoted, is_escaped = [], 0, False, False
    for at, character in enumerate(text):
        if is_escaped:
            is_escaped = False
        elif character == "\\":
            is_escaped = True
        elif character == "'":
            is_quoted = not is_quoted
        elif is_quoted:
            continue
        elif character in OPENING:
            depth += 1
        elif character in CLOSING:
            depth -= 1
        elif character == separator and depth == 0:
            found.append(at)
    return found


def _default(column: Column) -> str:
    return "NULL" if column.initial_default is None else _quoted(column.initial_default)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
