"""The examples of the reference of policies are policies."""

from __future__ import annotations

import re
from pathlib import Path

import cedarpy
import pytest

from governance import documents, engine

TEXT = (Path(__file__).parents[2] / "docs/reference/policies.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(cedar|yaml)\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(("language", "text"), BLOCKS)
def test_it_reads_every_example_of_the_reference(language: str, text: str) -> None:
    if language == "cedar":
        result = cedarpy.validate_policies(text, engine.schema())
        assert not result.errors
        return
    read = documents.read_mask if "columns:" in text else documents.read_row_filter
    document, findings = read(text)
    assert document is not None
    assert findings == []


def test_it_finds_the_examples() -> None:
    assert [language for language, _ in BLOCKS] == ["cedar", "yaml", "yaml", "yaml"]
