# SPDX-License-Identifier: Apache-2.0
"""Restarts under load: what the service manager keeps, nobody who connects notices."""

import json
import os
import signal
import socket
import threading
import time

import pytest

from conftest import UID, entry, spiffe
from manager import Manager
from mtls import RETRY, Town, orders_policy
from world import PATIENCE, CliError, until

# Programs are loaded again and again, which takes seconds where others want the processors too.
pytestmark = pytest.mark.timeout(180)

ENTRIES = ("frontend", "backend", "orders")
RULES = """
- rule: Counted
  desc: d
  condition: evt.type in (open, openat, openat2) and fd.name contains /counted-
  output: "counted name=%fd.name by=%proc.name"
  priority: Notice
- rule: Counted by name
  desc: d
  condition: evt.type in (open, openat, openat2) and fd.name contains /named- and spiffe.id = spiffe://example.org/backend
  output: "named name=%fd.name"
  priority: Notice
"""
RESTARTS = 10

# Opens files "<prefix>000000" and on, some at a time, until it is told to stop; says how many.
OPENER = """
import os, select, sys, time
n = 0
while True:
    for _ in range(20):
        try:
            os.close(os.open(f"{sys.argv[1]}{n:06d}", os.O_RDONLY))
        except FileNotFoundError:
            pass
        n += 1
    if select.select([0], [], [], 0.02)[0]:
        break
print(n, flush=True)
"""


def traffic(world):
    return [orders_policy(world)]


@pytest.fixture(scope="module")
def managed(world):
    """A daemon under a service manager: what `daemon` is elsewhere."""
    d = world.daemon(entries=[entry(world, name) for name in ENTRIES], rules=RULES, traffic=traffic(world))
    with Manager(d) as m:
        m.start()
        yield m


class Load:
    """Calls `act` again and again in a thread; what it returned, and what it raised."""

    def __init__(self, act):
        self.act, self.results, self.trouble = act, [], []
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopping:
            try:
                self.results.append(self.act())
            except Exception as err:
                self.trouble.append(err)

    def some_more(self, count=3):
        """Waits until it has gone round a few times more."""
        had = len(self.results) + len(self.trouble)
        until("the load to go on", lambda: len(self.results) + len(self.trouble) >= had + count, 60)

    def stop(self):
        self.stopping = True
        self.thread.join(60 * PATIENCE)
        assert not self.thread.is_alive()
        return self.results


def restarts(m, loads, signum, count=RESTARTS):
    for _ in range(count):
        m.restart(signum)
        for load in loads:
            load.some_more()
    for load in loads:
        load.stop()


def test_what_is_kept(managed):
    """The names, the first word, the last word."""
    m = managed
    assert m.heard("READY") == 1 and {"workload", "control"} <= m.names()
    m.restart()
    assert m.heard("STOPPING") == 1 and m.heard("READY") == 2 and {"workload", "control"} <= m.names()
    assert "no use for it" not in m.daemon.log()
    until("the watchdog to be fed", lambda: m.heard("WATCHDOG") > 1, 30)


def test_a_detach_asks_for_time(world):
    """The kernel takes it, to free the programs. systemd would kill the daemon, and then start it again."""
    d = world.daemon("leaving")
    with Manager(d) as m:
        m.start()
        d.cli("detach", "--all")
        assert d.process.wait(60) == 0
        until("its last word", lambda: m.heard("STOPPING"), 10)
        assert [int(s["EXTEND_TIMEOUT_USEC"]) for s in m.said if "STOPPING" in s] == [120_000_000]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
def test_the_sockets_are_always_there(world, managed, signum):
    """No connect() fails; who is in the middle of a call may have to call again, once for each restart. A front outlives its
    killed keeper for a moment, and may take one more call that it does not answer."""
    cut = RESTARTS * (2 if signum == signal.SIGKILL else 1)
    d = managed.daemon

    def fetch():
        p = world.spawn([world.program("ask"), d.workload_socket], cgroup="frontend", uid=UID["frontend"])
        status = p.wait(60)
        assert status != 125, p.text()
        return status

    def connect():
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(d.workload_socket))
        time.sleep(0.005)

    def status():
        try:
            return d.status()["instance"] == d.instance
        except CliError as err:
            # In the middle of it, not at the door.
            assert "no daemon listens" not in err.text and "refused" not in err.text, err.text
            return False

    loads = [Load(fetch), Load(connect), Load(status)]
    restarts(managed, loads, signum)
    for load in loads:
        assert not load.trouble, load.trouble[:3]
    served, _, answered = (load.results for load in loads)
    assert served.count(0) >= RESTARTS and len(served) - served.count(0) <= cut
    assert answered.count(True) >= RESTARTS and answered.count(False) <= cut


