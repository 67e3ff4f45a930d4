# SPDX-License-Identifier: Apache-2.0
"""What keeps it closed: each way around the worker that was tried once, and what becomes of it (docs/threat-model.md)."""

import json
import os
import re
import signal

import pytest

from conftest import UID, entry, resolved
from mtls import DENIED, PORT, PORTS, RETRY, UNCOVERED, Answers, about, accepted, orders_policy, policy, steps_of
from world import PATIENCE, Capture, Timeout, until

pytestmark = pytest.mark.usefixtures("served")

SECRET = "told-in-confidence"
PORT6 = 8082


def ENTRIES(world):
    # frontend under any uid: also root of its pod is entitled.
    return [entry(world, "frontend", uid=False), entry(world, "orders")]


def TRAFFIC(world):
    return [
        orders_policy(world),
        # Both sides in one namespace: by its own address, and by 127.0.0.1.
        policy("own", [(world.place("both"), PORTS), ("127.0.0.1", PORTS)]),
        policy("fresh", [("10.77.0.0/16", "8070")]),
        policy("six", [("fd77::/16", str(PORT6))]),
    ]


@pytest.fixture(autouse=True)
def a_daemon_for_the_next(daemon, served):
    yield
    if not daemon.running():
        daemon.start()
        served.reconnect()


def worker(daemon):
    return f"127.0.0.1:{daemon.worker_port}"


def nothing_was_told(server):
    """A server that speaks as soon as it is spoken to has not been reached."""
    assert not accepted(server), server.text()
    return True


def stranger(town, *steps, **kwargs):
    """A program that no daemon sees."""
    return town.dial(*(steps or ("say", SECRET, "drain")), scope="outside", **{"place": "client", "uid": 0, **kwargs})


def got_nothing(answers):
    """Refused, or reset; in any case not one byte and no clean end."""
    if answers.errno == "ok":
        assert answers.end != "ok", answers
        assert all(s["bytes"] == 0 for s in answers.steps if s["step"] in ("hear", "drain")), answers
    return True


# ---- the queue and the rules -----------------------------------------------------------


def test_a_queue_without_an_owner_does_not_hang(daemon, town):
    """A SYN to the worker's port with nobody to judge it: rejected by the rule behind the queue, not dropped."""
    daemon.kill_both()
    # A stranger, because no hook answers it before its SYN is made.
    answers = stranger(town, to="127.0.0.1", port=daemon.worker_port)
    assert answers.errno == "EHOSTUNREACH"
    assert answers.connect["ms"] < 5000 * PATIENCE, "without the rule it hangs for two minutes"


def marks_of(world, daemon):
    """Every mark that our rules in the client's namespace name, and a few that anybody would try."""
    rules = world.inside("client", "iptables-legacy-save")
    assert str(daemon.worker_port) in rules, rules
    named = {int(m, 16) for m in re.findall(r"0x[0-9a-f]+", rules)} - {0xFFFFFFFF, 0}
    assert named, rules
    return sorted(named | {1, 0x539, 0xFFFFFFFF & ~1})


@pytest.mark.parametrize("state", ["alive", "dead"])
def test_forged_marks_open_nothing(world, daemon, town, state):
    """Root of a pod has CAP_NET_ADMIN and CAP_NET_RAW there, so it can mark what it likes."""
    server = town.serve("hear", 100, "say", SECRET)
    marks = marks_of(world, daemon)
    if state == "dead":
        daemon.kill_both()
    with Capture(world, "client") as capture:
        for mark in marks:
            # To the worker itself: no prepared connection, no entry.
            answers = town.dial("say", SECRET, "drain", to="127.0.0.1", port=daemon.worker_port, name="rogue", uid=0,
                                options=("--mark", mark))
            assert got_nothing(answers) and answers.errno != "ok", f"mark {mark:#x}: {answers}"
            # To the server: the hook does not ask for marks.
            answers = town.dial("say", SECRET, "drain", name="rogue", uid=0, options=("--mark", mark))
            assert answers.errno in ("EPERM", "EHOSTUNREACH"), f"mark {mark:#x}: {answers}"
            # From where no hook is: the server's end does not ask for marks either.
            assert got_nothing(stranger(town, options=("--mark", mark)))
        assert not answered(capture, town)
    assert nothing_was_told(server)


