"""Reads rows as they were sent into Arrow tables of cells, bad lines told by their position.

What is text stays text (CSV, JSON): one set of rules, the engine's casts, makes values of it.
Crafted Parquet is read by the engine, in the writer's process only.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import pyarrow as pa
from pyarrow import csv as arrow_csv

from catalog.ingest.domain import BadRow, Mismatch, RowFormat

CHUNK_ROWS = 50_000
JSON_ARRAY_BYTES = 16 * 2**20
"""A JSON array is parsed in one piece, so it must be small; NDJSON need not."""
DELIMITERS = {RowFormat.CSV: ",", RowFormat.TSV: "\t"}
KINDS_KEY = b"upend.json"
"""Field metadata: which kind of JSON values a column of text has, for columns to be added."""
NUMERIC = frozenset({"integer", "number"})


@dataclass(slots=True)
class Chunk:
    """Some rows: their cells, the row number of each, and the rows that could not be read."""

    cells: pa.Table
    rows: list[int] | range
    bad: list[BadRow] = field(default_factory=list)
    numbers: dict[str, Numbers] = field(default_factory=dict)
    """Columns of JSON in which there are numbers only, and nulls."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What is known of a column of JSON numbers."""

    least: float
    greatest: float
    are_integers: bool


class Number(float):
    """A JSON number with a fraction that remembers its digits, for exact decimals."""

    text: str

    def __new__(cls, text: str) -> Self:
        """Return the number that `text` spells."""
        made = super().__new__(cls, text)
        made.text = text
        return made


def chunks(body: pa.Buffer, form: RowFormat) -> Iterator[Chunk]:
    """Yield the rows of a body, some at a time. Raises `Mismatch` where it cannot be read."""
    match form:
        case RowFormat.ARROW:
            return _arrow(body)
        case RowFormat.JSON:
            return _objects(_array(body))
        case RowFormat.NDJSON:
            return _objects(_lines(body))
        case RowFormat.CSV | RowFormat.TSV:
            return _delimited(body, DELIMITERS[form])
        case RowFormat.PARQUET:
            message = "Parquet is read in the writer's process only"
            raise NotImplementedError(message)


def refused(form: str, why: str) -> Mismatch:
    """Return the refusal of a body that is not what it says it is."""
    first = why.strip().partition("\n")[0][:300]
    return Mismatch("bad-rows-body", f"The body is not readable as {form}: {first}")


def _arrow(body: pa.Buffer) -> Iterator[Chunk]:
    """Yield record batches, fully validated: offsets and lengths are the sender's words."""
    first = 1
    try:
        is_file = body.size > len(b"ARROW1") and body.slice(0, 6).to_pybytes() == b"ARROW1"
        source: Iterable[pa.RecordBatch] = (
            _file_batches(body) if is_file else pa.ipc.open_stream(body)
        )
        for batch in source:
            batch.validate(full=True)
            cells = plain(pa.Table.from_batches([batch]))
            yield Chunk(cells, range(first, first + batch.num_rows))
            first += batch.num_rows
    except (pa.ArrowException, OSError, ValueError) as error:
        raise refused("an Arrow stream", str(error)) from error


def _file_batches(body: pa.Buffer) -> Iterator[pa.RecordBatch]:
    reader = pa.ipc.open_file(body)
    return (reader.get_batch(at) for at in range(reader.num_record_batches))


def plain(table: pa.Table) -> pa.Table:
    """Return the table without dictionaries and extensions: values only."""
    for at, one in enumerate(table.schema):
        column = table.column(at)
        if isinstance(one.type, pa.BaseExtensionType):
            parts = [part.storage for part in column.chunks]
            column = pa.chunked_array(parts, type=one.type.storage_type)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if column.type != one.type:
            table = table.set_column(at, one.name, column)
    return table


def _lines(body: pa.Buffer) -> Iterator[tuple[int, Any]]:
    """Yield (row, object or `BadRow`) of each line that is not empty."""
    row = 0
    for line in io.BytesIO(body):
        if not line.strip():
            continue
        row += 1
        yield row, _parsed(row, line)


def _parsed(row: int, line: bytes) -> Any:
    try:
        found = DECODER.decode(line.decode(json.detect_encoding(line), "surrogatepass"))
    except (RecursionError, ValueError) as error:
        raw = line.decode(errors="replace").strip()
        return BadRow(row, "", f"not a JSON object: {error}"[:200], raw=raw)
    return _checked_object(row, found)


def _checked_object(row: int, found: Any) -> Any:
    if isinstance(found, dict):
        return found
    return BadRow(row, "", "not a JSON object", raw=json.dumps(found)[:10_000])


