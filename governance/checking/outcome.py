"""What a check is asked, what it finds on the way, and what it returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from governance import inventory, naming
from governance.bundle import Bundle, bundle_of
from governance.domain import Securable
from governance.findings import Finding, Severity
from governance.text import Mention
from workspaces.models import Workspace

SHOWN_KINDS = {"service_account": "service account", "user": "person with the address"}


@dataclass(frozen=True, slots=True)
class Checked:
    """What a text comes to, and what is wrong with it; with an error it may not hold."""

    references: list[dict[str, Any]]
    compiled: dict[str, Any]
    summary: str
    findings: tuple[Finding, ...]


@dataclass
class Asked:
    """One text to check, with what is found while that is done."""

    workspace: Workspace
    scope: Securable
    text: str
    name: str
    findings: list[Finding] = field(default_factory=list)
    references: list[dict[str, Any]] = field(default_factory=list)

    @property
    def shown_name(self) -> str:
        """Return how the policy is called in findings."""
        return self.name or "this policy"

    @cached_property
    def tables(self) -> list[Securable]:
        """Return the tables in the scope, with their columns."""
        return inventory.tables(self.workspace, self.scope)

    @cached_property
    def bundle(self) -> Bundle:
        """Return what else holds in the workspace."""
        return bundle_of(self.workspace.id).without(self.name)

    @property
    def is_about_one_table(self) -> bool:
        """Tell whether the scope is a table: then what is named must be there."""
        return self.scope.key.startswith("table:")

    def find(self, offset: int, message: str, hint: str = "", severity: Severity = "error") -> None:
        """Note what is wrong at a character of the text; what was said there is not repeated."""
        before = self.text[:offset]
        line, column = before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1
        self.note([Finding(line, column, message, hint, severity)])

    def note(self, findings: Iterable[Finding]) -> None:
        """Note findings."""
        self.findings += [one for one in findings if one not in self.findings]

    def resolve(self, mentions: Sequence[Mention]) -> Mapping[naming.Named, str]:
        """Return the keys of what is named; what does not exist is a finding."""
        keys = naming.keys_of(self.workspace, mentions)
        for one in mentions:
            if (key := keys.get((one.kind, one.name))) is not None:
                self.references.append(one.reference(key))
                continue
            kind = SHOWN_KINDS.get(one.kind, one.kind)
            hint = naming.nearest(self.workspace, one.kind, one.name)
            where = self.workspace.organization.name
            if one.kind in {"catalog", "table"}:
                where = self.workspace.name
            self.find(one.start, f"There is no {kind} {one.name!r} in {where}.", hint)
        return keys

    def checked(self, compiled: dict[str, Any] | None, summary: str = "") -> Checked:
        """Return the outcome; text with errors comes to nothing."""
        is_fit = compiled is not None and not any(one.is_error for one in self.findings)
        return Checked(
            references=sorted(self.references, key=lambda one: int(one["start"])),
            compiled=compiled if is_fit and compiled is not None else {},
            summary=summary,
            findings=tuple(sorted(self.findings)),
        )
