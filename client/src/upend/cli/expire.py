"""`upend expire`: let old snapshots of a catalog go."""

from __future__ import annotations

from typing import Unpack

import click

from upend.cli import keeping

KINDS = ("expire",)


@click.command(short_help="Let old snapshots of a catalog go.")
@click.argument("name", metavar="CATALOG")
@keeping.of_upkeep
def expire(*, name: str, **chosen: Unpack[keeping.Chosen]) -> None:
    """Let snapshots go that are older than the catalog keeps, but those that are tagged or read."""
    keeping.keep(keeping.kept_of(name), KINDS, **chosen)
