"""A statement that is composed once answers for every value as Django's own would."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.composed import Composed, ComposedFor, NotComposable
from accounts.domain import Actor
from accounts.models import Group, User
from accounts.selectors import actor_for_user
from tests.cast import Cast
from workspaces.models import Membership, Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def people() -> Composed[User]:
    return Composed(
        lambda email: User.objects.select_related("organization").filter(email=email).order_by()
    )


def test_it_finds_each_by_the_same_statement(cast: Cast, people: Composed[User]) -> None:
    wanted = list(User.objects.select_related("organization").order_by("email"))
    with CaptureQueriesContext(connection) as sent:
        found = [people.ask(email=user.email) for user in wanted]
    assert found == [[user] for user in wanted]
    assert len(sent) == len(wanted), "and their organizations with them"
    for (user,), other in zip(found, wanted, strict=True):
        assert user.organization == other.organization
        assert user.attributes == other.attributes
        assert not user._state.adding
    assert len(people._known) == 1
    assert people.ask(email="nobody@example.com") == []


def test_it_composes_a_statement_for_each_shape(cast: Cast) -> None:
    users = list(User.objects.order_by("email")[:3])
    several: Composed[User] = Composed(lambda **ids: User.objects.filter(id__in=ids.values()))
    for count in (1, 2, 3):
        asked = {f"id{number}": user.id for number, user in enumerate(users[:count])}
        assert set(several.ask(count, **asked)) == set(users[:count])
    assert several.ask() == [], "nothing can be in nothing"
    assert len(several._known) == 3


def test_it_leaves_the_fields_that_are_not_asked_for_to_django(cast: Cast) -> None:
    short: Composed[User] = Composed(lambda id: User.objects.only("email").filter(id=id))  # noqa: A006
    user = User.objects.latest("date_joined")
    (found,) = short.ask(id=user.id)
    assert "first_name" in found.get_deferred_fields()
    assert found.first_name == user.first_name


@pytest.mark.parametrize(
    "build",
    [
        lambda email: User.objects.filter(email__icontains=email),
        lambda email: User.objects.filter(email=email.upper()),
        lambda email: User.objects.filter(email=f"{email}."),
        lambda email: User.objects.filter(is_active=bool(email)),
    ],
)
def test_it_refuses_what_would_ask_for_the_stand_in(build: Any, cast: Cast) -> None:
    asked: Composed[User] = Composed(build)
    with pytest.raises(NotComposable):
        asked.ask(email="someone@example.com")


def test_it_shows_every_actor_what_django_would(cast: Cast, workspace: Workspace) -> None:
    seen: ComposedFor[Workspace] = ComposedFor(
        lambda actor, slug: Workspace.objects.visible_to(actor).filter(slug=slug)
    )
    for name in ("owner", "steward", "analyst", "agent", "auditor", "outsider"):
        actor = cast.actor(name)
        expected = list(Workspace.objects.visible_to(actor).filter(slug=workspace.slug))
        assert seen.ask(actor, slug=workspace.slug) == expected, name


def test_it_shows_members_of_groups_what_their_groups_see(cast: Cast, workspace: Workspace) -> None:
    seen: ComposedFor[Workspace] = ComposedFor(
        lambda actor, slug: Workspace.objects.visible_to(actor).filter(slug=slug)
    )
    user = User.objects.get(id=cast.actor("analyst").id)
    Membership.objects.filter(user=user).delete()
    assert seen.ask(actor_for_user(user), slug=workspace.slug) == []
    for number in range(3):
        group = Group.objects.create(organization=cast.organization, name=f"g{number}")
        group.users.add(user)
    actor = actor_for_user(user)
    assert len(actor.group_ids) == 3
    assert seen.ask(actor, slug=workspace.slug) == []
    Membership.objects.create(workspace=workspace, group=group, role="analyst")
    assert seen.ask(actor, slug=workspace.slug) == [workspace]
    nobody = Actor(actor.kind, uuid4(), "", None)
    assert seen.ask(nobody, slug=workspace.slug) == []
