"""The first steps of a check: whether the storage is there, who it is, and what time it has."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from catalog.buckets.probe import Probe
from catalog.buckets.report import Failed, Skipped, Warned
from catalog.storage.endpoints import Unresolved, resolved

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
CERTIFICATE_DAYS = 14
SKEW_REFUSED_SECONDS = 900
"""Signature Version 4 refuses more than 15 minutes."""
SKEW_WARNED_SECONDS = 60


def resolve(probe: Probe) -> str:
    """Find the addresses of the endpoint, and that they may be reached."""
    try:
        probe.addresses = resolved(probe.host, probe.port)
    except Unresolved:
        raise Failed(
            f"The name {probe.host} has no address.",
            "Correct the endpoint. Where the bucket's name is before the host's, try the path"
            " style.",
        ) from None
    return f"{probe.host} is {', '.join(probe.addresses[:4])}."


def tls(probe: Probe) -> str:
    """Look at the certificate."""
    if not probe.is_encrypted:
        if probe.host in LOOPBACK:
            raise Skipped("Plain HTTP on this machine.")
        raise Warned(
            "Plain HTTP: whoever is between can read the data.",
            "Serve the storage over https and change the endpoint.",
        )
    try:
        with (
            socket.create_connection((probe.addresses[0], probe.port), timeout=5) as raw,
            ssl.create_default_context().wrap_socket(raw, server_hostname=probe.host) as secured,
        ):
            certificate, version = secured.getpeercert() or {}, secured.version()
    except ssl.SSLError as error:
        raise Failed(
            f"The certificate is not one that we trust: {error.reason or 'it is not for us'}.",
            f"Serve a certificate of a public authority for {probe.host}.",
        ) from error
    except OSError as error:
        found = f"Nothing answers at {probe.host}:{probe.port}: {type(error).__name__}."
        raise Failed(found, "Is the address right, and its port open to us?") from error
    return _certified(certificate, version or "TLS", probe.now())


def clock(probe: Probe) -> str:
    """Compare the storage's clock with ours."""
    answer = probe.ask("GET", probe.bucket.endpoint + "/")
    try:
        theirs = parsedate_to_datetime(answer.headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError):
        raise Skipped("The storage does not say what time it has.") from None
    skew = (probe.now() - theirs).total_seconds()
    ahead = "ahead of" if skew > 0 else "behind"
    found = f"Our clock is {abs(skew):.0f} s {ahead} the storage's."
    fix = "Let NTP set the clocks of Upend's host and of the storage."
    if abs(skew) > SKEW_REFUSED_SECONDS:
        raise Failed(f"{found} It refuses signatures that are off by 15 minutes.", fix)
    if abs(skew) > SKEW_WARNED_SECONDS:
        raise Warned(found, fix)
    return found if abs(skew) >= 2 else "The clocks agree."  # noqa: PLR2004 - whole seconds, twice


def _certified(certificate: Mapping[str, object], version: str, now: datetime) -> str:
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    days = (ends - now).days
    found = f"{version}, a certificate until {ends:%Y-%m-%d}."
    if days < CERTIFICATE_DAYS:
        raise Warned(found, f"Renew the certificate: {days} days are left.")
    return found
