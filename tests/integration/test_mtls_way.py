# SPDX-License-Identifier: Apache-2.0
"""Two programs that know nothing of TLS speak it: the wire, the addresses, every byte, and every way to end."""

import json
import re
import secrets

import pytest

from conftest import UID, spiffe
from mtls import PORT, RETRY, UNCOVERED, accepted, orders_policy, policy, steps_of
from world import Capture, kernel, until
from world.wire import CHANGE_CIPHER, DATA, HANDSHAKE

pytestmark = pytest.mark.usefixtures("served")

OVER_RECORDS = True
ENTRIES = ("frontend", "orders")
SIZES = [1, 1000, 65536, 1_000_000]
HUGE = 100_000_000
CLOSED = 8087

GET = """
import http.client, json, sys
c = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=20)
c.request("GET", "/")
answer = c.getresponse()
print(json.dumps({"status": answer.status, "body": answer.read().decode()}))
"""


def TRAFFIC(world):
    return [orders_policy(world), policy("far", [(world.place("far"), PORT)])]


def connections(daemon, *ends):
    """The relayed connections with that address at one of their ends."""
    return [c for c in daemon.json("connections")["connections"] if {c["local"], c["remote"]} & set(ends)]


def only_tls(capture, port=PORT):
    """Both directions were TLS 1.3 records with data in them, from the handshake to the end."""
    streams = capture.tls(port)
    assert len(streams) == 2, f"not one connection: {sorted(streams)}"
    for types in streams.values():
        assert types[0] == HANDSHAKE and DATA in types, types
        assert set(types) <= {HANDSHAKE, CHANGE_CIPHER, DATA}, f"an alert in the clear: {types}"
    return True


# ---- the wire -------------------------------------------------------------------


@pytest.mark.parametrize("covered", [False, True], ids=["control", "covered"])
def test_http(world, town, covered):
    """On a port that no policy covers the capture holds the page's marker; on a covered one, TLS and nothing else."""
    port = PORT if covered else UNCOVERED
    marker = secrets.token_hex(16)
    pages = world.dir / f"pages-{port}"
    pages.mkdir()
    (pages / "index.html").write_text(marker, encoding="ascii")
    server = town.spawn(["/usr/bin/python3", "-u", "-m", "http.server", port, "--bind", town.address(), "--directory", pages],
                        cgroup="orders", place="orders", uid=UID["orders"])
    assert "Serving" in server.line()
    with Capture(world, "client") as capture:
        client = town.spawn(["/usr/bin/python3", "-c", GET, town.address(), port], cgroup="frontend", place="client",
                            uid=UID["frontend"])
        assert client.json(20) == {"status": 200, "body": marker}
        client.wait()
        assert capture.holds(marker) is not covered
        if covered:
            only_tls(capture)
    log = until("the access log", lambda: next((line for line in server.output if "GET / " in line), None))
    assert log.startswith(world.place("client") + " "), "the server's log shows the client's real address"


@pytest.mark.parametrize("size", SIZES)
def test_echo_is_tls_and_byte_exact(world, town, size):
    town.serve("mirror")
    with Capture(world, "client") as capture:
        town.dial("echo", size, "shut", "drain").ok()
        only_tls(capture)


def test_the_wire_is_tls_at_both_ends(world, town):
    """Also between the node and the server: nothing is unwrapped half-way."""
    town.serve("hear", 100, "say", "and-a-secret-answer")
    with Capture(world, "client") as near, Capture(world, "orders") as far:
        town.dial("say", "a-secret-question", "hear", 100).ok()
        for capture in (near, far):
            only_tls(capture)
            assert not capture.holds("a-secret-question") and not capture.holds("and-a-secret-answer")


# ---- bytes ------------------------------------------------------------------------


def test_a_hundred_megabytes_both_ways(town):
    server = town.serve("mirror")
    town.dial("echo", HUGE, "shut", "drain", timeout=50).ok()
    assert steps_of(server)[0]["bytes"] == HUGE


