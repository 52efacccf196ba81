"""Storage servers of customers that lend roles: moto, and SeaweedFS with its token service."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest
from django.conf import settings

from catalog.storage import Credentials
from embedded.keyring import Keyring
from embedded.ports import PortBook
from embedded.seaweed import Seaweed
from embedded.service import start_all, stop_all

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ACCOUNT = "123456789012"
REGION = "eu-central-1"
SESSION_SECONDS = 2
"""For how long SeaweedFS lends what it is asked for without a duration."""


@dataclass(frozen=True)
class LentStorage:
    """A server and its administrator's keys."""

    endpoint: str
    root: Credentials
    region: str

    def client(self, service: Any, keys: Credentials | None = None) -> Any:
        """Return a client of the administrator's, or of whoever has `keys`."""
        by = keys or self.root
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=by.access_key_id,
            aws_secret_access_key=by.secret_access_key,
            aws_session_token=by.session_token or None,
        )

    @property
    def s3(self) -> S3Client:
        """Return the administrator's client of the objects."""
        client: S3Client = self.client("s3")
        return client

    def keys(self, bucket: str) -> list[str]:
        """Return the keys of all that is in a bucket."""
        return [one["Key"] for one in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def bucket(self) -> str:
        """Make a bucket and return its name."""
        name = f"lake-{secrets.token_hex(4)}"
        here: dict[str, Any] = {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
        self.s3.create_bucket(Bucket=name, **({} if self.region == "us-east-1" else here))
        return name

    def person(self, *statements: dict[str, Any]) -> Credentials:
        """Make a person who may do what the statements say, and return their key."""
        iam, name = self.client("iam"), f"upend-{secrets.token_hex(4)}"
        iam.create_user(UserName=name)
        document = {"Version": "2012-10-17", "Statement": statements}
        iam.put_user_policy(UserName=name, PolicyName="given", PolicyDocument=json.dumps(document))
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return Credentials(made["AccessKeyId"], made["SecretAccessKey"])

    def role(self, external_id: str, *statements: dict[str, Any]) -> str:
        """Make a role that is lent with an external ID only (to anybody where empty)."""
        iam, name = self.client("iam"), f"lake-{secrets.token_hex(4)}"
        trust: dict[str, Any] = {
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": "sts:AssumeRole",
        }
        if external_id:
            trust["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
        version = {"Version": "2012-10-17"}
        iam.create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps(version | {"Statement": [trust]})
        )
        iam.put_role_policy(
            RoleName=name,
            PolicyName="given",
            PolicyDocument=json.dumps(version | {"Statement": statements}),
        )
        return f"arn:aws:iam::{ACCOUNT}:role/{name}"


@pytest.fixture(scope="session")
def moto() -> Generator[LentStorage]:
    """Start moto in a process of its own, and switch its authorization on."""
    directory = Path(os.environ["UPEND_DATA_DIR"])
    port = PortBook(directory / "moto.json").choose("moto")
    endpoint = f"http://127.0.0.1:{port}"
    settings.STORAGE_ALLOWED_HOSTS |= {f"127.0.0.1:{port}"}
    with (directory / "moto.log").open("wb") as log:
        script = Path(__file__).with_name("strict_moto.py")
        process = subprocess.Popen([sys.executable, script, str(port)], stdout=log, stderr=log)
        try:
            _await(endpoint, process)
            anybody = LentStorage(endpoint, Credentials("AKIA0", "none"), REGION)
            root = anybody.person({"Effect": "Allow", "Action": "*", "Resource": "*"})
            httpx.post(
                f"{endpoint}/moto-api/reset-auth", content=b"0", timeout=60
            ).raise_for_status()
            yield LentStorage(endpoint, root, REGION)
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def seaweed() -> Generator[LentStorage]:
    """Start a second SeaweedFS whose token service lends `arn:aws:iam::role/Open` to anybody."""
    directory = Path(os.environ["UPEND_DATA_DIR"]) / "lender"
    directory.mkdir()
    config = directory / "iam.json"
    config.write_text(json.dumps(_iam()))
    server = Seaweed(
        directory,
        run=secrets.token_hex(8),
        keys=Keyring(directory / "keys"),
        ports=PortBook(directory / "ports.json"),
        options=("-s3.iam.readOnly=false", f"-s3.iam.config={config}"),
    )
    start_all([server])
    settings.STORAGE_ALLOWED_HOSTS |= {server.endpoint.removeprefix("http://")}
    told = server.environment
    root = Credentials(told["UPEND_S3_ACCESS_KEY_ID"], told["UPEND_S3_SECRET_ACCESS_KEY"])
    yield LentStorage(server.endpoint, root, "us-east-1")
    stop_all([server])


def _iam() -> dict[str, Any]:
    everything = {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["*"]}
    anybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["sts:AssumeRole"]}
    version = {"Version": "2012-10-17"}
    return {
        "sts": {
            "tokenDuration": f"{SESSION_SECONDS}s",
            "maxSessionLength": "12h",
            "issuer": "upend-tests",
            "signingKey": "dGVzdC1zaWduaW5nLWtleS0zMi1jaGFyYWN0ZXJzLWxvbmc=",
        },
        "policy": {"defaultEffect": "Deny", "storeType": "memory"},
        "roles": [
            {
                "roleName": "Open",
                "roleArn": "arn:aws:iam::role/Open",
                "trustPolicy": version | {"Statement": [anybody]},
                "attachedPolicies": ["Everything"],
            }
        ],
        "policies": [{"name": "Everything", "document": version | {"Statement": [everything]}}],
    }


def _await(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{endpoint}/moto-api/data.json", timeout=60).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    message = "moto did not start"
    raise RuntimeError(message)
