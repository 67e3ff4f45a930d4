# SPDX-License-Identifier: Apache-2.0
"""Records made by the kernel: that it makes them, and what keeps them whole. What both makers do alike is in the other modules."""

import json
import re
import subprocess

import pytest

from mtls import RETRY, orders_policy
from world import until

pytestmark = [pytest.mark.usefixtures("served"), pytest.mark.needs("ktls")]

ENTRIES = ("frontend", "orders")
PLACES = ("client", "orders")


def TRAFFIC(world):
    return [orders_policy(world)]


def tls_stat(world, place):
    """The kernel's counters of TLS in a place."""
    lines = world.inside(place, "cat", "/proc/net/tls_stat").splitlines()
    return {name: int(value) for name, value in (line.split() for line in lines)}


def test_the_kernel_makes_them(world, daemon, town):
    tier = next(t for t in daemon.status()["tiers"] if t["concern"] == "mtls records")
    assert tier["tier"] == "kernel" and "AES-128-GCM" in tier["detail"] and re.search("rekey (yes|no)", tier["detail"])
    before = {place: tls_stat(world, place) for place in PLACES}
    town.serve("mirror")
    town.dial("echo", 1_000_000, "shut", "drain").ok()
    for place, was in before.items():
        now = tls_stat(world, place)
        assert (now["TlsTxSw"], now["TlsRxSw"]) == (was["TlsTxSw"] + 1, was["TlsRxSw"] + 1), place
        assert now["TlsDecryptError"] == was["TlsDecryptError"]
        until("no TLS socket to be left", lambda p=place: tls_stat(world, p)["TlsCurrTxSw"] == 0)


def socket_cookies(world, place, *state):
    """The cookies of the TCP sockets of a place in that state."""
    return {int(cookie, 16) for cookie in re.findall(r"\bsk:([0-9a-f]+)", world.inside(place, "ss", "-tneH", *state))}


def sockets_in_maps():
    """The cookies of all sockets in sockmaps and sockhashes of this kernel, and how many such maps there are."""
    def bpftool(*args):
        return json.loads(subprocess.run(["bpftool", "-j", *args], check=True, capture_output=True).stdout)

    maps = [m for m in bpftool("map", "show") if m["type"] in ("sockmap", "sockhash")]
    dumped = [e for m in maps for e in bpftool("map", "dump", "id", str(m["id"]))]
    return {int.from_bytes(bytes(int(b, 16) for b in e["value"]), "little") for e in dumped if isinstance(e["value"], list)}, len(maps)


def test_no_connected_socket_is_in_a_sockmap(world, daemon, town):
    """Only listeners are. A connected one in there would have its plaintext where others can redirect it."""
    town.serve("mirror")
    client = town.start("echo", 1000, "hear", 1)
    until("the connection to be open", lambda: any(c["backend"] == "kernel" for c in daemon.json("connections")["connections"]))
    held, maps = sockets_in_maps()
    listening, connected = set(), set()
    for place in PLACES:
        listening |= socket_cookies(world, place, "state", "listening")
        connected |= socket_cookies(world, place, "state", "connected")
    assert maps and len(connected) >= 4, "nothing was looked at"
    assert held & listening, "our listeners are in one"
    assert not held & connected
    client.close()


def test_somebody_elses_sockmap(world, daemon, town):
    """A sockops program of a CNI puts our sockets into its map. They get no key: the connection is refused, and the
    alert says why. Without that program the next one is served."""
    town.serve("mirror")
    mark = daemon.alerts_mark()
    foreign = town.spawn([world.program("sockmap"), world.cgroup_dir("daemon")], scope="outside", stdin="pipe")
    assert foreign.json()["attached"]
    answers = town.dial("echo", 1)
    assert answers.errno in ("EHOSTUNREACH", "ECONNREFUSED"), answers
    alert = daemon.wait_alert(lambda a: a["rule"] == "mTLS connection refused"
                              and a["output_fields"]["tipstaff.cause"] == "sockmap", since=mark)
    assert "sockmap" in alert["output"]
    assert re.search(r"\bcni\(\d+\)", alert["output_fields"]["tipstaff.programs"])
    foreign.close()
    town.dial("echo", 1000, options=RETRY).ok()
