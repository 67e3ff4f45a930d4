# SPDX-License-Identifier: Apache-2.0
"""Each hole in attestation that the threat model names: no key material, before or after, and the origin survives."""

import json
import os
import shutil

import pytest

from conftest import UID, entry, got_nothing, spiffe
from world import until

pytestmark = pytest.mark.kernel(each=True)

RULES = """
- rule: Origin probe
  desc: tells the lineage of whoever opens a probe file
  condition: evt.type in (open, openat, openat2) and fd.name endswith /origin-probe
  output: probe pid=%proc.pid name=%proc.name id=%spiffe.id origin=%spiffe.origin.id
  priority: Notice
"""


def ENTRIES(world):
    return [
        # By the path of its executable and its uid, wherever it runs: the selector that /proc makes forgeable.
        {"spiffe_id": spiffe("victim"), "selectors": [f"unix:path:{world.dir}/victim", f"unix:uid:{UID['owner']}"]},
        {"spiffe_id": spiffe("reused"), "selectors": [f"unix:path:{world.dir}/reused", f"unix:uid:{UID['owner']}"]},
        {"spiffe_id": spiffe("giver"), "selectors": [f"unix:path:{world.dir}/pass_fd", f"unix:uid:{UID['owner']}"]},
        {"spiffe_id": spiffe("parent"), "selectors": [f"unix:path:{world.dir}/inherit", f"unix:uid:{UID['owner']}"]},
        {"spiffe_id": spiffe("covered"), "selectors": [f"unix:path:{world.dir}/covered", f"unix:uid:{UID['owner']}"]},
        {"spiffe_id": spiffe("ring"), "selectors": [f"unix:path:{world.dir}/uring", f"unix:uid:{UID['owner']}"]},
        entry(world, "frontend"),
    ]


@pytest.fixture(scope="module")
def sock(daemon):
    return str(daemon.workload_socket)


def probe(world):
    return str(world.file("origin-probe", text="x"))


def origin_of(daemon, mark, **fields):
    wanted = {k.replace("__", "."): v for k, v in fields.items()}
    alert = daemon.wait_alert(
        lambda a: a["rule"] == "Origin probe" and all(a["output_fields"][k] == v for k, v in wanted.items()), mark)
    return alert["output_fields"]["spiffe.id"], alert["output_fields"]["spiffe.origin.id"]


def served(daemon, name):
    """The API still serves honest callers."""
    return daemon.status()["front"]["running"] and name


def test_the_honest_victim_is_served(world, run, sock):
    """Without this, an attack that gets nothing would prove nothing."""
    status, lines = run("victim", sock, cgroup="x", uid=UID["owner"])
    assert status == 0 and lines[0]["key"], lines


def test_the_victims_program_under_another_uid_is_not(run, sock):
    _, lines = run("victim", sock, cgroup="x", uid=UID["other"])
    got_nothing(lines)


@pytest.mark.parametrize("how", ["leader", "thread"])
def test_exec_swap(world, run, sock, how, daemon):
    """Connect as nobody, become the victim's program, let a child ask on the old connection."""
    world.program("victim")
    args = [sock, f"{world.dir}/victim"] + (["thread"] if how == "thread" else [])
    p = world.spawn([world.program("exec_swap"), *args], cgroup="x", uid=UID["owner"])
    line = p.json(10)
    got_nothing([line])
    assert line["closed"], "the connection should have been closed"
    p.close()
    assert served(daemon, "exec swap")


def test_connection_does_not_survive_an_exec(world, run, sock):
    """A workload that had its SVID becomes another program; that one holds the open connection and asks again."""
    p = world.spawn([world.program("victim"), "--exec", sock, world.program("use_fd")], cgroup="x", uid=UID["owner"])
    assert p.json(10)["key"]
    after = p.json(10)
    got_nothing([after])
    assert after["closed"]
    p.close()


def test_origin_survives_an_exec(world, sock, daemon):
    mark = daemon.alerts_mark()
    p = world.spawn([world.program("victim"), "--exec", sock, "/bin/cat", probe(world)], cgroup="x", uid=UID["owner"])
    p.wait()
    assert origin_of(daemon, mark, proc__name="cat") == (None, spiffe("victim"))


def test_origin_survives_an_exec_by_a_thread(world, daemon):
    """The exec'ing thread takes the leader's pid: what hangs at the leader's task is lost, the lineage must not be."""
    mark = daemon.alerts_mark()
    p = world.spawn([world.program("victim"), "--thread-exec", "/bin/cat", probe(world)], cgroup="x", uid=UID["owner"])
    assert p.wait() == 0, p.text()
    assert origin_of(daemon, mark, proc__pid=p.pid) == (None, spiffe("victim"))


def test_origin_survives_fork_exec_setuid(world, daemon, need):
    mark = daemon.alerts_mark()
    p = world.workload("frontend", daemon=daemon, uid=UID["frontend"])
    assert p.do("fetch")["ok"]
    out = p.do("run", argv=["/bin/sh", "-c", f"/bin/bash -c '/bin/cat {probe(world)}; true'; true"])
    assert out["status"] == 0
    # Cgroup and uid are still frontend's, so the grandchild is frontend by its own right, too.
    assert origin_of(daemon, mark, proc__name="cat") == (spiffe("frontend"), spiffe("frontend"))
    p.close()


