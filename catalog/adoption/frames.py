"""How a process that reads a stranger's metadata says what it finds: one JSON object a line.

`{"table": …, "columns": […]}`, then `{"rows": [[…], …]}` of it, and at the end `{"done": true}` or
`{"problem": {…}}`. Values are text or null; those of inlined rows are hexadecimal bytes, since a
string may hold a zero byte.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

ROWS = 1000
Value = str | None


class Unreadable(Exception):
    """The metadata cannot be read; `code` and `hint` are for who wants it adopted."""

    def __init__(self, code: str, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.code, self.detail, self.hint = code, detail, hint

    def as_dict(self) -> dict[str, str]:
        """Return the members of a problem document."""
        return {"code": self.code, "detail": self.detail, "hint": self.hint}


def write(message: dict[str, object]) -> None:
    """Write one message."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def write_table(table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
    """Write a table with all its rows."""
    write({"table": table, "columns": list(columns)})
    for batch in _batches(rows):
        write({"rows": batch})


def _batches(rows: Iterable[Sequence[Value]]) -> Iterator[list[list[Value]]]:
    waiting = iter(rows)
    while batch := [list(row) for row in islice(waiting, ROWS)]:
        yield batch


def missing(table: str, column: str = "") -> Unreadable:
    """Return the refusal of metadata that lacks a table or a column."""
    what = f"{table} has no column {column}" if column else f"there is no table {table}"
    return Unreadable(
        "not-a-ducklake",
        f"The metadata is not that of a DuckLake 1.0: {what}.",
        "Is it the right file or schema? A lake of an older version is brought up by attaching it"
        " once with DuckDB 1.5 and AUTOMATIC_MIGRATION.",
    )


def hexadecimal(value: object) -> Value:
    """Return bytes, or the text of anything else, as hexadecimal."""
    if value is None:
        return None
    return value.hex() if isinstance(value, bytes) else str(value).encode().hex()
