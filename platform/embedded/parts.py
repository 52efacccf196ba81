"""The backing services that an installation needs started here: all that no URL replaces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from embedded.keyring import Keyring
from embedded.ports import PortBook
from embedded.postgres import Postgres
from embedded.seaweed import Seaweed
from embedded.service import Service
from embedded.valkey import Valkey


def backing_services(
    directory: Path,
    *,
    run: str,
    environment: Mapping[str, str],
    keys: Keyring,
    ports: PortBook,
    durable: bool = True,
) -> list[Service]:
    """Return PostgreSQL, Valkey and S3, each unless `environment` names another one to use.

    `UPEND_DATABASE_URL`, `UPEND_BROKER_URL` and `UPEND_S3_ENDPOINT` replace one each.
    """
    services: list[Service] = []
    if not environment.get("UPEND_S3_ENDPOINT"):  # first: it takes longest to be ready
        services.append(Seaweed(directory, run=run, keys=keys, ports=ports))
    if not environment.get("UPEND_BROKER_URL"):
        services.append(Valkey(directory, run=run, keys=keys, ports=ports))
    if not environment.get("UPEND_DATABASE_URL"):
        services.append(Postgres(directory, run=run, durable=durable))
    return services
