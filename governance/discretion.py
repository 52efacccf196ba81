"""What an author is told of a text: nothing of what they may not browse, nor that it exists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from accounts.domain import Actor
from governance import inventory
from governance.checking import Checked
from governance.findings import Finding
from governance.policy_selectors import reads_everything
from governance.policy_tests import TestResult
from governance.scopes import known_keys
from workspaces.models import Workspace


@dataclass(frozen=True, slots=True)
class Discretion:
    """The labels that an author may not know of; nobody else's are read."""

    hidden_labels: frozenset[str] = frozenset()
    hidden_keys: frozenset[str] = frozenset()
    workspace_name: str = ""

    def checked(self, found: Checked, text: str) -> Checked:
        """Return a check in which what is hidden is as absent as what does not exist."""
        if not self.hidden_labels:
            return found
        unknown = [
            reference
            for reference in found.references
            if self.hidden_keys & {str(reference["key"]), *map(str, reference.get("keys", ()))}
        ]
        findings = {_unsuggested(one) for one in found.findings}
        findings = {one for one in findings if not self._names_hidden(one.message)}
        findings |= {self._absent(text, reference) for reference in unknown}
        if not findings and found.findings:
            findings = {Finding(1, 1, "This concerns something that you may not browse.")}
        # A summary beside an error would tell the hidden from the absent.
        is_told = not any(one.is_error for one in findings)
        is_told = is_told and not self._names_hidden(found.summary)
        return replace(
            found, findings=tuple(sorted(findings)), summary=found.summary if is_told else ""
        )

    def findings(self, found: Iterable[tuple[str, Finding]]) -> Iterator[Finding]:
        """Return what was found about labels, without what is about hidden ones."""
        for label, one in found:
            if not self._names_hidden(f"{label} {one.message}"):
                yield one

    def tests(self, results: Iterable[TestResult]) -> tuple[TestResult, ...]:
        """Return results in which a test on what is hidden has no answer."""
        return tuple(self._test(one) for one in results)

    def _test(self, one: TestResult) -> TestResult:
        if not self._names_hidden(f"{one.title} {one.reason}"):
            return one
        problem = "It is about something that does not exist, or that you may not browse."
        return TestResult(one.number, one.title, passed=False, problems=(problem,))

    def _absent(self, text: str, reference: Mapping[str, Any]) -> Finding:
        before = text[: reference["start"]]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        kind, name = reference["kind"], reference["name"]
        return Finding(line, column, f"There is no {kind} {name!r} in {self.workspace_name}.")

    def _names_hidden(self, text: str) -> bool:
        lowered = text.lower()
        return any(
            re.search(rf"(?<![\w.]){re.escape(label)}(?!\w)", lowered)
            for label in self.hidden_labels
            if label in lowered
        )


NOTHING_HIDDEN = Discretion()


def discretion_for(actor: Actor, workspace: Workspace) -> Discretion:
    """Return what must be kept from `actor`; nothing from who may read every policy."""
    if reads_everything(actor, workspace):
        return NOTHING_HIDDEN
    found = inventory.named(workspace, inventory.labels(workspace))
    known = known_keys(actor, found.values())
    hidden = [one for one in found.values() if one.key not in known]
    columns = (column.key for one in hidden for column in one.columns)
    return Discretion(
        frozenset(one.label.lower() for one in hidden),
        frozenset({*(one.key for one in hidden), *columns}),
        workspace.name,
    )


def _unsuggested(one: Finding) -> Finding:
    """Return a finding without the nearest name: that may be a hidden one, or replace one."""
    return replace(one, hint="") if one.hint.startswith("Did you mean") else one
