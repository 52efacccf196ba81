"""Registers Parquet files that others wrote and keep: they become part of a table where they lie.

A catalog reads below its own prefix only, and below prefixes that somebody who may manage the
bucket let it register from. Nothing there is ever written or removed by Upend.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from accounts.domain import Actor
from audit import services as audit
from audit.domain import Event
from catalog import lake, storage
from catalog.adoption.prefixes import PrefixRefused, checked_place
from catalog.domain import BucketKind, JobKind, UploadMode
from catalog.lake.paths import is_plain
from catalog.locks import alone_in_bucket
from catalog.models import Catalog, Job
from catalog.names import check_schema_name, check_table_name
from catalog.selectors import find_table
from catalog.services.jobs import enqueue_job
from catalog.services.uploads import refuse_existing
from catalog.writable import check_writable
from governance import securables
from governance import services as governance
from governance.domain import Action
from problems import Conflict, Invalid

MAX_FILES = 2000
PATTERN = frozenset("*?[]{}")
"""What the engine would take for a pattern of names."""


class CatalogEncrypted(Conflict):
    """An encrypted catalog has a key for each file; others' files have none."""

    code = "catalog-encrypted"
    title = "The catalog is encrypted"


@dataclass(frozen=True, slots=True)
class Registration:
    """What is asked for: files below a prefix of the catalog's bucket, all where none is named.

    Columns that the table has and a file does not are NULL with `allow_missing`; with
    `ignore_extra` those that it does not have are left out; `skip_registered` passes over files
    that are in the table.
    """

    schema: str
    table: str
    mode: UploadMode
    prefix: str
    files: tuple[str, ...] = ()
    allow_missing: bool = False
    ignore_extra: bool = False
    skip_registered: bool = False


def register_files(
    *, actor: Actor, catalog: Catalog, asked: Registration, idempotency_key: str = ""
) -> Job:
    """Queue the registration of files, all or none; return the job.

    A prefix that the catalog did not register from before needs the right to manage buckets.
    Raises `AccessDenied`, `UnknownTable`, `TableExists`, `InvalidName`, `PrefixRefused`,
    `CatalogEncrypted`, `CatalogReadOnly`, `Invalid`, `StorageUnreachable`, `IdempotencyConflict`.
    """
    arguments = check_registration(actor=actor, catalog=catalog, asked=asked)
    keys = _keys(catalog, arguments["prefix"], asked.files)
    return _queue(actor=actor, catalog=catalog, arguments=arguments, keys=keys, key=idempotency_key)


@audit.service
def check_registration(*, actor: Actor, catalog: Catalog, asked: Registration) -> dict[str, Any]:
    """Refuse before the bucket is asked for anything; return the job's arguments."""
    check_writable(catalog)
    schema, table = asked.schema, asked.table
    if asked.mode is UploadMode.CREATE:
        governance.authorize(actor, Action.TABLE_CREATE, catalog.securable)
        check_schema_name(schema)
        check_table_name(table)
        refuse_existing(catalog, schema, table)
    else:
        newest = lake.latest_snapshot(catalog).snapshot_id
        found = find_table(actor, catalog, newest, schema, table)
        governance.authorize(actor, Action.TABLE_APPEND, found.securable(catalog.securable))
        schema, table = found.schema_name, found.name
    if lake.is_encrypted(catalog):
        raise CatalogEncrypted(
            f"{catalog.name} is encrypted: each of its files has a key, and these have none.",
            hint="Load the files (`upend load`): they are then written anew, encrypted.",
        )
    prefix = checked_place(catalog.bucket, asked.prefix)
    if not is_known(catalog, prefix):
        place = securables.workspace(catalog.workspace)
        governance.authorize(actor, Action.BUCKET_MANAGE, place)
        _refuse_lakes(catalog, prefix)
    return {
        "schema": schema,
        "table": table,
        "mode": asked.mode.value,
        "prefix": prefix,
        "base": f"s3://{catalog.bucket.bucket_name}/{prefix}",
        "allow_missing": asked.allow_missing,
        "ignore_extra_columns": asked.ignore_extra,
        "skip_registered": asked.skip_registered,
    }


