# SPDX-License-Identifier: Apache-2.0
"""What a review of transparent mTLS found: each was a way to somebody else's connection, around the front's sandbox, or to take the service
away from others."""

import contextlib
import os
import signal

import pytest

from conftest import UID, entry, resolved
from mtls import PORT, accepted, orders_policy
from world import Capture, until

pytestmark = pytest.mark.usefixtures("served")

PYTHON = "/usr/bin/python3"
RELAYS = 48


def ENTRIES(world):
    return [entry(world, name) for name in ("frontend", "orders")]


def TRAFFIC(world):
    return [orders_policy(world)]


SETTINGS = {"limits": {"relays": RELAYS}}


def stats(daemon):
    return daemon.json("connections")["stats"]


def python(town, code, *args, name, place="client", uid=None, **kwargs):
    return town.spawn([PYTHON, "-u", "-c", code, *args], cgroup=name, place=place, uid=UID.get(name, 0) if uid is None else uid, **kwargs)


# ---- somebody else's connection ------------------------------------------------------------------

GIVE_UP = """
import socket, sys
s = socket.socket()
s.setblocking(False)
s.connect_ex((sys.argv[1], int(sys.argv[2])))
sys.stdin.readline()
try:
    s.getpeername()
    print("connected")
except OSError:
    print("given up")
s.close()
sys.stdin.readline()
"""

TAKE_OVER = """
import socket, sys
s = socket.socket()
s.settimeout(5)
s.bind(("127.0.0.1", int(sys.argv[1])))
try:
    s.connect(("127.0.0.1", int(sys.argv[2])))
    s.sendall(b"not the frontend")
    print("heard", s.recv(100))
except OSError as err:
    print("nothing", err)
"""


def test_a_released_connection_is_not_for_the_next_on_its_ports(world, daemon, town):
    """Root of the pod loses the released SYN; when the client has given up, another process dials the worker from its port, past the queue."""
    port = str(daemon.worker_port)
    server = town.serve("hear", 100, "say", "for the frontend only", "drain")
    before = stats(daemon)["released"]
    rules = [("filter", "-p", "tcp", "--dport", port, "--syn", "-j", "DROP")]
    try:
        world.inside("client", "iptables-legacy", "-t", rules[0][0], "-I", "OUTPUT", "1", *rules[0][1:])
        client = python(town, GIVE_UP, town.address(), str(PORT), name="frontend", stdin="pipe")
        held = until("a SYN to be held", lambda: next(
            (line for line in world.inside("client", "ss", "-tnH", "state", "syn-sent").split("\n")
             if f"127.0.0.1:{port}" in line), None))
        source = held.split()[2].rpartition(":")[2]
        until("it to be released", lambda: stats(daemon)["released"] > before)
        client.send("give up")
        assert client.line() == "given up"
        for table in ("mangle", "filter"):
            rules.append((table, "-p", "tcp", "--sport", source, "--dport", port, "-j", "ACCEPT"))
            world.inside("client", "iptables-legacy", "-t", table, "-I", "OUTPUT", "1", *rules[-1][1:])
        rogue = python(town, TAKE_OVER, source, port, name="rogue")
        assert rogue.line(10).startswith("nothing")
        assert all("not the frontend" not in line for line in server.output)
    finally:
        for table, *rule in rules:
            world.inside("client", "iptables-legacy", "-t", table, "-D", "OUTPUT", *rule)


SHARE = """
import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
s.bind((sys.argv[1], int(sys.argv[2])))
s.listen(50)
print("listening")
while True:
    c = s.accept()[0]
    c.sendall(sys.argv[3].encode())
    c.recv(100)
    c.close()
"""


def test_a_shared_port_gives_nobody_the_identity_of_another(daemon, town):
    """Two processes of one uid, one of them without an identity, listen on one port with SO_REUSEPORT."""
    where = (town.address(), "8085")
    rogue = python(town, SHARE, *where, "rogue", name="rogue", place="orders", uid=UID["orders"])
    assert rogue.line() == "listening"
    resolved(daemon, rogue.pid)
    orders = python(town, SHARE, *where, "orders", name="orders", place="orders")
    assert orders.line() == "listening"
    resolved(daemon, orders.pid)
    for _ in range(16):
        answers = town.dial("hear", 20, port=8085)
        assert all(step["text"] != "rogue" for step in answers.steps), "it was authenticated as orders"


def test_the_front_cannot_connect_by_another_name(daemon, run):
    """sendto(MSG_FASTOPEN) is a connect(): whoever takes the front over could send a socket of ours anywhere."""
    front = daemon.front_pid()
    _, said = run("front_call", front)
    until("a front to serve", lambda: daemon.status()["front"]["running"], 20.0)
    assert said[0]["killed"], said


