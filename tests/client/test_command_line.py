"""The command line is quick to start, honest in its exit codes, and clean on stdout."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from upend import cli
from upend.cli import group
from upend.query import Request

COMMAND = [sys.executable, "-c", "from upend.cli import main; main()"]


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPEND_CONFIG_DIR", str(tmp_path))
    for name in ("UPEND_URL", "UPEND_TOKEN", "UPEND_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)


def test_it_imports_nothing_heavy_to_say_what_it_can() -> None:
    probe = (
        "import sys; from upend import cli; assert cli.run(['--help']) == 0; "
        "print(sorted({'duckdb', 'httpx', 'pyarrow', 'rich', 'cryptography'} & set(sys.modules)))"
    )
    told = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, env=os.environ
    )
    assert told.stdout.splitlines()[-1] == "[]"


def test_it_helps_within_a_third_of_a_second() -> None:
    took = []
    for _ in range(3):  # other tests share the machine: the best of three is the program's own
        before = processor_seconds()
        subprocess.run([*COMMAND, "--help"], capture_output=True, check=True)
        took.append(processor_seconds() - before)
    assert min(took) < 0.3


def processor_seconds() -> float:
    """Return what ended children took of the processor: not what they waited for others."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("name", list(group.COMMANDS))
def test_it_describes_each_command_as_the_command_does(name: str) -> None:
    command = group.LazyGroup().get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert command.short_help == group.COMMANDS[name]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["query", "SELECT 1"], 4, "upend login"),
        (["tables"], 4, "upend login"),
        (["tables", "a.b"], 2, "neither a catalog nor a table"),
        (["query"], 2, "upend query"),
        (["query", " ", "--url", "http://127.0.0.1:9"], 4, "not logged in"),
        (["query", "SELECT 1", "--on", "moon"], 2, "moon"),
        (["nonsense"], 2, "nonsense"),
        (["login", "ftp://x"], 2, "not the address"),
        (["whoami", "--profile", "nope"], 2, "no profile named"),
    ],
)
def test_it_ends_with_the_documented_code(
    arguments: list[str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert cli.run(arguments) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err


def test_it_says_when_the_server_is_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPEND_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("UPEND_TOKEN", "upend_x_y")
    assert cli.run(["query", "SELECT 1", "-w", "w", "--snapshot", "flights=2"]) == 6
    told = capsys.readouterr().err
    assert "could not be reached" in told
    assert "server-unreachable" in told
    assert cli.run(["query", "SELECT 1", "-w", "w", "--snapshot", "flights"]) == 2
    assert cli.run(["query", "", "-w", "w"]) == 2


def test_it_shows_the_versions(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["version"]) == 0
    assert "1.5.5" in capsys.readouterr().out
    assert cli.run(["--version"]) == 0


def test_it_says_what_a_query_is_for_only_where_the_person_does() -> None:
    assert "purpose" not in Request("SELECT 1").as_body()
    assert Request("SELECT 1", purpose="audit-2026").as_body()["purpose"] == "audit-2026"
