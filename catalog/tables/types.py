"""Reads the column types that people write, so that no text of theirs becomes SQL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from catalog.lake.types import PRIMITIVES, quoted
from problems import Invalid

MAX_TEXT = 2000
MAX_DEPTH = 8
MAX_DIGITS = 38
TOKEN = re.compile(
    r'\s*(?:(?P<quoted>"(?:[^"]|"")+")|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>[0-9]{1,3})'
    r"|(?P<mark>[(),]|\[\]))"
)
ALIASES: Mapping[str, str] = {
    "BOOL": "BOOLEAN",
    "FLOAT4": "FLOAT",
    "FLOAT8": "DOUBLE",
    "INT": "INTEGER",
    "INT1": "TINYINT",
    "INT2": "SMALLINT",
    "INT4": "INTEGER",
    "INT8": "BIGINT",
    "LONG": "BIGINT",
    "REAL": "FLOAT",
    "STRING": "VARCHAR",
    "TEXT": "VARCHAR",
    "TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE",
    "TIMETZ": "TIME WITH TIME ZONE",
}
UNSUPPORTED = frozenset({"GEOMETRY", "VARIANT"})
SCALARS = frozenset(PRIMITIVES.values()) - UNSUPPORTED

WIDENINGS: Mapping[str, frozenset[str]] = {
    "TINYINT": frozenset({"SMALLINT", "INTEGER", "BIGINT", "HUGEINT"}),
    "SMALLINT": frozenset({"INTEGER", "BIGINT", "HUGEINT"}),
    "INTEGER": frozenset({"BIGINT", "HUGEINT"}),
    "BIGINT": frozenset({"HUGEINT"}),
    "UTINYINT": frozenset({"SMALLINT", "INTEGER", "BIGINT", "USMALLINT", "UINTEGER", "UBIGINT"}),
    "USMALLINT": frozenset({"INTEGER", "BIGINT", "UINTEGER", "UBIGINT"}),
    "UINTEGER": frozenset({"BIGINT", "UBIGINT"}),
    "FLOAT": frozenset({"DOUBLE"}),
}
"""The promotions that keep every value. The engine allows others, such as INTEGER to FLOAT, that
round; and DATE to TIMESTAMP, after which the text of old statistics no longer compares."""

DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


class InvalidType(Invalid):
    """The text is no type that a column can have."""

    code: ClassVar[str] = "invalid-type"
    title: ClassVar[str] = "The type cannot be used"


def canonical(text: str) -> str:
    """Return the engine's spelling of a column type, nested ones included. Raises `InvalidType`."""
    if len(text) > MAX_TEXT:
        raise InvalidType(f"A type has at most {MAX_TEXT:,} characters.")
    reader = _Reader(text)
    found = reader.type(0)
    if reader.at < len(reader.tokens):
        raise reader.unexpected()
    return found


def is_widening(before: str, after: str) -> bool:
    """Tell whether every value of `before` is the same value in `after`; both canonical."""
    old, new = DECIMAL.fullmatch(before), DECIMAL.fullmatch(after)
    if old and new:
        # The same scale: statistics and inlined rows keep the text that they were written with.
        return int(new[1]) >= int(old[1]) and new[2] == old[2] and before != after
    return after in WIDENINGS.get(before, frozenset())


def widenings(kind: str) -> tuple[str, ...]:
    """Return the types that a column of this type can be promoted to."""
    if found := DECIMAL.fullmatch(kind):
        return () if int(found[1]) == MAX_DIGITS else (f"DECIMAL({MAX_DIGITS},{found[2]})",)
    return tuple(sorted(WIDENINGS.get(kind, ())))


class _Reader:
    """Reads one type by recursive descent; what it does not know it refuses."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[str] = []
        self.at = 0
        place = 0
        while text[place:].strip():
            token = TOKEN.match(text, place)
            if token is None:
                rest = text[place:].strip()[:20]
                raise InvalidType(f"{text[:80]!r} is not a type: see {rest!r}.", hint=HINT)
            self.tokens.append(token[0].strip())
            place = token.end()

    def type(self, depth: int) -> str:
        """Read a type and the brackets after it."""
        if depth > MAX_DEPTH:
            raise InvalidType(f"A type nests at most {MAX_DEPTH} levels.")
        word = self.next().upper()
        if word == "STRUCT":
            found = f"STRUCT({', '.join(self.fields(depth))})"
        elif word == "MAP":
            self.expect("(")
            key = self.type(depth + 1)
            self.expect(",")
            found = f"MAP({key}, {self.type(depth + 1)})"
            self.expect(")")
        elif word in {"DECIMAL", "NUMERIC"}:
            found = self.decimal()
        else:
            found = self.scalar(word)
        while self.peek() == "[]":
            self.at += 1
            found += "[]"
        return found

    def fields(self, depth: int) -> list[str]:
        """Read the fields of a struct."""
        self.expect("(")
        found: list[str] = []
        while True:
            name = self.next()
            if name.startswith('"'):
                name = name[1:-1].replace('""', '"')
            elif not re.fullmatch(r"\w+", name):
                raise self.unexpected()
            found.append(f"{quoted(name)} {self.type(depth + 1)}")
            if self.peek() == ")":
                self.at += 1
                return found
            self.expect(",")

    def decimal(self) -> str:
        """Read the digits of a decimal; (18,3) where they are left out, as the engine does."""
        if self.peek() != "(":
            return "DECIMAL(18,3)"
        self.expect("(")
        width = self.number()
        scale = 0
        if self.peek() == ",":
            self.at += 1
            scale = self.number()
        self.expect(")")
        if not 1 <= width <= MAX_DIGITS or scale > width:
            raise InvalidType(f"DECIMAL({width},{scale}) is none: it has 1 to {MAX_DIGITS} digits.")
        return f"DECIMAL({width},{scale})"

    def scalar(self, word: str) -> str:
        """Read a plain type, of several words where it has them."""
        if word in {"TIMESTAMP", "TIME"} and (self.peek() or "").upper() == "WITH":
            words = [self.next().upper() for _ in range(3)]
            if words != ["WITH", "TIME", "ZONE"]:
                raise self.unexpected()
            return f"{word} WITH TIME ZONE"
        if word == "DOUBLE" and (self.peek() or "").upper() == "PRECISION":
            self.at += 1
        found = ALIASES.get(word, word)
        if found not in SCALARS:
            raise InvalidType(f"{word[:40]} is not a type that a column can have.", hint=HINT)
        return found

    def number(self) -> int:
        """Read a whole number."""
        token = self.next()
        if not token.isdigit():
            raise self.unexpected()
        return int(token)

    def peek(self) -> str | None:
        """Return the next token without taking it."""
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def next(self) -> str:
        """Take the next token."""
        token = self.peek()
        if token is None:
            raise self.unexpected()
        self.at += 1
        return token

    def expect(self, mark: str) -> None:
        """Take a token that must be there."""
        if self.peek() != mark:
            raise self.unexpected()
        self.at += 1

    def unexpected(self) -> InvalidType:
        """Return the refusal of what stands here."""
        here = self.peek()
        where = "it ends too early" if here is None else f"{here[:20]!r} does not belong there"
        return InvalidType(f"{self.text[:80]!r} is not a type: {where}.", hint=HINT)


HINT = "Such as BIGINT, VARCHAR, DECIMAL(12,2), TIMESTAMP, VARCHAR[] or STRUCT(city VARCHAR)."
