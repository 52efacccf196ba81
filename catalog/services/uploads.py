"""Takes a file in: staged durably first, then a job for the catalog's writer."""

from __future__ import annotations

import re
import uuid
from pathlib import PurePath
from typing import IO, Any

from django.conf import settings

from accounts.domain import Actor
from audit import services as audit
from audit.domain import Event
from catalog import lake, storage
from catalog.domain import JobKind, Table, UploadFormat, UploadMode
from catalog.models import Catalog, Job
from catalog.names import check_schema_name, check_table_name
from catalog.selectors import find_table
from catalog.services.jobs import earlier_job, enqueue_job
from catalog.writable import check_writable
from catalog.writer.process import staging_prefix
from governance import securables
from governance import services as governance
from governance.domain import Action
from problems import Conflict, Problem

SAFE_NAME = re.compile(r"[^A-Za-z0-9._ -]")
KINDS = {UploadMode.APPEND: JobKind.APPEND, UploadMode.CREATE: JobKind.CREATE_TABLE}


class UploadTooLarge(Problem):
    """The file is larger than this server takes."""

    code = "upload-too-large"
    status = 413
    title = "The file is too large"


class EmptyUpload(Problem):
    """There is nothing in the file."""

    code = "upload-empty"
    status = 422
    title = "The file is empty"


class TableExists(Conflict):
    """There is a table of this name already."""

    code = "table-exists"
    title = "The table is already there"


def upload_table(
    *,
    actor: Actor,
    catalog: Catalog,
    schema: str,
    table: str,
    file: IO[bytes],
    file_name: str,
    size_bytes: int,
    format: UploadFormat,  # noqa: A002 - the API's word
    mode: UploadMode,
    idempotency_key: str = "",
) -> Job:
    """Stage `file` and queue its writing into a table; return the job.

    With an idempotency key, a repeated call returns the first one's job and writes nothing.
    Raises `AccessDenied`, `UnknownTable`, `TableExists`, `InvalidName`, `UploadTooLarge`,
    `EmptyUpload`, `StorageUnreachable` or `IdempotencyConflict`.
    """
    arguments: dict[str, Any] = {
        "schema": schema,
        "table": table,
        "format": format.value,
        "file_name": SAFE_NAME.sub("_", PurePath(file_name).name)[:120] or "file",
        "size_bytes": size_bytes,
    }
    earlier = check_upload(
        actor=actor,
        catalog=catalog,
        mode=mode,
        arguments=arguments,
        max_bytes=settings.UPLOAD_MAX_BYTES,
        key=idempotency_key,
    )
    if earlier is not None:
        return earlier
    staged = f"{staging_prefix(catalog)}{uuid.uuid4()}.{format.value}"
    storage.hosted().put(staged, file)
    arguments |= {"staged_key": staged, "url": f"s3://{storage.hosted().bucket}/{staged}"}
    job = queue_upload(
        actor=actor, catalog=catalog, mode=mode, arguments=arguments, key=idempotency_key
    )
    if job.arguments.get("staged_key") != staged:  # another call with this key was faster
        storage.hosted().delete(staged)
    return job


@audit.service
def check_upload(
    *,
    actor: Actor,
    catalog: Catalog,
    mode: UploadMode,
    arguments: dict[str, Any],
    max_bytes: int,
    key: str = "",
) -> Job | None:
    """Refuse before a byte is stored; return the job that the key already made."""
    check_writable(catalog)
    schema, table = arguments["schema"], arguments["table"]
    check_writable(catalog)
    if mode is UploadMode.CREATE:
        governance.authorize(actor, Action.TABLE_CREATE, catalog.securable)
        check_schema_name(schema)
        check_table_name(table)
    else:
        found = _existing(actor, catalog, arguments)
        governance.authorize(actor, Action.TABLE_APPEND, found.securable(catalog.securable))
        arguments |= {"schema": found.schema_name, "table": found.name}
    if arguments["size_bytes"] == 0:
        raise EmptyUpload(f"{arguments['file_name']} is empty.", hint="Choose another file.")
    if arguments["size_bytes"] > max_bytes:
        raise refuse_large(arguments["file_name"], arguments["size_bytes"], max_bytes)
    earlier = earlier_job(catalog, KINDS[mode], arguments, key)
    if earlier is None and mode is UploadMode.CREATE:
        refuse_existing(catalog, schema, table)
    return earlier


@audit.service
def queue_upload(
    *, actor: Actor, catalog: Catalog, mode: UploadMode, arguments: dict[str, Any], key: str
) -> Job:
    """Queue the writing of a staged file, which the caller has checked; return the job."""
    audit.record(
        actor=actor,
        event=Event.TABLE_UPLOADED,
        target=securables.target(catalog.securable),
        after={k: v for k, v in arguments.items() if k not in {"staged_key", "url"}},
    )
    return enqueue_job(
        actor=actor,
        catalog=catalog,
        kind=KINDS[mode],
        arguments=arguments,
        idempotency_key=key,
    )


def _existing(actor: Actor, catalog: Catalog, arguments: dict[str, Any]) -> Table:
    newest = lake.latest_snapshot(catalog).snapshot_id
    return find_table(actor, catalog, newest, arguments["schema"], arguments["table"])


def refuse_existing(catalog: Catalog, schema: str, table: str) -> None:
    """Raise `TableExists` where the catalog has a table of this name."""
    newest = lake.latest_snapshot(catalog).snapshot_id
    if lake.table(catalog, newest, schema, table) is not None:
        raise TableExists(
            f"{catalog.name}.{schema}.{table} is already there.",
            hint="Append to it, or choose another name.",
        )


def refuse_large(name: str, size_bytes: int, max_bytes: int) -> UploadTooLarge:
    """Return the refusal of a file that is too large."""
    is_form = max_bytes == settings.UPLOAD_MAX_BYTES
    better = "Send it part by part (`upend load`)" if is_form else "Split it and append the parts"
    setting = "UPEND_UPLOAD_MAX_BYTES" if is_form else "UPEND_TRANSFER_MAX_BYTES"
    return UploadTooLarge(
        f"{name} has {size_bytes:,} bytes; this server takes {max_bytes:,}.",
        hint=f"{better}, or raise {setting}.",
    )
