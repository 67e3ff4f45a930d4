# SPDX-License-Identifier: Apache-2.0
"""Which test runs on which kernel, and the record of it (a plugin of pytest, loaded by conftest.py).

    @pytest.mark.needs("lsm", "ktls")      skipped, with the daemon's own reason, where one of them does not work
    @pytest.mark.not_in_vm("why")          skipped in a guest of tools/vm
    @pytest.mark.may_skip("Go")            what it takes is no matter of the kernel, and a machine may lack it

The names are those of `tipstaffd --capabilities`. `--ran FILE` writes what became of each test, as JSON; tools/check-skips
holds the records of several kernels against each other.
"""

import functools
import json
import os
import pathlib
import subprocess

import pytest

from world import PATIENCE, ROOT

IN_VM = "TIPSTAFF_VM" in os.environ


@functools.cache
def capabilities():
    """{name: "" if it works here, else why it does not}."""
    return {c["name"]: "" if c["works"] else c["detail"] for c in probed()}


@functools.cache
def probed():
    """What the daemon's own probe says."""
    daemon = ROOT / os.environ.get("BUILD", "build") / "tipstaffd"
    done = subprocess.run([daemon, "--capabilities", "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          check=True, timeout=60 * PATIENCE)
    return json.loads(done.stdout)["capabilities"]


def detail(name):
    """What the daemon's probe says about a capability."""
    return next(c["detail"] for c in probed() if c["name"] == name)


def needs(item):
    """The capabilities that an item's own mark, its class's and its module's name."""
    return [name for mark in item.iter_markers("needs") for name in mark.args]


def why_not(item):
    """Why a test cannot run here; None if it can."""
    for name in needs(item):
        if name not in capabilities():
            raise pytest.UsageError(f"{item.nodeid}: there is no capability {name!r}; "
                                    f"tipstaffd --capabilities names {', '.join(capabilities())}")
        if capabilities()[name]:
            return f"this kernel has no {name}: {capabilities()[name]}"
    mark = item.get_closest_marker("not_in_vm")
    return f"not in a guest: {mark.args[0]}" if mark and IN_VM else None


def pytest_addoption(parser):
    parser.addoption("--ran", metavar="FILE", help="write what became of each test, for tools/check-skips")


def pytest_configure(config):
    if config.getoption("--ran"):
        config.pluginmanager.register(Record(config.getoption("--ran")))


def pytest_collection_modifyitems(config, items):
    for item in items:
        reason = why_not(item)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
        mark = item.get_closest_marker("timeout")
        limit = mark.args[0] if mark else float(config.getini("timeout"))
        item.add_marker(pytest.mark.timeout(limit * PATIENCE), append=False)


class Record:
    """What became of each test of one run."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.tests = {}
        self.marks = {}

    def pytest_collection_finish(self, session):
        for item in session.items:
            may = item.get_closest_marker("may_skip")
            self.marks[item.nodeid] = needs(item), may and may.args[0]

    def pytest_runtest_logreport(self, report):
        # Of a test's three phases the worst counts, and "passed" is what the call says.
        if report.failed:
            self.tests[report.nodeid] = {"outcome": "failed"}
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.tests[report.nodeid] = {"outcome": "skipped", "reason": reason.removeprefix("Skipped: ")}
        elif report.when == "call":
            self.tests[report.nodeid] = {"outcome": "passed"}

    def pytest_sessionfinish(self):
        for nodeid, test in self.tests.items():
            test["needs"], test["may_skip"] = self.marks.get(nodeid, ([], None))
        record = {"kernel": os.uname().release, "vm": IN_VM, "tests": self.tests}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
