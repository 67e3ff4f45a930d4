# SPDX-License-Identifier: Apache-2.0
"""What happens is seen, and is told of the right process: one rule for each kind of event."""

import json
import os

import pytest

from conftest import UID, resolved, spiffe
from world import until

pytestmark = pytest.mark.kernel(each=True)

MARK = "/sensor-mark"
RULES = """
- rule: Exec
  desc: a program starts
  condition: evt.type in (execve, execveat) and proc.name in (true, syscalls, threads)
  output: exec %proc.name pid=%proc.pid exe=%proc.exepath args=%proc.args uid=%user.uid parent=%proc.pname type=%evt.type id=%spiffe.id origin=%spiffe.origin.id
  priority: Notice
- rule: Exit
  desc: a process ends
  condition: evt.type = procexit and proc.name = syscalls
  output: exit pid=%proc.pid
  priority: Debug
- rule: Fork
  desc: a child is made
  condition: evt.type in (clone, fork, vfork, clone3) and proc.name = bash
  output: fork pid=%proc.pid
  priority: Debug
- rule: Open
  desc: a file of these tests is opened
  condition: evt.type in (open, openat, openat2, creat) and fd.name contains /sensor-mark
  output: >
    open type=%evt.type pid=%proc.pid proc=%proc.name name=%fd.name raw=%fd.nameraw real=%fd.path.real res=%evt.res
    num=%fd.num typechar=%fd.typechar write=%evt.is_open_write read=%evt.is_open_read id=%spiffe.id origin=%spiffe.origin.id
  priority: Notice
- rule: Connect
  desc: a connection is made
  condition: evt.type = connect and fd.sockfamily = ip
  output: connect pid=%proc.pid to=%fd.rip port=%fd.rport res=%evt.res proto=%fd.l4proto id=%spiffe.id
  priority: Notice
- rule: Accept
  desc: a connection is taken
  condition: evt.type in (accept, accept4) and fd.sockfamily = ip and proc.name = syscalls
  output: accept pid=%proc.pid port=%fd.lport
  priority: Notice
- rule: Bind
  desc: an address is taken
  condition: evt.type = bind and proc.name = syscalls
  output: bind pid=%proc.pid port=%fd.lport
  priority: Notice
- rule: Listen
  desc: a socket listens
  condition: evt.type = listen and proc.name = syscalls
  output: listen pid=%proc.pid port=%fd.lport backlog=%evt.arg.backlog
  priority: Notice
- rule: Signal
  desc: a signal is sent
  condition: evt.type in (kill, tkill, tgkill) and proc.name = storm
  output: signal type=%evt.type sig=%evt.arg.sig raw=%evt.rawarg.sig pid=%evt.rawarg.pid res=%evt.res by=%proc.pid
  priority: Notice
- rule: PTRACE attached to process
  desc: as the rules of the field have it
  condition: evt.type = ptrace and evt.arg.request in (PTRACE_ATTACH, PTRACE_SEIZE) and proc.name = storm
  output: attached request=%evt.arg.request pid=%evt.rawarg.pid res=%evt.res by=%proc.pid
  priority: Warning
- rule: Linux Kernel Module Injection Detected
  desc: as the rules of the field have it
  condition: evt.type in (init_module, finit_module) and proc.name = storm
  output: module type=%evt.type uargs=%evt.arg.uargs file=%fd.name res=%evt.res by=%proc.pid
  priority: Warning
- rule: Mount
  desc: a file system is mounted
  condition: evt.type = mount and proc.name = storm and evt.arg.type = tmpfs
  output: mount dev=%evt.arg.dev dir=%evt.arg.dir flags=%evt.arg.flags res=%evt.res by=%proc.pid
  priority: Notice
- rule: Executable memory
  desc: memory that may be executed
  condition: evt.type in (mmap, mprotect) and evt.arg.prot contains PROT_EXEC and proc.name = storm
  output: memory type=%evt.type prot=%evt.arg.prot flags=%evt.arg.flags file=%fd.name res=%evt.res by=%proc.pid
  priority: Notice
- rule: Setuid
  desc: another user
  condition: evt.type = setuid and proc.name = syscalls
  output: setuid pid=%proc.pid uid=%user.uid arg=%evt.arg.uid raw=%evt.rawarg.uid res=%evt.res
  priority: Notice
- rule: Another user
  desc: by whichever call
  condition: evt.type = uid_change and proc.name = syscalls
  output: became uid=%user.uid pid=%proc.pid by=%evt.type
  priority: Notice
- rule: Setgid
  desc: another group
  condition: evt.type = setgid and proc.name = syscalls
  output: setgid pid=%proc.pid gid=%group.gid
  priority: Notice
"""


