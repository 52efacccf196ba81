"""What holds in a workspace: its published policies, parsed once per process and version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from uuid import UUID

import structlog
from django.db.models.expressions import RawSQL

from governance import engine, rules
from governance.classes import Lens, lens
from governance.domain import Action, PolicyKind, Securable, SecurableKind, VersionState
from governance.engine import PolicyBundle
from governance.keeping import Kept
from governance.models import PolicySet, PolicyVersion
from governance.rules import MaskRule, Published, RowFilterRule, Statement

logger = structlog.get_logger(__name__)

Stamp = tuple[int, str]
"""The version of a policy set and the transaction that wrote it. A number that was rolled back is
given again, to other policies; a transaction's is not."""

WRITTEN_BY = RawSQL("governance_policyset.xmin::text", [])
"""PostgreSQL's number of the transaction that wrote the row."""

KEPT_BUNDLES = 64
KEPT_SETS = 4096
SCOPE_KINDS = {"catalog": SecurableKind.CATALOG, "table": SecurableKind.TABLE}
NAMESAKE = "namesake of "
DEFAULTS = "defaults"
"""Stands for the role defaults among the keys of scopes."""


def is_of_namesake(key: str) -> bool:
    """Tell whether a key is that of policies that deny a thing for its name alone."""
    return key.startswith(NAMESAKE)


@dataclass(frozen=True, slots=True)
class _Scope:
    """The rules of one scope; masks are found by what columns have, however many there are."""

    statements: list[Statement] = field(default_factory=list)
    masks: list[MaskRule] = field(default_factory=list)
    row_filters: list[RowFilterRule] = field(default_factory=list)
    always: list[MaskRule] = field(default_factory=list)
    by_word: dict[str, list[MaskRule]] = field(default_factory=dict)

    def add_mask(self, mask: MaskRule) -> None:
        """Put a mask where it is looked for: by the columns and tags that it names."""
        self.masks.append(mask)
        if mask.is_exact or not mask.words:
            self.always.append(mask)
        for word in mask.words:
            self.by_word.setdefault(word, []).append(mask)

    def masks_about(self, words: Iterable[str]) -> Iterator[MaskRule]:
        """Return the masks that any of the words leads to."""
        yield from self.always
        for word in words if self.by_word else ():
            yield from self.by_word.get(word, ())


