"""The house rule that every service records: read from the code itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("platform", "governance", "catalog", "execution")
RECORDING = {"begin", "record", "record_change", "record_denial", "record_on"}
"""`begin` is of execution/services/lifecycle.py: it records in the transaction of its caller."""
ONLY_REFUSES = {"_check", "check_registration", "check_upload", "_check_rights", "_explain"}
"""They change nothing and wear the decorator for the sake of their denials."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


def _called(function: ast.AST) -> set[str]:
    names = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
    return {n.attr if isinstance(n, ast.Attribute) else getattr(n, "id", "") for n in names}


def _is_service(function: Function) -> bool:
    return any(
        ast.unparse(decorator) in {"service", "audit.service", "audit.services.service"}
        for decorator in function.decorator_list
    )


def _functions(path: Path) -> dict[str, Function]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return {n.name: n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}


def _services() -> Iterator[tuple[Path, Function, dict[str, Function]]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            functions = _functions(path)
            for function in functions.values():
                if _is_service(function):
                    yield path.relative_to(ROOT), function, functions


SERVICES = list(_services())
RECORDERS = {function.name for _, function, _ in SERVICES} | RECORDING


@pytest.mark.parametrize(
    ("function", "neighbours"),
    [
        pytest.param(f, others, id=f"{path}:{f.name}")
        for path, f, others in SERVICES
        if f.name not in ONLY_REFUSES
    ],
)
def test_it_records_what_it_does(function: Function, neighbours: dict[str, Function]) -> None:
    reached: set[str] = set()
    waiting = [function]
    while waiting:
        called = _called(waiting.pop())
        if called & (RECORDERS - {function.name}):
            return
        fresh = (called & neighbours.keys()) - reached
        reached |= fresh
        waiting += [neighbours[name] for name in fresh]
    pytest.fail(f"{function.name} is a service and records no event")


@pytest.mark.parametrize(
    "function",
    [pytest.param(f, id=f"{path}:{f.name}") for path, f, _ in SERVICES if f.name[0] != "_"],
)
def test_it_takes_keywords_or_one_value(function: Function) -> None:
    assert len(function.args.args) <= 1, "a service's arguments are named by its callers"
