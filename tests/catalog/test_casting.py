"""Which cells are taken without asking the engine: none that it would refuse, or read otherwise."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catalog.ingest import casting, checking
from catalog.ingest.domain import RowFormat
from catalog.ingest.reading import Chunk, chunks

TYPES = (*casting.LIMITS, "DOUBLE", "FLOAT", "DECIMAL(9,2)", "VARCHAR", "DATE")
NUMBERS = st.one_of(
    st.integers(),
    st.sampled_from(
        [edge + d for ends in casting.LIMITS.values() for edge in ends for d in (-1, 0, 1)]
    ),
    st.floats(allow_nan=False, allow_infinity=False),
)


def read(text: str) -> Chunk:
    [chunk] = chunks(pa.py_buffer(f'{{"n": {text}}}'.encode()), RowFormat.NDJSON)
    return chunk


def is_sure(chunk: Chunk, wanted: str) -> bool:
    found = chunk.numbers["n"]
    return casting.holds(wanted, found.least, found.greatest, are_integers=found.are_integers)


@given(number=NUMBERS, wanted=st.sampled_from(TYPES))
@example(number=1e308, wanted="DOUBLE")
def test_it_is_sure_of_no_number_that_the_engine_refuses(number: float, wanted: str) -> None:
    chunk = read(json.dumps(number))
    if is_sure(chunk, wanted):
        assert checking.lost_cells(chunk.cells, [(0, wanted)]) == [[]]


@pytest.mark.parametrize("text", ["1e999", "-1e400", "1E301", "true", '"1"', "null", "[1]"])
def test_it_leaves_to_the_engine_what_is_no_plain_number(text: str) -> None:
    chunk = read(text)
    assert "n" not in chunk.numbers or not is_sure(chunk, "DOUBLE")


@pytest.mark.parametrize(
    ("text", "wanted"), [("1", "BIGINT"), ("-3", "TINYINT"), ("0.1", "DOUBLE")]
)
def test_it_is_sure_of_the_common_ones(text: str, wanted: str) -> None:
    assert is_sure(read(text), wanted)
