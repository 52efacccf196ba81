"""What the console shows of one table: what it holds, what the reader may do with it, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace

from accounts.domain import Actor, DeviceStatus
from accounts.models import Device
from catalog import lake, overview, selectors
from catalog.lake import histories
from catalog.lake.histories import LiveFile
from catalog.lake.summaries import ColumnSummary, column_summaries
from catalog.models import Catalog
from catalog.tables.definitions import layout_of
from catalog.tables.history import Moment, moments
from catalog.tables.layout import Layout
from governance import details, materialization
from governance import selectors as governance
from governance.comparison import BEST_DEVICE
from governance.domain import (
    Action,
    Decision,
    DecisionContext,
    Obligations,
    Request,
    Securable,
    SecurableColumn,
)
from governance.materialization import Materialization
from governance.tags import shown
from problems import Problem


@dataclass(frozen=True, slots=True)
class Access:
    """The answer to one thing that the person may want to do with a table."""

    label: str
    decision: Decision


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """One column, nested ones included, as the reader sees it.

    `own_tags` and `own_classification` are on the column itself; the others count with those that
    it inherits. `masked_by` names the policy where the reader sees no true value.
    """

    column: SecurableColumn
    summary: ColumnSummary
    tags: tuple[str, ...]
    own_tags: tuple[str, ...]
    classification: str
    own_classification: str
    description: str
    masked_by: str

    @property
    def depth(self) -> int:
        """Return how many structs the column is in."""
        return len(self.column.path) - 1

    @property
    def field_id(self) -> str:
        """Return what survives renaming, and addresses the column."""
        return self.column.key.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class TablePage:
    """Everything the page of one table shows; no summary where its rows may not be read."""

    catalog: Catalog
    snapshot_id: int
    line: overview.TableLine
    owner: str
    description: str
    classification: str
    own_classification: str
    own_tags: tuple[str, ...]
    classifications: tuple[str, ...]
    access: tuple[Access, ...]
    local: Materialization
    device: str
    columns: tuple[ColumnLine, ...]
    snapshots: tuple[Moment, ...]
    files: tuple[LiveFile, ...]
    sees_all: bool
    layout: Layout
    viewed_as: Actor | None = None
    """Who sees the page so, where somebody else looks at it: then nothing is done from it."""

    @property
    def may_append(self) -> bool:
        """Tell whether the person may append to the table."""
        return self._may(Action.TABLE_APPEND)

    @property
    def may_alter(self) -> bool:
        """Tell whether the person may change the table's definition and take it back."""
        return self._may(Action.TABLE_ALTER)

    @property
    def may_describe(self) -> bool:
        """Tell whether the person may tag, classify and describe the table and its columns."""
        return self._may(Action.TABLE_TAG)

    @property
    def may_maintain(self) -> bool:
        """Tell whether the person may see to the upkeep of the table."""
        return self._may(Action.TABLE_MAINTAIN)

    @property
    def may_query(self) -> bool:
        """Tell whether the person may query the table."""
        return self._may(Action.TABLE_QUERY)

    @property
    def may_profile(self) -> bool:
        """Tell whether the person may have columns profiled, which reads them."""
        return self.may_query and self.viewed_as is None

    @property
    def may_see_who(self) -> bool:
        """Tell whether the person answers for the table, and so may see who else may use it."""
        return self._may(Action.POLICY_PUBLISH)

    @property
    def shown(self) -> Obligations:
        """Return what is done to the rows before the person sees them."""
        return self.access[0].decision.obligations

    @property
    def filters(self) -> tuple[str, ...]:
        """Return the policies that leave rows out for this person."""
        return tuple(row_filter.policy for row_filter in self.shown.row_filters)

    def column(self, field_id: str) -> ColumnLine | None:
        """Return one of the columns by its field id."""
        return next((line for line in self.columns if line.field_id == field_id), None)

    def _may(self, action: Action) -> bool:
        if self.viewed_as and action is not Action.TABLE_QUERY:
            return False
        return any(a.decision.action is action and a.decision.allowed for a in self.access)


class NotSeen(Problem):
    """For the principal that one looks as, there is no such table."""

    code = "not-seen"
    status = 404
    title = "They do not see this table"


