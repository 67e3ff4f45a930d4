# SPDX-License-Identifier: Apache-2.0
"""fd.peer.spiffe.id: who is at the other end of a connection that is relayed with mTLS."""

import pytest

from conftest import spiffe
from mtls import PORTS, UNCOVERED, policy
from world import ROOT

pytestmark = pytest.mark.usefixtures("served")

ENTRIES = ("frontend", "backend", "orders")
RULES = """
- rule: Dialled
  desc: connects of the tests
  condition: evt.type = connect and proc.name = talk
  output: dialled %fd.name peer=%fd.peer.spiffe.id first=%fd.peer.spiffe.first since=%fd.peer.spiffe.since id=%spiffe.id ip=%fd.rip port=%fd.rport res=%evt.res
  priority: Notice

- rule: Accepted
  desc: accepts of the tests
  condition: evt.type = accept and proc.name = talk
  output: accepted peer=%fd.peer.spiffe.id port=%fd.lport
  priority: Notice
"""


# What the shipped rule of new peers waits for is a day away.
LEARNED = """
- macro: peers_are_learned
  condition: fd.peer.spiffe.since >= 0
  override: {condition: replace}
"""
NEW_PEER = "Workload speaks to a peer that it never had"


def TRAFFIC(world):
    return [policy("orders", [(world.place("orders"), PORTS)], clients=("frontend", "backend"))]


def test_both_ends_know_the_other(daemon, town):
    server = town.serve("mirror", port=8083)
    mark = daemon.alerts_mark()
    client = town.start("echo", 100, "pause", port=8083, stdin="pipe")

    dialled = daemon.wait_alert("Dialled", mark)["output_fields"]
    assert dialled["fd.peer.spiffe.id"] == spiffe("orders")
    # where it goes, not the worker that it was turned to
    assert (dialled["fd.rip"], dialled["fd.rport"]) == (town.address(), 8083)
    assert dialled["fd.name"].endswith(f"->{town.address()}:8083")
    alert = daemon.wait_alert(lambda a: a["rule"] == "Accepted" and a["output_fields"]["fd.lport"] == 8083, mark)
    assert alert["output_fields"]["fd.peer.spiffe.id"] == spiffe("frontend")
    client.send("go")
    client.wait()
    server.close()


def test_where_nothing_is_relayed_nobody_is_named(daemon, town):
    server = town.serve("mirror", port=UNCOVERED)
    mark = daemon.alerts_mark()
    town.dial("echo", 100, port=UNCOVERED).ok()
    alert = daemon.wait_alert(lambda a: a["rule"] == "Dialled" and a["output_fields"]["fd.rport"] == UNCOVERED, mark)
    assert alert["output_fields"]["fd.peer.spiffe.id"] is None and alert["output_fields"]["evt.res"] == "SUCCESS"
    server.close()


def test_a_peer_that_a_workload_never_had(world, daemon, town):
    daemon.settings["rules"]["matching"] = "all"
    daemon.restart()
    shipped = world.file("shipped.yaml", text=(ROOT / "rules/tipstaff_rules.yaml").read_text(), mode=0o644)
    daemon.cli("rules", "add", shipped)
    town.reconnect()
    server = town.serve("mirror")

    def dial():
        """What a connection of the backend told, by rule."""
        mark = daemon.alerts_mark()
        town.dial("echo", 100, name="backend").ok()
        daemon.wait_alert(lambda a: a["rule"] == "Dialled" and a["output_fields"]["spiffe.id"] == spiffe("backend"), mark)
        return {a["rule"]: a["output_fields"] for a in daemon.told(mark)
                if a["output_fields"].get("spiffe.id") == spiffe("backend") and a["rule"] in ("Dialled", NEW_PEER)}

    # The shipped rule says nothing while it learns. Frontend has spoken with orders; that is another's peer.
    told = dial()
    assert set(told) == {"Dialled"} and told["Dialled"]["fd.peer.spiffe.id"] == spiffe("orders")
    assert told["Dialled"]["fd.peer.spiffe.first"] is True and told["Dialled"]["fd.peer.spiffe.since"] == 0
    daemon.cli("rules", "add", world.file("learned.yaml", text=LEARNED, mode=0o644))
    # What is known is known after a restart too.
    # The connections may be over before their events are read.
    for _ in range(5):
        told = dial()
        assert told["Dialled"]["fd.peer.spiffe.first"] is False and NEW_PEER not in told
    assert daemon.json("connections")["stats"]["peers"] == 2 and daemon.json("connections")["stats"]["peers_forgotten"] == 0
    daemon.restart()
    town.reconnect()
    again = dial()
    assert again["Dialled"]["fd.peer.spiffe.first"] is False and NEW_PEER not in again
    assert again["Dialled"]["fd.peer.spiffe.since"] > told["Dialled"]["fd.peer.spiffe.since"] > 0
    # Where nothing is remembered it is a new one, and told.
    daemon.stop()
    (daemon.state_dir / "peers").unlink()
    daemon.start()
    town.reconnect()
    told = dial()
    assert told[NEW_PEER]["fd.peer.spiffe.id"] == spiffe("orders") and told[NEW_PEER]["proc.name"] == "talk"
    assert NEW_PEER not in dial()
    server.close()
