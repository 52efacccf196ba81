"""`upend compact`: put a catalog's rows into fewer files."""

from __future__ import annotations

from typing import Unpack

import click

from upend.cli import keeping

KINDS = ("flush", "merge", "rewrite")


@click.command(short_help="Put a catalog's rows into fewer files.")
@click.argument("name", metavar="CATALOG[.SCHEMA.TABLE]")
@keeping.of_upkeep
def compact(*, name: str, **chosen: Unpack[keeping.Chosen]) -> None:
    """Flush inlined rows, merge small files and rewrite those with many deletes."""
    keeping.keep(keeping.kept_of(name, tables=True), KINDS, **chosen)