@lake.at_one_moment()
def table_page(
    actor: Actor, catalog: Catalog, schema: str, name: str, *, onlooker: Actor | None = None
) -> TablePage:
    """Return the page of one table. Raises `selectors.UnknownTable`.

    With an `onlooker`, as `actor` sees it, who is without a device, and without anything that the
    onlooker is not shown. Raises `NotSeen` where `actor` may not browse the table.
    """
    newest = lake.latest_snapshot(catalog)
    whole = selectors.find_table(onlooker or actor, catalog, newest.snapshot_id, schema, name)
    securable = whole.securable(catalog.securable)
    if onlooker is not None:
        _check_is_seen(actor, securable)
    access = _access(actor, securable)
    local, device = _local(actor, securable) if onlooker is None else _at_best(actor, securable)
    query = access[0].decision
    own = query if onlooker is None else _access(onlooker, securable)[0].decision
    table = whole.without(query.obligations.hidden_columns | own.obligations.hidden_columns)
    owner = governance.contact_of(securable)
    said = details.descriptions_of([securable])
    order = details.classifications_of(securable.organization_id)
    (line,) = overview.lines_of(catalog, [table])
    assigned = governance.assigned_tags_of([securable])[securable.key]
    # Bounds are values of rows.
    sees_all = all(one.allowed and one.obligations.is_empty for one in (query, own))
    return TablePage(
        catalog=catalog,
        snapshot_id=newest.snapshot_id,
        line=replace(line, tags=_without_classification(line.tags)),
        owner=owner.name if owner else "",
        description=said.get(securable.key, ""),
        classification=details.classification_in(line.tags, order),
        own_classification=details.classification_in(assigned, order),
        own_tags=_without_classification(shown(assigned)),
        classifications=order,
        access=access,
        local=local,
        device=device,
        columns=_columns(
            table.securable(catalog.securable),
            column_summaries(catalog, table, newest.snapshot_id) if sees_all else {},
            {mask.column: mask.policy for mask in query.obligations.masks},
            said,
        ),
        snapshots=tuple(
            moments(
                actor,
                catalog,
                histories.touching(catalog, whole.table_id, overview.SNAPSHOTS_SHOWN),
                onlooker=onlooker,
            )
        ),
        files=tuple(histories.live_files(catalog, newest.snapshot_id, whole.table_id)),
        sees_all=sees_all,
        layout=layout_of(catalog, newest.snapshot_id, whole, table),
        viewed_as=None if onlooker is None else actor,
    )


def _check_is_seen(actor: Actor, securable: Securable) -> None:
    decision = governance.decide(actor, Action.CATALOG_BROWSE, securable)
    if not decision.allowed:
        raise NotSeen(
            f"For {actor.label} there is no table {securable.label}: it is in no list of theirs,"
            f" and its address is answered as if it were not there. {decision.reason}",
            hint=decision.remedy,
        )


def _columns(
    securable: Securable,
    summaries: dict[int, ColumnSummary],
    masked: dict[str, str],
    said: dict[str, str],
) -> tuple[ColumnLine, ...]:
    order = details.classifications_of(securable.organization_id)
    own, effective = governance.own_column_tags(securable), governance.column_tags_of([securable])
    inherited = governance.tags_of([securable])[securable.key]
    lines = []
    for column in securable.columns:
        tags = effective[column.key]
        field_id = int(column.key.rpartition("/")[2])
        lines.append(
            ColumnLine(
                column=column,
                summary=summaries.get(field_id, ColumnSummary()),
                tags=_without_classification(shown(tags - inherited)),
                own_tags=_without_classification(shown(own[column.key])),
                classification=details.classification_in(tags, order),
                own_classification=details.classification_in(own[column.key], order),
                description=said.get(column.key, ""),
                masked_by=masked.get(column.path[0], ""),
            )
        )
    return tuple(lines)


def _without_classification(tags: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(tag for tag in tags if tag.partition("=")[0] != details.CLASSIFICATION)


def _access(actor: Actor, securable: Securable) -> tuple[Access, ...]:
    """Return what the person may do on the server."""
    labels = {
        Action.TABLE_QUERY: "Query",
        Action.TABLE_APPEND: "Append",
        Action.TABLE_MODIFY: "Update and delete rows",
        Action.TABLE_ALTER: "Change its definition",
        Action.TABLE_MAINTAIN: "Maintain it",
        Action.TABLE_TAG: "Tag, classify and describe",
        Action.POLICY_PUBLISH: "Publish policies for it",
    }
    asked = [Request(action, securable) for action in labels]
    found = governance.decide_many(actor, asked, DecisionContext(place="server"))
    return tuple(Access(labels[decision.action], decision) for decision in found)


def _local(actor: Actor, securable: Securable) -> tuple[Materialization, str]:
    """Return what may be on the person's machine, asked as from a device of theirs, if approved."""
    approved = Device.objects.filter(user_id=actor.id, status=DeviceStatus.APPROVED)
    device = approved.order_by("-last_seen_at").first()
    from_device = replace(actor, device=device.identity) if device else actor
    return _outcome(from_device, securable), device.name if device else ""


def _at_best(actor: Actor, securable: Securable) -> tuple[Materialization, str]:
    """Return what may be on the machine of somebody else, once one of theirs is approved."""
    holder = replace(actor, device=BEST_DEVICE) if actor.is_person else actor
    return _outcome(holder, securable), "once approved"


def _outcome(holder: Actor, securable: Securable) -> Materialization:
    asked = materialization.requests(securable, DecisionContext(place="local"))
    (found,) = materialization.outcomes(governance.decide_many(holder, asked))
    return found
