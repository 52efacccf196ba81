"""The Cedar files, the Python lists and the documents say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cedarpy
import pytest

from accounts.domain import OrganizationRole, Scope
from governance import engine
from governance.domain import Action, SecurableKind
from governance.reasons import VERBS
from workspaces.domain import WorkspaceRole

ROOT = Path(__file__).parents[2]
SCHEMA = engine.source("schema.cedarschema")
POLICIES = engine.source("role_defaults.cedar")
REFERENCE = (ROOT / "docs/reference/actions.md").read_text()


def actions_of_schema() -> set[str]:
    """Return the actions that apply to something; the others are groups named for scopes."""
    return set(re.findall(r'^action "([^"]+)"[^;{]*appliesTo', SCHEMA, re.MULTILINE))


def groups_of_schema() -> set[str]:
    """Return the action groups."""
    return set(re.findall(r'^action "([^"]+)";', SCHEMA, re.MULTILINE))


def test_it_validates_the_role_defaults_against_the_schema() -> None:
    result = cedarpy.validate_policies(POLICIES, SCHEMA)
    assert result.validation_passed, result.errors


def test_it_has_the_same_actions_in_cedar_and_in_python() -> None:
    assert actions_of_schema() == {action.value for action in Action}
    assert set(VERBS) == set(Action)


def test_it_groups_actions_by_scopes_that_exist() -> None:
    assert groups_of_schema() <= {scope.value for scope in Scope}


def test_it_has_an_entity_for_every_kind_of_securable() -> None:
    entities = set(re.findall(r"^entity (\w+)", SCHEMA, re.MULTILINE))
    assert {kind.value for kind in SecurableKind} <= entities


def test_it_names_only_roles_that_exist() -> None:
    named = set(re.findall(r'workspace_roles\.contains\("(\w+)"\)', POLICIES))
    assert named == {role.value for role in WorkspaceRole}
    held = set(re.findall(r'organization_role == "(\w+)"', POLICIES))
    assert held <= {role.value for role in OrganizationRole}


def test_it_gives_every_policy_a_unique_name_a_sentence_and_a_remedy() -> None:
    policies = json.loads(cedarpy.policies_to_json_str(POLICIES))["staticPolicies"].values()
    names = [policy["annotations"]["id"] for policy in policies]
    assert len(names) == len(set(names))
    for policy in policies:
        annotations = policy["annotations"]
        assert re.fullmatch(r"[A-Z].*\.", annotations["summary"])
        assert ("remedy" in annotations) == (policy["effect"] == "forbid"), annotations["id"]


@pytest.mark.parametrize("action", Action)
def test_it_documents_every_action(action: Action) -> None:
    assert f"| `{action}` |" in REFERENCE


@pytest.mark.parametrize("name", re.findall(r'@id\("([^"]+)"\)', POLICIES))
def test_it_documents_every_policy(name: str) -> None:
    assert f"`{name}`" in REFERENCE


def test_it_documents_no_action_that_does_not_exist() -> None:
    table, _, _ = REFERENCE.partition("## The policies")
    documented = set(re.findall(r"^\| `([a-z_.]+)` \|", table, re.MULTILINE))
    assert documented == {action.value for action in Action}