class Bundle:
    """The policies of one workspace at one version, found by the key of what they are about.

    Immutable and compared by identity. `with_policy` and `without` return another one, which
    nothing keeps: for drafts, tests and simulations.
    """

    def __init__(
        self, workspace_id: UUID | None, version: int = 0, policies: Sequence[Published] = ()
    ) -> None:
        self.workspace_id = workspace_id
        self.version = version
        self.policies = tuple(sorted(policies, key=lambda policy: policy.name))
        self._scopes: dict[str, _Scope] = {}
        self._by_label: dict[tuple[SecurableKind, str], set[str]] = {}
        self._sets: Kept[tuple[str, ...], PolicyBundle] = Kept(KEPT_SETS)
        self._named: dict[Action, frozenset[str]] = {}
        self._labels: dict[tuple[SecurableKind, Action], frozenset[str]] = {}
        for policy in self.policies:
            self._add(policy)
            self._add_namesake(policy)

    def with_policy(self, policy: Published) -> Bundle:
        """Return what would hold if `policy` were published, in place of the one of its name."""
        others = self.without(policy.name).policies
        return Bundle(self.workspace_id, self.version, (*others, policy))

    def without(self, name: str) -> Bundle:
        """Return what would hold if the policy of that name were retired."""
        others = [policy for policy in self.policies if policy.name != name]
        return Bundle(self.workspace_id, self.version, others)

    def masks(self, securable: Securable) -> list[MaskRule]:
        """Return the masks whose scope the securable is in."""
        return [mask for scope in self._chain(securable) for mask in scope.masks]

    def masks_about(
        self, table: Securable, tags: Mapping[str, frozenset[str]]
    ) -> tuple[MaskRule, ...]:
        """Return the masks that a table must be looked at for, in order of their names.

        `tags` are those of its columns, by key. All in scope where no column is known.
        """
        chain = self._chain(table)
        if not table.columns:
            found = [mask for scope in chain for mask in scope.masks]
        else:
            words = rules.words_of(table.columns, tags) if chain else frozenset()
            found = [mask for scope in chain for mask in scope.masks_about(words)]
        return tuple(sorted(dict.fromkeys(found), key=lambda mask: mask.policy.name))

    def row_filters(self, securable: Securable) -> list[RowFilterRule]:
        """Return the row filters whose scope the securable is in, in order of their names."""
        found = [one for scope in self._chain(securable) for one in scope.row_filters]
        return sorted(found, key=lambda one: one.policy.name)

    def all_masks(self) -> list[tuple[MaskRule, Published]]:
        """Return every mask with its policy."""
        policies = {policy.name: policy for policy in self.policies}
        found = [mask for scope in self._scopes.values() for mask in scope.masks]
        return [(mask, policies[mask.policy.name]) for mask in found]

    def access_above(self, securable: Securable, action: Action) -> tuple[str, ...]:
        """Return the scopes above a securable with access policies that an action may concern.

        A batch shares them.
        """
        keys = (k for node in securable.ancestors for k in (node.key, *self._namesakes_of(node)))
        return tuple(key for key in keys if action in self._about.get(key, ()))

    def access_of(self, securable: Securable, action: Action | None = None) -> tuple[str, ...]:
        """Return the securable's own scope where it has access policies, about an action or any."""
        keys = (securable.key, *self._namesakes_of(securable))
        found = (key for key in keys if key in self._about)
        return tuple(key for key in found if action is None or action in self._about[key])

    def access(self, keys: tuple[str, ...]) -> PolicyBundle:
        """Return the access policies of some scopes, parsed; `DEFAULTS` is among the scopes."""
        return self._sets.get(keys, lambda: self._assembled(keys))

    @cached_property
    def lens(self) -> Lens:
        """Return what the access policies look at, the defaults of the roles among them."""
        written = [one.body for scope in self._scopes.values() for one in scope.statements]
        return lens([*engine.role_defaults().bodies.values(), *written])

    @cached_property
    def _about(self) -> dict[str, frozenset[Action]]:
        """Return the actions that the access policies of each scope may be about."""
        return {
            key: frozenset().union(*(rules.actions_of(one.body) for one in scope.statements))
            for key, scope in self._scopes.items()
            if scope.statements
        }

    def named_keys(self, action: Action) -> frozenset[str]:
        """Return the keys of all that access policies about an action are for, or name."""
        if action not in self._named:
            keys = [key for key, actions in self._about.items() if action in actions]
            bodies = [
                one.body
                for key in keys
                for one in self._scopes[key].statements
                if action in rules.actions_of(one.body)
            ]
            self._named[action] = lens(bodies).named.union(keys)
        return self._named[action]

    def labels(self, kind: SecurableKind, action: Action) -> frozenset[str]:
        """Return the labels, in lower case, that access policies of a kind were written for."""
        if (kind, action) not in self._labels:
            self._labels[kind, action] = frozenset(
                label
                for (of, label), keys in self._by_label.items()
                if of is kind and any(action in self._about.get(f"{NAMESAKE}{k}", ()) for k in keys)
            )
        return self._labels[kind, action]

    def shapes(self) -> Iterator[MaskRule | RowFilterRule]:
        """Return every mask and row filter of the workspace."""
        for scope in self._scopes.values():
            yield from scope.masks
            yield from scope.row_filters

    def _assembled(self, keys: tuple[str, ...]) -> PolicyBundle:
        found = [one for key in keys if key != DEFAULTS for one in self._scopes[key].statements]
        if not found:
            return engine.role_defaults()
        texts = {one.id: (one.body, one.policy) for one in found}
        return engine.assemble(texts, engine.role_defaults() if DEFAULTS in keys else None)

    def _chain(self, securable: Securable) -> list[_Scope]:
        chain = (securable, *securable.ancestors)
        keys = [key for node in chain for key in (node.key, *self._namesakes_of(node))]
        return [self._scopes[key] for key in keys if key in self._scopes]

    def _namesakes_of(self, securable: Securable) -> list[str]:
        """Return the scopes that bear the securable's name and are not it.

        A table that was replaced by another of its name has left its policies behind.
        """
        others = self._by_label.get((securable.kind, securable.label.lower()), ())
        return [f"{NAMESAKE}{key}" for key in others if key != securable.key]

    def _scope(self, key: str) -> _Scope:
        return self._scopes.setdefault(key, _Scope())

    def _add(self, policy: Published) -> None:
        """Put a policy where it is looked for. One that cannot be read is broken, not skipped."""
        try:
            match policy.kind:
                case PolicyKind.ACCESS:
                    parsed = list(rules.statements(policy))
                    engine.assemble({one.id: (one.body, one.policy) for _, one in parsed})
                    for key, one in parsed:
                        self._scope(key).statements.append(one)
                case PolicyKind.MASK:
                    self._scope(policy.scope_key).add_mask(rules.mask_rule(policy))
                case PolicyKind.ROW_FILTER:
                    made = rules.row_filter_rule(policy)
                    self._scope(policy.scope_key).row_filters.append(made)
        except (KeyError, TypeError, ValueError) as error:
            logger.exception("a published policy cannot be read", policy=policy.name, error=error)
            self._add_broken(policy)

    def _add_namesake(self, policy: Published) -> None:
        """Have a policy deny another thing of its scope's name: nobody said it holds there."""
        kind = SCOPE_KINDS.get(policy.scope_key.partition(":")[0])
        if kind is None:
            return
        self._by_label.setdefault((kind, policy.scope_label.lower()), set()).add(policy.scope_key)
        because = f"it was written for another {kind.lower()} that was called so."
        other = replace(policy, scope_key=f"{NAMESAKE}{policy.scope_key}", broken_because=because)
        if policy.kind is PolicyKind.ACCESS:
            with suppress(KeyError, TypeError):
                statements = rules.namesake_statements(other)
                self._scope(other.scope_key).statements.extend(statements)
        else:
            self._add_broken(other)

    def _add_broken(self, policy: Published) -> None:
        scope = self._scope(policy.scope_key)
        match policy.kind:
            case PolicyKind.ACCESS:
                scope.statements.append(rules.broken_statement(policy))
            case PolicyKind.MASK:
                scope.add_mask(rules.broken_mask(policy))
            case PolicyKind.ROW_FILTER:
                scope.row_filters.append(rules.broken_row_filter(policy))


