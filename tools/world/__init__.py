# SPDX-License-Identifier: Apache-2.0
"""A small world for demos and tests: cgroups, network namespaces joined by veth, a tipstaffd inside them, and processes
that live there. Nothing of it touches what it did not make, and all of it goes away, also after a failure.

    with World("demo") as world:
        daemon = world.daemon(entries=[...])
        daemon.start()
        frontend = world.workload("frontend", uid=61001)
        frontend.do("fetch")
"""

from .daemon import CliError, Daemon
from .process import Process, Workload
from .wait import PATIENCE, SLOW, Timeout, until
from .wire import Capture, in_netns
from .world import ROOT, World, leftovers, sweep

__all__ = [
    "PATIENCE",
    "ROOT",
    "SLOW",
    "Capture",
    "CliError",
    "Daemon",
    "Process",
    "Timeout",
    "Workload",
    "World",
    "in_netns",
    "leftovers",
    "sweep",
    "until",
]
