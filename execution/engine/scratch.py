"""Where an engine may spill: a directory of its own, gone with it, whoever dies first."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path


def create() -> Path:
    """Make a scratch directory for one engine of this process, and clear away orphaned ones."""
    root = Path(tempfile.gettempdir()) / f"upend-engines-{os.getuid()}"
    root.mkdir(mode=0o711, exist_ok=True)
    root.chmod(0o711)  # engines of a root worker are users of their own, who pass through
    for directory in root.iterdir():
        if not _is_alive(directory.name.partition("-")[0]):
            remove(directory)
    return Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root))


def remove(directory: Path) -> None:
    """Delete a scratch directory; what is left goes with the next sweep."""
    shutil.rmtree(directory, ignore_errors=True)


def _is_alive(pid: str) -> bool:
    """Tell whether the process that owns a directory still runs."""
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True
