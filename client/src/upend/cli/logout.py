"""`upend logout`: forget the login, here and on the server."""

from __future__ import annotations

import click

from upend import login as flow
from upend.api import Api
from upend.profile import Store, choose


@click.command(short_help="Forget the login on this machine and on the server.")
@click.option("--profile", help="The profile of an earlier login.")
@click.option("--url", help="The server's address.")
@click.option("--forget-device", is_flag=True, help="Delete this machine's key as well.")
def logout(*, profile: str | None, url: str | None, forget_device: bool) -> None:
    """Forget the tokens; the server revokes them if it can be reached."""
    store = Store()
    chosen = choose(store, url=url, name=profile)
    credentials = store.credentials(chosen)
    store.forget_credentials(chosen)
    if forget_device:
        store.device_path(chosen).unlink(missing_ok=True)
    if credentials is None:
        click.echo(f"You were not logged in to {chosen.url}.", err=True)
        return
    with Api(chosen.url) as api:
        revoked = flow.revoke(api, credentials)
    tail = "" if revoked else " The server was not told; the token there expires by itself."
    click.echo(f"Logged out of {chosen.url}.{tail}", err=True)
