"""What the gate says when it refuses: one problem, a stable reason code, a place in the text."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from problems import Problem

NO_LOCATION = 2**64 - 1
"""How the engine's tree says that a node has no place in the text."""


class RefusalCode(StrEnum):
    """Why the gate refused, alphabetised. Documented in docs/reference/sql.md."""

    CONTROL_CHARACTER = "control_character"
    CTE_SYSTEM_NAME = "cte_system_name"
    EMPTY = "empty"
    FUNCTION = "function"
    MULTIPLE_STATEMENTS = "multiple_statements"
    NOT_SELECT = "not_select"
    PARAMETER = "parameter"
    PARSE = "parse"
    QUALIFIED_FUNCTION = "qualified_function"
    SHOW = "show"
    SYNTAX = "syntax"
    TABLE_FUNCTION = "table_function"
    TIME_TRAVEL = "time_travel"
    TOO_COMPLEX = "too_complex"
    TOO_DEEP = "too_deep"
    TOO_LONG = "too_long"
    TYPE = "type"


class SqlRefused(Problem):
    """The text is not a query that Upend runs. `reason_code` says which rule it met."""

    code: ClassVar[str] = "sql-refused"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The SQL cannot be run"

    def __init__(self, reason: RefusalCode, detail: str, *, hint: str = "") -> None:
        super().__init__(detail, hint=hint, reason_code=reason.value)
        self.reason = reason

    def at(self, sql: str, offset: int | None) -> SqlRefused:
        """Point at the byte `offset` of `sql`, as `line` and `column`, both from 1."""
        if offset is not None and offset != NO_LOCATION:
            self.extra |= position(sql, offset)
        return self


def position(sql: str, offset: int) -> dict[str, int]:
    """Return the line and column, both from 1, of the byte `offset` in the UTF-8 form of `sql`."""
    return place(sql.encode()[:offset].decode(errors="ignore"))


def place(before: str) -> dict[str, int]:
    """Return the line and column, both from 1, of what follows the text `before`."""
    return {"line": before.count("\n") + 1, "column": len(before) - before.rfind("\n")}
