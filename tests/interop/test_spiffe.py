# SPDX-License-Identifier: Apache-2.0
"""py-spiffe, a client library that nobody here wrote, and openssl against the Workload API."""

import subprocess
import time

import pytest

from conftest import UID, entry, spiffe
from world import until


def ENTRIES(world):
    return [
        entry(world, "frontend", hint="internal"),
        # Two entries for one workload: two SVIDs, the one with more selectors first.
        {"spiffe_id": spiffe("second"), "selectors": [f"cgroup:path:{world.cgroup_path('work/frontend')}"], "hint": "external"},
        entry(world, "backend"),
    ]


def verify(world, got, svid=None):
    chain = world.file("chain.pem", text=(svid or got)["chain"])
    bundle = world.file("bundle.pem", text=got["bundles"]["example.org"])
    return subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", bundle, chain], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=10, check=False)


def test_context_of_two_svids(world, need):
    got = need("frontend").do("fetch")
    assert got["ok"], got
    assert [s["spiffe_id"] for s in got["svids"]] == [spiffe("frontend"), spiffe("second")]
    assert list(got["bundles"]) == ["example.org"]
    for svid in got["svids"]:
        done = verify(world, got, svid)
        assert done.returncode == 0, done.stdout


def test_bundles_alone_are_the_same(need):
    frontend = need("frontend")
    assert frontend.do("bundles")["bundles"] == frontend.do("fetch")["bundles"]


def test_bundle_does_not_verify_another_authoritys_svid(world, need):
    """The bundle is worth something only if it says no as well."""
    got = need("backend").do("fetch")
    other = world.daemon("stranger", entries=[entry(world, "backend", scope="stranger")])
    other.start()
    try:
        p = world.workload("backend", daemon=other, uid=UID["backend"])
        theirs = p.do("fetch")
        assert theirs["ok"]
        p.close()
    finally:
        other.remove()
    assert verify(world, got).returncode == 0
    assert verify(world, {**got, "chain": theirs["chain"]}).returncode != 0


def test_rogue_is_denied_everything(world, daemon):
    rogue = world.workload("rogue", daemon=daemon, uid=UID["rogue"])
    assert rogue.do("fetch")["code"] == "PERMISSION_DENIED"
    assert rogue.do("bundles")["code"] == "PERMISSION_DENIED"
    rogue.close()


def test_stream_follows_entries(world, daemon, need):
    p = world.workload("stream", daemon=daemon, uid=UID["other"])
    daemon.cli("identity", "add", spiffe("stream"), "--selector", f"cgroup:path:{world.cgroup_path('work/stream')}",
               "--ephemeral")
    p.do("watch")
    assert p.next_news().get("spiffe_id") == spiffe("stream")
    daemon.cli("identity", "add", spiffe("stream2"), "--selector", f"cgroup:path:{world.cgroup_path('work/stream')}",
               "--selector", f"unix:uid:{UID['other']}", "--ephemeral")
    assert p.next_news().get("spiffe_id") == spiffe("stream2"), "more selectors: the default now"
    daemon.cli("identity", "remove", spiffe("stream2"))
    assert p.next_news().get("spiffe_id") == spiffe("stream")
    daemon.cli("identity", "remove", spiffe("stream"))
    assert p.next_news().get("code") == "PERMISSION_DENIED"
    p.close()


def test_many_clients_at_once(world, daemon):
    """40 processes start and fetch together; every one is served with the one certificate of its entry."""
    script = ("import sys; sys.path.insert(0, ''); from spiffe import WorkloadApiClient\n"
              "with WorkloadApiClient() as c: print('%x' % c.fetch_x509_svid(timeout=30).leaf.serial_number)")
    env = {"SPIFFE_ENDPOINT_SOCKET": f"unix://{daemon.workload_socket}", "GRPC_VERBOSITY": "NONE",
           "PYTHONDONTWRITEBYTECODE": "1"}
    start = time.monotonic()
    clients = [world.spawn([world.python(), "-c", script], cgroup="backend", uid=UID["backend"], env=env) for _ in range(20)]
    serials = set()
    for client in clients:
        assert client.wait(50) == 0, client.text()
        serials.add(client.text().strip())
    assert len(serials) == 1, serials
    assert time.monotonic() - start < 55


def test_stream_count_follows_clients(daemon, world):
    def count():
        return daemon.status()["identity"]["streams"]

    # The figures are a second old: those of an earlier test's stream may still stand there.
    until("earlier streams to be gone", lambda: count() == 0)
    p = world.workload("backend", daemon=daemon, uid=UID["backend"])
    p.do("watch")
    assert p.next_news()["news"] == "svid"
    until("the stream to be counted", lambda: count() == 1)
    p.close()
    until("the stream to be gone", lambda: count() == 0)


@pytest.mark.parametrize("verb", ["fetch", "bundles"])
def test_wait_for_ready_daemon(world, daemon, need, verb):
    """A client that comes while the front starts is served, not refused for good."""
    frontend = need("frontend")
    daemon.stop()
    daemon.start(wait=False)
    until("the API to serve", lambda: frontend.do(verb)["ok"], 10.0)
    daemon.wait_ready()
