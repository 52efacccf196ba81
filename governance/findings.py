"""What is wrong with a policy's text, said so that its author can put it right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong, at a line and column of the text, both counted from 1.

    An error keeps the policy from being published; a warning is only shown.
    """

    line: int
    column: int
    message: str
    hint: str = ""
    severity: Severity = "error"

    @property
    def is_error(self) -> bool:
        """Tell whether the policy cannot be published with it."""
        return self.severity == "error"
