"""Makes Parquet files that others wrote part of a table where they lie: no byte is copied.

The engine reads each file's footer and maps its columns by name. What it does not look at is
checked here: a file registered twice would count twice, and NULL would get into NOT NULL columns.
"""

from __future__ import annotations

from typing import Any

import duckdb

from catalog.writer.files import check_names, columns_of
from catalog.writer.problems import BadInput, redacted
from catalog.writer.quoting import quoted_name, quoted_text
from catalog.writer.session import Lake, Spec

TOLD = 20
"""So many files that do not fit are told about, each with its reason."""
OTHERS = "Nothing was registered. Leave them out, or write them anew with the table's columns."


def register(lake: Lake, spec: Spec) -> dict[str, Any]:
    """Register every file by one commit, all or none."""
    given, mark = spec.arguments, spec.marker()
    if lake.is_committed(mark):
        return lake.commit(mark, [])
    urls = _new(lake, given)
    if not urls:
        return {"snapshot_id": lake.newest_snapshot(), "rows": 0, "files": 0}
    begin = _created(lake, given, urls[0]) if given["mode"] == "create" else []
    if not begin:
        _refuse_nulls(lake, given, urls)
    try:
        result = lake.commit(mark, [*begin, *(_added(given, url) for url in urls)])
    except duckdb.Error as error:
        raise _refused(lake, spec, begin, urls) or error from error
    return result | {"files": len(urls), "rows": _rows(lake, urls)}


def _new(lake: Lake, given: dict[str, Any]) -> list[str]:
    """Return the files that are not in the table. Raises `BadInput` unless those are skipped."""
    urls = list(given["urls"])
    if given["mode"] == "create":
        return urls
    listed = lake.execute(
        "SELECT data_file FROM ducklake_list_files('lake', ?, schema => ?)",
        [given["table"], given["schema"]],
    )
    known = {path for (path,) in listed}
    twice = [url for url in urls if url in known]
    if twice and not given["skip_registered"]:
        raise BadInput(
            "file-registered",
            f"{len(twice)} of {len(urls)} files are in {given['table']} already:"
            f" {', '.join(_short(given, url) for url in twice[:TOLD])}.",
            hint="Nothing was registered. Leave them out, or ask to skip what is registered.",
        )
    return [url for url in urls if url not in known]


def _created(lake: Lake, given: dict[str, Any], url: str) -> list[str]:
    """Return what makes the table with the columns of the first file."""
    source = f"read_parquet({quoted_text(url)}, hive_partitioning = false)"
    check_names([name for name, _ in columns_of(lake, source)], _short(given, url))
    target = lake.name(given["schema"], given["table"])
    return [
        f"CREATE SCHEMA IF NOT EXISTS {lake.name(given['schema'])}",
        f"CREATE TABLE {target} AS SELECT * FROM {source} LIMIT 0",  # noqa: S608 - quoted
    ]


def _added(given: dict[str, Any], url: str) -> str:
    options = "".join(
        f", {name} => {'true' if given[name] else 'false'}"
        for name in ("allow_missing", "ignore_extra_columns")
    )
    return (
        f"CALL ducklake_add_data_files('lake', {quoted_text(given['table'])}, {quoted_text(url)},"
        f" schema => {quoted_text(given['schema'])}{options})"
    )


def _refuse_nulls(lake: Lake, given: dict[str, Any], urls: list[str]) -> None:
    """Refuse files with NULL in, or without, a column that the table has as NOT NULL."""
    wanted = lake.execute(
        "SELECT column_name FROM duckdb_columns() WHERE database_name = 'lake' AND NOT is_nullable"
        " AND lower(schema_name) = lower(?) AND lower(table_name) = lower(?)",
        [given["schema"], given["table"]],
    )
    if not wanted:
        return
    needed = [name for (name,) in wanted]
    bad: dict[str, str] = {}
    for url in urls:
        source = f"read_parquet({quoted_text(url)}, hive_partitioning = false)"
        there = {name.lower() for name, _ in columns_of(lake, source)}
        if gone := [name for name in needed if name.lower() not in there]:
            bad[url] = f"it has no column {gone[0]}, which must not be NULL"
            continue
        anyone = " OR ".join(f"{quoted_name(name)} IS NULL" for name in needed)
        if lake.execute(f"SELECT 1 FROM {source} WHERE {anyone} LIMIT 1"):  # noqa: S608 - quoted
            bad[url] = f"it has NULL in {' or '.join(needed)}"
    if bad:
        raise _do_not_fit(given, bad, len(urls))


def _refused(lake: Lake, spec: Spec, begin: list[str], urls: list[str]) -> BadInput | None:
    """Try each file by itself, keeping nothing; return what is wrong with which."""
    given, bad = spec.arguments, {}
    for url in urls:
        lake.execute("BEGIN")
        try:
            for text in (*begin, _added(given, url)):
                lake.execute(text)
        except duckdb.InvalidInputException as error:
            bad[url] = _why(redacted(str(error), spec.secrets), url)
        except duckdb.Error:
            return None  # the storage, or the database: it is tried again
        finally:
            lake.roll_back()
    return _do_not_fit(given, bad, len(urls)) if bad else None


def _do_not_fit(given: dict[str, Any], bad: dict[str, str], count: int) -> BadInput:
    told = "; ".join(f"{_short(given, url)}: {why}" for url, why in list(bad.items())[:TOLD])
    return BadInput(
        "files-do-not-fit",
        f"{len(bad)} of {count} files do not fit {given['table']}. {told}.",
        hint=OTHERS,
    )


def _why(text: str, url: str) -> str:
    """Return the engine's reason in one line, without the address and the engine's own advice."""
    lines = [line.lstrip("* ") for line in text.removeprefix("Invalid Input Error: ").split("\n")]
    said = "; ".join(line for line in lines if line.strip() and "=> true" not in line)
    for spelled in (f'file "{url}"', f"File '{url}'", url):
        said = said.replace(spelled, "the file")
    return said.rstrip(".")


def _rows(lake: Lake, urls: list[str]) -> int:
    """Return how many rows the files have, by the lake's own metadata."""
    schema = quoted_name(lake.spec.metadata_schema)
    found = lake.execute(
        "SELECT coalesce(sum(record_count), 0)::BIGINT FROM"  # noqa: S608 - quoted
        f" __ducklake_metadata_lake.{schema}.ducklake_data_file"
        " WHERE list_contains(?::VARCHAR[], path) AND begin_snapshot = (SELECT max(snapshot_id)"
        f" FROM __ducklake_metadata_lake.{schema}.ducklake_snapshot)",
        [urls],
    )
    return int(found[0][0])


def _short(given: dict[str, Any], url: str) -> str:
    return url.removeprefix(given["base"])
