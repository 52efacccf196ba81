"""What a published policy comes to: Cedar statements, masks and row filters as values to apply."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

import cedarpy

from governance import templates
from governance.domain import (
    Action,
    MaskMethod,
    PolicyKind,
    PolicyReference,
    Securable,
    SecurableColumn,
)
from governance.fitting import Mask
from governance.subjects import Exemption, Subject
from governance.templates import Part

Json = dict[str, Any]
"""A Cedar policy in Cedar's JSON form, or what a version of a policy was compiled to."""

SCOPE_TYPES = {"catalog": "Catalog", "table": "Table", "workspace": "Workspace"}
GUARDED = frozenset(
    {Action.TABLE_MATERIALIZE_EXTRACT, Action.TABLE_MATERIALIZE_LOCALLY, Action.TABLE_QUERY}
)
"""The actions that show rows: masks and row filters are about these."""

MENDING = (Action.CATALOG_BROWSE, Action.POLICY_AUTHOR, Action.POLICY_PUBLISH)
"""What a broken policy never takes from owners, or nobody could put it right."""


@dataclass(frozen=True, slots=True)
class Published:
    """One policy as it holds: where, which version, and what its text was compiled to."""

    id: UUID
    name: str
    kind: PolicyKind
    scope_key: str
    scope_label: str
    version: int
    summary: str
    compiled: Mapping[str, Any]
    broken_because: str = ""
    expires_at: datetime | None = None

    def reference(self, summary: str = "", remedy: str = "") -> PolicyReference:
        """Return how decisions name the policy."""
        asked = f"Ask who publishes policies for {self.scope_label} about {self.name}."
        return PolicyReference(self.name, self.version, summary or self.summary, remedy or asked)

    def broken(self) -> PolicyReference:
        """Return how decisions name the policy while it is broken."""
        return broken(self.reference(), self.broken_because or "its text cannot be read.")