def answered(capture, town):
    """Whether the server said anything in the clear."""
    return any(SECRET.encode() in data for (source, _), data in capture.streams().items() if source.startswith(town.address()))


def test_an_entitled_client_with_a_mark_is_served(world, daemon, town):
    """A mark is no way in, and none out: marked connections are protected as others are."""
    town.serve("mirror")
    with Capture(world, "client") as capture:
        for mark in marks_of(world, daemon):
            answers = town.dial("say", SECRET, "hear", 100, uid=0, options=("--mark", mark))
            assert answers.ok() and answers.steps[1]["text"] == SECRET, f"mark {mark:#x}"
        assert not capture.holds(SECRET)


def flush(world, place):
    for table in ("mangle", "filter", "nat", "raw"):
        world.inside(place, "iptables-legacy", "-t", table, "-F")
        world.inside(place, "iptables-legacy", "-t", table, "-X")


@pytest.mark.parametrize("state", ["alive", "dead"])
def test_flushed_rules_open_nothing(world, daemon, town, state):
    """Root of a pod may flush every table: then connects fail or are protected, and nothing goes out in the clear."""
    server = town.serve("hear", 100, "say", SECRET)
    if state == "dead":
        daemon.kill_both()
    flush(world, "client")
    flush(world, "orders")
    with Capture(world, "client") as capture:
        for client in ("frontend", "rogue"):
            assert got_nothing(town.dial("say", SECRET, "drain", name=client))
        assert got_nothing(town.dial("say", SECRET, "drain", to="127.0.0.1", port=daemon.worker_port, name="rogue"))
        assert got_nothing(stranger(town, "say", "hello", "drain"))
        assert not capture.holds(SECRET)
    assert nothing_was_told(server)
    if state == "dead":
        daemon.start()
    until("the rules to be back", lambda: str(daemon.worker_port) in world.inside("client", "iptables-legacy-save"), 15.0)
    town.reconnect()


# ---- sockets from elsewhere -------------------------------------------------------------


def test_a_socket_made_before_it_came_into_scope(world, town):
    """Hooks follow the cgroup in which a socket was made. What it says in the clear is not heard."""
    server = town.serve("hear", 100, "say", SECRET)
    for name in ("frontend", "rogue"):
        procs = world.cgroup_dir(f"work/{name}") / "cgroup.procs"
        assert got_nothing(stranger(town, options=("--cgroup", procs)))
    assert nothing_was_told(server)


@pytest.mark.parametrize("name", ["rogue", "frontend"])
def test_a_socket_passed_into_scope(world, town, name):
    server = town.serve("hear", 100, "say", SECRET)
    with world.socket("client") as s:
        answers = town.dial("say", SECRET, "drain", name=name, options=("--fd", s.fileno()), pass_fds=[s.fileno()])
    assert got_nothing(answers) and nothing_was_told(server)


def test_a_socket_passed_out_of_scope(world, town):
    """A socket of the scope in the hands of a stranger: it is who asks that counts."""
    server = town.serve("hear", 100, "say", SECRET)
    answers = town.dial("say", SECRET, "drain", name="rogue", options=(
        "--cgroup", world.cgroup_dir("outside") / "cgroup.procs"), uid=0)
    assert got_nothing(answers) and nothing_was_told(server)


# ---- one namespace -------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["its own address", "127.0.0.1"])
def test_inside_one_namespace(world, town, to):
    """Client and server side by side: who has no identity is refused there too, also a stranger."""
    address = world.place("both") if to == "its own address" else "127.0.0.1"
    server = town.serve("hear", 100, "say", SECRET, "shut", "drain", place="both", address="0.0.0.0")
    answers = town.dial("say", "hello", "hear", 100, "drain", to=address, place="both", options=RETRY)
    assert answers.ok() and answers.steps[1]["text"] == SECRET
    assert answers.connect["peer"] == f"{address}:{PORT}"
    assert accepted(server)[-1]["accepted"] == answers.connect["local"]
    seen = len(accepted(server))
    assert town.dial_resolved(name="rogue", to=address, place="both").errno == "EPERM"
    assert got_nothing(stranger(town, "say", "hello", "drain", to=address, place="both"))
    assert len(accepted(server)) == seen


