# SPDX-License-Identifier: Apache-2.0
"""The plaintext stop on the host's end of veths: what gets past every hook inside a pod does not get past its wire."""

import json
import signal
import socket
import struct

import pytest

from conftest import UID, entry, resolved
from mtls import PORT, RETRY, UNCOVERED, orders_policy, policy
from world import Capture, until
from world.wire import in_netns

pytestmark = [pytest.mark.kernel(each=True), pytest.mark.usefixtures("served")]

MARKER = b"not-for-the-wire"
CONTROL = b"for-everybody"
ETH_IP, ETH_VLAN = 0x0800, 0x8100


def ENTRIES(world):
    return [entry(world, name) for name in ("frontend", "orders")]


def TRAFFIC(world):
    return [orders_policy(world)]


@pytest.fixture(autouse=True)
def a_daemon_for_the_next(world, daemon, served):
    yield
    if not daemon.running():
        daemon.start()
    daemon.write_traffic(TRAFFIC(world))
    daemon.process.kill(signal.SIGHUP)
    until("the policy", lambda: [p["name"] for p in daemon.json("policy", "list")["policies"]] == ["orders"])
    served.reconnect()


# ---- frames that no socket sends ------------------------------------------------------------


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip(source, target, protocol, payload, fragment=0):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 7, fragment, 64, protocol, 0, socket.inet_aton(source),
                       socket.inet_aton(target))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def tcp(sport, dport, payload=b"", flags=0x18):
    return struct.pack("!HHIIBBHHH", sport, dport, 1000, 2000, 5 << 4, flags, 65535, 0, 0) + payload


def udp(sport, dport, payload):
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


class Wire:
    """A packet socket in a pod, as its root has one."""

    def __init__(self, world, place):
        gateway = json.loads(world.inside("node", "ip", "-j", "link", "show", "dev", world.device(place)))[0]["address"]
        self.own = json.loads(world.inside(place, "ip", "-j", "link", "show", "dev", "eth0"))[0]["address"]
        self.gateway = gateway

        def make():
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            s.bind(("eth0", 0))
            return s

        self.socket = in_netns(world.netns(place), make)

    def send(self, packet, tags=()):
        macs = bytes.fromhex((self.gateway + self.own).replace(":", ""))
        types = b"".join(struct.pack("!HH", ETH_VLAN, tag) for tag in tags)
        self.socket.send(macs + types + struct.pack("!H", ETH_IP) + packet)


@pytest.fixture
def wire(world):
    w = Wire(world, "client")
    yield w
    w.socket.close()


def attempts(world):
    """Each with the marker, to a port that is enforced."""
    a, b = world.place("client"), world.place("orders")
    segment = tcp(40000, PORT, MARKER)
    return {
        "data": ip(a, b, 6, segment),
        "data in a SYN": ip(a, b, 6, tcp(40001, PORT, MARKER, flags=0x02)),
        "from an enforced port": ip(a, b, 6, tcp(PORT, PORT, MARKER)),
        "from the worker's port": ip(a, b, 6, tcp(15049, PORT, MARKER)),
        "udp": ip(a, b, 17, udp(40002, PORT, MARKER)),
        "the first fragment": ip(a, b, 6, segment, fragment=0x2000),
        "a header in pieces": ip(a, b, 6, segment[:8], fragment=0x2000),
        "the other piece": ip(a, b, 6, segment[8:], fragment=1),
    }


def arrived(world, wire, frames, tags=()):
    """Of these frames, whatever came as far as the other pod's wire; the last frame tells that all have."""
    end = ip(world.place("client"), world.place("orders"), 17, udp(40003, UNCOVERED, CONTROL))
    with Capture(world, "orders") as capture:
        for frame in frames:
            wire.send(frame, tags)
        wire.send(end)
        until("what no policy covers", lambda: (capture.segments(), any(CONTROL in f for f in capture.frames))[1])
        return [f for f in capture.frames if MARKER in f]


def filters(world, place, way):
    return world.inside("node", "tc", "filter", "show", "dev", world.device(place), way)


