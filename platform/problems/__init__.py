"""What a person is told when something is refused: one base error for every room.

A `Problem` is translated once per surface: RFC 9457 JSON by the API, an inline panel by the
console, an exit code by the CLI. Subclasses live beside the function that raises them.
"""

from __future__ import annotations

from typing import Any, ClassVar


class Problem(Exception):
    """An expected failure that a person can act on.

    `code` is stable and documented; `status` is the HTTP status; `title` says what happened,
    `detail` why, `hint` what to do next. `extra` holds machine-readable members (RFC 9457 §3.2).
    """

    code: ClassVar[str] = "problem"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "The request could not be carried out"
    challenge: ClassVar[str] = ""
    """What would be accepted, as a `WWW-Authenticate` header says it (RFC 9110 §11.6.1)."""
    retry_after_seconds: int | None = None
    """When to try again, as a `Retry-After` header says it (RFC 9110 §10.2.3)."""
    denial: Any = None
    """What the ledger must keep of a refusal, an `audit.services.Denial`; recorded once."""

    def __init__(self, detail: str, *, hint: str = "", **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.extra = extra

    def as_dict(self) -> dict[str, Any]:
        """Return the members of an RFC 9457 problem document, without `instance`."""
        members: dict[str, Any] = {
            "type": f"urn:upend:problem:{self.code}",
            "code": self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.hint:
            members["hint"] = self.hint
        return members | self.extra


class NotFound(Problem):
    """The thing does not exist, or the actor may not know that it does."""

    code = "not-found"
    status = 404
    title = "Not found"


class Conflict(Problem):
    """The state has moved on, or the name is taken."""

    code = "conflict"
    status = 409
    title = "Conflict"


class Invalid(Problem):
    """The input is not acceptable; nothing was changed."""

    code = "invalid"
    status = 422
    title = "Invalid input"