@pytest.mark.parametrize("state", ["unused", "used"])
def test_descriptor_passed_to_a_stranger(world, sock, state):
    place = world.dir / f"rendezvous-{state}"
    meet = world.file("meet", text="")  # only so that the folder for the sockets is the world's
    assert meet.exists()
    folder = world.dir / f"open-{state}"
    folder.mkdir()
    os.chmod(folder, 0o777)
    place = folder / "sock"
    give = world.spawn([world.program("pass_fd"), "give", sock, place, *(["unused"] if state == "unused" else [])],
                       cgroup="x", uid=UID["owner"], stdin="pipe")
    if state == "used":
        assert give.json(10)["key"]
    assert give.json(10)["who"] == "waiting"
    take = world.spawn([world.program("pass_fd", "taker"), "take", place, *(["again"] if state == "used" else [])],
                       cgroup="y", uid=UID["other"])
    line = take.json(10)
    got_nothing([line])
    assert line["closed"]
    give.close()
    take.close()


@pytest.mark.parametrize("state", ["unused", "used"])
def test_child_inherits_the_connection(run, sock, state):
    _, lines = run("inherit", sock, *(["used"] if state == "used" else []), cgroup="x", uid=UID["owner"])
    if state == "used":
        assert lines[0]["who"] == "parent" and lines[0]["key"]
    child = [line for line in lines if line["who"] == "child"]
    got_nothing(child)
    assert child[0]["closed"]


def test_reuse_of_a_dead_callers_pid(world, run, sock):
    """clone3(set_tid) gives the next process the very pid, uid and executable of the one that connected and ended."""
    victim = shutil.copy(world.program("pid_reuse"), world.dir / "reused")
    _, honest = run("ask", sock, as_name="reused-check", cgroup="x", uid=UID["owner"])
    got_nothing(honest)
    status, lines = run("pid_reuse", sock, str(victim), str(UID["owner"]), cgroup="x")
    assert status == 0
    parent = [line for line in lines if line["who"] == "parent"]
    assert parent and parent[0]["same_pid"], "the attack did not get the pid: it proves nothing"
    got_nothing([line for line in lines if line["who"] == "pid_reuse"])


def test_user_namespace_with_a_mount_over_the_path(world, run, sock):
    """/proc/PID/exe reads the victim's path from outside, and what runs is the attacker's."""
    shutil.copy(world.program("ask"), world.dir / "covered")
    status, lines = run("ask", sock, as_name="covered", cgroup="x", uid=UID["owner"])
    assert lines[0]["key"], "the honest program must be served, or this proves nothing"
    shutil.copy(world.program("ask"), world.dir / "attacker")
    _, lines = run("userns_bind", sock, f"{world.dir}/covered", f"{world.dir}/attacker", cgroup="x", uid=UID["owner"])
    if "impossible" in lines[0]:
        pytest.skip(f"no unprivileged user namespaces here: {lines[0]['impossible']}")
    got_nothing(lines)


def test_connect_through_io_uring_is_refused(world, run, sock):
    """No connect() system call, so no kernel record of who connected: refused, although the program is entitled."""
    _, lines = run("uring", "workload", sock, cgroup="x", uid=UID["owner"])
    if "impossible" in lines[0]:
        pytest.skip(f"io_uring is not available here: {lines[0]['impossible']}")
    got_nothing(lines)


def test_a_refused_connection_is_told(world, run, sock, daemon):
    mark = daemon.alerts_mark()
    run("inherit", sock, cgroup="x", uid=UID["owner"])
    alert = daemon.wait_alert(lambda a: a["source"] == "tipstaff", mark)
    assert "foreign" in json.dumps(alert), alert
    until("the counter", lambda: daemon.status()["identity"]["foreign_writers"] >= 1)


def test_many_connections_of_one_uid_leave_room_for_others(world, daemon, need):
    """A uid that takes all it may does not starve another."""
    limit = 200
    code = f"""
import socket, sys
held = []
try:
    for _ in range({limit * 6}):
        s = socket.socket(socket.AF_UNIX); s.settimeout(2); s.connect(sys.argv[1]); held.append(s)
except OSError as err:
    pass
print("holding", len(held), flush=True)
sys.stdin.readline()
"""
    hog = world.spawn(["/usr/bin/python3", "-u", "-c", code, str(daemon.workload_socket)], cgroup="hog", uid=UID["rogue"],
                      stdin="pipe")
    assert hog.line(30).startswith("holding")
    assert need("frontend").do("fetch")["ok"]
    hog.close()


def test_hostile_bytes_on_the_workload_socket(world, daemon, need, sock):
    """Whatever a stranger writes, the front lives and serves."""
    front = daemon.front_pid()
    code = """
import os, random, socket, sys
random.seed(7)
preface = b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n"
bad = [b"", b"GET / HTTP/1.1\\r\\n\\r\\n", preface + b"\\xff" * 65536, preface + bytes(9) * 5000,
       preface + b"\\x00\\x00\\x00\\x04\\x00\\x00\\x00\\x00\\x00" + b"\\x00\\x00\\x04\\x03\\x00\\x00\\x00\\x00\\x01\\x00\\x00\\x00\\x08" * 5000,
       preface + b"\\xff\\xff\\xff\\x01\\x04\\x00\\x00\\x00\\x01"]
bad += [preface + random.randbytes(2000) for _ in range(60)]
for data in bad:
    s = socket.socket(socket.AF_UNIX); s.settimeout(2); s.connect(sys.argv[1])
    try:
        s.sendall(data); s.shutdown(socket.SHUT_WR); s.recv(65536)
    except OSError:
        pass
    s.close()
print("done")
"""
    p = world.spawn(["/usr/bin/python3", "-u", "-c", code, sock], cgroup="x", uid=UID["rogue"])
    assert p.line(50) == "done"
    p.wait()
    assert daemon.front_pid() == front
    assert need("frontend").do("fetch")["ok"]