@pytest.mark.parametrize("to, options", [
    ("0.0.0.0", ()), ("127.0.0.2", ()), ("127.0.0.1", ("--mapped",)), ("0.0.0.0", ("--mapped",)),
], ids=["0.0.0.0", "127.0.0.2", "::ffff:127.0.0.1", "::ffff:0.0.0.0"])
def test_other_names_of_loopback(town, to, options):
    """What the kernel takes for 127.0.0.1, or for a server on all addresses, is held to the policy of where it arrives."""
    server = town.serve("hear", 100, "say", SECRET, "shut", "drain", place="both", address="0.0.0.0")
    answers = town.dial("say", "hello", "hear", 100, "drain", to=to, place="both", name="rogue", options=options)
    if to != "127.0.0.2":  # an address of its own, which the policy does not name
        assert got_nothing(answers) and nothing_was_told(server)


def test_io_uring_is_no_way_around(world, town):
    """A connect() that no system call made."""
    server = town.serve("mirror")
    p = town.spawn([world.program("uring"), "connect", town.address(), PORT, "wait"], cgroup="rogue", place="client",
                   uid=UID["rogue"], stdin="pipe")
    line = p.json()
    if "impossible" in line:
        pytest.skip(f"io_uring is not available here: {line['impossible']}")
    resolved(town.daemon, p.pid)
    p.send("go")
    assert p.json()["result"] == -1 and nothing_was_told(server)


# ---- death ------------------------------------------------------------------------------------


def open_transfer(town, name="frontend"):
    """A connection with bytes under way, and the client's end of it."""
    client = town.start("echo", 1000, "drain", name=name)
    until("the connection to carry bytes", lambda: any('"echo"' in line for line in client.output))
    return client


def test_killed_front(daemon, town):
    """Its connections end with a reset and not as if all had been said; the next one is served by the next front."""
    server = town.serve("mirror")
    client = open_transfer(town)
    front = daemon.front_pid()
    os.kill(front, signal.SIGKILL)
    client.wait()
    assert Answers(client).end == "ECONNRESET"
    assert steps_of(server)[0]["errno"] == "ECONNRESET"
    town.dial("echo", 1000, "shut", "drain", options=RETRY).ok()
    assert daemon.front_pid() != front


def test_killed_front_and_a_held_connect(daemon, town):
    """What was held goes on with the next front."""
    town.serve("mirror")
    front = daemon.front_pid()
    os.kill(front, signal.SIGSTOP)
    client = town.start("echo", 1000)
    town.syn_is_held()
    os.kill(front, signal.SIGKILL)
    client.wait(20)
    assert Answers(client).errno in ("ok", "EHOSTUNREACH", "ECONNREFUSED"), "an answer, and not a hang"
    town.dial("echo", 1000, options=RETRY).ok()


def test_killed_keeper_and_front(world, daemon, town):
    server = town.serve("hear", 100, "say", SECRET, "drain")
    client = town.start("say", "hello", "hear", 100, "drain")
    until("the connection to carry bytes", lambda: any('"hear"' in line for line in client.output))
    daemon.kill_both()
    client.wait()
    assert Answers(client).end == "ECONNRESET", "half an answer must not look whole"
    assert steps_of(server, 3)[2]["errno"] == "ECONNRESET"
    seen = len(accepted(server))
    with Capture(world, "client") as capture:
        answers = town.dial("say", SECRET, "drain")
        assert answers.errno == "EHOSTUNREACH" and answers.connect["ms"] < 5000 * PATIENCE
        assert got_nothing(stranger(town))
        assert not any(source.startswith(town.address()) and data for (source, _), data in capture.streams().items())
    assert len(accepted(server)) == seen
    daemon.start()
    town.dial("say", "hello", "hear", 100, options=RETRY).ok()
    assert got_nothing(stranger(town, "say", "hello", "drain"))
    assert len(accepted(server)) == seen + 1


