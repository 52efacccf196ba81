"""What the command palette offers; each room adds what it knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.urls import reverse

from accounts.domain import Actor
from console.context import navigation
from workspaces.models import Workspace

MOST = 30


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of the palette: somewhere to go (`href`) or something to do (`action`)."""

    label: str
    kind: str
    icon: str
    href: str = ""
    action: str = ""
    keys: str = ""


Provider = Callable[[Actor, Workspace, str], list[Choice]]
_providers: list[Provider] = []

ACTIONS = (
    Choice("Run the query", "Action", "play", action="run-query", keys="⌘↵"),
    Choice("Save the query", "Action", "save", action="save-query"),
    Choice("Switch light or dark theme", "Action", "sun", action="switch-theme"),
    Choice("Show keyboard shortcuts", "Action", "keyboard", action="shortcuts", keys="?"),
)


def provider(function: Provider) -> Provider:
    """Add `function(actor, workspace, text)` to what the palette asks."""
    _providers.append(function)
    return function


def choices(*, actor: Actor, workspace: Workspace | None, text: str) -> list[Choice]:
    """Return what matches `text`: pages, then what the rooms know, then actions."""
    found = [choice for choice in _pages(actor, workspace) if _matches(choice, text)]
    if workspace is not None:
        for provide in _providers:
            found += provide(actor, workspace, text)
    found += [choice for choice in ACTIONS if _matches(choice, text)]
    return found[:MOST]


def _pages(actor: Actor, workspace: Workspace | None) -> list[Choice]:
    pages = []
    for _, entries in navigation(actor):
        for entry in entries:
            if entry.in_workspace and workspace is None:
                continue
            arguments = [workspace.slug] if entry.in_workspace and workspace else []
            href = reverse(entry.route, args=arguments)
            pages.append(
                Choice(entry.label, "Go to", entry.icon, href, keys=f"G {entry.key.upper()}")
            )
    return pages


def _matches(choice: Choice, text: str) -> bool:
    return all(word in choice.label.lower() for word in text.lower().split())
