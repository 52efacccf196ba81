"""What a proposed policy would make of the tests that others keep beside theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from governance.bundle import Bundle
from governance.domain import VersionState
from governance.findings import Finding
from governance.models import Policy, PolicyVersion
from governance.policy_tests import TestResult, run_tests

MAX_TESTS = 500
"""Tests of others that are run; a workspace with more is told that the rest was not."""


def contradicted(policy: Policy, now: Bundle, then: Bundle) -> Iterator[tuple[str, Finding]]:
    """Yield a warning for each test of another policy that passes now and would fail then.

    Each comes with the label of what the test is about. A warning, not an error: what others
    once meant must not keep a newer rule from holding, but nobody should break it unawares.
    """
    tests = list(_tests(policy))
    run = tests[:MAX_TESTS]
    would = _run(policy, run, then)
    failing = [at for at, result in enumerate(would) if not result.passed]
    passed = _run(policy, [run[at] for at in failing], now)
    for at, before in zip(failing, passed, strict=True):
        if before.passed:
            yield str(run[at][1].get("on", "")), _warning(run[at][0], would[at])
    if len(tests) > MAX_TESTS:
        rest = f"{len(tests) - MAX_TESTS} tests of other policies were not run."
        yield "", Finding(1, 1, rest, severity="warning")


def _warning(name: str, result: TestResult) -> Finding:
    return Finding(
        1,
        1,
        f"A test of {name} would fail: {result.title}. {' '.join(result.problems)}",
        "If that is not meant, narrow this policy; if it is, tell whoever wrote the test.",
        "warning",
    )


def _tests(policy: Policy) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = PolicyVersion.objects.filter(
        policy__workspace_id=policy.workspace_id, state=VersionState.PUBLISHED
    ).exclude(policy_id=policy.id)
    named = rows.exclude(tests=[]).order_by("policy__name").values_list("policy__name", "tests")
    for name, tests in named:
        yield from ((name, test) for test in tests if isinstance(test, dict))


def _run(
    policy: Policy, tests: list[tuple[str, dict[str, Any]]], bundle: Bundle
) -> list[TestResult]:
    asked = [test for _, test in tests]
    return run_tests(policy.workspace, asked, bundle=bundle) if asked else []
