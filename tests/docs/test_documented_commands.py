"""What the documents tell people to type exists: targets, commands, options, addresses, SQL."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest
from django.core.management import get_commands
from django.urls import resolve

from execution import gate
from upend.cli.group import cli

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), ROOT / "client/README.md", *ROOT.glob("docs/**/*.md")]
ELSEWHERE = {".", "pip", "python3", "python", "cd", "git", "export"}
"""Programs that are not ours to check."""


FENCE = r"^```{language}\n(.*?)^```"


def blocks(language: str) -> list[tuple[str, str]]:
    """Return (page, text) of every fenced block in a language."""
    fence = FENCE.format(language=language)
    return [
        (str(page.relative_to(ROOT)), text)
        for page in sorted(PAGES)
        for text in re.findall(fence, page.read_text(), re.MULTILINE | re.DOTALL)
    ]


def commands() -> list[tuple[str, str]]:
    """Return (page, command) of every command in a shell block."""
    return [
        (page, command.strip())
        for page, text in blocks("sh")
        for line in text.replace("\\\n", " ").splitlines()
        for command in line.split("&&")
        if command.strip() and not command.lstrip().startswith("#")
    ]


def statements() -> list[tuple[str, str]]:
    """Return (page, SQL) of every statement that a page shows or passes to the client."""
    shown = [(page, text) for page, text in blocks("sql")]
    typed = [
        (page, words[2])
        for page, command in commands()
        if (words := shlex.split(command, comments=True))[:2]
        in (["upend", "query"], ["upend", "explain"])
        and len(words) > 2
    ]
    called = [
        (page, sql)
        for page, text in blocks("python")
        for sql in re.findall(r'\.sql\(\s*"([^"]+)"', text)
    ]
    return shown + typed + called


@pytest.mark.parametrize(("page", "command"), commands())
def test_it_shows_only_commands_that_exist(page: str, command: str) -> None:
    words = shlex.split(command, comments=True)
    words = [word for word in words if not re.fullmatch(r"[A-Z_]+=.*", word)] or ["export"]
    program, *arguments = words
    match program:
        case "make":
            targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert set(arguments) <= set(targets), page
        case "upend":
            parse(arguments)
        case "curl":
            address = next(word for word in arguments if word.startswith("http"))
            resolve(urlsplit(address.replace("<id>", "0b9f1d0e-8c1f-4c0a-9c58-111111111111")).path)
        case "python" if arguments[:1] == ["manage.py"]:
            assert arguments[1] in get_commands(), page
        case _:
            assert program in ELSEWHERE, f"{page}: {program}"


def parse(arguments: list[str]) -> None:
    """Parse a command line of `upend` as if to run it; raises `click.UsageError`."""
    context, command = click.Context(cli), click.Command("none")
    group: click.Command = cli
    while isinstance(group, click.Group) and arguments:
        found = group.get_command(context, arguments[0])
        if found is None:
            break
        command = group = found
        arguments = arguments[1:]
    command.make_context(command.name, list(arguments), parent=context)


@pytest.mark.parametrize(("page", "sql"), statements())
def test_it_shows_only_queries_that_pass_the_gate(page: str, sql: str) -> None:
    assert gate.check(sql, time_travel=True).tables, page
