"""Says what the DuckDB of this interpreter is like, as JSON: the half of `upgrade` that runs twice.

Needs no Django and no servers, so that it runs in any environment that has a DuckDB.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import duckdb
import yaml

from execution.gate import SqlRefused, check
from tests.security.corpus import ATTACKS
from tests.security.engine_names import present
from upend import slices

HERE = Path(__file__).parent
CANARY_SECONDS = 600
CANARIES = [
    sys.executable, "-m", "pytest", "-q", "-p", "no:django", "-p", "no:cacheprovider",
    "-c", "/dev/null", f"--rootdir={HERE.parents[1]}", "--noconftest", "--import-mode=importlib",
    str(HERE / "test_canaries.py"),
    str(HERE / "test_canaries_of_sql.py"),
]  # fmt: skip


def describe() -> dict[str, dict[str, str]]:
    """Return what is compared: by kind, then by name, a short text."""
    con = duckdb.connect()
    found: dict[str, dict[str, str]] = {}
    found["extensions"] = {name: _load(con, name) for name in slices.EXTENSIONS}
    for kind, key in (("scalar", "functions"), ("table", "table functions")):
        found[key] = dict.fromkeys(present(con, kind), "present")
    return {
        **found,
        "syntax": _syntax(con),
        "gate": {name: _verdict(sql) for name, sql in statements()},
        "canaries": _canaries(),
    }


def statements() -> Iterator[tuple[str, str]]:
    """Return the texts that are parsed: the corpus, and the forms that must work."""
    for attack in ATTACKS:
        if attack.is_statement:
            yield attack.id, attack.sql
    for form in yaml.safe_load((HERE / "forms.yaml").read_text(encoding="utf-8")):
        yield form["form"], form["sql"]


def _load(con: duckdb.DuckDBPyConnection, name: str) -> str:
    try:
        con.execute(f"LOAD '{slices.extension_path(name)}'")
    except (duckdb.Error, ModuleNotFoundError):
        return "not there"
    return "loads"


def _verdict(sql: str) -> str:
    """Return the gate's answer to a text."""
    try:
        return "names " + (", ".join(sorted(t.text for t in check(sql).tables)) or "no table")
    except SqlRefused as refused:
        return f"refused: {refused.reason}"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a difference
        return f"raised {type(error).__name__}"


def _syntax(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the kinds of nodes of all syntax trees, each with its fields."""
    found: dict[str, set[str]] = {}
    for _, sql in statements():
        text = con.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()[0][0]
        for kind, fields in _nodes(json.loads(text)):
            found.setdefault(kind, set()).update(fields)
    return {kind: " ".join(sorted(fields)) for kind, fields in found.items()}


def _nodes(value: Any) -> Iterator[tuple[str, set[str]]]:
    if isinstance(value, list):
        for item in value:
            yield from _nodes(item)
    elif isinstance(value, dict):
        if "error" not in value:
            kind = value.get("class") or value.get("type")
            yield str(kind) if isinstance(kind, str) else "record", set(value)
        for item in value.values():
            yield from _nodes(item)


def _canaries() -> dict[str, str]:
    """Run the canaries under this interpreter, and return how each ended."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "canaries.xml"
        done = subprocess.run(
            [*CANARIES, f"--junitxml={report}", f"--basetemp={directory}/tmp"],
            capture_output=True,
            text=True,
            timeout=CANARY_SECONDS,
            check=False,
        )
        if not report.exists():
            return {"all": f"could not run: {done.stdout[-200:]}{done.stderr[-200:]}"}
        cases = ET.parse(report).iter("testcase")  # noqa: S314 - pytest wrote it a moment ago
        return {case.get("name", ""): _ending(case) for case in cases}


def _ending(case: ET.Element) -> str:
    for child in case:
        if child.tag in {"failure", "error"}:
            first = (child.get("message") or "").splitlines() or [""]
            return "fails: " + re.sub(r"0x[0-9a-f]+|/\S+|[0-9a-f]{16}", "…", first[0])[:90]
        if child.tag == "skipped":
            return "is skipped"
    return "passes"


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"duckdb": duckdb.__version__, "found": describe()}))
