"""What can go wrong with object storage, and the one place that turns a client's errors into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from problems import Conflict, NotFound, Problem

MISSING = frozenset({"404", "NoSuchKey", "NotFound"})


class StorageUnreachable(Problem):
    """The object storage does not answer, or refuses the keys it was given."""

    code = "storage-unreachable"
    status = 503
    title = "The object storage cannot be reached"


class ObjectMissing(NotFound):
    """There is no such object."""

    code = "object-missing"
    title = "The object is not there"


class BucketReadOnly(Conflict):
    """The bucket was connected to be read; nothing is written to it or removed from it."""

    code = "bucket-read-only"
    title = "The bucket is read only"


def code_of(error: ClientError) -> str:
    """Return S3's word for what was wrong; empty where it gave none."""
    return error.response.get("Error", {}).get("Code", "")


@contextmanager
def translated(endpoint: str, hint: str) -> Iterator[None]:
    """Turn a client's errors into problems that name `endpoint` and say what to do."""
    try:
        yield
    except ClientError as error:
        if code_of(error) in MISSING:
            raise ObjectMissing("The object was removed, or its name is wrong.") from error
        why = f"it answered {code_of(error)}"
        raise StorageUnreachable(f"{endpoint} could not be used: {why}.", hint=hint) from error
    except (BotoCoreError, ResponseParserError, OSError) as error:
        why = type(error).__name__
        raise StorageUnreachable(f"{endpoint} could not be used: {why}.", hint=hint) from error
