"""`upend clean`: delete files of a catalog that nobody needs."""

from __future__ import annotations

from typing import Unpack

import click

from upend.cli import keeping

KINDS = ("clean_up", "orphans")


@click.command(short_help="Delete files of a catalog that nobody needs.")
@click.argument("name", metavar="CATALOG")
@keeping.of_upkeep
def clean(*, name: str, **chosen: Unpack[keeping.Chosen]) -> None:
    """Delete replaced files that no reader can need, and objects that nothing names."""
    keeping.keep(keeping.kept_of(name), KINDS, **chosen)
