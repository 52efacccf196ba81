"""Rows are sent while processes are killed: each acknowledged one is there once, in its order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import rows

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

SEED = 20261122


def test_it_writes_every_acknowledged_row_once(installation_directory: Callable[[], Path]) -> None:
    directory = installation_directory() / "stack"
    report = rows.run(directory, senders=6, batches=12, rounds=8, seed=SEED)
    assert sum(report.killed.values()) > 0
    assert report.faults == [], report
