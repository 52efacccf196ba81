"""What a lake needs is a function of how it stands: small files often, large ones seldom."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

import pytest

from catalog.maintenance import planner
from catalog.maintenance.domain import (
    CatalogHealth,
    Policy,
    QuietHours,
    Step,
    StepKind,
    TableHealth,
    Tier,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
MB = 2**20
POLICY = Policy(target_file_bytes=64 * MB)
HEALTHY = TableHealth(1, UUID(int=1), "main", "t", files=3, size_bytes=200 * MB, rows=1000)


def kinds(health: TableHealth, policy: Policy = POLICY, *, thorough: bool = False) -> list[str]:
    steps = planner.steps_of_table(health, policy, NOW, thorough=thorough)
    return [step.kind.value for step in steps]


def tier(files: int, floor: int = 0, ceiling: int = MB, groups: int = 1) -> Tier:
    return Tier(floor, ceiling, files, files * max(floor, 1000), groups)


def test_it_leaves_a_healthy_table_alone() -> None:
    assert kinds(HEALTHY) == []
    assert kinds(HEALTHY, thorough=True) == []


def test_tiers_are_eight_times_each_other_and_end_at_the_target() -> None:
    assert planner.floors(64 * MB) == (0, MB // 64, MB // 8, MB, 8 * MB)


@pytest.mark.parametrize(
    ("files", "groups", "is_due"), [(7, 1, False), (8, 1, True), (8, 2, False)]
)
def test_it_merges_a_tier_once_enough_of_its_files_have_gathered(
    files: int, groups: int, is_due: bool
) -> None:
    health = replace(HEALTHY, tiers=(tier(files, groups=groups),))
    assert kinds(health) == (["merge"] if is_due else [])
    assert kinds(health, thorough=True) == ["merge"]


def test_it_merges_no_larger_file_along_with_small_ones() -> None:
    health = replace(HEALTHY, tiers=(tier(9, MB, 8 * MB),))
    (step,) = planner.steps_of_table(health, POLICY, NOW)
    assert step.options["min_file_size"] == MB
    assert step.options["max_file_size"] == 8 * MB


def test_it_bounds_what_one_commit_of_merging_rewrites() -> None:
    huge = Tier(0, 64 * MB, 10_000, 500 * 2**30, 1)
    (step,) = planner.steps_of_table(replace(HEALTHY, tiers=(huge,)), POLICY, NOW)
    assert step.size_bytes <= planner.STEP_BYTES
    assert step.options["max_compacted_files"] * POLICY.target_file_bytes <= planner.STEP_BYTES


@pytest.mark.parametrize(
    ("rows", "minutes", "is_due"), [(5, 1, False), (5, 6, True), (3000, 0, True), (0, 60, False)]
)
def test_it_flushes_many_inlined_rows_or_old_ones(rows: int, minutes: int, is_due: bool) -> None:
    since = NOW - timedelta(minutes=minutes)
    health = replace(HEALTHY, inlined_rows=rows, inlined_since=since)
    assert kinds(health) == (["flush"] if is_due else [])


def test_it_rewrites_files_that_are_mostly_deleted() -> None:
    assert kinds(replace(HEALTHY, worth_rewriting_bytes=5)) == ["rewrite"]


def test_it_rewrites_many_small_files_with_deletes_since_they_cannot_be_merged() -> None:
    assert kinds(replace(HEALTHY, small_with_deletes=31)) == []
    assert kinds(replace(HEALTHY, small_with_deletes=32)) == ["rewrite"]


def test_it_does_nothing_to_a_table_whose_policy_says_so_unless_a_person_asks() -> None:
    health = replace(HEALTHY, inlined_rows=9000)
    off = replace(POLICY, enabled=False)
    assert kinds(health, off) == []
    assert kinds(health, off, thorough=True) == ["flush"]


def test_it_lets_what_is_heavy_wait_for_the_quiet_hours() -> None:
    light, heavy = Step(StepKind.FLUSH), Step(StepKind.MERGE, size_bytes=9, is_heavy=True)
    night = replace(POLICY, quiet_hours=QuietHours(time(22), time(6)))
    assert planner.within([light, heavy], night, NOW, 100) == (light,)
    assert planner.within([light, heavy], night, NOW.replace(hour=23), 100) == (light, heavy)
    assert planner.within([light, heavy], night, NOW.replace(hour=5), 100) == (light, heavy)
    assert planner.within([light, heavy], POLICY, NOW, 100) == (light, heavy)


def test_it_rewrites_no_more_than_is_left_of_the_budget() -> None:
    step = Step(StepKind.MERGE, size_bytes=10)
    assert planner.within([step], POLICY, NOW, 9) == ()


def test_it_expires_before_it_deletes() -> None:
    found = planner.steps_of_catalog(CatalogHealth(expirable=(1, 2), deletable_files=3), POLICY)
    assert [step.kind for step in found] == [StepKind.EXPIRE, StepKind.CLEAN_UP]


def test_a_step_survives_its_json_form() -> None:
    step = Step(StepKind.MERGE, "main", "t", "why", 3, 9, True, {"max_file_size": 1})
    assert Step.of(step.as_dict()) == step
