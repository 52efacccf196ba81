"""What of a table may be on a person's machine: its files, an extract of them, or nothing.

Pure: decisions go in, one outcome with its reason comes out. Placement, the table page, the tests
beside policies and simulation read the same outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from governance.domain import (
    NO_OBLIGATIONS,
    Action,
    Decision,
    DecisionContext,
    Obligations,
    PolicyReference,
    Request,
    Securable,
)


class Outcome(StrEnum):
    """What may be handed out, the most first."""

    RAW = "raw"
    EXTRACT = "extract"
    SERVER = "server"


ASKED = (
    Action.TABLE_QUERY,
    Action.TABLE_MATERIALIZE_LOCALLY,
    Action.TABLE_MATERIALIZE_EXTRACT,
)
"""What must be decided of a table, in this order, before its outcome is known."""


@dataclass(frozen=True, slots=True)
class Materialization:
    """The outcome for one table: why, by which policies, and what would change it.

    An extract has `obligations` applied; where it has none, it holds what the query reads as it is.
    """

    outcome: Outcome
    securable_key: str
    securable_label: str
    reason: str
    would_change: str
    determined_by: tuple[PolicyReference, ...] = ()
    obligations: Obligations = NO_OBLIGATIONS

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as JSON-ready data for plans and the ledger."""
        return {
            "outcome": self.outcome.value,
            "securable": {"key": self.securable_key, "label": self.securable_label},
            "reason": self.reason,
            "would_change": self.would_change,
            "determined_by": [
                {"name": p.name, "version": p.version, "summary": p.summary}
                for p in self.determined_by
            ],
        }


def requests(table: Securable, context: DecisionContext) -> list[Request]:
    """Return what to ask of one table, in the order of `ASKED`; `context` is that of the machine.

    Ask once the plan knows what would be read: a policy may set a bound on it.
    """
    return [Request(action, table, context) for action in ASKED]


def outcomes(decisions: Sequence[Decision]) -> tuple[Materialization, ...]:
    """Return each table's outcome from the decisions on their `requests`, put one after another."""
    asked = zip(*[iter(decisions)] * len(ASKED), strict=True)
    return tuple(outcome(query, raw, extract) for query, raw, extract in asked)


def outcome(query: Decision, raw: Decision, extract: Decision) -> Materialization:
    """Return what of a table may be on the machine that the three decisions are about.

    Files as they are take the right to query and `table.materialize_locally`, and nothing that
    must be masked, filtered or hidden. An extract takes the right to query and
    `table.materialize_extract`. Whatever is not allowed leaves the server.
    """
    if not query.allowed:
        return _server(query, query.reason, query.remedy)
    if query.obligations.is_empty:
        return _of_open_table(raw, extract)
    governed = _governed(query)
    if extract.allowed:
        return Materialization(
            Outcome.EXTRACT,
            query.securable_key,
            query.securable_label,
            f"{governed}, so your machine gets an extract with that applied, never its files.",
            "Its files: being exempt from the policies that mask or filter it.",
            _policies(query, extract),
            query.obligations,
        )
    reason = f"{governed}, so its files stay, and no extract may be taken: {extract.reason}"
    return _server(extract, reason, extract.remedy, _policies(query, extract))


def least(found: Iterable[Materialization]) -> Outcome:
    """Return what holds for tables read together: one that must stay keeps all of them."""
    order = list(Outcome)
    return max((m.outcome for m in found), key=order.index, default=Outcome.RAW)


def _of_open_table(raw: Decision, extract: Decision) -> Materialization:
    """Return the outcome of a table that is shown as it is."""
    if raw.allowed:
        return Materialization(
            Outcome.RAW,
            raw.securable_key,
            raw.securable_label,
            raw.reason,
            "A mask, a row filter or a hidden column for you would make it an extract; a policy"
            f" that forbids {Action.TABLE_MATERIALIZE_LOCALLY.value} would keep it here.",
            raw.determined_by,
        )
    if extract.allowed:
        return Materialization(
            Outcome.EXTRACT,
            raw.securable_key,
            raw.securable_label,
            f"Its files stay: {raw.reason} An extract of what the query reads is allowed.",
            f"Its files: {raw.remedy}" if raw.remedy else "",
            _unique(raw.determined_by + extract.determined_by),
        )
    return _server(raw, raw.reason, raw.remedy)


def _server(
    decision: Decision,
    reason: str,
    would_change: str,
    determined_by: tuple[PolicyReference, ...] | None = None,
) -> Materialization:
    return Materialization(
        Outcome.SERVER,
        decision.securable_key,
        decision.securable_label,
        reason,
        would_change,
        decision.determined_by if determined_by is None else determined_by,
    )


def _governed(query: Decision) -> str:
    """Return what is done to the table for this principal, as the start of a sentence."""
    obligations = query.obligations
    deeds = [
        word
        for word, applies in (
            ("masked", obligations.masks),
            ("filtered", obligations.row_filters),
            ("partly hidden", obligations.hidden_columns),
        )
        if applies
    ]
    return f"{query.securable_label} is {' and '.join(deeds)} for you"


def _policies(query: Decision, extract: Decision) -> tuple[PolicyReference, ...]:
    """Return the policies that mask or filter the table, then those on taking extracts."""
    named = [mask.policy for mask in query.obligations.masks]
    named += [row_filter.policy for row_filter in query.obligations.row_filters]
    known = {policy.name: policy for policy in query.determined_by}
    of_obligations = tuple(known[name] for name in named if name in known)
    return _unique(of_obligations + extract.determined_by)


def _unique(found: tuple[PolicyReference, ...]) -> tuple[PolicyReference, ...]:
    return tuple(dict.fromkeys(found))
