"""The corpus is run whole: a case that no test takes fails here."""

from __future__ import annotations

import importlib
from pathlib import Path

from tests.security import corpus


def test_it_runs_every_case() -> None:
    for module in Path(__file__).parent.glob("test_*.py"):
        importlib.import_module(f"tests.security.{module.stem}")
    assert {attack.id for attack in corpus.ATTACKS} - corpus.TAKEN == set()


def test_it_has_no_case_twice_and_none_less_than_it_had() -> None:
    ids = [attack.id for attack in corpus.ATTACKS]
    assert len(ids) == len(set(ids))
    assert len(ids) >= 160