def _array(body: pa.Buffer) -> Iterator[tuple[int, Any]]:
    if body.size > JSON_ARRAY_BYTES:
        raise Mismatch(
            "bad-rows-body",
            f"A JSON array may have {JSON_ARRAY_BYTES:,} bytes; this one has {body.size:,}.",
            hint="Send the same objects one a line, as application/x-ndjson.",
        )
    try:
        text = body.to_pybytes()
        found = DECODER.decode(text.decode(json.detect_encoding(text), "surrogatepass"))
    except (RecursionError, ValueError) as error:
        raise refused("JSON", str(error)) from error
    objects = found if isinstance(found, list) else [found]
    return ((row, _checked_object(row, one)) for row, one in enumerate(objects, start=1))


def _no_constant(name: str) -> Any:
    message = f"{name} is not JSON"
    raise ValueError(message)


DECODER = json.JSONDecoder(parse_float=Number, parse_constant=_no_constant)
"""Made once: `json.loads` would make one for each line."""


def _objects(found: Iterable[tuple[int, Any]]) -> Iterator[Chunk]:
    rows: list[int] = []
    objects: list[dict[str, Any]] = []
    bad: list[BadRow] = []
    for row, one in found:
        if isinstance(one, BadRow):
            bad.append(one)
        else:
            rows.append(row)
            objects.append(one)
        if len(rows) + len(bad) >= CHUNK_ROWS:
            yield _chunk(objects, rows, bad)
            rows, objects, bad = [], [], []
    if rows or bad:
        yield _chunk(objects, rows, bad)


def _chunk(objects: list[dict[str, Any]], rows: list[int], bad: list[BadRow]) -> Chunk:
    """Return the objects as columns of text; what is no text at all becomes a bad row."""
    names = list(dict.fromkeys(name for one in objects for name in one))
    while True:
        numbers: dict[str, Numbers] = {}
        try:
            return Chunk(_as_table(names, objects, numbers), rows, bad, numbers)
        except UnicodeEncodeError:
            _put_aside(objects, rows, bad)


def _as_table(
    names: list[str], objects: list[dict[str, Any]], numbers: dict[str, Numbers]
) -> pa.Table:
    arrays, fields = [], []
    for name in names:
        values = [one.get(name) for one in objects]
        kinds = {_kind(value) for value in values if value is not None}
        if kinds and kinds <= NUMERIC:
            there = [value for value in values if value is not None]
            numbers[name] = Numbers(min(there), max(there), "number" not in kinds)
        arrays.append(pa.array([_text(value) for value in values], pa.string()))
        said = {KINDS_KEY: ",".join(sorted(kinds)).encode()}
        fields.append(pa.field(name, pa.string(), metadata=said))
    if not arrays:
        return pa.table({"": pa.nulls(len(objects))}).select([])
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _put_aside(objects: list[dict[str, Any]], rows: list[int], bad: list[BadRow]) -> None:
    """Move the objects with halves of surrogate pairs in them to the bad rows."""
    for at in reversed(range(len(objects))):
        try:
            json.dumps(objects[at], ensure_ascii=False, default=str).encode()
        except UnicodeEncodeError:
            bad.append(BadRow(rows[at], "", "has half of a surrogate pair, which is no text"))
            del objects[at], rows[at]


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "text"
        case _:
            return "nested"


def _text(value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case Number():
            return value.text
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case _:
            return json.dumps(value, ensure_ascii=False)


def _delimited(body: pa.Buffer, delimiter: str) -> Iterator[Chunk]:
    """Yield the rows of a CSV with a header; an empty cell without quotes is null."""
    names = _header(body, delimiter)
    invalid: list[tuple[int, str, int]] = []
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(body),
            read_options=arrow_csv.ReadOptions(use_threads=False),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter,
                newlines_in_values=True,
                invalid_row_handler=_noting(invalid),
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except (pa.ArrowException, ValueError) as error:
        raise refused("CSV", str(error)) from error
    bad = [
        BadRow(row, "", f"has {found} cells, not {len(names)}", raw=text)
        for row, text, found in invalid
    ]
    gone = {one.row for one in bad}
    rows = [row for row in range(1, table.num_rows + len(bad) + 1) if row not in gone]
    yield Chunk(table, rows, bad)


def _header(body: pa.Buffer, delimiter: str) -> list[str]:
    line = io.BytesIO(body).readline(2**20)
    try:
        names = next(csv.reader([line.decode("utf-8-sig")], delimiter=delimiter), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise refused("CSV", str(error)) from error
    if not names:
        raise refused("CSV", "it is empty, and the first line names the columns")
    return names


def _noting(invalid: list[tuple[int, str, int]]) -> Callable[[Any], str]:
    def note(row: Any) -> str:
        invalid.append((row.number - 1, row.text, row.actual_columns))  # the header is the first
        return "skip"

    return note
