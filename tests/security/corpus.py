"""The attack corpus, read once; every file of this folder runs the cases of its layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

PLACEHOLDERS = {
    "lake": "lake",
    "LAKE": "LAKE",
    "granted_file": "/lake/main/sales/a.parquet",
    "granted_presigned_url": "https://bucket.example/a.parquet?X-Amz-Signature=0",
    "other_tenant_file": "s3://tenant-b/secret.parquet",
    "django_root": "/srv/upend",
    "data_path": "s3://bucket/lake",
    "bucket": "bucket",
    "prefix": "lake",
    "other": "/lake/other",
}


@dataclass(frozen=True)
class Attack:
    """One input and the outcome that a safe system gives."""

    id: str
    category: str
    sql: str
    expected: str


def attacks() -> list[Attack]:
    """Return every case, with its placeholders filled."""
    text = Path(__file__).with_name("attacks.yaml").read_text(encoding="utf-8")
    return [
        Attack(case["id"], case["category"], _fill(case["input"]), case["expected"])
        for case in yaml.safe_load(text)["attacks"]
    ]


def _fill(text: str) -> str:
    for name, value in PLACEHOLDERS.items():
        text = text.replace("{" + name + "}", value)
    return text
