"""Hands the key of masks to the engines whose views call for it, and to nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from governance.masks import HMAC
from governance.services.mask_keys import mask_key


def key_for(record: Mapping[str, Any], organization_id: UUID) -> str:
    """Return the organization's key in hex digits where a view of `record` masks by it, else "".

    `record` is an execution record. The answer belongs into `EngineSpec.mask_key`: it is in no
    record, plan or log. Raises `KeyUnavailable`.
    """
    views = [entry["view"] for entry in record.get("tables", [])]
    return mask_key(organization_id).hex() if any(map(_calls_for_it, views)) else ""


def _calls_for_it(view: Mapping[str, Any]) -> bool:
    """Tell whether the macro is named; a text that only mentions it does no harm."""
    texts = [text for _, text in view["columns"] if text is not None]
    return any(HMAC in text.lower() for text in [*texts, view.get("row_filter", "")])