@pytest.mark.parametrize("state", ["alive", "dead"])
def test_frames_of_a_packet_socket(world, daemon, wire, state):
    """Below every hook of the pod: nothing of them leaves, also while no daemon runs."""
    before = daemon.json("status")["events"]["veth_stopped"]
    if state == "dead":
        daemon.kill_both()
    frames = attempts(world)
    for name, frame in frames.items():
        assert not arrived(world, wire, [frame]), name
    assert not arrived(world, wire, frames.values(), tags=(5, 6)), "one tag hides the other"
    if state == "alive":
        assert daemon.json("status")["events"]["veth_stopped"] >= before + len(frames)


def test_without_a_policy_nothing_is_in_the_way(world, daemon, wire):
    """What shows that the frames of the other tests would arrive."""
    daemon.write_traffic([])
    daemon.process.kill(signal.SIGHUP)
    until("no policy", lambda: not daemon.json("policy", "list")["policies"])
    frames = attempts(world)
    for name, frame in frames.items():
        if "piece" not in name:  # the kernel puts none together here
            assert arrived(world, wire, [frame]), name


def test_a_socket_from_outside_the_scope(world, town):
    """It is told at once, and its SYN does not leave the node."""
    town.serve("mirror")
    with Capture(world, "orders") as capture:
        for state in ("alive", "dead"):
            if state == "dead":
                town.daemon.kill_both()
            answers = town.dial("say", MARKER.decode(), "drain", scope="outside", place="client", uid=0)
            assert answers.errno == "ECONNREFUSED", answers
        assert not [s for s in capture.segments() if s.source.startswith(world.place("client"))]


def test_who_listens_past_the_hooks_answers_nobody(world, town, wire):
    """A server's half of a handshake leaves only if it is the worker's."""
    answer = ip(world.place("client"), world.place("orders"), 6, tcp(8070, 40000, flags=0x12))
    other = policy("own", [(world.place("client"), 8070)], server="frontend", clients=("orders",))
    town.daemon.write_traffic([*TRAFFIC(world), other])
    town.daemon.process.kill(signal.SIGHUP)
    until("both policies", lambda: len(town.daemon.json("policy", "list")["policies"]) == 2)
    with Capture(world, "orders") as capture:
        wire.send(answer)
        wire.send(ip(world.place("client"), world.place("orders"), 17, udp(40003, UNCOVERED, CONTROL)))
        until("what no policy covers", lambda: (capture.segments(), any(CONTROL in f for f in capture.frames))[1])
        assert not [s for s in capture.segments() if s.source.endswith(":8070")]
    # The real one is in nobody's way.
    server = town.serve("mirror", name="frontend", place="client", port=8070)
    resolved(town.daemon, server.pid)
    town.dial("echo", 1000, "shut", "drain", name="orders", place="orders", to=world.place("client"), port=8070, options=RETRY).ok()


def test_a_veth_that_comes_later(world, daemon):
    """Whatever leads to a served namespace, whenever it came to be."""
    world.inside("node", "ip", "link", "add", "later", "type", "veth", "peer", "name", "eth9", "netns", str(world.netns("client")))
    try:
        until("filters on it", lambda: "tip_from_pod" in world.inside("node", "tc", "filter", "show", "dev", "later", "ingress"))
        veths = daemon.json("connections")["stats"]["veths"]
    finally:
        world.inside("node", "ip", "link", "del", "later")
    until("it to be forgotten", lambda: daemon.json("connections")["stats"]["veths"] == veths - 1)


def test_filters_come_and_go(world, daemon):
    """They are ours, once; a restart changes that in nothing; without the key there are none, and none after detach."""
    def have():
        return [filters(world, "client", way).count("direct-action") for way in ("ingress", "egress")]

    assert have() == [1, 1]
    daemon.stop()
    assert have() == [1, 1]
    daemon.start()
    until("the namespaces to be served", lambda: daemon.json("connections")["stats"]["veths"] >= 1)
    assert have() == [1, 1]
    daemon.stop()
    daemon.settings["traffic"]["veth_stop"] = False
    daemon.start()
    assert have() == [0, 0]
    daemon.stop()
    del daemon.settings["traffic"]["veth_stop"]
    daemon.start()
    until("them to be back", lambda: have() == [1, 1])
    daemon.cli("detach", "--all")
    until("the daemon's end", lambda: not daemon.running())
    assert have() == [0, 0]
