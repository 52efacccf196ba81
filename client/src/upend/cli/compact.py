"""`upend compact`: put a catalog's rows into fewer files."""

from __future__ import annotations

import click

from upend.cli import keeping

KINDS = ("flush", "merge", "rewrite")


@click.command(short_help="Put a catalog's rows into fewer files.")
@click.argument("name", metavar="CATALOG[.SCHEMA.TABLE]")
@keeping.of_upkeep
def compact(
    *,
    name: str,
    dry_run: bool,
    no_wait: bool,
    as_json: bool,
    url: str | None,
    profile: str | None,
    workspace: str | None,
) -> None:
    """Flush inlined rows, merge small files and rewrite those with many deletes."""
    keeping.keep(
        keeping.kept_of(name, tables=True),
        KINDS,
        dry_run=dry_run,
        no_wait=no_wait,
        as_json=as_json,
        url=url,
        profile=profile,
        workspace=workspace,
    )
