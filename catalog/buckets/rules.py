"""What may be said of a bucket, checked before anything is stored or reached."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from django.conf import settings

from catalog.domain import AddressingStyle, CredentialKind, Encryption
from catalog.storage.endpoints import EndpointRefused, checked
from problems import Invalid

NAME = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,78}[^\s\x00-\x1f\x7f])?")
BUCKET_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.)){1,61}[A-Za-z0-9]")
SEGMENT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._=@+-]+")
REGION = re.compile(r"[A-Za-z0-9-]{1,60}")
ROLE_ARN = re.compile(r"arn:[a-z0-9-]+:iam::(?:[A-Za-z0-9_-]*:)?role/[A-Za-z0-9+=,.@_/-]{1,200}")
KMS_KEY_ID = re.compile(r"[A-Za-z0-9:/_.-]{0,300}")
ACCESS_KEY_ID = re.compile(r"[\x21-\x7e]{1,128}")
PREFIX_MAX_LENGTH = 300

PREFIX_RULE = (
    "A prefix is folders of letters, digits and - _ . = @ + between slashes, such as"
    " `lake/production/`: no `*`, `?` or `$` (they are wildcards in access policies), no quotes,"
    " backslashes, `%` or spaces (addresses would differ from keys), no `.` or `..` as a folder,"
    " no empty folder, and no slash at its beginning."
)


class InvalidBucket(Invalid):
    """Something said of the bucket cannot be so; nothing was changed."""

    code = "invalid-bucket"
    title = "The bucket's settings cannot be used"


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """What a customer says of a bucket, without its keys."""

    name: str
    bucket_name: str
    endpoint: str
    region: str
    credential_kind: CredentialKind = CredentialKind.STATIC
    provider: str = ""
    prefix: str = ""
    public_endpoint: str = ""
    addressing_style: AddressingStyle = AddressingStyle.PATH
    role_arn: str = ""
    sts_endpoint: str = ""
    encryption: Encryption = Encryption.DEFAULT
    kms_key_id: str = ""
    is_read_only: bool = False


def checked_settings(given: BucketSettings) -> BucketSettings:
    """Return the settings as they are kept. Raises `InvalidBucket` with the field and its rule."""
    _match("name", given.name, NAME, "A name is up to 80 printable characters.")
    _match(
        "bucket_name",
        given.bucket_name,
        BUCKET_NAME,
        "A bucket's name is 3 to 63 letters, digits, dots, hyphens and underscores.",
    )
    _match("region", given.region, REGION, "A region reads like `eu-central-1`; R2's is `auto`.")
    kept = replace(
        given,
        prefix=checked_prefix(given.prefix),
        endpoint=_server("endpoint", given.endpoint),
        public_endpoint=_optional(_url, "public_endpoint", given.public_endpoint),
        sts_endpoint=_optional(_server, "sts_endpoint", given.sts_endpoint),
    )
    _check_credentials(kept)
    _check_encryption(kept)
    _refuse_own(kept)
    return kept


def checked_prefix(prefix: str) -> str:
    """Return the prefix with a slash at its end, or nothing. Raises `InvalidBucket`."""
    if not prefix:
        return ""
    segments = prefix.removesuffix("/").split("/")
    if len(prefix) > PREFIX_MAX_LENGTH or not all(SEGMENT.fullmatch(s) for s in segments):
        raise refused("prefix", f"The prefix {prefix[:80]!r} cannot be used.", PREFIX_RULE)
    return "/".join(segments) + "/"


def check_access_key_id(value: str) -> None:
    """Raise `InvalidBucket` unless it can be the name of an access key."""
    rule = "An access key ID has no spaces; paste it as the provider shows it."
    _match("access_key_id", value, ACCESS_KEY_ID, rule)


def refused(field: str, detail: str, hint: str) -> InvalidBucket:
    """Return the problem with one field."""
    return InvalidBucket(detail, hint=hint, field=field)


def _server(field: str, url: str) -> str:
    """Return the URL of a server that Upend itself will connect to. Raises `EndpointRefused`."""
    try:
        return checked(url).url
    except EndpointRefused as problem:
        problem.extra["field"] = field
        raise


def _url(field: str, url: str) -> str:
    """Return the URL of a server that only devices and browsers connect to."""
    parts = urlsplit(url)
    is_whole = parts.scheme in {"http", "https"} and parts.hostname
    if not is_whole or parts.path.strip("/") or parts.query or parts.fragment or "@" in url:
        raise refused(
            field,
            f"{url[:120]!r} is not the address of a storage server.",
            "Write it as `https://host` or `https://host:port`, without the bucket's name.",
        )
    return f"{parts.scheme}://{parts.netloc}"


def _optional(check: Callable[[str, str], str], field: str, value: str) -> str:
    return check(field, value) if value else ""


def _check_credentials(given: BucketSettings) -> None:
    match given.credential_kind:
        case CredentialKind.ASSUME_ROLE:
            rule = "Paste the role's ARN: `arn:aws:iam::123456789012:role/name`."
            _match("role_arn", given.role_arn, ROLE_ARN, rule)
        case CredentialKind.UPEND:
            rule = (
                "Choose `static`, `assume_role` or `ambient`: only Upend's own bucket is `upend`."
            )
            raise refused("credential_kind", "Upend's own keys reach no other bucket.", rule)
        case CredentialKind.AMBIENT if not settings.HOST_IDENTITY:
            raise refused(
                "credential_kind",
                "The identity of Upend's host may not be used for buckets here.",
                "Use a key or a role, or let the operator set UPEND_HOST_IDENTITY=1.",
            )


def _check_encryption(given: BucketSettings) -> None:
    rule = "Paste the key's ARN or id; only `aws:kms` takes one."
    _match("kms_key_id", given.kms_key_id, KMS_KEY_ID, rule)
    if given.kms_key_id and given.encryption is not Encryption.KMS:
        raise refused("kms_key_id", "Only encryption by `aws:kms` takes a key.", rule)


def _refuse_own(given: BucketSettings) -> None:
    """Refuse Upend's own bucket: other organizations' lakes and results are in it."""
    own = urlsplit(settings.S3["endpoint"]).netloc, settings.S3["bucket"]
    if (urlsplit(given.endpoint).netloc, given.bucket_name) == own:
        raise refused(
            "bucket_name",
            "This is Upend's own bucket.",
            "Hosted catalogs are in it already; connect a bucket of yours.",
        )


def _match(field: str, value: str, pattern: re.Pattern[str], rule: str) -> None:
    if not pattern.fullmatch(value):
        raise refused(field, f"{value[:80]!r} cannot be the {field.replace('_', ' ')}.", rule)
