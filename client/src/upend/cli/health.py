"""`upend health`: how the lakes stand, and which tables need work first."""

from __future__ import annotations

import json
from typing import Any

import click
from rich import box
from rich.table import Table

from upend.cli import options
from upend.cli.screen import OUT, size
from upend.connection import connect

WORDS = frozenset({"needs", "next"})
"""Columns of words; all others are of numbers."""


@click.command(short_help="Show how catalogs stand, and which tables need work first.")
@click.option("--sort", default="need", show_default=True, help="How tables are listed.")
@click.option("--json", "as_json", is_flag=True, help="Write it as JSON to stdout.")
@options.server
def health(
    *, sort: str, as_json: bool, url: str | None, profile: str | None, workspace: str | None
) -> None:
    """Show how the catalogs stand that you may maintain, as measured minutes ago.

    Tables can be listed by need, table, small_files, deletes, inlined_rows, held_bytes,
    orphan_bytes and size_bytes.
    """
    with connect(url, profile=profile, workspace=workspace) as connection:
        found = connection.upkeep.health(sort)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    OUT.print(_catalogs(found["catalogs"]))
    if found["tables"]:
        OUT.print(_tables(found["tables"]))


def _catalogs(found: list[dict[str, Any]]) -> Table:
    table = _made("catalog", "size", "small files", "history", "orphans", "next")
    for one in found:
        step = one["next_step"]
        following = f"{step['kind']} {step['table']}: {one['next']}" if step else one["next"]
        table.add_row(
            one["name"],
            size(one["size_bytes"]),
            f"{one['small_files']:,}",
            size(one["held_bytes"]),
            f"{one['orphans']:,}" if one["orphans_found_at"] else "?",
            following,
        )
    return table


def _tables(found: list[dict[str, Any]]) -> Table:
    table = _made("table", "needs", "small files", "deleted", "inlined", "history", "would save")
    for one in found:
        saved = f"{one['requests_saved']:,} requests, {size(one['bytes_saved'])}"
        table.add_row(
            f"{one['catalog']}.{one['schema_name']}.{one['name']}",
            ", ".join(one.get("needs", [])),
            f"{one['small_files']:,} of {one['files']:,}",
            f"{one['delete_ratio']:.0%}",
            f"{one['inlined_rows']:,}",
            size(one["held_bytes"]),
            saved,
        )
    return table


def _made(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="left" if name in WORDS else "right")
    return table
