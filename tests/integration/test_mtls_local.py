# SPDX-License-Identifier: Apache-2.0
"""Connections inside one network namespace to a server of a policy: client identity against the identity of who listens."""

import signal

import pytest

from conftest import UID, entry, resolved
from mtls import DENIED, PORT, RETRY, UNCOVERED, about, accepted, fields, orders_policy, policy, steps_of
from world import until

pytestmark = pytest.mark.usefixtures("served")

OPENED = 8085  # left alone on 127.0.0.0/8


def ENTRIES(world):
    return [entry(world, name) for name in ("frontend", "orders", "other")]


def TRAFFIC(world):
    return [
        orders_policy(world),
        {"name": "probes", "to": [{"cidr": "127.0.0.0/8", "port": OPENED}], "mode": "disable"},
    ]


@pytest.fixture(autouse=True)
def a_daemon_for_the_next(daemon, served):
    yield
    if not daemon.running():
        daemon.start()
        served.reconnect()


@pytest.fixture
def wild(town):
    """orders listens everywhere, for IPv4 and IPv6, and its identity is known."""

    def go(*steps, name="orders", port=PORT, options=()):
        server = town.serve(*(steps or ("mirror",)), name=name, address="::", port=port, options=options)
        resolved(town.daemon, server.pid)
        return server

    return go


def inside(town, *steps, name, to="127.0.0.1", **kwargs):
    """Dials in the server's namespace, by a process whose identity is settled."""
    return town.dial_resolved(*(steps or ("echo", 100, "shut", "drain")), name=name, place="orders", to=to, **kwargs)


def own_addresses(world):
    own6 = world.place("orders").split(".")[2]
    return ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", f"fd77:{own6}::2"]


def test_a_stranger_in_the_namespace(world, daemon, town, wild):
    """Whoever shares the namespace had the server in the clear: by loopback and by whatever address it has."""
    server = wild("hear", 100)
    mark = daemon.alerts_mark()
    for to in own_addresses(world):
        for name in ("other", "rogue"):
            assert inside(town, name=name, to=to).errno == "EPERM", (to, name)
    assert inside(town, name="other", options=("--mapped",)).errno == "EPERM"
    assert not accepted(server)
    said = daemon.wait_alert(about(DENIED, "other", tipstaff__cause="local-unlisted"), mark)
    assert fields(said)["tipstaff.policy"] == "orders" and fields(said)["fd.rport"] == str(PORT)


def test_a_client_of_the_policy(world, town, wild):
    """Authorised, in the clear, and the server sees it as it is."""
    server = wild()
    for to in own_addresses(world):
        inside(town, name="frontend", to=to).ok()
    inside(town, name="frontend", options=("--mapped",)).ok()
    assert {s["errno"] for s in steps_of(server, 7)} == {"ok"}
    assert {a["peer"].rpartition(":")[0].strip("[]") for a in accepted(server)} <= {"127.0.0.1", "::1", *own_addresses(world),
                                                                                    "::ffff:127.0.0.1", "::ffff:127.9.9.9"}


def test_the_server_itself(town, wild):
    wild()
    inside(town, name="orders").ok()


def test_a_port_that_no_policy_names(town, wild):
    wild(port=UNCOVERED)
    inside(town, name="other", port=UNCOVERED).ok()


def test_an_address_that_a_policy_leaves_alone(town, wild):
    """The way for probes that have no identity."""
    wild(port=OPENED)
    inside(town, name="rogue", port=OPENED).ok()
    assert inside(town, name="rogue", to="::1", port=OPENED).errno == "EPERM", "that policy names 127.0.0.0/8"


def test_a_server_of_no_policy_on_the_same_port(town, wild):
    """A port number is nobody's: what another identity serves there is left alone."""
    wild(name="other")
    inside(town, name="rogue").ok()


def test_restarted_under_another_identity(town, wild):
    """It is the listener of now that counts."""
    for name, errno in (("orders", "EPERM"), ("other", "ok"), ("orders", "EPERM")):
        server = wild(name=name)
        assert inside(town, name="rogue").errno == errno, name
        server.close()


def test_a_listener_from_before_the_daemon(daemon, town, wild):
    daemon.stop()
    server = town.serve("mirror", address="::")
    daemon.start()
    town.reconnect()
    resolved(daemon, server.pid)
    assert inside(town, name="other").errno == "EPERM"
    inside(town, name="frontend").ok()


DAEMONIZED = """
import os, select, socket, sys
s = socket.create_server(("0.0.0.0", 8080))
if os.fork():
    os._exit(0)
print("listening")
while sys.stdin not in select.select([s, sys.stdin], [], [])[0]:
    c, _ = s.accept()
    while data := c.recv(65536):
        c.sendall(data)
    c.close()
"""


def test_a_listener_whose_maker_has_ended(daemon, town, world):
    """Nobody known has it: until the daemon has looked, nobody is let in."""
    server = town.spawn(["/usr/bin/python3", "-u", "-c", DAEMONIZED], cgroup="orders", place="orders", uid=UID["orders"],
                        stdin="pipe")
    server.line()
    until("it to be found", lambda: inside(town, name="other").errno == "EPERM", 20.0)
    inside(town, name="frontend", options=RETRY).ok()


def test_without_a_daemon(daemon, town, wild):
    """The hook needs nobody: who was known stays so."""
    wild()
    clients = {name: town.start("echo", 1, name=name, place="orders", to="127.0.0.1", options=("--wait",), stdin="pipe")
               for name in ("other", "frontend")}
    for client in clients.values():
        client.json()
        resolved(daemon, client.pid)
    daemon.kill_both()
    said = {}
    for name, client in clients.items():
        client.send("go")
        client.wait(10)
        said[name] = [line for line in client.output if "at_once" in line][0]
    assert '"EPERM"' in said["other"] and '"ok"' in said["frontend"], said


def test_a_policy_that_goes_opens_it(daemon, town, wild):
    wild()
    assert inside(town, name="other").errno == "EPERM"
    daemon.write_traffic([policy("elsewhere", [("10.99.0.0/16", "1")])])
    daemon.process.kill(signal.SIGHUP)
    until("the file's policies", lambda: [p["name"] for p in daemon.json("policy", "list")["policies"]] == ["elsewhere"])
    inside(town, name="other").ok()
    daemon.write_traffic(TRAFFIC(town.world))
    daemon.process.kill(signal.SIGHUP)
    until("the file's policies", lambda: len(daemon.json("policy", "list")["policies"]) == 2)
    assert inside(town, name="other").errno == "EPERM", "the listener that was there is known"
