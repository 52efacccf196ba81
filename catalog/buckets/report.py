"""What a connection check found, as plain values: named steps, each with its fix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How a step ended. A warning is no hindrance, but something will be missed."""

    FAILED = "failed"
    PASSED = "passed"
    SKIPPED = "skipped"
    WARNING = "warning"


OUTCOMES = [outcome.value for outcome in Outcome]
"""As the API lists them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one step found, what to do about it, and the JSON to paste where that helps."""

    found: str
    fix: str = ""
    paste: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a check, done."""

    name: str
    title: str
    outcome: Outcome
    milliseconds: int
    found: str
    fix: str = ""
    paste: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A whole check."""

    checked_at: datetime
    steps: Sequence[Step]

    @property
    def outcome(self) -> Outcome:
        """Return the worst outcome of any step; what was skipped does not count."""
        worst = (Outcome.FAILED, Outcome.WARNING)
        found = {step.outcome for step in self.steps}
        return next((outcome for outcome in worst if outcome in found), Outcome.PASSED)

    def step(self, name: str) -> Step:
        """Return one step."""
        return next(step for step in self.steps if step.name == name)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON keeps it."""
        return {
            "outcome": self.outcome.value,
            "checked_at": self.checked_at.isoformat(),
            "steps": [asdict(step) for step in self.steps],
        }


class StepEnded(Exception):
    """Ends a step with another outcome than passed; never leaves the check."""

    outcome = Outcome.FAILED

    def __init__(self, found: str, fix: str = "", paste: str = "") -> None:
        super().__init__(found)
        self.finding = Finding(found, fix, paste)


class Failed(StepEnded):
    """The bucket cannot be used like this."""


class Warned(StepEnded):
    """The bucket can be used, but something will be missed."""

    outcome = Outcome.WARNING


class Skipped(StepEnded):
    """There was nothing to look at."""

    outcome = Outcome.SKIPPED
