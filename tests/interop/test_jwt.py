# SPDX-License-Identifier: Apache-2.0
"""The JWT methods against py-spiffe, PyJWT and google.protobuf: tokens of ours judged by them, theirs judged by us."""

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.struct_pb2 import Struct
from spiffe import JwtBundle, JwtSvid, TrustDomain

from conftest import UID, entry, spiffe
from test_grpc import SECURITY, call, fields  # noqa: F401 (call is a fixture)

FRONTEND, BACKEND = spiffe("frontend"), spiffe("backend")
AUDIENCE = "spiffe://example.org/peer"


def ENTRIES(world):
    return [
        entry(world, "frontend", hint="a"),
        {"spiffe_id": spiffe("second"), "selectors": [f"cgroup:path:{world.cgroup_path('work/frontend')}"], "hint": "b"},
        {"spiffe_id": spiffe("third"), "selectors": [f"unix:uid:{UID['frontend']}"], "hint": "b"},
        entry(world, "backend"),
    ]


def field(number, value):
    """One length-delimited field of a protobuf message."""
    data = value.encode() if isinstance(value, str) else value
    size, length = len(data), b""
    while size > 0x7F:
        length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


def fetch_request(*audiences, spiffe_id=""):
    return b"".join(field(1, a) for a in audiences) + (field(2, spiffe_id) if spiffe_id else b"")


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def b64(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else json.dumps(data).encode()).rstrip(b"=").decode()


@pytest.fixture
def bundle(call):  # noqa: F811
    """The JWKS of the trust domain, as it is on the wire."""
    message = bytes.fromhex(call("FetchJWTBundles", SECURITY)["messages"][0])
    pairs = [dict(fields(value)) for number, value in fields(message) if number == 1]
    assert [p[1] for p in pairs] == [b"spiffe://example.org"]
    return pairs[0][2]


@pytest.fixture
def token(call):  # noqa: F811
    message = bytes.fromhex(call("FetchJWTSVID", SECURITY, request=fetch_request(AUDIENCE))["messages"][0])
    return dict(fields(fields(message)[0][1]))[2].decode()


@pytest.fixture
def judge_all(call):  # noqa: F811
    """What ValidateJWTSVID says of each token: [(code, text, {field: value})]."""

    def go(texts, audience=AUDIENCE, who="backend"):
        first, *rest = [field(1, audience) + field(2, text) for text in texts]
        answers = call("ValidateJWTSVID", SECURITY, request=first, who=who, more=[r.hex() for r in rest])
        return [(got["code"], got["text"], dict(fields(bytes.fromhex(got["messages"][0]))) if got["messages"] else {})
                for got in (answers if rest else [answers])]

    return go


@pytest.fixture
def judge(judge_all):
    return lambda text, **kwargs: judge_all([text], **kwargs)[0]


# ---- ours, judged by others ----------------------------------------------------------------


def test_pyjwt_verifies_what_we_sign(token, bundle):
    keys = {k.key_id: k for k in jwt.PyJWKSet.from_json(bundle.decode()).keys}
    header = jwt.get_unverified_header(token)
    assert header["alg"] == "ES256" and header["typ"] == "JWT"
    claims = jwt.decode(token, keys[header["kid"]].key, algorithms=["ES256"], audience=AUDIENCE,
                        options={"require": ["exp", "sub", "aud", "iat"]})
    assert claims["sub"] == FRONTEND and claims["aud"] == [AUDIENCE]
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token[:-10] + "A" * 10, keys[header["kid"]].key, algorithms=["ES256"], audience=AUDIENCE)
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(token, keys[header["kid"]].key, algorithms=["ES256"], audience="other")


def test_py_spiffe_verifies_what_we_sign(token, bundle):
    svid = JwtSvid.parse_and_validate(token, JwtBundle.parse(TrustDomain("example.org"), bundle), {AUDIENCE})
    assert str(svid.spiffe_id) == FRONTEND


def test_bundle_is_a_plain_jwks(bundle):
    doc = json.loads(bundle)
    assert set(doc) == {"keys"} and len(doc["keys"]) == 1
    key = doc["keys"][0]
    assert set(key) == {"kty", "crv", "x", "y", "kid"}, "no use, no private half"
    assert key["kty"] == "EC" and key["crv"] == "P-256"
    thumb = json.dumps({k: key[k] for k in ("crv", "kty", "x", "y")}, separators=(",", ":"), sort_keys=True)
    assert key["kid"] == b64(hashlib.sha256(thumb.encode()).digest()), "RFC 7638"


