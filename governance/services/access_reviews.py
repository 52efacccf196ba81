"""Reviews of access: who may what, each right confirmed or taken away, with evidence to keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from accounts.domain import Actor
from audit import services as audit
from audit.domain import Event
from audit.services import Target
from governance import securables
from governance.domain import Action, PolicyKind, ReviewOutcome, VersionState
from governance.models import AccessReview, AccessReviewItem, Policy, PolicyVersion
from governance.selectors import decide
from governance.services import policies
from governance.services.authorization import authorize
from problems import Conflict, Invalid, NotFound
from workspaces import services as workspaces
from workspaces.models import Membership, Workspace

MEMBERSHIP, POLICY = "membership", "policy"
MAX_TITLE_LENGTH = 200


class UnknownAccessReview(NotFound):
    """There is no such review or right in it, or the actor may not know that there is."""

    code = "unknown-access-review"
    title = "There is no such review"


class AccessReviewOpen(Conflict):
    """The workspace has a review that is not closed."""

    code = "access-review-open"
    title = "A review is under way"


class AccessReviewDecided(Conflict):
    """The right was decided in this review, or the review is closed."""

    code = "access-review-decided"
    title = "It was decided before"


@audit.service
def start_review(
    *, actor: Actor, workspace: Workspace, title: str, due_at: datetime | None = None
) -> AccessReview:
    """Write down every role and every permitting policy of the workspace, to be looked at.

    Raises `AccessDenied`, `AccessReviewOpen`, `Invalid`.
    """
    authorize(actor, Action.MEMBER_MANAGE, securables.workspace(workspace))
    if not actor.is_person:
        raise Invalid("A program cannot review access.", hint="A person starts the review.")
    if not title.strip() or len(title) > MAX_TITLE_LENGTH:
        raise Invalid("Give the review a title.", hint="In at most 200 characters: Q4 2026.")
    review = AccessReview(
        workspace=workspace, title=title.strip(), started_by_id=actor.id, due_at=due_at
    )
    try:
        with transaction.atomic():
            review.save(force_insert=True)
    except IntegrityError as error:
        raise AccessReviewOpen(
            f"{workspace.name} has a review under way.", hint="Close that one first."
        ) from error
    found = [*_roles(review), *_permits(review)]
    AccessReviewItem.objects.bulk_create(found)
    _record(actor, Event.ACCESS_REVIEW_STARTED, review, {"rights": len(found)})
    return review


@audit.service
def confirm_right(*, actor: Actor, item: AccessReviewItem, reason: str = "") -> AccessReviewItem:
    """Say that somebody should keep a right. Raises `AccessDenied`, `AccessReviewDecided`."""
    item = _held(actor, item)
    return _decided(actor, item, ReviewOutcome.CONFIRMED, reason)


@audit.service
def revoke_right(*, actor: Actor, item: AccessReviewItem, reason: str) -> AccessReviewItem:
    """Take a right away: the role is revoked, the policy retired.

    What is gone already counts as taken away. Raises `AccessDenied`, `AccessReviewDecided`,
    `Invalid` without a reason or for one's own role, and what retiring a policy refuses.
    """
    item = _held(actor, item)
    if not reason.strip():
        raise Invalid("To take a right away, say why.", hint="The reason is kept as evidence.")
    if item.source == MEMBERSHIP:
        _revoke_role(actor, item)
    else:
        _end_policy(actor, item, reason)
    return _decided(actor, item, ReviewOutcome.REVOKED, reason)


@audit.service
def close_review(*, actor: Actor, review: AccessReview) -> AccessReview:
    """Close a review once every right was looked at. Raises `AccessReviewDecided`, `Invalid`."""
    review = _open(actor, review)
    pending = review.items.filter(outcome=ReviewOutcome.PENDING).count()
    if pending:
        raise Invalid(
            f"{pending} rights were not looked at yet.", hint="Confirm each, or take it away."
        )
    review.closed_at = timezone.now()
    review.save(update_fields=["closed_at"])
    outcomes = review.items.order_by().values_list("outcome").annotate(Count("id"))
    _record(actor, Event.ACCESS_REVIEW_CLOSED, review, dict(outcomes))
    return review


def visible_reviews(actor: Actor, workspace: Workspace) -> QuerySet[AccessReview]:
    """Return the workspace's reviews, for those who manage its members or read its ledger."""
    rows = AccessReview.objects.filter(workspace=workspace).select_related("started_by")
    return with_counts(rows) if may_read(actor, workspace) else rows.none()


def may_read(actor: Actor, workspace: Workspace) -> bool:
    """Tell whether the actor may read the workspace's reviews."""
    place = securables.workspace(workspace)
    return any(decide(actor, action, place).allowed for action in READERS)


READERS = (Action.MEMBER_MANAGE, Action.AUDIT_READ)
"""Any of these lets somebody read reviews."""


