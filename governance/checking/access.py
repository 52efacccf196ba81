"""Cedar text: parsed, validated against the schema, its names turned into keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cedarpy

from governance import ages, engine, inventory, summaries
from governance.checking.outcome import Asked, Checked
from governance.domain import PolicyReference
from governance.text import (
    KINDS,
    Token,
    cedar_mentions,
    cedar_tokens,
    columns_named,
    too_deep,
)

MAX_CHARACTERS = 64 * 1024
MAX_STATEMENTS = 100
UNFINISHED = "unexpected end of input"
DEEP_HINT = "Divide it: several policies, each with a part of the conditions."
VAGUE = "unable to find an applicable action"
PREFIX = re.compile(r"^for policy `[^`]*`, ")
QUOTED = re.compile(r"`([^`]+)`")

Json = dict[str, Any]
Keys = Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class Part:
    """One Cedar policy of the text: its words."""

    tokens: Sequence[Token]

    @property
    def start(self) -> int:
        """Return where it begins."""
        return self.tokens[0].start


def check_access(asked: Asked) -> Checked:
    """Return what an access policy comes to: statements with keys in place of names."""
    if len(asked.text) > MAX_CHARACTERS:
        asked.find(0, f"The text is longer than {MAX_CHARACTERS:,} characters.")
        return asked.checked(None)
    if (token := too_deep(cedar_tokens(asked.text))) is not None:
        asked.find(token.start, "This is nested too deeply, or too long.", DEEP_HINT)
        return asked.checked(None)
    for token in columns_named(asked.text):
        asked.find(token.start, "Columns are not named in access policies.", "Write a mask.")
    try:
        return _compiled(asked)
    except RecursionError:
        asked.find(0, "This is nested too deeply, or too long.", DEEP_HINT)
        return asked.checked(None)


def _compiled(asked: Asked) -> Checked:
    parts = list(_parts(asked.text))
    bodies = _bodies(asked, parts)
    if bodies is None:
        return asked.checked(None)
    mentions = list(cedar_mentions(asked.text))
    keys = asked.resolve(mentions)
    _validate(asked, parts)
    about = [_about(asked, part, body, keys) for part, body in zip(parts, bodies, strict=True)]
    max_ages = [_max_age(asked, part, body) for part, body in zip(parts, bodies, strict=True)]
    statements = [
        _statement(body, keys, where, age)
        for body, where, age in zip(bodies, about, max_ages, strict=True)
    ]
    for part, one in zip(parts, statements, strict=True):
        _assemble(asked, part, one["body"])
    summary = " ".join(one["summary"] for one in statements)
    return asked.checked({"statements": statements}, summary)


def _parts(text: str) -> Iterator[Part]:
    tokens: list[Token] = []
    for token in cedar_tokens(text):
        tokens.append(token)
        if token.text == ";":
            yield Part(tokens)
            tokens = []
    if tokens:
        yield Part(tokens)


def _bodies(asked: Asked, parts: Sequence[Part]) -> list[Json] | None:
    """Return the policies in Cedar's JSON form; None where the text does not parse."""
    if not parts:
        asked.find(0, "There is no policy in the text.", "Write permit (…); or forbid (…);")
        return None
    if len(parts) > MAX_STATEMENTS:
        asked.find(parts[MAX_STATEMENTS].start, f"These are more than {MAX_STATEMENTS} policies.")
        return None
    try:
        parsed = json.loads(cedarpy.policies_to_json_str(asked.text))
    except ValueError as error:
        offset, message = _syntax_error(asked.text, parts, str(error))
        asked.find(offset, f"This is not Cedar: {message}.", _syntax_hint(message))
        return None
    if parsed["templates"]:
        offset = asked.text.index("?")
        asked.find(offset, "Templates do not hold by themselves.", "Name whom it is about.")
        return None
    found = parsed["staticPolicies"]
    return [found[f"policy{number}"] for number in range(len(found))]


def _syntax_error(text: str, parts: Sequence[Part], whole: str) -> tuple[int, str]:
    """Return where the first policy that does not parse stops making sense, and why."""
    for part in parts:
        end = part.tokens[-1].end
        message = _error(text[part.start : end])
        if message is None:
            continue
        if message == UNFINISHED:
            return part.tokens[-1].start, "the policy is not finished"
        # The shortest beginning with an error other than being unfinished ends where it is.
        low, high = 0, len(part.tokens) - 1
        while low < high:
            middle = (low + high) // 2
            beginning = _error(text[part.start : part.tokens[middle].end])
            if beginning in {None, UNFINISHED}:
                low = middle + 1
            else:
                high = middle
        is_last = low == len(part.tokens) - 1
        return _named_in(message, part) if is_last else part.tokens[low].start, message
    return 0, whole


