"""A boto3 session whose keys come from Upend and are asked for again before they expire."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import boto3
from botocore.credentials import (
    CredentialProvider,
    CredentialResolver,
    RefreshableCredentials,
)
from botocore.credentials import Credentials as BotoCredentials
from botocore.loaders import Loader, create_loader
from botocore.session import Session

from catalog.storage.location import Credentials


class _Provider(CredentialProvider):
    """Hands botocore what a source of Upend's gives."""

    METHOD = "upend"

    def __init__(self, source: Callable[[], Credentials]) -> None:
        super().__init__()
        self._source = source

    def load(self) -> BotoCredentials:
        """Return keys; those that expire come with the way to renew them."""
        held = self._source()
        if held.expires_at is None:
            return BotoCredentials(
                held.access_key_id, held.secret_access_key, held.session_token or None
            )
        return RefreshableCredentials.create_from_metadata(
            self._metadata(), self._metadata, self.METHOD
        )

    def _metadata(self) -> dict[str, str]:
        held = self._source()
        return {
            "access_key": held.access_key_id,
            "secret_key": held.secret_access_key,
            "token": held.session_token,
            "expiry_time": held.expires_at.isoformat() if held.expires_at else "",
        }


def session_of(source: Callable[[], Credentials]) -> boto3.Session:
    """Return a session that looks for keys nowhere but in `source`."""
    session = Session()
    session.register_component("data_loader", _models())
    session.register_component("credential_provider", CredentialResolver([_Provider(source)]))
    return boto3.Session(botocore_session=session)


@lru_cache(maxsize=1)
def _models() -> Loader:
    """Return what reads botocore's models, shared: read again they cost 80 ms a client."""
    loader: Loader = create_loader()
    return loader
