"""Where a page of tables begins: after a schema and a name, in one word for addresses."""

from __future__ import annotations

import base64
import json

from catalog.domain import Table
from problems import Invalid


def after(table: Table) -> str:
    """Return the cursor of the page that begins after a table."""
    place = json.dumps([table.schema_name, table.name]).encode()
    return base64.urlsafe_b64encode(place).decode()


def read(cursor: str) -> tuple[str, str] | None:
    """Return the schema and name that a page begins after; None where there is no cursor.

    Raises `Invalid` for what is no cursor.
    """
    if not cursor:
        return None
    try:
        schema, name = json.loads(base64.urlsafe_b64decode(cursor))
    except (ValueError, TypeError):
        message = "This is no place in the list: begin with its first page."
        raise Invalid(message) from None
    return str(schema), str(name)
