"""Shares the tests among processes by what is costly to start: modules stay whole.

xdist's own groups (`--dist loadgroup`) are none with pytest 9.2, which no longer reads the name
that xdist 3.8 gives an item: every test is then a group of its own, and each process starts
the whole stack, and every lake and server of every module, for itself.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

STACK = "the whole stack"
MARKS = ("pytest.mark.browser", "pytest.mark.stack")
SPARE = "the spare stack"
OF_THE_SPARE = (
    "tests/faults/test_rows_under_fire.py",
    "tests/observability/test_traces_of_a_stack.py",
    "tests/platform/test_embedded.py",
)
STARTS_ITS_OWN = ("tests/faults/test_chaos.py", "tests/demo/test_demo_command.py")
LONGEST = (STACK, SPARE, *STARTS_ITS_OWN, "tests/catalog/test_adopted_answers.py")
"""What takes longest is handed out first, so that no process waits for another at the end."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Hand out modules, where nothing else is asked for."""
    return ByCost(config, log) if config.getoption("dist") == "loadgroup" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse tests that would start a stack in two processes."""
    for item in items:
        module, used = item.nodeid.partition("::")[0], getattr(item, "fixturenames", ())
        its_group = group(config.rootpath, module)
        if "stack" in used and its_group != STACK:
            raise pytest.UsageError(f"{module} uses the stack and is not marked by {MARKS[1]}")
        if "spare" in used and its_group != SPARE:
            raise pytest.UsageError(f"{module} uses the spare stack; name it in OF_THE_SPARE")


class ByCost(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Gives each process whole groups, the longest first."""

    def _split_scope(self, nodeid: str) -> str:
        return group(self.config.rootpath, nodeid.partition("::")[0])

    def _assign_work_unit(self, node: WorkerController) -> None:
        waiting = next((long for long in LONGEST if long in self.workqueue), None)
        if waiting is not None:
            self.workqueue.move_to_end(waiting, last=False)
        super()._assign_work_unit(node)


@cache
def group(root: Path, module: str) -> str:
    """Return what the tests of a module run together with, in one process."""
    if module in OF_THE_SPARE:
        return SPARE
    if module in STARTS_ITS_OWN:
        return module
    text = (root / module).read_text(encoding="utf-8")
    return STACK if any(mark in text for mark in MARKS) else module
