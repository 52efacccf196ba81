"""`upend devices`: the machines that may, or might, run queries."""

from __future__ import annotations

import json

import click
from rich import box
from rich.table import Table

from upend.cli import options
from upend.cli.screen import OUT
from upend.connection import connect


@click.group(
    invoke_without_command=True, short_help="List devices; admins approve and revoke them."
)
@click.option("--json", "as_json", is_flag=True, help="Write them as JSON to stdout.")
@options.server
@click.pass_context
def devices(
    context: click.Context,
    /,
    *,
    as_json: bool,
    url: str | None,
    profile: str | None,
    workspace: str | None,
) -> None:
    """List your devices; administrators see everybody's."""
    context.obj = {"url": url, "profile": profile, "workspace": workspace}
    if context.invoked_subcommand:
        return
    with connect(**context.obj) as connection:
        found = connection.devices()
        mine = connection.api.device.thumbprint if connection.api.device else ""
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("id", "name", "platform", "status", ""):
        table.add_column(name)
    for one in found:
        here = "this machine" if one.get("thumbprint") == mine else ""
        table.add_row(str(one["id"]), one["name"], one.get("platform", ""), one["status"], here)
    OUT.print(table)


@devices.command(short_help="Let queries run on a device.")
@click.argument("device_id")
@click.pass_obj
def approve(servers: dict[str, str | None], device_id: str) -> None:
    """Approve a device: queries of its owner may run on it (administrators)."""
    with connect(**servers) as connection:
        one = connection.decide_device(device_id, "approve")
    click.echo(f"{one['name']} is {one['status']}.", err=True)


@devices.command(short_help="Stop a device at once.")
@click.argument("device_id")
@click.pass_obj
def revoke(servers: dict[str, str | None], device_id: str) -> None:
    """Revoke a device: it gets no more manifests, and its open ones stop being served."""
    with connect(**servers) as connection:
        one = connection.decide_device(device_id, "revoke")
    click.echo(f"{one['name']} is {one['status']}.", err=True)
