"""Secrets at rest: each sealed under a key of its own, which a key that is elsewhere wraps.

A database dump and the code open nothing: the key-encryption keys are in a file, in the
environment, in AWS KMS or in Vault (`UPEND_KEY_PROVIDER`). See docs/adr/0020.
"""

from accounts.sealing.domain import Binding, KeyUnavailable
from accounts.sealing.envelope import key_of, rewrapped, seal, unseal
from accounts.sealing.providers import current_key

__all__ = [
    "Binding",
    "KeyUnavailable",
    "current_key",
    "key_of",
    "rewrapped",
    "seal",
    "unseal",
]
