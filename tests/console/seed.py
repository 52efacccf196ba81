"""People and a small lake for the browser tests, made in a running stack by the real services.

Run by `manage.py shell` in the stack's environment; prints the workspace and password as JSON.
"""

from __future__ import annotations

import io
import json
import sys
import time
from datetime import date, timedelta

from accounts import services as accounts
from accounts.domain import SYSTEM, OrganizationRole
from accounts.models import User
from accounts.selectors import actor_for_user
from catalog import lake, services
from catalog.domain import UploadFormat, UploadMode
from catalog.models import Catalog, Job
from governance import services as governance
from workspaces import services as workspaces
from workspaces.domain import WorkspaceRole

PASSWORD = "tail-up-head-in-the-lake"
SLUG = "console-tests"
CARRIERS = ("UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E")
ROWS = 20_000
FIRST_NAMES = ("Ana", "Bo", "Chidi", "Dunya", "Emre")
LAST_NAMES = ("Falk", "Gomes", "Haddad", "Ito", "Jansen", "Kaur", "Lind")
REGIONS = ("east", "west", "north")
DAY_ONE = date(2013, 1, 1)


def flights_csv() -> bytes:
    """Return flights whose mean delay differs by carrier: the chart has something to say."""
    lines = ["flight,carrier,day,dep_delay,distance"]
    for number in range(ROWS):
        at = number % len(CARRIERS)
        day = DAY_ONE + timedelta(days=number % 365)
        lines.append(f"{number},{CARRIERS[at]},{day},{at * 2 + number % 5},{100 + number % 900}")
    return "\n".join(lines).encode()


def customers_csv() -> bytes:
    """Return people, so that a table has something to protect."""
    lines = ["id,name", *(f"{number},Person {number}" for number in range(500))]
    return "\n".join(lines).encode()


def staff_csv() -> bytes:
    """Return colleagues with what they told in confidence: the table that policies are about."""
    lines = ["id,name,email,iban,salary,born,region"]
    for number in range(200):
        name = f"{FIRST_NAMES[number % 5]} {LAST_NAMES[number % 7]}"
        email = f"{name.lower().replace(' ', '.')}{number}@air.example"
        iban = f"DE{number % 90 + 10}37040044{number * 7919 % 10**10:010}"
        born = date(1962, 3, 1) + timedelta(days=number * 71)
        salary, region = 38_000 + number * 217 % 61_000, REGIONS[number % 3]
        lines.append(f"{number},{name},{email},{iban},{salary},{born},{region}")
    return "\n".join(lines).encode()


def seed() -> dict[str, str]:
    """Create the organization, its people and its lake; wait until the lake is written."""
    organization = accounts.create_organization(actor=SYSTEM, name="Console tests", slug=SLUG)
    workspace = workspaces.create_workspace(
        actor=SYSTEM, organization=organization, name="Browser", slug="browser"
    )
    for role in WorkspaceRole:
        user = accounts.create_user(
            actor=SYSTEM,
            organization=organization,
            email=f"{role}@console.example",
            name=f"{role.value.capitalize()} Tester",
            password=PASSWORD,
            organization_role=OrganizationRole.ADMIN
            if role is WorkspaceRole.OWNER
            else OrganizationRole.MEMBER,
        )
        workspaces.grant_membership(actor=SYSTEM, workspace=workspace, principal=user, role=role)
    owner = actor_for_user(User.objects.get(email="owner@console.example"))
    hr = accounts.create_group(actor=owner, organization=organization, name="hr")
    steward = User.objects.get(email="steward@console.example")
    accounts.add_to_group(actor=owner, group=hr, principal=steward)
    catalog = services.create_catalog(actor=owner, workspace=workspace, name="air")
    finish(catalog)
    tables = {"flights": flights_csv(), "customers": customers_csv(), "staff": staff_csv()}
    for name, content in tables.items():
        services.upload_table(
            actor=owner,
            catalog=catalog,
            schema="main",
            table=name,
            file=io.BytesIO(content),
            file_name=f"{name}.csv",
            size_bytes=len(content),
            format=UploadFormat.CSV,
            mode=UploadMode.CREATE,
        )
    finish(catalog)
    snapshot = lake.latest_snapshot(catalog).snapshot_id
    customers = lake.table(catalog, snapshot, "main", "customers")
    assert customers is not None
    governance.assign_tag(
        actor=owner, securable=customers.securable(catalog.securable), tag="personal-data"
    )
    return {"workspace": workspace.slug, "password": PASSWORD}


def finish(catalog: Catalog) -> None:
    """Wait until the catalog's writer has done all that was asked of it."""
    deadline = time.monotonic() + 300
    while True:
        states = set(Job.objects.filter(catalog=catalog).values_list("state", flat=True))
        if states == {"succeeded"}:
            return
        if "failed" in states or time.monotonic() > deadline:
            sys.exit(f"the lake was not written: {states}")
        time.sleep(0.2)


def main() -> None:
    """Make it all and say how to get in."""
    print(json.dumps(seed()))  # noqa: T201 - the caller reads it
