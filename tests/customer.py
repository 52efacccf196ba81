"""A customer's object store: a second server that knows nothing of Upend, with keys of its own."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Generator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pytest
from django.conf import settings

from accounts.domain import Actor
from catalog import services as catalogs
from catalog.buckets.rules import BucketSettings
from catalog.models import Bucket
from catalog.storage import Credentials
from embedded.keyring import Keyring
from embedded.ports import PortBook
from embedded.seaweed import Seaweed
from embedded.service import start_all, stop_all
from workspaces.models import Workspace

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass
class CustomerStorage:
    """The server and who runs it."""

    endpoint: str
    root: Credentials
    names: dict[str, str] = field(default_factory=dict)

    @cached_property
    def s3(self) -> S3Client:
        """Return the client of who runs the server."""
        made: S3Client = self._client("s3")
        return made

    @cached_property
    def iam(self) -> Any:
        """Return the client that makes keys and takes them away; nothing here has its types."""
        return self._client("iam")

    def _client(self, service: Any) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.root.access_key_id,
            aws_secret_access_key=self.root.secret_access_key,
        )

    def bucket(self) -> str:
        """Make a bucket and return its name."""
        name = f"customer-{secrets.token_hex(4)}"
        self.s3.create_bucket(Bucket=name)
        return name

    def key(self, bucket: str) -> Credentials:
        """Make a person who may use one bucket, and return their key."""
        person = f"upend-{secrets.token_hex(4)}"
        self.iam.create_user(UserName=person)
        resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        allow = {"Effect": "Allow", "Action": ["s3:*"], "Resource": resources}
        self.iam.put_user_policy(
            UserName=person,
            PolicyName="one-bucket",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
        )
        made = self.iam.create_access_key(UserName=person)["AccessKey"]
        self.names[made["AccessKeyId"]] = person
        return Credentials(made["AccessKeyId"], made["SecretAccessKey"])

    def revoke(self, access_key_id: str) -> None:
        """Take a key away."""
        self.iam.delete_access_key(UserName=self.names[access_key_id], AccessKeyId=access_key_id)

    def allow_origins(self, bucket: str, origin: str) -> None:
        """Let browsers that show `origin` read the bucket."""
        rule: Any = {
            "AllowedOrigins": [origin],
            "AllowedMethods": ["GET", "HEAD", "PUT"],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["Content-Length", "Content-Range", "ETag"],
        }
        self.s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})

    def keys(self, bucket: str) -> list[str]:
        """Return the keys of all that is in a bucket."""
        return [
            found["Key"] for found in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        ]

    def connect(self, actor: Actor, workspace: Workspace, **changes: object) -> Bucket:
        """Make a bucket with a key of its own, and connect it to Upend as `Theirs`."""
        name = self.bucket()
        given = {
            "name": "Theirs",
            "bucket_name": name,
            "endpoint": self.endpoint,
            "region": "us-east-1",
            "prefix": "lake/",
        }
        return catalogs.connect_bucket(
            actor=actor,
            workspace=workspace,
            settings=BucketSettings(**given | changes),  # type: ignore[arg-type]
            key=self.key(name),
        )


@pytest.fixture(scope="session")
def customer_storage() -> Generator[CustomerStorage]:
    """Start the server once for the run."""
    directory = Path(os.environ["UPEND_DATA_DIR"]) / "customer"
    directory.mkdir()
    server = Seaweed(
        directory,
        run=secrets.token_hex(8),
        keys=Keyring(directory / "keys"),
        ports=PortBook(directory / "ports.json"),
        options=("-s3.iam.readOnly=false",),
    )
    start_all([server])
    told = server.environment
    settings.STORAGE_ALLOWED_HOSTS |= {urlsplit(server.endpoint).netloc}
    root = Credentials(told["UPEND_S3_ACCESS_KEY_ID"], told["UPEND_S3_SECRET_ACCESS_KEY"])
    yield CustomerStorage(server.endpoint, root)
    stop_all([server])


@pytest.fixture
def theirs(customer_storage: CustomerStorage, owner: Actor, workspace: Workspace) -> Bucket:
    """Return a connected bucket of the customer's, with the prefix `lake/`."""
    return customer_storage.connect(owner, workspace)