def test_hanging_keeper(daemon, town):
    """A worker that does not answer counts as none, once its heartbeat is old."""
    town.serve("mirror")
    os.kill(daemon.keeper_pid, signal.SIGSTOP)

    def refused():
        client = town.start()
        try:
            client.wait(0.5)
        except Timeout:
            return False  # it is held: the hook has seen a heartbeat that was young enough
        return Answers(client).errno == "EHOSTUNREACH"

    try:
        until("new connects to be refused", refused, 15.0)
    finally:
        os.kill(daemon.keeper_pid, signal.SIGCONT)
    town.dial("echo", 1000, options=RETRY).ok()


# ---- namespaces ------------------------------------------------------------------------------------


def test_a_deleted_namespace_is_gone(world, daemon, town):
    """Nothing of ours (listener, queue, pinned program) keeps it or its veth alive."""
    address = world.place("leaving")
    device = world.device("leaving")
    server = town.serve("mirror", place="leaving", port=8070)
    town.dial("echo", 10, "shut", "drain", to=address, port=8070, options=RETRY).ok()
    town.serve("mirror")
    town.dial("echo", 10, "shut", "drain", place="leaving", options=RETRY).ok()
    before = daemon.json("connections")["stats"]["namespaces"]
    server.close()
    world.leave("leaving")
    until("the veth to go with it", lambda: f"{device}@" not in world.inside("node", "ip", "-o", "link"), 10.0)
    until("it to be let go", lambda: daemon.json("connections")["stats"]["namespaces"] < before, 10.0)


def test_a_namespace_without_a_listener(world, daemon, town):
    """A connect from a namespace that is not served yet is refused, or served; it never goes out in the clear."""
    town.serve("mirror")
    world.place("young")
    with Capture(world, "young") as capture:
        answers = town.dial("say", SECRET, "hear", 100, place="young", options=RETRY)
        answers.ok()
        assert not capture.holds(SECRET)
        # While the daemon is dead nobody serves a new namespace at all.
        daemon.kill_both()
        world.place("younger")
        with Capture(world, "younger") as dark:
            assert town.dial("say", SECRET, place="younger").errno == "EHOSTUNREACH"
            assert not dark.frames or not dark.holds(SECRET)


def test_a_listener_that_was_there_before_the_daemon(world, daemon, town):
    """listen() was not seen by the hooks, so it is in no map; it is found, and is held to the policy all the same."""
    daemon.cli("detach", "--all")
    daemon.process.wait(10)
    server = town.serve("hear", 100, "say", SECRET, port=8083)
    town.dial("say", "in the clear", "hear", 100, port=8083).ok()
    daemon.start()
    town.reconnect()
    with Capture(world, "client") as capture:
        answers = town.dial("say", "hello", "hear", 100, port=8083)
        assert answers.ok() and answers.steps[1]["text"] == SECRET
        assert not capture.holds(SECRET)
    seen = len(accepted(server))
    assert got_nothing(stranger(town, "say", "hello", "drain", port=8083))
    assert len(accepted(server)) == seen


def test_a_listener_inherited_from_a_process_that_ended(town):
    """Who called listen() is gone, who has the socket now serves: as daemons that are started by socket do."""
    code = ("import os, socket, sys\n"
            "s = socket.create_server((sys.argv[1], 8084))\n"
            "if os.fork(): os._exit(0)\n"
            "print('listening', flush=True)\n"
            "while True:\n"
            "    c = s.accept()[0]; c.sendall(c.recv(100)); c.close()\n")
    p = town.spawn(["/usr/bin/python3", "-c", code, town.address()], cgroup="orders", place="orders", uid=UID["orders"])
    assert p.line() == "listening"
    answers = town.dial("say", "hello", "hear", 100, port=8084, options=RETRY)
    assert answers.ok() and answers.steps[1]["text"] == "hello"


# ---- what is not TCP over IPv4 -------------------------------------------------------------------------