def test_claims_are_a_google_struct(token, judge):
    code, _, message = judge(token)
    assert code == "OK" and message[1].decode() == FRONTEND
    claims = Struct.FromString(message[2])
    assert claims["sub"] == FRONTEND and list(claims["aud"]) == [AUDIENCE]
    assert claims["exp"] - claims["iat"] == 300 and abs(claims["iat"] - time.time()) < 60


# ---- the edges of the three methods ----------------------------------------------------------


@pytest.mark.parametrize("method", ["FetchJWTSVID", "FetchJWTBundles", "ValidateJWTSVID"])
def test_header_is_asked_first(call, method):  # noqa: F811
    for headers in ([], [["workload.spiffe.io", "True"]], [SECURITY, SECURITY]):
        got = call(method, *headers, request=b"\xff", who="rogue")
        assert got["code"] == "INVALID_ARGUMENT" and got["text"] == "security header missing from request"


@pytest.mark.parametrize("method, request_bytes, text", [
    ("FetchJWTSVID", b"", "audience must be specified"),
    ("FetchJWTSVID", fetch_request(""), "audience must be specified"),
    ("FetchJWTSVID", fetch_request("a", ""), "audience must be specified"),
    ("FetchJWTSVID", fetch_request(*"abcdefghijklmnopq"), "more than 16 audiences"),
    ("FetchJWTSVID", fetch_request("x" * 2049), "audiences of more than 2048 bytes"),
    ("FetchJWTSVID", field(1, b"\xff\xfe"), "malformed request"),
    ("FetchJWTSVID", b"\x0a\x7f", "malformed request"),
    ("FetchJWTSVID", fetch_request("a", spiffe_id="spiffe://example.org/x/"), "invalid requested SPIFFE ID: "),
    ("FetchJWTSVID", fetch_request("a", spiffe_id="nobody"), "invalid requested SPIFFE ID: "),
    ("ValidateJWTSVID", b"", "audience must be specified"),
    ("ValidateJWTSVID", field(1, "a"), "svid must be specified"),
    ("ValidateJWTSVID", field(2, "a.b.c"), "audience must be specified"),
    ("FetchJWTBundles", b"\x0a\x7f", "malformed request"),
])
def test_bad_requests(call, method, request_bytes, text):  # noqa: F811
    got = call(method, SECURITY, request=request_bytes)
    assert got["code"] == "INVALID_ARGUMENT" and got["text"].startswith(text), got
    assert not got["messages"]


def test_every_identity_and_one(call):  # noqa: F811
    def ids(spiffe_id=""):
        got = call("FetchJWTSVID", SECURITY, request=fetch_request("x", spiffe_id=spiffe_id))
        return [dict(fields(v)) for _, v in fields(bytes.fromhex(got["messages"][0]))]

    # Two have the hint "b": hints are unique in an answer, the first stays.
    every = ids()
    assert [(s[1].decode(), s[3]) for s in every] == [(FRONTEND, b"a"), (spiffe("second"), b"b")]
    assert [s[1].decode() for s in ids(spiffe("third"))] == [spiffe("third")]


@pytest.mark.parametrize("request_bytes, who", [
    (fetch_request("x", spiffe_id=BACKEND), "frontend"),
    (fetch_request("x", spiffe_id="spiffe://example.com/frontend"), "frontend"),
    (fetch_request("x", spiffe_id="spiffe://example.org"), "frontend"),
    (fetch_request("x"), "rogue"),
])
def test_not_issued(call, request_bytes, who):  # noqa: F811
    got = call("FetchJWTSVID", SECURITY, request=request_bytes, who=who)
    assert got["code"] == "PERMISSION_DENIED" and got["text"] == "no identity issued"


def test_bundles_are_for_those_who_are_somebody(call):  # noqa: F811
    got = call("FetchJWTBundles", SECURITY, who="rogue")
    assert got["code"] == "PERMISSION_DENIED" and got["text"] == "no identity issued"


# ---- theirs, judged by us ---------------------------------------------------------------------


def claims_now(**more):
    return {"sub": FRONTEND, "aud": [AUDIENCE], "exp": int(time.time()) + 300, "iat": int(time.time()), **more}


def test_who_has_no_identity_may_verify(token, judge):
    assert judge(token, who="rogue")[0] == "OK"


def test_other_audience(token, judge):
    code, text, _ = judge(token, audience="spiffe://example.org/other")
    assert code == "INVALID_ARGUMENT" and "another audience" in text


