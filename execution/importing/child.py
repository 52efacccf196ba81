"""The confined process: it opens one metadata file, writes what is in it, and exits.

Everything is imported before the sandbox is entered; afterwards there is no network, no file but
the one, and no system call that is not on the list.
"""

from __future__ import annotations

import json
import os
import sys

from catalog.adoption import duckdb_file, frames, sqlite_file
from catalog.adoption.frames import Unreadable
from execution import sandbox

MEMORY_BYTES = 2 * 2**30
CPU_SECONDS = 1800


def main() -> None:
    """Read the file that the orders name."""
    orders = json.loads(sys.argv[1])
    kind, path, schema = orders["kind"], orders["path"], orders["schema"]
    con = duckdb_file.ready(path) if kind == "duckdb" else None
    sandbox.alone()
    sandbox.enter(sandbox.Policy.of_dict(orders["policy"]))
    sandbox.limit(memory_bytes=MEMORY_BYTES, temp_bytes=0, cpu_seconds=CPU_SECONDS)
    try:
        if con is None:
            sqlite_file.read(path, schema)
        else:
            duckdb_file.read(con, path, schema)
        frames.write({"done": True})
    except Unreadable as refused:
        frames.write({"problem": refused.as_dict()})
    os._exit(0)


if __name__ == "__main__":
    main()
