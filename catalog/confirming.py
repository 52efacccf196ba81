"""A page that says what a change would do, and carries it out once that was read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect

from catalog.models import Catalog
from console.refusals import NOT_FOUND, Attempt, answer


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page is about: its title, its button, what is said afterwards, the way back."""

    catalog: Catalog
    title: str
    verb: str
    told: str
    back: str
    says: str = ""
    is_danger: bool = False


def confirmed(
    request: HttpRequest,
    asked: Asked,
    look: Callable[[], Mapping[str, Any]],
    carry_out: Callable[[], object],
    **more: Any,
) -> HttpResponseBase:
    """Answer a GET with what `look` says, a POST with what comes of `carry_out`.

    A refusal is shown on the page; what is not there has none.
    """
    catalog, shown = asked.catalog, None
    with Attempt(elsewhere={NOT_FOUND}) as attempt:
        if request.method == "POST":
            carry_out()
            messages.success(request, asked.told)
            return redirect("page-catalog", catalog.workspace.slug, catalog.name)
        shown = look()
    context = {"workspace": catalog.workspace, "catalog": catalog, "asked": asked, "shown": shown}
    return answer(request, "catalog/confirm.html", context | more, attempt.problem)
