"""Answers over values: role defaults and published policies evaluated, obligations worked out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from accounts.domain import Actor
from governance import answered, engine, entities, obligations, rules, subjects, tags
from governance.bundle import DEFAULTS, NOTHING, Bundle, is_of_namesake
from governance.classes import Lens
from governance.domain import (
    NO_OBLIGATIONS,
    Action,
    DecisionContext,
    Obligations,
    PolicyReference,
    Request,
    Securable,
    SecurableColumn,
    SecurableKind,
)
from governance.engine import NOT_EVALUATED, Json, Verdict
from governance.entities import Facts
from governance.obligations import EVERYTHING, Shown
from workspaces.domain import WorkspaceRole

Bundles = Mapping[UUID, Bundle]
"""What holds, by workspace; a workspace without policies need not be there."""

LEAVING = frozenset({Action.TABLE_MATERIALIZE_EXTRACT, Action.TABLE_MATERIALIZE_LOCALLY})
PERSONAL_DATA = "personal-data"
STAYS = "personal-data-stays-on-the-server"

FEW = 16
"""So many requests are asked as they are: they are mostly about different things."""


_Groups = dict[tuple[Bundle, UUID | None, tuple[str, ...]], list[int]]
"""The positions of requests that the same policies are asked about."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict, with what must be applied where it allows, and the policies that say so."""

    verdict: Verdict
    obligations: Obligations = NO_OBLIGATIONS
    shaped_by: tuple[PolicyReference, ...] = ()


@dataclass(frozen=True, slots=True)
class _Batch:
    """What all questions of a batch have in common."""

    actor: Actor
    context: DecisionContext
    facts: Facts
    moments: Mapping[DecisionContext, datetime]
    seen: dict[tuple[Bundle, str, tuple[SecurableColumn, ...]], Shown] = field(default_factory=dict)

    def shown(self, bundle: Bundle, table: Securable) -> Shown:
        """Return what the actor is shown of a table, worked out once for all actions on it."""
        key = (bundle, table.key, table.columns)
        if key not in self.seen:
            who = subjects.subject(self.actor, self.facts.roles_in(table.workspace_id))
            columns = tags.of_columns(table, self.facts.tags)
            self.seen[key] = obligations.of(bundle, who, table, columns)
        return self.seen[key]

    def ask_each_class(
        self,
        policies: engine.PolicyBundle,
        requests: Sequence[Request],
        workspace: UUID | None,
        lens: Lens,
    ) -> list[Verdict]:
        """Ask Cedar once, with one request for all those that no policy can tell apart."""
        if len(requests) <= FEW:
            return self.ask(policies, requests, workspace)
        classes = {r.securable.key: lens.securable(r.securable, self.facts) for r in requests}
        alike = [(r.action, r.context, classes[r.securable.key]) for r in requests]
        first = dict(zip(reversed(alike), reversed(requests), strict=True))
        found = self.ask(policies, list(first.values()), workspace)
        verdict_of = dict(zip(first, found, strict=True))
        return [verdict_of[key] for key in alike]

    def ask(
        self, policies: engine.PolicyBundle, requests: Sequence[Request], workspace: UUID | None
    ) -> list[Verdict]:
        """Ask Cedar once, or not at all where it was asked the same before."""
        if len(requests) > FEW:
            return engine.evaluate(policies, *self._spelled(requests, workspace))
        contexts = [request.context or self.context for request in requests]
        moments = [self.moments[context] for context in contexts]
        return answered.evaluate(
            policies,
            (
                entities.asker(self.actor, self.facts, workspace),
                *(
                    entities.question(request, context, self.facts)
                    for request, context in zip(requests, contexts, strict=True)
                ),
            ),
            moments,
            lambda: self._spelled(requests, workspace),
        )

    def _spelled(
        self, requests: Sequence[Request], workspace: UUID | None
    ) -> tuple[list[Json], list[Json]]:
        """Return requests and all that is known of them as Cedar reads them."""
        known = [
            entities.principal(self.actor, self.facts.roles_in(workspace)),
            *entities.resources((request.securable for request in requests), self.facts),
        ]
        told = {
            context: entities.circumstances(self.actor, replace(context, now=at), self.facts)
            for context, at in self.moments.items()
        }
        asked = [entities.request(self.actor, r, told[r.context or self.context]) for r in requests]
        return asked, known


def answers(
    actor: Actor,
    requests: Sequence[Request],
    context: DecisionContext,
    facts: Facts,
    bundles: Bundles,
) -> list[Answer]:
    """Return one answer per request, in order.

    Cedar is asked once for all requests that the same policies above them hold for, and once
    more for each securable with policies of its own.
    """
    contexts = {context, *(request.context for request in requests if request.context)}
    moments = {asked: entities.moment(asked) for asked in contexts}
    batch = _Batch(actor, context, facts, moments)
    holding = [_holding(actor, request, bundles) for request in requests]
    found = _verdicts(batch, requests, holding)
    return [_answer(batch, *one) for one in zip(requests, holding, found, strict=True)]


