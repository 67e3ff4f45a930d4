# SPDX-License-Identifier: Apache-2.0
"""Quarantine: no SVID, no new connection, whatever the workload or the daemon does."""

import json
import signal

import pytest

from conftest import UID, got_nothing, resolved, spiffe
from tiers import capabilities
from world import CliError, until

FRONTEND = spiffe("frontend")
pytestmark = pytest.mark.kernel


@pytest.fixture(autouse=True)
def nobody_is_left_in_quarantine(daemon):
    """A test that fails half-way must not take the next one with it."""
    yield
    if not daemon.running():
        daemon.start()
    for held in daemon.json("quarantine", "list")["quarantined"]:
        daemon.cli("release", held["spiffe_id"])
    for e in daemon.json("identity", "list")["entries"]:
        if e["from"] != "file":
            daemon.cli("identity", "remove", e["id"])


@pytest.fixture
def frontend(world, daemon, listener):
    p = world.workload("frontend", daemon=daemon, uid=UID["frontend"], place="client")
    assert p.do("fetch")["ok"]
    yield p
    p.close()


def connects(workload, listener):
    return workload.do("connect", host=listener[0], port=listener[1])["errno"]


def by_bash(listener):
    return ["/bin/bash", "-c", f"exec 3<>/dev/tcp/{listener[0]}/{listener[1]} && echo connected"]


def put(daemon, reason="a test"):
    return daemon.json("quarantine", FRONTEND, "--reason", reason)


def test_it_cuts_and_release_restores(daemon, frontend, listener):
    serial = frontend.do("fetch")["serial"]
    frontend.do("watch")
    assert frontend.next_news()["news"] == "svid"
    assert connects(frontend, listener) == "ok"
    put(daemon)
    assert frontend.next_news().get("code") == "PERMISSION_DENIED"
    assert frontend.do("fetch")["code"] == "PERMISSION_DENIED"
    assert connects(frontend, listener) == "EPERM"
    daemon.cli("release", FRONTEND)
    assert connects(frontend, listener) == "ok"
    again = frontend.do("fetch")
    assert again["ok"] and again["serial"] != serial, "the old key was in the hands of whoever it was about"


def test_it_says_what_it_does(daemon, frontend):
    said = put(daemon, reason="because \"of\" <this>")
    assert said["spiffe_id"] == FRONTEND and said["already"] is False and said["effects"]
    assert said["processes"] >= 1
    listed = daemon.json("quarantine", "list")["quarantined"]
    assert [q["reason"] for q in listed] == ["because \"of\" <this>"]
    assert "uid=0" in listed[0]["by"]
    assert put(daemon)["already"] is True
    assert daemon.status()["quarantined"] == 1
    daemon.cli("release", FRONTEND)
    assert daemon.json("quarantine", "list")["quarantined"] == []
    with pytest.raises(CliError):
        daemon.cli("release", FRONTEND)


def test_it_is_told_as_an_alert(daemon, frontend, listener):
    mark = daemon.alerts_mark()
    put(daemon, reason="alerted")
    alert = daemon.wait_alert(lambda a: a["source"] == "tipstaff" and FRONTEND in json.dumps(a), mark)
    assert "alerted" in json.dumps(alert)
    connects(frontend, listener)
    daemon.wait_alert(lambda a: a["source"] == "tipstaff" and str(frontend.pid) in json.dumps(a)
                      and "connect" in json.dumps(a).lower(), mark)


def test_exec_is_no_way_out(daemon, frontend, listener):
    """With BPF LSM the exec is refused, without it what comes of it."""
    put(daemon)
    frontend.tell("exec", argv=by_bash(listener))
    until("the refusal", lambda: "not permitted" in frontend.text())
    assert "connected" not in frontend.output


def test_fork_and_exec_under_another_uid_is_no_way_out(world, daemon, listener):
    """Identity of cgroup and uid; the child drops to a uid that no entry names. Its origin stays."""
    added = daemon.json("identity", "add", FRONTEND, "--selector", f"cgroup:path:{world.cgroup_path('work/rooted')}",
                        "--selector", "unix:uid:0", "--ephemeral")
    p = world.workload("rooted", daemon=daemon, uid=0, place="client")
    assert p.do("fetch")["ok"]
    put(daemon)
    out = p.do("run", argv=["/usr/bin/setpriv", f"--reuid={UID['other']}", "--clear-groups", *by_bash(listener)])
    assert "not permitted" in json.dumps(out), out
    daemon.cli("release", FRONTEND)
    daemon.cli("identity", "remove", added["id"])
    p.close()


def test_moving_to_another_cgroup_is_no_way_out(world, daemon, frontend, listener):
    put(daemon)
    (world.cgroup_dir("work/backend") / "cgroup.procs").write_text(str(frontend.pid), encoding="ascii")
    until("the move", lambda: resolved(daemon, frontend.pid)["cgroup"].endswith("/backend"))
    assert connects(frontend, listener) == "EPERM"


