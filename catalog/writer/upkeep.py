"""The commits of upkeep: flushing inlined rows, merging, rewriting and sorting files, expiry."""

from __future__ import annotations

from typing import Any

from catalog.writer.problems import BadInput
from catalog.writer.quoting import quoted_name, quoted_text
from catalog.writer.session import Lake, Spec

MERGE_OPTIONS = ("min_file_size", "max_file_size", "max_compacted_files")


def maintain(lake: Lake, spec: Spec) -> dict[str, Any]:
    """Carry out one step; what finds nothing to do commits nothing."""
    step = spec.arguments["step"]
    match step["kind"]:
        case "sort":
            return _sorted(lake, spec, step)
        case "expire":
            statements = [_expire(spec.arguments["snapshots"])]
        case "flush":
            statements = [_flush(step)]
        case "merge":
            statements = _merge(step)
        case "rewrite":
            statements = [_rewrite(step)]
        case other:
            raise BadInput("unknown-step", f"The writer knows no step {other!r}.")
    return lake.commit(spec.marker(), statements)


def _expire(snapshots: list[int]) -> str:
    versions = ", ".join(str(int(number)) for number in snapshots)
    return f"CALL ducklake_expire_snapshots('lake', versions => [{versions}])"


def _flush(step: dict[str, Any]) -> str:
    schema, table = quoted_text(step["schema"]), quoted_text(step["table"])
    return (
        f"CALL ducklake_flush_inlined_data('lake', schema_name => {schema}, table_name => {table})"
    )


def _merge(step: dict[str, Any]) -> list[str]:
    schema, table, options = step["schema"], step["table"], step["options"]
    given = "".join(f", {name} => {int(options[name])}" for name in MERGE_OPTIONS)
    merge = (
        f"CALL ducklake_merge_adjacent_files('lake', {quoted_text(table)},"
        f" schema => {quoted_text(schema)}{given})"
    )
    if (target := options.get("target_file_size")) is None:
        return [merge]
    aim = (
        f"CALL lake.set_option('target_file_size', '{int(target)}B',"
        f" schema => {quoted_text(schema)}, table_name => {quoted_text(table)})"
    )
    return [aim, merge]


def _rewrite(step: dict[str, Any]) -> str:
    return (
        f"CALL ducklake_rewrite_data_files('lake', {quoted_text(step['table'])},"
        f" schema => {quoted_text(step['schema'])},"
        f" delete_threshold => {float(step['options']['delete_threshold'])})"
    )


def _sorted(lake: Lake, spec: Spec, step: dict[str, Any]) -> dict[str, Any]:
    """Write the whole table anew in the order of its keys, as one commit.

    The rows go through a temporary table: within a transaction, `AT` sees the rows as they are
    after the transaction's own DELETE, so that reading the past there would lose every row.
    """
    target = lake.name(step["schema"], step["table"])
    keys = ", ".join(f"{quoted_name(key)} ASC" for key in step["options"]["keys"])
    lake.commit(spec.marker(0), [f"ALTER TABLE {target} SET SORTED BY ({keys})"])
    lake.execute(f"CREATE TEMP TABLE sorted_rows AS SELECT * FROM {target}")  # noqa: S608 - quoted
    kept = lake.execute("SELECT count(*) FROM temp.sorted_rows")[0][0]
    result = lake.commit(
        spec.marker(1),
        [
            f"DELETE FROM {target}",  # noqa: S608 - quoted
            f"INSERT INTO {target} SELECT * FROM temp.sorted_rows ORDER BY {keys}",  # noqa: S608
            _checked(target, kept),
        ],
    )
    lake.execute("DROP TABLE temp.sorted_rows")
    return result


def _checked(target: str, kept: int) -> str:
    """Return the statement that fails, and with it the commit, where a row was lost."""
    return (
        f"SELECT CASE WHEN count(*) = {int(kept)} THEN count(*)"  # noqa: S608 - quoted
        f" ELSE error('rows were lost while sorting') END FROM {target}"
    )