@pytest.mark.parametrize("size", [1, 1_000_000, HUGE])
def test_one_way_up(town, size):
    server = town.serve("recv", size, "drain")
    town.dial("send", size, "shut", "drain", timeout=50).ok()
    received, drained = steps_of(server, 2)
    assert received["errno"] == drained["errno"] == "ok" and drained["bytes"] == 0


@pytest.mark.parametrize("size", [1, 1_000_000, HUGE])
def test_one_way_down_and_the_server_speaks_first(town, size):
    town.serve("send", size, "shut", "drain")
    answers = town.dial("recv", size, "drain", timeout=50)
    assert answers.ok() and answers.steps[1]["bytes"] == 0


@pytest.mark.parametrize("who", ["client", "server"])
def test_half_close(town, who):
    """After the FIN of one end the other goes on to speak, for as long as it likes."""
    if who == "client":
        server = town.serve("recv", 1000, "drain", "send", 1_000_000)
        answers = town.dial("send", 1000, "shut", "recv", 1_000_000, "drain")
    else:
        server = town.serve("send", 1000, "shut", "recv", 1_000_000, "drain")
        answers = town.dial("recv", 1000, "drain", "send", 1_000_000, "shut")
    assert answers.ok()
    assert {s["errno"] for s in steps_of(server, 3)} == {"ok"}


@pytest.mark.parametrize("way", ["up", "down"])
def test_what_is_under_way_at_the_end_arrives(world, town, way):
    """Both ends have said their last word, and the worker is done; what the application has not taken yet is still its."""
    size = 1_000_000
    writer, reader = ["drain", "send", size, "shut"], ["shut", "pause", "drain"]
    town.serve("mirror", port=8081)
    if way == "up":
        reads = town.serve(*reader, options=("--one",), stdin="pipe")
        town.dial(*writer).ok()
    else:
        town.serve(*writer)
        reads = town.start(*reader, stdin="pipe")
    place, end = ("orders", town.address()) if way == "up" else ("client", f"127.0.0.1:{town.daemon.worker_port}")
    until("the leg to be closed with bytes to go", lambda: world.inside(place, "ss", "-tnH", "state", "last-ack", "src", end))
    town.dial("echo", 1000, "shut", "drain", port=8081).ok()  # whatever comes of that end has come by now
    reads.send("go")
    drained = steps_of(reads, 3)[2]
    assert (drained["errno"], drained["bytes"]) == ("ok", size)


def test_a_reset_of_the_client_reaches_the_server(town):
    server = town.serve("mirror")
    town.dial("echo", 1000, "reset").ok()
    assert steps_of(server)[0]["errno"] == "ECONNRESET"


def test_a_reset_of_the_server_reaches_the_client(town):
    town.serve("recv", 1000, "reset")
    answers = town.dial("send", 1000, "drain")
    assert answers.connect["errno"] == "ok" and answers.end == "ECONNRESET"


@pytest.mark.parametrize("steps, end", [(["recv", 1000, "pause"], "ok"), (["pause"], "ECONNRESET")],
                         ids=["all was read", "something was not"])
def test_a_killed_server_is_what_it_is_without_us(world, town, steps, end):
    """The kernel closes the connections of a killed process, and resets those with unread data."""
    server = town.serve(*steps, options=("--one",), stdin="pipe")
    client = town.start("send", 1000, "pause", "drain", stdin="pipe")
    if end == "ok":
        steps_of(server)
    else:
        until("it to be there, unread", lambda: re.search(r"ESTAB +1000 ", world.inside("orders", "ss", "-tn")))
    server.kill()
    client.send("go")
    client.wait()
    assert json.loads(client.output[-1])["errno"] == end, client.output


def rss_kb(daemon):
    return sum(int(kernel.proc_status(p)["VmRSS"].split()[0]) for p in (daemon.keeper_pid, daemon.front_pid()))


