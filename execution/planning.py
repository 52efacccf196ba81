"""Steps 1 to 6: text becomes one frozen plan that explain renders and run carries out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from accounts.domain import Actor
from catalog import lake
from catalog.models import Catalog
from execution import footing, gate, travel
from execution.bind import BindError, Bound, HiddenTable, bind
from execution.circumstances import circumstances_of
from execution.domain import CatalogPin, Estimate, GatedQuery, Plan, RequestedPlace, Scan
from execution.estimate import estimate
from execution.expansion import expanded
from execution.extracts import offers
from execution.extracts.domain import Offer, Unavailable
from execution.foreseen import Foreseen
from execution.placement import place
from execution.records import RECORD_FORMAT, table_entry, with_files
from execution.resolve import (
    Candidate,
    Resolution,
    candidates,
    check_catalogs,
    lakes_of,
    resolve,
)
from governance import materialization, securables
from governance import services as governance
from governance.domain import Action, Decision, DecisionContext, Request, Securable
from governance.materialization import Materialization, Outcome
from observability import metrics, steps
from problems import Problem
from workspaces.models import Workspace

SERVER = DecisionContext(place="server")
LOCAL = DecisionContext(place="local")


class QueryTooLarge(Problem):
    """The query would scan more than the workspace allows at once."""

    code: ClassVar[str] = "query-too-large"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The query would read too much"


@dataclass(frozen=True, slots=True)
class _Decided:
    """What governance answered, table by table, in the order of the tables."""

    workspace: Decision
    tables: tuple[Decision, ...]
    local: tuple[Decision, ...]
    materializations: tuple[Materialization, ...]

    @property
    def governed(self) -> frozenset[str]:
        """Return the keys of tables that a person's machine may read as extracts only."""
        found = (m for m in self.materializations if m.outcome is Outcome.EXTRACT)
        return frozenset(one.securable_key for one in found)