@pytest.fixture(scope="module")
def relayed(world, managed):
    town = Town(world, managed.daemon)
    town.ready()
    server = town.serve("mirror")
    yield town
    server.close()
    town.close()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
def test_connects_wait_for_the_next_daemon(managed, relayed, signum):
    """connect() through mTLS is never refused; what was open ends with a reset, and only that. It was open when the kernel had
    answered its SYN: who is woken late finds that reset in connect() itself."""

    def dial():
        return relayed.dial("echo", 1000, timeout=60)

    loads = [Load(dial), Load(dial)]
    restarts(managed, loads, signum)
    for load in loads:
        assert not load.trouble, load.trouble[:3]
        refused = [a.errno for a in load.results if a.errno not in ("ok", "ECONNRESET")]
        assert not refused, f"{refused} of {len(load.results)}"
        cut = [a for a in load.results if a.errno != "ok" or (a.steps and a.end != "ok")]
        assert len(cut) <= RESTARTS and len(load.results) - len(cut) >= RESTARTS
    assert {n.split("-")[0] for n in managed.names()} == {"workload", "control", "worker", "queue"}


def test_a_connect_that_was_held_goes_on(world, managed, relayed):
    """Its SYN is in the queue of a daemon that dies, and it is the same SYN that the next one judges."""
    d = managed.daemon
    os.kill(d.front_pid(), signal.SIGSTOP)  # a front that does not answer: what it is given stays held
    client = relayed.start("echo", 1000)
    relayed.syn_is_held()
    managed.restart(signal.SIGKILL)
    assert client.wait(60) == 0, client.text()
    lines = [json.loads(x) for x in client.output if x.startswith("{")]
    assert lines[0]["errno"] == "ok" and lines[-1]["errno"] == "ok", lines


def test_without_a_successor_connects_are_refused(world, managed, relayed):
    """The manager lets go of everything: closed, as without one."""
    d = managed.daemon
    d.kill_both()
    managed.drop()
    assert relayed.dial("echo", 1).errno == "EHOSTUNREACH"
    managed.start()
    relayed.reconnect()


def test_a_start_that_fails_keeps_nobody_waiting(world, managed, relayed):
    d = managed.daemon
    d.stop()
    good = d.rules_file.read_text(encoding="utf-8")
    d.rules_file.write_text("- rule: broken\n", encoding="utf-8")
    managed.start(wait=False)
    assert d.process.wait(30) != 0
    until("everything to be let go of", lambda: not managed.names())
    assert relayed.dial("echo", 1).errno == "EHOSTUNREACH"
    d.rules_file.write_text(good, encoding="utf-8")
    managed.start()
    relayed.reconnect()


def counted(d, rule, prefix):
    names = [a["output_fields"]["fd.name"] for a in d.alerts() if a["rule"] == rule]
    return [int(n.rpartition("-")[2]) for n in names if n.startswith(prefix)]


