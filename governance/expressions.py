"""How policies have their SQL checked: by whoever knows SQL, which is a room above this one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from governance.domain import SecurableColumn
from problems import Problem

PRINCIPAL = "principal"
"""`principal.<name>` in a row filter is an attribute of who asks, whatever columns there are."""


class NobodyChecksSql(Problem):
    """No room has registered itself to check SQL: nothing with SQL in it can be published."""

    code = "sql-unchecked"
    status = 503
    title = "The SQL of policies cannot be checked"


@dataclass(frozen=True, slots=True)
class Reference:
    """A name in an expression: `path` as it means, `spans` where each part of it stands.

    Spans are offsets of characters in the text, end exclusive, quotes included.
    """

    path: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]

    @property
    def start(self) -> int:
        """Return where the reference begins."""
        return self.spans[0][0]

    @property
    def end(self) -> int:
        """Return where it ends."""
        return self.spans[-1][1]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an expression cannot be part of a policy; `line` and `column` of its text, from 1."""

    message: str
    hint: str = ""
    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class Inspected:
    """What an expression names, in the order of the text, and what is wrong with it.

    The path of a column may lead into its structs. `attributes` are those of the principal, their
    paths without `principal`; their spans have it. With faults, the rest need not be complete.
    """

    columns: tuple[Reference, ...] = ()
    attributes: tuple[Reference, ...] = ()
    faults: tuple[Fault, ...] = ()


class Expressions(Protocol):
    """What execution gives to governance: both take one scalar expression, as its author wrote it.

    It must be one that may stand in parentheses anywhere: without subqueries, tables, aggregates,
    windows, stars, parameters, and with nothing that could answer otherwise another time.
    """

    def inspect(self, sql: str) -> Inspected:
        """Return what `sql` names, without looking at any table."""

    def fit(
        self, sql: str, kind: str, columns: Sequence[SecurableColumn], *, asker: str = ""
    ) -> tuple[Fault, ...]:
        """Return why `sql` over the table of `columns` is not of DuckDB's type `kind`.

        Faults of `inspect` come first. Columns that are named and are not there are faults.
        `asker` is the principal in whose turn the engine is asked.
        """


_registered: list[Expressions] = []


def register(implementation: Expressions) -> None:
    """Make `implementation` the one that checks; called once, from `AppConfig.ready`."""
    _registered[:] = [implementation]


def checker() -> Expressions:
    """Return who checks SQL. Raises `NobodyChecksSql`."""
    if not _registered:
        raise NobodyChecksSql("The part of Upend that checks SQL is not installed.")
    return _registered[0]