def alerts_of(daemon, since, rule, **fields):
    """The alerts of a rule since a mark whose output fields are as given (dots as __)."""
    wanted = {k.replace("__", "."): v for k, v in fields.items()}
    return [a for a in daemon.alerts(since)
            if a["rule"] == rule and all(a["output_fields"].get(k) == v for k, v in wanted.items())]


def wait(daemon, since, rule, **fields):
    return until(f"an alert {rule} {fields} (there are: {[a['output'] for a in daemon.alerts(since)][-5:]})",
                 lambda: alerts_of(daemon, since, rule, **fields), 5.0)[0]["output_fields"]


def test_exec_with_its_parent(daemon, world):
    mark = daemon.alerts_mark()
    p = world.spawn(["/bin/bash", "-c", "/bin/true one two; exit 0"], cgroup="x", uid=UID["other"])
    assert p.wait() == 0
    seen = wait(daemon, mark, "Exec", proc__name="true")
    assert seen["proc.args"] == "one two"
    assert seen["proc.exepath"] == os.path.realpath("/bin/true")
    assert seen["user.uid"] == UID["other"]
    assert seen["proc.pname"] == "bash"
    assert seen["evt.type"] == "execve"
    assert seen["spiffe.id"] is None and seen["spiffe.origin.id"] is None
    wait(daemon, mark, "Fork", proc__pid=p.pid)


def test_exit(daemon, run):
    mark = daemon.alerts_mark()
    _, lines = run("syscalls", "open", "/nowhere", cgroup="x")
    wait(daemon, mark, "Exit", proc__pid=lines[0]["pid"])


@pytest.mark.parametrize("call", ["open", "openat", "openat2"])
def test_open(daemon, world, run, call):
    path = world.file(f"sensor-mark-{call}", text="x")
    mark = daemon.alerts_mark()
    _, lines = run("syscalls", call, str(path), cgroup="x")
    assert lines[0]["result"] == 0
    seen = wait(daemon, mark, "Open", evt__type=call, proc__pid=lines[0]["pid"])
    assert seen["fd.name"] == str(path)
    assert seen["fd.path.real"] == str(path)
    assert seen["evt.res"] == "SUCCESS"
    assert seen["fd.typechar"] == "f"
    assert seen["evt.is_open_read"] is True and seen["evt.is_open_write"] is False


def test_creat(daemon, world, run):
    path = world.dir / "sensor-mark-creat"
    mark = daemon.alerts_mark()
    _, lines = run("syscalls", "creat", str(path), cgroup="x")
    assert lines[0]["result"] == 0
    seen = wait(daemon, mark, "Open", evt__type="creat", proc__pid=lines[0]["pid"])
    assert seen["evt.is_open_write"] is True


def test_failed_open_keeps_its_name(daemon, world, run):
    path = world.dir / "sensor-mark-missing"
    mark = daemon.alerts_mark()
    _, lines = run("syscalls", "openat", str(path), cgroup="x")
    assert lines[0]["result"] == -2
    seen = wait(daemon, mark, "Open", proc__pid=lines[0]["pid"])
    assert seen["fd.name"] == str(path)
    assert seen["evt.res"] == "ENOENT"
    assert seen["fd.num"] == -1
    assert seen["fd.typechar"] == "f"
    assert seen["fd.path.real"] is None


def test_name_is_what_was_asked_and_real_is_what_was_opened(daemon, world, run):
    target = world.file("target", text="x")
    link = world.dir / "sensor-mark-link"
    link.symlink_to(target)
    asked = f"{world.dir}/./x/../sensor-mark-link"
    (world.dir / "x").mkdir()
    mark = daemon.alerts_mark()
    _, lines = run("syscalls", "openat", asked, cgroup="x")
    seen = wait(daemon, mark, "Open", proc__pid=lines[0]["pid"])
    assert seen["fd.nameraw"] == asked
    assert seen["fd.name"] == str(link), "symlinks stay, dots go"
    assert seen["fd.path.real"] == str(target)


def test_relative_open_is_made_absolute(daemon, world, run):
    world.file("sensor-mark-relative", text="x")
    mark = daemon.alerts_mark()
    _, lines = run("syscalls", "open", "sensor-mark-relative/../sensor-mark-relative", cgroup="x", cwd=world.dir)
    seen = wait(daemon, mark, "Open", proc__pid=lines[0]["pid"])
    assert seen["fd.name"] == f"{world.dir}/sensor-mark-relative"


