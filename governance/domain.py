"""Who may do what, and why, as plain values: actions, securables, decisions, obligations."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class Action(StrEnum):
    """Everything that can be allowed, `noun.verb`, alphabetised. Mirrored in schema.cedarschema."""

    AUDIT_READ = "audit.read"
    BUCKET_MANAGE = "bucket.manage"
    CATALOG_BROWSE = "catalog.browse"
    CATALOG_CREATE = "catalog.create"
    CATALOG_MANAGE = "catalog.manage"
    DEVICE_MANAGE = "device.manage"
    MEMBER_MANAGE = "member.manage"
    POLICY_AUTHOR = "policy.author"
    POLICY_PUBLISH = "policy.publish"
    POLICY_VIEW_AS = "policy.view_as"
    QUERY_MANAGE = "query.manage"
    TABLE_ALTER = "table.alter"
    TABLE_APPEND = "table.append"
    TABLE_CREATE = "table.create"
    TABLE_MAINTAIN = "table.maintain"
    TABLE_MATERIALIZE_EXTRACT = "table.materialize_extract"
    TABLE_MATERIALIZE_LOCALLY = "table.materialize_locally"
    TABLE_MODIFY = "table.modify"
    TABLE_QUERY = "table.query"
    TABLE_TAG = "table.tag"
    TAG_DEFINE = "tag.define"
    WORKSPACE_MANAGE = "workspace.manage"
    WORKSPACE_QUERY = "workspace.query"


class SecurableKind(StrEnum):
    """What a policy can name."""

    CATALOG = "Catalog"
    COLUMN = "Column"
    ORGANIZATION = "Organization"
    TABLE = "Table"
    WORKSPACE = "Workspace"


class PolicyKind(StrEnum):
    """What a policy says: who may, what is shown of a column, or which rows are shown."""

    ACCESS = "access"
    MASK = "mask"
    ROW_FILTER = "row_filter"


class VersionState(StrEnum):
    """Where one version of a policy stands."""

    DRAFT = "draft"
    IN_REVIEW = "in_review"
    PUBLISHED = "published"
    REJECTED = "rejected"
    RETIRED = "retired"
    SUPERSEDED = "superseded"


class RequestState(StrEnum):
    """What became of someone's asking for access."""

    DECLINED = "declined"
    GRANTED = "granted"
    OPEN = "open"
    WITHDRAWN = "withdrawn"


class ReviewOutcome(StrEnum):
    """What a review of access came to for one right."""

    CONFIRMED = "confirmed"
    PENDING = "pending"
    REVOKED = "revoked"


class ReplayState(StrEnum):
    """Where a replay of recorded decisions stands."""

    CANCELLED = "cancelled"
    FAILED = "failed"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"


