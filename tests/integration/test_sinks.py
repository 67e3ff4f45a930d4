# SPDX-License-Identifier: Apache-2.0
"""Where alerts go: each sink with its own queue, in the form that Falco's switches ask for."""

import json
import os
import signal
import socket

import pytest

from world import until

RULES = """
- rule: Opened
  desc: a file
  condition: evt.type in (open, openat) and fd.name contains /sinks-
  output: opened %fd.name by %proc.name
  priority: Warning
  tags: [one, two]

- rule: Opened quietly
  desc: of less weight than is asked for
  condition: evt.type in (open, openat) and fd.name contains /quiet-
  output: quietly %fd.name
  priority: Informational
"""

# Writes what it is, then what it is given, one line each; dies on request, and complains of it.
PROGRAM = """
import json, os, socket, sys
out = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
with open("/proc/self/status", encoding="ascii") as f:
    status = {line.split(":")[0]: line.split(":")[1].strip() for line in f}
os.write(out, (json.dumps({
    "uid": os.getresuid(), "gid": os.getresgid(), "groups": os.getgroups(), "env": dict(os.environ), "cwd": os.getcwd(),
    "caps": [status[c] for c in ("CapPrm", "CapEff", "CapInh", "CapBnd", "CapAmb")], "nnp": status["NoNewPrivs"],
    "fds": os.listdir("/proc/self/fd"), "sid": os.getsid(0) == os.getpid(), "localhost": socket.gethostbyname("localhost"),
}) + "\\n").encode())
for line in sys.stdin:
    if "sinks-die" in line:
        print("I was told to die", file=sys.stderr, flush=True)
        sys.exit(3)
    os.write(out, line.encode())
"""
NOBODY = "games"  # a user that every Debian has, and that is not the front's


def listen(world):
    """Is the syslog daemon from now on."""
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind(str(world.dir / "log"))
    log.settimeout(30)
    world.syslog = log


def settings(world):
    listen(world)
    folder = world.dir / "program"
    folder.mkdir()
    os.chmod(folder, 0o777)
    return {
        "alerts": {
            "syslog": {"enabled": True, "socket": str(world.dir / "log"), "facility": "local1"},
            "program": {"command": ["/usr/bin/python3", "-u", str(world.file("program.py", text=PROGRAM)), str(folder / "out")],
                        "user": NOBODY},
            "append": [
                {"match": {"tags": ["two"]}, "extra_output": "| extra %proc.pid", "extra_fields": ["evt.type", {"both": "%proc.name/%evt.type"}]},
                {"match": {"rule": "Another"}, "extra_output": "never"},
            ],
            "fields": {"cluster": "c1"},
            "spool": {"sinks": ["syslog"]},
            "include": {"message": True},
        },
        "limits": {"activity_ring_kib": 8192},  # two thousand opens at once, and nobody may be there to read
        "time_format_iso_8601": True,  # Falco's name for one
        "priority": "notice",  # and another
    }


SETTINGS = settings


def act(world, daemon, run, name):
    mark = daemon.alerts_mark()
    status, _ = run("syscalls", "openat", str(world.file(name, text="x")), cgroup="x")
    assert status == 0
    return mark


def sinks(daemon):
    return {s["name"]: s for s in daemon.status()["alerts"]["sinks"]}


def program_lines(world):
    try:
        lines = (world.dir / "program" / "out").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]


def test_every_sink_gets_it_with_what_the_switches_add(world, daemon, run):
    mark = act(world, daemon, run, "sinks-a")
    alert = daemon.wait_alert("Opened", mark)
    fields = alert["output_fields"]
    assert alert["message"].startswith("opened ") and alert["message"].endswith(f"| extra {alert['message'].split()[-1]}")
    assert alert["output"] == f"{fields['evt.time.iso8601']}: Warning {alert['message']}"
    assert fields["cluster"] == "c1" and fields["evt.type"] == "openat" and fields["both"] == "syscalls/openat"
    assert list(fields) == sorted(fields)
    got = until("the program to have it", lambda: [a for a in program_lines(world) if a.get("rule") == "Opened"])
    assert got[0] == alert
    while True:  # the others are there too: that the daemon started, for one
        text = world.syslog.recv(65536).decode()
        if '"rule":"Opened"' in text:
            break
    assert text.startswith(f"<{17 * 8 + 4}>") and json.loads(text[text.index("{"):]) == alert
    until("every sink to have said so", lambda: {n for n, s in sinks(daemon).items() if s["written"]} == {"file", "syslog", "program"})
    # The control socket has the plain form.
    assert "message" not in daemon.json("alerts")["alerts"][-1]


def test_lesser_rules_are_not_loaded(world, daemon, run):
    mark = act(world, daemon, run, "quiet-a")
    act(world, daemon, run, "sinks-b")
    daemon.wait_alert("Opened", mark)
    assert not [a for a in daemon.told(mark) if a["rule"] == "Opened quietly"]
    assert [r["name"] for r in daemon.json("rules", "list")["rules"]] == ["Opened"]


