"""Test processes share the work by module, so that what a module starts is started once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from tests.sharing import OF_THE_SPARE, STARTS_ITS_OWN

ROOT = Path(__file__).resolve().parent.parent
MODULE = """
import os
import pytest
from pathlib import Path
{mark}

@pytest.mark.parametrize("number", range(6))
def test_it(number, request):
    with Path("ran").open("a") as file:
        file.write(f"{{request.path.name}} {{os.environ['PYTEST_XDIST_WORKER']}}\\n")
"""


def test_it_runs_a_module_in_one_process_and_all_of_the_stack_in_one(tmp_path: Path) -> None:
    for name in ("test_a", "test_b", "test_stack_a", "test_stack_b"):
        mark = "pytestmark = pytest.mark.stack" if "stack" in name else ""
        (tmp_path / f"{name}.py").write_text(MODULE.format(mark=mark))
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = stack\n")
    plugins = ("-p", "xdist", "-p", "tests.sharing", "-p", "no:cacheprovider")
    given = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "DJANGO_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadgroup", *plugins, "."],
        cwd=tmp_path,
        env=given | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    where: dict[str, set[str]] = defaultdict(set)
    for line in (tmp_path / "ran").read_text().splitlines():
        module, process = line.split()
        where[module].add(process)
    assert [len(processes) for processes in where.values()] == [1, 1, 1, 1]
    assert where["test_stack_a.py"] == where["test_stack_b.py"]


def test_it_names_modules_that_are_there() -> None:
    assert [name for name in (*OF_THE_SPARE, *STARTS_ITS_OWN) if not (ROOT / name).exists()] == []
