# SPDX-License-Identifier: Apache-2.0
"""Every edge of the Workload API's headers, codes and methods, asked with plain grpcio calls."""

import json
import pathlib

import pytest

from conftest import UID, entry, spiffe

HERE = pathlib.Path(__file__).parent
SECURITY = ["workload.spiffe.io", "true"]
SERVICE = "/SpiffeWorkloadAPI/"


def ENTRIES(world):
    return [entry(world, "frontend")]


@pytest.fixture
def call(world, daemon):
    def go(method, *headers, request=b"", who="frontend", more=()):
        env = {"SPIFFE_ENDPOINT_SOCKET": f"unix:{daemon.workload_socket}", "PYTHONDONTWRITEBYTECODE": "1"}
        path = method if method.startswith("/") else SERVICE + method
        p = world.spawn([world.python(), world.file("caller.py", HERE / "caller.py"), path, json.dumps(headers),
                         request.hex(), *more], cgroup=who, uid=UID[who], env=env)
        # One answer, or a list of them where `more` has more requests.
        answers = [p.json(20) for _ in range(1 + sum(not m.startswith("--") for m in more))]
        p.close()
        return answers[0] if len(answers) == 1 else answers

    return go


@pytest.mark.parametrize("method", ["FetchX509SVID", "FetchX509Bundles"])
class TestSecurityHeader:
    def test_right(self, call, method):
        assert call(method, SECURITY)["code"] == "OK"

    @pytest.mark.parametrize("headers", [
        [],
        [["workload.spiffe.io", "True"]],
        [["workload.spiffe.io", "1"]],
        [["workload.spiffe.io", ""]],
        [["workload.spiffe.io", "true"], ["workload.spiffe.io", "false"]],
        [["x-workload.spiffe.io", "true"]],
    ])
    def test_wrong(self, call, method, headers):
        got = call(method, *headers)
        assert got["code"] == "INVALID_ARGUMENT" and not got["messages"], got
        assert got["text"] == "security header missing from request"


def test_header_is_asked_before_identity(call):
    """A caller without the header learns nothing about whether it has an identity."""
    assert call("FetchX509SVID", who="rogue")["code"] == "INVALID_ARGUMENT"


def test_no_identity(call):
    got = call("FetchX509SVID", SECURITY, who="rogue")
    assert got["code"] == "PERMISSION_DENIED" and got["text"] == "no identity issued"


@pytest.mark.parametrize("method", ["FetchWITSVID", "FetchWITBundles", "NoSuchMethod", "/Nope/Nope",
                                    "/grpc.health.v2.Health/Check"])
def test_not_implemented(call, method):
    assert call(method, SECURITY)["code"] == "UNIMPLEMENTED"


def test_request_with_unknown_fields_is_fine(call):
    """Field 15, a string: a newer client."""
    assert call("FetchX509SVID", SECURITY, request=b"\x7a\x03abc")["code"] == "OK"


@pytest.mark.parametrize("request_bytes", [b"\xff\xff\xff\xff", b"\x0a\x7f"])
def test_request_that_is_no_protobuf(call, request_bytes):
    assert call("FetchX509SVID", SECURITY, request=request_bytes)["code"] in ("INVALID_ARGUMENT", "INTERNAL")


def test_oversized_request(call):
    # Field 15 of 65536 bytes; given as a repetition, since an argument has a limit of its own.
    got = call("FetchX509SVID", SECURITY, request=b"\x7a\x80\x80\x04", more=["--zeros=65536"])
    assert got["code"] in ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "UNAVAILABLE") and not got["messages"]


def test_compressed_request_is_not_understood(call):
    got = call("FetchX509SVID", SECURITY, request=b"\x7a\x40" + bytes(64), more=["--gzip"])
    assert got["code"] == "UNIMPLEMENTED"


def test_other_metadata_is_ignored(call):
    assert call("FetchX509SVID", SECURITY, ["x-request-id", "7"], ["x-trace", "abc"])["code"] == "OK"


def fields(data):
    """The (number, value) pairs of a protobuf message, length-delimited ones only: enough for these messages."""
    at, found = 0, []

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = varint()
        assert tag & 7 == 2, "only length-delimited fields are in these messages"
        size = varint()
        found.append((tag >> 3, data[at:at + size]))
        at += size
    return found


def test_message_on_the_wire(call):
    """Field numbers and forms as the standard has them, read by hand."""
    message = bytes.fromhex(call("FetchX509SVID", SECURITY)["messages"][0])
    svids = [value for number, value in fields(message) if number == 1]
    assert len(svids) == 1
    svid = dict(fields(svids[0]))
    assert svid[1].decode() == spiffe("frontend")
    assert svid[2][:1] == b"\x30" and svid[3][:1] == b"\x30" and svid[4][:1] == b"\x30", "DER"
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

    leaf = x509.load_der_x509_certificate(svid[2])
    key = load_der_private_key(svid[3], None)
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert key.public_key().public_bytes(*spki) == leaf.public_key().public_bytes(*spki)
    san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.UniformResourceIdentifier) == [spiffe("frontend")]
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical and usage.value.digital_signature and not usage.value.key_cert_sign and not usage.value.crl_sign
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    bundle = x509.load_der_x509_certificate(svid[4])
    leaf.verify_directly_issued_by(bundle)

    bundles = bytes.fromhex(call("FetchX509Bundles", SECURITY)["messages"][0])
    pairs = [dict(fields(value)) for number, value in fields(bundles) if number == 2]
    assert len(pairs) == 1
    assert pairs[0][1] == b"spiffe://example.org", "the map's key is the trust domain's SPIFFE ID"
    assert pairs[0][2] == svid[4]
