"""What runs teach about predictions: learned when a run ends, forgotten when someone asks."""

from __future__ import annotations

from accounts.authorization import own_or_administer, require
from accounts.domain import Actor
from accounts.models import Device
from audit import services as audit
from audit import targets
from audit.domain import Event
from execution.domain import Place
from execution.models import LearnedCorrection, Query
from execution.timing import Correction

LEAST_SECONDS = 0.001


def learn(query: Query, *, seconds: float) -> None:
    """Move the correction of the query's place by what its run took.

    Called in the transaction that ends the run, which holds the query's row: a run teaches once.
    A plan that kept no prediction teaches nothing.
    """
    prediction = (query.plan.get("predictions") or {}).get(query.place) or {}
    predicted = float(prediction.get("model_seconds") or 0)
    if predicted <= 0:
        return
    device = query.device if query.place == Place.LOCAL else None
    rows = LearnedCorrection.objects.select_for_update()
    row, _ = rows.get_or_create(workspace_id=query.workspace_id, device=device)
    earlier = Correction(row.log_mean, row.runs)
    learned = earlier.learn(predicted=predicted, actual=max(seconds, LEAST_SECONDS))
    row.log_mean, row.runs = learned.log_mean, learned.runs
    row.save(update_fields=["log_mean", "runs", "updated_at"])


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