def _holding(actor: Actor, asked: Request, bundles: Bundles) -> Bundle:
    """Return the policies for a request: of a workspace, for its own organization only.

    Others are refused by the defaults, and learn nothing of the policies of a stranger. Upend
    itself belongs to no organization: what it may do is not for a workspace to say.
    """
    securable = asked.securable
    if securable.workspace_id is None or actor.organization_id != securable.organization_id:
        return NOTHING
    return bundles.get(securable.workspace_id, NOTHING)


def _verdicts(
    batch: _Batch, requests: Sequence[Request], holding: Sequence[Bundle]
) -> list[Verdict]:
    parts: list[list[Verdict]] = [[] for _ in requests]
    groups: _Groups = {}
    own: _Groups = {}
    for position, (request, bundle) in enumerate(zip(requests, holding, strict=True)):
        securable = request.securable
        workspace = securable.workspace_id
        above = (DEFAULTS, *bundle.access_above(securable, request.action))
        groups.setdefault((bundle, workspace, above), []).append(position)
        if keys := bundle.access_of(securable, request.action):
            own.setdefault((bundle, workspace, keys), []).append(position)
    for (bundle, workspace, keys), positions in (groups | _together(own)).items():
        asked = [requests[position] for position in positions]
        answers = batch.ask_each_class(bundle.access(keys), asked, workspace, bundle.lens)
        for position, verdict in zip(positions, answers, strict=True):
            parts[position].append(verdict)
    found = [engine.combine(verdicts) for verdicts in parts]
    return _mendable(batch, requests, holding, found)


def _together(own: _Groups) -> _Groups:
    """Return few groups in place of many: in each, all their policies are asked at once.

    Every policy is confined to its scope, so those of other scopes say nothing: all but those
    that deny a namesake, which are asked apart.
    """
    apart = {key: found for key, found in own.items() if any(map(is_of_namesake, key[2]))}
    if len(own) - len(apart) <= FEW:
        return own
    keys: dict[tuple[Bundle, UUID | None], set[str]] = {}
    positions: dict[tuple[Bundle, UUID | None], list[int]] = {}
    for (bundle, workspace, scopes), found in own.items():
        if (bundle, workspace, scopes) in apart:
            continue
        keys.setdefault((bundle, workspace), set()).update(scopes)
        positions.setdefault((bundle, workspace), []).extend(found)
    return apart | {(*key, tuple(sorted(keys[key]))): found for key, found in positions.items()}


def _mendable(
    batch: _Batch,
    requests: Sequence[Request],
    holding: Sequence[Bundle],
    found: list[Verdict],
) -> list[Verdict]:
    """Leave owners what they need to mend a published policy that errs: the defaults decide."""
    for position, (request, bundle) in enumerate(zip(requests, holding, strict=True)):
        workspace = request.securable.workspace_id
        is_owner = WorkspaceRole.OWNER in batch.facts.roles_in(workspace)
        if found[position] is not NOT_EVALUATED or bundle is NOTHING or not is_owner:
            continue
        if request.action in rules.MENDING:
            (found[position],) = batch.ask(engine.role_defaults(), [request], workspace)
    return found


def _answer(batch: _Batch, asked: Request, bundle: Bundle, verdict: Verdict) -> Answer:
    """Return what is shown of a table that may be read; what cannot be applied denies."""
    table = asked.securable
    is_guarded = asked.action in rules.GUARDED and table.kind is SecurableKind.TABLE
    if not verdict.allowed or not is_guarded:
        return Answer(verdict)
    shown = EVERYTHING if bundle is NOTHING else batch.shown(bundle, table)
    if shown.broken is not None:
        return Answer(Verdict(allowed=False, determined_by=(shown.broken,)))
    if stays := _personal_data(batch, asked, shown):
        return Answer(Verdict(allowed=False, determined_by=(stays,)))
    return Answer(verdict, shown.obligations, shown.policies)


def _personal_data(batch: _Batch, asked: Request, shown: Shown) -> PolicyReference | None:
    """Return the policy that keeps the table on the server for the sake of some of its columns.

    Cedar looks at the tags of tables. A column's is a reason too: always for whole files, and
    for an extract where the principal would see its values.
    """
    if asked.action not in LEAVING:
        return None
    table = asked.securable
    tagged = tags.of_columns(table, batch.facts.tags) if table.columns else {}
    is_raw = asked.action is Action.TABLE_MATERIALIZE_LOCALLY
    names = [
        column.name
        for column in table.columns
        if PERSONAL_DATA in tagged[column.key] and (is_raw or shown.exposes(column))
    ]
    if not names:
        return None
    shown_names = ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")  # noqa: PLR2004
    return replace(
        engine.role_default(STAYS),
        summary=f"{table.label} has columns tagged {PERSONAL_DATA}: {shown_names}.",
        remedy="Run it on the server; an extract may leave it where a policy masks or hides them.",
    )
