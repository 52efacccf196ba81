"""Step 4: DuckDB itself says which columns each scan reads and which filters it pushes down."""

from execution.bind.binding import BindError, Bound, BoundScan, PlanningFailed, bind
from execution.bind.pool import BinderBusy, BinderPool
from execution.bind.schema import HiddenTable

__all__ = [
    "BindError",
    "BinderBusy",
    "BinderPool",
    "Bound",
    "BoundScan",
    "HiddenTable",
    "PlanningFailed",
    "bind",
]
