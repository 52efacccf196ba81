"""Policies kept as files: what is taken out goes back in, compared first, all of it or nothing."""

from __future__ import annotations

from datetime import UTC
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.domain import OrganizationRole
from governance.domain import PolicyKind, VersionState
from governance.models import Ownership, Policy, PolicySet, PolicyVersion
from governance.policy_files import (
    PolicyFile,
    PolicyFileInvalid,
    diff,
    dump,
    dump_tests,
    load,
    load_tests,
)
from governance.services import AccessDenied, policies
from governance.services.policies import Change
from governance.services.policies.files import PolicyFilesRefused
from workspaces.domain import WorkspaceRole

from .conftest import Company, _person

BROWSE = 'forbid (principal, action == Action::"catalog.create", resource);\n'
FILES = f"""\
# Comments are not kept.
---
name: no-new-catalogs
kind: access
description: Catalogs come from the platform team.
tests:
- {{principal: analyst@air.example, action: catalog.browse, on: flights, expect: allow}}
text: |
  {BROWSE}
---
name: on-flights
kind: access
on: flights
text: |
  forbid (principal, action == Action::"catalog.manage", resource);
"""


def apply(company: Company, text: str, actor: str = "owner", **given: Any) -> list[Change]:
    """Apply files, for real unless the test asks otherwise."""
    return policies.apply_files(
        actor=company.actors[actor],
        workspace=company.workspace,
        files=load(text),
        **({"dry_run": False} | given),
    )


def exported(company: Company, actor: str = "owner") -> str:
    return dump(policies.export_files(company.actors[actor], company.workspace))


def deeds(changes: list[Change]) -> dict[str, tuple[str, str]]:
    return {change.name: (change.deed, change.outcome) for change in changes}


names = st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]) | st.just("\n"))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
files = st.builds(
    PolicyFile,
    name=names,
    kind=st.sampled_from(PolicyKind),
    text=texts,
    on=texts.map(str.strip),
    description=texts.map(str.strip),
    expires_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    tests=st.lists(st.dictionaries(texts, values, max_size=3), max_size=2),
)


@settings(max_examples=50)
@given(st.lists(files, max_size=3, unique_by=lambda one: one.name))
def test_it_reads_back_what_it_wrote(written: list[PolicyFile]) -> None:
    assert load(dump(written)) == sorted(written, key=lambda one: one.name)
    for one in written:
        assert load_tests(dump_tests(one.tests)) == one.tests
        assert dump_tests(one.tests).count("\n") == len(one.tests)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name: a\nkind: mask\ntext: x\n---\n- 1\n", r"Line 5: A policy is a mapping"),
        ("name: a\nkind: [\n", r"Line 3: This is not YAML"),
        ("name: a\nkind: magic\ntext: x\n", "`kind` is one of"),
        ("name: a\nkind: mask\n", "text must be there"),
        ("name: a\nkind: mask\ntext: x\nowner: me\n", "has no owner"),
        ("name: a\nkind: mask\ntext: x\ntests: {a: 1}\n", "list of mappings"),
        ("name: a\nkind: mask\ntext: x\ntests: [{at: !!binary aGk=}]\n", "quote it"),
        ("name: a\nkind: mask\ntext: x\nexpires_at: soon\n", "is a time"),
        ("name: a\nkind: mask\ntext: x\n---\nname: a\nkind: mask\ntext: x\n", "there twice"),
        ("a: &a [x]\nb: *a\n", "Line 2: Aliases"),
        ("text: !!python/object:os.system x\n", "could not determine a constructor"),
    ],
)
def test_it_says_which_line_of_a_file_it_cannot_read(text: str, why: str) -> None:
    with pytest.raises(PolicyFileInvalid, match=why):
        load(text)


def test_it_reads_the_tests_that_people_write_as_a_list() -> None:
    text = "- {principal: ana@x.y, on: hr.main.payroll, expect: deny, filtered: true}\n"
    found = load_tests(text)
    assert dump_tests(found) == text
    assert found == [
        {"principal": "ana@x.y", "on": "hr.main.payroll", "expect": "deny", "filtered": True}
    ]
    assert load_tests(dump_tests(found)) == found
    assert (load_tests(""), dump_tests([])) == ([], "")
    with pytest.raises(PolicyFileInvalid, match="list of mappings"):
        load_tests("principal: ana@x.y")


def test_it_shows_what_would_change_and_changes_nothing(company: Company) -> None:
    changes = apply(company, FILES, dry_run=True)
    assert deeds(changes) == {
        "no-new-catalogs": ("create", "published"),
        "on-flights": ("create", "published"),
    }
    assert "+++ files/on-flights.yaml" in changes[1].diff
    assert not Policy.objects.exists()
    assert exported(company) == ""


def test_it_makes_what_is_in_force_as_the_files_say(company: Company) -> None:
    apply(company, FILES)
    first = exported(company)
    assert [one.name for one in load(first)] == ["no-new-catalogs", "on-flights"]
    assert load(first)[0].tests == load(FILES)[0].tests
    assert {c.deed for c in apply(company, first)} == {"unchanged"}
    assert PolicyVersion.objects.count() == 2
    changes = apply(company, first.replace("catalog.manage", "table.create"))
    assert deeds(changes) == {
        "no-new-catalogs": ("unchanged", ""),
        "on-flights": ("change", "published"),
    }
    assert '-  forbid (principal, action == Action::"catalog.manage", resource);' in changes[1].diff
    assert '+  forbid (principal, action == Action::"table.create", resource);' in changes[1].diff


