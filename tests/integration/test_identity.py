# SPDX-License-Identifier: Apache-2.0
"""Who gets which identity, and when that changes."""

import os
import subprocess
import time

import pytest

from conftest import UID, entry, resolved, spiffe
from world import CliError, until


def ENTRIES(world):
    return [
        entry(world, "frontend"),
        entry(world, "backend", hint="internal", dns_names=["backend.example.org", "b.example.org"]),
        {"spiffe_id": spiffe("short"), "selectors": [f"cgroup:path:{world.cgroup_path('work/short')}"], "x509_ttl": "10s"},
        {"spiffe_id": spiffe("pathed"), "selectors": [f"unix:path:{world.dir}/pathed"]},
    ]


def pem(world, name, text):
    return str(world.file(name, text=text, mode=0o644))


def openssl(*args):
    done = subprocess.run(["openssl", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, timeout=10)
    return done.returncode, done.stdout


def test_entry_of_cgroup_and_uid(daemon, need):
    got = need("frontend").do("fetch")
    assert got["ok"] and got["spiffe_id"] == spiffe("frontend")
    assert resolved(daemon, need("frontend").pid)["state"] == "bound"


def test_cgroup_below_the_selected_one_matches(world, daemon):
    deep = world.workload("frontend/deep/deeper", daemon=daemon, uid=UID["frontend"])
    assert deep.do("fetch")["spiffe_id"] == spiffe("frontend")
    deep.close()


def test_sibling_whose_name_begins_alike_does_not(world, daemon):
    near = world.workload("frontend2", daemon=daemon, uid=UID["frontend"])
    assert near.do("fetch")["code"] == "PERMISSION_DENIED"
    near.close()


def test_wrong_uid_gets_nothing(world, daemon):
    p = world.workload("frontend", daemon=daemon, uid=UID["other"])
    assert p.do("fetch")["code"] == "PERMISSION_DENIED"
    assert resolved(daemon, p.pid)["state"] == "none"
    p.close()


def test_path_selector_is_the_executable(world, run, daemon):
    _, lines = run("ask", str(daemon.workload_socket), as_name="pathed", cgroup="x", uid=UID["other"])
    assert lines[0]["key"]
    _, lines = run("ask", str(daemon.workload_socket), cgroup="x", uid=UID["other"])
    assert not lines[0]["key"] and lines[0]["data_bytes"] == 0


def test_path_selector_through_a_symlink_is_the_real_path(world, run, daemon):
    world.program("ask", "pathed")
    link = world.dir / "other-name"
    link.symlink_to(world.dir / "pathed")
    p = world.spawn([link, str(daemon.workload_socket)], cgroup="x", uid=UID["other"])
    assert p.wait() == 0, p.text()
    # And a link *at* the selected path to something else is something else.
    os.rename(world.dir / "pathed", world.dir / "moved")
    (world.dir / "pathed").symlink_to(world.dir / "moved")
    p = world.spawn([world.dir / "pathed", str(daemon.workload_socket)], cgroup="x", uid=UID["other"])
    assert p.wait() == 1, p.text()
    (world.dir / "pathed").unlink()


def test_certificate_is_as_the_standard_wants(world, need):
    got = need("backend").do("fetch")
    chain = pem(world, "b.pem", got["chain"])
    bundle = pem(world, "b-bundle.pem", got["bundles"]["example.org"])
    assert openssl("verify", "-CAfile", bundle, "-purpose", "sslclient", chain) == (0, f"{chain}: OK\n")
    assert openssl("verify", "-CAfile", bundle, "-purpose", "sslserver", chain) == (0, f"{chain}: OK\n")
    _, text = openssl("x509", "-in", chain, "-noout", "-text")
    assert "URI:spiffe://example.org/backend" in text and text.count("URI:") == 1
    assert "DNS:backend.example.org" in text and "DNS:b.example.org" in text
    assert "CA:TRUE" not in text
    assert "Key Usage: critical" in text and "Digital Signature" in text
    assert "Certificate Sign" not in text and "CRL Sign" not in text
    assert "NIST CURVE: P-256" in text
    assert got["not_before"] < time.time() < got["not_after"]


def test_same_serial_for_every_process_of_an_entry(world, daemon, need):
    serial = need("frontend").do("fetch")["serial"]
    second = world.workload("frontend", daemon=daemon, uid=UID["frontend"])
    assert second.do("fetch")["serial"] == serial
    second.close()


def test_renewed_at_half_life_on_the_stream(world, daemon):
    short = world.workload("short", daemon=daemon, uid=UID["other"])
    short.do("watch")
    first = short.next_news()
    assert first["news"] == "svid"
    assert first["not_after"] - time.time() <= 11
    second = short.next_news(timeout=12)
    assert second["news"] == "svid" and second["serial"] != first["serial"]
    later = second["not_after"] - first["not_after"]
    assert 2 < later < 10, f"renewed after {later:.1f} s of 10"
    until("the renewal to be counted", lambda: daemon.status()["identity"]["renewed"] >= 1)
    short.close()


# ---- what changes while a process runs -------------------------------------------


def test_uid_change_is_looked_at_again(world, daemon):
    p = world.workload("frontend", daemon=daemon, uid=0)
    assert p.do("fetch")["code"] == "PERMISSION_DENIED"
    assert p.do("identity", uid=UID["frontend"])["ok"]
    assert p.do("fetch")["spiffe_id"] == spiffe("frontend")
    p.close()


def test_uid_change_ends_what_it_had(world, daemon):
    daemon.cli("identity", "add", spiffe("privileged"), "--selector", "unix:uid:0",
               "--selector", f"cgroup:path:{world.cgroup_path('work/priv')}", "--ephemeral")
    p = world.workload("priv", daemon=daemon, uid=0)
    p.do("watch")
    assert p.next_news()["spiffe_id"] == spiffe("privileged")
    p.do("identity", uid=UID["other"])
    ended = p.next_news()
    assert ended["news"] == "error", ended
    assert p.do("fetch")["code"] == "PERMISSION_DENIED"
    known = resolved(daemon, p.pid)
    assert known["spiffe_id"] is None and known["origin_id"] == spiffe("privileged")
    daemon.cli("identity", "remove", spiffe("privileged"))
    p.close()


def test_cgroup_change_is_looked_at_again(world, daemon):
    p = world.workload("elsewhere", daemon=daemon, uid=UID["frontend"])
    assert p.do("fetch")["code"] == "PERMISSION_DENIED"
    (world.cgroup_dir("work/frontend") / "cgroup.procs").write_text(str(p.pid), encoding="ascii")
    until("the move to be known", lambda: resolved(daemon, p.pid)["cgroup"] == world.cgroup_path("work/frontend"))
    p.do("watch")
    assert p.next_news().get("spiffe_id") == spiffe("frontend")
    (world.cgroup_dir("work/elsewhere") / "cgroup.procs").write_text(str(p.pid), encoding="ascii")
    assert p.next_news()["news"] == "error"
    assert p.do("fetch")["code"] == "PERMISSION_DENIED"
    assert resolved(daemon, p.pid)["origin_id"] == spiffe("frontend")
    p.close()


def test_entry_added_and_removed_by_the_cli(world, daemon):
    p = world.workload("added", daemon=daemon, uid=UID["other"])
    assert p.do("fetch")["code"] == "PERMISSION_DENIED"
    added = daemon.json("identity", "add", spiffe("added"), "--selector",
                        f"cgroup:path:{world.cgroup_path('work/added')}")
    p.do("watch")
    assert p.next_news().get("spiffe_id") == spiffe("added")
    daemon.cli("identity", "remove", added["id"])
    assert p.next_news().get("code") == "PERMISSION_DENIED"
    assert p.do("fetch")["code"] == "PERMISSION_DENIED"
    p.close()


def test_cli_entries_survive_a_restart_unless_ephemeral(world, daemon):
    for name, more in (("kept", []), ("fleeting", ["--ephemeral"])):
        daemon.cli("identity", "add", spiffe(name), "--selector", f"cgroup:path:{world.cgroup_path('work/' + name)}", *more)
    kept = world.workload("kept", daemon=daemon, uid=UID["other"])
    serial = kept.do("fetch")["serial"]
    daemon.restart()
    entries = {e["spiffe_id"]: e for e in daemon.json("identity", "list")["entries"]}
    assert entries[spiffe("kept")]["from"] == "cli" and spiffe("fleeting") not in entries
    assert kept.do("fetch")["serial"] == serial
    daemon.cli("identity", "remove", spiffe("kept"))
    kept.close()


def test_same_certificate_after_a_restart(daemon, need):
    before = need("frontend").do("fetch")
    daemon.restart()
    after = need("frontend").do("fetch")
    assert after["serial"] == before["serial"] and after["bundles"] == before["bundles"]


def test_cache_is_private_and_said_to_be_unsealed(daemon, need):
    need("frontend").do("fetch")
    for folder, _, files in os.walk(daemon.state_dir):
        assert os.stat(folder).st_mode & 0o077 == 0, folder
        for name in files:
            mode = os.stat(os.path.join(folder, name)).st_mode
            assert mode & 0o177 == 0, f"{name} has mode {mode & 0o777:o}"
    assert daemon.status()["cache"]["seal"] == "none"


def test_entry_from_a_file_is_not_removed_by_the_cli(daemon):
    with pytest.raises(CliError) as err:
        daemon.cli("identity", "remove", spiffe("frontend"))
    assert "entries.yaml:" in err.value.text


@pytest.mark.parametrize("bad, why", [
    (["spiffe://other.org/x", "--selector", "unix:uid:1"], "example.org"),
    (["spiffe://example.org", "--selector", "unix:uid:1"], "path"),
    (["spiffe://example.org/spire/agent", "--selector", "unix:uid:1"], "spire"),
    (["spiffe://example.org/x", "--selector", "unix:shoe:1"], "unix:uid"),
    (["spiffe://example.org/x", "--selector", "unix:uid:-1"], "uid"),
    (["spiffe://example.org/x", "--selector", "unix:path:bin/x"], "/"),
    (["spiffe://example.org/x"], "selector"),
    (["spiffe://example.org/x", "--selector", "unix:uid:1", "--ttl", "1s"], "10"),
])
def test_bad_entries_are_refused_with_a_reason(daemon, bad, why):
    before = daemon.json("identity", "list")
    with pytest.raises(CliError) as err:
        daemon.cli("identity", "add", *bad)
    assert why in err.value.text, err.value.text
    ids = [e["id"] for e in daemon.json("identity", "list")["entries"]]
    assert ids == [e["id"] for e in before["entries"]]


def test_svid_fetch_of_the_cli_is_the_callers_own(world, daemon):
    """Not root's view: whoever runs `tipstaff svid fetch` gets its own identity or none."""
    p = world.spawn(daemon.cli_argv("svid", "fetch", "--json"), cgroup="frontend", uid=UID["frontend"])
    assert p.wait() == 0, p.text()
    assert spiffe("frontend") in p.text()
    assert "PRIVATE KEY" not in p.text()
    p = world.spawn(daemon.cli_argv("svid", "fetch"), cgroup="rogue", uid=UID["rogue"])
    assert p.wait() == 1
    assert "PermissionDenied" in p.text() or "no identity" in p.text()
