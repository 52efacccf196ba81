"""How a commit names the job it belongs to."""


def marker(job_id: str, step: int = 0) -> str:
    """Return what `commit_extra_info` says for one commit of a job."""
    return f"upend-job:{job_id}:{step}"