@dataclass(frozen=True, slots=True)
class _Answers:
    """What governance said of every table that a name may stand for, at each of its snapshots.

    By identity: may it be seen, may it be queried. `catalogs` are the names of those that may be
    seen.
    """

    workspace: Decision
    catalogs: frozenset[str]
    tables: dict[tuple[str, int], tuple[Decision, ...]]
    known: governance.Known
    """What it was answered from: the second asking of a plan is about the same moment."""

    def is_visible(self, candidate: Candidate) -> bool:
        """Tell whether the actor may know of the table."""
        is_known = candidate.catalog.name in self.catalogs
        return is_known and self.tables[candidate.identity][0].allowed


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a query means to who asks: its text without views, its tables, and how they bind.

    `engine_sql` is that text as engines get it: where tables are read at snapshots of their own,
    these have names of their own there.
    """

    query: GatedQuery
    engine_sql: str
    resolution: Resolution
    answers: _Answers
    tables: tuple[tuple[Candidate, HiddenTable], ...]
    bound: Bound


def ground(
    *,
    actor: Actor,
    workspace: Workspace,
    sql: str,
    default_catalog: str = "",
    snapshots: Mapping[str, int] | None = None,
    purpose: str = "",
    foresee: Callable[[Foreseen], None] = lambda _: None,
) -> Grounds:
    """Return what `sql` means to `actor`, before what it costs. Raises as `plan` does."""
    with steps.plan("gate"):
        query = _checked(sql)
    named = [name for name in (default_catalog, *(snapshots or {})) if name]
    with steps.plan("resolve"):
        lakes = lakes_of(workspace, default_catalog, snapshots or {})
        query = expanded(actor, query, lakes)
        known = candidates(query.tables, lakes)
    with steps.plan("decide"):
        answers = _ask(actor, workspace, lakes.catalogs, known, purpose)
        check_catalogs(actor, workspace, named, lakes, answers.catalogs)
        resolution = resolve(actor, query.tables, lakes, answers.is_visible)
        allowed = _allowed(actor, workspace, resolution, answers)
    written = travel.written(query, resolution)
    tables = tuple(
        (
            candidate,
            HiddenTable(f"t{number}", candidate.table, decision.obligations, candidate.shown_in),
        )
        for number, (candidate, decision) in enumerate(
            zip(resolution.tables, allowed, strict=True), start=1
        )
    )
    foresee(Foreseen(tables, resolution.search_path, allowed))
    with steps.plan("bind"):
        hidden = [one for _, one in tables]
        try:
            bound = bind(written.sql, hidden, resolution.search_path, principal=str(actor.id))
        except BindError as error:
            if query.sql != sql:  # with views in it, the text is not the one that was sent
                error.extra.pop("line", None), error.extra.pop("column", None)
            elif "line" in error.extra:
                error.extra |= written.place_asked(error.extra["line"], error.extra["column"])
            # What the engine says of a view's text may name columns that policies hide.
            if query.sql != sql and any(one.obligations.hidden_columns for one in hidden):
                raise _unfit() from error
            raise
    return Grounds(query, written.sql, resolution, answers, tables, bound)


@steps.whole_plan()
@lake.at_one_moment()
def plan(
    *,
    actor: Actor,
    workspace: Workspace,
    sql: str,
    requested: RequestedPlace = RequestedPlace.AUTO,
    default_catalog: str = "",
    snapshots: Mapping[str, int] | None = None,
    purpose: str = "",
    foresee: Callable[[Foreseen], None] = lambda _: None,
) -> Plan:
    """Return what `sql` would touch and cost, what governance says, and where it would run.

    `foresee` is called once it is decided which tables it may read, before the longer half.
    Reads only. What may be on the person's machine is asked once it is known what would be read,
    because policies may set bounds on that. Raises `SqlRefused`, `UnknownTable`,
    `AmbiguousTable`, `UnknownCatalog`, `UnknownSnapshot`, `AccessDenied`, `BindError`,
    `PlanningFailed` or `QueryTooLarge`.
    """
    grounds = ground(
        actor=actor,
        workspace=workspace,
        sql=sql,
        default_catalog=default_catalog,
        snapshots=snapshots,
        purpose=purpose,
        foresee=foresee,
    )
    query, resolution, answers = grounds.query, grounds.resolution, grounds.answers
    tables, bound = grounds.tables, grounds.bound
    with steps.plan("estimate"):
        cost = estimate(bound, tables, query.functions)
    if cost.scan_bytes > workspace.max_scan_bytes:
        raise _too_large(cost.scan_bytes, workspace.max_scan_bytes)
    with steps.plan("decide"):
        decided = _decide(actor, answers, resolution, cost, purpose)
    asked = offers.Asked(
        workspace, query.sql, query.functions, resolution.search_path, principal=str(actor.id)
    )
    has_moments = travel.travels(query)
    extracts = () if has_moments else _extracts(actor, asked, requested, decided, tables)
    with steps.plan("place"):
        placement = place(
            actor=actor,
            requested=requested,
            estimate=cost,
            decisions=decided.tables,
            local_decisions=decided.local,
            local_max_bytes=workspace.local_max_bytes,
            circumstances=circumstances_of(actor, workspace, cost),
            extracts=extracts,
            has_moments=has_moments,
        )
    return Plan(
        query=query,
        pins=_pins(resolution),
        scans=tuple(
            Scan(s.hidden.table.key, s.columns, s.filters, s.unknown_filters) for s in bound.scans
        ),
        decisions=(decided.workspace, *decided.tables),
        local_decisions=decided.local,
        materializations=decided.materializations,
        estimate=cost,
        placement=placement,
        requested=requested,
        default_catalog=default_catalog,
        columns=bound.columns,
        search_path=resolution.search_path,
        tables=tuple(table_entry(candidate, hidden) for candidate, hidden in tables),
        extracts=extracts,
        footing=footing.as_json((h.table, h.obligations, h.shown_in) for _, h in tables),
        engine_sql="" if grounds.engine_sql == query.sql else grounds.engine_sql,
    )


def _extracts(
    actor: Actor,
    asked: offers.Asked,
    requested: RequestedPlace,
    decided: _Decided,
    tables: Sequence[tuple[Candidate, HiddenTable]],
) -> tuple[Offer | Unavailable, ...]:
    """Return what stands for governed tables, where the query could run on the person's device."""
    may = all(decision.allowed for decision in decided.local)
    if not (decided.governed and may and actor.is_person and actor.device):
        return ()
    if requested is RequestedPlace.SERVER or not actor.device.is_approved:
        return ()
    with steps.plan("extracts"):
        return offers.offers_of(asked, tables, decided.governed)


def _checked(sql: str) -> GatedQuery:
    try:
        return gate.check(sql, time_travel=True)
    except gate.SqlRefused as refused:
        metrics.SQL_REFUSALS.labels(refused.reason.value).inc()
        raise


def execution_record(plan: Plan) -> dict[str, Any]:
    """Return, JSON-ready, all that `slices.build` needs to make the very slices of `plan`."""
    return {
        "format": RECORD_FORMAT,
        "search_path": [list(pair) for pair in plan.search_path],
        "tables": list(map(with_files, plan.tables, plan.estimate.tables)),
    } | ({"sql": plan.engine_sql} if plan.engine_sql else {})


