"""Writes to devices: enroll, approve, revoke, see."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone
from joserfc.jwk import OKPKey

from accounts.authorization import Verdict, administer, own_or_administer, require
from accounts.domain import Actor, DeviceStatus
from accounts.models import Device, User
from audit import services as audit
from audit import targets
from audit.domain import Event
from problems import Conflict

SEEN_IS_NOTED_EVERY = timedelta(minutes=1)


@audit.service
def enroll_device(
    *,
    actor: Actor,
    name: str,
    public_jwk: dict[str, str],
    platform: str = "",
    client_version: str = "",
    memory_bytes: int | None = None,
) -> Device:
    """Make a person's machine known by the key that it proved to hold.

    The caller has verified the proof. The device is approved at once where the organization
    says so, else it waits for an administrator. Enrolling the same key again refreshes what is
    known of the machine. Raises `Conflict` for a revoked key or another person's.
    """
    person = _person(actor)
    thumbprint = OKPKey.import_key({**public_jwk}).thumbprint()
    facts = {
        "platform": platform,
        "client_version": client_version,
        "memory_bytes": memory_bytes,
    }
    device, is_new = Device.objects.get_or_create(
        thumbprint=thumbprint,
        defaults={"user": person, "name": name, "public_jwk": public_jwk, **facts},
    )
    if not is_new:
        return _refresh(device, person, {"name": name, **facts})
    audit.record(
        actor=actor,
        event=Event.DEVICE_ENROLLED,
        target=targets.device(device),
        after={"name": name, "platform": platform, "thumbprint": thumbprint},
    )
    if person.organization is not None and person.organization.auto_approve_devices:
        _decide(device, DeviceStatus.APPROVED, None)
        audit.record(
            actor=actor,
            event=Event.DEVICE_APPROVED,
            target=targets.device(device),
            before={"status": str(DeviceStatus.PENDING)},
            after={"status": str(DeviceStatus.APPROVED), "by": "organization's setting"},
        )
    return device


def _person(actor: Actor) -> User:
    verdict = Verdict(
        actor.is_person,
        "device.enroll",
        "Only people enroll devices; programs run on servers.",
        "Sign in as a person: `upend login`.",
    )
    target = audit.Target(str(actor.kind), str(actor.id), actor.label, actor.organization_id)
    require(verdict, actor=actor, target=target)
    return User.objects.select_related("organization").get(id=actor.id)


def _refresh(device: Device, person: User, facts: dict[str, str | int | None]) -> Device:
    if device.user_id != person.id:
        message = "This key is enrolled by another person."
        raise Conflict(message, hint="Make a new key on this machine and enroll that.")
    if device.status == DeviceStatus.REVOKED:
        message = "This device was revoked, and its key with it."
        raise Conflict(message, hint="Make a new key on this machine and enroll that.")
    for field, value in facts.items():
        setattr(device, field, value)
    device.save(update_fields=list(facts))
    return device


@audit.service
def approve_device(*, actor: Actor, device: Device) -> Device:
    """Let a device run queries. Approving it again changes nothing.

    Raises `Conflict` for a revoked device: revocation is final.
    """
    verdict = administer(actor, device.user.organization_id, "device.manage")
    require(verdict, actor=actor, target=targets.device(device))
    device = Device.objects.select_for_update(of=["self"]).select_related("user").get(pk=device.pk)
    if device.status == DeviceStatus.APPROVED:
        return device
    if device.status == DeviceStatus.REVOKED:
        message = "This device was revoked, which is final."
        raise Conflict(message, hint="Its person enrolls again with `upend login`.")
    before = {"status": device.status}
    _decide(device, DeviceStatus.APPROVED, actor)
    audit.record(
        actor=actor,
        event=Event.DEVICE_APPROVED,
        target=targets.device(device),
        before=before,
        after={"status": device.status},
    )
    return device


@audit.service
def revoke_device(*, actor: Actor, device: Device) -> Device:
    """End a device at once and for good: its person may, and an administrator."""
    verdict = own_or_administer(actor, device.user_id, device.user.organization_id, "device.manage")
    require(verdict, actor=actor, target=targets.device(device))
    device = Device.objects.select_for_update(of=["self"]).select_related("user").get(pk=device.pk)
    if device.status == DeviceStatus.REVOKED:
        return device
    before = {"status": device.status}
    _decide(device, DeviceStatus.REVOKED, actor)
    audit.record(
        actor=actor,
        event=Event.DEVICE_REVOKED,
        target=targets.device(device),
        before=before,
        after={"status": device.status},
    )
    return device


def _decide(device: Device, status: DeviceStatus, by: Actor | None) -> None:
    device.status = status
    device.decided_at = timezone.now()
    device.decided_by_id = by.id if by is not None and by.is_person else None
    device.save(update_fields=["status", "decided_at", "decided_by"])


def note_device_seen(device: Device, *, now: datetime) -> None:
    """Keep `last_seen_at` fresh to the minute, with at most one write a minute."""
    if device.last_seen_at is not None and now - device.last_seen_at < SEEN_IS_NOTED_EVERY:
        return
    Device.objects.filter(pk=device.pk).update(last_seen_at=now)


def note_device_report(
    device: Device,
    *,
    memory_bytes: int | None = None,
    cores: int | None = None,
    link_bytes_per_second: int | None = None,
    cached_bytes: dict[str, int] | None = None,
) -> None:
    """Keep what a device said of itself in a signed receipt; what it left out stays as it was.

    Believed for placing queries, and for nothing else. A link is smoothed: half of what was, half
    of what its latest run saw.
    """
    if link_bytes_per_second and device.link_bytes_per_second:
        link_bytes_per_second = (link_bytes_per_second + device.link_bytes_per_second) // 2
    facts = {
        "memory_bytes": memory_bytes,
        "cores": cores,
        "link_bytes_per_second": link_bytes_per_second,
        "cached_bytes": cached_bytes,
    }
    said = {name: value for name, value in facts.items() if value is not None}
    if said:
        Device.objects.filter(pk=device.pk).update(**said)