NOTHING = Bundle(None)
"""What holds where nobody wrote a policy: the defaults of the roles."""

_kept: Kept[tuple[UUID, Stamp], Bundle] = Kept(KEPT_BUNDLES)


def bundle_at(workspace_id: UUID, stamp: Stamp) -> Bundle:
    """Return what holds in a workspace at a version that the caller has just read."""
    return _kept.get((workspace_id, stamp), lambda: _loaded(workspace_id, stamp))


def bundle_of(workspace_id: UUID) -> Bundle:
    """Return what holds in a workspace now."""
    stamp = stamps([workspace_id]).get(workspace_id)
    return bundle_at(workspace_id, stamp) if stamp else Bundle(workspace_id)


def stamps(workspace_ids: Iterable[UUID]) -> Mapping[UUID, Stamp]:
    """Return the versions of workspaces; those without policies have none."""
    rows = PolicySet.objects.filter(workspace_id__in=list(workspace_ids))
    found = rows.values_list("workspace_id", "version", WRITTEN_BY)
    return {workspace_id: (version, by) for workspace_id, version, by in found}


def published(workspace_id: UUID) -> list[Published]:
    """Return the published policies of a workspace, in one statement."""
    versions = PolicyVersion.objects.filter(
        policy__workspace_id=workspace_id, state=VersionState.PUBLISHED
    )
    return [as_published(version) for version in versions.select_related("policy")]


def as_published(version: PolicyVersion) -> Published:
    """Return a version of a policy as it holds, or would."""
    policy = version.policy
    return Published(
        id=policy.id,
        name=policy.name,
        kind=PolicyKind(policy.kind),
        scope_key=policy.scope_key,
        scope_label=policy.scope_label,
        version=version.number,
        summary=version.summary,
        compiled=version.compiled,
        broken_because=policy.broken_because,
        expires_at=policy.expires_at,
    )


def _loaded(workspace_id: UUID, stamp: Stamp) -> Bundle:
    return Bundle(workspace_id, stamp[0], published(workspace_id))
