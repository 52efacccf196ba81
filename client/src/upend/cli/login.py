"""`upend login`: a person approves this machine in a browser."""

from __future__ import annotations

import time
import webbrowser

import click

from upend import login as flow
from upend.api import Api
from upend.connection import Connection
from upend.profile import DEFAULT_URL, Profile, Store, choose, normalized, profile_name

APPROVAL_POLL_SECONDS = 3.0


@click.command(short_help="Log in to a server and enrol this machine.")
@click.argument("url", required=False)
@click.option("--profile", help="A name for this login; default: the server's host.")
@click.option("-w", "--workspace", help="The workspace to use from now on.")
@click.option("--name", help="What to call this machine in the list of devices.")
@click.option("--no-browser", is_flag=True, help="Only print the address to open.")
@click.option("--wait", is_flag=True, help="Wait until this machine is approved.")
@click.option("--scope", "scopes", multiple=True, help="Ask for this scope; may be repeated.")
def login(
    *,
    url: str | None,
    profile: str | None,
    workspace: str | None,
    name: str | None,
    no_browser: bool,
    wait: bool,
    scopes: tuple[str, ...],
) -> None:
    """Log in to the server at URL and enrol this machine's key.

    The key is made here and never leaves. Queries run on this machine once an administrator, or
    the organization's policy, has approved it; on the server they run at once. A login may read
    catalogs, run queries and enrol this machine; --scope admin, for one, asks for more.
    """
    store = Store()
    chosen = _profile(store, url, profile, workspace)
    with Api(chosen.url) as api:
        authorization = flow.begin(api, scopes=scopes)
        _invite(authorization, no_browser=no_browser)
        credentials = flow.wait(api, authorization)
    store.save(chosen, make_default=True)
    store.save_credentials(chosen, credentials)
    session = Api(chosen.url, tokens=flow.Session(store, chosen, credentials))
    with Connection(session, store, chosen) as connection:
        enrolment = flow.enrol(session, store, chosen, name=name or "")
        person = connection.api.get("/api/v1/me")
        click.echo(f"Logged in to {chosen.url} as {person_label(person)}.", err=True)
        if wait and not enrolment.is_approved:
            enrolment = _wait_for_approval(session, enrolment)
    _tell_standing(chosen, enrolment)


def person_label(person: dict[str, object]) -> str:
    """Return how a person or program is called."""
    return str(person.get("email") or person.get("label") or person.get("name") or person["id"])


def _profile(store: Store, url: str | None, name: str | None, workspace: str | None) -> Profile:
    if url is None and not name and not store.default_name():
        url = DEFAULT_URL
    known = choose(store, url=url, name=name if name in store.profiles() else None)
    address = normalized(url) if url else known.url
    return Profile(
        name=name or known.name or profile_name(address),
        url=address,
        workspace=workspace or known.workspace,
        device_id=known.device_id,
    )


def _invite(authorization: flow.Authorization, *, no_browser: bool) -> None:
    click.echo(f"Open {authorization.url}", err=True)
    click.echo(
        f"and confirm that it shows the code {click.style(authorization.user_code, bold=True)}.",
        err=True,
    )
    if not no_browser:
        webbrowser.open(authorization.url)


def _wait_for_approval(api: Api, enrolment: flow.Enrolment) -> flow.Enrolment:
    click.echo("Waiting for an administrator to approve this machine (Ctrl-C stops)…", err=True)
    while enrolment.status == "pending":
        time.sleep(APPROVAL_POLL_SECONDS)
        found = api.items("/api/v1/devices")
        mine = next((d for d in found if str(d["id"]) == enrolment.id), None)
        if mine is None:
            break
        enrolment = flow.enrolment_of(mine)
    return enrolment


def _tell_standing(profile: Profile, enrolment: flow.Enrolment) -> None:
    if enrolment.is_approved:
        click.echo(f"This machine ({enrolment.name}) is approved: queries may run here.", err=True)
        return
    click.echo(
        f"This machine ({enrolment.name}) is {enrolment.status}: queries run on the server.\n"
        f"  Next: an administrator approves it at {profile.url}/devices",
        err=True,
    )