@pytest.mark.parametrize("rule, name", [("Counted", "counted"), ("Counted by name", "named")])
def test_no_event_is_lost_or_told_twice(world, managed, rule, name):
    d = managed.daemon
    prefix = str(world.dir / f"{name}-")
    p = world.spawn(["/usr/bin/python3", "-c", OPENER, prefix], cgroup="backend", uid=UID["backend"], stdin="pipe")
    for _ in range(RESTARTS // 2):
        had = len(counted(d, rule, prefix))
        until("some to be told", lambda had=had: len(counted(d, rule, prefix)) > had + 20, 30)
        d.stop()
        time.sleep(0.3 * PATIENCE)  # nobody is there for a while
        managed.start()
    p.send("stop")
    total = int(p.line())
    until("the last to be told", lambda: len(counted(d, rule, prefix)) >= total, 20)
    assert sorted(counted(d, rule, prefix)) == list(range(total))
    assert not [a for a in d.alerts() if a["rule"] == "Falco internal: syscall event drop"]


def test_who_lived_and_died_without_a_daemon_is_known(world, managed):
    """Its exec, its open and its end are in the rings, and it is named; a snapshot alone would know nothing of it."""
    d = managed.daemon
    d.stop()
    mark = d.alerts_mark()
    path = world.dir / "counted-000000"
    p = world.spawn(["/bin/cat", path], cgroup="backend", uid=UID["backend"])
    p.wait()
    time.sleep(2.5)  # longer than the dead are remembered
    managed.start()
    alert = d.wait_alert(lambda a: a["rule"] == "Counted" and a["output_fields"]["fd.name"] == str(path), mark)
    assert alert["output_fields"]["proc.name"] == "cat"


def test_what_found_no_room_is_told(world):
    """A ring that overflows while nobody reads it: counted, and told by the next daemon."""
    d = world.daemon("small", entries=[], rules=RULES, limits={"activity_ring_kib": 64})
    d.start()
    try:
        d.stop()
        prefix = str(world.dir / "counted-")
        p = world.spawn(["/usr/bin/python3", "-c", OPENER.replace("20", "2000"), prefix], scope="small", stdin="pipe")
        p.send("stop")
        assert int(p.line()) >= 2000
        mark = d.alerts_mark()
        d.start()
        lost = int(d.wait_alert("Falco internal: syscall event drop", mark)["output_fields"]["tipstaff.lost"])
        assert lost > 0
        mark = d.alerts_mark()
        d.restart()
        d.wait_alert("Tipstaff daemon started", mark)
        time.sleep(2 * PATIENCE)
        assert not [a for a in d.told(mark) if a["rule"] == "Falco internal: syscall event drop"], "once is enough"
    finally:
        d.remove()


def test_wrong_descriptors_are_closed(world, managed):
    """They come from outside: each is looked at, and what it is not is made anew."""
    d = managed.daemon
    d.stop()
    other = world.dir / "other.sock"
    impostor = socket.socket(socket.AF_UNIX)
    impostor.bind(str(other))
    impostor.listen()
    right = dict(managed.store)
    managed.store = {
        "workload": os.dup(impostor.fileno()),  # listens elsewhere
        "control": os.open("/dev/null", os.O_RDONLY),
        "worker-1": right["workload"],  # of another kind
        "queue-1": os.dup(impostor.fileno()),
        "Strange Name": os.open("/dev/null", os.O_RDONLY),
    }
    os.close(right["control"])
    mark = len(d.log())
    managed.start()
    said = d.log()[mark:]
    for name in ("workload", "control", "Strange Name"):
        assert f'closed a descriptor that was passed as {name}' in said or f'passed as "{name}"' in said, said
    p = world.spawn([world.program("ask"), d.workload_socket], cgroup="frontend", uid=UID["frontend"])
    assert p.wait(20) == 0
    assert d.status()["front"]["running"]
    impostor.close()


def test_replaced_without_a_manager(world):
    """`tipstaffd --replace`: the same descriptors, from daemon to daemon."""
    d = world.daemon("swap", entries=[entry(world, "frontend", scope="swap")], rules=RULES)
    d.start()
    try:
        def connect():
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(str(d.workload_socket))
            time.sleep(0.005)

        load = Load(connect)
        for _ in range(3):
            old = d.process
            d.start("--replace", wait=False)
            assert old.wait(30) == 0
            d.wait_ready()
            load.some_more()
        load.stop()
        assert not load.trouble, load.trouble[:3]
        p = world.spawn([world.program("ask"), d.workload_socket], cgroup="frontend", uid=UID["frontend"], scope="swap")
        assert p.wait(20) == 0
        assert "takes over" in d.log()
        # One that could not start leaves the old one where it is.
        old, d.settings["identity"]["entries"] = d.process, ["/no/such/file"]
        d.start("--replace", wait=False)
        assert d.process.wait(20) != 0 and old.running()
        d.process, d.settings["identity"]["entries"] = old, [str(d.entries_file)]
        assert d.status()["front"]["running"]
    finally:
        d.remove()


def test_a_managed_daemon_is_not_replaced(managed):
    d = managed.daemon
    old, wrap, env, fds = d.process, d.wrap, d.env, d.pass_fds
    d.wrap, d.env, d.pass_fds = [], None, ()
    d.start("--replace", wait=False)
    assert d.process.wait(20) != 0 and "service manager" in d.log()
    d.process, d.wrap, d.env, d.pass_fds = old, wrap, env, fds
    assert d.running() and d.status()["front"]["running"]
