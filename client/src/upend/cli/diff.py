"""`upend diff`: what two snapshots of a table differ in."""

from __future__ import annotations

import json
from typing import Any

import click
from rich import box
from rich.table import Table
from rich.text import Text

from upend.cli import options
from upend.cli.screen import OUT, size
from upend.connection import connect

WORDS = {
    "delete": "deleted",
    "insert": "added",
    "update_postimage": "became",
    "update_preimage": "was",
}


@click.command(short_help="Show what two snapshots of a table differ in.")
@click.argument("table", metavar="CATALOG.SCHEMA.TABLE")
@click.argument("first", type=click.IntRange(0))
@click.argument("last", type=click.IntRange(0), required=False)
@click.option("--rows", type=click.IntRange(1, 200), help="Show so many changed rows, too.")
@click.option("--json", "as_json", is_flag=True, help="Write it as JSON to stdout.")
@options.server
def diff(
    *,
    table: str,
    first: int,
    last: int | None,
    rows: int | None,
    as_json: bool,
    url: str | None,
    profile: str | None,
    workspace: str | None,
) -> None:
    """Compare a table at the snapshots FIRST and LAST (the newest if left out).

    Changed rows are shown to whom no policy hides anything of the table.
    """
    with connect(url, profile=profile, workspace=workspace) as connection:
        found = connection.past.difference(table, first, last)
        if rows:
            found["changed_rows"] = connection.past.changed_rows(table, first, last, limit=rows)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    before, after, files = found["before"], found["after"], found["files"]
    OUT.print(f"rows {before['rows']:,} → {after['rows']:,}", highlight=False)
    OUT.print(
        f"files +{files['added']:,} ({size(files['added_bytes'])})"
        f" -{files['removed']:,} ({size(files['removed_bytes'])})",
        highlight=False,
    )
    for line in found["definition"] or ["Its definition is the same."]:
        OUT.print(Text(line))
    if rows:
        OUT.print(_rows(found["changed_rows"]))


def _rows(found: dict[str, Any]) -> Table:
    cut = "more rows changed than are shown" if found["is_cut"] else None
    table = Table(box=box.SIMPLE_HEAD, caption=cut)
    for name in ("snapshot", "", *found["columns"]):
        table.add_column(Text(name))
    for row in found["rows"]:
        cells = ("" if value is None else value for value in row["values"])
        word = WORDS.get(row["change"], row["change"])
        table.add_row(str(row["snapshot_id"]), word, *map(Text, cells))
    return table
