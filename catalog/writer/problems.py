"""Why a job could not be done, as the writer's process tells it: no keys, no internal paths."""

from __future__ import annotations

from typing import Any


class BadInput(Exception):
    """The job cannot be carried out as asked; nothing was written."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        hint: str = "",
        line: int | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.hint = hint
        self.line = line
        self.retryable = retryable

    def as_dict(self) -> dict[str, Any]:
        """Return the members of a problem document."""
        members: dict[str, Any] = {"code": self.code, "detail": self.detail}
        if self.hint:
            members["hint"] = self.hint
        return members if self.line is None else members | {"line": self.line}


def redacted(text: str, secrets: tuple[str, ...]) -> str:
    """Return `text` without the secrets."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
