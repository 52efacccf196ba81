"""Creates tables from uploaded files and appends files to tables, all rows or none."""

from __future__ import annotations

import re
from typing import Any

import duckdb

from catalog.writer.problems import BadInput, redacted
from catalog.writer.quoting import quoted_name, quoted_text
from catalog.writer.session import Lake, Spec

READERS = {"csv": "read_csv", "json": "read_json", "parquet": "read_parquet"}
MAX_NAME_BYTES = 63
"""PostgreSQL cuts longer names, and inlined rows are kept under their columns' names there."""

PREVIEW_ROWS = 20
PREVIEW_CHARACTERS = 200
RETRY = "Nothing was written. Correct the file, or choose other types where the table is new."

CSV_LINE = re.compile(r"CSV Error on Line: (\d+)")
JSON_LINE = re.compile(r" in line (\d+)")
CONVERSION = re.compile(r"(Error when converting column.*|.*Could not convert.*)")
TRANSIENT = re.compile(
    r"connection|could not connect|timed? ?out|server closed"
    r"|HTTP (?:GET|HEAD|PUT|POST) error|HTTP 5\d\d",
    re.IGNORECASE,
)


def create_table(lake: Lake, spec: Spec) -> dict[str, Any]:
    """Create a table with the columns of the file.

    Types are inferred from its beginning; where a later line does not fit, from all of it.
    """
    try:
        return _created(lake, spec, {})
    except duckdb.Error:
        if spec.arguments["format"] == "parquet":
            raise
        try:
            return _created(lake, spec, {"sample_size": "-1"})
        except duckdb.Error as second:
            error = second
    # The first error names the line; the second only that nothing fits the whole file.
    raise error.__context__ or error


def preview(lake: Lake, spec: Spec) -> dict[str, Any]:
    """Return the columns with the types that the file shows, and its first rows as text."""
    given = spec.arguments
    source = _reader(given, {})
    columns = columns_of(lake, source)
    names = [name for name, _ in columns]
    check_names(names, given["file_name"])
    shown = ", ".join(f"CAST({quoted_name(n)} AS VARCHAR)" for n in names)
    rows = lake.execute(f"SELECT {shown} FROM {source} LIMIT {PREVIEW_ROWS}")  # noqa: S608 - quoted
    return {
        "columns": [{"name": name, "type": kind} for name, kind in columns],
        "rows": [[None if v is None else v[:PREVIEW_CHARACTERS] for v in row] for row in rows],
    }


def _created(lake: Lake, spec: Spec, options: dict[str, str]) -> dict[str, Any]:
    given = spec.arguments
    chosen = given.get("types", {})
    if chosen and given["format"] == "csv":  # what does not fit is then told with its line
        options = options | _typed(given, chosen)
    source = _reader(given, options)
    columns = columns_of(lake, source)
    names = [name for name, _ in columns]
    check_names(names, given["file_name"])
    if unknown := sorted(chosen.keys() - set(names)):
        raise BadInput(
            "unknown-columns",
            f"{given['file_name']} has no columns {', '.join(unknown)}, whose types were chosen.",
            hint=f"Its columns are {', '.join(names)}.",
        )
    shown = ", ".join(
        f"CAST({quoted_name(n)} AS {chosen[n]}) AS {quoted_name(n)}"
        if n in chosen
        else quoted_name(n)
        for n in names
    )
    target = lake.name(given["schema"], given["table"])
    return lake.commit(
        spec.marker(),
        [
            f"CREATE SCHEMA IF NOT EXISTS {lake.name(given['schema'])}",
            f"CREATE TABLE {target} AS SELECT {shown} FROM {source}",  # noqa: S608 - all quoted
        ],
    )


