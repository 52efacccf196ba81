"""What policies may look at of people, programs and devices, as administrators state it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from accounts.authorization import administer, require
from accounts.domain import Actor
from accounts.models import Device, ServiceAccount, User
from audit import services as audit
from audit import targets
from audit.domain import Event
from problems import Invalid

Holder = TypeVar("Holder", bound=User | ServiceAccount)
"""A principal that has attributes."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
RESERVED = frozenset({"email", "id"})
"""What every principal has without being given it: `principal.email`, `principal.id`."""

MAX_ATTRIBUTES = 20
MAX_VALUE_LENGTH = 120


@audit.service
def set_attributes(*, actor: Actor, principal: Holder, attributes: Mapping[str, str]) -> Holder:
    """Give a person or program these attributes in place of those it had, from now on.

    Policies read them: `principal.region`, or `principal.getTag("region")`. Raises `NotAllowed`
    for anyone but an administrator, or `Invalid`.
    """
    target = _target(principal)
    verdict = administer(actor, principal.organization_id, "member.manage")
    require(verdict, actor=actor, target=target)
    wanted = _checked(attributes)
    rows = User.objects if isinstance(principal, User) else ServiceAccount.objects
    before = rows.select_for_update().get(pk=principal.pk).attributes
    principal.attributes = wanted
    if wanted == before:
        return principal
    principal.save(update_fields=["attributes"])
    audit.record(
        actor=actor,
        event=Event.PRINCIPAL_ATTRIBUTES_CHANGED,
        target=target,
        before=before,
        after=wanted,
    )
    return principal


@audit.service
def state_device(
    *,
    actor: Actor,
    device: Device,
    is_managed: bool | None = None,
    is_disk_encrypted: bool | None = None,
) -> Device:
    """Say whether the organization manages a device, and whether its disk is encrypted.

    None leaves what was said. Upend cannot see either: it believes administrators, and what
    manages devices in their name. Raises `NotAllowed` for anyone else, the device's person too.
    """
    target = targets.device(device)
    verdict = administer(actor, device.user.organization_id, "device.manage")
    require(verdict, actor=actor, target=target)
    device = Device.objects.select_for_update(of=["self"]).select_related("user").get(pk=device.pk)
    stated = {"is_managed": is_managed, "is_disk_encrypted": is_disk_encrypted}
    after = {
        name: value
        for name, value in stated.items()
        if value is not None and value != getattr(device, name)
    }
    if not after:
        return device
    before = {name: getattr(device, name) for name in after}
    for name, value in after.items():
        setattr(device, name, value)
    device.save(update_fields=list(after))
    audit.record(actor=actor, event=Event.DEVICE_STATED, target=target, before=before, after=after)
    return device


def _target(principal: User | ServiceAccount) -> audit.Target:
    if isinstance(principal, User):
        return targets.user(principal)
    return targets.service_account(principal)


def _checked(attributes: Mapping[str, str]) -> dict[str, str]:
    for name, value in attributes.items():
        if not NAME.fullmatch(name) or name in RESERVED:
            raise Invalid(
                f"{name[:80]!r} cannot be the name of an attribute.",
                hint="Use up to 40 lower-case letters, digits and underscores, a letter first;"
                f" {' and '.join(sorted(RESERVED))} are taken.",
            )
        if (
            not 0 < len(value) <= MAX_VALUE_LENGTH
            or not value.isprintable()
            or value != value.strip()
        ):
            raise Invalid(
                f"{value[:80]!r} cannot be the value of {name}.",
                hint=f"Use up to {MAX_VALUE_LENGTH} printable characters, no space at either end;"
                " leave the attribute out to take it away.",
            )
    if len(attributes) > MAX_ATTRIBUTES:
        raise Invalid(f"At most {MAX_ATTRIBUTES} attributes are kept.", hint="Give fewer.")
    return dict(sorted(attributes.items()))
