"""Reading results from one engine after the other, side by side and in forked processes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from upend import engines
from upend.result import Column, Facts, Result

FORKED = """
import os, sys
import pyarrow as pa
from upend.result import Column, Facts, Result
read = lambda: Result(pa.table({"x": [1]}), [Column("x", "HUGEINT")], Facts()).fetchall()
read()
child = os.fork()
if child == 0:
    os._exit(0 if read() == [(1,)] else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def result(*values: int) -> Result:
    """Return a result that takes an engine to read: Arrow has no such type."""
    return Result(pa.table({"x": list(values)}), [Column("x", "HUGEINT")], Facts())


def test_it_reads_two_results_side_by_side() -> None:
    one, other = result(1, 2), result(3, 4)
    assert [one.fetchone(), other.fetchone(), one.fetchone(), other.fetchone()] == [
        (1,),
        (3,),
        (2,),
        (4,),
    ]


def test_it_reads_results_in_many_threads() -> None:
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda n: result(n).fetchall(), range(40)))
    assert read == [[(n,)] for n in range(40)]


def test_it_reads_in_a_process_forked_after_a_read() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], timeout=300, check=False)
    assert done.returncode == 0


def test_it_forgets_what_a_closed_connection_was_given() -> None:
    with engines.connection("mine") as con:
        con.register("given", pa.table({"x": [1]}))
    with engines.connection("mine") as con:
        assert con.execute("SHOW TABLES").fetchall() == []
