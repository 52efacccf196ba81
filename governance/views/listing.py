"""Where policies are found and begun: the list, the choice of a kind and a scope, the palette."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from accounts.domain import Actor
from console import palette
from console.access import actor_of, signed_in, workspace_of
from console.palette import Choice
from governance import inventory, securables
from governance.domain import Action, PolicyKind, Request, Securable
from governance.forms import AccessForm, MaskForm, RowFilterForm, text_of
from governance.models import Policy
from governance.scopes import named_scope
from governance.selectors import decide, decide_many
from governance.services.policies import create_policy
from governance.views.lines import KINDS, STANDINGS, PolicyLine, policy_lines
from workspaces.models import Workspace

SCOPES_SHOWN = 12
LONGEST_NAME = 60
EXAMPLES = {
    PolicyKind.MASK: (
        "Mask columns",
        "Everyone but the group hr sees ****4417 where an account number was.",
    ),
    PolicyKind.ROW_FILTER: ("Filter rows", "People see the rows of their own region only."),
    PolicyKind.ACCESS: (
        "Allow or forbid",
        "Contractors may not run queries over it on their own machine.",
    ),
}
BEGINNINGS = {
    PolicyKind.MASK: text_of(MaskForm()),
    PolicyKind.ROW_FILTER: text_of(RowFilterForm()),
    PolicyKind.ACCESS: text_of(AccessForm(forbids=True, actions=(Action.TABLE_QUERY,))),
}


@require_safe
@signed_in
def policies(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """List the policies one may see, filtered by the address."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    lines = policy_lines(actor, place)
    wanted = {name: request.GET.get(name, "") for name in ("kind", "state", "q")}
    shown = [line for line in lines if _is_wanted(line, wanted)]
    context = {
        "workspace": place,
        "lines": shown,
        "total": len(lines),
        "wanted": wanted,
        "kinds": [(kind.value, title, icon) for kind, (title, icon) in KINDS.items()],
        "states": [(state, title) for state, title in STANDINGS.items() if _any(lines, state)],
        "starts": _starts(),
        "may_view_as": decide(actor, Action.POLICY_VIEW_AS, securables.workspace(place)).allowed,
    }
    return render(request, "governance/policies.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def new_policy(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """Choose what to write and what it holds for; both chosen, begin the draft."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    if request.method == "POST":
        kind = _kind(request.POST.get("kind", ""))
        scope = named_scope(actor, place, request.POST.get("on", ""))
        version = create_policy(
            actor=actor,
            workspace=place,
            name=_free_name(place, kind, scope),
            kind=kind,
            scope=scope,
            text=BEGINNINGS[kind],
        )
        return redirect("page-policy", place.slug, version.policy.name)
    context = {
        "workspace": place,
        "starts": _starts(),
        "kind": _kind(request.GET.get("kind", "")).value,
        "scopes": _scopes(actor, place, request.GET.get("q", "")),
        "on": request.GET.get("on", ""),
    }
    return render(request, "governance/new.html", context)


@require_safe
@signed_in
def policy_scopes(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """List what a policy may be written for, by a part of its name."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = _scopes(actor, place, request.GET.get("q", ""))
    return render(request, "governance/new.html#scopes", {"workspace": place, "scopes": found})


def _starts() -> list[tuple[str, str, str, str]]:
    return [(k.value, KINDS[k][1], title, says) for k, (title, says) in EXAMPLES.items()]


def _kind(written: str) -> PolicyKind:
    return PolicyKind(written) if written in set(PolicyKind) else PolicyKind.MASK


def _any(lines: list[PolicyLine], state: str) -> bool:
    return any(state in line.standings for line in lines)


def _is_wanted(line: PolicyLine, wanted: dict[str, str]) -> bool:
    words = wanted["q"].lower().split()
    text = f"{line.policy.name} {line.policy.scope_label} {line.summary}".lower()
    return (
        wanted["kind"] in {"", line.policy.kind}
        and (not wanted["state"] or wanted["state"] in line.standings)
        and all(word in text for word in words)
    )


def _scopes(actor: Actor, workspace: Workspace, text: str) -> list[Securable]:
    """Return what the actor may write policies for: the workspace first, then by name."""
    words = text.lower().split()
    labels = [one for one in inventory.labels(workspace) if all(w in one.lower() for w in words)]
    whole = securables.workspace(workspace)
    found = [whole] if all(word in whole.label.lower() for word in words) else []
    found += list(inventory.named(workspace, sorted(labels)[: 4 * SCOPES_SHOWN]).values())
    decisions = decide_many(actor, [Request(Action.POLICY_AUTHOR, one) for one in found])
    allowed = [one for one, said in zip(found, decisions, strict=True) if said.allowed]
    return allowed[:SCOPES_SHOWN]


def _free_name(workspace: Workspace, kind: PolicyKind, scope: Securable) -> str:
    """Return a name that says what the policy is about, and that no other bears."""
    last = scope.label.rpartition(".")[2].lower()
    word = "".join(c if c.isascii() and c.isalnum() else "-" for c in last)[:LONGEST_NAME]
    stem = "-".join(part for part in [kind.value.replace("_", "-"), *word.split("-")] if part)
    taken = set(
        Policy.objects.filter(workspace=workspace, name__startswith=stem).values_list(
            "name", flat=True
        )
    )
    number = 1
    while (name := stem if number == 1 else f"{stem}-{number}") in taken:
        number += 1
    return name


@palette.provider
def palette_policies(actor: Actor, workspace: Workspace, text: str) -> list[Choice]:
    """Offer the policies whose name holds every word, and to begin one."""
    words = text.lower().split()
    begin = [
        Choice(f"New policy: {says.lower()}", "Action", icon, f"{_new(workspace)}?kind={kind}")
        for kind, icon, says, _ in _starts()
        if words and all(word in f"new policy {says}".lower() for word in words)
    ]
    found = policy_lines(actor, workspace) if words else []
    return begin + [
        Choice(line.policy.name, "Policy", line.icon, _address(workspace, line.policy))
        for line in found
        if all(word in line.policy.name for word in words)
    ]


def _new(workspace: Workspace) -> str:
    return reverse("page-policy-new", args=[workspace.slug])


def _address(workspace: Workspace, policy: Policy) -> str:
    return reverse("page-policy", args=[workspace.slug, policy.name])
