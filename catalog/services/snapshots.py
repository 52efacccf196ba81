"""Names snapshots so that they are kept, and takes tables back to them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from accounts.domain import Actor, PrincipalKind
from audit import services as audit
from audit.domain import Event
from catalog import lake
from catalog.domain import JobKind, Snapshot, Table
from catalog.lake.types import quoted
from catalog.models import Catalog, Job, SnapshotTag
from catalog.selectors import as_shown_to
from catalog.services.jobs import enqueue_job
from catalog.services.tables import Viewed, definition_of, digest_of, repeated
from catalog.tables.definitions import layout_of
from catalog.tables.history import Sizes, sizes_at
from catalog.tables.layout import Layout
from catalog.tables.reversal import Reversal, reversal
from governance import mentions, securables
from governance import services as governance
from governance.domain import Action
from governance.tags import own_column_tags
from problems import Conflict, Invalid, NotFound

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


class UnknownSnapshotTag(NotFound):
    """The catalog has no such tag of a snapshot."""

    code = "unknown-snapshot-tag"
    title = "There is no such tag"


class NotThere(NotFound):
    """The table was not there at that snapshot."""

    code = "table-not-there"
    title = "The table was not there"


class TagsWouldBeLost(Conflict):
    """A column would come back without the tags and policies that protected it."""

    code = "tags-would-be-lost"
    title = "A protected column would come back unprotected"


@dataclass(frozen=True, slots=True)
class RollbackPreview:
    """What a rollback would do."""

    snapshot: Snapshot
    before: Sizes
    after: Sizes
    sentences: tuple[str, ...]
    statements: tuple[str, ...]
    plan: Reversal
    viewed: Viewed

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "schema_version": self.viewed.layout.schema_version,
            "snapshot_id": self.snapshot.snapshot_id,
            "rows_now": self.before.rows,
            "rows_then": self.after.rows,
            "steps": [
                {"does": does, "sql": sql}
                for does, sql in zip(self.sentences, self.statements, strict=True)
            ],
            "notes": list(self.plan.notes),
        }


def preview_rollback(
    *, actor: Actor, catalog: Catalog, schema: str, table: str, snapshot_id: int
) -> RollbackPreview:
    """Return what taking a table back to a snapshot would do; nothing is written.

    Raises `AccessDenied`, `UnknownTable`, `UnknownSnapshot`, `NotThere`, `InvalidChange` or
    `TagsWouldBeLost`.
    """
    viewed = definition_of(actor, catalog, schema, table)
    governance.authorize(actor, Action.TABLE_ALTER, viewed.table.securable(catalog.securable))
    _refuse_hidden(actor, catalog, viewed.table)
    snapshot = lake.snapshot(catalog, snapshot_id)
    past = lake.table_by_uuid(catalog, snapshot_id, viewed.table.table_uuid)
    if past is None:
        raise NotThere(
            f"{viewed.table.label} was not there at snapshot {snapshot_id}.",
            hint="Choose a later snapshot, from the table's history.",
        )
    then = layout_of(catalog, snapshot_id, past)
    plan = reversal(then, viewed.layout, snapshot_id)
    refuse_unprotected(catalog, past, plan)
    sentences, statements = steps_of(viewed.layout, plan)
    newest = lake.latest_snapshot(catalog).snapshot_id
    return RollbackPreview(
        snapshot=snapshot,
        before=sizes_at(catalog, viewed.table, newest),
        after=sizes_at(catalog, past, snapshot_id),
        sentences=(
            *sentences,
            f"Deletes the rows that were added or changed after snapshot {snapshot_id}.",
            "Writes those again that were changed or deleted after it; others keep their files.",
        ),
        statements=(*statements, *plan.rows),
        plan=plan,
        viewed=viewed,
    )


@audit.service
def roll_back_table(
    *,
    actor: Actor,
    catalog: Catalog,
    schema: str,
    table: str,
    snapshot_id: int,
    message: str = "",
    idempotency_key: str = "",
) -> Job:
    """Queue the return of a table to what it was at a snapshot, as a new snapshot.

    Field ids stay, so that tags and policies hold. Raises as `preview_rollback`, or
    `IdempotencyConflict`.
    """
    digest = digest_of(actor, "roll back", schema, table, snapshot_id)
    if earlier := repeated(catalog, idempotency_key, digest, JobKind.ROLL_BACK):
        return earlier
    found = preview_rollback(
        actor=actor, catalog=catalog, schema=schema, table=table, snapshot_id=snapshot_id
    )
    now = found.viewed.table
    audit.record(
        actor=actor,
        event=Event.SNAPSHOT_ROLLED_BACK,
        target=securables.target(now.securable(catalog.securable)),
        before={"rows": found.before.rows, "schema_version": found.viewed.layout.schema_version},
        after={"snapshot_id": snapshot_id, "rows": found.after.rows, "steps": found.sentences},
    )
    *changes, delete, restore = found.statements
    return enqueue_job(
        actor=actor,
        catalog=catalog,
        kind=JobKind.ROLL_BACK,
        arguments={
            "schema": now.schema_name,
            "table": now.name,
            "snapshot_id": snapshot_id,
            "statements": [*changes, delete],
            "setup": list(found.plan.setup),
            "restores": restore,
            "digest": digest,
            "message": message or f"Roll {now.label} back to snapshot {snapshot_id}",
            "expects": {
                "schema": now.schema_name,
                "table": now.name,
                "table_uuid": str(now.table_uuid),
                "schema_version": found.viewed.layout.schema_version,
            },
        },
        idempotency_key=idempotency_key,
    )


@audit.service
def tag_snapshot(
    *, actor: Actor, catalog: Catalog, name: str, snapshot_id: int, note: str = ""
) -> SnapshotTag:
    """Name a snapshot, so that it is kept; a tag that is there moves to it.

    Raises `AccessDenied`, `UnknownSnapshot` or `Invalid`.
    """
    governance.authorize(actor, Action.TABLE_ALTER, catalog.securable)
    if not NAME.fullmatch(name):
        raise Invalid(
            f"{name[:80]!r} cannot be a snapshot's tag.",
            hint="Use up to 80 lower-case letters, digits, dots, dashes and underscores.",
        )
    snapshot = lake.snapshot(catalog, snapshot_id)
    before = SnapshotTag.objects.filter(catalog=catalog, name=name).first()
    tag, _ = SnapshotTag.objects.update_or_create(
        catalog=catalog,
        name=name,
        defaults={
            "snapshot_id": snapshot_id,
            "snapshot_time": snapshot.snapshot_time,
            "note": note,
            "created_by_id": actor.id if actor.kind is PrincipalKind.USER else None,
        },
    )
    audit.record(
        actor=actor,
        event=Event.SNAPSHOT_TAGGED,
        target=securables.target(catalog.securable),
        before={"snapshot_id": before.snapshot_id} if before else None,
        after={"tag": name, "snapshot_id": snapshot_id, "note": note},
    )
    return tag


@audit.service
def untag_snapshot(*, actor: Actor, catalog: Catalog, name: str) -> None:
    """Take a tag away: maintenance may expire the snapshot. Raises `UnknownSnapshotTag`."""
    governance.authorize(actor, Action.TABLE_ALTER, catalog.securable)
    tag = SnapshotTag.objects.filter(catalog=catalog, name=name).first()
    if tag is None:
        raise UnknownSnapshotTag(f"No snapshot of {catalog.name} is tagged {name[:80]!r}.")
    audit.record(
        actor=actor,
        event=Event.SNAPSHOT_UNTAGGED,
        target=securables.target(catalog.securable),
        before={"tag": name, "snapshot_id": tag.snapshot_id},
    )
    tag.delete()


def steps_of(now: Layout, plan: Reversal) -> tuple[list[str], list[str]]:
    """Return the changes of a definition in words and as SQL, one after the other."""
    sentences, statements = [], []
    for operation in plan.operations:
        sentences.append(operation.sentence(now))
        statements.append(operation.sql(now))
        now = operation.apply(now)
    return sentences, statements


def _refuse_hidden(actor: Actor, catalog: Catalog, table: Table) -> None:
    """Refuse who does not see all columns: the preview would tell of the others."""
    (seen,) = as_shown_to(actor, catalog, [table])
    if len(seen.columns) < len(table.columns):
        raise Conflict(
            f"Columns of {table.label} are hidden from you: the rollback would change them too.",
            hint="Ask somebody who sees the whole table.",
        )


def refuse_unprotected(catalog: Catalog, past: Table, plan: Reversal) -> None:
    """Refuse what would bring a column back under a new field id, without its protection."""
    ids = {c.column_id: c.name for c in past.top_columns if c.name in plan.regained}
    prefix = f"column:{catalog.id}/{past.table_uuid}"
    parent = past.securable(catalog.securable)
    own = own_column_tags(parent)
    protected = {
        column.path[0]
        for column in parent.columns
        if column.path[0] in ids.values() and own[column.key]
    }
    named = mentions.policies_naming(catalog.workspace, [f"{prefix}/{id_}" for id_ in ids])
    protected |= {ids[int(key.rpartition("/")[2])] for _, key in named}
    if protected:
        names = ", ".join(sorted(protected))
        raise TagsWouldBeLost(
            f"{names} was dropped after that snapshot with its tags and policies; it would come"
            " back without them.",
            hint=f"Add {quoted(min(protected))} again, protect it, and copy its rows from"
            " the snapshot.",
        )