def test_a_slow_reader_holds_the_writer_and_not_the_memory(daemon, town):
    """64 MB for a server that does not read: the client waits, nothing piles up, and every byte comes in the end."""
    size = 64_000_000
    server = town.serve("pause", "recv", size, "drain", options=("--one",), stdin="pipe")
    before = rss_kb(daemon)
    client = town.start("send", size, "shut", "drain")
    seen = []

    def stalled():
        now = [c["sent"] for c in connections(daemon, f"{town.address()}:{PORT}") if c["direction"] == "outbound"]
        seen.append(now)
        return now and now[0] and len(seen) > 60 and all(s == now for s in seen[-60:])

    until("the client to be held up", stalled, 20.0, every=0.05)
    assert client.running()
    assert rss_kb(daemon) - before < 8192, "what nobody reads belongs into the sockets' buffers"
    server.send("go")
    assert client.wait(30) == 0, client.text()
    assert {s["errno"] for s in steps_of(server, 3)} == {"ok"}


# ---- addresses -----------------------------------------------------------------------


@pytest.mark.parametrize("bound", [False, True], ids=["any source", "bound source"])
def test_each_end_sees_the_others_address(world, town, bound):
    server = town.serve("mirror")
    client = world.place("client")
    answers = town.dial("echo", 1, options=("--bind", client) if bound else ())
    answers.ok()
    assert answers.connect["peer"] == f"{town.address()}:{PORT}"
    assert answers.connect["local"].rpartition(":")[0] == client
    seen = accepted(server)[0]
    assert seen["accepted"] == seen["peer"] == answers.connect["local"]
    assert seen["local"] == f"{town.address()}:{PORT}"


def test_a_server_on_all_addresses_sees_the_one_that_was_dialled(town):
    server = town.serve("mirror", address="0.0.0.0")
    town.dial("echo", 1).ok()
    assert accepted(server)[0]["local"] == f"{town.address()}:{PORT}"


# ---- ways to connect -------------------------------------------------------------------


def test_a_connect_that_does_not_block(town):
    town.serve("mirror")
    answers = town.dial("echo", 100_000, options=("--nonblock",))
    assert answers.ok() and answers.connect["at_once"] == "EINPROGRESS"


def test_an_ipv6_socket_that_dials_ipv4(world, town):
    """::ffff:a.b.c.d, as dual-stack programs dial."""
    server = town.serve("mirror")
    with Capture(world, "client") as capture:
        answers = town.dial("echo", 100_000, options=("--mapped",))
        assert answers.ok() and only_tls(capture)
    assert answers.connect["peer"] == f"::ffff:{town.address()}:{PORT}"
    assert answers.connect["local"].startswith(f"::ffff:{world.place('client')}:")
    assert f"::ffff:{accepted(server)[0]['accepted']}" == answers.connect["local"]


def test_a_server_with_an_ipv6_socket(town):
    """[::] takes IPv4 too: most servers listen so."""
    server = town.serve("mirror", address="::")
    answers = town.dial("echo", 100_000)
    answers.ok()
    assert accepted(server)[0]["accepted"] == f"::ffff:{answers.connect['local']}"


@pytest.mark.parametrize("first, then, before", [
    (UNCOVERED, PORT, "ok"), (PORT, UNCOVERED, "ok"), (PORT, PORT, "ok"), (CLOSED, PORT, "ECONNREFUSED"),
    (CLOSED, UNCOVERED, "ECONNREFUSED"),
], ids=["plain then covered", "covered then plain", "covered twice", "refused then covered", "refused then plain"])
def test_a_socket_that_is_used_again(world, town, first, then, before):
    """connect(AF_UNSPEC) and another connect(): nothing of the first one sticks to the socket."""
    town.serve("mirror")
    town.serve("mirror", port=UNCOVERED)
    with Capture(world, "client") as capture:
        answers = town.dial("say", "told-in-the-second", "hear", 100, port=then,
                            options=("--first", town.address(), first))
        assert answers.before == before and answers.ok()
        assert answers.connect["peer"] == f"{town.address()}:{then}"
        assert capture.holds("told-in-the-second") is (then == UNCOVERED)