@pytest.mark.parametrize("how", [("--udp",), ("--sendto",), ("--udp", "--mapped"), ("--sendto", "--mapped")], ids=" ".join)
def test_udp_to_an_enforced_port(daemon, town, how):
    mark = daemon.alerts_mark()
    answers = town.dial_resolved(options=how)
    assert answers.errno == "EPERM"
    daemon.wait_alert(about(DENIED, tipstaff__cause="protocol", proc__pid=answers.process.pid), mark)
    assert town.dial(port=UNCOVERED, options=how).errno == "ok"


def test_udp_of_a_stranger_does_not_arrive(town):
    code = ("import socket, sys\n"
            "got = []\n"
            "enforced, free = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in 'ab')\n"
            "enforced.bind((sys.argv[1], 8080)); free.bind((sys.argv[1], 9090))\n"
            "enforced.setblocking(False)\n"
            "print('bound', flush=True)\n"
            "free.recv(100)\n"
            "try: print('heard', enforced.recv(100), flush=True)\n"
            "except BlockingIOError: print('silence', flush=True)\n")
    p = town.spawn(["/usr/bin/python3", "-c", code, town.address()], cgroup="orders", place="orders", uid=UID["orders"])
    assert p.line() == "bound"
    stranger(town, "shut", options=("--udp",))
    # The second datagram arrives after the first would have.
    assert stranger(town, "shut", port=UNCOVERED, options=("--udp",)).errno == "ok"
    assert p.line() == "silence"


@pytest.fixture
def ipv6(world):
    if not world.ipv6:
        pytest.skip("this kernel has no IPv6")


@pytest.mark.usefixtures("ipv6")
@pytest.mark.parametrize("who", ["frontend", "rogue"])
def test_ipv6_that_a_policy_covers_is_refused(world, town, who):
    server = town.serve("mirror", address=world.place6("orders"), port=PORT6)
    answers = town.dial_resolved(to=world.place6("orders"), port=PORT6, name=who)
    assert answers.errno == "EPERM" and nothing_was_told(server)


@pytest.mark.usefixtures("ipv6")
def test_ipv6_around_an_ipv4_policy(world, town):
    """A dual-stack server on a port that is enforced for IPv4: its IPv6 address is no way in."""
    server = town.serve("mirror", address="::")
    world.sysctl("client", "net.ipv4.tcp_syn_retries", 1)
    try:
        answers = stranger(town, to=world.place6("orders"))
    finally:
        world.sysctl("client", "net.ipv4.tcp_syn_retries", 6)
    assert answers.errno in ("ECONNREFUSED", "ETIMEDOUT", "EHOSTUNREACH") and nothing_was_told(server)


# ---- the worker's own port ---------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::"])
@pytest.mark.parametrize("name", ["rogue", "frontend"])
def test_the_workers_port_cannot_be_bound(daemon, town, address, name):
    server = town.talk("serve", address, daemon.worker_port, name=name, place="client", uid=0)
    assert server.json() == {"listening": False, "errno": "EPERM"}


@pytest.mark.parametrize("name", ["frontend", "rogue"])
def test_the_worker_cannot_be_dialled(world, daemon, town, name):
    """Nothing was prepared for who comes by himself."""
    answers = town.dial("say", SECRET, "drain", to="127.0.0.1", port=daemon.worker_port, name=name)
    assert answers.errno in ("ECONNREFUSED", "EPERM"), answers
    assert got_nothing(stranger(town, to="127.0.0.1", port=daemon.worker_port))
    assert got_nothing(stranger(town, to=world.place("client"), port=daemon.worker_port))
    from_afar = stranger(town, to=world.place("client"), port=daemon.worker_port, place="orders")
    assert from_afar.errno in ("ECONNREFUSED", "ETIMEDOUT")


def test_a_raw_syn_to_the_worker(daemon, town):
    """CAP_NET_RAW writes any packet, also with the ports of a connection that is being made."""
    code = ("import socket, struct, sys\n"
            "s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)\n"
            "for sport in range(40000, 40064):\n"
            "    tcp = struct.pack('!HHIIBBHHH', sport, int(sys.argv[1]), 1, 0, 5 << 4, 2, 1024, 0, 0)\n"
            "    s.sendto(tcp, ('127.0.0.1', 0))\n"
            "print('sent', flush=True)\n")
    p = town.spawn(["/usr/bin/python3", "-c", code, str(daemon.worker_port)], cgroup="rogue", place="client", uid=0)
    assert p.line() == "sent"
    town.serve("mirror")
    town.dial("echo", 1000).ok()