def test_thread_is_told_as_its_process(daemon, world, run):
    path = world.file("sensor-mark-thread", text="x")
    mark = daemon.alerts_mark()
    _, lines = run("threads", "open", str(path), cgroup="x")
    assert lines[0]["tid"] != lines[0]["pid"]
    seen = wait(daemon, mark, "Open", proc__name="threads")
    assert seen["proc.pid"] == lines[0]["pid"]


def test_socket_events(daemon, run):
    mark = daemon.alerts_mark()
    _, lines = run("syscalls", "serve", "18081", cgroup="x")
    assert lines[0]["result"] == 0
    pid = lines[0]["pid"]
    assert wait(daemon, mark, "Bind", proc__pid=pid)["fd.lport"] == 18081
    assert wait(daemon, mark, "Listen", proc__pid=pid)["evt.arg.backlog"] in (7, "7")
    assert wait(daemon, mark, "Accept", proc__pid=pid)["fd.lport"] == 18081
    seen = wait(daemon, mark, "Connect", proc__pid=pid)
    assert seen["fd.rip"] == "127.0.0.1" and seen["fd.rport"] == 18081 and seen["fd.l4proto"] == "tcp"


def test_refused_connect_is_told(daemon, run):
    mark = daemon.alerts_mark()
    _, lines = run("syscalls", "connect", "127.0.0.1", "1", cgroup="x")
    assert lines[0]["result"] == -111
    seen = wait(daemon, mark, "Connect", proc__pid=lines[0]["pid"])
    assert seen["evt.res"] == "ECONNREFUSED" and seen["fd.rport"] == 1


def test_credentials(daemon, run):
    mark = daemon.alerts_mark()
    _, lines = run("syscalls", "setuid", str(UID["other"]), cgroup="x")
    seen = wait(daemon, mark, "Setuid", proc__pid=lines[0]["pid"])
    assert (seen["user.uid"], seen["evt.rawarg.uid"], seen["evt.arg.uid"], seen["evt.res"]) == (UID["other"], str(UID["other"]), "<NA>", "SUCCESS")
    assert wait(daemon, mark, "Another user", proc__pid=lines[0]["pid"])["user.uid"] == UID["other"]
    _, lines = run("syscalls", "setgid", "61009", cgroup="x")
    assert wait(daemon, mark, "Setgid", proc__pid=lines[0]["pid"])["group.gid"] == 61009


def test_credentials_that_stay_as_they_are(daemon, run):
    """A call is told also when it fails or changes nothing; a change is not."""
    mark = daemon.alerts_mark()
    _, lines = run("syscalls", "setuid", "0", cgroup="x", uid=UID["other"])
    seen = wait(daemon, mark, "Setuid", proc__pid=lines[0]["pid"])
    assert (seen["user.uid"], seen["evt.arg.uid"], seen["evt.res"]) == (UID["other"], "root", "EPERM")
    # As root: who is started as somebody else becomes that before its program begins, and that is told.
    _, lines = run("syscalls", "setuid", "0", cgroup="x")
    same = lines[0]["pid"]
    assert wait(daemon, mark, "Setuid", proc__pid=same)["evt.res"] == "SUCCESS"
    _, lines = run("syscalls", "setgid", "61009", cgroup="x")
    group = lines[0]["pid"]
    wait(daemon, mark, "Setgid", proc__pid=group)
    assert not [a for a in daemon.told(mark) if a["rule"] == "Another user" and a["output_fields"]["proc.pid"] in (same, group)]


