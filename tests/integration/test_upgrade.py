# SPDX-License-Identifier: Apache-2.0
"""From one version of the programs to another, and from one layout of the maps to another, under load: nothing slips.

`make next` builds daemons of other layouts: `same` shares all maps with this one, `policy` has other maps for settings and
policies, `all` has nothing in common."""

import re
import signal

import pytest

from conftest import UID, entry, resolved, spiffe
from mtls import Town, orders_policy
from test_restart import OPENER, Load, counted
from world import ROOT, until

# Programs are loaded again and again, which takes seconds where others want the processors too.
pytestmark = pytest.mark.timeout(180)

ENTRIES = ("frontend", "backend", "orders")


def rules(secret):
    return f"""
- rule: Counted
  desc: d
  condition: evt.type in (open, openat, openat2) and fd.name contains /counted-
  output: "counted name=%fd.name"
  priority: Notice
- rule: Guarded
  desc: d
  condition: evt.type in (open, openat, openat2) and fd.path.real = {secret} and not spiffe.id = {spiffe("orders")}
  output: "guarded"
  priority: Critical
  action: kill
"""


# Connects again and again, each time in a new process; says how it went.
LINEAGE = """read go; exec /usr/bin/setpriv --reuid={uid} --clear-groups /bin/bash -c '
while :; do if (exec 3<>/dev/tcp/{host}/{port}) 2>/dev/null; then echo connected; else echo refused; fi; sleep 0.02; done'"""


@pytest.fixture(scope="module")
def daemon(world):
    secret = world.file("upgrade-secret", text="secret", mode=0o644)
    d = world.daemon(
        entries=[entry(world, name) for name in ENTRIES] + [
            {"spiffe_id": spiffe("frontend"),
             "selectors": [f"cgroup:path:{world.cgroup_path('work/rooted')}", "unix:uid:0"]}],
        rules=rules(secret), traffic=[orders_policy(world)],
        # Loading programs takes seconds on a busy machine, and the load is one.
        limits={"lifecycle_ring_kib": 32768, "activity_ring_kib": 65536})
    d.secret = secret
    d.start()
    return d


@pytest.fixture(scope="module")
def town(world, daemon):
    t = Town(world, daemon)
    t.ready()
    t.serve("mirror")
    yield t
    t.close()


# Of what is built, as its pins are called.
LAYOUT = "v" + re.search(r"define TIP_ABI_VERSION\s+(\d+)", (ROOT / "include/tipstaff/abi.h").read_text(encoding="utf-8"))[1]


def layouts(d):
    return sorted(p.name for p in d.pins.iterdir())


def generations(d):
    return sorted(p.name for layout in d.pins.iterdir() for p in layout.iterdir() if p.is_dir())


def damage(d):
    """The pins of the programs are not whole: the next daemon replaces them, as it would those of another build."""
    for path in d.pins.rglob("prog_tip_exec"):
        path.unlink()


@pytest.mark.parametrize("to, lineage", [
    ("build", True), ("same", True), ("policy", True), ("all", False), ("back", False)])