@pytest.mark.parametrize("name", ["other key", "no kid", "foreign domain", "none", "hs256", "eddsa", "rs256", "jwk", "crit",
                                  "padding", "four parts", "json", "claims", "header", "stripped", "huge", "twice"])
def test_forged(name, token, bundle, judge_all):
    """All of them name the right key or none, and are made by somebody who does not have it."""
    kid = jwt.get_unverified_header(token)["kid"]
    head, body, sig = token.split(".")
    mine, his = ec.generate_private_key(ec.SECP256R1()), json.loads(bundle)["keys"][0]
    public = jwt.PyJWK(his).key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(claims, key=mine, alg="ES256", **headers):
        return jwt.encode(claims, key, algorithm=alg, headers={"kid": kid, **headers})

    def hs256(secret):
        text = f"{b64({'alg': 'HS256', 'kid': kid, 'typ': 'JWT'})}.{b64(claims_now())}"
        return f"{text}.{b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"

    twice_header = b'{"alg":"none","alg":"ES256","kid":"' + kid.encode() + b'"}'
    twice_claims = unb64(body)[:-1] + b',"sub":"' + BACKEND.encode() + b'"}'
    forged = {
        "other key": lambda: [sign(claims_now())],
        "no kid": lambda: [jwt.encode(claims_now(), mine, algorithm="ES256")],
        "foreign domain": lambda: [sign(claims_now(sub="spiffe://example.com/frontend"))],
        "none": lambda: [f"{b64({'alg': a, 'kid': kid})}.{body}.{s}" for a in ("none", "None", "") for s in ("", sig)],
        # The public key taken for a secret, in every form in which it could be.
        "hs256": lambda: [hs256(s) for s in (public, public.strip(), json.dumps(his).encode(), unb64(his["x"]), b"")],
        "eddsa": lambda: [sign(claims_now(), ed25519.Ed25519PrivateKey.generate(), "EdDSA")],
        "rs256": lambda: [sign(claims_now(), rsa.generate_private_key(65537, 2048), "RS256")],
        "jwk": lambda: [sign(claims_now(), jwk=json.loads(jwt.algorithms.ECAlgorithm.to_jwk(mine.public_key())))],
        "crit": lambda: [f"{b64({'alg': 'ES256', 'kid': kid, 'crit': ['exp'], 'exp': 1})}.{body}.{sig}"],
        "padding": lambda: [token + "=", token + "==", f"{head}=.{body}.{sig}", token + "\n", " " + token],
        "four parts": lambda: [token + ".", f"{token}.{sig}", f".{token}", f"{head}.{sig}", f"{head}..{sig}", "..", "."],
        "json": lambda: [json.dumps({"protected": head, "payload": body, "signature": sig}),
                         json.dumps({"payload": body, "signatures": [{"protected": head, "signature": sig}]})],
        "claims": lambda: [f"{head}.{b64({**json.loads(unb64(body)), **more})}.{sig}"
                           for more in ({"sub": BACKEND}, {"exp": 9999999999}, {"x": 1})],
        "header": lambda: [f"{b64({**json.loads(unb64(head)), 'typ': t})}.{body}.{sig}" for t in ("JOSE", "at+jwt")],
        "stripped": lambda: [token[:-1], f"{head}.{body}.", token[:-4], f"{head}.{body}.{sig[:44]}"],
        "huge": lambda: [sign(claims_now(x="x" * 6000)), "a" * 8192 + ".b.c", sign(claims_now(aud=[AUDIENCE] + ["x" * 40] * 80))],
        "twice": lambda: [".".join((b64(twice_header), body, sig)), ".".join((head, b64(twice_claims), sig))],
    }
    texts = forged[name]()
    *answers, honest = judge_all([*texts, token])
    for text, (code, why, message) in zip(texts, answers, strict=True):
        assert code == "INVALID_ARGUMENT" and not message, (name, text[:200], code, why)
    assert honest[0] == "OK", "and the true one holds"


def test_token_that_is_larger_than_any_is_refused(judge):
    code, _, message = judge("a" * 20000)
    assert code in ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT") and not message


def test_token_of_another_authority(world, judge):
    """Of a trust domain of the same name that is not ours."""
    other = world.daemon("stranger", entries=[entry(world, "frontend", scope="stranger")])
    other.start()
    try:
        p = world.workload("frontend", daemon=other, uid=UID["frontend"])
        theirs = p.do("jwt", audience=[AUDIENCE])["svids"][0]["token"]
        p.close()
    finally:
        other.remove()
    code, text, _ = judge(theirs)
    assert code == "INVALID_ARGUMENT" and "not in the bundle" in text
