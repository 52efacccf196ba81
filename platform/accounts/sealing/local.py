"""Key-encryption keys that Upend holds itself: lines of a file, or of an environment variable.

Each line is 32 bytes in base64; the first wraps, the others still open. A key's id comes from the
key itself, so nobody can mix them up.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from accounts.sealing.domain import Binding, KeyUnavailable, Wrapped

SCHEME = "local"
KEY_BYTES = 32
NONCE_BYTES = 12
PURPOSE = b"upend data key\x00"
Ciphers = dict[str, AESGCM]


class LocalKeys:
    """Keys of the file (`UPEND_KEY_FILE`) or of the environment (`UPEND_KEYS`)."""

    def __init__(self, source: str) -> None:
        self._source = source

    def current(self) -> str:
        """Return the id of the first key."""
        found = _from_environment() if self._source == "environment" else _from_file()
        if not found:
            setting = "UPEND_KEYS" if self._source == "environment" else "UPEND_KEY_FILE"
            message = f"There is no key-encryption key in {setting}."
            raise KeyUnavailable(message, hint="Restore it from its backup.")
        return next(iter(found))

    def wrap(self, data_key: bytes, binding: Binding) -> Wrapped:
        """Wrap by the first key."""
        key_id, nonce = self.current(), os.urandom(NONCE_BYTES)
        content = ciphers()[key_id].encrypt(nonce, data_key, PURPOSE + binding.as_bytes())
        return Wrapped(key_id, nonce + content)

    def unwrap(self, wrapped: Wrapped, binding: Binding) -> bytes:
        """Unwrap by whichever key it was, wherever it is now."""
        cipher = ciphers().get(wrapped.key_id)
        if cipher is None:
            message = f"The key-encryption key {wrapped.key_id} is not here."
            hint = "Restore it from its backup: add its line to UPEND_KEY_FILE or UPEND_KEYS."
            raise KeyUnavailable(message, hint=hint)
        nonce, content = wrapped.content[:NONCE_BYTES], wrapped.content[NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, content, PURPOSE + binding.as_bytes())
        except (InvalidTag, ValueError):
            message = "The secret's key was wrapped for another place, or was changed."
            raise KeyUnavailable(message, hint="Restore the row from a backup.") from None


def ciphers() -> Ciphers:
    """Return every key of this machine by its id."""
    return _from_file() | _from_environment()


def ensure_key_file(path: Path) -> None:
    """Create the key file where there is none, readable by its owner only."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(path, [_new_key()])


def add_key(path: Path) -> str:
    """Put a new key in front of those of the file; return its id. The others stay."""
    held = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    _write(path, [_new_key(), *held])
    return next(iter(_from_file()))


def _new_key() -> str:
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


def _write(path: Path, lines: list[str]) -> None:
    """Replace the file whole: half of one would lock the data away."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write("".join(f"{line}\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _from_file() -> Ciphers:
    """Return the file's keys; it is read again when it changes, so nothing has to be restarted."""
    path: Path = settings.KEY_FILE
    try:
        state = path.stat()
        return _read(path, (state.st_mtime_ns, state.st_size, state.st_ino))
    except FileNotFoundError:
        return {}
    except OSError as error:
        message = f"The key file {path} cannot be read: {error.strerror}."
        raise KeyUnavailable(message, hint="Let Upend's user read it (UPEND_KEY_FILE).") from error


@lru_cache(maxsize=4)
def _read(path: Path, _: tuple[int, int, int]) -> Ciphers:
    return _parsed(path.read_bytes().decode("ascii", "replace").splitlines(), str(path))


def _from_environment() -> Ciphers:
    return _parsed(settings.KEYS.split(","), "UPEND_KEYS") if settings.KEYS else {}


def _parsed(lines: list[str], where: str) -> Ciphers:
    """Return the keys by their ids, in order; empty lines and those after # are left out."""
    found = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            key = base64.b64decode(line.strip(), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            message = f"Line {number} of {where} is not {KEY_BYTES} bytes in base64."
            raise KeyUnavailable(message, hint="Restore it from its backup.")
        found[_id_of(key)] = AESGCM(key)
    return found


def _id_of(key: bytes) -> str:
    """Return a key's id, which tells nothing of the key."""
    return f"{SCHEME}:{hmac.digest(key, b'upend key id', 'sha256')[:8].hex()}"
