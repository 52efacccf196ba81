"""Cedar, asked in batches: pure evaluation over values, with policies parsed once per version.

Whatever cannot be evaluated is denied. Cedar itself skips a policy that errs, so that a `forbid`
with an error would let the request through: here every error denies.

Source: https://docs.cedarpolicy.com/auth/authorization.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

import cedarpy
import structlog

from governance.domain import PolicyReference

logger = structlog.get_logger(__name__)

ROLE_DEFAULTS_VERSION = 5
"""The version of `cedar/role_defaults.cedar` that decisions name; a test pins the text to it."""

Json = dict[str, object]


@dataclass(frozen=True, slots=True, eq=False)
class PolicyBundle:
    """Parsed policies with their schema, and what each is called. Compared by identity."""

    version: int
    policies: cedarpy.PolicySet
    schema: cedarpy.Schema
    references: Mapping[str, PolicyReference]
    bodies: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What Cedar said to one request. `is_evaluated` is False where it could not say anything."""

    allowed: bool
    determined_by: tuple[PolicyReference, ...]
    is_evaluated: bool = True


KEPT_CHARACTERS = 8192
"""Entities with longer text are not kept in memory: lists of tables are seldom asked for twice."""

NOT_EVALUATED = Verdict(allowed=False, determined_by=(), is_evaluated=False)


def source(name: str) -> str:
    """Return the text of one of the files in `governance/cedar`."""
    return (files("governance") / "cedar" / name).read_text(encoding="utf-8")


@cache
def schema() -> cedarpy.Schema:
    """Return the schema, parsed once per process."""
    return cedarpy.Schema.from_str(source("schema.cedarschema"))


@lru_cache(maxsize=256)
def parse(text: str, version: int) -> PolicyBundle:
    """Parse Cedar `text` once per process and version.

    Raises `ValueError` where the text does not parse, or a policy has no @id or no @summary.
    """
    policies = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"]
    references = {key: _reference(body, version) for key, body in policies.items()}
    return PolicyBundle(version, cedarpy.PolicySet.from_str(text), schema(), references, policies)


def assemble(
    added: Mapping[str, tuple[Json, PolicyReference]], base: PolicyBundle | None = None
) -> PolicyBundle:
    """Parse policies in Cedar's JSON form, by their ids, together with those of `base`.

    Raises `ValueError` where Cedar does not take them.
    """
    bodies = {**(base.bodies if base else {}), **{key: body for key, (body, _) in added.items()}}
    references = {**(base.references if base else {}), **{k: ref for k, (_, ref) in added.items()}}
    whole = {"staticPolicies": bodies, "templates": {}, "templateLinks": []}
    policies = cedarpy.PolicySet.from_json_str(json.dumps(whole))
    return PolicyBundle(base.version if base else 0, policies, schema(), references, bodies)


@cache
def role_defaults() -> PolicyBundle:
    """Return what the roles may do before anyone writes a policy."""
    return parse(source("role_defaults.cedar"), ROLE_DEFAULTS_VERSION)


def role_default(name: str) -> PolicyReference:
    """Return how decisions name one of the role defaults."""
    return next(one for one in role_defaults().references.values() if one.name == name)


def evaluate(
    bundle: PolicyBundle, requests: Sequence[Json], entities: Sequence[Json]
) -> list[Verdict]:
    """Return one verdict per request, in order; errors deny and are logged, never raised."""
    if not requests:
        return []
    try:
        answers = cedarpy.is_authorized_batch(
            list(requests), bundle.policies, _parsed(json.dumps(list(entities))), bundle.schema
        )
    except (ValueError, TypeError) as error:
        logger.exception("policies could not be evaluated", version=bundle.version, error=error)
        return [NOT_EVALUATED] * len(requests)
    return [_verdict(bundle, answer) for answer in answers]


def _parsed(entities: str) -> cedarpy.Entities:
    """Return entities as Cedar holds them; of a few, which are asked about again, only once.

    Raises `ValueError` where they do not fit the schema.
    """
    return _kept(entities) if len(entities) <= KEPT_CHARACTERS else _parsed_anew(entities)


def _parsed_anew(entities: str) -> cedarpy.Entities:
    return cedarpy.Entities.from_json_str(entities, schema())


_kept = lru_cache(maxsize=1024)(_parsed_anew)


def combine(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict of all policies together from those of parts of them.

    As Cedar does: what forbids in one part wins, then what permits in any; an error denies.
    """
    if not all(verdict.is_evaluated for verdict in verdicts):
        return NOT_EVALUATED
    forbidding = [v for v in verdicts if not v.allowed and v.determined_by]
    speaking = forbidding or [v for v in verdicts if v.allowed]
    determined_by = tuple(reference for v in speaking for reference in v.determined_by)
    return Verdict(bool(speaking) and not forbidding, determined_by)


def _reference(policy: Json, version: int) -> PolicyReference:
    annotations = policy.get("annotations") or {}
    if not isinstance(annotations, dict) or not {"id", "summary"} <= annotations.keys():
        message = "Every policy needs an @id and a @summary."
        raise ValueError(message)
    return PolicyReference(
        annotations["id"], version, annotations["summary"], annotations.get("remedy", "")
    )


def _verdict(bundle: PolicyBundle, answer: cedarpy.AuthzResult) -> Verdict:
    diagnostics = answer.diagnostics
    if diagnostics.errors or answer.decision is cedarpy.Decision.NoDecision:
        logger.error(
            "policy could not be evaluated", version=bundle.version, errors=diagnostics.errors
        )
        return NOT_EVALUATED
    reasons = set(diagnostics.reasons)
    determined_by = tuple(ref for key, ref in bundle.references.items() if key in reasons)
    return Verdict(answer.allowed, determined_by)
