"""The device's key proves its requests to the server's own verifier, and stays private."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from accounts.keys import REGISTRY
from api import dpop
from upend.device import DeviceKey
from upend.errors import UsageError

TOKEN = "t"
URL = "https://upend.example/api/v1/workspaces/w/queries"


@pytest.fixture
def key(tmp_path: Path) -> DeviceKey:
    return DeviceKey.generate(tmp_path / "devices" / "one.json")


def verify(proof: str, *, method: str = "POST", token: str = TOKEN) -> dpop.Proof:
    return dpop.verify(proof, method=method, url=URL, access_token=token, now=datetime.now(UTC))


def test_it_makes_proofs_that_the_server_accepts(key: DeviceKey) -> None:
    proof = verify(key.proof("post", f"{URL}?limit=1#top", "t"))
    assert proof.thumbprint == key.thumbprint
    assert proof.public_jwk == key.public_jwk


def test_it_makes_every_proof_a_new_one(key: DeviceKey) -> None:
    first, second = (verify(key.proof("POST", URL, "t")) for _ in range(2))
    assert first.jti != second.jti


@pytest.mark.parametrize(
    ("method", "url", "token"),
    [("GET", URL, "t"), ("POST", URL + "/x", "t"), ("POST", URL, "another")],
)
def test_it_binds_a_proof_to_method_address_and_token(
    key: DeviceKey, method: str, url: str, token: str
) -> None:
    with pytest.raises(dpop.ProofRefused):
        verify(key.proof(method, url, token))


def test_it_has_the_thumbprint_of_rfc_7638(key: DeviceKey) -> None:
    assert key.thumbprint == OKPKey.import_key({**key.public_jwk}).thumbprint()


def test_it_signs_receipts_that_only_it_can_have_made(key: DeviceKey) -> None:
    receipt = key.sign_receipt({"query_id": "q"})
    opened = jws.deserialize_compact(
        receipt, OKPKey.import_key({**key.public_jwk}), registry=REGISTRY
    )
    assert json.loads(opened.payload or b"") == {"query_id": "q"}
    assert opened.headers()["kid"] == key.thumbprint


def test_it_keeps_its_private_half_to_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "devices" / "one.json"
    key = DeviceKey.generate(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    loaded = DeviceKey.load(path)
    assert loaded is not None
    assert loaded.thumbprint == key.thumbprint
    assert "d" not in key.public_jwk
    assert DeviceKey.load(tmp_path / "none.json") is None


def test_it_refuses_a_key_that_others_may_read(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    DeviceKey.generate(path)
    path.chmod(0o644)
    with pytest.raises(UsageError, match="other users"):
        DeviceKey.load(path)


@pytest.mark.parametrize("text", ["", "[]", '{"d": "AA"}', '{"kty": "OKP"}'])
def test_it_says_when_the_key_file_is_damaged(tmp_path: Path, text: str) -> None:
    path = tmp_path / "one.json"
    DeviceKey.generate(path)
    path.write_text(text)
    with pytest.raises(UsageError, match="damaged"):
        DeviceKey.load(path)
