"""The list of commands; a command's code is imported when it runs, so that `--help` is quick."""

from __future__ import annotations

import importlib

import click

from upend import __version__

COMMANDS = {
    "adopt": "Make a DuckLake that was made elsewhere a catalog.",
    "buckets": "List buckets; owners connect, check and rotate them.",
    "clean": "Delete files of a catalog that nobody needs.",
    "compact": "Put a catalog's rows into fewer files.",
    "connectors": "List what is pulled into catalogs; run, pause and resume it.",
    "describe": "Show one table: its columns, keys, size and comment.",
    "devices": "List devices; admins approve and revoke them.",
    "diff": "Show what two snapshots of a table differ in.",
    "expire": "Let old snapshots of a catalog go.",
    "explain": "Show what a query would read, and where it would run and why.",
    "health": "Show how catalogs stand, and which tables need work first.",
    "history": "List your latest queries.",
    "load": "Load a file into a table.",
    "login": "Log in to a server and enrol this machine.",
    "logout": "Forget the login on this machine and on the server.",
    "query": "Run a SELECT, on the server or on this machine.",
    "register": "Make Parquet files in the bucket part of a table, without copying.",
    "rollback": "Take a table or catalog back to a snapshot.",
    "snapshots": "List the snapshots of a catalog or table.",
    "tables": "List the tables you may see, or the columns of one.",
    "version": "Show the versions of the client and its engine.",
    "whoami": "Show the server, the person and the device in use.",
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports them one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of one command and return it."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"upend.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101  # a slip in this package
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=LazyGroup)
@click.version_option(__version__, prog_name="upend", message="%(prog)s %(version)s")
def cli() -> None:
    """Query a governed lakehouse: on the server or on your own machine, same SQL, same rows.

    UPEND_URL, UPEND_TOKEN and UPEND_WORKSPACE stand in for a login, in jobs and notebooks.
    UPEND_CONFIG_DIR moves the folder with profiles, credentials and device keys.

    Exit codes: 0 done, 2 wrong usage, 3 refused, 4 not logged in, 5 query failed,
    6 unreachable, 130 cancelled.
    """