class MaskMethod(StrEnum):
    """What becomes of a masked column."""

    BUCKET = "bucket"
    CONSTANT = "constant"
    DATE_TRUNC = "date_trunc"
    EMAIL_DOMAIN = "email_domain"
    EXPRESSION = "expression"
    HIDE = "hide"
    HMAC = "hmac"
    NULL = "null"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class SecurableColumn:
    """A column as policies name it: by its key, which is stable, or by its path.

    `key` is `column:<catalog uuid>/<DuckLake table uuid>/<field id>`; `path` has the names from
    the top, so that `("info", "iban")` is a child of the struct `info`; `type` is DuckDB's.
    """

    key: str
    path: tuple[str, ...]
    type: str

    @property
    def name(self) -> str:
        """Return the name as people write it: `info.iban`."""
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Securable:
    """A thing with an owner and tags that a decision is about.

    `key` is stable through renames: `workspace:<uuid>`, `catalog:<uuid>`,
    `table:<catalog uuid>/<DuckLake table uuid>`, `column:<the table's>/<field id>`. `parent`
    leads up to the organization, from a child of a struct by way of the struct.
    `columns` are a table's, nested ones included, each after its parent; without them, nobody
    can say what a mask makes of the table, and every mask that may concern it does.
    """

    kind: SecurableKind
    key: str
    label: str
    organization_id: UUID
    workspace_id: UUID | None = None
    parent: Securable | None = None
    columns: tuple[SecurableColumn, ...] = field(default=(), compare=False, repr=False)

    @property
    def ancestors(self) -> tuple[Securable, ...]:
        """Return the parents, nearest first."""
        found: list[Securable] = []
        node = self.parent
        while node is not None:
            found.append(node)
            node = node.parent
        return tuple(found)


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """The circumstances a caller knows and the actor does not carry.

    `place` is "server", "local", or empty when nothing runs; `now` defaults to the present;
    `scan_bytes` is what the plan says would be read, 0 before there is one; `purpose` is what the
    person says it is for. The device, the token, MFA and the organization's local mode are looked
    up, never passed in.
    """

    place: str = ""
    now: datetime | None = None
    scan_bytes: int = 0
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One question of a batch: whether the principal may do `action` on `securable`.

    `context` stands for the batch's, so that one batch may ask about several places.
    """

    action: Action
    securable: Securable
    context: DecisionContext | None = None


@dataclass(frozen=True, slots=True)
class ColumnMask:
    """A top-level column whose values are replaced by `expression` before anyone sees them.

    `expression` is SQL over the table's own columns and of the column's own type.
    """

    column: str
    expression: str
    policy: str


@dataclass(frozen=True, slots=True)
class RowFilter:
    """A predicate that rows must satisfy before anyone sees them; it names no principal."""

    predicate: str
    policy: str


@dataclass(frozen=True, slots=True)
class Obligations:
    """What must be applied when the allowed action is carried out."""

    masks: tuple[ColumnMask, ...] = ()
    row_filters: tuple[RowFilter, ...] = ()
    hidden_columns: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Tell whether the principal may see all of the securable, unchanged."""
        return not (self.masks or self.row_filters or self.hidden_columns)

    @property
    def fingerprint(self) -> str:
        """Return a digest that two principals share exactly where both see the same of it."""
        shown: list[object] = [
            sorted((mask.column, mask.expression) for mask in self.masks),
            [row_filter.predicate for row_filter in self.row_filters],
            sorted(self.hidden_columns),
        ]
        return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


NO_OBLIGATIONS = Obligations()


@dataclass(frozen=True, slots=True)
class PolicyReference:
    """A policy that determined a decision: its name, version and plain-sentence summary.

    `remedy` says what would change the answer, where the policy forbids; `max_age_seconds` how
    long what it permits to hand out may be held.
    """

    name: str
    version: int
    summary: str = ""
    remedy: str = ""
    max_age_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to principal x action x securable x context.

    `reason` is one sentence for the person asking; `remedy` says what would change the answer.
    """

    allowed: bool
    action: Action
    securable_key: str
    securable_label: str
    reason: str
    determined_by: tuple[PolicyReference, ...] = ()
    remedy: str = ""
    obligations: Obligations = field(default=NO_OBLIGATIONS)

    @property
    def max_age_seconds(self) -> int | None:
        """Return how long what is handed out may be held: the least that a policy says, if any."""
        said = [p.max_age_seconds for p in self.determined_by if p.max_age_seconds is not None]
        return min(said, default=None)

    def as_dict(self) -> dict[str, Any]:
        """Return the decision as JSON-ready data for plans and the ledger."""
        return {
            "allowed": self.allowed,
            "action": self.action.value,
            "securable": {"key": self.securable_key, "label": self.securable_label},
            "reason": self.reason,
            "determined_by": [
                {"name": p.name, "version": p.version, "summary": p.summary}
                for p in self.determined_by
            ],
            "remedy": self.remedy,
            "masks": [m.column for m in self.obligations.masks],
            "row_filters": [f.policy for f in self.obligations.row_filters],
            "hidden_columns": sorted(self.obligations.hidden_columns),
        }
