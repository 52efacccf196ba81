"""Runs every benchmark, each in a process and an Upend of its own."""

import subprocess
import sys

NAMES = (
    "planning", "overhead", "memory", "big_result", "admission", "latency", "load", "governance",
    "replay", "ingest", "catalog_pages", "maintenance",
)  # fmt: skip

if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
