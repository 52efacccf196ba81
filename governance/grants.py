"""The text of the policy that would grant what someone asked for: a permit, or an exception."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime

from governance.domain import Action, Securable, SecurableKind
from governance.text import Token, cedar_tokens

OPENING, CLOSING = frozenset("([{"), frozenset(")]}")


def permit(email: str, actions: Iterable[Action], securable: Securable) -> str:
    """Return an access policy that lets one person do `actions` on one thing, with all below.

    It names no end: what ends it is the end of its policy.
    """
    named = ", ".join(f'Action::"{action.value}"' for action in sorted(actions))
    return (
        f"permit (\n  principal == User::{_literal(email)},\n  action in [{named}],\n"
        f"  resource {_position(securable)}\n);\n"
    )


def exception(text: str, email: str, until: datetime | None) -> str:
    """Return an access policy's `text` with one person excepted from all that it forbids.

    The exception ends at `until`; without one it stays until somebody takes it out. What the
    text permits, its comments and its layout stay as they are.
    """
    ends = [
        statement[-1].start for statement in _statements(text) if _effect(statement) == "forbid"
    ]
    clause = f"\nunless {{ {_condition(email, until)} }}"
    for end in reversed(ends):
        text = text[:end].rstrip() + clause + text[end:]
    return text


def _condition(email: str, until: datetime | None) -> str:
    person = f"principal == User::{_literal(email)}"
    if until is None:
        return person
    instant = until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f'{person} && context.now < datetime("{instant}")'


def _position(securable: Securable) -> str:
    if securable.kind is SecurableKind.TABLE:
        return f"== Table::{_literal(securable.label)}"
    return f"in {securable.kind.value}::{_literal(securable.label)}"


def _literal(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _statements(text: str) -> list[list[Token]]:
    """Return the words of each statement, its semicolon last."""
    found: list[list[Token]] = [[]]
    depth = 0
    for token in cedar_tokens(text):
        found[-1].append(token)
        depth += (token.text in OPENING) - (token.text in CLOSING)
        if token.text == ";" and depth == 0:
            found.append([])
    return [statement for statement in found if statement]


def _effect(statement: list[Token]) -> str:
    """Return `permit` or `forbid`: the first such word that is not inside an annotation."""
    depth = 0
    for token in statement:
        if depth == 0 and token.kind == "name" and token.text in {"forbid", "permit"}:
            return token.text
        depth += (token.text in OPENING) - (token.text in CLOSING)
    return ""
