"""The attack corpus, read once; every test takes its cases here, so that none can be forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

PLACEHOLDERS = {
    "lake": "shop",
    "LAKE": "SHOP",
    "granted_file": "/lake/main/sales/a.parquet",
    "granted_presigned_url": "https://bucket.example/a.parquet?X-Amz-Signature=0",
    "other_tenant_file": "s3://tenant-b/secret.parquet",
    "django_root": "/srv/upend",
    "data_path": "s3://bucket/lake",
    "bucket": "bucket",
    "prefix": "lake",
    "other": "/lake/other",
}
STATEMENTS = frozenset({"authz", "dos", "file", "meta", "net", "policy", "stmt"})
"""The categories whose input is a text that somebody submits as a query."""


@dataclass(frozen=True)
class Attack:
    """One input and the outcome that a safe system gives."""

    id: str
    category: str
    sql: str
    expected: str

    @property
    def is_statement(self) -> bool:
        """Tell whether the input is SQL, rather than a description of what is done."""
        return self.category in STATEMENTS

    @property
    def code(self) -> str:
        """Return the code of an expected refusal, else an empty text."""
        return self.expected.removeprefix("refuse:") if self.expected[:7] == "refuse:" else ""


def _read() -> list[Attack]:
    text = Path(__file__).with_name("attacks.yaml").read_text(encoding="utf-8")
    return [
        Attack(case["id"], case["category"], _fill(case["input"]), case["expected"])
        for case in yaml.safe_load(text)["attacks"]
    ]


def _fill(text: str) -> str:
    for name, value in PLACEHOLDERS.items():
        text = text.replace("{" + name + "}", value)
    return text


ATTACKS = _read()
TAKEN: set[str] = set()
"""The cases that some test runs against what the corpus says of them; see test_corpus.py."""


def by_id(*ids: str) -> list[Attack]:
    """Return the cases of these ids; an unknown id is an error."""
    known = {attack.id: attack for attack in ATTACKS}
    return [known[one] for one in ids]


def runs(attacks: Iterable[Attack]) -> pytest.MarkDecorator:
    """Run the test once per attack, as its argument `attack`, and note that they are run."""
    found = list(attacks)
    TAKEN.update(attack.id for attack in found)
    return pytest.mark.parametrize("attack", found, ids=lambda attack: attack.id)
