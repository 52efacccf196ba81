"""Reference pages say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from audit.domain import Event
from config import reference
from upend.cli import reference as commands

ROOT = Path(__file__).parents[2]


def first_column(page: str) -> list[str]:
    """Return what the first column of a page's tables lists in code type."""
    text = (ROOT / "docs/reference" / page).read_text()
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def test_it_documents_every_problem_as_the_code_has_it() -> None:
    page = (ROOT / reference.PROBLEMS).read_text()
    assert page == reference.problems_page(), "run: make schema"


def test_it_documents_the_command_line_as_it_helps() -> None:
    assert (ROOT / reference.COMMANDS).read_text() == commands.page(), "run: make schema"


def test_it_gives_every_problem_a_code_a_title_and_a_sentence() -> None:
    for problem in reference.problem_classes():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", problem.code), problem
        assert re.fullmatch(r"[A-Z][^.]*", problem.title), problem
        assert problem.__doc__, problem
        assert 400 <= problem.status < 600, problem


def test_it_keeps_one_status_for_one_code() -> None:
    statuses: dict[str, set[int]] = {}
    for problem in reference.problem_classes():
        statuses.setdefault(problem.code, set()).add(problem.status)
    assert all(len(found) == 1 for found in statuses.values()), statuses


def test_it_documents_every_event_in_order() -> None:
    assert first_column("events.md") == [event.value for event in Event]


def test_it_documents_every_setting_in_order() -> None:
    source = (ROOT / "platform/config/settings.py").read_text()
    read = set(re.findall(r'env\.(?:text|flag|number|words)\(\s*"([A-Z0-9_]+)"', source))
    assert first_column("settings.md") == sorted(f"UPEND_{name}" for name in read)


@pytest.mark.parametrize(
    "page", sorted(p.relative_to(ROOT) for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
)
def test_it_links_only_to_what_exists(page: Path) -> None:
    text = (ROOT / page).read_text()
    for link in re.findall(r"\]\((?!https?:|mailto:|#)([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(link).exists(), f"{page} links to {link}"


ROOMS = "platform|governance|catalog|execution|client|tests|docs|benchmarks|deploy|static"


@pytest.mark.parametrize(
    "page", sorted(p.relative_to(ROOT) for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
)
def test_it_names_only_files_that_exist(page: Path) -> None:
    named = re.findall(rf"`((?:{ROOMS})/[\w./-]*)`", (ROOT / page).read_text())
    missing = sorted({path for path in named if not (ROOT / path).exists()})
    assert not missing, f"{page} names {missing}"
