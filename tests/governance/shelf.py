"""A catalog for checks of policies: tables that are in no lake, and may change their columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from governance import securables
from governance.checking import Checked, check
from governance.domain import PolicyKind, Securable
from workspaces.models import Workspace

if TYPE_CHECKING:
    from .conftest import Company


class Shelf:
    """A catalog and its tables, which are in no lake."""

    def __init__(self, catalog: Securable, *tables: Securable) -> None:
        self.securables = [catalog, *tables]

    def named(self, _workspace: Workspace, labels: Iterable[str]) -> dict[str, Securable]:
        wanted = set(labels)
        return {s.label: s for s in self.securables if s.label in wanted}

    def keyed(
        self,
        _workspace: Workspace,
        keys: Iterable[str],
        *,
        with_columns: bool = True,  # noqa: ARG002
    ) -> dict[str, Securable]:
        every = {s.key: s for s in self.securables}
        every |= {c.key: securables.column(c, s) for s in self.securables for c in s.columns}
        return {key: every[key] for key in keys if key in every}

    def labels(self, _workspace: Workspace) -> list[str]:
        return [s.label for s in self.securables]

    def tables(self, _workspace: Workspace, below: Securable) -> list[Securable]:
        return [
            s for s in self.securables[1:] if below.key in {s.key, *(a.key for a in s.ancestors)}
        ]


def checked(company: Company, kind: PolicyKind, text: str, scope: Securable) -> Checked:
    """Check a text in a scope."""
    return check(workspace=company.workspace, kind=kind, scope=scope, text=text, tests=[])
