"""`upend expire`: let old snapshots of a catalog go."""

from __future__ import annotations

import click

from upend.cli import keeping

KINDS = ("expire",)


@click.command(short_help="Let old snapshots of a catalog go.")
@click.argument("name", metavar="CATALOG")
@keeping.of_upkeep
def expire(
    *,
    name: str,
    dry_run: bool,
    no_wait: bool,
    as_json: bool,
    url: str | None,
    profile: str | None,
    workspace: str | None,
) -> None:
    """Let snapshots go that are older than the catalog keeps, but those that are tagged or read."""
    keeping.keep(
        keeping.kept_of(name),
        KINDS,
        dry_run=dry_run,
        no_wait=no_wait,
        as_json=as_json,
        url=url,
        profile=profile,
        workspace=workspace,
    )