# ---- the service of others ---------------------------------------------------------------------------

# A few for each process: nobody has to raise a limit.
CROWD = """
import os, socket, sys
children, each = 20, int(sys.argv[1]) // 20
for child in range(children):
    r, w = os.pipe()
    if os.fork():
        os.close(w)
        assert os.read(r, 1) == b"x"
        os.close(r)
        continue
    held = []
    for i in range(each):
        s = socket.socket()
        s.bind((f"127.{child + 1}.{i >> 8}.{i & 255}", 9999))
        s.listen(1)
        held.append(s)
    os.write(w, b"x")
    sys.stdin.readline()
    os._exit(0)
print("crowded")
sys.stdin.readline()
"""


def test_a_crowd_of_listeners_leaves_room_for_others(daemon, town):
    """As many listeners as the table of listeners has places, none of them on an enforced port."""
    crowd = python(town, CROWD, "16600", name="rogue", stdin="pipe")
    assert crowd.line(30) == "crowded"
    server = town.serve("mirror", port=8086)
    town.dial("echo", 10, port=8086, options=("--retry", 5000)).ok()
    server.close()


SHORT = """
import socket, sys
for _ in range(int(sys.argv[3])):
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as s:
        s.sendall(b"x")
        s.shutdown(socket.SHUT_WR)
        assert s.recv(10) == b"x" and s.recv(10) == b""
print("done")
"""


def test_short_connections_do_not_use_up_the_servers_ports(world, town):
    """The worker's leg to the application is not kept from a port by a connection that is over."""
    town.serve("mirror")
    world.sysctl("orders", "net.ipv4.ip_local_port_range", "40000 40031")
    try:
        client = python(town, SHORT, town.address(), str(PORT), "64", name="frontend")
        client.wait(60)
        assert client.line() == "done", client.text()
    finally:
        world.sysctl("orders", "net.ipv4.ip_local_port_range", "32768 60999")


DEVICE = """
import errno, socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
s.settimeout(20)
try:
    s.connect((sys.argv[1], int(sys.argv[2])))
    s.sendall(b"hello")
    print("ok", s.recv(100))
except TimeoutError:
    print("hangs")
except OSError as err:
    print(errno.errorcode[err.errno])
"""


def test_a_socket_bound_to_a_device(world, daemon, town):
    """Bound to a device, 127.0.0.1 is looked for behind that device. Served or refused, but at once, and nothing of it on the wire."""
    server = town.serve("mirror")
    with Capture(world, "client") as capture:
        client = python(town, DEVICE, town.address(), str(PORT), name="frontend")
        said = client.line(30)
        worker = f":{daemon.worker_port}"
        assert not [ends for ends in capture.streams() if any(end.endswith(worker) for end in ends)]
    assert said in ("EHOSTUNREACH", "EPERM") or said.startswith("ok"), said
    assert len(accepted(server)) <= 1


def test_a_client_that_closes_at_once_leaves_nothing_behind(daemon, town):
    """Given up before the peer was known, or just then: neither end keeps the connection."""
    town.serve("mirror")
    code = ("import socket, sys, time\n"
            "for i in range(40):\n"
            "    s = socket.socket(); s.setblocking(False)\n"
            "    try: s.connect((sys.argv[1], int(sys.argv[2])))\n"
            "    except BlockingIOError: pass\n"
            "    time.sleep(i % 8 / 2000); s.close()\n"
            "print('closed')\n")
    client = python(town, code, town.address(), str(PORT), name="frontend")
    assert client.line(20) == "closed"
    until("all of them to be gone", lambda: stats(daemon)["relays"] == 0, 5.0)
    town.dial("echo", 10).ok()


KNOCK = """
import socket, sys
while True:
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2])), 1).close()
    except OSError:
        pass
    print("knocked")
    sys.stdin.readline()
"""


def test_connections_without_a_front_leave_nothing_behind(daemon, town):
    """Who dials while no front runs is reset, and takes no place for good."""
    town.serve("mirror")
    stranger = python(town, KNOCK, town.address(), str(PORT), name="stranger", scope="outside", uid=0, stdin="pipe")
    assert stranger.line() == "knocked"
    for _ in range(RELAYS + 8):
        front = daemon.front_pid()
        if front:
            with contextlib.suppress(ProcessLookupError):  # the last one, whose end is only now known
                os.kill(front, signal.SIGKILL)
        stranger.send("again")
        assert stranger.line() == "knocked"
    town.reconnect()
    until("all of them to be gone", lambda: stats(daemon)["relays"] == 0, 20.0)
    town.dial("echo", 10).ok()
