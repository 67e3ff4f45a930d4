# SPDX-License-Identifier: Apache-2.0
"""JWT-SVIDs: who gets which, what quarantine, an exec and a restart make of them."""

import base64
import json
import re
import time

import pytest

from conftest import UID, entry, spiffe
from world import CliError, until

AUDIENCE = "spiffe://example.org/peer"
FRONTEND = spiffe("frontend")


def ENTRIES(world):
    return [
        entry(world, "frontend", jwt_ttl="1h"),
        {"spiffe_id": spiffe("second"), "selectors": [f"cgroup:path:{world.cgroup_path('work/frontend')}"], "hint": "external"},
        entry(world, "backend"),
    ]


def part(token, index):
    text = token.split(".")[index]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def fetch(workload, *audience, **more):
    return workload.do("jwt", audience=list(audience or [AUDIENCE]), **more)


@pytest.fixture
def frontend(world, daemon):
    p = world.workload("frontend", daemon=daemon, uid=UID["frontend"])
    yield p
    p.close()


def test_token_of_every_identity(frontend):
    got = fetch(frontend)
    assert got["ok"], got
    assert [s["spiffe_id"] for s in got["svids"]] == [FRONTEND, spiffe("second")]
    header, claims = part(got["svids"][0]["token"], 0), part(got["svids"][0]["token"], 1)
    assert header == {"alg": "ES256", "typ": "JWT", "kid": header["kid"]}
    assert set(claims) == {"sub", "aud", "exp", "iat"}
    assert claims["sub"] == FRONTEND and claims["aud"] == [AUDIENCE]
    assert claims["exp"] - claims["iat"] == 3600, "the entry's own lifetime"
    assert abs(claims["iat"] - time.time()) < 60
    other = part(got["svids"][1]["token"], 1)
    assert other["exp"] - other["iat"] == 300, "the configuration's"
    assert [s["spiffe_id"] for s in fetch(frontend, id=spiffe("second"))["svids"]] == [spiffe("second")]
    # A token is handed out again, for any process of the entry.
    assert fetch(frontend)["svids"][0]["token"] == got["svids"][0]["token"]
    assert fetch(frontend, "another")["svids"][0]["token"] != got["svids"][0]["token"]


def test_not_one_of_its_identities(frontend):
    for name in ("backend", "nobody"):
        got = fetch(frontend, id=spiffe(name))
        assert got["code"] == "PERMISSION_DENIED" and got["text"] == "no identity issued", got


def test_validation(need, frontend):
    token = fetch(frontend)["svids"][0]["token"]
    backend = need("backend")
    assert backend.do("validate", token=token, audience=AUDIENCE)["spiffe_id"] == FRONTEND
    got = backend.do("validate", token=token, audience="somebody else")
    assert got["code"] == "INVALID_ARGUMENT" and "audience" in got["text"]
    got = backend.do("validate", token=token[:-8] + "AAAAAAAA", audience=AUDIENCE)
    assert got["code"] == "INVALID_ARGUMENT"


def test_rogue_gets_no_token_and_may_verify_others(world, daemon, frontend):
    token = fetch(frontend)["svids"][0]["token"]
    rogue = world.workload("rogue", daemon=daemon, uid=UID["rogue"])
    assert fetch(rogue)["code"] == "PERMISSION_DENIED"
    assert rogue.do("jwt_bundles")["code"] == "PERMISSION_DENIED"
    assert rogue.do("validate", token=token, audience=AUDIENCE)["spiffe_id"] == FRONTEND
    rogue.close()


def test_quarantine_withholds_tokens(daemon, frontend):
    before = fetch(frontend)["svids"][0]["token"]
    frontend.do("watch_jwt")
    assert frontend.next_news()["keys"]
    daemon.cli("quarantine", FRONTEND, "--reason", "a test")
    try:
        assert frontend.next_news().get("code") == "PERMISSION_DENIED", "the stream ends"
        assert fetch(frontend)["code"] == "PERMISSION_DENIED"
        assert fetch(frontend, id=spiffe("second"))["code"] == "PERMISSION_DENIED", "nor another identity's"
        assert frontend.do("jwt_bundles")["code"] == "PERMISSION_DENIED"
        assert frontend.do("validate", token=before, audience=AUDIENCE)["code"] == "PERMISSION_DENIED"
    finally:
        daemon.cli("release", FRONTEND)
    after = fetch(frontend)["svids"][0]["token"]
    assert after != before, "what was handed out before the quarantine is not handed out again"


def test_successor_of_a_quarantined_workload_gets_none(world, daemon):
    """What a quarantined workload executes is matched by an entry of its own, and still gets nothing: its origin is withheld."""
    added = daemon.json("identity", "add", spiffe("cli"), "--selector", f"unix:path:{world.build.resolve()}/tipstaff", "--ephemeral")
    p = world.workload("frontend", daemon=daemon, uid=UID["frontend"])
    try:
        argv = [str(a) for a in daemon.cli_argv("svid", "fetch-jwt", "--audience", AUDIENCE, "--json")]
        said = p.do("run", argv=argv)
        assert said["status"] == 0 and spiffe("cli") in said["said"], said
        daemon.cli("quarantine", FRONTEND, "--reason", "a test")
        said = p.do("run", argv=argv)
        assert said["status"] == 1 and "eyJ" not in said["said"], said
    finally:
        if daemon.json("quarantine", "list")["quarantined"]:
            daemon.cli("release", FRONTEND)
        daemon.cli("identity", "remove", added["id"])
        p.close()


