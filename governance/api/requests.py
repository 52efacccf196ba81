"""The shapes of what the API is sent about policies."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from governance.api.serializers import KINDS, PolicyFindingSerializer
from governance.services.policies.limits import MAX_NAME_LENGTH, MAX_TEXT_LENGTH

TESTS_HELP = "Mappings with principal, on, action, place, expect, masked, hidden, filtered."


class PolicyTextSerializer(serializers.Serializer[Any]):
    """A policy's text with its tests."""

    text = serializers.CharField(
        max_length=MAX_TEXT_LENGTH, allow_blank=True, required=False, trim_whitespace=False
    )
    tests = serializers.ListField(
        child=serializers.DictField(), required=False, help_text=TESTS_HELP
    )


class PolicyDraftSerializer(PolicyTextSerializer):
    """What a draft says, and why."""

    reason = serializers.CharField(required=False, allow_blank=True, max_length=2000)


class NewPolicySerializer(PolicyDraftSerializer):
    """A policy to begin."""

    name = serializers.CharField(max_length=MAX_NAME_LENGTH)
    kind = serializers.ChoiceField(choices=KINDS)
    on = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=300,
        help_text="A catalog, `catalog.schema.table`, or nothing for the whole workspace.",
    )
    description = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=10_000
    )
    expires_at = serializers.DateTimeField(required=False, default=None, allow_null=True)


class PolicyChangeSerializer(serializers.Serializer[Any]):
    """What stands around the text."""

    name = serializers.CharField(required=False, max_length=MAX_NAME_LENGTH)
    description = serializers.CharField(required=False, allow_blank=True, max_length=10_000)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)


class PolicyCheckSerializer(PolicyTextSerializer):
    """What to examine; of a policy that is there, what is left out is as in its newest version."""


class NewPolicyCheckSerializer(PolicyCheckSerializer):
    """A policy that is not saved, to examine."""

    name = serializers.CharField(required=False, default="draft", max_length=MAX_NAME_LENGTH)
    kind = serializers.ChoiceField(choices=KINDS)
    on = serializers.CharField(required=False, default="", allow_blank=True, max_length=300)


class PolicyTestResultSerializer(serializers.Serializer[Any]):
    """One test: what was expected, what was decided, and why."""

    __test__ = False  # pytest collects whatever is called Test

    number = serializers.IntegerField()
    title = serializers.CharField()
    passed = serializers.BooleanField()
    expected = serializers.CharField()
    decided = serializers.CharField()
    reason = serializers.CharField()
    determined_by = serializers.ListField(child=serializers.CharField())
    masked = serializers.ListField(child=serializers.CharField())
    hidden = serializers.ListField(child=serializers.CharField())
    filtered = serializers.BooleanField()
    problems = serializers.ListField(child=serializers.CharField())


class PolicyExaminationSerializer(serializers.Serializer[Any]):
    """What is found in a text, and what its tests come to."""

    fit = serializers.BooleanField(help_text="Whether it may be published.")
    summary = serializers.CharField()
    findings = PolicyFindingSerializer(many=True)
    tests = PolicyTestResultSerializer(many=True)


class PolicyStepSerializer(serializers.Serializer[Any]):
    """Which version takes the step, and why."""

    number = serializers.IntegerField(
        required=False, min_value=1, help_text="The open version where it is left out."
    )
    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=2000)


class PolicyPublishSerializer(PolicyStepSerializer):
    """Which version comes into force."""

    break_glass = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Do without the second person; needs a reason and is recorded loudly.",
    )


class PolicyEndSerializer(serializers.Serializer[Any]):
    """Why a policy ends."""

    reason = serializers.CharField(max_length=2000)
    break_glass = serializers.BooleanField(required=False, default=False)


class PolicyRollBackSerializer(PolicyEndSerializer):
    """Which earlier version comes into force again, and why."""

    to = serializers.IntegerField(
        required=False,
        default=None,
        allow_null=True,
        min_value=1,
        help_text="The last one before the present where it is left out.",
    )


class PolicySettingsSerializer(serializers.Serializer[Any]):
    """How the workspace publishes policies."""

    requires_approval = serializers.BooleanField()
    version = serializers.IntegerField(
        read_only=True, help_text="Rises whenever what holds in the workspace changes."
    )
