# SPDX-License-Identifier: Apache-2.0
"""Execs that are bound before their first instruction, since one like them was answered before."""

import pathlib

import pytest

from conftest import UID, entry, resolved, spiffe
from world import until

pytestmark = pytest.mark.kernel

def ENTRIES(world):
    return [
        entry(world, "frontend"),
        {"spiffe_id": spiffe("pathed"), "selectors": [f"unix:path:{world.dir}/pathed", f"unix:uid:{UID['other']}"]},
    ]


def cached(daemon):
    return daemon.status()["events"]["exec_cached"]


def shell(world, script, name="pathed", uid=UID["other"], cgroup="x", **kwargs):
    """A shell, executed under that name."""
    return world.spawn([world.file(name, pathlib.Path("/bin/bash")), "-c", script], cgroup=cgroup, uid=uid, **kwargs)


def hold(world, **kwargs):
    """One that waits."""
    return shell(world, "read x", stdin="pipe", **kwargs)


def test_the_second_exec_is_bound_at_once(world, daemon):
    first = hold(world)
    assert resolved(daemon, first.pid)["spiffe_id"] == spiffe("pathed")
    before = cached(daemon)
    second = hold(world)
    until("the exec to be counted", lambda: cached(daemon) > before)
    assert resolved(daemon, second.pid)["spiffe_id"] == spiffe("pathed")
    first.close()
    second.close()


def test_others_are_not_bound_by_it(world, daemon):
    """Another uid, another cgroup's entry, another path to the very same file: each has its own answer."""
    first = hold(world)
    assert resolved(daemon, first.pid)["spiffe_id"] == spiffe("pathed")
    link = world.dir / "linked"
    if not link.exists():
        link.hardlink_to(world.dir / "pathed")
    for process, wanted in (
        (hold(world, uid=UID["rogue"]), "none"),
        (hold(world, name="linked"), "none"),
        (hold(world, uid=UID["frontend"], cgroup="frontend"), "bound"),
    ):
        now = resolved(daemon, process.pid)
        assert now["state"] == wanted, now
        process.close()
    first.close()


def test_while_the_daemon_is_dead_the_kernel_still_knows(world, daemon, listener):
    """A process from outside the lineage of a quarantined workload is refused, though nobody could be asked who it is."""
    address, port = listener
    connect = f"exec 3<>/dev/tcp/{address}/{port}"
    assert shell(world, connect, place="client").wait(30) == 0
    first = hold(world)
    assert resolved(daemon, first.pid)["spiffe_id"] == spiffe("pathed")
    daemon.cli("quarantine", spiffe("pathed"), "--reason", "test")
    daemon.kill_both()
    refused = shell(world, connect, place="client")
    assert refused.wait(30) != 0
    assert "Operation not permitted" in refused.text()
    assert shell(world, connect, place="client", uid=UID["rogue"]).wait(30) == 0
    daemon.start()
    daemon.cli("release", spiffe("pathed"))
    first.close()


def test_other_entries_other_answers(world, daemon):
    first = hold(world)
    assert resolved(daemon, first.pid)["spiffe_id"] == spiffe("pathed")
    daemon.cli("identity", "add", spiffe("renamed"), "--selector", f"unix:path:{world.dir}/pathed", "--selector",
               f"unix:uid:{UID['other']}", "--selector", f"cgroup:path:{world.cgroup_path('work/x')}")
    second = hold(world)
    assert resolved(daemon, second.pid)["spiffe_id"] == spiffe("renamed")
    daemon.cli("identity", "remove", spiffe("renamed"))
    third = hold(world)
    assert resolved(daemon, third.pid)["spiffe_id"] == spiffe("pathed")
    for process in (first, second, third):
        process.close()


def test_not_while_an_entry_asks_for_a_digest(world, daemon):
    daemon.cli("identity", "add", spiffe("by-content"), "--selector", "unix:sha256:" + "0" * 64)
    first = hold(world)
    resolved(daemon, first.pid)
    before = cached(daemon)
    second = hold(world)
    assert resolved(daemon, second.pid)["spiffe_id"] == spiffe("pathed")
    assert cached(daemon) == before
    daemon.cli("identity", "remove", spiffe("by-content"))
    first.close()
    second.close()
