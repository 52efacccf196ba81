"""The shape of the source tree that house-style.md promises."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LONGEST_FILE_LINES = 400
AT_ONCE = re.compile(
    r"assert .*\.(count|is_[a-z]+|inner_text|input_value|get_attribute|all_inner_texts)\("
)
FORBIDDEN_NAMES = {"common", "helpers", "signals", "utils"}
SOURCES = ("platform", "governance", "catalog", "execution", "client", "tests", "benchmarks")


@cache
def python_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).exists()]
    return [path for path in paths if path.parts[0] in SOURCES]


def sources() -> list[Path]:
    return [p for p in python_files() if "migrations" not in p.parts]


def test_it_keeps_platform_a_source_root() -> None:
    """As a package it would shadow the standard library's `platform`."""
    assert not (ROOT / "platform" / "__init__.py").exists()


def test_it_has_no_module_named_for_what_it_is_not() -> None:
    named = [p for p in python_files() if {p.stem, *p.parts[:-1]} & FORBIDDEN_NAMES]
    assert not named


def test_it_keeps_files_short_enough_to_read() -> None:
    lengths = {p: len((ROOT / p).read_text().splitlines()) for p in sources()}
    assert not {str(p): n for p, n in lengths.items() if n > LONGEST_FILE_LINES}


def test_it_opens_every_module_with_why_it_exists() -> None:
    silent = []
    for path in sources():
        text = (ROOT / path).read_text()
        if text.strip() and ast.get_docstring(ast.parse(text)) is None:
            silent.append(str(path))
    assert not silent


def test_it_waits_for_what_it_asserts_of_a_page() -> None:
    """A look at once, right after a click, is at the page before: `expect` looks again."""
    hasty = []
    for path in sorted((ROOT / "tests" / "console").glob("*.py")):
        text = path.read_text()
        if "from playwright" in text:
            hasty += [
                f"{path.name}: {line.strip()}" for line in text.splitlines() if AT_ONCE.search(line)
            ]
    assert not hasty


@pytest.mark.parametrize("target", ["demo", "up", "test", "check", "bench", "screenshots", "help"])
def test_it_offers_each_promised_make_target(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{target}:.* ## ", makefile, re.MULTILINE)


def test_it_gives_a_reason_for_every_dependency() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    begins = itertools.dropwhile(lambda line: line != "dependencies = [", lines)
    section = list(itertools.takewhile(lambda line: not line.startswith("[tool"), begins))
    unexplained = [line for line in section if line.startswith('  "') and "#" not in line]
    assert not unexplained
