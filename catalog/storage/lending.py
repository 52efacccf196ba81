"""Borrows a role's keys and renews them in time, so that nothing dies in the middle of a job.

Source: AssumeRole of the AWS Security Token Service, which MinIO, Ceph and SeaweedFS speak too,
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from catalog.storage.guard import guard
from catalog.storage.location import Credentials
from catalog.storage.problems import translated
from catalog.storage.session import session_of

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient
    from mypy_boto3_sts.type_defs import AssumeRoleRequestTypeDef

SESSION_SECONDS = 3600
"""What every role allows; roles that were assumed by a role are never lent for longer."""
RENEW_SECONDS = 1200.0
"""Keys with less time left than this are renewed before they are used."""
HINT = "Does the role trust Upend's identity, with the external ID as its condition?"


@dataclass(frozen=True, slots=True)
class Role:
    """A role that Upend may assume, and who lends it."""

    arn: str
    external_id: str
    region: str
    endpoint: str = ""
    """The URL of the security token service; AWS's own of the region where empty."""


def session_policy(
    bucket: str, prefix: str, readable: Sequence[str] = (), *, is_read_only: bool = False
) -> str:
    """Return the policy that narrows a session to one prefix of one bucket.

    Below the prefixes in `readable` it may read. What the role may do beyond, the session may not.
    """
    objects = ["s3:GetObject"]
    if not is_read_only:
        objects += ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    known = [f"{one}*" for one in (prefix, *readable)]
    listed = {"StringLike": {"s3:prefix": known}} if prefix else {}
    statements = [
        _allow(["s3:GetBucketLocation", "s3:ListBucketMultipartUploads"], f"arn:aws:s3:::{bucket}"),
        _allow(["s3:ListBucket"], f"arn:aws:s3:::{bucket}")
        | ({"Condition": listed} if listed else {}),
        _allow(objects, f"arn:aws:s3:::{bucket}/{prefix}*"),
        *(_allow(["s3:GetObject"], f"arn:aws:s3:::{bucket}/{one}*") for one in readable),
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))


def assume(base: Credentials | None, role: Role, policy: str, *, name: str) -> Credentials:
    """Return keys of the role for an hour, narrowed to `policy`; `name` marks them in its log.

    `base` are the keys that ask; without, the identity of this host does. Raises botocore's
    errors as they are: the check tells them apart.
    """
    request: AssumeRoleRequestTypeDef = {
        "RoleArn": role.arn,
        "RoleSessionName": name,
        "Policy": policy,
        "DurationSeconds": SESSION_SECONDS,
    }
    if role.external_id:
        request["ExternalId"] = role.external_id
    lent = client(base, role).assume_role(**request)["Credentials"]
    return Credentials(
        lent["AccessKeyId"],
        lent["SecretAccessKey"],
        lent["SessionToken"],
        lent["Expiration"].astimezone(UTC),
    )


def client(base: Credentials | None, role: Role) -> STSClient:
    """Return the client of who lends the role."""
    session = boto3.Session() if base is None else session_of(lambda: base)
    made = session.client(
        "sts",
        endpoint_url=role.endpoint or None,
        region_name=role.region,
        config=Config(
            connect_timeout=3,
            read_timeout=10,
            retries={"mode": "standard", "total_max_attempts": 2},
        ),
    )
    guard(made)
    return made


class Lender:
    """Keeps borrowed keys and renews them; thread-safe."""

    def __init__(self, borrow: Callable[[], Credentials], endpoint: str) -> None:
        self._borrow = borrow
        self._endpoint = endpoint
        self._lock = Lock()
        self._lent: Credentials | None = None

    def __call__(self, lasting_seconds: float = RENEW_SECONDS) -> Credentials:
        """Return keys that hold for `lasting_seconds`, or as long as a session may.

        Raises `StorageUnreachable`.
        """
        with self._lock:
            lent = self._lent
            if lent is None or not _lasts(lent, min(lasting_seconds, SESSION_SECONDS * 0.9)):
                with translated(self._endpoint, HINT):
                    lent = self._lent = self._borrow()
            return lent


def _lasts(lent: Credentials, seconds: float) -> bool:
    if lent.expires_at is None:
        return True
    return lent.expires_at - datetime.now(UTC) > timedelta(seconds=seconds)


def _allow(actions: list[str], resource: str) -> dict[str, object]:
    return {"Effect": "Allow", "Action": actions, "Resource": resource}