def with_counts(rows: QuerySet[AccessReview]) -> QuerySet[AccessReview]:
    """Return reviews with `rights` and `pending`, the numbers of their items."""
    pending = Count("items", filter=Q(items__outcome=ReviewOutcome.PENDING))
    return rows.annotate(rights=Count("items"), pending=pending)


def find_review(actor: Actor, workspace: Workspace, review_id: UUID) -> AccessReview:
    """Return a review that the actor may read. Raises `UnknownAccessReview`."""
    found = visible_reviews(actor, workspace).filter(id=review_id).first()
    if found is None:
        raise UnknownAccessReview("There is no such review of access.")
    return found


def find_item(review: AccessReview, item_id: UUID) -> AccessReviewItem:
    """Return one right of a review. Raises `UnknownAccessReview`."""
    found = review.items.filter(id=item_id).first()
    if found is None:
        raise UnknownAccessReview("The review has no such right.")
    return found


def evidence(review: AccessReview) -> Iterator[list[str]]:
    """Return the review as rows of text, a heading first: what an auditor keeps."""
    yield ["holder", "right", "ends_at", "outcome", "reason", "decided_by", "decided_at"]
    for item in review.items.select_related("decided_by"):
        yield [
            item.holder,
            item.right,
            item.ends_at.isoformat() if item.ends_at else "",
            item.outcome,
            item.reason,
            item.decided_by.email if item.decided_by else "",
            item.decided_at.isoformat() if item.decided_at else "",
        ]


def _roles(review: AccessReview) -> Iterator[AccessReviewItem]:
    rows = Membership.objects.filter(workspace=review.workspace)
    for row in rows.select_related("user", "service_account", "group"):
        people = row.group.users.count() + row.group.service_accounts.count() if row.group else 0
        members = f", held by its {people} members" if row.group else ""
        yield AccessReviewItem(
            review=review,
            source=MEMBERSHIP,
            source_id=row.id,
            holder=f"{row.principal_kind.replace('_', ' ')} {row.principal}",
            right=f"The role {row.role} in {review.workspace.name}{members}.",
        )


def _permits(review: AccessReview) -> Iterator[AccessReviewItem]:
    rows = PolicyVersion.objects.filter(
        policy__workspace=review.workspace,
        policy__kind=PolicyKind.ACCESS,
        state=VersionState.PUBLISHED,
    )
    for row in rows.select_related("policy"):
        statements = row.compiled.get("statements", [])
        if any(one["body"]["effect"] == "permit" for one in statements):
            yield AccessReviewItem(
                review=review,
                source=POLICY,
                source_id=row.policy.id,
                holder=f"policy {row.policy.name}",
                right=row.summary,
                ends_at=row.policy.expires_at,
            )


def _revoke_role(actor: Actor, item: AccessReviewItem) -> None:
    membership = Membership.objects.filter(id=item.source_id).select_related("workspace").first()
    if membership is None:
        return
    if membership.user_id == actor.id:
        raise Invalid("Nobody takes their own role away.", hint="Ask another owner to decide it.")
    workspaces.revoke_membership(actor=actor, membership=membership)


def _end_policy(actor: Actor, item: AccessReviewItem, reason: str) -> None:
    policy = Policy.objects.filter(id=item.source_id).first()
    if policy and policy.versions.filter(state=VersionState.PUBLISHED).exists():
        policies.retire_policy(actor=actor, policy=policy, reason=reason)


def _open(actor: Actor, review: AccessReview) -> AccessReview:
    """Return the review, held until the transaction ends, while it is open."""
    rows = AccessReview.objects.select_for_update(of=("self",))
    found = rows.select_related("workspace__organization").get(id=review.id)
    authorize(actor, Action.MEMBER_MANAGE, securables.workspace(found.workspace))
    if found.closed_at is not None:
        raise AccessReviewDecided(f"The review {found.title} is closed.")
    return found


def _held(actor: Actor, item: AccessReviewItem) -> AccessReviewItem:
    review = _open(actor, item.review)
    found = review.items.get(id=item.id)
    if found.outcome != ReviewOutcome.PENDING:
        raise AccessReviewDecided(f"The right was {found.outcome} before.")
    found.review = review
    return found


def _decided(
    actor: Actor, item: AccessReviewItem, outcome: ReviewOutcome, reason: str
) -> AccessReviewItem:
    item.outcome, item.reason = outcome, reason.strip()
    item.decided_by_id = actor.id if actor.is_person else None
    item.decided_at = timezone.now()
    item.save()
    facts = {"holder": item.holder, "right": item.right, "outcome": outcome, "reason": item.reason}
    _record(actor, Event.ACCESS_REVIEWED, item.review, facts)
    return item


def _record(actor: Actor, event: Event, review: AccessReview, after: Mapping[str, object]) -> None:
    where = review.workspace
    target = Target("access_review", str(review.id), review.title, where.organization_id, where.id)
    audit.record(actor=actor, event=event, target=target, after=after)
