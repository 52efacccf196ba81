"""Carries out one step of upkeep as a job of the catalog's one writer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from catalog.lake import standing
from catalog.maintenance import cleanup, health
from catalog.maintenance.domain import Step, StepKind
from catalog.maintenance.leases import leases_of
from catalog.maintenance.policies import policy_of
from catalog.models import Job, MaintenanceRun
from catalog.writer import process
from catalog.writer.process import Outcome
from problems import Conflict

Heard = Callable[[dict[str, Any]], None]


class MaintenanceCancelled(Conflict):
    """Someone asked to stop the run."""

    code: ClassVar[str] = "maintenance-cancelled"
    title: ClassVar[str] = "The run was cancelled"


def carry_out(job: Job, heard: Heard) -> Outcome:
    """Carry out a job of kind `maintain`; the writer's process is killed where it is cancelled.

    What was committed before stays: each step leaves the lake whole. Raises
    `MaintenanceCancelled`.
    """
    run = MaintenanceRun.objects.get(id=job.arguments["run"])
    step = Step.of(job.arguments["step"])
    listening = _listening(run, heard)
    listening({"step": step.kind.value})
    match step.kind:
        case StepKind.CLEAN_UP:
            return Outcome({"files_removed": cleanup.clean_up(job.catalog, listening)})
        case StepKind.ORPHANS:
            return Outcome({"files_removed": cleanup.remove_orphans(job.catalog, listening)})
        case StepKind.EXPIRE:
            return _expired(job, listening)
        case _:
            return _rewritten(job, listening)


def _listening(run: MaintenanceRun, heard: Heard) -> Heard:
    """Return what passes progress on, and raises where someone asked to stop."""

    def listen(progress: dict[str, Any]) -> None:
        asked = MaintenanceRun.objects.filter(id=run.id, cancel_requested_at__isnull=False)
        if asked.exists():
            raise MaintenanceCancelled("It was stopped because someone asked for that.")
        MaintenanceRun.objects.filter(id=run.id).update(progress=progress)
        heard(progress)

    return listen


def _expired(job: Job, heard: Heard) -> Outcome:
    """Let the snapshots expire that nobody needs at this moment."""
    found = health.expirable(job.catalog, policy_of(job.catalog), leases_of(job.catalog))
    if not found:
        return Outcome({"snapshots_expired": 0})
    job.arguments |= {"snapshots": list(found)}
    outcome = process.run(job, heard)
    if outcome.result is not None:
        outcome.result["snapshots_expired"] = len(found)
    return outcome


def _rewritten(job: Job, heard: Heard) -> Outcome:
    """Run the step in the writer's process, and measure what it wrote."""
    before = health.newest_file_id(job.catalog)
    outcome = process.run(job, heard)
    if outcome.result is not None:
        files, size = standing.written_since(job.catalog, before)
        outcome.result.update(files_written=files, bytes_written=size)
    return outcome
