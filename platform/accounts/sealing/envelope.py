"""The form of a sealed secret: AES-256-GCM (NIST SP 800-38D) under a data key of its own.

Version 2 is `02`, the id of the key-encryption key (one byte of length), the wrapped data key (two
bytes of length), the nonce, and the content with its tag. The content is bound to its place, the
wrapped key too; the header is not part of it, so that wrapping anew leaves the content as it is.
Version 1, `01`, nonce and content, was sealed by a local key itself; it is read, never written.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from accounts.sealing import local, providers
from accounts.sealing.domain import Binding, KeyUnavailable, Wrapped

KEY_BYTES = 32
NONCE_BYTES = 12
DIRECT, ENVELOPE = b"\x01", b"\x02"
UNNAMED = "unnamed"
"""What `key_of` says of version 1, which does not name its key."""


@dataclass(frozen=True, slots=True)
class _Envelope:
    wrapped: Wrapped
    content: bytes
    """The nonce, and the encrypted secret with its tag."""

    def as_bytes(self) -> bytes:
        name = self.wrapped.key_id.encode()
        lengths = struct.pack(">B", len(name)), struct.pack(">H", len(self.wrapped.content))
        return b"".join(
            (ENVELOPE, lengths[0], name, lengths[1], self.wrapped.content, self.content)
        )


def seal(secret: bytes, binding: Binding) -> bytes:
    """Encrypt `secret`, bound to its place. Raises `KeyUnavailable`."""
    data_key, nonce = AESGCM.generate_key(bit_length=KEY_BYTES * 8), os.urandom(NONCE_BYTES)
    content = AESGCM(data_key).encrypt(nonce, secret, ENVELOPE + binding.as_bytes())
    return _Envelope(providers.wrap(data_key, binding), nonce + content).as_bytes()


def unseal(sealed: bytes, binding: Binding) -> bytes:
    """Return the secret that `seal` bound to this place. Raises `KeyUnavailable` otherwise."""
    if sealed[:1] == DIRECT:
        return _opened_directly(sealed, binding)
    envelope = _parsed(sealed)
    return _opened(envelope, providers.unwrap(envelope.wrapped, binding), binding)


def rewrapped(sealed: bytes, binding: Binding) -> bytes:
    """Return the same secret under the current key, after a look that it opens.

    Its content stays as it is. Raises `KeyUnavailable`.
    """
    if sealed[:1] == DIRECT:
        return seal(_opened_directly(sealed, binding), binding)
    envelope = _parsed(sealed)
    data_key = providers.unwrap(envelope.wrapped, binding)
    _opened(envelope, data_key, binding)
    return _Envelope(providers.wrap(data_key, binding), envelope.content).as_bytes()


def key_of(sealed: bytes) -> str:
    """Return the id of the key-encryption key that a secret needs. Raises `KeyUnavailable`."""
    return UNNAMED if sealed[:1] == DIRECT else _parsed(sealed).wrapped.key_id


def _parsed(sealed: bytes) -> _Envelope:
    try:
        (length,) = struct.unpack_from(">B", sealed, 1)
        name = sealed[2 : 2 + length].decode("ascii")
        (size,) = struct.unpack_from(">H", sealed, 2 + length)
        begin = 4 + length
    except (struct.error, UnicodeDecodeError):
        raise _spoiled() from None
    if sealed[:1] != ENVELOPE or len(sealed) < begin + size + NONCE_BYTES:
        raise _spoiled()
    return _Envelope(Wrapped(name, sealed[begin : begin + size]), sealed[begin + size :])


def _opened(envelope: _Envelope, data_key: bytes, binding: Binding) -> bytes:
    nonce, content = envelope.content[:NONCE_BYTES], envelope.content[NONCE_BYTES:]
    try:
        return AESGCM(data_key).decrypt(nonce, content, ENVELOPE + binding.as_bytes())
    except (InvalidTag, ValueError):
        raise _spoiled() from None


def _opened_directly(sealed: bytes, binding: Binding) -> bytes:
    nonce, content = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
    for cipher in local.ciphers().values():
        try:
            return cipher.decrypt(nonce, content, DIRECT + binding.as_bytes())
        except (InvalidTag, ValueError):
            continue
    raise _spoiled()


def _spoiled() -> KeyUnavailable:
    return KeyUnavailable(
        "The secret was sealed with another key, for another place, or was changed.",
        hint="Are all keys there that this database was written with? See UPEND_KEY_FILE.",
    )
