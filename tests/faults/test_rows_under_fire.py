"""Rows are sent while processes are killed: each acknowledged one is there once, in its order."""

from __future__ import annotations

import pytest

from embedded.running import RunningStack
from tests.faults import rows

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

SEED = 20261122


def test_it_writes_every_acknowledged_row_once(spare: RunningStack) -> None:
    report = rows.run(spare, senders=6, batches=12, rounds=8, seed=SEED)
    assert sum(report.killed.values()) > 0
    assert report.faults == [], report
