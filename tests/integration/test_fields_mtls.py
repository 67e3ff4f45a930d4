# SPDX-License-Identifier: Apache-2.0
"""fd.peer.spiffe.id: who is at the other end of a connection that is relayed with mTLS."""

import pytest

from conftest import spiffe
from mtls import UNCOVERED, orders_policy

pytestmark = pytest.mark.usefixtures("served")

ENTRIES = ("frontend", "orders")
RULES = """
- rule: Dialled
  desc: connects of the tests
  condition: evt.type = connect and proc.name = talk
  output: dialled %fd.name peer=%fd.peer.spiffe.id ip=%fd.rip port=%fd.rport res=%evt.res
  priority: Notice

- rule: Accepted
  desc: accepts of the tests
  condition: evt.type = accept and proc.name = talk
  output: accepted peer=%fd.peer.spiffe.id port=%fd.lport
  priority: Notice
"""


def TRAFFIC(world):
    return [orders_policy(world)]


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