def test_it_leaves_what_is_in_no_file_unless_it_prunes(company: Company) -> None:
    apply(company, FILES)
    only = dump(one for one in load(FILES) if one.name == "on-flights")
    assert deeds(apply(company, only)) == {"on-flights": ("unchanged", "")}
    changes = apply(company, only, prune=True)
    assert deeds(changes)["no-new-catalogs"] == ("retire", "retired")
    assert "+++ /dev/null" in changes[0].diff
    assert [one.name for one in load(exported(company))] == ["on-flights"]


def test_it_applies_all_or_nothing_and_says_what_is_wrong_with_each(company: Company) -> None:
    broken = FILES.replace("analyst@air.example", "nobody@air.example")
    checked = apply(company, broken, dry_run=True)
    assert [bool(change.problem) for change in checked] == [True, False]
    with pytest.raises(PolicyFilesRefused, match=r"1 of 2 .* no-new-catalogs") as refused:
        apply(company, broken)
    (told,) = refused.value.extra["changes"]
    assert told["problem"]["code"] == "policy-refused"
    assert "nobody@air.example" in told["problem"]["detail"]
    assert not Policy.objects.exists()
    assert not PolicyVersion.objects.exists()


def test_it_keeps_the_kind_and_the_scope_of_a_policy(company: Company) -> None:
    apply(company, FILES)
    with pytest.raises(PolicyFilesRefused, match="kind access on flights; the file says"):
        apply(company, FILES.replace("on: flights\ntext", "text"))


def test_it_submits_for_review_what_a_second_person_must_see(company: Company) -> None:
    owner = company.actors["owner"]
    _person(company, "second", OrganizationRole.MEMBER, WorkspaceRole.OWNER)
    policies.set_requires_approval(actor=owner, workspace=company.workspace, required=True)
    assert deeds(apply(company, FILES))["on-flights"] == ("create", "in_review")
    assert deeds(apply(company, FILES))["on-flights"] == ("create", "in_review")
    replaced = apply(company, FILES.replace("catalog.manage", "table.create"))
    assert deeds(replaced)["on-flights"] == ("create", "in_review")
    policy = Policy.objects.get(name="on-flights")
    states = dict(policy.versions.values_list("number", "state"))
    assert states == {1: VersionState.REJECTED, 2: VersionState.IN_REVIEW}
    policies.approve_version(
        actor=company.actors["second"], policy=policy, number=2, reason="Seen."
    )
    published = apply(company, FILES.replace("catalog.manage", "table.create"))
    assert deeds(published)["on-flights"] == ("create", "published")


def test_it_lets_stewards_submit_and_analysts_do_nothing(company: Company) -> None:
    assert deeds(apply(company, FILES, actor="steward"))["on-flights"] == ("create", "in_review")
    with pytest.raises(AccessDenied):
        apply(company, FILES.replace("on-flights", "other"), actor="analyst")


def test_it_prunes_nothing_that_the_actor_may_not_retire(company: Company) -> None:
    apply(company, FILES)
    Ownership.objects.create(
        organization=company.organization,
        securable_key=company.catalog.securable.key,
        owner=company.users["analyst"],
    )
    with pytest.raises(AccessDenied):
        apply(company, "", actor="analyst", prune=True)
    assert PolicyVersion.objects.filter(state=VersionState.PUBLISHED).count() == 2
    held = PolicySet.objects.get(workspace=company.workspace).version
    assert apply(company, "", prune=True, dry_run=True)[0].outcome == "retired"
    assert PolicySet.objects.get(workspace=company.workspace).version == held


def test_it_writes_long_texts_as_blocks_so_that_a_diff_shows_the_line() -> None:
    before = PolicyFile("a", PolicyKind.MASK, "columns: [email]\nmethod: null\n")
    after = PolicyFile("a", PolicyKind.MASK, "columns: [email]\nmethod: hide\n")
    shown = diff(before, after).splitlines()
    assert [line for line in shown if line[0] in "+-"][2:] == ["-  method: null", "+  method: hide"]


def _command(company: Company, *arguments: object) -> str:
    out = StringIO()
    who = ("--as", company.users["owner"].email, "--workspace", "ops")
    call_command("policies", *map(str, arguments), *who, stdout=out, stderr=out)
    return out.getvalue()


def test_it_serves_a_shell_that_keeps_policies_in_git(company: Company, tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(FILES)
    with pytest.raises(SystemExit, match="1"):
        _command(company, "diff", file)
    assert not Policy.objects.exists()
    assert "create on-flights → published" in _command(company, "apply", file, "--reason", "Git.")
    folder = tmp_path / "policies"
    assert "Wrote 2 policies" in _command(company, "export", "--to", folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "no-new-catalogs.yaml",
        "on-flights.yaml",
    ]
    assert _command(company, "diff", folder, "--prune").splitlines() == [
        "unchanged no-new-catalogs",
        "unchanged on-flights",
    ]
    file.write_text(FILES.replace("resource);", "resource)"))
    with pytest.raises(CommandError, match="2 of 2"):
        _command(company, "apply", file)
    with pytest.raises(CommandError, match="cannot be read"):
        _command(company, "diff", tmp_path / "gone.yaml")
