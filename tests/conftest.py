# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests that run the built daemon from outside.

A module has one world and, in it, one daemon that all its tests share: it is described by the module's ENTRIES, RULES,
TRAFFIC and SETTINGS. Tests that break the daemon (kill, stop, detach) leave a running one behind. `need` gives a workload
by name.
"""

import json
import os
import textwrap

import pytest

from world import World, until

pytest_plugins = ["tiers"]

# Names, uids and cgroups that all modules use alike.
DOMAIN = "example.org"
UID = {"frontend": 61001, "backend": 61002, "rogue": 61003, "owner": 61004, "other": 61005, "orders": 61006, "impostor": 61007}


def spiffe(name):
    return f"spiffe://{DOMAIN}/{name}"


def entry(world, name, *extra, cgroup=True, uid=True, scope="work", **fields):
    """A registration entry for what runs in cgroup SCOPE/NAME under NAME's uid."""
    selectors = list(extra)
    if cgroup:
        selectors.append(f"cgroup:path:{world.cgroup_path(f'{scope}/{name}')}")
    if uid:
        selectors.append(f"unix:uid:{UID[name]}")
    return {"spiffe_id": spiffe(name), "selectors": selectors, **fields}


def make_entries(module, world):
    made = getattr(module, "ENTRIES", ("frontend", "backend"))
    if callable(made):
        return made(world)
    return [entry(world, name) for name in made]


def make_traffic(module, world):
    """Traffic policies of a module: a list, or a function of the world; None: it has nothing to do with traffic."""
    made = getattr(module, "TRAFFIC", None)
    return made(world) if callable(made) else made


def make_settings(module, world):
    made = getattr(module, "SETTINGS", {})
    return made(world) if callable(made) else made


def pytest_generate_tests(metafunc):
    """A module with OVER_RECORDS runs once with each maker of records; TIPSTAFF_RECORDS=user or kernel has one of them only."""
    if not getattr(metafunc.module, "OVER_RECORDS", False) or "records" not in metafunc.fixturenames:
        return
    only = os.environ.get("TIPSTAFF_RECORDS", "both")
    kernel = pytest.param("kernel", marks=pytest.mark.needs("ktls"))
    every = {"user": ["user"], "kernel": [kernel], "both": ["user", kernel]}
    metafunc.parametrize("records", every[only], indirect=True, scope="module")


@pytest.fixture(scope="module")
def records(request):
    """Who makes the records of mTLS connections: traffic.records of the world's daemons. By itself the daemon takes the
    kernel where it can."""
    return getattr(request, "param", os.environ.get("TIPSTAFF_RECORDS", "both").replace("both", "auto"))


@pytest.fixture(scope="module")
def world(records):
    with World("test", build=os.environ.get("BUILD"), records=records) as w:
        yield w


@pytest.fixture(scope="module")
def daemon(request, world):
    module = request.module
    d = world.daemon(
        entries=make_entries(module, world),
        rules=textwrap.dedent(getattr(module, "RULES", "")),
        traffic=make_traffic(module, world),
        **make_settings(module, world),
    )
    d.start()
    return d


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of the daemon's log."""
    outcome = yield
    report = outcome.get_result()
    d = getattr(item, "funcargs", {}).get("daemon")
    if report.failed and d is not None:
        report.sections.append(("the end of tipstaffd's log", "\n".join(d.log().splitlines()[-30:])))


@pytest.fixture(scope="module")
def need(world, daemon):
    """Workloads that tests share: need("frontend") starts it once and gives the same one after that."""
    running = {}

    def get(name, **kwargs):
        if name not in running or not running[name].running():
            running[name] = world.workload(name, daemon=daemon, uid=UID[name], **kwargs)
        return running[name]

    return get


@pytest.fixture(scope="module")
def run(world):
    """Runs a program of tests/attacks to its end: (exit status, [its JSON lines])."""

    def go(name, *args, cgroup=None, uid=0, place=None, as_name=None, timeout=15.0, **kwargs):
        p = world.spawn([world.program(name, as_name), *args], cgroup=cgroup, uid=uid, place=place, **kwargs)
        status = p.wait(timeout)
        assert status != 125, f"the attack itself failed: {p.text()}"
        return status, [json.loads(line) for line in p.output if line.startswith("{")]

    return go


@pytest.fixture(scope="module")
def listener(world):
    """A TCP server in a network namespace of its own: (address, port)."""
    code = (
        "import socket\n"
        "s = socket.create_server(('0.0.0.0', 8080))\n"
        "print('listening', flush=True)\n"
        "while True: s.accept()[0].close()\n"
    )
    address = world.place("server")
    p = world.spawn(["/usr/bin/python3", "-u", "-c", code], cgroup="server", place="server")
    assert p.line() == "listening"
    return address, 8080


@pytest.fixture(scope="module")
def served(world, daemon):
    """The places of a module of mTLS tests, served by the daemon for as long as its tests run."""
    import mtls  # it needs this file

    town = mtls.Town(world, daemon)
    town.ready()
    yield town
    town.close()


@pytest.fixture
def town(world, daemon, served):
    """Starts programs in the served places, and ends them after the test."""
    import mtls

    t = mtls.Town(world, daemon)
    yield t
    t.close()


def resolved(daemon, pid, timeout=5.0):
    """Waits until the daemon knows who a process is; what it knows."""
    return until(
        f"process {pid} to be resolved",
        lambda: (p := daemon.process_of(pid)) and p["state"] != "pending" and p,
        timeout,
    )


def got_nothing(lines):
    """None of an attacker's answers held anything: no data, no key."""
    assert lines, "the attacker said nothing"
    for line in lines:
        if "data_bytes" in line:
            assert line["data_bytes"] == 0, line
            assert not line["key"], line
    return True
