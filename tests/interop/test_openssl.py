# SPDX-License-Identifier: Apache-2.0
"""The data path against `openssl s_client` and `s_server`, which know no ALPN of ours: plain "handshake done" semantics."""

import contextlib
import re

import pytest
from cryptography import x509

from conftest import spiffe
from peers import BAD, PEER_PORTS, SERVER_PORT, Scene
from tiers import detail
from world import until


OVER_RECORDS = True


@pytest.fixture(scope="module")
def scene(world):
    return Scene(world)


@pytest.fixture(scope="module")
def daemon(scene):
    return scene.daemon


def files(svid):
    return ["-cert", svid / "svid.0.pem", "-key", svid / "svid.0.key", "-CAfile", svid / "bundle.0.pem"]


# ---- openssl is the client -----------------------------------------------------


def s_client(scene, *args):
    return scene.stranger(["openssl", "s_client", "-connect", f"{scene.at['server']}:{SERVER_PORT}", "-verify_return_error",
                           *args], stdin="pipe")


def test_s_client_is_served(scene):
    before = scene.accepted()
    p = s_client(scene, *files(scene.svids["frontend"]))
    p.send("there and back")
    until("the echo", lambda: "there and back" in p.output)
    said = p.text()
    assert "New, TLSv1.3" in said and "Verification: OK" in said and "No ALPN negotiated" in said
    pem = re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", said, re.S).group()
    names = x509.load_pem_x509_certificate(pem.encode()).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [spiffe("backend")]
    p.send("Q")
    assert p.wait() == 0
    assert scene.accepted() == before + 1
    seen = [line for line in scene.app.output if '"accepted"' in line][-1]
    assert f'"accepted":"{scene.at["peer"]}:' in seen, "the application sees the client's own address"


def test_s_client_sends_many_records(scene):
    lines = [f"line {i}" for i in range(20000)]
    p = s_client(scene, "-quiet", *files(scene.svids["frontend"]))
    p.send("\n".join(lines))
    until("all of it to come back", lambda: len(p.output) >= len(lines) and p.output[-1] == lines[-1])
    assert [line for line in p.output if line.startswith("line ")] == lines
    p.close()


def rekeys():
    return "rekey yes" in detail("ktls")


@pytest.mark.parametrize("key", ["k", "K"], ids=["update", "update-requested"])
def test_s_client_changes_its_key(scene, records, key):
    """OpenSSL follows, and answers where it is asked to. So does the kernel from Linux 6.14 on; before, the connection
    ends, and the cause is told."""
    mark = scene.daemon.alerts_mark()
    p = s_client(scene, *files(scene.svids["frontend"]))
    p.send("before")
    until("the echo", lambda: "before" in p.output)
    p.send(key)
    until("the new key", lambda: "KEYUPDATE" in p.output)  # a command is the whole of what it reads at once
    p.send("after")
    if records == "user" or rekeys():
        until("the echo", lambda: "after" in p.output)
        p.send("Q")
        assert p.wait() == 0
        return
    alert = scene.daemon.wait_alert(
        lambda a: a["rule"] == "mTLS connection cut" and a["output_fields"]["tipstaff.cause"] == "key-update", since=mark)
    assert alert["output_fields"]["tipstaff.peer.id"] == spiffe("frontend")
    p.wait()
    assert "after" not in p.output


def test_s_server_sends_tickets(scene, s_server, records):
    """They come between the handshake and the data, and are none of the application's affair."""
    s_server(*ASKS, "-num_tickets", "20", *files(scene.svids["backend"]))
    connected, _, heard = scene.dial("say", "there and back\n", "hear", 100)
    assert connected["errno"] == "ok" and heard["text"].startswith("kcab dna ereht")


def test_who_makes_the_records(scene, records):
    """What the other tests of this module are run over is what they say."""
    p = s_client(scene, "-quiet", *files(scene.svids["frontend"]))
    p.send("x")
    until("the echo", lambda: "x" in p.output)
    peer = until("the connection", lambda: next(
        (c for c in scene.daemon.json("connections")["connections"] if c["remote"].startswith(scene.at["peer"]) and c["backend"]),
        None))
    assert peer["backend"] == records
    p.close()


def refused_client(scene, cause, *args):
    """One that gets not a byte of the application, and whose failure is told with its cause."""
    before, mark = scene.accepted(), scene.daemon.alerts_mark()
    p = s_client(scene, *args)
    with contextlib.suppress(BrokenPipeError):  # it may be refused already
        p.send("marker")
    fields = scene.refusal(cause, "inbound", mark)
    status = p.wait()
    assert status != 0 and "marker" not in p.output, p.text()
    assert scene.accepted() == before
    assert fields["fd.rip"] == scene.at["peer"] and fields["tipstaff.own.id"] == spiffe("backend")
    return p.text(), fields


@pytest.mark.parametrize("cause", BAD)
def test_s_client_with_a_bad_certificate(scene, cause):
    said, _ = refused_client(scene, cause, *files(BAD[cause](scene, spiffe("frontend"))))
    assert "alert" in said


def test_s_client_without_a_certificate(scene):
    said, _ = refused_client(scene, "no-certificate", "-CAfile", scene.svids["frontend"] / "bundle.0.pem")
    assert "alert certificate required" in said or "alert handshake failure" in said


