# SPDX-License-Identifier: Apache-2.0
"""go-spiffe, with the gRPC and the TLS of Go: a small program of ours (go/main.go) as a workload.

It needs a Go toolchain, and its modules from the module proxy or the module cache; without them the tests are skipped.
"""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import UID, entry, spiffe
from world import until

# The first test waits until the program is built.
pytestmark = [pytest.mark.timeout(600), pytest.mark.may_skip("Go with these modules")]
HERE = pathlib.Path(__file__).parent / "go"
AUDIENCE = "spiffe://example.org/peer"
FRONTEND, BACKEND = spiffe("frontend"), spiffe("backend")


def ENTRIES(world):
    return [
        entry(world, "frontend", hint="internal"),
        {"spiffe_id": spiffe("second"), "selectors": [f"cgroup:path:{world.cgroup_path('work/frontend')}"], "hint": "external"},
        entry(world, "backend"),
        {"spiffe_id": spiffe("short"), "selectors": [f"cgroup:path:{world.cgroup_path('work/short')}"], "x509_ttl": "10s"},
    ]


def go(*args, **kwargs):
    env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
    return subprocess.run([shutil.which("go") or "/usr/local/go/bin/go", *args], cwd=HERE, env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **kwargs)


@pytest.fixture(scope="module")
def client(world):
    """The built program, in the world's folder, where every uid can run it."""
    try:
        version = go("env", "GOVERSION", timeout=60).stdout.strip()
    except FileNotFoundError:
        pytest.skip("there is no Go toolchain")
    wanted = re.search(r"^go (\d+)\.(\d+)", (HERE / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    have = re.match(r"go(\d+)\.(\d+)", version)
    if not have or tuple(map(int, have.groups())) < tuple(map(int, wanted.groups())):
        pytest.skip(f"{version} is older than go {wanted[1]}.{wanted[2]}")
    fetched = go("mod", "download", timeout=240)
    if fetched.returncode:
        pytest.skip(f"go mod download: {fetched.stdout.strip()[-300:]}")
    program = world.build / "interop-go"
    built = go("build", "-trimpath", "-o", str(program.resolve()), ".", timeout=280)
    assert built.returncode == 0, built.stdout
    return world.file("go-client", program)


@pytest.fixture
def start(world, daemon, client):
    """Starts the program as a workload."""

    def begin(who, *args, uid=None):
        env = {"SPIFFE_ENDPOINT_SOCKET": f"unix://{daemon.workload_socket}"}
        return world.spawn([client, *args], cgroup=who, uid=UID[who] if uid is None else uid, env=env)

    return begin


@pytest.fixture
def ask(start):
    """Runs it to its end; what it said."""

    def once(who, *args, fails=False):
        p = start(who, *args)
        said = p.json(30)
        assert (p.wait() != 0) == fails, said
        return said

    return once


def test_x509_source(ask, need):
    got = ask("frontend", "x509")
    theirs = need("frontend").do("fetch")
    assert got["spiffe_id"] == FRONTEND and got["hint"] == "internal" and got["authorities"] == 1
    assert got["serial"] == theirs["serial"], "the same certificate as py-spiffe gets"


def test_jwt_source(ask):
    svids = ask("frontend", "jwt", AUDIENCE)["svids"]
    assert [(s["spiffe_id"], s["hint"]) for s in svids] == [(FRONTEND, "internal"), (spiffe("second"), "external")]
    assert svids[0]["audience"] == [AUDIENCE] and 200 < svids[0]["seconds"] <= 300


def test_tokens_are_judged_alike(ask):
    token = ask("frontend", "jwt", AUDIENCE)["svids"][0]["token"]
    for verb in ("validate", "verify"):
        got = ask("backend", verb, AUDIENCE, token)
        assert got["spiffe_id"] == FRONTEND and got["claims"]["aud"] == [AUDIENCE]
        got = ask("backend", verb, "somebody else", token, fails=True)
        assert "error" in got
        ask("backend", verb, AUDIENCE, token[:-6] + "AAAAAA", fails=True)
    assert ask("backend", "validate", "somebody else", token, fails=True)["code"] == "InvalidArgument"


def test_denied(start):
    """go-spiffe tries a denied call again, for ever: it is told the code each time and gets nothing."""
    p = start("rogue", "watch")
    said = [p.json(30), p.json(30)]
    assert sorted(s["news"] for s in said) == ["jwt error", "x509 error"]
    assert {s["code"] for s in said} == {"PermissionDenied"}
    p.close()


def test_watches_follow(daemon, start):
    p = start("short", "watch", uid=UID["other"])
    said = [p.json(30), p.json(30)]
    assert sorted(s["news"] for s in said) == ["jwt", "x509"]
    first = next(s for s in said if s["news"] == "x509")
    assert first["spiffe_id"] == spiffe("short")
    renewed = p.json(15)
    assert renewed["news"] == "x509" and renewed["serial"] != first["serial"], "renewed at half of its life, by itself"
    daemon.cli("quarantine", spiffe("short"), "--reason", "a test")
    try:
        ended = set()
        until("both streams to end", lambda: ended.add((s := p.json(15))["news"]) or ended >= {"x509 error", "jwt error"}, 30.0)
    finally:
        daemon.cli("release", spiffe("short"))
    # It comes back by itself: a client of go-spiffe outlives a quarantine.
    until("it to be served again", lambda: p.json(30)["news"] == "x509", 60.0)
    p.close()


def test_tls_between_two_go_programs(start):
    server = start("backend", "serve", FRONTEND)
    address = server.json(30)["listening"]
    client = start("frontend", "dial", address, BACKEND)
    assert client.json(30) == {"peer": BACKEND, "version": "TLS 1.3", "said": "hello, gopher"}
    assert client.wait() == 0
    assert server.json() == {"peer": FRONTEND, "version": "TLS 1.3", "said": "gopher"}

    # Each end refuses whom it was not told to take.
    stranger = start("short", "dial", address, BACKEND, uid=UID["other"])
    stranger.json(30)
    assert "refused" in server.json()
    mistaken = start("frontend", "dial", address, spiffe("somebody"))
    assert "error" in mistaken.json(30) and mistaken.wait() == 1
    server.close()


def test_program_is_formatted(client):
    done = subprocess.run([shutil.which("gofmt") or "/usr/local/go/bin/gofmt", "-l", str(HERE)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, "")
