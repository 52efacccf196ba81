"""The names that the engine had when they were last read, and those that it has now.

`python -m tests.security.engine_names` writes the lists of the installed engine down: after each
new name was put into `functions.txt` or `refused_functions.txt`.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from upend import slices

HERE = Path(__file__).parent
GATE = HERE.parents[1] / "execution" / "gate"
KINDS = {
    "scalar": ("engine_functions.txt", ("scalar", "aggregate", "macro")),
    "table": ("engine_table_functions.txt", ("table", "table_macro")),
}


def present(con: duckdb.DuckDBPyConnection, kind: str) -> set[str]:
    """Return the functions of an engine: those of expressions (`scalar`) or of FROM (`table`)."""
    rows = con.execute(
        "SELECT DISTINCT lower(function_name) FROM duckdb_functions() "
        "WHERE list_contains(?, function_type)",
        [list(KINDS[kind][1])],
    ).fetchall()
    return {name for (name,) in rows}


def pinned(file: str) -> set[str]:
    """Return the names of a checked-in list, of this folder or of the gate."""
    folder = HERE if (HERE / file).exists() else GATE
    lines = (folder / file).read_text(encoding="utf-8").splitlines()
    return {word for line in lines if not line.startswith("# ") for word in line.split()}


def main() -> None:
    """Write the lists of the installed engine."""
    con = slices.connect(memory_bytes=2**28, threads=1)
    for kind, (file, _) in KINDS.items():
        head = f"# Functions of DuckDB {duckdb.__version__} ({kind}); see engine_names.py.\n"
        (HERE / file).write_text(head + "\n".join(sorted(present(con, kind))) + "\n", "utf-8")


if __name__ == "__main__":
    main()
