"""The reference pages that are written by the code they describe, so that they cannot drift."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from django.apps import apps
from django.conf import settings
from rest_framework import exceptions

from problems import Problem

ROOT: Path = settings.ROOT
PROBLEMS = Path("docs/reference/problems.md")
COMMANDS = Path("docs/reference/cli.md")
SKIPPED = {"migrations", "management", "wsgi", "__main__"}
"""Modules that do something when they are imported, or define no problem."""

PREFACE = """\
# Problems

Every refusal is one [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) document with a stable \
`code`, whatever showed it to you: the API as `application/problem+json`, the console as a \
panel, the command line by an exit code. `detail` says why, `hint` what to do next; some carry \
further members, such as `decision` for a refusal by policy.

This page is written by `make schema` from the code; a test keeps it so.

| Code | HTTP | Title | Meaning | Raised in |
|---|---|---|---|---|
"""


FRAMEWORK = """
## From the framework

What is refused before any code of Upend's sees it.

| Code | HTTP | Title |
|---|---|---|
"""


def packages() -> list[str]:
    """Return Upend's own packages: the applications that live in this repository."""
    sources = {ROOT, ROOT / "platform"}
    own = {app.name for app in apps.get_app_configs() if Path(app.path).parent in sources}
    return sorted(own | {"problems"})


def problem_classes() -> list[type[Problem]]:
    """Return `Problem` and every subclass of it in Upend's own packages, after importing all."""
    rooms = packages()
    for room in rooms:
        _import_all(room)
    return [c for c in _descendants(Problem) if c.__module__.partition(".")[0] in rooms]


def problems_page() -> str:
    """Return the text of docs/reference/problems.md: one row per code."""
    by_code: dict[str, list[type[Problem]]] = {}
    for found in problem_classes():
        by_code.setdefault(found.code, []).append(found)
    own = "".join(_row(by_code[code]) for code in sorted(by_code))
    foreign = sorted({_framework_row(c) for c in exceptions.APIException.__subclasses__()})
    return PREFACE + own + FRAMEWORK + "".join(foreign)


def _framework_row(raised: type[exceptions.APIException]) -> str:
    code = str(raised.default_code).replace("_", "-")
    status = 422 if raised is exceptions.ValidationError else raised.status_code
    return f"| `{code}` | {status} | {raised.default_detail} |\n"


def _row(classes: list[type[Problem]]) -> str:
    classes.sort(key=lambda c: (c.__module__, c.__name__))
    first = next((c for c in classes if "code" in vars(c)), classes[0])
    meaning = " ".join(dict.fromkeys(_meaning(c) for c in classes if "code" in vars(c)))
    modules = ", ".join(dict.fromkeys(f"`{c.__module__}`" for c in classes))
    return f"| `{first.code}` | {first.status} | {first.title} | {meaning} | {modules} |\n"


def _meaning(problem: type[Problem]) -> str:
    paragraph, _, _ = inspect.cleandoc(problem.__doc__ or "").partition("\n\n")
    return " ".join(paragraph.split()).replace("|", "\\|")


def _import_all(package: str) -> None:
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(getattr(root, "__path__", []), f"{package}."):
        if not SKIPPED & set(module.name.split(".")):
            importlib.import_module(module.name)


def _descendants(base: type[Problem]) -> Iterator[type[Problem]]:
    yield base
    for child in base.__subclasses__():
        yield from _descendants(child)
