"""A local run fetches what the plan said, and nothing else."""

from __future__ import annotations

import pytest

from tests.differential.conftest import Lab
from tests.differential.queries import SELECTIVE

pytestmark = pytest.mark.stack

TOLERANCE = 1.1


@pytest.mark.parametrize("name", SELECTIVE)
def test_it_fetches_at_most_a_tenth_more_than_the_plan_said(lab: Lab, name: str) -> None:
    result = lab.client.sql(SELECTIVE[name], on="local", catalog="flights")
    estimate = result.plan["scan_bytes"]
    assert 0 < (result.facts.bytes_read or 0) <= TOLERANCE * estimate
