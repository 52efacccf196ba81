"""Compares another DuckDB with the one Upend runs on, before anybody upgrades.

    python -m tests.security.upgrade --duckdb 1.5.4
    python -m tests.security.upgrade --python /path/to/another/venv/bin/python

Makes a throwaway environment with that version and its extension wheels, asks both engines the
same questions (`probe`) and prints what differs. Exits 1 on any difference, 2 where the version
cannot be installed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path
from typing import Any

from upend.slices import EXTENSIONS

ROOT = Path(__file__).parents[2]
SOURCES = os.pathsep.join(str(ROOT / part) for part in (".", "platform", "client/src"))
PROBE_SECONDS = 900
SHOWN = 78

Found = dict[str, dict[str, str]]


def main() -> int:
    """Compare, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    other = parser.add_mutually_exclusive_group(required=True)
    other.add_argument("--duckdb", metavar="VERSION", help="a version on the package index")
    other.add_argument("--python", metavar="PATH", help="an interpreter that has another DuckDB")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="upend-engine-") as directory:
        python = given.python or environment(Path(directory), given.duckdb)
        if not python:
            say(f"DuckDB {given.duckdb} cannot be installed from the package index.")
            return 2
        now, then = probe(sys.executable), probe(python)
    return report(now, then)


def environment(directory: Path, version: str) -> str:
    """Make an environment with that DuckDB before all that is installed here."""
    venv.create(directory, with_pip=True)
    python = str(directory / "bin" / "python")
    if not _install(python, f"duckdb=={version}"):
        return ""
    for name in EXTENSIONS:
        if not _install(python, f"duckdb-extension-{name}=={version}"):
            say(f"There is no wheel duckdb-extension-{name} {version}.")
    # A path file puts this environment's packages behind the new ones: only DuckDB differs.
    packages = next(directory.glob("lib/python*/site-packages"))
    (packages / "zz_upend.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return python


def probe(python: str) -> dict[str, Any]:
    """Return what `tests.security.probe` says under an interpreter."""
    done = subprocess.run(
        [python, "-m", "tests.security.probe"],
        env=os.environ | {"PYTHONPATH": SOURCES},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PROBE_SECONDS,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the probe failed under {python}:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def report(now: dict[str, Any], then: dict[str, Any]) -> int:
    """Print the differences, and return 1 where there are any."""
    old, new = now["duckdb"], then["duckdb"]
    lines = differences(now["found"], then["found"])
    say(f"| What | Name | DuckDB {old} | DuckDB {new} |\n|---|---|---|---|")
    for line in lines:
        say("| " + " | ".join(text[:SHOWN] for text in line) + " |")
    counts = ", ".join(f"{len(kind)} {name}" for name, kind in then["found"].items())
    say(f"\n{len(lines)} differences between DuckDB {old} and {new}, in {counts}.")
    return 1 if lines else 0


def differences(now: Found, then: Found) -> list[tuple[str, str, str, str]]:
    """Return (kind, name, now, then) of all that is not the same."""
    return [
        (kind, name, *_apart(kind, now[kind].get(name, "—"), then[kind].get(name, "—")))
        for kind in now
        for name in sorted(now[kind].keys() | then[kind].keys())
        if now[kind].get(name) != then[kind].get(name)
    ]


def _apart(kind: str, now: str, then: str) -> tuple[str, str]:
    """Return both texts; of the fields of a syntax node only those that the other has not."""
    if kind != "syntax" or "—" in {now, then}:
        return now, then
    old, new = now.split(), then.split()
    gone = " ".join(field for field in old if field not in new)
    added = " ".join(field for field in new if field not in old)
    return f"without {added}" if added else "", f"without {gone}" if gone else ""


def _install(python: str, requirement: str) -> bool:
    command = [python, "-m", "pip", "install", "--quiet", "--no-deps", requirement]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