def _ask(
    actor: Actor,
    workspace: Workspace,
    catalogs: Sequence[Catalog],
    found: Sequence[Candidate],
    purpose: str,
) -> _Answers:
    """Ask governance, at once, all that must be known before anything is bound."""
    server = replace(SERVER, purpose=purpose)
    asked = [Request(Action.WORKSPACE_QUERY, securables.workspace(workspace), server)]
    asked += [Request(Action.CATALOG_BROWSE, catalog.securable) for catalog in catalogs]
    for candidate in found:
        table = _securable(candidate)
        asked += [
            Request(Action.CATALOG_BROWSE, table),
            Request(Action.TABLE_QUERY, table, server),
        ]
    known = governance.know(actor, asked)
    first, *others = governance.decide_many(actor, asked, known=known)
    browse, of_tables = others[: len(catalogs)], others[len(catalogs) :]
    seen = (c.name for c, decision in zip(catalogs, browse, strict=True) if decision.allowed)
    per_table = zip(*[iter(of_tables)] * 2, strict=True)
    of_each = {c.identity: both for c, both in zip(found, per_table, strict=True)}
    return _Answers(first, frozenset(seen), of_each, known)


def _allowed(
    actor: Actor, workspace: Workspace, resolution: Resolution, answers: _Answers
) -> tuple[Decision, ...]:
    """Return the decisions to query the query's tables. Raises `AccessDenied` for a refusal."""
    if not answers.workspace.allowed:
        raise governance.denied(actor, answers.workspace, securables.workspace(workspace))
    found = tuple(answers.tables[c.identity][1] for c in resolution.tables)
    _refuse_first(actor, resolution, found)
    return found


def _decide(
    actor: Actor, before: _Answers, resolution: Resolution, cost: Estimate, purpose: str
) -> _Decided:
    """Ask again with what would be read known, and what of it may be on the person's machine.

    Raises `AccessDenied` where so much may not be read.
    """
    read = cost.bytes_by_table
    asked = []
    for candidate in resolution.tables:
        table, size = _securable(candidate), read.get(candidate.table.key, 0)
        server = replace(SERVER, scan_bytes=size, purpose=purpose)
        local = replace(LOCAL, scan_bytes=size, purpose=purpose)
        asked += [Request(Action.TABLE_QUERY, table, server)]
        asked += materialization.requests(table, local)
    answers = governance.decide_many(actor, asked, known=before.known)
    step = 1 + len(materialization.ASKED)
    queries = answers[::step]
    _refuse_first(actor, resolution, queries)
    local_answers = [d for number, d in enumerate(answers) if number % step]
    return _Decided(
        before.workspace,
        queries,
        _local_decisions(local_answers),
        materialization.outcomes(local_answers),
    )


def _local_decisions(answers: Sequence[Decision]) -> tuple[Decision, ...]:
    """Return whether files may be taken, and where that fails already, to query there."""
    found: list[Decision] = []
    for query, raw, extract in zip(*[iter(answers)] * len(materialization.ASKED), strict=True):
        is_governed = not query.obligations.is_empty
        as_extract = materialization.outcome(query, raw, extract).outcome is Outcome.EXTRACT
        taken = extract if is_governed or as_extract else raw
        found += [taken] if query.allowed else [taken, query]
    return tuple(found)


def _refuse_first(actor: Actor, resolution: Resolution, found: Sequence[Decision]) -> None:
    for candidate, decision in zip(resolution.tables, found, strict=True):
        if not decision.allowed:
            raise governance.denied(actor, decision, _securable(candidate))


def _securable(candidate: Candidate) -> Securable:
    return candidate.table.securable(candidate.catalog.securable)


def _pins(resolution: Resolution) -> tuple[CatalogPin, ...]:
    """Return the snapshots of whole catalogs; those of single tables are with the tables."""
    pins = {
        c.catalog.id: CatalogPin(c.catalog.id, c.catalog.name, c.snapshot.snapshot_id)
        for c in resolution.tables
        if not c.shown_in
    }
    return tuple(pins.values())


def _unfit() -> BindError:
    return BindError(
        "The query, or a view that it names, does not fit the tables as you see them.",
        hint="Columns of its tables are hidden from you; the view may need them.",
    )


def _too_large(size: int, limit: int) -> QueryTooLarge:
    return QueryTooLarge(
        f"It would read {size / 10**9:,.1f} GB; the workspace allows {limit / 10**9:,.1f} GB.",
        hint="Select fewer columns, or filter on a column that the table is partitioned by.",
        scan_bytes=size,
        max_scan_bytes=limit,
    )
