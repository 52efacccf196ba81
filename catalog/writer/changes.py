"""Reads some of the rows that changed between two snapshots, by the lake's own change feed."""

from __future__ import annotations

from typing import Any

import duckdb

from catalog.writer.problems import BadInput
from catalog.writer.quoting import quoted_text
from catalog.writer.session import Lake, Spec

MAX_CELL = 200


def sample_changes(lake: Lake, spec: Spec) -> dict[str, Any]:
    """Return up to `limit` changed rows after `first`, up to `last`; every value as text.

    Only files that came or went between the two are read. Which rows are told is not defined;
    those that are told are in the order in which they changed. Raises `BadInput`.
    """
    asked = spec.arguments
    limit = int(asked["limit"])
    names = ", ".join(quoted_text(text) for text in ("lake", asked["schema"], asked["table"]))
    text = (
        "SELECT snapshot_id, rowid, change_type,"  # noqa: S608 - quoted, and numbers
        f" left(COLUMNS(* EXCLUDE (snapshot_id, rowid, change_type))::VARCHAR, {MAX_CELL + 1})"
        f" FROM ducklake_table_changes({names}, {int(asked['first']) + 1}, {int(asked['last'])})"
        f" LIMIT {limit + 1}"
    )
    try:
        found = lake.con.execute(text)
        columns = [name for name, *_ in found.description or []][3:]
        rows = found.fetchall()
    except duckdb.Error as error:
        raise BadInput(
            "changes-not-readable",
            "The lake's change feed does not reach over these snapshots.",
            hint="Choose snapshots that are nearer to each other, after the table was made.",
        ) from error
    kept = sorted(rows[:limit], key=lambda row: (row[0], row[1], row[2] != "update_preimage"))
    return {
        "columns": columns,
        "rows": [[row[0], row[2], *map(_cell, row[3:])] for row in kept],
        "is_cut": len(rows) > limit,
    }


def _cell(text: str | None) -> str | None:
    if text is None or len(text) <= MAX_CELL:
        return text
    return f"{text[:MAX_CELL]}…"
