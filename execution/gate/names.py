"""Where the parts of a dotted name stand in the text, found from the place the tree gives it."""

from __future__ import annotations

from collections.abc import Sequence

Span = tuple[int, int]


class NameNotFound(Exception):
    """The text does not spell the name at that place."""


def spans(sql: str, start: int, parts: Sequence[str]) -> tuple[Span, ...]:
    """Return the span of each part of the name that begins at the character `start`.

    Between parts there may be white space and comments. Raises `NameNotFound`.
    """
    found: list[Span] = []
    at = start
    for number, part in enumerate(parts):
        if number:
            at = _after_dot(sql, at)
        end = _end_of(sql, at, part)
        found.append((at, end))
        at = end
    return tuple(found)


def _end_of(sql: str, at: int, part: str) -> int:
    """Return where an identifier ends, once it is known to be `part`."""
    quoted = '"' + part.replace('"', '""') + '"'
    spelled = quoted if sql.startswith('"', at) else part
    if sql[at : at + len(spelled)].lower() != spelled.lower():
        raise NameNotFound
    return at + len(spelled)


def _after_dot(sql: str, at: int) -> int:
    at = _after_space(sql, at)
    if not sql.startswith(".", at):
        raise NameNotFound
    return _after_space(sql, at + 1)


def _after_space(sql: str, at: int) -> int:
    """Return the place after white space and comments; block comments nest."""
    while at < len(sql):
        if sql[at].isspace():
            at += 1
        elif sql.startswith("--", at):
            at = _find(sql, "\n", at)
        elif sql.startswith("/*", at):
            at = _after_comment(sql, at)
        else:
            break
    return at


def _after_comment(sql: str, at: int) -> int:
    depth = 0
    while at < len(sql):
        if sql.startswith("/*", at):
            depth, at = depth + 1, at + 2
        elif sql.startswith("*/", at):
            depth, at = depth - 1, at + 2
            if not depth:
                return at
        else:
            at += 1
    raise NameNotFound


def _find(sql: str, what: str, at: int) -> int:
    found = sql.find(what, at)
    return len(sql) if found < 0 else found
