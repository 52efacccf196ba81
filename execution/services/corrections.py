"""What runs teach about predictions: learned when a run ends, forgotten when someone asks."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.utils import timezone

from accounts import statements
from accounts.authorization import own_or_administer, require
from accounts.domain import Actor
from accounts.models import Device
from audit import services as audit
from audit import targets
from audit.domain import Event
from execution.domain import Place
from execution.models import LearnedCorrection, Query
from execution.timing import NEWEST_WEIGHS, Correction, log_ratio

LEAST_SECONDS = 0.001

# `Correction.learn` in SQL, so that runs that end at the same time hold the row for one statement
# each; a test keeps the two equal. With no earlier run the mean moves half of the way.
LEARN = """
INSERT INTO execution_learnedcorrection AS known
       (workspace_id, device_id, log_mean, runs, updated_at)
VALUES (%(workspace)s, %(device)s, %(first)s, 1, %(now)s)
ON CONFLICT (workspace_id, device_id) DO UPDATE
   SET log_mean = known.log_mean + greatest(1.0 / (known.runs + 2), %(newest)s)
                  * (%(log_ratio)s - known.log_mean),
       runs = known.runs + 1, updated_at = excluded.updated_at
RETURNING runs
"""


def learn_soon(query: Query, *, seconds: float) -> None:
    """Learn from a run once the transaction that ends it is committed, and its followers are told.

    Everyone's runs of a workspace move one row: who held it while rows are on their way to the
    bucket would hold up the others. A worker that dies in between teaches a run less.
    """
    transaction.on_commit(partial(learn, query, seconds=seconds), robust=True)


def learn(query: Query, *, seconds: float) -> None:
    """Move the correction of the query's place by what its run took.

    Call it only where the end of the run was this caller's to write: a run teaches once. A plan
    that kept no prediction teaches nothing.
    """
    prediction = (query.plan.get("predictions") or {}).get(query.place) or {}
    predicted = float(prediction.get("model_seconds") or 0)
    if predicted <= 0:
        return
    actual = max(seconds, LEAST_SECONDS)
    learned = {
        "device": query.device_id if query.place == Place.LOCAL else None,
        "first": Correction().learn(predicted=predicted, actual=actual).log_mean,
        "log_ratio": log_ratio(predicted=predicted, actual=actual),
        "newest": NEWEST_WEIGHS,
        "now": timezone.now(),
        "workspace": query.workspace_id,
    }
    statements.rows(LEARN, learned)


@audit.service
def reset_predictions(*, actor: Actor, device: Device) -> int:
    """Forget what was learned about a device, in every workspace; return how much that was.

    Its person may, and an administrator. What the device reported of its link goes too.
    """
    verdict = own_or_administer(actor, device.user_id, device.user.organization_id, "device.manage")
    require(verdict, actor=actor, target=targets.device(device))
    rows = LearnedCorrection.objects.select_for_update().filter(device=device)
    before = {str(row.workspace_id): [round(row.log_mean, 3), row.runs] for row in rows}
    LearnedCorrection.objects.filter(device=device).delete()
    Device.objects.filter(pk=device.pk).update(link_bytes_per_second=None, cached_bytes={})
    audit.record(
        actor=actor,
        event=Event.DEVICE_PREDICTIONS_RESET,
        target=targets.device(device),
        before={"log_mean_and_runs_by_workspace": before},
    )
    return len(before)
