"""What a policy would do before it is published: its impact, and replays of what was recorded."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Actor, Scope
from api.bodies import valid
from api.permissions import RequiredScopes
from governance import inventory, proposals
from governance.api.policies import TAGS, policy_of
from governance.comparison import Change
from governance.domain import Action, ReplayState, Securable
from governance.impact import Block, Impact
from governance.models import PolicyReplay
from governance.policy_selectors import find_replay
from governance.scopes import known_keys, scope_of
from governance.services import authorize, replays
from governance.services.policies.limits import MAX_TEXT_LENGTH
from governance.services.replays import MAX_DAYS

READING: RequiredScopes = {"GET": Scope.CATALOG_READ}
WRITING: RequiredScopes = {"POST": Scope.CATALOG_WRITE}
NAMES_SHOWN = 20
"""Of a block, so many principals and so many things are named; the list has all."""


class ProposalSerializer(serializers.Serializer[Any]):
    """What is proposed: without anything, what the open version says."""

    text = serializers.CharField(
        required=False, trim_whitespace=False, max_length=MAX_TEXT_LENGTH, help_text="Not saved."
    )
    number = serializers.IntegerField(
        required=False, min_value=1, help_text="A version, an earlier one to roll back to."
    )
    ends = serializers.BooleanField(
        required=False, default=False, help_text="The policy would be retired."
    )


class ImpactRequestSerializer(ProposalSerializer):
    """What is proposed, and which part of the list to return."""

    offset = serializers.IntegerField(required=False, default=0, min_value=0)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=1000)


class PrincipalSerializer(serializers.Serializer[Any]):
    """Someone who may act in the workspace."""

    kind = serializers.CharField()
    id = serializers.CharField()
    name = serializers.CharField()


class ThingSerializer(serializers.Serializer[Any]):
    """A table, a catalog or the workspace."""

    kind = serializers.CharField()
    key = serializers.CharField()
    name = serializers.CharField()


class ChangeSerializer(serializers.Serializer[Any]):
    """What changes."""

    effect = serializers.CharField(help_text="gains, loses, moves or shown.")
    action = serializers.CharField(
        help_text="`table.materialize` is what of a table a machine gets: raw, extract, server."
    )
    before = serializers.CharField()
    after = serializers.CharField()
    why = serializers.CharField()
    circumstance = serializers.CharField()


class ImpactBlockSerializer(ChangeSerializer):
    """One change that is the same for some principals on some things."""

    principals = PrincipalSerializer(many=True)
    principal_count = serializers.IntegerField()
    securables = ThingSerializer(many=True)
    securable_count = serializers.IntegerField()
    unnamed = serializers.IntegerField(help_text="Things that you may not browse.")


class ImpactRowSerializer(ChangeSerializer):
    """One change for one principal on one thing."""

    principal = PrincipalSerializer()
    securable = ThingSerializer()


class ImpactCountsSerializer(serializers.Serializer[Any]):
    """How many pairs of a principal and a thing each effect is about."""

    gains = serializers.IntegerField()
    loses = serializers.IntegerField()
    moves = serializers.IntegerField()
    shown = serializers.IntegerField()


class ImpactSerializer(serializers.Serializer[Any]):
    """Who gains, who loses, and for whom data looks different."""

    counts = ImpactCountsSerializer()
    principals_affected = serializers.IntegerField()
    principals_considered = serializers.IntegerField()
    securables_considered = serializers.IntegerField()
    unnamed = serializers.IntegerField(help_text="Counted, but about what you may not browse.")
    blocks = ImpactBlockSerializer(many=True)
    results = ImpactRowSerializer(many=True)
    next_offset = serializers.IntegerField(allow_null=True)


class ImpactView(APIView):
    """The impact of a proposal."""

    required_scopes: ClassVar[RequiredScopes] = WRITING

    @extend_schema(
        operation_id="policy_impact",
        request=ImpactRequestSerializer,
        responses=ImpactSerializer,
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, policy: str) -> Response:
        """Say who would gain or lose what, and for whom data would look different."""
        actor, _, found = policy_of(request, workspace, policy)
        asked = valid(ImpactRequestSerializer, request)
        offset, limit = asked.pop("offset"), asked.pop("limit")
        proposal = proposals.proposed(actor=actor, policy=found, **asked)
        impact = proposals.impact_of(actor=actor, proposal=proposal)
        return Response(impact_document(impact, offset, limit))


def impact_document(impact: Impact, offset: int, limit: int) -> dict[str, Any]:
    """Return an impact, JSON-ready, with one page of its list."""
    rows = impact.rows(offset, limit + 1)
    return {
        "counts": impact.counts,
        "principals_affected": impact.principals_affected,
        "principals_considered": impact.principals_considered,
        "securables_considered": impact.securables_considered,
        "unnamed": impact.unnamed,
        "blocks": [_block(block) for block in impact.blocks[:limit]],
        "results": [
            _change(row.change)
            | {"principal": _principal(row.principal.actor), "securable": _thing(row.securable)}
            for row in rows[:limit]
        ],
        "next_offset": offset + limit if len(rows) > limit else None,
    }


def _block(block: Block) -> dict[str, Any]:
    return _change(block.change) | {
        "principals": [_principal(one.actor) for one in block.principals[:NAMES_SHOWN]],
        "principal_count": len(block.principals),
        "securables": [_thing(one) for one in block.securables[:NAMES_SHOWN]],
        "securable_count": len(block.securables) + block.unnamed,
        "unnamed": block.unnamed,
    }


def _change(change: Change) -> dict[str, Any]:
    return asdict(change)


def _principal(actor: Actor) -> dict[str, Any]:
    return {"kind": actor.kind.value, "id": str(actor.id), "name": actor.label}


def _thing(securable: Securable) -> dict[str, Any]:
    return {"kind": securable.kind.value, "key": securable.key, "name": securable.label}


class ReplayRequestSerializer(ProposalSerializer):
    """What is proposed, and how far back to look."""

    days = serializers.IntegerField(required=False, default=7, min_value=1, max_value=MAX_DAYS)


class ReplaySerializer(serializers.Serializer[PolicyReplay]):
    """A replay: where it stands, and what would have been different."""

    id = serializers.UUIDField()
    policy = serializers.CharField(source="policy.name")
    number = serializers.IntegerField(allow_null=True)
    ends = serializers.BooleanField()
    days = serializers.IntegerField()
    state = serializers.ChoiceField(choices=[(s.value, s.value) for s in ReplayState])
    total = serializers.IntegerField()
    done = serializers.IntegerField()
    requested_by = serializers.CharField(source="requester")
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    problem = serializers.CharField()
    result = serializers.SerializerMethodField(
        help_text="recorded, gone, counts by fate (fails, moves, shown, allowed, same), affected."
    )

    def get_result(self, replay: PolicyReplay) -> dict[str, Any] | None:
        """Return the result; what the reader may not browse is counted, not named."""
        return told(replay, self.context["known"])


def replay_document(actor: Actor, replay: PolicyReplay) -> dict[str, Any]:
    """Return a replay, JSON-ready, as the actor may read it."""
    result = replay.result or {}
    keys = {read["key"] for one in result.get("affected", ()) for read in one["tables"]}
    found = inventory.keyed(replay.policy.workspace, keys)
    context = {"known": known_keys(actor, found.values())}
    return dict(ReplaySerializer(replay, context=context).data)


def told(replay: PolicyReplay, known: Collection[str]) -> dict[str, Any] | None:
    """Return the result without the names of what is not `known`."""
    if replay.result is None:
        return None
    found: dict[str, Any] = replay.result
    return found | {"affected": [_told(one, known) for one in found["affected"]]}


def _told(one: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    named = [read for read in one["tables"] if read["key"] in known]
    unnamed = len(one["tables"]) - len(named)
    silent = {"why": "", "before": "", "after": ""} if unnamed else {}
    return one | {"tables": named, "unnamed": unnamed} | silent


class ReplayStartView(APIView):
    """A new replay."""

    required_scopes: ClassVar[RequiredScopes] = WRITING

    @extend_schema(
        operation_id="replay_policy",
        request=ReplayRequestSerializer,
        responses={201: ReplaySerializer},
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, policy: str) -> Response:
        """Ask what was recorded again under a proposal; a large one is run by a worker."""
        actor, _, found = policy_of(request, workspace, policy)
        given = valid(ReplayRequestSerializer, request)
        replay = replays.replay_policy(actor=actor, policy=found, **given)
        return Response(replay_document(actor, replay), status=status.HTTP_201_CREATED)


class ReplaysView(generics.GenericAPIView[PolicyReplay]):
    """The replays of a policy."""

    serializer_class = ReplaySerializer
    required_scopes: ClassVar[RequiredScopes] = READING

    @extend_schema(operation_id="list_policy_replays", responses=ReplaySerializer, tags=TAGS)
    def get(self, request: Request, workspace: str, policy: str) -> Response:
        """List replays, newest first."""
        actor, _, found = policy_of(request, workspace, policy)
        authorize(actor, Action.POLICY_AUTHOR, scope_of(found))
        page = list(self.paginate_queryset(found.replays.select_related("policy")) or [])
        return self.get_paginated_response([replay_document(actor, one) for one in page])


class ReplayView(APIView):
    """One replay."""

    required_scopes: ClassVar[RequiredScopes] = READING

    @extend_schema(operation_id="get_policy_replay", responses=ReplaySerializer, tags=TAGS)
    def get(self, request: Request, workspace: str, policy: str, replay: UUID) -> Response:
        """Return a replay: how far it is, and what would have been different."""
        actor, _, found = policy_of(request, workspace, policy)
        return Response(replay_document(actor, find_replay(actor, found, replay)))


class ReplayCancelView(APIView):
    """The wish to stop a replay."""

    required_scopes: ClassVar[RequiredScopes] = WRITING

    @extend_schema(
        operation_id="cancel_policy_replay", request=None, responses=ReplaySerializer, tags=TAGS
    )
    def post(self, request: Request, workspace: str, policy: str, replay: UUID) -> Response:
        """Stop a replay that waits or runs."""
        actor, _, found = policy_of(request, workspace, policy)
        row = replays.cancel_replay(actor=actor, replay=find_replay(actor, found, replay))
        return Response(replay_document(actor, row))
