"""Predicts the bytes an engine fetches on top of its columns, because it joins near ranges.

DuckDB's Parquet reader merges the ranges of two column chunks when the gap between them is
small: one request more would cost more than the bytes. The sizes of the columns in between are
in the lake's statistics and chunks stand in column order, so the gaps are known without opening
a file. After the last column come bloom filters; a read of that column runs on to the footer,
which the engine holds already.

Measured on DuckDB 1.5.5 over HTTP (docs/explanation/what-is-fetched.md); pinned by
tests/differential/test_bytes_fetched.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from catalog.domain import Column, Table
from catalog.lake.columns import leaves_of
from catalog.lake.metadata import rows
from catalog.models import Catalog

GAP_BYTES = 16 * 1024
"""The widest gap that is read rather than skipped (DuckDB's `ReadHead` merging)."""

ROW_GROUP_ROWS = 122_880
"""DuckDB's default; a chunk is divided by the number of row groups its file must have."""

FRAME_BYTES = 8
"""After the footer stand its length and the magic number, fetched along with it."""

FOOTER_GUESS_BYTES = 16 * 1024
"""What the engine reads of a file's end when it is not told where the footer is."""

MAGIC_BYTES = 4
SAMPLED_FILES = 64
"""Files looked at in detail; more are assumed to be like these."""


@dataclass(frozen=True, slots=True)
class FileLayout:
    """The chunks of one file: compressed bytes by leaf column, in order, and what surrounds them.

    `sizes` has one (column id, bytes) for every leaf of the table that the file holds.
    """

    sizes: tuple[tuple[int, int], ...]
    record_count: int
    file_size_bytes: int
    footer_size: int


def extra_bytes(layout: FileLayout, read: Collection[int]) -> int:
    """Return the bytes fetched in one file beyond its footer and the columns in `read`."""
    row_groups = max(1, -(-layout.record_count // ROW_GROUP_ROWS))
    extra = gap = 0
    has_started = False
    for column_id, size in layout.sizes:
        if column_id in read:
            if has_started and 0 < gap <= GAP_BYTES * row_groups:
                extra += gap
            has_started, gap = True, 0
        else:
            gap += size
    reads_the_last = bool(layout.sizes) and layout.sizes[-1][0] in read
    # A column without statistics has been charged everything that no other column accounts for.
    is_charged = any(size == 0 for column_id, size in layout.sizes if column_id in read)
    return extra + (_tail_bytes(layout) if reads_the_last and not is_charged else 0)


def _tail_bytes(layout: FileLayout) -> int:
    """Return the bytes between the last column chunk and the footer."""
    known = sum(size for _, size in layout.sizes) + layout.footer_size + FRAME_BYTES + MAGIC_BYTES
    return max(0, layout.file_size_bytes - known)


def coalesced_bytes(catalog: Catalog, table: Table, read: Sequence[int], files: list[int]) -> int:
    """Return the bytes fetched beyond columns and footers in `files`, from a sample of them."""
    if not read or not files:
        return 0
    sample = files[:: -(-len(files) // SAMPLED_FILES)]
    wanted = frozenset(read)
    extra = sum(extra_bytes(layout, wanted) for layout in layouts_of(catalog, table, sample))
    return extra * len(files) // len(sample)


def layouts_of(catalog: Catalog, table: Table, files: Sequence[int]) -> list[FileLayout]:
    """Return the layouts of these data files."""
    order = {c.column_id: at for at, c in enumerate(_leaves_in_file_order(table))}
    found = rows(
        catalog,
        "SELECT f.data_file_id, f.record_count, f.file_size_bytes, coalesce(f.footer_size, 0),"
        " s.column_id, coalesce(s.column_size_bytes, 0)"
        " FROM {ducklake_data_file} f JOIN {ducklake_file_column_stats} s"
        "  ON s.table_id = f.table_id AND s.data_file_id = f.data_file_id"
        " WHERE f.table_id = %(table)s AND f.data_file_id = ANY(%(files)s)",
        {"table": table.table_id, "files": list(files)},
    )
    sizes: dict[int, list[tuple[int, int]]] = defaultdict(list)
    facts: dict[int, tuple[int, int, int]] = {}
    for file_id, record_count, file_size, footer, column_id, size in found:
        facts[file_id] = (record_count, file_size, footer)
        sizes[file_id].append((column_id, size))
    last = len(order)
    return [
        FileLayout(tuple(sorted(sizes[file_id], key=lambda pair: order.get(pair[0], last))), *fact)
        for file_id, fact in facts.items()
    ]


def _leaves_in_file_order(table: Table) -> list[Column]:
    """Return the leaf columns depth first, as a writer lays them out."""
    tops = sorted(table.top_columns, key=lambda c: c.order)
    leaves: list[Column] = []
    for top in tops:
        ids = leaves_of(table.columns, frozenset({top.column_id}))
        leaves += [c for c in table.columns if c.column_id in ids]
    return leaves
