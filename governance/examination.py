"""Everything that is asked of a policy before it holds: its text, its neighbours, its tests."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from accounts.domain import Actor
from governance import naming
from governance.bundle import Bundle, as_published, bundle_of
from governance.checking import Checked, check
from governance.discretion import discretion_for
from governance.domain import PolicyKind
from governance.findings import Finding
from governance.lockout import locks_out
from governance.models import PolicyVersion
from governance.neighbours import contradicted
from governance.policy_tests import TestResult, run_tests
from governance.scopes import scope_of
from problems import Problem

MAX_SHOWN = 5


class PolicyRefused(Problem):
    """The text, or what it would do, is not fit to hold; `findings` and `tests` say where."""

    code = "policy-refused"
    status = 422
    title = "The policy cannot be published as it is"


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found in a version, and what its tests came to."""

    checked: Checked
    findings: tuple[Finding, ...]
    tests: tuple[TestResult, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Return the findings that keep the policy from being published."""
        return tuple(finding for finding in self.findings if finding.is_error)

    @property
    def failed(self) -> tuple[TestResult, ...]:
        """Return the tests that did not pass."""
        return tuple(test for test in self.tests if not test.passed)

    @property
    def is_fit(self) -> bool:
        """Tell whether the policy may be published."""
        return not self.errors and not self.failed

    def as_dict(self) -> dict[str, Any]:
        """Return what was found as JSON-ready data."""
        return {
            "fit": self.is_fit,
            "summary": self.checked.summary,
            "findings": [asdict(finding) for finding in self.findings],
            "tests": [asdict(test) for test in self.tests],
        }


def examine(version: PolicyVersion, *, actor: Actor) -> Examination:
    """Return what is wrong with a version, saved or not, if it were to hold now.

    Where the text has errors, its tests are not run: nobody could say under what. The actor is
    told nothing of what they may not browse.
    """
    told = discretion_for(actor, version.policy.workspace)
    checked = told.checked(understand(version), version.text)
    findings = checked.findings
    if any(finding.is_error for finding in findings):
        return Examination(checked, findings, ())
    now = bundle_of(version.policy.workspace_id)
    then = now.with_policy(replace(as_published(version), broken_because=""))
    findings += tuple(_locked_out(version, now, then))
    findings += tuple(told.findings(contradicted(version.policy, now, then)))
    tests = run_tests(version.policy.workspace, version.tests, bundle=then)
    return Examination(checked, findings, told.tests(tests))


def shown_text(version: PolicyVersion) -> str:
    """Return the text with the names that things have today."""
    return naming.shown(version.policy.workspace, version.text, version.references)


def shown_tests(version: PolicyVersion) -> list[dict[str, Any]]:
    """Return the tests beside the text."""
    return list(version.tests)


def understand(version: PolicyVersion) -> Checked:
    """Check the text of a version, with the names of today, and keep on it what it comes to.

    Nothing is saved. A name that changed since the text was written is brought up to date first:
    what the text means does not change with that, and by the old name it would not be found.
    """
    policy = version.policy
    version.text = shown_text(version)
    checked = check(
        workspace=policy.workspace,
        kind=PolicyKind(policy.kind),
        scope=scope_of(policy),
        text=version.text,
        tests=version.tests,
        name=policy.name,
    )
    version.references, version.compiled = checked.references, checked.compiled
    version.summary = checked.summary
    return checked


def refuse_unfit(version: PolicyVersion, *, actor: Actor) -> None:
    """Examine a version that is about to be reviewed or to hold. Raises `PolicyRefused`."""
    found = examine(version, actor=actor)
    if found.is_fit:
        return
    name = f"Version {version.number} of {version.policy.name}"
    if found.errors:
        first = found.errors[0]
        raise PolicyRefused(
            f"{name}, line {first.line}, column {first.column}: {first.message}",
            hint=first.hint,
            **_members(found),
        )
    titles = "; ".join(_failure(test) for test in found.failed[:MAX_SHOWN])
    raise PolicyRefused(
        f"{len(found.failed)} of {len(found.tests)} tests of {name} fail: {titles}",
        hint="Change the text, or the tests where they expect what is no longer meant.",
        **_members(found),
    )


def _locked_out(version: PolicyVersion, now: Bundle, then: Bundle) -> list[Finding]:
    policy = version.policy
    if policy.kind != PolicyKind.ACCESS:
        return []
    scope = scope_of(policy)
    if not locks_out(policy.workspace, scope, now=now, then=then):
        return []
    return [
        Finding(
            1,
            1,
            f"No owner of {policy.workspace.name} could see {scope.label} and publish policies "
            "for it any more.",
            "Leave policy.publish and catalog.browse to at least one owner of the workspace.",
        )
    ]


def _failure(test: TestResult) -> str:
    return f"{test.number}. {test.title} ({' '.join(test.problems)})"


def _members(found: Examination) -> dict[str, Any]:
    members = found.as_dict()
    return {"findings": members["findings"], "tests": members["tests"]}
