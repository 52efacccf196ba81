"""A manifest is believed only when every part of it is proven, and each failure has its name."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.client.signing import (
    NOW,
    QUERY_ID,
    SERVER,
    SQL,
    THUMBPRINT,
    Claims,
    Organization,
    claims,
)
from upend.errors import ManifestRejected
from upend.manifest import Expectation, Manifest, ServerKeys, verify

EXPECTED = Expectation(SERVER, THUMBPRINT, QUERY_ID, SQL)


@pytest.fixture
def organization() -> Organization:
    return Organization()


@pytest.fixture
def keys(organization: Organization, tmp_path: Path) -> ServerKeys:
    return ServerKeys(tmp_path / "keys.json", lambda: {"keys": [organization.published]})


def believe(token: str, keys: ServerKeys) -> Manifest:
    return verify(token, expected=EXPECTED, keys=keys, now=NOW)


def test_it_believes_a_good_manifest(organization: Organization, keys: ServerKeys) -> None:
    manifest = believe(organization.sign(claims()), keys)
    assert manifest.key_id == organization.kid
    assert manifest.bearer == "the-file-bearer"
    assert manifest.base_url == f"{SERVER}/files/grant-1/"
    assert manifest.limit("max_rows") is None


def changed(**upend: Any) -> Claims:
    good = claims()
    good["upend"] |= upend
    return good


def query(**members: Any) -> Claims:
    good = claims()
    good["upend"]["query"] |= members
    return good


def files(path: str, base: str = f"{SERVER}/files/grant-1/") -> Claims:
    good = claims(base_url=base)
    rows: dict[str, Any] = {"columns": ["path"], "rows": []}
    good["upend"]["slices"] = [
        {
            "format": "upend.slice/1",
            "catalog": "lake",
            "snapshot_id": 1,
            "tables": {"ducklake_data_file": rows},
            "inlined": [],
            "views": [],
            "files": [{"ordinal": 0, "path": path}],
        }
    ]
    return good


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (claims(iss="http://elsewhere.example"), "manifest-issuer"),
        (claims(iss="http://127.0.0.1:8001"), "manifest-issuer"),
        (claims(aud="another-device"), "manifest-audience"),
        (claims(exp=NOW - 60), "manifest-expired"),
        (claims(iat=NOW + 3600, exp=NOW + 7200), "manifest-clock-skew"),
        (query(id="another"), "manifest-query"),
        (query(sql="SELECT 2"), "manifest-sql"),
        (query(sql_sha256="0" * 64), "manifest-sql"),
        (changed(format="upend.manifest/2"), "manifest-schema"),
        (changed(surprise=1), "manifest-schema"),
        (changed(engine={"duckdb": "9.9.9"}), "manifest-schema"),
        ({"iss": SERVER}, "manifest-schema"),
        (files("http://elsewhere.example/files/grant-1/0"), "manifest-files"),
        (files(f"{SERVER}/files/grant-2/0"), "manifest-files"),
        (files(f"{SERVER}/files/grant-1/../grant-2/0"), "manifest-files"),
        (files(f"{SERVER}/files/grant-1/%2e%2e"), "manifest-files"),
        (files(f"{SERVER}/files/grant-1/0?to=elsewhere"), "manifest-files"),
        (files(f"{SERVER}/files/grant-10/0", f"{SERVER}/files/grant-1"), "manifest-files"),
        (files("/etc/passwd"), "manifest-files"),
        (files("s3://bucket/key"), "manifest-files"),
        (files("http://b.example/0", "http://b.example/"), "manifest-files"),
    ],
)
def test_it_refuses_what_is_signed_but_wrong(
    wrong: Claims, code: str, organization: Organization, keys: ServerKeys
) -> None:
    with pytest.raises(ManifestRejected) as refusal:
        believe(organization.sign(wrong), keys)
    assert refusal.value.code == code
    assert "nothing was fetched" in refusal.value.detail
    assert refusal.value.hint


def test_it_accepts_files_directly_below_the_base(
    organization: Organization, keys: ServerKeys
) -> None:
    for base in (f"{SERVER}/files/grant-1/", f"{SERVER}/files/grant-1"):
        token = organization.sign(files(f"{SERVER}/files/grant-1/0", base))
        assert believe(token, keys).paths == [f"{SERVER}/files/grant-1/0"]


def test_it_forgives_small_differences_between_clocks(
    organization: Organization, keys: ServerKeys
) -> None:
    believe(organization.sign(claims(exp=NOW - 10)), keys)
    believe(organization.sign(claims(iat=NOW + 10)), keys)


def part(text: str, index: int, change: Callable[[dict[str, Any]], object]) -> str:
    """Return the JWS with one part changed and the signature left as it was."""
    parts = text.split(".")
    document = json.loads(base64.urlsafe_b64decode(parts[index] + "=="))
    change(document)
    raw = json.dumps(document).encode()
    parts[index] = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return ".".join(parts)


@pytest.mark.parametrize(
    ("forge", "code"),
    [
        (lambda t: part(t, 1, lambda c: c.update(aud="thief")), "manifest-signature"),
        (lambda t: part(t, 0, lambda h: h.update(alg="none")), "manifest-algorithm"),
        (lambda t: part(t, 0, lambda h: h.update(alg="HS256")), "manifest-algorithm"),
        (lambda t: part(t, 0, lambda h: h.update(typ="upend-receipt+jwt")), "manifest-type"),
        (lambda t: part(t, 0, lambda h: h.update(crit=["exp"])), "manifest-malformed"),
        (lambda t: part(t, 0, lambda h: h.pop("kid")), "manifest-malformed"),
        (lambda t: part(t, 0, lambda h: h.update(kid="unknown")), "manifest-unknown-key"),
        (lambda t: part(t, 0, lambda h: h.update(jwk={"x": "AA"})), "manifest-signature"),
        (lambda t: t.rpartition(".")[0] + ".", "manifest-signature"),
        (lambda t: t + "A", "manifest-signature"),
        (lambda t: t + "=", "manifest-malformed"),
        (lambda t: t.rpartition(".")[0], "manifest-malformed"),
        (lambda _: "not a manifest", "manifest-malformed"),
        (lambda _: "", "manifest-malformed"),
    ],
)
def test_it_refuses_forgeries(
    forge: Callable[[str], str], code: str, organization: Organization, keys: ServerKeys
) -> None:
    with pytest.raises(ManifestRejected) as refusal:
        believe(forge(organization.sign(claims())), keys)
    assert refusal.value.code == code


def test_it_refuses_the_public_key_used_as_a_shared_secret(
    organization: Organization, keys: ServerKeys
) -> None:
    with pytest.raises(ManifestRejected) as refusal:
        believe(organization.sign_hs256(claims()), keys)
    assert refusal.value.code == "manifest-algorithm"


def test_it_refuses_another_organizations_key_under_a_known_id(
    organization: Organization, keys: ServerKeys
) -> None:
    token = Organization().sign(claims(), kid=organization.kid)
    with pytest.raises(ManifestRejected) as refusal:
        believe(token, keys)
    assert refusal.value.code == "manifest-signature"


def test_it_learns_a_rotated_key_and_keeps_the_old_one(
    organization: Organization, tmp_path: Path
) -> None:
    newer = Organization()
    published = [organization.published]
    asked: list[int] = []

    def fetch() -> Claims:
        asked.append(1)
        return {"keys": copy.deepcopy(published)}

    keys = ServerKeys(tmp_path / "keys.json", fetch)
    believe(organization.sign(claims()), keys)
    believe(organization.sign(claims()), keys)
    assert len(asked) == 1
    published[:] = [newer.published]
    believe(newer.sign(claims()), keys)
    believe(organization.sign(claims()), keys)
    assert len(asked) == 2


def test_it_refuses_a_server_that_changes_a_key_under_its_id(
    organization: Organization, tmp_path: Path
) -> None:
    published = [organization.published]
    keys = ServerKeys(tmp_path / "keys.json", lambda: {"keys": published})
    believe(organization.sign(claims()), keys)
    impostor, newer = Organization(), Organization()
    published[:] = [{**impostor.published, "kid": organization.kid}, newer.published]
    with pytest.raises(ManifestRejected) as refusal:
        believe(newer.sign(claims()), keys)
    assert refusal.value.code == "manifest-key-changed"
