"""Writes to organizations: the tenant and the keys it signs with."""

from __future__ import annotations

import uuid

from accounts import keys
from accounts.authorization import administer, require
from accounts.domain import Actor
from accounts.models import Organization, SigningKey
from audit import services as audit
from audit import targets
from audit.domain import Event
from problems import Conflict


@audit.service
def create_organization(
    *, actor: Actor, name: str, slug: str, auto_approve_devices: bool = False
) -> Organization:
    """Create a tenant with its first signing key. Only Upend itself does this.

    Raises `Conflict` where the slug is taken.
    """
    organization = Organization(name=name, slug=slug, auto_approve_devices=auto_approve_devices)
    refused = audit.Target("organization", slug, name, actor.organization_id)
    require(administer(actor, None, "organization.create"), actor=actor, target=refused)
    if Organization.objects.filter(slug=slug).exists():
        message = f"An organization with the slug {slug!r} exists already."
        raise Conflict(message, hint="Choose another slug.")
    organization.save()
    audit.record(
        actor=actor,
        event=Event.ORGANIZATION_CREATED,
        target=targets.organization(organization),
        after={"name": name, "slug": slug, "auto_approve_devices": auto_approve_devices},
    )
    create_signing_key(actor=actor, organization=organization)
    return organization


@audit.service
def change_organization(
    *,
    actor: Actor,
    organization: Organization,
    auto_approve_devices: bool | None = None,
    governed_tags_only: bool | None = None,
    local_mode_enabled: bool | None = None,
) -> Organization:
    """Change the organization's settings from the next request on; None leaves one as it is.

    Turning local mode off stops local runs for everyone.
    """
    target = targets.organization(organization)
    verdict = administer(actor, organization.id, "organization.change")
    require(verdict, actor=actor, target=target)
    asked = {
        "auto_approve_devices": auto_approve_devices,
        "governed_tags_only": governed_tags_only,
        "local_mode_enabled": local_mode_enabled,
    }
    organization = Organization.objects.select_for_update().get(pk=organization.pk)
    after = {
        name: value
        for name, value in asked.items()
        if value is not None and value != getattr(organization, name)
    }
    if not after:
        return organization
    before = {name: getattr(organization, name) for name in after}
    for name, value in after.items():
        setattr(organization, name, value)
    organization.save(update_fields=list(after))
    audit.record(
        actor=actor, event=Event.ORGANIZATION_CHANGED, target=target, before=before, after=after
    )
    return organization


@audit.service
def create_signing_key(*, actor: Actor, organization: Organization) -> SigningKey:
    """Make a new Ed25519 key and sign with it from now on; older keys stay published."""
    require(
        administer(actor, organization.id, "signing_key.create"),
        actor=actor,
        target=targets.organization(organization),
    )
    private_jwk, public_jwk, key_id = keys.generate()
    row = SigningKey(
        id=uuid.uuid4(), organization=organization, key_id=key_id, public_jwk=public_jwk
    )
    row.sealed_private_key = keys.seal(private_jwk, keys.binding_of(row))
    row.save()
    audit.record(
        actor=actor,
        event=Event.SIGNING_KEY_CREATED,
        target=targets.signing_key(row),
        after={"key_id": key_id},
    )
    return row
