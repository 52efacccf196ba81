"""Writes to principals: people, programs, and groups of them."""

from __future__ import annotations

from allauth.account.models import EmailAddress
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils import timezone

from accounts.authorization import administer, require
from accounts.domain import Actor, OrganizationRole
from accounts.models import Group, Organization, ServiceAccount, User
from audit import services as audit
from audit import targets
from audit.domain import Event
from problems import Conflict, Invalid


@audit.service
def create_user(
    *,
    actor: Actor,
    organization: Organization,
    email: str,
    name: str = "",
    password: str | None = None,
    organization_role: OrganizationRole = OrganizationRole.MEMBER,
) -> User:
    """Add a person. Without a `password` they sign in by a passkey or a reset link.

    Raises `Conflict` where the address is taken, `Invalid` where it or the password is no good.
    """
    email = email.strip().lower()
    first_name, _, last_name = name.strip().partition(" ")
    user = User(
        username=email,
        email=email,
        first_name=first_name,
        last_name=last_name,
        organization=organization,
        organization_role=organization_role,
    )
    verdict = administer(actor, organization.id, "member.manage")
    require(verdict, actor=actor, target=targets.organization(organization))
    _check(user, password)
    user.set_password(password)
    user.save()
    EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
    audit.record(
        actor=actor,
        event=Event.USER_CREATED,
        target=targets.user(user),
        after={"email": email, "organization_role": str(organization_role)},
    )
    return user


def _check(user: User, password: str | None) -> None:
    try:
        validate_email(user.email)
        if password is not None:
            validate_password(password, user)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages)) from error
    if User.objects.filter(email__iexact=user.email).exists():
        message = f"{user.email} has an account already."
        raise Conflict(message, hint="One address belongs to one person in one organization.")


@audit.service
def create_service_account(
    *,
    actor: Actor,
    organization: Organization,
    name: str,
    created_by: User,
    description: str = "",
) -> ServiceAccount:
    """Add a program that acts, such as an agent or a job; `created_by` answers for it."""
    verdict = administer(actor, organization.id, "service_account.manage")
    require(verdict, actor=actor, target=targets.organization(organization))
    if ServiceAccount.objects.filter(organization=organization, name=name).exists():
        message = f"A service account named {name!r} exists already."
        raise Conflict(message)
    account = ServiceAccount.objects.create(
        organization=organization, name=name, description=description, created_by=created_by
    )
    audit.record(
        actor=actor,
        event=Event.SERVICE_ACCOUNT_CREATED,
        target=targets.service_account(account),
        after={"name": name},
    )
    return account


@audit.service
def disable_service_account(*, actor: Actor, account: ServiceAccount) -> ServiceAccount:
    """Stop a program at once: its tokens are refused from the next request on."""
    target = targets.service_account(account)
    verdict = administer(actor, account.organization_id, "service_account.manage")
    require(verdict, actor=actor, target=target)
    if account.disabled_at is None:
        account.disabled_at = timezone.now()
        account.save(update_fields=["disabled_at"])
        audit.record(actor=actor, event=Event.SERVICE_ACCOUNT_DISABLED, target=target)
    return account


@audit.service
def create_group(*, actor: Actor, organization: Organization, name: str) -> Group:
    """Add an empty group. Raises `Conflict` where the name is taken."""
    verdict = administer(actor, organization.id, "member.manage")
    require(verdict, actor=actor, target=targets.organization(organization))
    if Group.objects.filter(organization=organization, name=name).exists():
        message = f"A group named {name!r} exists already."
        raise Conflict(message)
    group = Group.objects.create(organization=organization, name=name)
    audit.record(
        actor=actor,
        event=Event.GROUP_CREATED,
        target=targets.group(group),
        after={"name": name},
    )
    return group


@audit.service
def add_to_group(*, actor: Actor, group: Group, principal: User | ServiceAccount) -> Group:
    """Make `principal` a member of `group`; both must be of one organization."""
    target = targets.group(group)
    verdict = administer(actor, group.organization_id, "member.manage")
    require(verdict, actor=actor, target=target)
    if principal.organization_id != group.organization_id:
        message = f"{principal} does not belong to the organization of {group}."
        raise Invalid(message)
    if isinstance(principal, User):
        group.users.add(principal)
    else:
        group.service_accounts.add(principal)
    audit.record(
        actor=actor, event=Event.GROUP_CHANGED, target=target, after={"added": str(principal)}
    )
    return group
