"""A page that says what a change would do, and carries it out once that was read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render

from audit.services import record_denial
from catalog.models import Catalog
from problems import NotFound, Problem


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
    problem: Problem | None = None
    try:
        if request.method == "POST":
            carry_out()
            messages.success(request, asked.told)
            return redirect("page-catalog", catalog.workspace.slug, catalog.name)
        shown = look()
    except Problem as refused:
        if refused.status == NotFound.status:
            raise
        record_denial(refused)
        problem = refused
    context = {"workspace": catalog.workspace, "catalog": catalog, "asked": asked, "shown": shown}
    context |= {"problem": problem, **more}
    return render(
        request, "catalog/confirm.html", context, status=problem.status if problem else 200
    )
