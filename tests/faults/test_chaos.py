"""Twenty processes killed at random moments under load: nothing is lost, wrong or left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import chaos

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

SEED = 20261122


def test_it_loses_nothing_whatever_is_killed(installation_directory: Callable[[], Path]) -> None:
    report = chaos.run(installation_directory() / "stack", rounds=20, seed=SEED)
    assert report.queries > 0
    assert sum(report.killed.values()) > 0
    assert report.faults == [], report
