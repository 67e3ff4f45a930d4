# SPDX-License-Identifier: Apache-2.0
"""connect() tells the truth: the table of docs/architecture.md, row by row, for connects that block and for those that do not."""

import json
import os
import signal

import pytest

from conftest import UID, entry, resolved, spiffe
from mtls import DENIED, PORT, PORTS, REFUSED, RETRY, UNCOVERED, Answers, about, accepted, fields, orders_policy, policy
from world import PATIENCE, SLOW, until

pytestmark = pytest.mark.usefixtures("served")

# Where nobody answers. None of them is the address of anything.
NO_ROUTE = "10.90.0.1"         # no route of the client's covers it
UNREACHABLE = "10.91.0.1"      # the client's route says: unreachable
ROUTER_SAYS_NO = "10.92.0.1"   # the next hop says so, by ICMP
BLACKHOLE = "10.93.0.1"        # the next hop drops it
NEIGHBOUR = "10.77.1.200"      # of the client's own network, and nobody has that address

HOW = pytest.mark.parametrize("options", [(), ("--nonblock",)], ids=["blocking", "nonblocking"])


def ENTRIES(world):
    return [entry(world, name) for name in ("frontend", "orders", "other", "impostor")]


def TRAFFIC(world):
    assert world.place("client") == "10.77.1.2"
    return [
        orders_policy(world),
        # What the far daemon says of its own server is another matter: see `far`.
        policy("far", [(world.place("far"), "8079-8080")]),
        policy("plain", [(world.place("plain"), PORT)]),
        policy("nowhere", [(a, PORTS) for a in ("10.90.0.0/16", "10.91.0.0/16", "10.92.0.0/16", "10.93.0.0/16", NEIGHBOUR)]),
    ]


# A connect() gives up after 7 s, and in an emulated machine after 15: what is decided while it is held has to come before.
SYN_RETRIES = 2 if SLOW == 1 else 3


@pytest.fixture(scope="module", autouse=True)
def roads(world, served):
    """Every way for a packet not to arrive. Timeouts are as short as the kernel lets them be, for all alike."""
    client = "client"
    world.inside(client, "ip", "route", "del", "default")
    for network in ("10.77.0.0/16", "10.92.0.0/16", "10.93.0.0/16"):
        world.inside(client, "ip", "route", "add", network, "via", "10.77.1.1")
    world.inside(client, "ip", "route", "add", "unreachable", "10.91.0.0/16")
    world.inside("node", "ip", "route", "add", "unreachable", "10.92.0.0/16")
    world.inside("node", "ip", "route", "add", "blackhole", "10.93.0.0/16")
    world.sysctl(client, "net.ipv4.tcp_syn_retries", SYN_RETRIES)
    world.sysctl(client, "net.ipv4.neigh.eth0.retrans_time_ms", 100)


@pytest.fixture(autouse=True)
def a_daemon_for_the_next(daemon, served):
    yield
    if not daemon.running():
        daemon.start()
        served.reconnect()


def alert_of(daemon, mark, rule, answers, *ids, **exact):
    """The fields of the alert about that dialler."""
    found = daemon.wait_alert(about(rule, *ids, proc__pid=answers.process.pid, **exact), mark)
    said = fields(found)
    assert said["proc.name"] == "talk" and said["proc.exepath"].endswith("/talk"), said
    return said


# ---- answered here ---------------------------------------------------------------------


@HOW
def test_no_identity(daemon, town, options):
    server = town.serve("mirror")
    mark = daemon.alerts_mark()
    answers = town.dial_resolved(name="rogue", options=options)
    assert answers.errno == answers.connect["at_once"] == "EPERM"
    said = alert_of(daemon, mark, DENIED, answers, "orders", tipstaff__cause="no-identity", tipstaff__policy="orders")
    assert said["spiffe.id"] is None and said["fd.rip"] == town.address() and said["fd.rport"] == str(PORT)
    town.dial("echo", 1).ok()
    assert len(accepted(server)) == 1, "the rogue's connect reached the server"


@HOW
def test_policy_says_no(daemon, town, options):
    town.serve("mirror")
    mark = daemon.alerts_mark()
    answers = town.dial_resolved(name="other", options=options)
    assert answers.errno == answers.connect["at_once"] == "EPERM"
    alert_of(daemon, mark, DENIED, answers, "other", "orders", tipstaff__cause="client-unlisted", spiffe__id=spiffe("other"))


class Front:
    """Stopped, it answers nobody. Longer than some seconds it must not be: the keeper would start another one."""

    def __init__(self, world, daemon):
        self.program, self.pid = world.program("talk"), daemon.front_pid()

    def stop(self):
        """Who executes `talk` now has no identity yet: no exec before was one of this file."""
        self.program.chmod(0o755)
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self):
        try:
            os.kill(self.pid, signal.SIGCONT)
        except ProcessLookupError:
            pass  # a busy machine took those seconds: another one is there


