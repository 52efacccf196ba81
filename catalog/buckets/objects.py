"""The steps of a check that read and write objects, all in one folder that is left empty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from botocore.exceptions import BotoCoreError, ClientError

from catalog.buckets.advice import DENIED_CODES, explained, wrong_region
from catalog.buckets.probe import CONTENT, Probe
from catalog.buckets.report import Failed, Skipped, Warned
from catalog.domain import CredentialKind
from catalog.storage.endpoints import EndpointRefused
from catalog.storage.problems import MISSING, code_of

READ_ONLY = "The bucket is connected to be read only."


def list_objects(probe: Probe) -> str:
    """List what is below the prefix."""
    of = probe.bucket
    with asked(probe, "to list objects"):
        found = probe.store.client.list_objects_v2(
            Bucket=of.bucket_name, Prefix=of.prefix, MaxKeys=50
        )
        readable = [one for one in found.get("Contents", []) if one["Size"] > 0]
        if of.is_read_only and readable:
            probe.readable, probe.size = readable[0]["Key"], readable[0]["Size"]
    where = of.prefix or "the whole bucket"
    return f"{where} holds objects." if found.get("KeyCount") else f"{where} is empty."


def region(probe: Probe) -> str:
    """Compare the bucket's own region with the one that we sign for."""
    told = _told_region(probe)
    if told and told != probe.bucket.region:
        raise wrong_region(told, probe.documents)
    if not told:
        raise Skipped("The storage does not say where the bucket is.")
    return f"The bucket is in {told}."


def put(probe: Probe) -> str:
    """Write a small object, encrypted as the bucket's settings say."""
    _only_writable(probe)
    key = f"{probe.inside}object"
    with asked(probe, "to write an object"):
        probe.store.client.put_object(
            Bucket=probe.bucket.bucket_name, Key=key, Body=CONTENT, **probe.store.encryption
        )
        told = probe.store.client.head_object(Bucket=probe.bucket.bucket_name, Key=key)
    probe.readable, probe.size = key, len(CONTENT)
    wanted, got = probe.bucket.encryption, told.get("ServerSideEncryption", "")
    if wanted and got != wanted:
        raise Warned(
            f"The object is not encrypted with {wanted}, as the settings ask.",
            "Use a storage that encrypts, or leave the encryption to the bucket.",
        )
    return f"Written{f', encrypted with {got}' if got else ''}."


def get_range(probe: Probe) -> str:
    """Read some bytes in the middle, as engines do."""
    only_readable(probe)
    end = min(probe.size, 16) - 1
    with asked(probe, "to read a range"):
        answer = probe.store.client.get_object(
            Bucket=probe.bucket.bucket_name, Key=probe.readable, Range=f"bytes=1-{max(end, 1)}"
        )
        body = answer["Body"].read(64)
    if probe.readable.startswith(probe.inside) and body != CONTENT[1 : end + 1]:
        raise Failed("The range holds other bytes than were written.", "Use another storage.")
    if "ContentRange" not in answer:
        raise Failed(
            "The storage sends the whole object in place of a range.",
            "Engines read parts of files: use a storage, or a proxy, that answers ranges.",
        )
    return f"{len(body)} bytes of {probe.size}."


def multipart(probe: Probe) -> str:
    """Write an object in parts, and give up another one."""
    _only_writable(probe)
    client, bucket, key = probe.store.client, probe.bucket.bucket_name, f"{probe.inside}parts"
    with asked(probe, "to write in parts"):
        begun = client.create_multipart_upload(Bucket=bucket, Key=key, **probe.store.encryption)
        upload = begun["UploadId"]
        part = client.upload_part(
            Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=CONTENT
        )
        client.complete_multipart_upload(
            Bucket=bucket,
            Key=key,
            UploadId=upload,
            MultipartUpload={"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]},
        )
        left = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=left)
    return "Completed one upload and aborted another."


def delete(probe: Probe) -> str:
    """Remove everything that the check wrote."""
    _only_writable(probe)
    with asked(probe, "to delete objects"):
        removed = sweep(probe)
        left = _listed(probe)
    if left:
        raise Failed(f"{len(left)} objects are still there: {left[0]}.", "Delete them yourself.")
    return f"Removed {removed} objects; nothing is left."


def outside_prefix(probe: Probe) -> str:
    """Try to reach outside the prefix: that must be refused."""
    if not probe.bucket.prefix:
        raise Skipped("The bucket has no prefix: all of it is Upend's.")
    key = f"upend-check-{probe.folder[-17:-1]}"
    try:
        _touch(probe, key)
    except ClientError as error:
        code = code_of(error)
        if code in DENIED_CODES:
            return f"Outside {probe.bucket.prefix} nothing is allowed."
        if code not in MISSING:
            raise explained(error, "to look outside the prefix", probe.documents) from error
    except BotoCoreError as error:
        raise explained(error, "to look outside the prefix", probe.documents) from error
    _too_wide(probe)
    return ""


def sweep(probe: Probe) -> int:
    """Remove what the check has written so far; return how many objects."""
    found = _listed(probe)
    for key in found:
        probe.store.client.delete_object(Bucket=probe.bucket.bucket_name, Key=key)
    return len(found)


@contextmanager
def asked(probe: Probe, action: str) -> Iterator[None]:
    """Turn the client's errors into the failure of a step; `action` is what was tried."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise explained(error, action, probe.documents) from error
    except EndpointRefused as error:
        if region := error.extra.get("region"):
            raise wrong_region(region, probe.documents) from error
        raise


def only_readable(probe: Probe) -> None:
    """Skip the step where there is nothing to read."""
    if not probe.readable:
        raise Skipped("There is no object to read.")


def _only_writable(probe: Probe) -> None:
    if probe.bucket.is_read_only:
        raise Skipped(READ_ONLY)


def _told_region(probe: Probe) -> str:
    """Return what the storage says of the bucket's region, with a refusal too; often nothing."""
    with asked(probe, "to say its region"):
        try:
            answered = probe.store.client.head_bucket(Bucket=probe.bucket.bucket_name)
            headers = answered["ResponseMetadata"]["HTTPHeaders"]
        except ClientError as error:
            headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers.get("x-amz-bucket-region", "")


def _listed(probe: Probe) -> list[str]:
    found = probe.store.client.list_objects_v2(Bucket=probe.bucket.bucket_name, Prefix=probe.inside)
    return [one["Key"] for one in found.get("Contents", [])]


def _touch(probe: Probe, key: str) -> None:
    """Write outside, and remove it at once; a bucket that is read only is read outside."""
    client, bucket = probe.store.client, probe.bucket.bucket_name
    if probe.bucket.is_read_only:
        client.get_object(Bucket=bucket, Key=key)
        return
    client.put_object(Bucket=bucket, Key=key, Body=b"")
    with suppress(ClientError, BotoCoreError):
        client.delete_object(Bucket=bucket, Key=key)


def _too_wide(probe: Probe) -> None:
    found = f"The keys reach outside {probe.bucket.prefix} too."
    if probe.bucket.credential_kind == CredentialKind.ASSUME_ROLE:
        raise Failed(
            f"{found} The storage does not apply the session policy that narrows them.",
            "Use a storage that does, or a static key that this policy narrows.",
            probe.documents.access_policy(),
        )
    raise Warned(found, "Narrow the key by this policy.", probe.documents.access_policy())
