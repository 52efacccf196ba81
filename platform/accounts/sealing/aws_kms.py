"""Key-encryption keys in AWS KMS, which never leave it.

Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html and API_Decrypt. The
place of a secret is the encryption context, which KMS authenticates and writes to CloudTrail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings

from accounts.sealing.domain import Binding, KeyUnavailable, Wrapped

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

SCHEME = "aws-kms"
HINT = "May this host's identity use the key (kms:Encrypt, kms:Decrypt), and is it enabled?"


class AwsKms:
    """The keys of `UPEND_AWS_KMS_KEYS`, by ARN; the first wraps."""

    def current(self) -> str:
        """Return the id of the first key."""
        return f"{SCHEME}:{_configured()[0]}"

    def wrap(self, data_key: bytes, binding: Binding) -> Wrapped:
        """Let KMS encrypt a data key."""
        arn = _configured()[0]
        with _translated(arn):
            answer = _client(arn, os.getpid()).encrypt(
                KeyId=arn, Plaintext=data_key, EncryptionContext=binding.as_context()
            )
        return Wrapped(self.current(), answer["CiphertextBlob"])

    def unwrap(self, wrapped: Wrapped, binding: Binding) -> bytes:
        """Let KMS decrypt a data key, with a key that is configured and no other.

        Whoever can write to the database could name a key of their own otherwise.
        """
        arn = wrapped.key_id.removeprefix(f"{SCHEME}:")
        if arn not in _configured():
            message = f"The secret is wrapped by {arn}, which is not configured."
            raise KeyUnavailable(message, hint="Add the key's ARN to UPEND_AWS_KMS_KEYS.")
        with _translated(arn):
            answer = _client(arn, os.getpid()).decrypt(
                KeyId=arn,
                CiphertextBlob=wrapped.content,
                EncryptionContext=binding.as_context(),
            )
        return answer["Plaintext"]


def _configured() -> list[str]:
    keys: list[str] = settings.AWS_KMS_KEYS
    if not keys or not all(":key/" in arn for arn in keys):
        message = "UPEND_AWS_KMS_KEYS does not name keys."
        hint = "Give ARNs of keys, not of aliases: arn:aws:kms:eu-central-1:1234…:key/…"
        raise KeyUnavailable(message, hint=hint)
    return keys


@lru_cache(maxsize=8)
def _client(arn: str, _: int) -> KMSClient:
    """Return the client of the key's region, one per process: a fork must not share sockets."""
    return boto3.client(
        "kms",
        region_name=arn.split(":")[3],
        config=Config(
            connect_timeout=3,
            read_timeout=10,
            retries={"mode": "standard", "total_max_attempts": 3},
        ),
    )


@contextmanager
def _translated(arn: str) -> Iterator[None]:
    """Turn the client's errors into the problem; what they quote is not repeated."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        message = f"KMS answered {code} for {arn}."
        raise KeyUnavailable(message, hint=HINT) from error
    except BotoCoreError as error:
        message = f"KMS could not be asked for {arn}: {type(error).__name__}."
        raise KeyUnavailable(message, hint=HINT) from error
