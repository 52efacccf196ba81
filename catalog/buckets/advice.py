"""The fix beside each failure: what a storage's word means, and the JSON to paste."""

from __future__ import annotations

import json
from dataclasses import dataclass

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)

from catalog.buckets.report import Failed
from catalog.storage.problems import code_of

READ_ACTIONS = ("s3:GetObject",)
WRITE_ACTIONS = ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")
BUCKET_ACTIONS = ("s3:GetBucketLocation", "s3:ListBucketMultipartUploads")
UNKNOWN_TO_SEAWEEDFS = frozenset({"s3:ListBucketMultipartUploads"})
"""It refuses a policy with an action that it does not know."""
REGION_CODES = frozenset(
    {
        "301",
        "307",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "PermanentRedirect",
        "TemporaryRedirect",
    }
)
DENIED_CODES = frozenset({"403", "AccessDenied", "AllAccessDisabled", "Forbidden"})
EXPIRED_CODES = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"}
)
UNKNOWN_KEY_CODES = frozenset(
    {"InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException"}
)
MEANINGS: dict[frozenset[str], tuple[str, str]] = {
    UNKNOWN_KEY_CODES: (
        "The storage does not know this access key ID.",
        (
            "Paste the key again, or make a new one: it may have been deleted, or belong to another"
            " account or endpoint."
        ),
    ),
    frozenset({"SignatureDoesNotMatch"}): (
        "The secret does not belong to the access key ID.",
        (
            "Paste the secret again, whole and without spaces. If it is right, a proxy before the"
            " storage may change the host's name or the path."
        ),
    ),
    EXPIRED_CODES: (
        "The session token has expired, or is not one of this storage's.",
        "Give a key that lasts, or a role: Upend renews what a role lends by itself.",
    ),
    frozenset({"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"}): (
        "The storage refuses our clock: it is off by more than 15 minutes.",
        "Let NTP set the clocks of Upend's host and of the storage.",
    ),
    frozenset({"NoSuchBucket"}): (
        "There is no bucket of this name.",
        (
            "Create the bucket, or correct its name. A server that wants it before the host's"
            " name needs the other addressing style."
        ),
    ),
    frozenset({"NotImplemented", "MethodNotAllowed", "405", "501"}): (
        "The storage does not do this.",
        "Use a storage, or a version of it, that speaks this part of S3.",
    ),
}


@dataclass(frozen=True, slots=True)
class Documents:
    """The JSON to paste for one bucket."""

    bucket: str
    prefix: str
    region: str
    is_read_only: bool
    external_id: str
    origin: str
    provider: str = ""
    is_session: bool = False
    """Whether the key came with a session's token, and so with an end."""

    def access_policy(self) -> str:
        """Return the IAM policy that lets a key do what Upend does, and no more."""
        objects = [*READ_ACTIONS, *(() if self.is_read_only else WRITE_ACTIONS)]
        unknown = UNKNOWN_TO_SEAWEEDFS if self.provider == "seaweedfs" else frozenset()
        listing: dict[str, object] = {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": f"arn:aws:s3:::{self.bucket}",
        }
        if self.prefix:
            listing["Condition"] = {"StringLike": {"s3:prefix": [f"{self.prefix}*"]}}
        whole = {
            "Effect": "Allow",
            "Action": [action for action in BUCKET_ACTIONS if action not in unknown],
            "Resource": f"arn:aws:s3:::{self.bucket}",
        }
        inside = {
            "Effect": "Allow",
            "Action": objects,
            "Resource": f"arn:aws:s3:::{self.bucket}/{self.prefix}*",
        }
        return _pretty({"Version": "2012-10-17", "Statement": [whole, listing, inside]})

    def trust_policy(self, principal: str) -> str:
        """Return the trust policy of a role that only Upend, with its external ID, may assume."""
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": principal or "arn:aws:iam::ACCOUNT_OF_UPEND:role/UPEND"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": self.external_id}},
        }
        return _pretty({"Version": "2012-10-17", "Statement": [statement]})

    def cors(self) -> str:
        """Return the CORS rules by which the console's engine in the browser reads ranges."""
        rule = {
            "AllowedOrigins": [self.origin],
            "AllowedMethods": ["GET"],
            "AllowedHeaders": ["range"],
            "ExposeHeaders": ["Content-Range", "Content-Length", "ETag"],
            "MaxAgeSeconds": 3600,
        }
        return _pretty([rule])


def explained(error: BotoCoreError | ClientError, action: str, documents: Documents) -> Failed:
    """Return the failure that an error of the client's means; `action` is what was tried."""
    if not isinstance(error, ClientError):
        return _unreached(error)
    code = code_of(error)
    if code in REGION_CODES:
        return wrong_region(_told_region(error), documents)
    if code in DENIED_CODES:
        return Failed(
            f"The storage refuses {action} (AccessDenied).",
            "Give the key or the role this policy. A bucket policy, or the key that encrypts, may"
            " refuse too.",
            documents.access_policy(),
        )
    if code in UNKNOWN_KEY_CODES and documents.is_session:  # SeaweedFS forgets ended sessions
        found, fix = MEANINGS[EXPIRED_CODES]
        return Failed(f"{found} ({code})", fix)
    for codes, (found, fix) in MEANINGS.items():
        if code in codes:
            return Failed(f"{found} ({code})", fix)
    return Failed(f"The storage answered {code or 'without a word'} to {action}.", SERVER_LOG)


SERVER_LOG = "Look into the storage's own log, then check again."


def wrong_region(told: str, documents: Documents) -> Failed:
    """Return the failure of a bucket that is in another region."""
    if told:
        found = f"The bucket is in {told}, not in {documents.region}."
        return Failed(found, f"Change the region to {told}, and the endpoint to that region's.")
    found = f"The bucket is not in {documents.region}."
    return Failed(found, "Change the region to the one that its provider shows.")


def _unreached(error: BotoCoreError) -> Failed:
    match error:
        case EndpointConnectionError() | ConnectTimeoutError():
            found, fix = "Nothing answers there.", "Is the address right, and its port open to us?"
        case ReadTimeoutError():
            found, fix = "It did not answer in time.", "Is it up, and not overloaded? Check again."
        case SSLError():
            found = "Its certificate is not one that we trust."
            fix = "Serve a certificate of a public authority for this very name."
        case NoCredentialsError():
            found = "There are no keys to ask with."
            fix = "Give the bucket a key, or Upend's host an identity of its own."
        case _:
            found, fix = f"The client failed: {type(error).__name__}.", SERVER_LOG
    return Failed(found, fix)


def _told_region(error: ClientError) -> str:
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(headers.get("x-amz-bucket-region") or "")


def _pretty(document: object) -> str:
    return json.dumps(document, indent=2)
