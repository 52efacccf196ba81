"""The shapes of the API's JSON for policies, their versions, and what is found in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import User
from governance import examination
from governance.domain import PolicyKind, VersionState
from governance.models import Policy, PolicyVersion
from governance.policy_selectors import is_loud

OPEN = (VersionState.DRAFT, VersionState.IN_REVIEW)
LIVE = (VersionState.PUBLISHED, *OPEN)
KINDS = [(kind.value, kind.name) for kind in PolicyKind]
STATES = [(state.value, state.name) for state in VersionState]


def with_live_versions(policies: QuerySet[Policy]) -> QuerySet[Policy]:
    """Read with each policy what is in force and what is open, in one statement for all."""
    rows = PolicyVersion.objects.filter(state__in=LIVE)
    rows = rows.select_related("author", "decided_by", "published_by")
    return policies.prefetch_related(Prefetch("versions", rows, to_attr="live_versions"))


class PolicyPersonSerializer(serializers.Serializer[User]):
    """A person, as policies name who wrote, approved or published them."""

    name = serializers.CharField(source="display_name")
    email = serializers.CharField()


class PolicyVersionSummarySerializer(serializers.Serializer[PolicyVersion]):
    """One version of a policy, without its text."""

    number = serializers.IntegerField()
    state = serializers.ChoiceField(choices=STATES)
    etag = serializers.CharField(help_text="Names the text as it is; send it as `If-Match`.")
    summary = serializers.SerializerMethodField(help_text="What it does, in plain sentences.")
    is_retirement = serializers.BooleanField(help_text="Publishing it ends the policy.")
    is_break_glass = serializers.BooleanField(help_text="No second person approved it.")
    is_approved = serializers.BooleanField()
    author = PolicyPersonSerializer(allow_null=True)
    reason = serializers.CharField(help_text="Why its author wants it.")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    submitted_at = serializers.DateTimeField(allow_null=True)
    decided_by = PolicyPersonSerializer(allow_null=True, help_text="Who approved or rejected it.")
    decided_at = serializers.DateTimeField(allow_null=True)
    decision_reason = serializers.CharField()
    published_by = PolicyPersonSerializer(allow_null=True)
    published_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    withheld = serializers.SerializerMethodField(
        help_text="Its text names something that you may not browse, so it is left out."
    )

    def get_summary(self, version: PolicyVersion) -> str:
        """Return the sentences, where the reader may know what they name."""
        return "" if self.get_withheld(version) else version.summary

    def get_withheld(self, version: PolicyVersion) -> bool:
        """Tell whether the text is left out."""
        hidden: frozenset[UUID] = self.context["withheld"]
        return version.id in hidden


class PolicyVersionSerializer(PolicyVersionSummarySerializer):
    """One version of a policy with its text, in which things have their names of today."""

    text = serializers.SerializerMethodField()
    tests = serializers.SerializerMethodField()

    def get_text(self, version: PolicyVersion) -> str:
        """Return the text with current names."""
        return "" if self.get_withheld(version) else examination.shown_text(version)

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_tests(self, version: PolicyVersion) -> list[Any]:
        """Return the tests with current names."""
        return [] if self.get_withheld(version) else examination.shown_tests(version)


class PolicyFindingSerializer(serializers.Serializer[Any]):
    """One thing that is wrong with a text; lines and columns are counted from 1."""

    line = serializers.IntegerField()
    column = serializers.IntegerField()
    message = serializers.CharField()
    hint = serializers.CharField()
    severity = serializers.ChoiceField(choices=[("error", "error"), ("warning", "warning")])


class PolicySerializer(serializers.Serializer[Policy]):
    """A policy: what is in force of it, and what is open."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=KINDS)
    on = serializers.SerializerMethodField(help_text="What it holds for, with all below.")
    scope_key = serializers.CharField()
    description = serializers.CharField()
    broken_because = serializers.CharField(help_text="Empty while all that it names is there.")
    expires_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    created_by = PolicyPersonSerializer(allow_null=True)
    published = serializers.SerializerMethodField()
    open = serializers.SerializerMethodField(help_text="The draft, or what is in review.")
    break_glass = serializers.SerializerMethodField(
        help_text="It was published without a second person in the last seven days."
    )

    def get_on(self, policy: Policy) -> str:
        """Return the scope's name of today."""
        labels: dict[str, str] = self.context["scopes"]
        return labels.get(policy.scope_key, policy.scope_label)

    @extend_schema_field(PolicyVersionSummarySerializer(allow_null=True))
    def get_published(self, policy: Policy) -> dict[str, Any] | None:
        """Return the version in force."""
        return _shown(PolicyVersionSummarySerializer, policy, self.context, VersionState.PUBLISHED)

    @extend_schema_field(PolicyVersionSummarySerializer(allow_null=True))
    def get_open(self, policy: Policy) -> dict[str, Any] | None:
        """Return the version that may still come into force."""
        return _shown(PolicyVersionSummarySerializer, policy, self.context, *OPEN)

    def get_break_glass(self, policy: Policy) -> bool:
        """Tell whether lists should still say so."""
        return is_loud(_live(policy, VersionState.PUBLISHED))


class PolicyDetailSerializer(PolicySerializer):
    """A policy with the texts of what is in force and what is open, and what is found in it."""

    published = serializers.SerializerMethodField()
    open = serializers.SerializerMethodField(help_text="The draft, or what is in review.")
    findings = serializers.SerializerMethodField(
        help_text="What is wrong with what is open, else with what is in force."
    )

    @extend_schema_field(PolicyVersionSerializer(allow_null=True))
    def get_published(self, policy: Policy) -> dict[str, Any] | None:
        """Return the version in force."""
        return _shown(PolicyVersionSerializer, policy, self.context, VersionState.PUBLISHED)

    @extend_schema_field(PolicyVersionSerializer(allow_null=True))
    def get_open(self, policy: Policy) -> dict[str, Any] | None:
        """Return the version that may still come into force."""
        return _shown(PolicyVersionSerializer, policy, self.context, *OPEN)

    @extend_schema_field(PolicyFindingSerializer(many=True))
    def get_findings(self, policy: Policy) -> list[dict[str, Any]]:
        """Return what a check of the text says now; nothing where the text is withheld."""
        version = _live(policy, *OPEN) or _live(policy, VersionState.PUBLISHED)
        if version is None or version.id in self.context["withheld"]:
            return []
        return [asdict(finding) for finding in examination.understand(version).findings]


def _live(policy: Policy, *states: VersionState) -> PolicyVersion | None:
    versions: list[PolicyVersion] = policy.live_versions  # type: ignore[attr-defined]
    found = next((version for version in versions if version.state in states), None)
    if found is not None:
        found.policy = policy
    return found


def _shown(
    shape: type[PolicyVersionSummarySerializer],
    policy: Policy,
    context: Mapping[str, Any],
    *states: VersionState,
) -> dict[str, Any] | None:
    found = _live(policy, *states)
    return dict(shape(found, context=dict(context)).data) if found else None