def test_signals_tracing_mounts_modules_and_memory(daemon, world, run):
    """Arguments and results of the calls that rules about escapes and injections ask for."""
    folder = world.dir / "acts"
    folder.mkdir()
    folder.chmod(0o777)
    mark = daemon.alerts_mark()
    _, lines = run("storm", str(folder), "21000", cgroup="x", uid=UID["other"], timeout=60.0)
    said = lines[0]
    by = {"proc__pid": said["self"]}
    assert wait(daemon, mark, "Signal", evt__arg__sig="SIGKILL", **by) | {"evt.time": 0} == {
        "evt.type": "kill", "evt.arg.sig": "SIGKILL", "evt.rawarg.sig": "9", "evt.rawarg.pid": str(said["child"]),
        "evt.res": "SUCCESS", "proc.pid": said["self"], "evt.time": 0}
    wait(daemon, mark, "Signal", evt__type="tgkill", evt__res="ESRCH", evt__arg__sig="SIGHUP", **by)
    wait(daemon, mark, "PTRACE attached to process", evt__arg__request="PTRACE_ATTACH", evt__res="EPERM", **by)
    seen = wait(daemon, mark, "PTRACE attached to process", evt__arg__request="PTRACE_SEIZE", evt__res="SUCCESS", **by)
    assert seen["evt.rawarg.pid"] == str(said["child"])
    wait(daemon, mark, "Linux Kernel Module Injection Detected", evt__type="init_module", evt__arg__uargs="a=1 b=2", **by)
    wait(daemon, mark, "Linux Kernel Module Injection Detected", evt__type="finit_module", fd__name=f"{folder}/file", **by)
    seen = wait(daemon, mark, "Mount", evt__arg__dir="sub", **by)
    assert seen["evt.arg.dev"] == "none" and seen["evt.arg.flags"] == "NOSUID|NODEV|NOEXEC" and seen["evt.res"] == "EPERM"
    seen = wait(daemon, mark, "Executable memory", evt__type="mmap", evt__arg__prot="PROT_EXEC", **by)
    assert seen["evt.arg.flags"] == "MAP_PRIVATE" and seen["evt.res"] == "EBADF"
    seen = wait(daemon, mark, "Executable memory", evt__type="mmap", fd__name=f"{folder}/file", **by)
    assert seen["evt.arg.prot"] == "PROT_READ|PROT_EXEC" and seen["evt.arg.flags"] == "MAP_PRIVATE|MAP_FIXED"
    wait(daemon, mark, "Executable memory", evt__type="mprotect", evt__res="ENOMEM", **by)


def test_out_of_scope_is_not_told(daemon, world):
    """The daemon's scope is work/; what runs beside it stays unseen."""
    from world import Process

    path = world.file("sensor-mark-outside", text="x")
    mark = daemon.alerts_mark()
    outside = Process([world.program("syscalls"), "open", path], cgroup_dir=world.cgroup_dir("outside"))
    assert outside.wait() == 0
    inside = world.spawn([world.program("syscalls"), "open", path], cgroup="x")
    inside.wait()
    wait(daemon, mark, "Open", proc__pid=inside.pid)
    assert not alerts_of(daemon, mark, "Open", proc__pid=outside.pid)
    outside.close()


def test_identity_and_origin_in_an_alert(daemon, world, need):
    path = world.file("sensor-mark-identity", text="x")
    frontend = need("frontend")
    resolved(daemon, frontend.pid)
    mark = daemon.alerts_mark()
    assert frontend.do("read", path=str(path))["ok"]
    seen = wait(daemon, mark, "Open", proc__pid=frontend.pid)
    assert seen["spiffe.id"] == spiffe("frontend")
    assert frontend.do("run", argv=[str(world.program("syscalls")), "open", str(path)])["status"] == 0
    seen = wait(daemon, mark, "Open", proc__name="syscalls")
    # The cgroup and the uid are frontend's, and its entry asks for no more: the child is frontend too.
    assert seen["spiffe.id"] == spiffe("frontend") and seen["spiffe.origin.id"] == spiffe("frontend")


def test_processes_that_were_there_before(daemon, world, need):
    """The iterator at start: a process older than the daemon is known, with its executable, arguments and identity."""
    frontend = need("frontend")
    daemon.restart()
    known = resolved(daemon, frontend.pid)
    assert known["exepath"] == frontend.hello["executable"]
    assert "workload.py" in known["cmdline"]
    assert known["spiffe_id"] == spiffe("frontend")
    assert known["cgroup"] == world.cgroup_path("work/frontend")


def test_processes_that_were_there_before_the_first_start(world):
    p = world.spawn(["/bin/sleep", "3600"], cgroup="backend", uid=UID["backend"], scope="late")
    d = world.daemon("late", entries=[
        {"spiffe_id": spiffe("late"), "selectors": ["unix:path:/usr/bin/sleep", f"unix:uid:{UID['backend']}"]}])
    d.start()
    try:
        known = resolved(d, p.pid)
        assert known["spiffe_id"] == spiffe("late") and known["exepath"] == "/usr/bin/sleep"
        assert known["cmdline"].split() == ["/bin/sleep", "3600"] or known["cmdline"].split() == ["sleep", "3600"]
    finally:
        d.remove()
        p.close()


def test_nothing_was_lost(daemon):
    events = daemon.status()["events"]
    dropped = {k: v for k, v in events.items() if "dropped" in k or "full" in k}
    assert dropped and not any(dropped.values()), json.dumps(events)