def test_s_client_that_policy_does_not_list(scene):
    _, fields = refused_client(scene, "denied", *files(scene.svids["backend"]))
    assert fields["tipstaff.peer.id"] == spiffe("backend")


def test_s_client_with_tls_1_2(scene):
    said, _ = refused_client(scene, "tls-version", "-tls1_2", *files(scene.svids["frontend"]))
    assert "alert protocol version" in said


# ---- openssl is the server -----------------------------------------------------


@pytest.fixture
def s_server(scene):
    """Starts `openssl s_server` at the peer; it sends each line back reversed."""
    running = []

    def start(*args):
        p = scene.stranger(["openssl", "s_server", "-accept", f"{scene.at['peer']}:{PEER_PORTS[0]}", "-rev", *args],
                           ready="ACCEPT")
        running.append(p)
        return p

    yield start
    for p in running:
        p.close()


ASKS = ("-Verify", "1", "-verify_return_error")


def test_s_server_is_served(scene, s_server):
    server = s_server(*ASKS, *files(scene.svids["backend"]))
    connected, _, heard = scene.dial("say", "there and back\n", "hear", 100)
    assert connected["errno"] == "ok" and connected["peer"] == f"{scene.at['peer']}:{PEER_PORTS[0]}"
    assert heard["text"].startswith("kcab dna ereht")
    until("it to have verified our certificate", lambda: "Verification: OK" in server.text())
    assert "Protocol version: TLSv1.3" in server.text()


def test_s_server_with_our_alpn_but_no_verdict(scene, s_server):
    """Who takes the ALPN owes the verdict. This one says nothing, so it ends with the handshake's time limit."""
    s_server(*ASKS, "-alpn", "tipstaff/1", *files(scene.svids["backend"]))
    mark = scene.daemon.alerts_mark()
    assert scene.dial()[0]["errno"] == "EHOSTUNREACH"
    assert scene.refusal("timeout", "outbound", mark)


def refused_by_us(scene, cause):
    mark = scene.daemon.alerts_mark()
    answers = scene.dial("say", "marker\n", "hear", 100)
    assert answers[0]["errno"] == "ECONNREFUSED" and len(answers) == 1, answers
    fields = scene.refusal(cause, "outbound", mark)
    assert fields["tipstaff.own.id"] == spiffe("frontend") and fields["tipstaff.expected.id"] == spiffe("backend")
    return fields


def test_s_server_with_an_alpn_list_without_ours(scene, s_server):
    """It insists on one of its own (RFC 7301, 3.2). Who wants our clients has no list, or has ours in it."""
    s_server(*ASKS, "-alpn", "h2,http/1.1", *files(scene.svids["backend"]))
    refused_by_us(scene, "alpn-refused")


@pytest.mark.parametrize("cause", BAD)
def test_s_server_with_a_bad_certificate(scene, s_server, cause):
    server = s_server(*ASKS, *files(BAD[cause](scene, spiffe("backend"))))
    refused_by_us(scene, cause)
    assert "marker" not in server.text()


def test_s_server_of_another_identity(scene, s_server):
    s_server(*ASKS, *files(scene.svids["frontend"]))
    assert refused_by_us(scene, "not-pinned")["tipstaff.peer.id"] == spiffe("frontend")


def test_s_server_with_tls_1_2(scene, s_server):
    s_server(*ASKS, "-tls1_2", *files(scene.svids["backend"]))
    refused_by_us(scene, "tls-version")


def test_server_that_speaks_no_tls(scene):
    server = scene.stranger([scene.world.program("talk"), "serve", scene.at["peer"], PEER_PORTS[0], "say", "220 welcome\n"],
                            ready="listening")
    refused_by_us(scene, "plaintext")
    server.close()


def test_s_server_whose_identity_is_quarantined_here(scene, s_server):
    """It runs elsewhere and holds a certificate that is good: nobody of this node talks to it all the same."""
    s_server(*ASKS, *files(scene.svids["backend"]))
    assert scene.dial()[0]["errno"] == "ok"
    scene.daemon.cli("quarantine", spiffe("backend"), "--reason", "a test")
    try:
        mark = scene.daemon.alerts_mark()
        assert scene.dial()[0]["errno"] == "ECONNREFUSED"
        assert scene.refusal("denied", "outbound", mark)["tipstaff.expected.id"] == spiffe("backend")
    finally:
        scene.daemon.cli("release", spiffe("backend"))
    assert scene.dial()[0]["errno"] == "ok"


def test_s_server_that_refuses_our_certificate(scene, s_server):
    """In TLS 1.3 it can say so only after we are done, and it has no verdict record: connect() has succeeded, and the
    application's first read or write fails."""
    server = s_server(*ASKS, *files(scene.svids["backend"]), "-CAfile", BAD["untrusted"](scene, spiffe("x")) / "svid.0.pem")
    connected, *rest = scene.dial("hear", 100)
    # The reset can be faster than the way out of connect().
    assert connected["errno"] in ("ok", "ECONNRESET")
    assert [r["errno"] for r in rest] == (["ECONNRESET"] if connected["errno"] == "ok" else [])
    until("it to say why", lambda: "verify error" in server.text())


def test_s_server_that_asks_for_no_certificate(scene, s_server):
    """Strict is mutual: who does not ask who we are is no peer."""
    s_server(*files(scene.svids["backend"]))
    refused_by_us(scene, "no-request")