def test_fast_open_does_not_slip_past(world, town):
    """sendto(MSG_FASTOPEN) dials without connect()."""
    town.serve("mirror")
    with Capture(world, "client") as capture:
        answers = town.dial("hear", 100, options=("--tfo",))
        assert not capture.holds("early")
        only_tls(capture)
    assert answers.ok() and answers.steps[0]["text"] == "early"


def test_multipath_tcp_does_not_slip_past(world, town):
    """A socket of another protocol, whose first subflow is TCP like any other."""
    town.serve("mirror")
    with Capture(world, "client") as capture:
        answers = town.dial("say", "over-many-paths", "hear", 100, options=("--mptcp",))
        assert answers.ok() and answers.steps[1]["text"] == "over-many-paths"
        assert not capture.holds("over-many-paths") and only_tls(capture)


def test_a_thread_connects(world, town):
    """Not the leader of its process: the identity is the process's."""
    town.serve("mirror")
    p = town.spawn([world.program("threads"), "connect", town.address(), PORT], cgroup="frontend", place="client",
                   uid=UID["frontend"])
    said = p.json()
    assert said["result"] == 0 and said["tid"] != said["pid"]


# ---- what is shown -----------------------------------------------------------------------


def test_connections_are_shown(daemon, town, records):
    server = town.serve("mirror")
    client = town.start("echo", 1000, "pause", stdin="pipe")
    dialled = until("the connection", lambda: next((line for line in client.output if '"local"' in line), None))
    local = json.loads(dialled)["local"]

    def open_with_bytes():
        found = [c for c in connections(daemon, local) if c["state"] == "open" and c["received"] == 1000]
        return len(found) == 2 and found

    both = until("both ends to be open with their bytes", open_with_bytes)
    near, far = sorted(both, key=lambda c: c["direction"], reverse=True)
    assert (near["direction"], near["own_id"], near["peer_id"]) == ("outbound", spiffe("frontend"), spiffe("orders"))
    assert (far["direction"], far["own_id"], far["peer_id"]) == ("inbound", spiffe("orders"), spiffe("frontend"))
    assert near["pid"] == client.pid and near["exe"].endswith("/talk") and far["pid"] == server.pid
    assert (near["local"], near["remote"]) == (far["remote"], far["local"]) == (local, f"{town.address()}:{PORT}")
    for end in both:
        assert end["sent"] == end["received"] == 1000
        assert end["backend"] == records and end["policy"] == "orders" and end["age_ms"] >= 0
    shown = daemon.cli("connections", "--long")
    for text in (spiffe("frontend"), spiffe("orders"), local, f"{town.address()}:{PORT}", str(client.pid)):
        assert text in shown
    of_orders = {c["id"] for c in daemon.json("connections", "--id", spiffe("orders"))["connections"]}
    assert {c["id"] for c in both} <= of_orders
    assert daemon.json("connections", "--id", spiffe("nobody"))["connections"] == []
    client.send("go")
    client.wait()
    until("them to be gone", lambda: not connections(daemon, local))


def test_two_daemons_of_one_kernel(world, daemon, town):
    """Each with its own scope, port, rules and pins; a connection from the scope of one to that of the other."""
    other = world.daemon("far", scope_cgroup="far", traffic=TRAFFIC(world), entries=[
        {"spiffe_id": spiffe("orders"), "selectors": [f"cgroup:path:{world.cgroup_path('far/orders')}"]}])
    other.share_authority(daemon)
    other.start()
    assert other.worker_port != daemon.worker_port
    server = town.serve("mirror", place="far", scope="far")
    town.dial("echo", 1, to=town.address("far"), options=RETRY).ok()
    with Capture(world, "client") as capture:
        town.dial("echo", 100_000, "shut", "drain", to=town.address("far")).ok()
        only_tls(capture)
    own = other.json("connections")["stats"]
    assert own["namespaces"] == 1 and own["accepted"] >= 2
    server.close()
    other.remove()
