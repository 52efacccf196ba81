"""The confined process of a connector: it reads fetched files, writes one of its own, and exits.

All is imported before the sandbox is entered; afterwards there is no network and no file but those
in its directory.
"""

from __future__ import annotations

import json
import os
import sys

from catalog.connectors import child, rows
from catalog.connectors.engine import engine
from execution import sandbox

MEMORY_BYTES = 2 * 2**30
FILE_BYTES = 16 * 2**30
CPU_SECONDS = 3600


def main() -> None:
    """Enter the sandbox, and carry the orders out there."""
    orders = child.ordered()
    engine(orders.directory)
    rows.warm()
    sandbox.alone()
    sandbox.enter(sandbox.Policy.of_dict(json.loads(sys.argv[1])))
    sandbox.limit(memory_bytes=MEMORY_BYTES, temp_bytes=FILE_BYTES, cpu_seconds=CPU_SECONDS)
    child.answer(orders)
    os._exit(0)


if __name__ == "__main__":
    main()
