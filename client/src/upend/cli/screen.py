"""What a person sees: rows on stdout; badges, summaries and plans in plain sentences."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from upend.result import Result

ROWS_SHOWN = 40
WIDE = 10_000
OUT = Console(width=None if sys.stdout.isatty() else WIDE)
ERR = Console(stderr=True, width=None if sys.stderr.isatty() else WIDE)
"""Lines are as wide as the terminal; where a program reads them, as wide as they are."""
COLOURS = {"local": "green", "server": "blue"}
NUMERIC = ("BIGINT", "DECIMAL", "DOUBLE", "FLOAT", "HUGEINT", "INTEGER", "SMALLINT", "TINYINT", "U")
UNITS = ("B", "kB", "MB", "GB", "TB")


def size(count: float | None) -> str:
    """Return a number of bytes as a person says it."""
    if count is None:
        return "unknown size"
    number = float(count)
    for unit in UNITS[:-1]:
        if number < 1000:  # noqa: PLR2004  # decimal units, as buckets bill
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} {UNITS[-1]}"


def moment(text: str) -> str:
    """Return an ISO 8601 moment to the minute, on this machine's clock."""
    try:
        return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}"
    except ValueError:
        return text


def badge(place: str | None) -> Text:
    """Return where a query runs, in its colour."""
    return Text(f" {place or 'refused'} ", style=f"bold reverse {COLOURS.get(place or '', 'red')}")


def show_rows(result: Result) -> None:
    """Print rows as a table; many are cut in the terminal, with a word about the rest."""
    shown = result.head(ROWS_SHOWN) if OUT.is_terminal else result
    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for name, kind in zip(result.columns, result.types, strict=True):
        justify = "right" if kind.startswith(NUMERIC) and not kind.startswith("UUID") else "left"
        header = Text.assemble(name, "\n", (kind.lower(), "dim not bold"))
        table.add_column(header, justify=justify, overflow="fold")  # type: ignore[arg-type]
    texts = [f"CAST(c{position} AS VARCHAR)" for position in range(len(result.columns))]
    for row in shown.read(texts).fetchall():
        table.add_row(*(Text("NULL", style="dim") if v is None else Text(v) for v in row))
    OUT.print(table)
    if len(shown) < len(result):
        rest = f"… {len(result) - len(shown):,} more rows; --csv, --parquet write all of them."
        OUT.print(rest, style="dim")


def summarize(result: Result, rows: int) -> None:
    """Say on stderr where the query ran, what it took and why it ran there."""
    facts = result.facts
    line = badge(facts.place)
    line.append(f" {rows:,} rows")
    if facts.cached_at:
        line.append(f" · from cache, computed {moment(facts.cached_at)}")
    elif facts.bytes_read is not None:
        line.append(f" · {size(facts.bytes_read)} fetched of {size(facts.plan.get('total_bytes'))}")
    if facts.engine_seconds is not None and not facts.cached_at:
        line.append(f" · {facts.engine_seconds:.2f} s")
    if facts.why:
        line.append(f" · {facts.why}", style="dim")
    ERR.print(line)
    if facts.truncated:
        ERR.print(
            "The result was cut at the workspace's limit: these are not all rows.", style="yellow"
        )
    if facts.notice:
        ERR.print(Text(facts.notice, style="yellow"))


def show_plan(plan: dict[str, Any]) -> None:
    """Print a plan: place, reasons, tables and decisions."""
    head = badge(plan.get("place"))
    head.append(f" {plan.get('why', '')}")
    OUT.print(head)
    OUT.print(
        f"Reads {size(plan['scan_bytes'])} of {size(plan['total_bytes'])} in {plan['files']} files."
    )
    OUT.print(f"Takes: {plan['times']}.")
    for reason in plan.get("reasons", []):
        mark = "*" if reason.get("decisive") else "-"
        OUT.print(Text(f"  {mark} {reason['text']}"))
    OUT.print(_tables_of(plan))
    for title, key in (("May you query it?", "decisions"), ("May it go here?", "local_decisions")):
        OUT.print(Text(title, style="bold"))
        for decision in plan.get(key, []):
            _show_decision(decision)


def _moment(plan: dict[str, Any], table: dict[str, Any]) -> str:
    """Say at which snapshot a table is read, where that is not its catalog's in the query."""
    own = table.get("snapshot")
    of_catalog = plan["snapshots"].get(table["table"].split(".", 1)[0])
    return "" if own is None or own == of_catalog else f" at snapshot {own}"


def _tables_of(plan: dict[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("table", "columns", "reads", "of", "files", "filters"):
        table.add_column(name, justify="right" if name in {"reads", "of", "files"} else "left")
    for one in plan["tables"]:
        table.add_row(
            escape(one["table"] + _moment(plan, one)),
            escape(", ".join(one["columns"])),
            size(one["scan_bytes"]),
            size(one["total_bytes"]),
            f"{one['files']}/{one['total_files']}",
            escape(", ".join(one["filters"])),
        )
    return table


def _show_decision(decision: dict[str, Any]) -> None:
    yes = decision["allowed"]
    line = Text("  yes " if yes else "  no  ", style="green" if yes else "red")
    line.append(f"{decision['securable']['label']}: {decision['reason']}", style="default")
    names = ", ".join(p["name"] for p in decision.get("determined_by", []))
    if names:
        line.append(f" ({names})", style="dim")
    OUT.print(line)
    if not yes and decision.get("remedy"):
        OUT.print(Text(f"      {decision['remedy']}", style="dim"))
