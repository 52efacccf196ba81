"""`upend rollback`: a table or catalog as it was, as a new snapshot."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.text import Text

from upend.cli import options
from upend.cli.screen import ERR, OUT
from upend.connection import connect


@click.command(short_help="Take a table or catalog back to a snapshot.")
@click.argument("name", metavar="CATALOG[.SCHEMA.TABLE]")
@click.argument("snapshot", type=click.IntRange(0))
@click.option("--dry-run", is_flag=True, help="Only say what it would do.")
@click.option("-m", "--message", default="", help="Why, for the table's history.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask first.")
@click.option("--json", "as_json", is_flag=True, help="Write the answer as JSON to stdout.")
@options.server
def rollback(
    *,
    name: str,
    snapshot: int,
    dry_run: bool,
    message: str,
    yes: bool,
    as_json: bool,
    url: str | None,
    profile: str | None,
    workspace: str | None,
) -> None:
    """Give a table, or all of a catalog, the rows and definition that it had at SNAPSHOT.

    Nothing of the history is lost: it becomes a new snapshot, and one can go back from it.
    """
    with connect(url, profile=profile, workspace=workspace) as connection:
        found = connection.past.preview_rollback(name, snapshot)
        if not dry_run and not yes and not as_json:
            _show(found)
            click.confirm("Do it?", abort=True, err=True)
        if not dry_run:
            done = connection.past.roll_back(name, snapshot, message=message)
    if as_json:
        click.echo(json.dumps(found if dry_run else done, indent=2, ensure_ascii=False))
    elif dry_run:
        _show(found)
    else:
        ERR.print(f"Done, as snapshot {done['result']['snapshot_id']}.", highlight=False)


def _show(found: dict[str, Any]) -> None:
    if "rows_now" in found:
        OUT.print(f"{found['rows_now']:,} rows become {found['rows_then']:,}.", highlight=False)
    for table in found.get("tables", ()):
        rows = f"{table['rows_now']:,} rows become {table['rows_then']:,}."
        OUT.print(Text(f"{table['sql_name']}: {rows}"))
    for step in found["steps"]:
        OUT.print(Text(f"- {step['does']}"))
    for note in found["notes"]:
        OUT.print(Text(f"  {note}"))