def append(lake: Lake, spec: Spec) -> dict[str, Any]:
    """Append the rows of the file, columns matched by name without case, types as the table's.

    With `replace`, in place of all rows that are there, by the same commit.
    """
    given = spec.arguments
    target = lake.name(given["schema"], given["table"])
    wanted = {name.lower(): (name, kind) for name, kind in columns_of(lake, target)}
    offered = [name for name, _ in columns_of(lake, _reader(given, {}))]
    check_names(offered, given["file_name"])
    if unknown := [name for name in offered if name.lower() not in wanted]:
        raise BadInput(
            "unknown-columns",
            f"{given['file_name']} has columns that {given['table']} does not:"
            f" {', '.join(unknown)}.",
            hint=f"The table's columns are {', '.join(n for n, _ in wanted.values())}.",
        )
    types = {name: wanted[name.lower()][1] for name in offered}
    names = ", ".join(quoted_name(wanted[name.lower()][0]) for name in offered)
    values = ", ".join(f"CAST({quoted_name(n)} AS {kind})" for n, kind in types.items())
    source = _reader(given, _typed(given, types))
    statement = f"INSERT INTO {target} ({names}) SELECT {values} FROM {source}"  # noqa: S608 - all quoted
    cleared = [f"DELETE FROM {target}"] if given.get("replace") else []  # noqa: S608 - quoted
    return lake.commit(spec.marker(), [*cleared, statement])


def explained(error: Exception, spec: Spec) -> BadInput:
    """Return what a person can do about an engine's error; the file by its own name."""
    text = redacted(str(error), spec.secrets)
    name = spec.arguments.get("file_name", "")
    if url := spec.arguments.get("url"):
        text = text.replace(url, name)
    first = text.partition("\n")[0].strip()
    if TRANSIENT.search(text) and not CSV_LINE.search(text):
        hint = "It is tried again; are PostgreSQL and the object storage running?"
        return BadInput("storage-unreachable", first, hint=hint, retryable=True)
    if found := CSV_LINE.search(text):
        why = CONVERSION.search(text)
        detail = why[1].strip() if why else text.split("\n")[2].strip()
        line = int(found[1])
        return BadInput("bad-file", f"{name}, line {line}: {detail}", line=line, hint=RETRY)
    if name and (found := JSON_LINE.search(first)):
        return BadInput("bad-file", f"{name}: {first}", line=int(found[1]), hint=RETRY)
    return BadInput("bad-file" if name else "statement-failed", first, hint=RETRY if name else "")


def columns_of(lake: Lake, source: str) -> list[tuple[str, str]]:
    """Return (name, type) of a source's columns."""
    rows = lake.execute(f"DESCRIBE SELECT * FROM {source}")  # noqa: S608 - all quoted
    return [(row[0], row[1]) for row in rows]


def _reader(given: dict[str, Any], options: dict[str, str]) -> str:
    """Return the table function that reads the staged file."""
    always = {"csv": {"header": "true"}, "json": {"maximum_object_size": "67108864"}}
    chosen = always.get(given["format"], {}) | options
    spelled = [f"{name} = {value}" for name, value in chosen.items()]
    return f"{READERS[given['format']]}({', '.join([quoted_text(given['url']), *spelled])})"


def _typed(given: dict[str, Any], types: dict[str, str]) -> dict[str, str]:
    """Return the option that reads columns as these types, where the format is text."""
    if given["format"] == "parquet":
        return {}
    spelled = ", ".join(f"{quoted_text(n)}: {quoted_text(kind)}" for n, kind in types.items())
    return {"types" if given["format"] == "csv" else "columns": f"{{{spelled}}}"}


def check_names(names: list[str], file_name: str) -> None:
    """Refuse names that a table could not have. Raises `BadInput`."""
    seen: set[str] = set()
    for name in names:
        if not name.strip() or len(name.encode()) > MAX_NAME_BYTES or not name.isprintable():
            raise BadInput(
                "bad-column-name",
                f"{file_name} has a column {name[:80]!r}, which cannot be a column's name.",
                hint=f"Names have 1 to {MAX_NAME_BYTES} bytes of printable text.",
            )
        if name.lower() in seen:
            raise BadInput("bad-column-name", f"{file_name} has two columns {name!r}.")
        seen.add(name.lower())