@pytest.fixture
def front(world, daemon):
    front = Front(world, daemon)
    yield front
    front.go_on()


@HOW
@pytest.mark.parametrize("name, errno", [("rogue", "EHOSTUNREACH"), ("other", "EHOSTUNREACH"), ("frontend", "ok")],
                         ids=["resolved to none", "resolved to somebody else", "resolved to a client"])
def test_identity_pending(daemon, town, front, name, errno, options):
    """connect() waits for the identity, and then says what is known."""
    town.serve("mirror")
    front.stop()
    client = town.start("echo", 1000, name=name, options=("--wait", *options), stdin="pipe")
    client.json()
    until("it to be pending", lambda: (p := daemon.process_of(client.pid)) and p["state"] == "pending")
    client.send("go")
    town.syn_is_held()
    front.go_on()
    client.wait()
    assert Answers(client).errno == errno


@HOW
def test_identity_pending_for_too_long(town, front, options):
    town.serve("mirror")
    front.stop()
    assert town.dial("echo", 1000, options=options).errno == "EHOSTUNREACH"


# ---- answered by the peer -----------------------------------------------------------------


@HOW
def test_closed_port(town, options):
    answers = town.dial(port=8081, options=options)
    assert answers.errno == "ECONNREFUSED", answers


@HOW
def test_a_server_on_loopback_only(town, options):
    """It cannot be reached from outside without us, and so it cannot with us."""
    server = town.serve("mirror", address="127.0.0.1")
    answers = town.dial(options=options)
    assert answers.errno == "ECONNREFUSED", answers
    assert not accepted(server)


@HOW
def test_closed_port_of_a_host_without_tipstaff(town, options):
    assert town.dial(to=town.address("plain"), options=options).errno == "ECONNREFUSED"


@HOW
def test_another_identity_listens_there(daemon, town, options):
    """An SVID that is valid, and of somebody else."""
    server = town.serve("mirror", name="impostor", place="orders")
    mark = daemon.alerts_mark()
    answers = town.dial(options=options)
    assert answers.errno == "ECONNREFUSED"
    alert_of(daemon, mark, REFUSED, answers, "frontend", "impostor", "orders", tipstaff__own__id=spiffe("frontend"),
             tipstaff__peer__id=spiffe("impostor"), tipstaff__direction="outbound")
    assert not accepted(server)


@HOW
def test_nobody_listens_there(town, options):
    """A server whose process has no identity at all."""
    server = town.serve("mirror", name="rogue", place="orders")
    assert town.dial(options=options).errno == "ECONNREFUSED"
    assert not accepted(server)


@pytest.fixture(scope="module")
def far(world, daemon, served):
    """Another node of the trust domain, whose policy lets only `other` in. A server of its runs there."""
    d = world.daemon("far", scope_cgroup="far", entries=[
        {"spiffe_id": spiffe("orders"), "selectors": [f"cgroup:path:{world.cgroup_path('far/orders')}"]},
        {"spiffe_id": spiffe("other"), "selectors": [f"cgroup:path:{world.cgroup_path('far/other')}"]},
    ], traffic=[policy("far", [(world.place("far"), "8079-8080")], clients=("other",))])
    d.share_authority(daemon)
    d.start()
    server = served.serve("mirror", place="far", scope="far")
    # Its own client is let in, so what follows is about who asks.
    served.dial("echo", 1, name="other", place="far", scope="far", to=served.address("far"), options=RETRY).ok()
    d.server = server
    yield d
    d.remove()


@HOW
def test_the_peer_refuses_this_identity(daemon, far, town, options):
    """This node's policy says yes, that of the server's node says no: in TLS 1.3 the client is done before it knows."""
    seen = len(accepted(far.server))
    mark, far_mark = daemon.alerts_mark(), far.alerts_mark()
    answers = town.dial(to=town.address("far"), options=options)
    assert answers.errno == "ECONNREFUSED"
    alert_of(daemon, mark, REFUSED, answers, "frontend", "orders", tipstaff__cause="denied")
    told = far.wait_alert(about(REFUSED, "frontend", "orders", tipstaff__direction="inbound"), far_mark)
    assert fields(told)["tipstaff.peer.id"] == spiffe("frontend") and str(far.server.pid) == str(fields(told)["proc.pid"])
    assert len(accepted(far.server)) == seen


@HOW
@pytest.mark.parametrize("steps", [
    ("say", "220 welcome\r\n", "drain"),
    ("hear", 4000, "say", "HTTP/1.0 400 Bad Request\r\n\r\n", "drain"),
    ("hear", 4000, "shut", "drain"),
    ("hear", 4000, "reset"),
], ids=["speaks first", "answers", "closes", "resets"])
def test_the_peer_speaks_no_tls(daemon, town, steps, options):
    town.serve(*steps, place="plain", scope="outside")
    mark = daemon.alerts_mark()
    answers = town.dial(to=town.address("plain"), options=options)
    assert answers.errno == "ECONNREFUSED"
    if "say" in steps:
        alert_of(daemon, mark, REFUSED, answers, "frontend", tipstaff__cause="plaintext")


