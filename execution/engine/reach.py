"""What engines of this installation may reach: Upend's own object storage, and nothing else."""

from __future__ import annotations

from django.conf import settings

from execution import sandbox


def endpoints() -> tuple[sandbox.Endpoint, ...]:
    """Return the endpoints that URLs in slices for server engines lead to."""
    return (sandbox.Endpoint.of_url(settings.S3["endpoint"]),)


def egress() -> sandbox.Egress:
    """Return this process's relay to them."""
    return sandbox.shared_egress(endpoints())


def policy(*, scratch: str) -> sandbox.Policy:
    """Return what one engine keeps: its scratch directory and the way to the store."""
    return sandbox.Policy(scratch=scratch, endpoints=endpoints())
