"""`upend explain`: the plan of a query, without running it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from upend.cli import options, screen
from upend.connection import connect


@click.command(short_help="Show what a query would read, and where it would run and why.")
@options.request
@click.option("--json", "as_json", is_flag=True, help="Write the plan as JSON to stdout.")
@options.server
def explain(
    *,
    sql: str | None,
    file: Path | None,
    on: str,
    catalog: str | None,
    snapshots: tuple[str, ...],
    purpose: str,
    as_json: bool,
    url: str | None,
    profile: str | None,
    workspace: str | None,
) -> None:
    """Show the plan of SQL: bytes and files it would read, decisions, place and reasons."""
    text = options.sql_text(sql, file)
    with connect(url, profile=profile, workspace=workspace) as connection:
        plan = connection.explain(
            text,
            on=on,
            catalog=catalog,
            snapshots=options.snapshot_ids(snapshots),
            purpose=purpose,
        )
    if as_json:
        click.echo(json.dumps(plan, indent=2, ensure_ascii=False))
    else:
        screen.show_plan(plan)
