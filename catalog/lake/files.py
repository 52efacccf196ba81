"""Which objects of a bucket are files of a table, by the whole address under which it has them."""

from __future__ import annotations

from collections.abc import Sequence

from catalog.domain import Table
from catalog.lake.metadata import rows
from catalog.models import Catalog


def registered_in(catalog: Catalog, table: Table, keys: Sequence[str]) -> frozenset[str]:
    """Return which of these keys of the catalog's bucket were registered in the table."""
    bucket = f"s3://{catalog.bucket.bucket_name}/"
    found = rows(
        catalog,
        "SELECT path FROM {ducklake_data_file} WHERE table_id = %(table)s"
        " AND end_snapshot IS NULL AND NOT path_is_relative AND path = ANY(%(paths)s)",
        {"table": table.table_id, "paths": [bucket + key for key in keys]},
    )
    return frozenset(path.removeprefix(bucket) for (path,) in found)