def test_restart_keeps_the_key(daemon, need):
    backend = need("backend")
    token = fetch(backend)["svids"][0]["token"]
    keys = backend.do("jwt_bundles")["bundles"]
    daemon.restart()
    assert backend.do("jwt_bundles")["bundles"] == keys
    assert backend.do("validate", token=token, audience=AUDIENCE)["ok"]
    assert part(token, 0)["kid"] in keys["example.org"]


def test_next_key_is_published_before_it_signs(world):
    """A short-lived authority: its stream tells of the second key while the first one still signs."""
    d = world.daemon("short", entries=[entry(world, "backend", scope="short")],
                     identity={"authority": {"ca_ttl": "60s", "x509_ttl": "20s", "jwt_ttl": "10s"}})
    d.start()
    p = world.workload("backend", daemon=d, uid=UID["backend"])
    try:
        p.do("watch_jwt")
        first = p.next_news()["keys"]["example.org"]
        assert len(first) == 1
        both = p.next_news(timeout=45)["keys"]["example.org"]
        assert len(both) == 2 and set(first) < set(both)
        token = fetch(p)["svids"][0]["token"]
        assert part(token, 0)["kid"] == first[0]
        fresh = until("the second key to sign", lambda: part((t := fetch(p)["svids"][0]["token"]), 0)["kid"] != first[0] and t, 30.0)
        assert p.do("validate", token=fresh, audience=AUDIENCE)["ok"]
    finally:
        p.close()
        d.remove()


@pytest.fixture
def svid(world, daemon):
    """Runs `tipstaff svid ...` as a workload: (exit status, what it printed)."""

    def go(*args, who="frontend", stdin=None):
        p = world.spawn(daemon.cli_argv("svid", *args), cgroup=who, uid=UID[who], stdin="pipe" if stdin is not None else None)
        if stdin is not None:
            p.send(stdin)
            p.popen.stdin.close()
        return p.wait(), p.text()

    return go


def test_cli_fetches(svid):
    status, text = svid("fetch-jwt", "--audience", AUDIENCE, "-a", "b", "--json")
    assert status == 0, text
    got = json.loads(text)["svids"]
    assert [s["spiffe_id"] for s in got] == [FRONTEND, spiffe("second")]
    assert got[0]["audience"] == [AUDIENCE, "b"] and got[1]["hint"] == "external"
    assert got[0]["expires"] == part(got[0]["token"], 1)["exp"]
    status, text = svid("fetch-jwt", "--audience", AUDIENCE)
    assert status == 0 and FRONTEND in text and "hint      external" in text and re.search(r"expires +.* left", text), text
    # One token alone can be handed to curl.
    status, text = svid("fetch-jwt", "--audience", AUDIENCE, "--spiffe-id", spiffe("second"), "--token")
    assert status == 0 and part(text, 1)["sub"] == spiffe("second")


def test_cli_validates(svid):
    _, token = svid("fetch-jwt", "--audience", AUDIENCE, "--token")
    for who in ("backend", "rogue"):
        status, text = svid("validate-jwt", "--audience", AUDIENCE, token, "--json", who=who)
        assert status == 0 and json.loads(text) == {"spiffe_id": FRONTEND, "claims": part(token, 1)}
    status, text = svid("validate-jwt", "--audience", AUDIENCE, "-", stdin=f"  {token}\n")
    assert status == 0 and FRONTEND in text and re.search(r"expires +.* left", text), text
    status, text = svid("validate-jwt", "--audience", "c", token)
    assert status == 1 and "another audience" in text


@pytest.mark.parametrize("args, status, said", [
    (["fetch-jwt"], 2, "--audience"),
    (["fetch-jwt", "--audience", "x", "--spiffe-id", "nonsense"], 2, "spiffe://"),
    (["fetch-jwt", "--audience", "x", "--spiffe-id", "spiffe://example.org/backend"], 1, "no identity issued"),
    (["fetch-jwt", "--audience", ""], 1, "audience must be specified"),
    (["validate-jwt", "x.y.z"], 2, "--audience"),
    (["validate-jwt", "--audience", "x"], 2, "TOKEN"),
    (["validate-jwt", "--audience", "x", ""], 1, "svid must be specified"),
    (["validate-jwt", "--audience", "x", "e30.e30.AA"], 1, "algorithm"),
])
def test_cli_says_what_is_wrong(svid, args, status, said):
    got, text = svid(*args)
    assert got == status and said in text, text


def test_entries_tell_their_lifetime(daemon):
    listed = {e["spiffe_id"]: e["jwt_ttl"] for e in daemon.json("identity", "list")["entries"]}
    assert listed == {FRONTEND: 3600, spiffe("second"): 300, spiffe("backend"): 300}
    added = daemon.json("identity", "add", spiffe("x"), "--selector", "unix:uid:1", "--jwt-ttl", "90s", "--ephemeral")
    try:
        assert {e["spiffe_id"]: e["jwt_ttl"] for e in daemon.json("identity", "list")["entries"]}[spiffe("x")] == 90
    finally:
        daemon.cli("identity", "remove", added["id"])
    with pytest.raises(CliError) as failed:
        daemon.cli("identity", "add", spiffe("y"), "--selector", "unix:uid:1", "--jwt-ttl", "25h")
    assert "24h" in failed.value.text