@audit.service
def _queue(
    *, actor: Actor, catalog: Catalog, arguments: dict[str, Any], keys: list[str], key: str
) -> Job:
    """Let the catalog read the prefix from now on, and queue the job."""
    prefix = arguments["prefix"]
    alone_in_bucket(catalog.bucket)
    _refuse_lakes(catalog, prefix)
    held = Catalog.objects.select_for_update(of=("self",)).get(id=catalog.id)
    if not is_known(held, prefix):
        before = list(held.registered_prefixes)
        catalog.registered_prefixes = held.registered_prefixes = [*before, prefix]
        held.save(update_fields=["registered_prefixes"])
        audit.record(
            actor=actor,
            event=Event.CATALOG_CHANGED,
            target=securables.target(catalog.securable),
            before={"registered_prefixes": before},
            after={"registered_prefixes": held.registered_prefixes},
        )
    audit.record(
        actor=actor,
        event=Event.TABLE_LOADED,
        target=securables.target(catalog.securable),
        after={k: v for k, v in arguments.items() if k != "base"} | {"files": len(keys)},
    )
    bucket = f"s3://{catalog.bucket.bucket_name}/"
    return enqueue_job(
        actor=actor,
        catalog=catalog,
        kind=JobKind.REGISTER,
        arguments=arguments | {"urls": [bucket + one for one in keys]},
        idempotency_key=key,
    )


def _keys(catalog: Catalog, prefix: str, files: Sequence[str]) -> list[str]:
    """Return the keys of the files: those named, else every Parquet file below the prefix."""
    if files:
        return refuse_odd(prefix, [prefix + name for name in dict.fromkeys(files)])
    return refuse_odd(prefix, parquet_keys(storage.of(catalog.bucket, prefix).keys(prefix)))


def parquet_keys(keys: Iterable[str]) -> list[str]:
    """Return those that are names of Parquet files."""
    return [key for key in keys if key.lower().endswith(".parquet")]


def refuse_odd(prefix: str, keys: list[str]) -> list[str]:
    """Return the keys, unless there are none, too many, or some that mean more than a name."""
    if not keys:
        raise Invalid(
            f"There is no Parquet file below {prefix!r}.",
            hint="Their names must end with .parquet; or name the files.",
        )
    if len(keys) > MAX_FILES:
        raise Invalid(
            f"There are {len(keys):,} files below {prefix!r}; {MAX_FILES:,} are taken at once.",
            hint="Name a narrower prefix, or the files.",
        )
    odd = [key for key in keys if not is_plain(key.removeprefix(prefix)) or PATTERN & {*key}]
    if odd:
        raise Invalid(
            f"{len(odd)} files cannot be registered under their names, such as {odd[0][:200]!r}.",
            hint="Names have no * ? [ ] { } # quotes, backslashes, or empty segments.",
        )
    return keys


def is_known(catalog: Catalog, prefix: str) -> bool:
    """Tell whether the catalog registered from the prefix before."""
    return any(prefix.startswith(known) for known in catalog.registered_prefixes)


def _refuse_lakes(catalog: Catalog, prefix: str) -> None:
    """Refuse a prefix where a catalog keeps its files, this one included, or another one will."""
    bucket = catalog.bucket
    places = [f"{'' if bucket.kind == BucketKind.HOSTED else bucket.prefix}catalogs/"]
    same = Catalog.objects.filter(
        removed_at__isnull=True,
        bucket__bucket_name=bucket.bucket_name,
        bucket__endpoint=bucket.endpoint,
    )
    places += same.values_list("prefix", flat=True)
    if any(one.startswith(prefix) or prefix.startswith(one) for one in places):
        raise PrefixRefused(
            f"Catalogs of this server keep files at {prefix!r}: those belong to their tables.",
            hint="Name a prefix beside them, where only files lie that are to be registered.",
        )
