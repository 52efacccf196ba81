"""The steps of a check about keys: they last, and a role is lent to us and to nobody else."""

from __future__ import annotations

from dataclasses import replace

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from catalog.buckets.advice import DENIED_CODES, MEANINGS, explained
from catalog.buckets.probe import Probe
from catalog.buckets.report import Failed, Skipped, Warned
from catalog.domain import CredentialKind
from catalog.storage import Credentials
from catalog.storage.customer import role_of
from catalog.storage.lending import Role, assume, client, session_policy
from catalog.storage.problems import code_of

EXPIRY_DAYS = 14
NO_STS = (
    "Use a static key with this bucket, or give the address of the storage's security token"
    " service where that is another one."
)


def term(probe: Probe) -> str:
    """Look at when the key that was given ends."""
    if probe.key is None:
        raise Skipped("No key was given: the host's own identity asks.")
    ends = probe.key.expires_at
    if ends is None:
        return "The key has no end that we know of."
    days = (ends - probe.now()).days
    fix = "Give the bucket a new key: rotation keeps the old one working meanwhile."
    if ends <= probe.now():
        raise Failed(f"The key ended at {ends:%Y-%m-%d %H:%M} UTC.", fix)
    if days < EXPIRY_DAYS:
        raise Warned(f"The key ends at {ends:%Y-%m-%d %H:%M} UTC.", fix)
    return f"The key holds until {ends:%Y-%m-%d}."


def assume_role(probe: Probe) -> str:
    """Borrow the role's keys as Upend always will: with the external ID, narrowed."""
    _only_roles(probe)
    lent = _borrowed(probe, role_of(probe.bucket))
    until = f" until {lent.expires_at:%H:%M} UTC" if lent.expires_at else ""
    return f"The role lent keys{until}; Upend renews them before they end."


def external_id(probe: Probe) -> str:
    """Ask for the same without the external ID: that must be refused."""
    _only_roles(probe)
    try:
        _assumed(probe, replace(role_of(probe.bucket), external_id=""))
    except ClientError as error:
        if code_of(error) in DENIED_CODES:
            return "Without the external ID, the role is not lent."
        found = f"Without the external ID, it answered {code_of(error)} in place of AccessDenied."
        raise Warned(found, "Make sure that the trust policy asks for the external ID.") from error
    except BotoCoreError as error:
        raise explained(error, "to lend the role", probe.documents) from error
    raise Failed(
        "The role is lent without the external ID: others who use Upend could borrow it.",
        "Put the condition into the role's trust policy. A storage that knows no external IDs"
        " cannot lend roles safely: use a static key with it.",
        probe.documents.trust_policy(_identity(probe)),
    )


def _borrowed(probe: Probe, role: Role) -> Credentials:
    try:
        return _assumed(probe, role)
    except ClientError as error:
        raise _refusal(probe, error) from error
    except ResponseParserError as error:
        raise Failed("What answers there is no security token service.", NO_STS) from error
    except BotoCoreError as error:
        raise explained(error, "to lend the role", probe.documents) from error


def _assumed(probe: Probe, role: Role) -> Credentials:
    of = probe.bucket
    policy = session_policy(of.bucket_name, of.prefix, is_read_only=of.is_read_only)
    return assume(probe.key, role, policy, name=f"upend-check-{of.id.hex[:8]}")


def _refusal(probe: Probe, error: ClientError) -> Failed:
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if any(code in codes for codes in MEANINGS) and "Implemented" not in code:
        return explained(error, "to lend the role", probe.documents)
    if code in DENIED_CODES:
        return Failed(
            "The role is not lent to Upend (AccessDenied).",
            "Give the role this trust policy, and the identity that asks the right to"
            " `sts:AssumeRole`. A storage that lends no roles may answer so too: use a static key"
            " with it.",
            probe.documents.trust_policy(_identity(probe)),
        )
    return Failed(f"There is no security token service: it answered {code or status}.", NO_STS)


def _identity(probe: Probe) -> str:
    """Return the ARN of who asks, where its security token service tells."""
    try:
        return client(probe.key, role_of(probe.bucket)).get_caller_identity()["Arn"]
    except (BotoCoreError, ClientError):
        return ""


def _only_roles(probe: Probe) -> None:
    if probe.bucket.credential_kind != CredentialKind.ASSUME_ROLE:
        raise Skipped("The bucket is reached without a role.")