# ---- answered by the network ----------------------------------------------------------------


@HOW
@pytest.mark.parametrize("to, errno", [
    (NO_ROUTE, "ENETUNREACH"),
    (UNREACHABLE, "EHOSTUNREACH"),
    (ROUTER_SAYS_NO, "EHOSTUNREACH"),
    (NEIGHBOUR, "EHOSTUNREACH"),
    (BLACKHOLE, "ETIMEDOUT"),
], ids=["no route", "unreachable route", "router says unreachable", "host down", "no answer at all"])
def test_as_without_us(town, to, errno, options):
    """The same on a covered port as on one that is left alone."""
    alone = town.start(to=to, port=UNCOVERED, options=options)
    covered = town.start(to=to, port=PORT, options=options)
    for client in (alone, covered):
        client.wait(20)
    assert (Answers(alone).errno, Answers(covered).errno) == (errno, errno)


# ---- nobody answers ---------------------------------------------------------------------------


@HOW
def test_worker_dead_new_connect(daemon, town, options):
    town.serve("mirror")
    daemon.kill_both()
    answers = town.dial(options=options)
    assert answers.errno == answers.connect["at_once"] == "EHOSTUNREACH", "at once, from the hook"


@HOW
def test_worker_dead_held_connect(daemon, town, options):
    town.world.sysctl("client", "net.ipv4.tcp_syn_retries", 6)
    try:
        client = town.start(to=BLACKHOLE, options=options)
        town.syn_is_held()
        daemon.kill_both()
        client.wait(20)
    finally:
        town.world.sysctl("client", "net.ipv4.tcp_syn_retries", SYN_RETRIES)
    answers = Answers(client)
    assert answers.errno == "EHOSTUNREACH"
    # The kernel sends the SYN again a second after the first, and meets the rule. Without it: two minutes.
    assert answers.connect["ms"] < 4000 * PATIENCE


# ---- the other direction -------------------------------------------------------------------------


@HOW
def test_a_stranger_in_plaintext(daemon, town, options):
    """Its connect works; then it gets a reset, not one byte, and we say so."""
    server = town.serve("mirror")
    mark = daemon.alerts_mark()
    answers = town.dial("say", "GET / HTTP/1.0\r\n\r\n", "drain", place="plain", scope="outside", options=options)
    assert answers.errno == "ok" and answers.end == "ECONNRESET" and answers.steps[-1]["bytes"] == 0
    told = daemon.wait_alert(about(REFUSED, tipstaff__cause="plaintext", fd__rip=town.address("plain")), mark)
    assert fields(told)["tipstaff.own.id"] == spiffe("orders") and str(fields(told)["proc.pid"]) == str(server.pid)
    assert not accepted(server)


def test_a_stranger_that_says_nothing_gets_nothing(daemon, town):
    """No greeting of a server that speaks first leaks to who has not shown an SVID."""
    server = town.serve("say", "220 secret banner\r\n", "drain")
    answers = town.dial("shut", "drain", place="plain", scope="outside")
    assert answers.errno == "ok" and answers.steps[-1]["bytes"] == 0
    assert not accepted(server)
    assert json.dumps(daemon.alerts()).count("secret banner") == 0


# ---- what is told ----------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["denied", "refused outbound", "refused inbound"])
def test_alerts_name_the_ancestors(daemon, far, town, what):
    """Whoever is told of a process wants to know who started it."""
    name = "rogue" if what == "denied" else "frontend"
    where = far if what == "refused inbound" else daemon
    server = ["serve", town.address("far"), 8079] if what == "refused inbound" else None
    mark = where.alerts_mark()
    if server:
        p = town.spawn(["/usr/bin/timeout", "60", town.world.program("talk"), *server], cgroup="orders", place="far", scope="far")
        assert p.json()["listening"]
        town.dial(to=town.address("far"), port=8079)
        rule = about(REFUSED, "frontend", "orders", fd__lport=8079)
    else:
        to = [town.address("far"), PORT] if what == "refused outbound" else [town.address(), PORT]
        town.spawn(["/usr/bin/timeout", "60", town.world.program("talk"), "--wait", "dial", *to], cgroup=name, place="client",
                   uid=UID[name], stdin="pipe")
        p = town.processes[-1]
        resolved(daemon, p.json()["ready"])
        p.send("go")
        rule = about(DENIED if what == "denied" else REFUSED, "orders", spiffe__id=spiffe(name) if name != "rogue" else None)
    said = fields(where.wait_alert(rule, mark))
    assert said["proc.name"] == "talk" and said["proc.pname"] == "timeout", said
