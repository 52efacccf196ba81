"""A posted form as the values it stands for: what a browser sends is text, and may be anything."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from governance.domain import Action, MaskMethod, PolicyKind
from governance.forms.values import (
    ACTIONS,
    PARAMETERS,
    AccessForm,
    FormValues,
    MaskForm,
    RowFilterForm,
    Where,
    Who,
)

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
SIZE = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([KMGT]?B)?\s*", re.IGNORECASE)
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Posted(Protocol):
    """The part of Django's `QueryDict` that is used here."""

    def get(self, key: str, default: str, /) -> str:
        """Return the last value of a field."""

    def getlist(self, key: str, /) -> Sequence[str]:
        """Return every value of a field."""


def values_of(kind: PolicyKind, posted: Posted) -> FormValues:
    """Return what the fields of a policy's form hold; what is not understood counts as empty."""
    match kind:
        case PolicyKind.ACCESS:
            return _access(posted)
        case PolicyKind.MASK:
            return _mask(posted)
        case PolicyKind.ROW_FILTER:
            where = _one(posted, "where").replace("\r\n", "\n").strip()
            return RowFilterForm(where, who_of(posted, "exempt"))


def who_of(posted: Posted, field: str) -> tuple[Who, ...]:
    """Return the principals that a field names, each once, with what was just added or removed."""
    tokens = [*posted.getlist(field), *_said(posted, "add", field)]
    removed = set(_said(posted, "remove", field))
    found = (Who.parse(token) for token in dict.fromkeys(tokens) if token not in removed)
    return tuple(who for who in found if who is not None)


def size_text(value: int | None) -> str:
    """Return bytes in the largest unit that says them exactly: `500 MB`."""
    if value is None:
        return ""
    for unit, size in sorted(UNITS.items(), key=lambda entry: -entry[1]):
        if value and value % size == 0:
            return f"{value // size} {'kB' if unit == 'KB' else unit}"
    return f"{value} B"


def _said(posted: Posted, deed: str, field: str) -> list[str]:
    prefix = f"{field}:"
    return [one.removeprefix(prefix) for one in posted.getlist(deed) if one.startswith(prefix)]


def _mask(posted: Posted) -> MaskForm:
    written = _one(posted, "method")
    method = MaskMethod(written) if written in set(MaskMethod) else MaskMethod.NULL
    key = PARAMETERS.get(method, "")
    named = [*posted.getlist("column"), *_one(posted, "other_columns").split(",")]
    tags = [*posted.getlist("tag"), *_one(posted, "other_tags").split(",")]
    return MaskForm(
        columns=_each(named),
        tags=_each(tags),
        method=method,
        parameter=_one(posted, key).strip() if key else "",
        exempt=who_of(posted, "exempt"),
    )


def _access(posted: Posted) -> AccessForm:
    chosen = set(posted.getlist("action"))
    return AccessForm(
        forbids=_one(posted, "effect") == "forbid",
        who=who_of(posted, "who"),
        exempt=who_of(posted, "exempt"),
        actions=tuple(Action(action) for action in ACTIONS if action in chosen),
        where=Where(
            approved=_one(posted, "approved") != "",
            managed=_one(posted, "managed") != "",
            disk_encrypted=_one(posted, "disk_encrypted") != "",
            mfa=_one(posted, "mfa") != "",
            network=_one(posted, "network").strip(),
            max_bytes=_size(_one(posted, "size")),
            until=day if DAY.fullmatch(day := _one(posted, "until").strip()) else "",
        ),
    )


def _size(text: str) -> int | None:
    found = SIZE.fullmatch(text)
    if found is None:
        return None
    return int(Decimal(found[1]) * UNITS[(found[2] or "B").upper()])


def _each(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def _one(posted: Posted, name: str) -> str:
    return posted.get(name, "")