def test_io_uring_is_no_way_out(world, daemon, run, listener):
    path = world.program("uring")
    added = daemon.json("identity", "add", FRONTEND, "--selector", f"unix:path:{path}", "--ephemeral")
    put(daemon)
    p = world.spawn([path, "connect", *map(str, listener), "wait"], cgroup="x", place="client", uid=UID["other"], stdin="pipe")
    line = p.json()
    if "impossible" in line:
        pytest.skip(f"io_uring is not available here: {line['impossible']}")
    assert resolved(daemon, p.pid)["spiffe_id"] == FRONTEND
    mark = daemon.alerts_mark()
    p.send("go")
    assert p.json()["result"] == -1
    # The worker is a thread that no fork event told of; what it did is told of its process.
    daemon.wait_alert(lambda a: a["source"] == "tipstaff" and a["output_fields"].get("proc.pid") in (p.pid, str(p.pid)), mark)
    p.close()
    daemon.cli("release", FRONTEND)
    _, lines = run("uring", "connect", listener[0], str(listener[1]), cgroup="x", place="client", uid=UID["other"])
    assert lines[0]["result"] == 0, "released, the same connect works: the refusal was quarantine's"
    daemon.cli("identity", "remove", added["id"])


def test_threads_and_new_processes_of_the_identity_are_cut_too(world, daemon, frontend, listener):
    put(daemon)
    try:
        late = world.workload("frontend", daemon=daemon, uid=UID["frontend"], place="client")
    except PermissionError:
        # In its place before its exec, it was known, and with BPF LSM may not execute anything.
        assert not capabilities()["lsm"]
        return
    assert late.do("fetch")["code"] == "PERMISSION_DENIED"
    resolved(daemon, late.pid)
    assert connects(late, listener) == "EPERM"
    late.close()


def test_others_are_not_touched(world, daemon, frontend, listener):
    backend = world.workload("backend", daemon=daemon, uid=UID["backend"], place="client")
    put(daemon)
    assert backend.do("fetch")["ok"] and connects(backend, listener) == "ok"
    backend.close()


def test_unix_and_workload_sockets_still_connect(daemon, frontend):
    """Only the network is cut: the Workload API answers, with a refusal."""
    put(daemon)
    assert frontend.do("fetch")["code"] == "PERMISSION_DENIED"


@pytest.mark.parametrize("end", ["kill -9 of both", "SIGTERM"])
def test_it_outlives_the_daemon(daemon, frontend, listener, end):
    put(daemon, reason="outlive")
    if end == "SIGTERM":
        daemon.stop(signal.SIGTERM)
    else:
        daemon.kill_both()
    assert connects(frontend, listener) == "EPERM"
    daemon.start()
    assert connects(frontend, listener) == "EPERM"
    assert frontend.do("fetch")["code"] == "PERMISSION_DENIED"
    assert [q["reason"] for q in daemon.json("quarantine", "list")["quarantined"]] == ["outlive"]
    daemon.cli("release", FRONTEND)
    assert connects(frontend, listener) == "ok"


def test_journal_restores_it_when_the_pins_are_gone(daemon, frontend, listener):
    """A reboot takes the pins and leaves the journal."""
    put(daemon, reason="journal")
    daemon.cli("detach", "--all")
    daemon.process.wait(10)
    assert connects(frontend, listener) == "ok"
    daemon.start()
    resolved(daemon, frontend.pid)
    assert connects(frontend, listener) == "EPERM"
    assert daemon.json("quarantine", "list")["quarantined"][0]["reason"] == "journal"


def test_unreadable_journal_stops_the_start(world, daemon):
    """Better no start than a silent release."""
    d = world.daemon("badjournal")
    d.start()
    d.cli("quarantine", FRONTEND, "--reason", "x")
    d.stop()
    journals = [p for p in d.state_dir.rglob("*") if p.is_file() and FRONTEND in p.read_text(errors="replace")]
    assert len(journals) == 1, journals
    saved = journals[0].read_text(encoding="utf-8")
    journals[0].write_text(saved[: len(saved) // 2], encoding="utf-8")
    d.start(wait=False)
    assert d.process.wait(10) != 0
    assert journals[0].name in d.log()
    journals[0].write_text(saved, encoding="utf-8")
    d.start()
    d.remove()


def test_unknown_identity_can_be_quarantined_ahead(world, daemon, run):
    daemon.cli("quarantine", spiffe("later"), "--reason", "ahead")
    daemon.cli("identity", "add", spiffe("later"), "--selector",
               f"cgroup:path:{world.cgroup_path('work/later')}", "--ephemeral")
    _, lines = run("ask", str(daemon.workload_socket), cgroup="later", uid=UID["other"])
    got_nothing(lines)
    daemon.cli("release", spiffe("later"))
    _, lines = run("ask", str(daemon.workload_socket), cgroup="later", uid=UID["other"])
    assert lines[0]["key"]
    daemon.cli("identity", "remove", spiffe("later"))


@pytest.mark.parametrize("bad", ["frontend", "spiffe://example.org/../x", "https://example.org/x", ""])
def test_bad_ids_are_refused(daemon, bad):
    with pytest.raises(CliError):
        daemon.cli("quarantine", bad, "--reason", "x")
    assert daemon.json("quarantine", "list")["quarantined"] == []
