# SPDX-License-Identifier: Apache-2.0
"""The control socket and the CLI: who may talk, and what every command says."""

import json
import os
import socket
import stat
import subprocess

import pytest

from conftest import UID, resolved, spiffe
from world import PATIENCE, CliError, Process, until

RULES = """
- rule: Seen
  desc: d
  condition: evt.type in (open, openat) and fd.name endswith /control-mark
  output: seen %fd.name by %proc.pid
  priority: Informational
  tags: [b, a]
"""


def make_alert(world, daemon):
    mark = daemon.alerts_mark()
    p = world.spawn(["/bin/cat", world.file("control-mark", text="x")], cgroup="x")
    p.wait()
    return daemon.wait_alert(lambda a: a["output_fields"].get("proc.pid") == p.pid, mark)


# ---- who may talk ----------------------------------------------------------------


def test_modes_of_the_sockets(daemon):
    assert stat.S_IMODE(os.stat(daemon.control_socket).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(daemon.workload_socket).st_mode) & 0o666 == 0o666


def test_others_than_root_are_refused(world, daemon):
    p = world.spawn(daemon.cli_argv("status"), uid=UID["other"])
    assert p.wait() == 1 and ("root" in p.text() or "sudo" in p.text()), p.text()


def test_others_than_root_are_refused_even_with_the_socket_open(world, daemon):
    """The peer's credentials decide, not only the file's mode."""
    os.chmod(daemon.control_socket, 0o666)
    try:
        p = world.spawn(daemon.cli_argv("status"), uid=UID["other"])
        assert p.wait() == 1 and "root" in p.text(), p.text()
    finally:
        os.chmod(daemon.control_socket, 0o600)


def test_root_of_another_user_namespace_is_refused(world, daemon):
    os.chmod(daemon.control_socket, 0o666)
    try:
        p = world.spawn(["/usr/bin/unshare", "--user", "--map-root-user", *daemon.cli_argv("status")], uid=UID["other"])
        if p.wait() == 1 and "unshare" in p.text():
            pytest.skip("no unprivileged user namespaces here")
        assert p.wait() == 1 and "root" in p.text(), p.text()
    finally:
        os.chmod(daemon.control_socket, 0o600)


def test_root_inside_a_container_cgroup_is_refused(world, daemon):
    group = f"docker-{'ab' * 32}.scope"
    p = world.spawn(daemon.cli_argv("status"), cgroup=group)
    assert p.wait() == 1 and "container" in p.text(), p.text()


def talk(daemon, data, limit=1 << 20):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(str(daemon.control_socket))
        s.sendall(data)
        answer = b""
        while len(answer) < limit:
            chunk = s.recv(65536)
            if not chunk:
                break
            answer += chunk
        return json.loads(answer)


@pytest.mark.parametrize("data", [b"\n", b"{\n", b"[]\n", b"null\n", b'{"method":1}\n', b'{"version":"0.1.0","method":"nope"}\n',
                                  b'{"version":"0.1.0","method":"rules.add","params":[]}\n', b"\xff\xfe\n"])
def test_nonsense_is_answered_with_an_error(daemon, data):
    assert talk(daemon, data)["error"]["text"]
    assert daemon.status()["instance"] == daemon.instance


def test_version_mismatch_is_said_plainly(daemon):
    text = json.dumps(talk(daemon, b'{"version":"99.0","method":"status"}\n')["error"])
    assert "99.0" in text and daemon.status()["version"] in text


