"""From the names in a policy's text to the keys of what they name, and back to the names of now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import Group, ServiceAccount, User
from governance import inventory, securables
from governance.details import CLASSIFICATION
from governance.models import TagAssignment, TagDefinition
from governance.text import Mention, replaced
from workspaces.models import Workspace

ACCOUNTS = {"group": "name", "service_account": "name", "user": "email"}
"""Those who act, with the field that people know them by."""

Named = tuple[str, str]
"""A kind, and a name of it."""


def keys_of(workspace: Workspace, mentions: Iterable[Mention]) -> dict[Named, str]:
    """Return the stable keys of what is named; what does not exist is left out.

    Columns are not looked for here: they belong to tables, see `governance.checking`.
    """
    wanted: dict[str, set[str]] = {}
    for mention in mentions:
        wanted.setdefault(mention.kind, set()).add(mention.name)
    found: dict[Named, str] = {}
    for kind in ACCOUNTS.keys() & wanted.keys():
        field = ACCOUNTS[kind]
        rows = _accounts(workspace, kind).filter(**{f"{field}__in": wanted[kind]})
        found |= {(kind, name): f"{kind}:{id_}" for id_, name in rows.values_list("id", field)}
    for kind in {"catalog", "table"} & wanted.keys():
        named = inventory.named(workspace, wanted[kind])
        found |= {
            (kind, label): one.key for label, one in named.items() if one.key.startswith(f"{kind}:")
        }
    for kind in {"organization", "workspace"} & wanted.keys():
        found |= {(kind, name): key for name, key in _above(workspace, kind).items()}
    if "tag" in wanted:
        known = tags_of(workspace)
        found |= {("tag", name): f"tag:{name}" for name in wanted["tag"] if _is_tag(name, known)}
    return found


def nearest(workspace: Workspace, kind: str, name: str) -> str:
    """Return a question with the nearest name that exists; empty where none is near."""
    if kind in ACCOUNTS:
        known = list(_accounts(workspace, kind).values_list(ACCOUNTS[kind], flat=True))
    elif kind == "tag":
        known = sorted(tags_of(workspace))
    elif kind in {"catalog", "table"}:
        known = [one for one in inventory.labels(workspace) if ("." in one) == (kind == "table")]
    else:
        known = list(_above(workspace, kind))
    near = get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]}?" if near else ""


def tags_of(workspace: Workspace) -> set[str]:
    """Return the tags that are defined or in use in the workspace's organization."""
    own = {"organization_id": workspace.organization_id}
    defined = TagDefinition.objects.filter(**own).values_list("name", flat=True)
    return {
        CLASSIFICATION,
        *defined,
        *TagAssignment.objects.filter(**own).values_list("tag", flat=True).distinct(),
    }


def names_of(workspace: Workspace, references: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return what the things of references are called now, by key; what is gone is left out."""
    wanted: dict[str, set[str]] = {}
    for one in references:
        if one["key"]:
            wanted.setdefault(one["kind"], set()).add(one["key"])
    found: dict[str, str] = {}
    for kind in ACCOUNTS.keys() & wanted.keys():
        ids = [UUID(key.partition(":")[2]) for key in wanted[kind]]
        rows = _accounts(workspace, kind).filter(id__in=ids)
        found |= {f"{kind}:{id_}": n for id_, n in rows.values_list("id", ACCOUNTS[kind])}
    keys = {k for kind in ("catalog", "column", "table") for k in wanted.get(kind, ())}
    for key, securable in (inventory.keyed(workspace, keys) if keys else {}).items():
        table = securables.table_of(securable)
        found[key] = securable.label.removeprefix(f"{table.label}.") if table else securable.label
    for kind in {"organization", "workspace"} & wanted.keys():
        found |= {key: name for name, key in _above(workspace, kind).items() if name}
    known = tags_of(workspace) if "tag" in wanted else set()
    found |= {k: k.partition(":")[2] for k in wanted.get("tag", ()) if _is_tag(k[4:], known)}
    return found


def shown(workspace: Workspace, text: str, references: Iterable[Mapping[str, Any]]) -> str:
    """Return a policy's text with the names that things have now."""
    kept = list(references)
    return replaced(text, kept, names_of(workspace, kept))


def missing(
    workspace: Workspace, references: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the references to what is gone, in the order of the text."""
    kept = [one for one in references if one["key"]]
    known = names_of(workspace, kept)
    return sorted((one for one in kept if one["key"] not in known), key=lambda one: one["start"])


def _accounts(workspace: Workspace, kind: str) -> QuerySet[Any]:
    models = {"group": Group.objects, "service_account": ServiceAccount.objects}
    rows: QuerySet[Any] = models[kind].all() if kind in models else User.objects.all()
    return rows.filter(organization_id=workspace.organization_id)


def _above(workspace: Workspace, kind: str) -> dict[str, str]:
    """Return what may be named of the workspace or its organization: a policy knows its own."""
    if kind == "organization":
        own = workspace.organization
        return {own.slug: f"organization:{own.id}"}
    return {workspace.slug: f"workspace:{workspace.id}"}


def _is_tag(name: str, known: set[str]) -> bool:
    return name.partition("=")[0] in known
