"""Confinement of the processes that run tenant SQL: nothing within reach but what a slice names.

Two sides, both free of Django. *Inside*, a process that is loaded, single-threaded and has seen no
tenant's text calls `enter(policy, handover)` once; afterwards `limit` may only tighten. *Outside*,
the worker holds one `Egress`, which carries bytes between the processes and the object store.

For whoever starts such processes (by fork or cold, the sandbox does not mind which):

- `channel = egress.open(endpoints)` before the start; give `channel.inner` to the child (inherit it
  or send it with SCM_RIGHTS), call `channel.started()` in the parent once the child has it, and
  `channel.close()` when the child is gone. The relay listens for the child from then on.
- The child calls `enter` from its only thread: `alone()` makes a copy with one thread where
  libraries have started some. Everything it will import must be imported by then: in the sandbox
  there may be no interpreter to read.
- The scratch directory must be reachable by strangers (its parents have the x bit): a root worker's
  engines run as users of their own, to whom `enter` gives the directory.
"""

from execution.sandbox.domain import Endpoint, Layer, Policy, Report, State
from execution.sandbox.egress import Channel, Egress, shared_egress
from execution.sandbox.entry import IsolationIncomplete, alone, enter
from execution.sandbox.probe import Probed, probe
from execution.sandbox.ties import call_it, limit, tie_to

__all__ = [
    "Channel",
    "Egress",
    "Endpoint",
    "IsolationIncomplete",
    "Layer",
    "Policy",
    "Probed",
    "Report",
    "State",
    "alone",
    "call_it",
    "enter",
    "limit",
    "probe",
    "shared_egress",
    "tie_to",
]
