"""What a policy says, in a plain sentence, from what was parsed and never from its description."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from governance.documents import Exempt, MaskDocument, RowFilterDocument
from governance.domain import Action, MaskMethod
from governance.reasons import VERBS

Json = dict[str, Any]

EVERYONE = "everyone"
PEOPLE = {
    "Group": "members of {}",
    "ServiceAccount": "the service account {}",
    "User": "{}",
}
PRINCIPAL_TYPES = {
    "ServiceAccount": "service accounts",
    "System": "Upend itself",
    "User": "people",
}
ROLE = "{} of the workspace"
METHODS = {
    MaskMethod.BUCKET: "{columns} is rounded down to a multiple of {width}",
    MaskMethod.CONSTANT: "{columns} always shows {value}",
    MaskMethod.DATE_TRUNC: "only the {unit} of {columns} is shown",
    MaskMethod.EMAIL_DOMAIN: "only the domain of {columns} is shown",
    MaskMethod.EXPRESSION: "{columns} shows {sql}",
    MaskMethod.HIDE: "{columns} cannot be seen at all",
    MaskMethod.HMAC: "{columns} shows a code instead, the same for the same value",
    MaskMethod.NULL: "{columns} shows nothing",
    MaskMethod.PARTIAL: "only the last {keep_last} characters of {columns} are shown",
}
COMPARED = {
    "!=": "is not",
    "<": "is below",
    "<=": "is at most",
    "==": "is",
    ">": "is above",
    ">=": "is at least",
}
UNSAID = "some conditions of the text"
EXEMPT = {
    "attribute": "those with {}",
    "group": "the group {}",
    "role": "the role {}",
    "service_account": "the service account {}",
    "user": "{}",
}


def access(body: Json) -> str:
    """Return what one Cedar policy says; a condition that has no sentence is said to be there."""
    who = _principal(body["principal"])
    may = "may" if body["effect"] == "permit" else "may not"
    if who == EVERYONE and may == "may not":
        who, may = "nobody", "may"
    conditions = [_condition(one) for one in body.get("conditions", [])]
    when = f", {' and '.join(dict.fromkeys(conditions))}" if conditions else ""
    # A name stays as it is written: an address is not Ana@x.y at the start of a sentence.
    is_named = body["principal"]["op"] == "==" and "entity" in body["principal"]
    who = who if is_named else f"{who[:1].upper()}{who[1:]}"
    return f"{who} {may} {_deeds(body['action'])} {_about(body)}{when}."


def mask(document: MaskDocument, scope: str) -> str:
    """Return what a mask shows, of what, and to whom."""
    columns = [str(node.value) for node in document.columns]
    columns += [f"columns tagged {node.value}" for node in document.tags]
    shown = _shown(document, _listed(columns))
    return f"In {scope}, {shown}{_but(document.exempt)}."


def row_filter(document: RowFilterDocument, scope: str) -> str:
    """Return which rows are shown, and to whom."""
    predicate = " ".join(str(document.where.value).split())
    return f"In {scope}, only rows where {predicate} are shown{_but(document.exempt)}."


def _shown(document: MaskDocument, columns: str) -> str:
    mask = document.mask
    values = {
        "columns": columns,
        "sql": " ".join(str(mask.sql).split()),
        "value": json.dumps(mask.value, ensure_ascii=False),
    }
    return METHODS[mask.method].format_map({**asdict(mask), **values})


def _but(exempt: Sequence[Exempt]) -> str:
    if not exempt:
        return ", to everyone"
    return f", to everyone but {_listed([_exempt(one) for one in exempt])}"


def _exempt(one: Exempt) -> str:
    return EXEMPT[one.kind].format(one.name.replace("=", " "))


def _principal(head: Json) -> str:
    entity = head.get("entity") or head.get("in", {}).get("entity")
    if entity:
        name = PEOPLE.get(entity["type"], "{}").format(entity["id"])
        kind = PRINCIPAL_TYPES.get(head.get("entity_type", ""))
        return f"{kind} among {name}" if kind else name
    return PRINCIPAL_TYPES.get(head.get("entity_type", ""), EVERYONE)


def _deeds(head: Json) -> str:
    entities = head.get("entities") or ([head["entity"]] if "entity" in head else [])
    names = [entity["id"] for entity in entities]
    if not names:
        return "do anything with"
    known = {action.value: VERBS[action] for action in Action}
    verbs = [known.get(name, f"do what {name} covers with") for name in names]
    return _listed(list(dict.fromkeys(verbs)))


def _about(body: Json) -> str:
    head = body["resource"]
    entity = head.get("entity") or head.get("in", {}).get("entity")
    if entity:
        inside = "" if head["op"] == "==" or entity["type"] == "Table" else "everything in "
        return f"{inside}{entity['id']}"
    kind = head.get("entity_type")
    return f"any {kind.lower()} in its scope" if kind else "all in its scope"


def _condition(one: Json) -> str:
    word = "if" if one["kind"] == "when" else "unless"
    return f"{word} {_said(one['body'])}"


def _said(body: Any) -> str:  # noqa: PLR0911 - one answer for each shape
    """Return a condition in words, where it is of a common shape."""
    match body:
        case {"&&": {"left": left, "right": right}}:
            return f"{_said(left)} and {_said(right)}"
        case {"||": {"left": left, "right": right}}:
            return f"{_said(left)} or {_said(right)}"
        case {"!": {"arg": arg}}:
            return f"not ({_said(arg)})"
        case {".": {"left": {"Var": "context"}, "attr": "mfa"}}:
            return "they signed in with a second factor"
        case {".": {"left": {"Var": "context"}, "attr": "local_mode_enabled"}}:
            return "local compute is switched on"
        case {".": {"left": {".": {"left": {"Var": "context"}, "attr": "device"}}, "attr": attr}}:
            return f"the device is {str(attr).replace('_', ' ')}"
        case {"contains": {"left": left, "right": {"Value": value}}}:
            return _contains(_path(left), [value])
        case {"containsAny": {"left": left, "right": {"Set": values}}}:
            return _contains(_path(left), [one.get("Value") for one in values])
        case {"in": {"left": {"Var": name}, "right": {"Value": {"__entity": entity}}}}:
            return f"{'they are' if name == 'principal' else 'it is'} in {entity['id']}"
        case _:
            return _compared(body)


def _compared(body: Any) -> str:
    """Return a comparison with a constant in words."""
    operator = next(iter(body)) if isinstance(body, dict) and len(body) == 1 else ""
    if operator not in COMPARED:
        return UNSAID
    left, right = _path(body[operator]["left"]), body[operator]["right"].get("Value")
    if not left or right is None:
        return UNSAID
    return f"{left} {COMPARED[operator]} {_value(right)}"


def _contains(path: str, values: Sequence[Any]) -> str:
    shown = " or ".join(map(_value, values))
    match path:
        case "resource.tags":
            return f"it is tagged {shown}"
        case "principal.workspace_roles":
            return f"they have the role {shown}"
        case "":
            return UNSAID
        case _:
            return f"{path} has {shown}"


def _path(of: Any) -> str:
    match of:
        case {".": {"left": left, "attr": attr}}:
            above = _path(left)
            return f"{above}.{attr}" if above else ""
        case {"getTag": {"left": {"Var": "principal"}, "right": {"Value": name}}}:
            return f"their {name}"
        case {"Var": str(name)}:
            return name
        case _:
            return ""


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("__entity", {}).get("id", UNSAID))
    return str(value)


def _listed(words: Sequence[str]) -> str:
    if len(words) < 2:  # noqa: PLR2004 - one word is no list
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
