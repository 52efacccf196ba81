"""Takes a large file in, part by part: begun, sent straight to the storage, looked at, loaded.

The bytes never pass the control plane unless a client cannot reach the storage. What arrived is
asked of the storage, never believed from the client, so an interrupted transfer is taken up where
it stopped.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from pathlib import PurePath
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.domain import SYSTEM, Actor
from audit import services as audit
from audit.domain import Event
from catalog import storage
from catalog.domain import JobKind, TransferState, UploadFormat, UploadMode
from catalog.models import Catalog, Job, Transfer
from catalog.services import uploads
from catalog.services.jobs import enqueue_job
from catalog.storage import multipart
from catalog.writer.column_types import check_types
from governance import securables
from problems import Conflict, Invalid, NotFound

logger = structlog.get_logger(__name__)

URL_SECONDS = 3600
MAX_URLS = 200
OPEN = (TransferState.OPEN, TransferState.STAGED)


class UnknownTransfer(NotFound):
    """There is no such transfer, or somebody else began it."""

    code = "unknown-transfer"
    title = "There is no such transfer"


class TransferIncomplete(Conflict):
    """Parts are missing, or are not of the size that was announced."""

    code = "transfer-incomplete"
    title = "The file has not arrived whole"


class TransferEnded(Conflict):
    """The transfer was loaded, cancelled, or its time is over."""

    code = "transfer-ended"
    title = "The transfer has ended"


@audit.service
def begin_transfer(
    *,
    actor: Actor,
    catalog: Catalog,
    schema: str,
    table: str,
    file_name: str,
    size_bytes: int,
    format: UploadFormat,  # noqa: A002 - the API's word
    mode: UploadMode,
) -> Transfer:
    """Begin to take a file in; return where its parts go.

    Raises what `upload_table` raises: nothing is sent that could not be loaded.
    """
    arguments: dict[str, Any] = {
        "schema": schema,
        "table": table,
        "format": format.value,
        "file_name": uploads.SAFE_NAME.sub("_", PurePath(file_name).name)[:120] or "file",
        "size_bytes": size_bytes,
    }
    uploads.check_upload(
        actor=actor,
        catalog=catalog,
        mode=mode,
        arguments=arguments,
        max_bytes=settings.TRANSFER_MAX_BYTES,
    )
    identifier = uuid.uuid4()
    key = f"staging/{catalog.id}/{identifier}.{format.value}"
    found = Transfer.objects.create(
        id=identifier,
        catalog=catalog,
        principal_kind=actor.kind,
        principal_id=actor.id,
        arguments=arguments | {"mode": mode.value},
        key=key,
        upload_id=multipart.begin(storage.hosted(), key),
        size_bytes=size_bytes,
        part_bytes=multipart.part_bytes_for(size_bytes),
        expires_at=timezone.now() + timedelta(seconds=settings.TRANSFER_TTL_SECONDS),
    )
    _record(actor, Event.TRANSFER_BEGUN, found, arguments)
    return found


def find_transfer(actor: Actor, catalog: Catalog, identifier: uuid.UUID) -> Transfer:
    """Return a transfer that `actor` began. Raises `UnknownTransfer`."""
    rows = Transfer.objects.of(actor).filter(catalog=catalog, id=identifier)
    found = rows.select_related("job", "preview_job").first()
    if found is None:
        raise UnknownTransfer("There is no such transfer of yours.")
    found.catalog = catalog
    return found


def missing_parts(transfer: Transfer) -> list[int]:
    """Return the numbers of the parts that have not arrived, in order."""
    _check_state(transfer, TransferState.OPEN)
    arrived = multipart.received(storage.hosted(), transfer.key, transfer.upload_id)
    return _wrong(transfer, arrived)


def part_addresses(transfer: Transfer, numbers: list[int]) -> dict[int, str]:
    """Return where to PUT each of some parts; each address is good for an hour."""
    _check_state(transfer, TransferState.OPEN)
    return {
        number: multipart.address_of(
            storage.hosted(), transfer.key, transfer.upload_id, number, URL_SECONDS
        )
        for number in numbers[:MAX_URLS]
    }


def send_part(transfer: Transfer, number: int, content: bytes) -> None:
    """Store one part for who cannot reach the storage. Raises `Invalid` for a wrong size."""
    _check_state(transfer, TransferState.OPEN)
    if not 1 <= number <= transfer.part_count:
        raise Invalid(f"There is no part {number}; there are {transfer.part_count}.")
    if len(content) != _size_of(transfer, number):
        raise Invalid(
            f"Part {number} has {len(content):,} bytes instead of {_size_of(transfer, number):,}.",
            hint="All parts but the last have part_bytes.",
        )
    multipart.send(storage.hosted(), transfer.key, transfer.upload_id, number, content)


@audit.service
def complete_transfer(*, actor: Actor, transfer: Transfer) -> Transfer:
    """Make one object of the parts. Raises `TransferIncomplete` with what is missing."""
    held = _held(transfer)
    if held.state == TransferState.STAGED:
        return held  # the answer to the first call was lost
    _check_state(held, TransferState.OPEN)
    store = storage.hosted()
    arrived = multipart.received(store, held.key, held.upload_id)
    if arrived:
        _check_whole(held, arrived)
        tags = ((number, etag) for number, (_, etag) in arrived.items())
        multipart.complete(store, held.key, held.upload_id, tags)
    elif store.size(held.key) != held.size_bytes:  # it was completed before this was recorded
        raise TransferIncomplete("No part has arrived.", hint="Send the parts first.")
    held.state = TransferState.STAGED
    held.save(update_fields=["state"])
    _record(actor, Event.TRANSFER_STAGED, held, {"parts": held.part_count})
    return held


@audit.service
def preview_transfer(*, actor: Actor, transfer: Transfer) -> Transfer:
    """Have the first rows and the inferred types read; they are in `preview` once its job ends."""
    held = _held(transfer)
    _check_state(held, TransferState.STAGED)
    held.preview_job = enqueue_job(
        actor=actor,
        catalog=held.catalog,
        kind=JobKind.PREVIEW,
        arguments=_arguments(held),
        idempotency_key=f"preview:{held.id}",
    )
    held.save(update_fields=["preview_job"])
    return held


@audit.service
def load_transfer(
    *,
    actor: Actor,
    transfer: Transfer,
    schema: str = "",
    table: str = "",
    mode: UploadMode | None = None,
    types: dict[str, str] | None = None,
) -> Job:
    """Queue the writing of a staged file; return the job. The same call again returns it.

    Where the writing fails the file stays, to be loaded otherwise. Its preview ends with it.

    What is given changes what was said at the beginning; `types` are of columns of a new table.
    Raises what `upload_table` raises, `Invalid` for a type, `TransferEnded`.
    """
    held = _held(transfer)
    if held.job is not None:
        return held.job
    _check_state(held, TransferState.STAGED)
    chosen = mode or UploadMode(held.arguments["mode"])
    arguments = _arguments(held)
    arguments |= {k: v for k, v in (("schema", schema), ("table", table)) if v}
    uploads.check_upload(
        actor=actor,
        catalog=held.catalog,
        mode=chosen,
        arguments=arguments,
        max_bytes=settings.TRANSFER_MAX_BYTES,
    )
    if types:
        if chosen is UploadMode.APPEND:
            raise Invalid("The table has its types.", hint="Choose types for a new table only.")
        arguments["types"] = check_types(types)
    held.job = uploads.queue_upload(
        actor=actor,
        catalog=held.catalog,
        mode=chosen,
        arguments=arguments,
        key=f"transfer:{held.id}:{held.loads}",
    )
    held.state, held.loads = TransferState.LOADING, held.loads + 1
    held.save(update_fields=["job", "state", "loads"])
    return held.job


@audit.service
def cancel_transfer(*, actor: Actor, transfer: Transfer) -> Transfer:
    """Give a transfer up and forget what arrived. Raises `TransferEnded` once it is loaded."""
    held = _held(transfer)
    if held.state not in OPEN:
        raise TransferEnded(f"{held.arguments['file_name']} is {held.state}.")
    return _end(actor, held, TransferState.CANCELLED)


def expire_transfers() -> int:
    """Give up the transfers whose time is over; return how many."""
    due = Transfer.objects.filter(state__in=OPEN, expires_at__lte=timezone.now())
    return sum(_expire(actor=SYSTEM, transfer=found) for found in due)


@audit.service
def _expire(*, actor: Actor, transfer: Transfer) -> bool:
    held = _held(transfer)
    if held.state not in OPEN or held.expires_at > timezone.now():
        return False
    _end(actor, held, TransferState.EXPIRED)
    return True


def _end(actor: Actor, held: Transfer, state: TransferState) -> Transfer:
    held.state, held.preview = state, None
    held.save(update_fields=["state", "preview"])
    _record(actor, Event.TRANSFER_CANCELLED, held, {"state": state.value})
    transaction.on_commit(lambda: _forget(held), robust=True)
    return held


def _forget(transfer: Transfer) -> None:
    store = storage.hosted()
    multipart.abort(store, transfer.key, transfer.upload_id)
    store.delete(transfer.key)


def _held(transfer: Transfer) -> Transfer:
    rows = Transfer.objects.select_for_update(of=("self",)).select_related(
        "catalog__bucket", "catalog__workspace__organization", "job", "preview_job"
    )
    return rows.get(id=transfer.id)


def _check_state(transfer: Transfer, wanted: TransferState) -> None:
    if transfer.state == wanted:
        return
    name = transfer.arguments["file_name"]
    if transfer.state == TransferState.OPEN:
        raise TransferIncomplete(f"{name} is not complete.", hint="Complete the transfer first.")
    raise TransferEnded(f"{name} is {transfer.state}.", hint="Begin another transfer.")


def _check_whole(transfer: Transfer, arrived: dict[int, tuple[int, str]]) -> None:
    wrong = _wrong(transfer, arrived)
    if wrong or len(arrived) > transfer.part_count:
        some = ", ".join(map(str, wrong[:10])) or "more than announced"
        raise TransferIncomplete(
            f"{len(wrong)} of {transfer.part_count} parts are missing or of a wrong size: {some}.",
            hint="Send them again; what arrived is kept.",
            missing=wrong[:MAX_URLS],
        )


def _wrong(transfer: Transfer, arrived: dict[int, tuple[int, str]]) -> list[int]:
    """Return the numbers of the parts that are missing or of another size, in order."""
    return [
        number
        for number in range(1, transfer.part_count + 1)
        if arrived.get(number, (-1, ""))[0] != _size_of(transfer, number)
    ]


def _size_of(transfer: Transfer, number: int) -> int:
    before = (number - 1) * transfer.part_bytes
    return min(transfer.part_bytes, transfer.size_bytes - before)


def _arguments(transfer: Transfer) -> dict[str, Any]:
    """Return the arguments of the job that reads the file."""
    given = {k: v for k, v in transfer.arguments.items() if k != "mode"}
    url = f"s3://{storage.hosted().bucket}/{transfer.key}"
    return given | {"staged_key": transfer.key, "url": url}


def _record(actor: Actor, event: Event, transfer: Transfer, after: dict[str, Any]) -> None:
    audit.record(
        actor=actor,
        event=event,
        target=securables.target(transfer.catalog.securable),
        after={"transfer": str(transfer.id), "file_name": transfer.arguments["file_name"]} | after,
    )
