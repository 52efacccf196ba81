"""Icons, numbers and module addresses, for templates."""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import lru_cache
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from console import format as written

register = template.Library()

MODULES = (
    "api",
    "column-summary",
    "completion",
    "dom",
    "editor-theme",
    "events",
    "export",
    "follow",
    "format",
    "policy-page",
    "query-page",
    "result-chart",
    "result-table",
    "result-view",
    "shell",
    "sql-editor",
    "table-page",
    "upload",
)
VENDORED = ("codemirror", "echarts")

TYPE_ICONS = (
    (re.compile(r"\[\]$|^LIST"), "brackets"),
    (re.compile(r"^(STRUCT|MAP|JSON|UNION)"), "braces"),
    (re.compile(r"^(TIMESTAMP|TIME|INTERVAL)"), "clock"),
    (re.compile(r"^DATE"), "calendar"),
    (re.compile(r"^BOOL"), "toggle-left"),
    (re.compile(r"^(BLOB|BIT)"), "binary"),
    (re.compile(r"INT|DOUBLE|FLOAT|DECIMAL|NUMERIC|REAL"), "hash"),
)


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """Return one icon of the sprite, hidden from assistive technology."""
    return _icon(name, extra)


@lru_cache(maxsize=512)
def _icon(name: str, extra: str) -> SafeString:
    """Draw an icon once: a page has hundreds, and looking up the sprite's address is slow."""
    return format_html(
        '<svg class="i {}" aria-hidden="true" focusable="false"><use href="{}#{}"/></svg>',
        extra,
        static("vendor/icons.svg"),
        name,
    )


@register.simple_tag
def import_map() -> SafeString:
    """Return the import map: modules by name, files by their hashed, cacheable addresses."""
    imports = {f"upend/{name}": static(f"console/{name}.js") for name in MODULES}
    imports |= {f"upend/{name}": static(f"vendor/{name}.js") for name in VENDORED}
    return mark_safe(json.dumps({"imports": imports}))  # noqa: S308 - our own file names


@register.filter
def size(value: int | None) -> str:
    """Write bytes: `7.7 MB`."""
    return written.size(value or 0)


@register.filter
def compact(value: int | None) -> str:
    """Write a count in a few characters: `2.0M`."""
    return written.compact(value or 0)


@register.filter
def count(value: int | None) -> str:
    """Write a whole number with thousands separated."""
    return f"{value or 0:,}"


@register.filter
def seconds(value: float | None) -> str:
    """Write a duration: `1.4 s`."""
    return written.seconds(value or 0)


@register.filter
def ago(value: datetime | None) -> SafeString:
    """Write how long ago something was, with the exact time for machines and tooltips."""
    if value is None:
        return mark_safe("never")
    return format_html(
        '<time datetime="{}" title="{} UTC" class="nowrap">{}</time>',
        value.isoformat(),
        value.strftime("%Y-%m-%d %H:%M:%S"),
        written.ago(value, timezone.now()),
    )


@register.filter
def type_icon(duckdb_type: str) -> str:
    """Return the icon that stands for a DuckDB type."""
    upper = duckdb_type.upper()
    return next((name for pattern, name in TYPE_ICONS if pattern.search(upper)), "type")


@register.filter
def without_trailing_space(text: str) -> str:
    """Leave out the empty lines at the end of a text, which an editor would number."""
    return text.rstrip()


@register.filter
def pretty(value: Any) -> str:
    """Write JSON-ready data for reading."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
