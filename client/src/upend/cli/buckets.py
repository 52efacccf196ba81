"""`upend buckets`: where catalogs keep their files, the connection check, and keys."""

from __future__ import annotations

import json
import os
from typing import Any

import click
from rich import box
from rich.table import Table

from upend.cli import options
from upend.cli.screen import ERR, OUT
from upend.connection import connect
from upend.errors import Refused

SECRET = "UPEND_BUCKET_SECRET"  # noqa: S105 - the name of a variable
COLOURS = {"failed": "red", "passed": "green", "warning": "yellow"}
Server = dict[str, str | None]


@click.group(
    invoke_without_command=True, short_help="List buckets; owners connect, check and rotate them."
)
@click.option("--json", "as_json", is_flag=True, help="Write them as JSON to stdout.")
@options.server
@click.pass_context
def buckets(
    context: click.Context,
    /,
    *,
    as_json: bool,
    url: str | None,
    profile: str | None,
    workspace: str | None,
) -> None:
    """List the buckets of the workspace."""
    context.obj = {"url": url, "profile": profile, "workspace": workspace}
    if context.invoked_subcommand:
        return
    with connect(**context.obj) as connection:
        found = connection.buckets.list()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("name", "where", "reached by", "last check"):
        table.add_column(name)
    for one in found:
        place = f"{one['bucket_name']}/{one['prefix']}"
        check = one["last_check"]["outcome"] if one["last_check"] else "not checked"
        table.add_row(one["name"], place, one["credential_kind"], check)
    OUT.print(table)


@buckets.command(short_help="Show one bucket as JSON.")
@click.argument("name")
@click.pass_obj
def show(server: Server, name: str) -> None:
    """Show all that is known of a bucket but its secrets, as JSON."""
    with connect(**server) as connection:
        click.echo(json.dumps(connection.buckets.get(name), indent=2))


@buckets.command(short_help="Check the connection of a bucket.")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Write the steps as JSON to stdout.")
@click.pass_obj
def check(server: Server, name: str, *, as_json: bool) -> None:
    """Check the connection step by step; it takes some seconds and leaves nothing behind."""
    with connect(**server) as connection:
        _tell(name, connection.buckets.check(name), as_json=as_json)


@buckets.command(short_help="Connect a bucket, and check it.")
@click.argument("name")
@click.option("--bucket", "bucket_name", required=True, help="Its name at the provider.")
@click.option("--endpoint", required=True, help="The storage's URL.")
@click.option("--region", required=True, help="Where it is, such as eu-central-1.")
@click.option("--prefix", default="", help="Folders below which all of Upend's is kept.")
@click.option(
    "--style",
    "addressing_style",
    type=click.Choice(["path", "virtual"]),
    default="path",
    show_default=True,
    help="How its address is written.",
)
@click.option("--role", "role_arn", default="", help="The role to assume, in place of a key.")
@click.option(
    "--encryption", type=click.Choice(["AES256", "aws:kms"]), help="Of what Upend writes."
)
@click.option("--kms-key", "kms_key_id", default="", help="The key of aws:kms.")
@click.option("--read-only", "is_read_only", is_flag=True, help="Write nothing to it.")
@click.option(
    "--key-id", default="", help=f"The access key's id; its secret is {SECRET}, or asked."
)
@click.pass_obj
def add(server: Server, /, name: str, *, key_id: str, **settings: Any) -> None:
    """Connect a bucket, then check it. The secret is never an argument."""
    settings["encryption"] = settings["encryption"] or ""
    settings["credential_kind"] = "assume_role" if settings["role_arn"] else "static"
    key = _key(key_id) if key_id else None
    with connect(**server) as connection:
        connection.buckets.add({"name": name, **settings}, key)
        _tell(name, connection.buckets.check(name), as_json=False)


@buckets.command(short_help="Give a bucket a new key.")
@click.argument("name")
@click.option("--key-id", required=True, help=f"Its id; its secret is {SECRET}, or asked.")
@click.pass_obj
def rotate(server: Server, name: str, *, key_id: str) -> None:
    """Give a bucket a new key if it passes the check; the old one holds for a day more."""
    with connect(**server) as connection:
        _tell(name, connection.buckets.rotate(name, _key(key_id)), as_json=False)


def _key(key_id: str) -> dict[str, str]:
    secret = os.environ.get(SECRET) or click.prompt("Secret access key", hide_input=True, err=True)
    return {"access_key_id": key_id, "secret_access_key": secret}


def _tell(name: str, check: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(check, indent=2))
    else:
        table = Table(box=box.SIMPLE_HEAD)
        for column in ("step", "outcome", "found"):
            table.add_column(column)
        for step in check["steps"]:
            colour = COLOURS.get(step["outcome"], "dim")
            table.add_row(step["title"], f"[{colour}]{step['outcome']}", step["found"])
        OUT.print(table)
        for step in check["steps"]:
            if step["fix"]:
                ERR.print(f"{step['title']}: {step['fix']}", highlight=False)
            if step["paste"]:
                ERR.print(step["paste"], highlight=False, markup=False)
    if check["outcome"] == "failed":
        raise Refused(
            f"The check of {name} failed.",
            code="bucket-check-failed",
            hint="Mend what is said above, then: upend buckets check.",
        )
