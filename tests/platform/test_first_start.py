"""The operator's first start without the demo: one command, then sign in."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import Organization, SigningKey, User
from workspaces.models import Membership

pytestmark = pytest.mark.django_db


def test_it_creates_all_that_the_first_login_needs() -> None:
    out = StringIO()
    call_command("create_organization", "Sea Lark", "ada@sea-lark.example", stdout=out)

    admin = User.objects.get(email="ada@sea-lark.example")
    assert admin.organization is not None
    assert admin.organization.slug == "sea-lark"
    assert SigningKey.objects.get().organization == admin.organization
    assert Membership.objects.get(user=admin).role == "owner"
    password = out.getvalue().split("with the password ")[1].split()[0]
    form = {"login": admin.email, "password": password}
    assert Client().post("/accounts/login/", form).status_code == 302


def test_it_creates_all_or_nothing() -> None:
    with pytest.raises(CommandError, match="valid email"):
        call_command("create_organization", "Sea Lark", "not an address", stdout=StringIO())

    assert not Organization.objects.exists()
    assert not SigningKey.objects.exists()
