# SPDX-License-Identifier: Apache-2.0
"""Several daemons on one kernel: each with its own scope, or refused with the reason."""

import pytest

from conftest import UID, entry, resolved, spiffe
from mtls import RETRY, Town, policy
from world import until

# Programs are loaded again and again, which takes seconds where others want the processors too.
pytestmark = pytest.mark.timeout(180)

RULES = """
- rule: Secret opened
  desc: d
  condition: evt.type in (open, openat, openat2) and fd.path.real endswith /secret-mark
  output: opened by=%proc.name
  priority: Notice
"""


def refused(d):
    """A start that must not come to anything; what it said."""
    d.start(wait=False)
    assert d.process.wait(20) != 0, d.log()
    assert not d.pins.exists(), "a refused start leaves nothing behind"
    return d.log()


@pytest.fixture(scope="module")
def west(world, daemon):
    """The second instance."""
    d = world.daemon("west", entries=[entry(world, "frontend", scope="west")], rules=RULES)
    d.start()
    return d


def connects(p, listener):
    return p.do("connect", host=listener[0], port=listener[1])["errno"]


def test_each_sees_its_own_scope(world, daemon, west):
    path = world.file("secret-mark", text="x")
    daemon.rules_file.write_text(RULES, encoding="utf-8")
    daemon.cli("rules", "reload")
    here, there = daemon.alerts_mark(), west.alerts_mark()
    world.spawn(["/bin/cat", path], cgroup="x").wait()
    world.spawn(["/bin/tail", path], cgroup="x", scope="west").wait()
    for d, mark, name in ((daemon, here, "cat"), (west, there, "tail")):
        d.wait_alert("Secret opened", mark)
        names = {a["output_fields"]["proc.name"] for a in d.told(mark) if a["rule"] == "Secret opened"}
        assert names == {name}, d.instance


def test_each_enforces_its_own_scope(world, daemon, west, need, listener):
    ours = need("frontend")
    theirs = world.workload("frontend", daemon=west, uid=UID["frontend"])
    for p, d in ((ours, daemon), (theirs, west)):
        assert p.do("fetch")["spiffe_id"] == spiffe("frontend")
        resolved(d, p.pid)
    daemon.cli("quarantine", spiffe("frontend"), "--reason", "of one instance")
    try:
        assert connects(ours, listener) == "EPERM"
        assert connects(theirs, listener) == "ok", "the quarantine of one instance is no other's"
    finally:
        daemon.cli("release", spiffe("frontend"))
    assert connects(ours, listener) == "ok"
    theirs.close()


def test_detach_of_one_leaves_the_other(world, daemon, need, listener):
    d = world.daemon("brief", entries=[entry(world, "frontend", scope="brief")]).start()
    daemon.cli("quarantine", spiffe("frontend"), "--reason", "stays")
    try:
        assert connects(need("frontend"), listener) == "EPERM"
        d.cli("detach", "--all")
        assert d.process.wait(10) == 0 and not d.pins.exists()
        assert connects(need("frontend"), listener) == "EPERM"
        assert daemon.pins.exists()
    finally:
        daemon.cli("release", spiffe("frontend"))


@pytest.mark.parametrize("where", ["equal", "above", "below", "second", "node"])
def test_overlapping_scopes_are_refused(world, daemon, where):
    world.cgroup_dir("work/part")
    world.cgroup_dir("free")
    cgroups = {
        "equal": [world.cgroup_path("work")],
        "above": [f"/{world.name}"],
        "below": [world.cgroup_path("work/part")],
        "second": [world.cgroup_path("free"), world.cgroup_path("work")],
        "node": [],
    }[where]
    said = refused(world.daemon(where, scope={"cgroups": cgroups}))
    assert f"scope.cgroups: {cgroups[-1] if cgroups else 'the whole node'} overlaps" in said
    # What lies above all of a world's cgroups meets the first that is found; a node, of whatever world.
    name = {"node": "", "above": world.name}.get(where, f'{daemon.instance}"')
    assert f'with the scope of instance "{name}' in said
    assert world.cgroup_path("work") in said or where in ("above", "node")
    assert "whose daemon runs" in said or where == "node"


