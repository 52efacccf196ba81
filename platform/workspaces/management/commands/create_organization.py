"""An operator's first step after installing: a tenant, its administrator, a workspace."""

from __future__ import annotations

import getpass
import secrets
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.text import slugify

from accounts import services as accounts
from accounts.domain import SYSTEM, OrganizationRole
from accounts.models import User
from accounts.selectors import actor_for_user
from audit import services as audit
from problems import Problem
from workspaces import services as workspaces

PASSWORD_BYTES = 15


class Command(BaseCommand):
    """Create an organization with its first administrator and workspace."""

    help = "Create an organization, its first administrator and a workspace they own."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what may be said on the command line."""
        parser.add_argument("name", help="The organization's name, such as 'Demo Air'.")
        parser.add_argument("email", help="The first administrator's e-mail address.")
        parser.add_argument("--slug", default="", help="Short name in addresses; from the name.")
        parser.add_argument("--workspace", default="Main", help="The first workspace's name.")
        parser.add_argument(
            "--ask-password", action="store_true", help="Ask for the password, do not make one."
        )
        parser.add_argument(
            "--auto-approve-devices",
            action="store_true",
            help="Approve members' devices at enrolment, without an administrator.",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Create all or nothing, then say how to sign in."""
        asked = options["ask_password"]
        password = getpass.getpass("Password: ") if asked else secrets.token_urlsafe(PASSWORD_BYTES)
        try:
            user = _create(
                name=options["name"],
                slug=options["slug"] or slugify(options["name"]),
                email=options["email"],
                password=password,
                workspace=options["workspace"],
                auto_approve_devices=options["auto_approve_devices"],
            )
        except Problem as problem:
            raise CommandError(" ".join(filter(None, [problem.detail, problem.hint]))) from problem
        self.stdout.write(f"Created {options['name']} with the workspace {options['workspace']}.")
        self.stdout.write(f"Sign in at {settings.PUBLIC_URL} as {user.email}")
        if not asked:
            self.stdout.write(f"with the password {password}")
            self.stdout.write("It is not kept anywhere in clear: note it or change it now.")


@audit.service
def _create(
    *,
    name: str,
    slug: str,
    email: str,
    password: str,
    workspace: str,
    auto_approve_devices: bool,
) -> User:
    organization = accounts.create_organization(
        actor=SYSTEM, name=name, slug=slug, auto_approve_devices=auto_approve_devices
    )
    admin = accounts.create_user(
        actor=SYSTEM,
        organization=organization,
        email=email,
        password=password,
        organization_role=OrganizationRole.ADMIN,
    )
    workspaces.create_workspace(
        actor=actor_for_user(admin),
        organization=organization,
        name=workspace,
        slug=slugify(workspace),
    )
    return admin
