"""`upend version`: what is installed, for a report of a fault."""

from __future__ import annotations

import platform
from importlib.metadata import version as installed

import click

PACKAGES = ("upend", "duckdb", "duckdb-extension-ducklake", "duckdb-extension-httpfs", "pyarrow")


@click.command(short_help="Show the versions of the client and its engine.")
def version() -> None:
    """Show the versions of the client, its engine and Python."""
    for name in PACKAGES:
        click.echo(f"{name:<26} {installed(name)}")
    click.echo(f"{'python':<26} {platform.python_version()}")