def test_nothing_slips(world, daemon, town, listener, to, lineage):
    """What was refused, killed or closed stays so at every moment; every open is told once. Where processes and bindings
    have another layout, who held the identity before its last exec is not known any more: see docs/operations.md."""
    d = daemon
    home = d.world.build
    before = generations(d)
    prefix = str(world.dir / "counted-") + f"{to}-"
    quarantined = world.workload("frontend", daemon=d, uid=UID["frontend"], place="client")
    shell = LINEAGE.format(uid=UID["other"], host=listener[0], port=listener[1])
    child = world.spawn(["/bin/sh", "-c", shell], cgroup="rooted", uid=0, place="client", stdin="pipe")
    opener = world.spawn(["/usr/bin/python3", "-c", OPENER, prefix], cgroup="backend", uid=UID["backend"], stdin="pipe")
    for p in (quarantined, child, opener):
        resolved(d, p.pid)
    d.cli("quarantine", spiffe("frontend"), "--reason", "upgrade")
    child.send("go")
    until("the lineage to be refused", lambda: "refused" in child.output, 20)

    def connect():
        return quarantined.do("connect", host=listener[0], port=listener[1])["errno"]

    def read_secret():
        p = world.spawn(["/bin/cat", d.secret], cgroup="backend", uid=UID["backend"])
        return p.wait(30), p.text()

    def plaintext():
        a = town.dial("echo", 100, name="stranger", place="outside", scope="outside", uid=0)
        return sum(s.get("received", 0) for s in a.steps)

    loads = {"connects": Load(connect), "opens": Load(read_secret), "plaintext": Load(plaintext)}
    for load in loads.values():
        load.some_more()
    d.stop()
    for load in loads.values():
        load.some_more()
    if to == "build":
        damage(d)
    d.build = home if to in ("build", "back") else home / "next" / to
    mark = len(d.log())
    d.start()
    for load in loads.values():
        load.some_more(5)
    until("the former pins to go", lambda: len(generations(d)) == 1 and len(layouts(d)) == 1, 40)
    assert generations(d) != before or to in ("policy", "all", "back"), "this was no change of programs"
    assert layouts(d) == [{"same": "v900", "policy": "v901", "all": "v902"}.get(to, LAYOUT)]
    for load in loads.values():
        load.some_more(5)
        load.stop()
        assert not load.trouble, load.trouble[:3]
    assert set(loads["connects"].results) == {"EPERM"}
    assert {status for status, _ in loads["opens"].results} == {-signal.SIGKILL}
    assert not any("secret" in text for _, text in loads["opens"].results)
    assert not any(loads["plaintext"].results)
    if lineage:
        had = len(child.output)
        until("the lineage to go on", lambda: len(child.output) > had + 3, 20)
        assert "connected" not in child.output
    opener.send("stop")
    total = int(opener.line())
    if to in ("all", "back"):
        # Its records were of another layout: what lay in the rings, and no more, is gone.
        assert len(set(counted(d, "Counted", prefix))) == len(counted(d, "Counted", prefix))
    else:
        lost = [a for a in d.alerts() if a["rule"] == "Falco internal: syscall event drop"]
        assert not lost, lost
        until("the last to be told", lambda: len(counted(d, "Counted", prefix)) >= total, 20)
        assert sorted(counted(d, "Counted", prefix)) == list(range(total))
    assert "another layout" not in d.log()[mark:]
    for p in (quarantined, child, opener):
        p.close()
    d.cli("release", spiffe("frontend"))
    town.reconnect()


def test_a_new_version_that_cannot_start_leaves_the_old_one_at_work(world, daemon, town, listener):
    d = daemon
    p = world.workload("frontend", daemon=d, uid=UID["frontend"], place="client")
    resolved(d, p.pid)
    d.cli("quarantine", spiffe("frontend"), "--reason", "upgrade")
    at_work = layouts(d)
    d.stop()
    good = d.rules_file.read_text(encoding="utf-8")
    d.rules_file.write_text("- rule: broken\n", encoding="utf-8")
    for to in ("same", "policy"):
        d.build = world.build / "next" / to
        d.start(wait=False)
        assert d.process.wait(30) != 0
        assert p.do("connect", host=listener[0], port=listener[1])["errno"] == "EPERM"
        a = town.dial("echo", 1, name="stranger", place="outside", scope="outside", uid=0)
        assert not any(s["errno"] == "ok" for s in a.steps), a
    d.rules_file.write_text(good, encoding="utf-8")
    d.build = world.build
    assert layouts(d) == at_work
    d.start()
    assert p.do("connect", host=listener[0], port=listener[1])["errno"] == "EPERM"
    until("the pins to be of one generation", lambda: layouts(d) == [LAYOUT] and len(generations(d)) == 1, 40)
    d.cli("release", spiffe("frontend"))
    p.close()