def test_a_dead_daemons_scope_is_still_its_own(world):
    dead = world.daemon("dead").start()
    dead.kill_both()
    d = world.daemon("heir", scope_cgroup="dead")
    said = refused(d)
    assert dead.instance in said and "without a daemon" in said and "detach --all" in said
    dead.remove()
    d.start()
    beside = world.daemon("deadline").start()  # a name that begins alike is no overlap
    beside.remove()
    d.remove()


def test_a_scope_whose_cgroup_is_gone_is_in_nobodys_way(world):
    """The number of a cgroup is never given out again, but a folder of the same name can be made."""
    gone = world.daemon("gone").start()
    gone.kill_both()
    until("the cgroup to be removed", lambda: world.cgroup_dir("gone").rmdir() is None)
    d = world.daemon("next", scope_cgroup="gone").start()
    d.remove()
    gone.remove()


def test_of_two_that_start_at_once_one_is_refused(world):
    pair = [world.daemon(name, scope_cgroup="twins") for name in ("castor", "pollux")]
    for d in pair:
        d.start(wait=False)

    def settled():
        ended = [d for d in pair if not d.running()]
        return len(ended) == 1 and [d for d in pair if d.running()][0].cli("status", check=False).returncode == 0 and ended

    loser = until("one to run and one to be refused", settled, 30)[0]
    winner = next(d for d in pair if d is not loser)
    assert winner.instance in loser.log() and "overlaps" in loser.log()
    assert not loser.pins.exists()
    winner.remove()


# ---- in one network namespace ------------------------------------------------------------------


def side(world, name, port, shared_port=None):
    """An instance whose server is on `port` in the shared place, and whose clients are in another."""
    address = world.place("shared")
    d = world.daemon(name, entries=[entry(world, who, scope=name) for who in ("orders", "frontend")],
                     traffic=[policy(name, [(address, port)])])
    if shared_port:
        d.settings["traffic"]["port"] = d.worker_port = shared_port
    return d.start()


def test_two_instances_serve_one_network_namespace(world):
    """Rules, queues, ports and lookups of both are side by side."""
    sides = [(side(world, name, port), port) for name, port in (("left", 8080), ("right", 8081))]
    towns = []
    try:
        for d, port in sides:
            town = Town(world, d)
            towns.append(town)
            town.serve("mirror", name="orders", place="shared", port=port, scope=d.scope_cgroup)
            answers = town.dial("echo", 1000, options=RETRY, name="frontend", place="shared", port=port,
                                to=town.address("shared"), scope=d.scope_cgroup, timeout=60.0)
            answers.ok()
        # Both still work once both are there, and each relays its own.
        for town, (d, port) in zip(towns, sides):
            before = d.json("connections")["stats"]["released"]
            town.dial("echo", 1000, name="frontend", place="shared", port=port, to=town.address("shared"),
                      scope=d.scope_cgroup).ok()
            assert d.json("connections")["stats"]["released"] == before + 1
    finally:
        for town in towns:
            town.close()
        for d, _ in sides:
            d.remove()


def test_two_instances_with_one_port_in_one_network_namespace(world):
    """The second one is told so, and its workloads are refused there: closed."""
    first = side(world, "upper", 8082)
    second = side(world, "lower", 8083, shared_port=first.worker_port)
    towns = [Town(world, first), Town(world, second)]
    try:
        towns[0].serve("mirror", name="orders", place="shared", port=8082, scope="upper")
        towns[0].dial("echo", 10, options=RETRY, name="frontend", place="shared", port=8082,
                      to=towns[0].address("shared"), scope="upper", timeout=60.0).ok()
        towns[1].spawn(["/bin/sleep", "600"], cgroup="idle", place="shared", scope="lower")
        until("the second to be told", lambda: "is not served" in second.log() and "in use" in second.log(), 20)
        answers = towns[1].dial("echo", 10, name="frontend", place="shared", port=8083,
                                to=towns[1].address("shared"), scope="lower")
        assert answers.errno == "EHOSTUNREACH"
    finally:
        for town in towns:
            town.close()
        first.remove()
        second.remove()