def test_the_program_has_no_power(world, daemon, run):
    act(world, daemon, run, "sinks-c")
    me = until("the program to run", lambda: program_lines(world) and program_lines(world)[0])
    assert set(me["uid"]) == {5} and 0 not in me["gid"] and me["groups"] == []
    assert all(int(c, 16) == 0 for c in me["caps"]) and me["nnp"] == "1"
    assert set(me["env"]) - {"LC_CTYPE"} == {"PATH", "HOME", "LC_ALL"}
    assert me["cwd"] == "/" and me["sid"] and len(me["fds"]) <= 5
    assert me["localhost"] == "127.0.0.1"


def test_a_program_that_dies_is_replaced_and_heard(world, daemon, run):
    def lives():
        return len([p for p in program_lines(world) if "uid" in p])

    before = until("the program to run", lives)
    act(world, daemon, run, "sinks-die")
    until("its last words", lambda: "I was told to die" in daemon.log() and "exited with 3" in daemon.log())

    def another():
        # What is in the pipe of the dying one is lost with it, so: again, until another one has it.
        act(world, daemon, run, "sinks-d")
        return lives() > before

    until("another program", another)


@pytest.mark.parametrize("sig", [signal.SIGUSR1, signal.SIGHUP])
def test_the_file_is_reopened(world, daemon, run, sig):
    act(world, daemon, run, "sinks-e")
    old = daemon.alerts_file.with_suffix(".old")
    daemon.alerts_file.rename(old)
    daemon.process.kill(sig)
    until("the file to be made anew", daemon.alerts_file.exists)
    act(world, daemon, run, "sinks-f")
    daemon.wait_alert("Opened", 0)


def test_a_stuck_sink_stops_no_other(world, daemon, run):
    """The program is stopped, its pipe fills up, its queue waits: the file has every alert."""
    act(world, daemon, run, "sinks-g")
    program = int(world.inside("node", "pgrep", "-n", "-f", f"program.py {world.dir}/program/out"))
    os.kill(program, signal.SIGSTOP)
    try:
        mark = daemon.alerts_mark()
        status, lines = run("opens", str(world.file("sinks-h", text="x")), "2000", cgroup="x", timeout=30.0)
        assert status == 0 and lines[0]["opens"] == 2000
        until("the file to have them", lambda: len([a for a in daemon.alerts(mark) if a["rule"] == "Opened"]) == 2000, 20.0)
        stuck = until("the program to be complained of", lambda: (s := sinks(daemon)["program"])["timeouts"] and s)
        assert stuck["waiting"] > 1000 and stuck["dropped"] == 0
    finally:
        os.kill(program, signal.SIGCONT)
    until("the program to have them all", lambda: sinks(daemon)["program"]["waiting"] == 0)


def test_other_configurations_are_refused(world, daemon):
    def check(text, why):
        head = f"trust_domain: a.b\nrun_dir: {world.dir}/r\nstate_dir: {world.dir}/s\n"
        path = world.file("bad.yaml", text=head + text, mode=0o644)
        with pytest.raises(RuntimeError) as err:
            daemon.world.inside("node", world.build / "tipstaffd", "--check", "--config", path)
        assert why in str(err.value)

    check("alerts: {program: {command: [/bin/cat]}}\n", "alerts.program.user")
    check("alerts: {program: {command: [cat], user: games}}\n", "absolute path")
    check("alerts: {syslog: {facility: loud}}\n", "facility")
    check("alerts: {append: [{match: {rules: x}}]}\n", "rule, source and tags")
    check("alerts: {timeout: 1ms}\n", "between 100 and")
    check("alerts: {format: text}\njson_output: true\n", "give one of them")
    check("priority: loud\n", "must be one of")


def test_what_syslog_did_not_take_comes_after_a_restart(world, daemon, run):
    """No syslog daemon, no Tipstaff daemon, then both again: nothing is missing, and in order."""
    world.syslog.close()
    (world.dir / "log").unlink()
    before = sinks(daemon)["syslog"]["spooled"]  # it read nothing in the test before
    for name in "pqr":
        act(world, daemon, run, f"sinks-spool-{name}")
    until("them to be on disk", lambda: (s := sinks(daemon)["syslog"])["spooled"] >= before + 3 and not s["waiting"], 20.0)
    assert sinks(daemon)["syslog"]["dropped"] == 0
    daemon.restart()
    assert sinks(daemon)["syslog"]["spooled"] >= 3
    listen(world)
    act(world, daemon, run, "sinks-spool-s")
    seen = []
    while len(seen) < 4:
        text = world.syslog.recv(65536).decode()
        if "sinks-spool-" in text:
            seen.append(json.loads(text[text.index("{"):])["output_fields"]["fd.name"][-1])
    assert seen == list("pqrs")
    until("the spool to be empty", lambda: sinks(daemon)["syslog"]["spooled"] == 0)