def _error(text: str) -> str | None:
    try:
        cedarpy.policies_to_json_str(text)
    except ValueError as error:
        return str(error)
    return None


def _named_in(message: str, part: Part) -> int:
    """Return where a word stands that a message is about; else where the policy begins."""
    words = {re.findall(r"[^\s:\"]+", quoted)[-1] for quoted in QUOTED.findall(message)}
    words |= set(message.partition(": ")[2].split())
    for token in part.tokens:
        if token.text.strip('"') in words and token.kind != "other":
            return token.start
    return part.start


def _syntax_hint(message: str) -> str:
    if "not finished" in message:
        return "Every policy ends with a semicolon."
    return "A policy reads: permit (principal, action, resource) when { … };"


def _validate(asked: Asked, parts: Sequence[Part]) -> None:
    """Note what the schema does not know; Cedar says in which policy, the word says where."""
    result = cedarpy.validate_policies(asked.text, engine.schema())
    # That nothing fits is said only where it is not said why.
    told = {error.policy_id for error in result.errors if VAGUE not in error.error}
    for error in result.errors:
        if VAGUE in error.error and error.policy_id in told:
            continue
        number = re.fullmatch(r"policy(\d+)", error.policy_id)
        part = parts[int(number[1])] if number else parts[0]
        message = PREFIX.sub("", error.error)
        hint = "The names that policies may use are in the reference of policies."
        asked.find(_named_in(message, part), f"{message[:1].upper()}{message[1:]}.", hint)


def _assemble(asked: Asked, part: Part, body: Json) -> None:
    """Note what Cedar would not take back in the form that is kept: it reads no 128 levels."""
    if any(finding.is_error for finding in asked.findings):
        return
    try:
        engine.assemble({"checked": (body, PolicyReference("", 0))})
    except ValueError:
        asked.find(part.start, "This is nested too deeply, or too long.", DEEP_HINT)


def _about(asked: Asked, part: Part, body: Json, keys: Keys) -> str:
    """Return the key of the one thing below the scope that a policy is about; empty for all."""
    resource = body["resource"]
    entity = resource.get("entity") or resource.get("in", {}).get("entity")
    kind = KINDS.get(entity["type"]) if entity else None
    key = keys.get((kind, entity["id"])) if kind else None
    if key is None or key == asked.scope.key:
        return ""
    if key in {one.key for one in asked.scope.ancestors}:
        return ""
    named = inventory.keyed(asked.workspace, [key]).get(key)
    if named is not None and asked.scope.key in {one.key for one in named.ancestors}:
        return key
    offset = _named_in(f"`{entity['id']}`", part)
    asked.find(
        offset,
        f"{entity['id']} is not below {asked.scope.label}, where the policy holds.",
        "Choose a wider scope, or name something that is in it.",
    )
    return ""


def _max_age(asked: Asked, part: Part, body: Json) -> int | None:
    """Return for how long what a policy permits may be held, where it says so."""
    said = (body.get("annotations") or {}).get("max_age")
    if said is None:
        return None
    offset = next((t.start for t in part.tokens if t.text == "max_age"), part.start)
    seconds = ages.seconds_of(said)
    if seconds is None:
        asked.find(
            offset, f"{said!r} is not an age.", 'Write a number and s, m, h or d: @max_age("8h").'
        )
    if body["effect"] != "permit":
        asked.find(offset, "What is forbidden has no age.", "Say max_age on a permit.")
    return seconds


def _statement(body: Json, keys: Keys, about: str, max_age: int | None) -> Json:
    annotations = body.get("annotations") or {}
    return {
        "max_age_seconds": max_age,
        "summary": annotations.get("summary") or summaries.access(body),
        "remedy": annotations.get("remedy", ""),
        "about": about,
        "body": _with_keys({**body, "annotations": {}}, keys),
    }


def _with_keys(value: Any, keys: Keys) -> Any:
    """Return Cedar's JSON with the ids that entities have in requests."""
    if isinstance(value, list):
        return [_with_keys(item, keys) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"type", "id"} and str(value["type"]) in KINDS:
        kind = KINDS[value["type"]]
        key = keys.get((kind, value["id"]), "")
        is_principal = kind in {"group", "service_account", "user"}
        return {"type": value["type"], "id": key.partition(":")[2] if is_principal else key}
    return {name: _with_keys(item, keys) for name, item in value.items()}