def test_no_daemon_is_said_with_what_to_do(world):
    done = subprocess.run([world.build / "tipstaff", "--socket", "/nowhere/control.sock", "status"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=10, check=False)
    assert done.returncode == 1 and "/nowhere/control.sock" in done.stderr and "hint" in done.stderr


def test_socket_by_environment(world, daemon):
    done = subprocess.run([world.build / "tipstaff", "--json", "status"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          env={"TIPSTAFF_SOCKET": str(daemon.control_socket)}, text=True, timeout=10, check=True)
    assert json.loads(done.stdout)["instance"] == daemon.instance


# ---- what it says --------------------------------------------------------------------


def test_status(daemon):
    s = daemon.status()
    assert s["trust_domain"] == "example.org" and s["instance"] == daemon.instance
    assert s["pins"].startswith(str(daemon.pins)) and s["scope"] == daemon.settings["scope"]["cgroups"]
    assert s["keeper"]["pid"] == daemon.keeper_pid and s["front"]["pid"] == daemon.front_pid()
    assert s["keeper"]["rss_kb"] > 0 and s["front"]["rss_kb"] > 0
    assert {"btf", "tp_btf", "ringbuf", "lsm", "ktls"} <= {c["name"] for c in s["capabilities"]}
    assert all(c["detail"] for c in s["capabilities"])
    assert {"sensing", "enforcement"} <= {t["concern"] for t in s["tiers"]}
    assert s["bpf"]["programs"] > 0 and s["bpf"]["map_bytes"] > 0
    assert s["bpf"]["malformed"] == 0
    text = daemon.cli("status")
    for word in (daemon.instance, "example.org", "not sealed", str(daemon.keeper_pid)):
        assert word in text


@pytest.mark.parametrize("command", [["status"], ["rules", "list"], ["processes"], ["identity", "list"], ["alerts"],
                                     ["quarantine", "list"], ["version"]])
def test_json_is_one_document_everywhere(daemon, command):
    json.loads(daemon.cli("--json", *command))
    json.loads(daemon.cli(*command, "--json"))
    assert daemon.cli(*command).strip()


def test_processes(daemon, need, world):
    frontend = need("frontend")
    known = resolved(daemon, frontend.pid)
    assert known["state"] == "bound" and known["spiffe_id"] == spiffe("frontend") == known["origin_id"]
    assert known["uid"] == UID["frontend"] and known["gid"] == UID["frontend"]
    assert known["cgroup"] == world.cgroup_path("work/frontend")
    assert str(frontend.pid) in daemon.cli("processes")


def test_alerts_recent_and_follow(world, daemon):
    first = make_alert(world, daemon)
    assert first in daemon.json("alerts")["alerts"]
    follow = Process(daemon.cli_argv("alerts", "--follow", "--json"))
    assert follow.json()["rule"]
    second = make_alert(world, daemon)
    until("the new alert in the stream", lambda: any(second == json.loads(x) for x in follow.output if x.startswith("{")))
    follow.close()


def test_wrong_commands_say_what_to_do(daemon):
    for command in (["nonsense"], ["rules"], ["rules", "add"], ["quarantine"], ["detach"], ["status", "--nope"]):
        done = daemon.cli(*command, check=False)
        assert done.returncode == 2, command
        assert done.stderr.strip() and not done.stdout.strip(), command
    assert daemon.running()


def test_help_lists_every_command(daemon):
    text = daemon.cli("help")
    for command in ("status", "alerts", "rules add", "processes", "identity add", "svid fetch", "quarantine", "release", "detach"):
        assert command in text
    assert daemon.cli("rules", "add", "--help").strip()


# ---- alerts, field for field -----------------------------------------------------------


def test_alert_is_falcos_line(world, daemon):
    mark = daemon.alerts_mark()
    p = world.spawn(["/bin/cat", world.file("control-mark", text="x")], cgroup="x")
    p.wait()
    daemon.wait_alert("Seen", mark)
    with open(daemon.alerts_file, "rb") as f:
        f.seek(mark)
        line = next(x for x in f.read().decode().splitlines() if '"Seen"' in x)
    alert = json.loads(line)
    assert list(alert) == ["hostname", "output", "output_fields", "priority", "rule", "source", "tags", "time"], "sorted keys"
    assert alert["hostname"] == socket.gethostname()
    assert alert["priority"] == "Informational" and alert["source"] == "syscall" and alert["tags"] == ["a", "b"]
    import re

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", alert["time"])
    assert re.fullmatch(rf"\d\d:\d\d:\d\d\.\d{{9}}: Informational seen {world.dir}/control-mark by {p.pid}", alert["output"])
    assert alert["output_fields"].keys() == {"evt.time", "fd.name", "proc.pid"}
    assert isinstance(alert["output_fields"]["evt.time"], int) and alert["output_fields"]["proc.pid"] == p.pid
    assert list(alert["output_fields"]) == sorted(alert["output_fields"])
    assert stat.S_IMODE(os.stat(daemon.alerts_file).st_mode) == 0o600


def test_unset_is_null_and_na(world, daemon):
    added = ("- rule: Unset\n  desc: d\n  condition: evt.type in (open, openat) and fd.name endswith /unset-mark\n"
             "  output: id=%spiffe.id ip=%fd.sip\n  priority: Debug\n")
    daemon.cli("rules", "add", world.file("unset.yaml", text=added, mode=0o644))
    mark = daemon.alerts_mark()
    world.spawn(["/bin/cat", world.file("unset-mark", text="x")], cgroup="x").wait()
    alert = daemon.wait_alert("Unset", mark)
    assert alert["output_fields"]["spiffe.id"] is None and alert["output_fields"]["fd.sip"] is None
    assert alert["output"].endswith("id=<NA> ip=<NA>")
    assert alert["tags"] == []
    daemon.cli("rules", "remove", "unset")


def test_hostile_names_do_not_break_a_line(world, daemon):
    name = 'x"\n{"rule":"forged"}\t\\\x01/control-mark'
    folder = world.dir / 'x"\n{"rule":"forged"}\t\\\x01'
    folder.mkdir()
    (folder / "control-mark").write_text("x", encoding="ascii")
    assert name.endswith("control-mark")
    mark = daemon.alerts_mark()
    p = world.spawn(["/bin/cat", folder / "control-mark"], cgroup="x")
    p.wait()
    alert = daemon.wait_alert(lambda a: a["output_fields"].get("proc.pid") == p.pid, mark)
    assert alert["output_fields"]["fd.name"] == str(folder / "control-mark")
    assert not [a for a in daemon.told(mark) if a["rule"] == "forged"]
    # Bytes that are no UTF-8 become U+FFFD.
    raw = os.fsencode(world.dir) + b"/bad\xff\xfe-dir"
    os.mkdir(raw)
    with open(raw + b"/control-mark", "wb"):
        pass
    p = world.spawn(["/bin/sh", "-c", f"cat {world.dir}/bad*/control-mark"], cgroup="x")
    p.wait()
    alert = daemon.wait_alert(lambda a: "\ufffd" in a["output"], mark)
    assert alert["rule"] == "Seen"


# ---- life and death of the instance --------------------------------------------------------


def test_second_daemon_of_the_same_instance_is_refused(world, daemon):
    p = world.spawn([world.build / "tipstaffd", "--config", daemon.config_file])
    assert p.wait(15) != 0, "two daemons of one instance"
    assert daemon.running() and daemon.status()["front"]["running"]


def test_two_instances_live_side_by_side(world, daemon, need):
    two = world.daemon("two", entries=[{"spiffe_id": spiffe("second"), "selectors": [f"unix:uid:{UID['frontend']}"]}])
    two.start()
    try:
        assert need("frontend").do("fetch")["spiffe_id"] == spiffe("frontend")
        other = world.workload("frontend", daemon=two, uid=UID["frontend"])
        assert other.do("fetch")["spiffe_id"] == spiffe("second")
        other.close()
    finally:
        two.remove()
    assert not two.pins.exists() and daemon.pins.exists()
    assert need("frontend").do("fetch")["ok"], "detaching one must not touch the other"


def test_detach_removes_everything_and_is_told(world):
    d = world.daemon("gone", entries=[{"spiffe_id": spiffe("x"), "selectors": ["unix:uid:1"]}])
    d.start()
    some = {bpftool("prog", "show", "pinned", str(path))["id"] for path in sorted(d.pins.rglob("prog_*"))[:8]}
    assert some
    d.cli("detach", "--all")
    assert d.process.wait(10) == 0
    assert not d.pins.exists()
    assert "detach" in d.log()
    until("the programs to be unloaded", lambda: some.isdisjoint(p["id"] for p in bpftool("prog", "show")))
    assert not d.control_socket.exists()


def test_detach_without_a_daemon(world):
    d = world.daemon("orphan")
    d.start()
    d.kill_both()
    assert d.pins.exists()
    d.cli("detach", "--all", "--instance", d.instance)
    assert not d.pins.exists()


def bpftool(*args):
    done = subprocess.run(["bpftool", "-j", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=10 * PATIENCE, check=True)
    return json.loads(done.stdout)


def test_detach_wants_all(daemon):
    with pytest.raises(CliError):
        daemon.cli("detach")
    assert daemon.running()
