"""Every write of what runs."""

from execution.services.corrections import reset_predictions
from execution.services.expiry import expire_results, let_go, make_room, sweep_orphans
from execution.services.extract_expiry import expire_extracts
from execution.services.extract_expiry import sweep_orphans as sweep_orphaned_extracts
from execution.services.files import FileRequest, authorize_file
from execution.services.grants import issue_grant
from execution.services.lifecycle import cancel_query
from execution.services.preparing import write_extracts
from execution.services.receipts import accept_receipt
from execution.services.results import Page, locate, read_at_hand, read_page, run_export
from execution.services.running import run_queries, run_query
from execution.services.saved import change_saved_query, delete_saved_query, save_query
from execution.services.submit import Submission, explain_query, submit_query
from execution.services.sweep import sweep

__all__ = [
    "FileRequest",
    "Page",
    "Submission",
    "accept_receipt",
    "authorize_file",
    "cancel_query",
    "change_saved_query",
    "delete_saved_query",
    "expire_extracts",
    "expire_results",
    "explain_query",
    "issue_grant",
    "let_go",
    "locate",
    "make_room",
    "read_at_hand",
    "read_page",
    "reset_predictions",
    "run_export",
    "run_queries",
    "run_query",
    "save_query",
    "submit_query",
    "sweep",
    "sweep_orphaned_extracts",
    "sweep_orphans",
    "write_extracts",
]
