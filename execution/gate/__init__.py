"""The first step of every query: text becomes a checked syntax tree, or a refusal with a reason.

Nothing here evaluates anything: DuckDB's own parser turns the text into a tree on a sterile
connection, and a positive list decides. What the list does not know is refused.
"""

from execution.gate.check import check
from execution.gate.refusal import RefusalCode, SqlRefused

__all__ = ["RefusalCode", "SqlRefused", "check"]
