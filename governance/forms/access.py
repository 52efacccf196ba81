"""Access policies as fields: one Cedar policy of the shape that the form writes, read by Cedar."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cedarpy

from governance.domain import Action
from governance.forms.values import ACTIONS, AccessForm, Where, Who, WhoKind
from governance.text import cedar_tokens, too_deep

Json = dict[str, Any]

ENTITIES = {
    WhoKind.GROUP: "Group",
    WhoKind.SERVICE_ACCOUNT: "ServiceAccount",
    WhoKind.USER: "User",
}
KINDS = {name: kind for kind, name in ENTITIES.items()}
DEVICE = ("approved", "managed", "disk_encrypted")
MIDNIGHT = re.compile(r"(\d{4}-\d{2}-\d{2})T00:00:00Z")
ESCAPED = {'"': '\\"', "\\": "\\\\"}


class _NotAForm(Exception):
    """The text says something that has no field."""


def form_of(text: str) -> AccessForm | None:
    """Return the fields of an access policy's text, None where some of it has no field."""
    try:
        body = _only_policy(text)
        form = AccessForm(forbids=body["effect"] == "forbid", actions=_actions(body["action"]))
        for clause in body["conditions"]:
            form = _with_clause(form, clause)
    except (_NotAForm, RecursionError, ValueError, KeyError, TypeError):
        return None
    # The order of clauses may differ from what the form writes; their meaning may not.
    return form if _canonical(text_of(form)) == _canonical(text) else None


def text_of(form: AccessForm) -> str:
    """Return an access policy's text."""
    actions = ", ".join(f"Action::{_string(action)}" for action in form.actions)
    head = "forbid" if form.forbids else "permit"
    lines = [f"{head} (", "  principal,", f"  action in [{actions}],", "  resource", ")"]
    if form.who:
        lines.append(f"when {{ {_any_of(form.who)} }}")
    if form.exempt:
        lines.append(f"unless {{ {_any_of(form.exempt)} }}")
    if conditions := list(_conditions(form.where)):
        lines.append(f"{'unless' if form.forbids else 'when'} {{ {' && '.join(conditions)} }}")
    return "\n".join(lines) + ";\n"


def _any_of(who: tuple[Who, ...]) -> str:
    return " || ".join(_subject(one) for one in who)


def _subject(who: Who) -> str:
    if who.kind is WhoKind.ROLE:
        return f"principal.workspace_roles.contains({_string(who.name)})"
    operator = "in" if who.kind is WhoKind.GROUP else "=="
    return f"principal {operator} {ENTITIES[who.kind]}::{_string(who.name)}"


def _conditions(where: Where) -> Iterator[str]:
    yield from (f"context.device.{name}" for name in DEVICE if getattr(where, name))
    if where.mfa:
        yield "context.mfa"
    if where.network:
        yield "context.network has address"
        yield f"context.network.address.isInRange(ip({_string(where.network)}))"
    if where.max_bytes is not None:
        yield f"context.bytes <= {where.max_bytes}"
    if where.until:
        yield f"context.now < datetime({_string(f'{where.until}T00:00:00Z')})"


def _string(text: str) -> str:
    """Return a Cedar string; what cannot be seen is written by its code."""
    shown = (ESCAPED.get(c) or (c if c.isprintable() else f"\\u{{{ord(c):x}}}") for c in text)
    return f'"{"".join(shown)}"'


def _parsed(text: str) -> Json:
    if too_deep(cedar_tokens(text)) is not None:
        raise _NotAForm
    found: Json = json.loads(cedarpy.policies_to_json_str(text))
    return found


def _only_policy(text: str) -> Json:
    policies = list(_parsed(text)["staticPolicies"].values())
    if len(policies) != 1 or policies[0].get("annotations"):
        raise _NotAForm
    body: Json = policies[0]
    if body["principal"] != {"op": "All"} or body["resource"] != {"op": "All"}:
        raise _NotAForm
    return body


def _canonical(text: str) -> Json:
    body = _only_policy(text)
    clauses = sorted(json.dumps(one, sort_keys=True) for one in body["conditions"])
    return {**body, "action": _actions(body["action"]), "conditions": clauses}


def _actions(scope: Json) -> tuple[Action, ...]:
    entities = [scope["entity"]] if "entity" in scope else scope["entities"]
    found = tuple(Action(entity["id"]) for entity in entities)
    if any(action not in ACTIONS for action in found) or len(set(found)) != len(found):
        raise _NotAForm
    return found


def _with_clause(form: AccessForm, clause: Json) -> AccessForm:
    """Return the form with what a `when` or `unless` says; each field is filled once."""
    try:
        named = tuple(_who(one) for one in _flat(clause["body"], "||"))
    except (_NotAForm, KeyError, TypeError):
        where = _where(_flat(clause["body"], "&&"))
        if form.where != Where() or clause["kind"] != ("unless" if form.forbids else "when"):
            raise _NotAForm from None
        return replace(form, where=where)
    if form.who if clause["kind"] == "when" else form.exempt:
        raise _NotAForm
    return replace(form, who=named) if clause["kind"] == "when" else replace(form, exempt=named)


def _flat(body: Json, operator: str) -> list[Json]:
    if body.keys() == {operator}:
        return [*_flat(body[operator]["left"], operator), *_flat(body[operator]["right"], operator)]
    return [body]


def _who(body: Json) -> Who:
    if "contains" in body:
        if body["contains"]["left"] != _attribute("principal", "workspace_roles"):
            raise _NotAForm
        return Who(WhoKind.ROLE, body["contains"]["right"]["Value"])
    operator = "in" if "in" in body else "=="
    entity = body[operator]["right"]["Value"]["__entity"]
    kind = KINDS[entity["type"]]
    if body[operator]["left"] != {"Var": "principal"} or (kind is WhoKind.GROUP) != ("in" in body):
        raise _NotAForm
    return Who(kind, entity["id"])


def _where(parts: list[Json]) -> Where:
    found: dict[str, Any] = {}
    for part in parts:
        name, value = _condition(part)
        if name in found:
            raise _NotAForm
        found[name] = value
    if found.pop("has_address", False) != ("network" in found):
        raise _NotAForm
    return Where(**found)


def _condition(part: Json) -> tuple[str, bool | int | str]:
    for name in DEVICE:
        if part == _attribute("context", "device", name):
            return name, True
    if part == _attribute("context", "mfa"):
        return "mfa", True
    if part == {"has": {"left": _attribute("context", "network"), "attr": "address"}}:
        return "has_address", True
    ((operator, sides),) = part.items()
    if operator == "isInRange" and sides[0] == _attribute("context", "network", "address"):
        return "network", str(sides[1]["ip"][0]["Value"])
    if operator == "<=" and sides["left"] == _attribute("context", "bytes"):
        return "max_bytes", int(sides["right"]["Value"])
    if operator == "<" and sides["left"] == _attribute("context", "now"):
        midnight = MIDNIGHT.fullmatch(sides["right"]["datetime"][0]["Value"])
        if midnight:
            return "until", midnight[1]
    raise _NotAForm


def _attribute(variable: str, *names: str) -> Json:
    found: Json = {"Var": variable}
    for name in names:
        found = {".": {"left": found, "attr": name}}
    return found
