"""Files that only their owner may read: written whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from upend.errors import UsageError

POSIX = os.name == "posix"


def write_private(path: Path, document: dict[str, Any]) -> None:
    """Replace `path` with `document` as JSON, mode 0600 from the first byte, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_private(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in `path`, None if there is none.

    Raises UsageError if others may read the file (its secret is then no secret) or if it is not
    JSON.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    if POSIX and stat.S_IMODE(mode) & 0o077:
        raise UsageError(
            f"{path} can be read by other users of this machine (mode {stat.S_IMODE(mode):04o}).",
            code="file-permissions",
            hint=f"chmod 600 {path}; if others may have read it, `upend logout` and log in again.",
        )
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise UsageError(
            f"{path} is damaged: it does not hold a JSON object.",
            code="file-damaged",
            hint=f"Delete {path} and run `upend login` again.",
        )
    return document
