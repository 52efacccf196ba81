"""A page that is shown again with what was refused: the ledger keeps it, its status says so."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any, Self

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from audit.services import record_denial
from problems import NotFound, Problem

FORBIDDEN = 403
NOT_FOUND = NotFound.status


class Attempt:
    """A block that may be refused: what refuses it is recorded, and its `problem` afterwards.

    A `Problem` whose status is one of `elsewhere` has a page of its own: it is raised on.
    """

    def __init__(self, *, elsewhere: Collection[int] = ()) -> None:
        self._elsewhere = elsewhere
        self.problem: Problem | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Problem) or error.status in self._elsewhere:
            return False
        record_denial(error)
        self.problem = error
        return True


def answer(
    request: HttpRequest, template: str, context: Mapping[str, Any], problem: Problem | None
) -> HttpResponse:
    """Return a page that shows `problem`, with its status; as any other where there is none."""
    status = problem.status if problem else 200
    return render(request, template, {**context, "problem": problem}, status=status)
