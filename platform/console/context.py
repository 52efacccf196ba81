"""What every console page shows around its content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from accounts import selectors as accounts
from accounts.domain import Actor, DeviceStatus, OrganizationRole
from accounts.models import Device, User
from workspaces.models import Workspace

THEMES = {"light", "dark"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the navigation; `key` follows G on the keyboard."""

    route: str
    label: str
    icon: str
    key: str
    in_workspace: bool = True
    for_admins: bool = False


NAVIGATION: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    (
        "",
        (
            Entry("page-query", "Query", "terminal", "q"),
            Entry("page-catalogs", "Catalog", "database", "c"),
            Entry("page-buckets", "Buckets", "server", "b"),
            Entry("page-saved", "Saved queries", "bookmark", "s"),
        ),
    ),
    (
        "Govern",
        (
            Entry("page-policies", "Policies", "shield-check", "p"),
            Entry("page-access", "Access", "user", "a"),
            Entry("page-devices", "Devices", "laptop", "d", in_workspace=False),
            Entry("page-settings", "Settings", "toggle-left", "w"),
            Entry("page-organization", "Organization", "users", "o", in_workspace=False),
        ),
    ),
    (
        "Observe",
        (
            Entry("page-events", "Events", "scroll-text", "e"),
            Entry("page-health", "Health", "refresh-cw", "h"),
            Entry(
                "page-isolation", "Isolation", "layers", "i", in_workspace=False, for_admins=True
            ),
        ),
    ),
    (
        "Yours",
        (
            Entry("page-tokens", "Tokens", "key-round", "t", in_workspace=False),
            Entry("mfa_index", "Security", "lock", "u", in_workspace=False),
        ),
    ),
)


def navigation(actor: Actor) -> list[tuple[str, tuple[Entry, ...]]]:
    """Return the sections with the entries that `actor` has a use for."""
    is_admin = actor.organization_role is OrganizationRole.ADMIN
    return [
        (title, tuple(entry for entry in entries if is_admin or not entry.for_admins))
        for title, entries in NAVIGATION
    ]


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return the context of the frame around a page; nothing is read until a template asks."""
    theme = request.COOKIES.get("upend_theme", "")
    return {
        "theme": theme if theme in THEMES else "",
        "shell": SimpleLazyObject(lambda: _frame(request)),
    }


def _frame(request: HttpRequest) -> dict[str, Any]:
    actor = accounts.actor_for_session(request) if hasattr(request, "user") else None
    if actor is None or not isinstance(request.user, User):
        return {}
    workspaces = list(Workspace.objects.visible_to(actor).select_related("organization"))
    current = _current(request, workspaces)
    return {
        "actor": actor,
        "is_admin": actor.organization_role is OrganizationRole.ADMIN,
        "initials": _initials(request.user),
        "workspaces": workspaces,
        "workspace": current,
        "organization": request.user.organization,
        "sections": [
            (title, _links(request, entries, current)) for title, entries in navigation(actor)
        ],
        "pending_devices": _pending_devices(actor),
        "approved_devices": _devices(actor, DeviceStatus.APPROVED),
    }


def _current(request: HttpRequest, workspaces: list[Workspace]) -> Workspace | None:
    match = request.resolver_match
    wanted = (match.kwargs.get("workspace") if match else None) or request.session.get("workspace")
    chosen = next((w for w in workspaces if w.slug == wanted), None)
    return chosen or (workspaces[0] if workspaces else None)


def _links(
    request: HttpRequest, entries: tuple[Entry, ...], workspace: Workspace | None
) -> list[dict[str, Any]]:
    links = []
    for entry in entries:
        if entry.in_workspace and workspace is None:
            continue
        arguments = [workspace.slug] if entry.in_workspace and workspace else []
        href = reverse(entry.route, args=arguments)
        links.append({"entry": entry, "href": href, "is_current": _is_current(request, href)})
    return links


def _is_current(request: HttpRequest, href: str) -> bool:
    path = request.path.replace("/queries/", "/query/")
    return path == href or path.startswith(href.rstrip("/") + "/")


def _initials(user: User) -> str:
    words = user.get_full_name().split() or user.email.partition("@")[0].split(".")
    return "".join(word[0] for word in words[:2]).upper()


def _devices(actor: Actor, status: DeviceStatus) -> int:
    return Device.objects.filter(user_id=actor.id, status=status).count()


def _pending_devices(actor: Actor) -> int:
    if actor.organization_role is not OrganizationRole.ADMIN:
        return 0
    return Device.objects.visible_to(actor).filter(status=DeviceStatus.PENDING).count()
