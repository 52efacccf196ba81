"""What a policy may be at most, and what of it is fixed once others have seen it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from governance.domain import Securable, SecurableKind, VersionState
from governance.models import Policy
from governance.services.policies import rows
from problems import Invalid
from workspaces.models import Workspace

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MAX_NAME_LENGTH = 80
MAX_TEXT_LENGTH = 50_000
MAX_TESTS = 200
SCOPES = frozenset({SecurableKind.WORKSPACE, SecurableKind.CATALOG, SecurableKind.TABLE})

Tests = Sequence[dict[str, Any]]


def check_scope(workspace: Workspace, scope: Securable) -> None:
    """Refuse a scope that is elsewhere, or of another kind. Raises `Invalid`."""
    if scope.kind not in SCOPES or scope.workspace_id != workspace.id:
        raise Invalid(
            f"A policy of {workspace.name} cannot hold for {scope.label}.",
            hint="Its scope is the workspace, or a catalog or table of it.",
        )


def check_name(name: str) -> None:
    """Refuse a name that no address can have. Raises `Invalid`."""
    if len(name) > MAX_NAME_LENGTH or not NAME.fullmatch(name):
        raise Invalid(
            f"{name!r} is not a name for a policy.",
            hint="Use lower-case letters and digits, words joined by hyphens: mask-email.",
        )


def check_expiry(expires_at: datetime | None) -> None:
    """Refuse an end that has passed. Raises `Invalid`."""
    if expires_at is not None and expires_at <= timezone.now():
        raise Invalid(
            f"{expires_at:%Y-%m-%d %H:%M} UTC has passed.", hint="Choose a time in the future."
        )


def check_size(text: str, tests: Tests) -> None:
    """Refuse a text or tests that nobody could read. Raises `Invalid`."""
    if len(text) > MAX_TEXT_LENGTH or len(tests) > MAX_TESTS:
        raise Invalid(
            f"A policy has at most {MAX_TEXT_LENGTH:,} characters and {MAX_TESTS} tests.",
            hint="Split it into several policies; they hold side by side.",
        )


def check_never_published(policy: Policy, deed: str) -> None:
    """Refuse to undo a policy that was in force. Raises `PolicyMovedOn`."""
    if policy.versions.filter(published_at__isnull=False).exists():
        raise rows.PolicyMovedOn(
            f"The policy {policy.name} was in force, so it cannot be {deed}.",
            hint="Retire it: it ends at once, and its history stays.",
        )


def check_never_submitted(policy: Policy, what: str) -> None:
    """Refuse to change what reviewers saw. Raises `PolicyMovedOn`."""
    if policy.versions.exclude(state=VersionState.DRAFT).exists():
        raise rows.PolicyMovedOn(
            f"The {what} of {policy.name} is fixed since it was first submitted.",
            hint="Retire it and create another one.",
        )
