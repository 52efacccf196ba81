"""What can go wrong, told to a person: what happened, why, and what to do next."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, ClassVar

PROOF_CODES = frozenset({"clock-skew", "device-proof-refused"})
"""A 401 that a new login would not help: the device's proof is what was refused."""


class UpendError(Exception):
    """The base of every error this package raises on purpose.

    `code` is stable and documented (docs/reference/cli.md); `detail` says what happened and why,
    `hint` what to do next; `request_id` finds the request in the server's log; `extra` holds the
    further members of the server's problem document (RFC 9457 section 3.2).
    """

    exit_code: ClassVar[int] = 5

    def __init__(
        self,
        detail: str,
        *,
        code: str,
        hint: str = "",
        status: int = 0,
        request_id: str = "",
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.hint = hint
        self.status = status
        self.request_id = request_id
        self.extra = extra or {}

    def as_dict(self) -> dict[str, Any]:
        """Return the members that machines read (`--json`) and receipts carry."""
        members = {"code": self.code, "detail": self.detail, "hint": self.hint}
        if self.request_id:
            members["request_id"] = self.request_id
        return members


class HandedOver(UserWarning):
    """A run outgrew this machine's memory, and the server took over."""


class UsageError(UpendError):
    """The call itself is wrong; nothing was sent."""

    exit_code = 2


class Refused(UpendError):
    """The server said no before anything ran: a policy, the SQL gate, an unknown table, a limit."""

    exit_code = 3


class NotLoggedIn(UpendError):
    """There are no credentials for the server, or it no longer accepts them."""

    exit_code = 4


class QueryFailed(UpendError):
    """The query was accepted and failed, or what it left behind is gone."""

    exit_code = 5


class Unreachable(UpendError):
    """The server or its storage could not be reached, or could not serve now."""

    exit_code = 6


class QueryCancelled(UpendError):
    """The person, or somebody with the right to, stopped the query."""

    exit_code = 130


class ManifestRejected(Refused):
    """A manifest failed verification; not one byte of data was fetched."""


def of_problem(status: int, document: dict[str, Any], request_id: str) -> UpendError:
    """Return the error for an HTTP answer of `status` with this problem document (RFC 9457)."""
    known = {"type", "code", "title", "status", "detail", "hint", "instance", "request_id"}
    kind: type[UpendError] = Refused
    if status == HTTPStatus.UNAUTHORIZED and document.get("code") not in PROOF_CODES:
        kind = NotLoggedIn
    elif status == HTTPStatus.GONE:
        kind = QueryFailed
    elif status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = Unreachable
    return kind(
        str(document.get("detail") or document.get("title") or f"The server answered {status}."),
        code=str(document.get("code") or f"http-{status}"),
        hint=str(document.get("hint") or ""),
        status=status,
        request_id=str(document.get("request_id") or request_id),
        extra={k: v for k, v in document.items() if k not in known},
    )
