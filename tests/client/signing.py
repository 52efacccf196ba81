"""An organization's side of a manifest: signed by joserfc, the server's library, not by ours."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

from joserfc import jws
from joserfc.jwk import OKPKey

from accounts.keys import REGISTRY
from upend import jose
from upend.manifest import TYPE

SERVER = "http://127.0.0.1:8000"
SQL = "SELECT count(*) FROM lake.main.flights"
QUERY_ID = "6f1f0a52-9bb7-4c0e-8b3f-7a1f8d7d3c11"
THUMBPRINT = "device-thumbprint"
NOW = int(time.time())

Claims = dict[str, Any]


class Organization:
    """A signing key with its published half."""

    def __init__(self) -> None:
        self.key = OKPKey.generate_key("Ed25519")
        self.kid = self.key.thumbprint()

    @property
    def published(self) -> Claims:
        return {**self.key.as_dict(private=False), "kid": self.kid, "use": "sig", "alg": "EdDSA"}

    def sign(self, claims: Claims, **header: str) -> str:
        protected = {"alg": "EdDSA", "typ": TYPE, "kid": self.kid} | header
        return jws.serialize_compact(protected, json.dumps(claims), self.key, registry=REGISTRY)

    def sign_hs256(self, claims: Claims) -> str:
        """Sign with the public key as if it were a shared secret: the classic confusion."""
        header = {"alg": "HS256", "typ": TYPE, "kid": self.kid}
        text = (
            f"{jose.encode(json.dumps(header).encode())}.{jose.encode(json.dumps(claims).encode())}"
        )
        secret = self.key.as_bytes(private=False)
        return f"{text}.{jose.encode(hmac.digest(secret, text.encode(), 'sha256'))}"


def claims(*, sql: str = SQL, base_url: str = f"{SERVER}/files/grant-1/", **changes: Any) -> Claims:
    """Return the claims of a good manifest, changed at the top by `changes`."""
    return {
        "iss": SERVER,
        "aud": THUMBPRINT,
        "sub": "person-1",
        "jti": "grant-1",
        "iat": NOW,
        "exp": NOW + 600,
        "upend": {
            "format": "upend.manifest/1",
            "query": {
                "id": QUERY_ID,
                "sql": sql,
                "sql_sha256": hashlib.sha256(sql.encode()).hexdigest(),
                "search_path": [["lake", "main"]],
            },
            "slices": [],
            "files": {
                "base_url": base_url,
                "bearer": "the-file-bearer",
                "count": 0,
                "total_bytes": 0,
            },
            "engine": {"duckdb": "1.5.5"},
            "limits": {},
            "receipt_url": f"{SERVER}/api/v1/workspaces/w/queries/{QUERY_ID}/receipt",
        },
    } | changes
