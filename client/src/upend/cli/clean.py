"""`upend clean`: delete files of a catalog that nobody needs."""

from __future__ import annotations

import click

from upend.cli import keeping

KINDS = ("clean_up", "orphans")


@click.command(short_help="Delete files of a catalog that nobody needs.")
@click.argument("name", metavar="CATALOG")
@keeping.of_upkeep
def clean(
    *,
    name: str,
    dry_run: bool,
    no_wait: bool,
    as_json: bool,
    url: str | None,
    profile: str | None,
    workspace: str | None,
) -> None:
    """Delete replaced files that no reader can need, and objects that nothing names."""
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