# Connects from a port of its choice and says what it heard.
FROM_PORT = """
import errno, socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.settimeout(20)
try:
    s.bind((sys.argv[1], int(sys.argv[2])))
    s.connect((sys.argv[3], int(sys.argv[4])))
    s.sendall(b"hello")
    print("heard", s.recv(100), flush=True)
except OSError as err:
    print(errno.errorcode.get(err.errno or 0, err), flush=True)
"""


def from_port(town, source, port, to, to_port, **kwargs):
    p = town.spawn(["/usr/bin/python3", "-c", FROM_PORT, source, str(port), to, str(to_port)], **kwargs)
    return p.line(40)


def local_ports(world, place, peer):
    """The local ports of a place's established connections to a peer."""
    lines = world.inside(place, "ss", "-tnH", "state", "established", "dst", peer).splitlines()
    return [line.split()[2].rpartition(":")[2] for line in lines]


def test_a_port_of_the_own_wire_leg_is_no_pass(town):
    """A rogue that binds the source port of an open, entitled connection gets no further than without."""
    server = town.serve("mirror")
    client = town.start("echo", 10, "drain")
    dialled = until("it to be open", lambda: next((line for line in client.output if '"local"' in line), None))
    port = json.loads(dialled)["local"].rpartition(":")[2]
    said = from_port(town, "0.0.0.0", port, town.address(), PORT, cgroup="rogue", place="client", uid=UID["rogue"])
    assert said in ("EPERM", "EADDRINUSE", "EADDRNOTAVAIL", "EHOSTUNREACH")
    assert len(accepted(server)) == 1


@pytest.mark.parametrize("when", ["open", "closed"])
def test_a_port_of_a_leg_to_the_server_is_no_pass(world, town, when):
    """In the server's own namespace a stranger takes the port from which the worker has dialled the server."""
    server = town.serve("mirror")
    client = town.start("echo", 10, "drain")
    port = until("the leg", lambda: local_ports(world, "orders", f"{town.address()}:{PORT}"))[0]
    if when == "closed":
        client.kill()
        until("the leg to be gone", lambda: not local_ports(world, "orders", f"{town.address()}:{PORT}"))
    said = from_port(town, town.address(), port, town.address(), PORT, scope="outside", place="orders")
    assert said in ("ECONNRESET", "ECONNREFUSED", "EADDRINUSE", "EADDRNOTAVAIL", "EHOSTUNREACH"), said
    assert len(accepted(server)) == 1


@pytest.mark.parametrize("when", ["open", "closed"])
@pytest.mark.parametrize("scope", ["work", "outside"])
def test_a_port_of_a_leg_to_the_client_is_no_pass(world, daemon, town, when, scope):
    """In the client's namespace: what was prepared for one connection is not for the next from the same port."""
    server = town.serve("mirror")
    client = town.start("echo", 10, "drain")
    port = until("the leg", lambda: local_ports(world, "client", worker(daemon)))[0]
    if when == "closed":
        client.kill()
        until("the leg to be gone", lambda: not local_ports(world, "client", worker(daemon)))
    said = from_port(town, "127.0.0.1", port, "127.0.0.1", daemon.worker_port, cgroup="rogue", place="client", uid=UID["rogue"],
                     scope=scope)
    assert not said.startswith("heard"), said
    assert len(accepted(server)) == 1


def test_a_daemon_that_is_stopped_in_good_order(daemon, town):
    """SIGTERM is no clean end of other people's connections."""
    server = town.serve("mirror")
    client = open_transfer(town)
    daemon.stop(signal.SIGTERM)
    client.wait()
    assert Answers(client).end == "ECONNRESET" and steps_of(server)[0]["errno"] == "ECONNRESET"
    assert town.dial().errno == "EHOSTUNREACH"
    assert got_nothing(stranger(town))
