"""Follows a write of a catalog's one writer to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from upend.errors import QueryFailed

if TYPE_CHECKING:
    from upend.api import Api

FINAL = frozenset({"succeeded", "failed"})
QUICK_LOOKS = 10
Document = dict[str, Any]
OnState = Callable[[str, float | None], None]


def unheard(state: str, percent: float | None) -> None:
    """Say nothing."""


def followed(api: Api, workspace: str, job: Document, on_state: OnState) -> Document:
    """Return a job once it has succeeded; `on_state` hears of its state and percent meanwhile.

    Raises `QueryFailed` with what the writer said.
    """
    looks = 0
    while job["state"] not in FINAL:
        on_state(job["state"], job["progress"].get("percent"))
        pause(looks)
        looks += 1
        job = api.get(f"/api/v1/workspaces/{workspace}/jobs/{job['id']}")
    if job["state"] == "failed":
        problem = job["problem"] or {}
        raise QueryFailed(
            problem.get("detail", "It could not be done."),
            code=problem.get("code", "load-failed"),
            hint=problem.get("hint", ""),
        )
    return job


def pause(looks: int) -> None:
    """Wait before looking again: briefly at first."""
    time.sleep(0.2 if looks < QUICK_LOOKS else 1.0)
