"""How a process of this room ends with the one that started it. No Django here."""

from __future__ import annotations

import os
import sys
import threading

PARENT_IS_GONE = 70
"""The exit code of a process whose parent ended before it."""


def end_with_parent() -> None:
    """End this process at once when its parent does: that holds the other end of stdin.

    Call it after the orders were read from there.
    """
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    sys.stdin.read()
    os._exit(PARENT_IS_GONE)
