"""What the forms of policies hold: plain values, each as a person typed or chose it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from governance.domain import Action, MaskMethod


class WhoKind(StrEnum):
    """How policies name principals; the values are the keys in `except`."""

    ATTRIBUTE = "attribute"
    GROUP = "group"
    ROLE = "role"
    SERVICE_ACCOUNT = "service_account"
    USER = "user"


@dataclass(frozen=True, slots=True, order=True)
class Who:
    """One principal, or several at once; an attribute's name is `department=hr`."""

    kind: WhoKind
    name: str

    @property
    def token(self) -> str:
        """Return it as one value of a field: `group:hr`."""
        return f"{self.kind}:{self.name}"

    @classmethod
    def parse(cls, token: str) -> Who | None:
        """Return what a field's value stands for, None for anything else."""
        kind, _, name = token.partition(":")
        if kind not in set(WhoKind) or not name or (kind == "attribute" and "=" not in name):
            return None
        return cls(WhoKind(kind), name)


PARAMETERS: dict[MaskMethod, str] = {
    MaskMethod.BUCKET: "width",
    MaskMethod.CONSTANT: "value",
    MaskMethod.DATE_TRUNC: "unit",
    MaskMethod.EXPRESSION: "sql",
    MaskMethod.PARTIAL: "keep_last",
}
"""The key that a mask's method needs beside it; the other methods need none."""


@dataclass(frozen=True, slots=True)
class MaskForm:
    """Which columns are masked, how, and for whom not. `parameter` is the method's, as text."""

    columns: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    method: MaskMethod = MaskMethod.NULL
    parameter: str = ""
    exempt: tuple[Who, ...] = ()


@dataclass(frozen=True, slots=True)
class RowFilterForm:
    """Which rows are shown, and who sees all."""

    where: str = ""
    exempt: tuple[Who, ...] = ()


ACTIONS = (
    Action.TABLE_QUERY,
    Action.TABLE_MATERIALIZE_LOCALLY,
    Action.TABLE_MATERIALIZE_EXTRACT,
    Action.TABLE_APPEND,
    Action.CATALOG_BROWSE,
)
"""What the form of an access policy offers; the text may name any action."""


@dataclass(frozen=True, slots=True)
class Where:
    """Circumstances that must all be so; what is False, empty or None is not asked for.

    `network` is an address range, `max_bytes` what the query may read of the table, `until` the
    day (`2026-12-31`) at whose beginning, UTC, it ends.
    """

    approved: bool = False
    managed: bool = False
    disk_encrypted: bool = False
    mfa: bool = False
    network: str = ""
    max_bytes: int | None = None
    until: str = ""


@dataclass(frozen=True, slots=True)
class AccessForm:
    """Who may, or may not, do what, and under which circumstances; nobody named is everyone.

    `forbids` turns `where` around: what is forbidden is forbidden unless all of it is so.
    """

    forbids: bool = False
    who: tuple[Who, ...] = ()
    exempt: tuple[Who, ...] = ()
    actions: tuple[Action, ...] = ()
    where: Where = Where()


FormValues = MaskForm | RowFilterForm | AccessForm