def broken(policy: PolicyReference, because: str) -> PolicyReference:
    """Return how a decision names a policy that cannot be applied, and what mends it."""
    return replace(
        policy,
        summary=f"The policy {policy.name} is broken: {because}",
        remedy=f"Publish a new version of {policy.name}, or retire it.",
    )


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One Cedar policy of an access policy, confined to its scope."""

    id: str
    policy: PolicyReference
    body: Json


@dataclass(frozen=True, slots=True)
class NamedColumn:
    """A column as a policy names it: by the keys that its name had, and by the name itself."""

    name: str
    keys: frozenset[str]

    def means(self, column: SecurableColumn) -> bool:
        """Tell whether `column` is one that is meant."""
        return column.key in self.keys or column.name.lower() == self.name.lower()


@dataclass(frozen=True, slots=True, eq=False)
class MaskRule:
    """What is shown of some columns, by key, name or tag, to all but those exempt.

    A broken one denies the tables that it is about; without any column it is about all of them.
    `template` is the SQL of an expression.
    """

    policy: PolicyReference
    mask: Mask
    template: tuple[Part, ...] = ()
    columns: tuple[NamedColumn, ...] = ()
    tags: frozenset[str] = frozenset()
    exemptions: tuple[Exemption, ...] = ()
    is_broken: bool = False
    is_exact: bool = False
    """Whether its scope is one table: then a column that is named must be there."""

    @property
    def words(self) -> frozenset[str]:
        """Return what leads from a column to the mask; see `words_of`."""
        names = {f"name:{named.name.lower()}" for named in self.columns}
        keys = {key for named in self.columns for key in named.keys}
        return frozenset(names | keys | {f"tag:{tag}" for tag in self.tags})

    def exempts(self, who: Subject) -> bool:
        """Tell whether `who` sees the columns as they are."""
        return any(e.covers(who) for e in self.exemptions)

    def values_of(self, who: Subject) -> Iterable[tuple[str, str]]:
        """Return what the SQL of an expression reads of `who`."""
        return templates.read(self.template, who.values)

    def is_about(self, column: SecurableColumn, tags: frozenset[str]) -> bool:
        """Tell whether the column, which bears `tags`, is masked."""
        return bool(self.tags & tags) or any(named.means(column) for named in self.columns)

    def lost(self, table: Securable) -> str:
        """Return the name of a column of this very table that is named and gone; else nothing.

        At an earlier snapshot, a column that the table did not have yet counts as gone: what its
        values were in before, nobody said.
        """
        if not self.is_exact or not table.columns:
            return ""
        prefix = f"{table.key.replace('table:', 'column:', 1)}/"
        own = (n for n in self.columns if any(key.startswith(prefix) for key in n.keys))
        there = table.columns
        return next((n.name for n in own if not any(n.means(c) for c in there)), "")


def words_of(
    columns: Sequence[SecurableColumn], tags: Mapping[str, frozenset[str]]
) -> frozenset[str]:
    """Return the keys, names and tags of columns, as masks are looked for by them."""
    words = {f"name:{column.name.lower()}" for column in columns} | {c.key for c in columns}
    return frozenset(words | {f"tag:{tag}" for c in columns for tag in tags.get(c.key, ())})


@dataclass(frozen=True, slots=True, eq=False)
class RowFilterRule:
    """Which rows are shown to all but those exempt. A broken one denies every table below it."""

    policy: PolicyReference
    template: tuple[Part, ...] = ()
    exemptions: tuple[Exemption, ...] = ()
    is_broken: bool = False

    def exempts(self, who: Subject) -> bool:
        """Tell whether `who` sees all rows."""
        return any(e.covers(who) for e in self.exemptions)

    def values_of(self, who: Subject) -> Iterable[tuple[str, str]]:
        """Return what the predicate reads of `who`."""
        return templates.read(self.template, who.values)

    def lost(self, table: Securable) -> str:
        """Return the name of a column that is filtered by and that the table lacks, if any."""
        named = [
            part["column"]
            for part in self.template
            if not isinstance(part, str) and "column" in part
        ]
        missing = (
            c["name"] for c in named if not templates.find(c["name"], c["keys"], table.columns)
        )
        return next(missing, "") if table.columns else ""


def statements(policy: Published) -> Iterable[tuple[str, Statement]]:
    """Return the Cedar policies of an access policy, each with the key of what it is about.

    Raises `KeyError`, `TypeError` or `ValueError` on what is not compiled text.
    """
    for number, one in enumerate(policy.compiled["statements"]):
        reference = replace(
            policy.reference(one["summary"], one.get("remedy", "")),
            max_age_seconds=one.get("max_age_seconds"),
        )
        added = _confined(policy) + (_ending(policy) if one["body"]["effect"] == "permit" else [])
        body = {**one["body"], "conditions": [*added, *one["body"]["conditions"]]}
        if policy.broken_because:
            reference, body = policy.broken(), _refusal(one["body"]["action"], _confined(policy))
        # A policy about one thing below its scope is looked at for that thing only.
        yield (
            one.get("about") or policy.scope_key,
            Statement(f"{policy.name}#{number}", reference, body),
        )


def actions_of(body: Json) -> frozenset[Action]:
    """Return the actions that the head of a Cedar policy lets it be about."""
    head = body["action"]
    entities = head["entities"] if "entities" in head else [head.get("entity")]
    try:
        return frozenset(Action(one["id"]) for one in entities)
    except (KeyError, TypeError, ValueError):  # all actions, or a group of them
        return frozenset(Action)


def broken_statement(policy: Published) -> Statement:
    """Return what stands for an access policy that cannot be read: all in its scope is denied."""
    body = _refusal({"op": "All"}, _confined(policy))
    return Statement(f"{policy.name}#0", policy.broken(), body)


def namesake_statements(policy: Published) -> list[Statement]:
    """Return what an access policy forbids, for everyone, on another thing of its scope's name.

    What it permits is permitted to nobody there, without a word.
    """
    bodies = [one["body"] for one in policy.compiled["statements"]]
    return [
        Statement(f"{policy.name}~{number}", policy.broken(), _refusal(body["action"], []))
        for number, body in enumerate(bodies)
        if body["effect"] == "forbid"
    ]


def mask_rule(policy: Published) -> MaskRule:
    """Return the mask. Raises `KeyError`, `TypeError` or `ValueError` on what is not compiled."""
    compiled = policy.compiled
    parameters = dict(compiled["mask"])
    template = tuple(parameters.pop("template", ()))
    return MaskRule(
        policy=policy.broken() if policy.broken_because else policy.reference(),
        mask=Mask(**(parameters | {"method": MaskMethod(parameters["method"])})),
        template=template,
        columns=tuple(NamedColumn(c["name"], frozenset(c["keys"])) for c in compiled["columns"]),
        tags=frozenset(compiled["tags"]),
        exemptions=_exemptions(compiled),
        is_broken=bool(policy.broken_because),
        is_exact=policy.scope_key.startswith("table:"),
    )


def broken_mask(policy: Published) -> MaskRule:
    """Return what stands for a mask that cannot be read: every table in its scope is denied."""
    return MaskRule(policy.broken(), Mask(MaskMethod.NULL), is_broken=True)


def row_filter_rule(policy: Published) -> RowFilterRule:
    """Return the row filter. Raises `KeyError`, `TypeError` or `ValueError`."""
    if policy.broken_because:
        return broken_row_filter(policy)
    template = tuple(policy.compiled["template"])
    return RowFilterRule(policy.reference(), template, _exemptions(policy.compiled))


def broken_row_filter(policy: Published) -> RowFilterRule:
    """Return what stands for a row filter that does not hold together: its tables are denied."""
    return RowFilterRule(policy.broken(), is_broken=True)


def exemption_key(kind: str, key: str) -> str:
    """Return what an exemption keeps of a key: the id alone, of those who act."""
    return key if kind in {"attribute", "role"} else key.partition(":")[2]


def _exemptions(compiled: Mapping[str, Any]) -> tuple[Exemption, ...]:
    return tuple(Exemption(one["kind"], one["key"]) for one in compiled["except"])


def _confined(policy: Published) -> list[Json]:
    """Return the condition that keeps a policy in its scope."""
    kind = SCOPE_TYPES[policy.scope_key.partition(":")[0]]
    scope = {"Value": {"__entity": {"type": kind, "id": policy.scope_key}}}
    return [{"kind": "when", "body": {"in": {"left": {"Var": "resource"}, "right": scope}}}]


def _ending(policy: Published) -> list[Json]:
    """Return the condition that ends a grant at its time; what forbids holds until retired."""
    if policy.expires_at is None:
        return []
    instant = policy.expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    now = {".": {"left": {"Var": "context"}, "attr": "now"}}
    end = {"datetime": [{"Value": instant}]}
    return [{"kind": "when", "body": {"<": {"left": now, "right": end}}}]


def _refusal(action: Json, confined: list[Json]) -> Json:
    """Return the statement that denies some actions in a scope, but none that mends policies."""
    body = _refusing_all()
    return {**body, "action": action, "conditions": [*confined, *body["conditions"]]}


@cache
def _refusing_all() -> Json:
    mending = ", ".join(f'Action::"{action}"' for action in MENDING)
    spared = f'[{mending}].contains(action) && principal.workspace_roles.contains("owner")'
    text = f"forbid (principal, action, resource) unless {{ {spared} }};"
    policies: dict[str, Json] = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"]
    return next(iter(policies.values()))
