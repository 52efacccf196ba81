"""What a provider's buckets have in common: where the form of a new bucket begins."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.domain import AddressingStyle


@dataclass(frozen=True, slots=True)
class Preset:
    """One provider. `lends_roles` where its token service knows external IDs."""

    key: str
    label: str
    endpoint: str
    region: str
    hint: str
    style: AddressingStyle = AddressingStyle.PATH
    lends_roles: bool = False


PRESETS = (
    Preset(
        "aws",
        "AWS S3",
        "https://s3.eu-central-1.amazonaws.com",
        "eu-central-1",
        "The endpoint names the bucket's region. A role with the external ID below is safer than"
        " a key: there is no secret to keep.",
        AddressingStyle.VIRTUAL,
        lends_roles=True,
    ),
    Preset(
        "r2",
        "Cloudflare R2",
        "https://ACCOUNT_ID.r2.cloudflarestorage.com",
        "auto",
        "Make an R2 API token for the bucket, Object Read & Write; it shows the S3 key once.",
    ),
    Preset(
        "minio",
        "MinIO",
        "https://minio.example.com:9000",
        "us-east-1",
        "Make an access key for a user whose policy reaches the bucket.",
    ),
    Preset(
        "seaweedfs",
        "SeaweedFS",
        "https://storage.example.com:8333",
        "us-east-1",
        "Make a user with its key, and give it the policy that the check shows.",
    ),
    Preset(
        "ceph",
        "Ceph",
        "https://rgw.example.com",
        "default",
        "Make an S3 user in the object gateway; the region is its zone group.",
    ),
    Preset(
        "gcs",
        "Google Cloud",
        "https://storage.googleapis.com",
        "auto",
        "Make an HMAC key of a service account: Cloud Storage, Settings, Interoperability.",
    ),
)


def preset_of(key: str) -> Preset:
    """Return the preset of a provider, the first where there is none."""
    return next((preset for preset in PRESETS if preset.key == key), PRESETS[0])
