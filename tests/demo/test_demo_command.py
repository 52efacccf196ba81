"""One command starts the demo, says how to get in, and does so again at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from embedded import programs
from embedded.lock import DirectoryLock, State


def demo(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run what `make demo` runs."""
    environment = {k: v for k, v in programs.base_environment().items() if k[:6] != "UPEND_"}
    environment |= {"UPEND_DATA_DIR": str(directory), "UPEND_DEMO_SCALE": "0.01"}
    return subprocess.run(
        [sys.executable, "-m", "django", "demo", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


@pytest.mark.parametrize("is_published", [True, False])
def test_it_says_in_a_sentence_that_another_ends_there(tmp_path: Path, is_published: bool) -> None:
    """Whether its state is read just before the other withdraws it, or just after."""
    lock = DirectoryLock(tmp_path)
    lock.acquire()
    if is_published:
        nowhere = "postgresql://upend@127.0.0.1:9/upend"
        given = {"UPEND_DATABASE_URL": nowhere, "UPEND_DATA_DIR": str(tmp_path)}
        State(os.getpid(), "http://127.0.0.1:8000", {**os.environ, **given}).write(tmp_path)
    done = demo(tmp_path, "--check")
    lock.release()
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    *told, sentence = done.stderr.strip().splitlines()
    if is_published:
        assert told == ["CommandError: The database does not answer, or ended meanwhile."]
        assert sentence.endswith("Stop it, then try again.")
    else:
        assert told == []
        assert f"just starting or stopping on the data directory {tmp_path}" in sentence
        assert "Try again in a moment" in sentence


@pytest.mark.stack
@pytest.mark.timeout(1800)
def test_it_comes_up_by_one_command_and_again(
    installation_directory: Callable[[], Path],
) -> None:
    directory, said = installation_directory(), []
    for _ in range(2):
        done = demo(directory, "--check")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        said.append(done.stdout)
    secrets = [sorted(re.findall(r"@demo-air\.example +(\S+)", text)) for text in said]
    assert len(secrets[0]) == 4
    assert secrets[0] == secrets[1]
    assert "Upend serves Demo Air at http://127.0.0.1:" in said[1]
    assert "already loaded" in said[1]
