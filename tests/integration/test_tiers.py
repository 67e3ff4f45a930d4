# SPDX-License-Identifier: Apache-2.0
"""The two tiers of sensing: what both tell alike, and what only the programs in the kernel's own functions can tell."""

import os
import re

import pytest

from conftest import UID
from world import until

pytestmark = pytest.mark.needs("fentry")

EVENTS = """open openat openat2 creat open_by_handle_at connect accept bind listen setuid setgid kill tkill tgkill ptrace
    mount umount umount2 move_mount init_module finit_module mmap mprotect pkey_mprotect link linkat symlink symlinkat rename
    renameat renameat2 unlink unlinkat mkdir mkdirat rmdir chmod fchmod fchmodat chown lchown fchown fchownat chdir fchdir write
    pwrite read pread dup dup2 dup3 socket sendto sendmsg recvfrom recvmsg setns unshare setsid bpf userfaultfd memfd_create prctl
    pipe2 getpriority""".split()
FIELDS = """
    evt.type syscall.type evt.category evt.dir evt.source evt.res evt.rawres evt.failed evt.count evt.count.error evt.args evt.info
    evt.is_open_read evt.is_open_write evt.is_open_exec evt.is_open_create evt.arg.res evt.arg.flags evt.rawarg.flags
    evt.arg.name evt.arg.addr evt.arg.tuple evt.arg.fd evt.arg.sig evt.rawarg.sig evt.arg.request evt.rawarg.request evt.arg.prot
    evt.rawarg.prot evt.arg.dev evt.arg.dir evt.arg.uargs evt.arg.backlog
    fd.num fd.name fd.nameraw fd.directory fd.filename fd.path.real fd.path.host fd.type fd.typechar fd.sockfamily fd.l4proto
    fd.dev fd.dev.major fd.dev.minor fd.ino fd.ip fd.cip fd.sip fd.lip fd.rip fd.net fd.port fd.cport fd.sport fd.lport fd.rport
    fd.is_server fd.connected fd.name_changed
    proc.name proc.exe proc.exepath proc.args proc.cmdline proc.cwd proc.pname proc.tty thread.cap_effective
    user.uid user.name group.gid group.name container.id spiffe.id spiffe.origin.id
    proc.pid thread.tid
""".split()
RULES = f"""
- rule: Storm
  desc: whatever the storm does
  condition: evt.type in ({", ".join(EVENTS)}) and proc.name = storm and not fd.num = 1
  output: storm {" ".join("%" + f for f in FIELDS)}
  priority: Notice
- rule: Act
  desc: what the other attacks of this module do
  condition: evt.type in (open, openat, openat2, connect, accept, bind, listen) and proc.name in (uring, race)
  output: >
    act type=%evt.type res=%evt.res name=%fd.name real=%fd.path.real num=%fd.num fdtype=%fd.type rip=%fd.rip rport=%fd.rport
    lport=%fd.lport pid=%proc.pid tid=%thread.tid raw=%fd.nameraw backlog=%evt.arg.backlog
  priority: Notice
"""
PORT = 21000  # below those that the kernel gives out
TIERS = {"syscalls": "sys_exit", "kernel": "fexit"}
UIDS = {"root": 0, "user": UID["other"]}
SETTINGS = {"sensing": "syscalls"}  # told() takes it to the other tier


def one(daemon, mark, what, **fields):
    """The one alert with these fields (dots as __)."""
    wanted = {k.replace("__", "."): v for k, v in fields.items()}

    def found():
        return [a["output_fields"] for a in daemon.alerts(mark)
                if a["rule"] == "Act" and all(a["output_fields"].get(k) == v for k, v in wanted.items())]
    until(f"an alert of {what}; there are {[a['output'] for a in daemon.alerts(mark)]}", found)
    assert len(found()) == 1, f"{what}: one act, one event"
    return found()[0]


def alike(value, said):
    """A value without what differs between two runs of the storm: pids, and ports that the kernel chose."""
    if isinstance(value, list):
        return [alike(v, said) for v in value]
    if isinstance(value, int) and not isinstance(value, bool):
        if value in (said["self"], said["child"], said["thread"]):
            return "pid"
        return "port" if 32768 <= value <= 60999 else value
    if isinstance(value, str):
        for who in ("self", "child", "thread"):
            # The name of a process is told while it lives.
            value = re.sub(rf"(?<![\w.]){said[who]}(\(storm\))?(?![\w.])", who, value)
        return re.sub(r":(3[2-9]|4\d|5\d|60)\d{3}\b", ":port", value)
    return value


def storm(daemon, run, folder, uid):
    """What one storm says of itself, and what the daemon tells of it."""
    mark = daemon.alerts_mark()
    status, said = run("storm", str(folder), str(PORT), cgroup="x", uid=uid, timeout=120.0)
    assert status == 0
    said = said[0]

    def whole():
        alerts = [a["output_fields"] for a in daemon.alerts(mark) if a["rule"] == "Storm"]
        # The last act is the thread's connect().
        return alerts if any(a["thread.tid"] == said["thread"] and a["evt.type"] == "connect" for a in alerts) else None
    alerts = until("the end of the storm", whole, 60.0)
    # It begins with a chdir(). What its process did before the exec goes by the name that it has when somebody looks.
    begin = next(i for i, a in enumerate(alerts) if a["evt.type"] == "chdir" and str(folder) in a["evt.args"])
    alerts = alerts[begin:]
    return said, [{k: v for k, v in a.items() if k != "evt.time"} for a in alerts]


@pytest.fixture(scope="module")
def told(daemon, world, run):
    """For each tier and user (what the storm says, the events), and for each tier the names that were opened by io_uring. The
    daemon is left on the tier in the kernel's functions."""
    told, unseen = {}, world.file("uring-unseen", text="x")
    for who, uid in UIDS.items():
        folder = world.dir / f"storm-{who}"
        folder.mkdir()
        os.chmod(folder, 0o777)
        run("storm", str(folder), str(PORT), cgroup="x", uid=uid, timeout=120.0)  # makes its files
    for tier, name in TIERS.items():
        if daemon.settings["sensing"] != tier:
            daemon.settings["sensing"] = tier
            daemon.restart()
        assert {t["concern"]: t["tier"] for t in daemon.status()["tiers"]}["sensing"] == name
        mark = daemon.alerts_mark()
        _, lines = run("uring", "open", str(unseen), cgroup="x")
        assert lines[-1]["result"] == 0, lines
        for who, uid in UIDS.items():
            told[tier, who] = storm(daemon, run, world.dir / f"storm-{who}", uid)
        told[tier] = [(a["output_fields"]["fd.name"], a["output_fields"]["fd.path.real"]) for a in daemon.alerts(mark)
                      if a["rule"] == "Act"]
    return told


@pytest.fixture
def kernel(daemon, told):
    return daemon


@pytest.mark.parametrize("who", UIDS)
def test_both_tell_the_same(daemon, told, who):
    """One storm on each tier: the same events in the same order, and every field of them the same."""
    said, old = told["syscalls", who]
    also, new = told["kernel", who]
    assert said["ia32"], "a kernel without 32-bit calls shows less than there is"
    seen = {e["evt.type"] for e in old}
    assert seen >= set(EVENTS) - {"setuid", "setgid"}, set(EVENTS) - seen
    assert {"SUCCESS", "ENOENT", "EBADF", "ECONNREFUSED", "EINPROGRESS", "EPERM", "ELOOP", "EMFILE", "ENAMETOOLONG", "EFAULT",
            "EAGAIN", "ESRCH", "EXDEV"} <= {e["evt.res"] for e in old}
    differ = []
    for i, (a, b) in enumerate(zip(old, new)):
        # What is equal as it stands is no pid, though a pid may have the same digits.
        fields = {k: (a[k], b[k]) for k in a if a[k] != b[k] and alike(a[k], said) != alike(b[k], also)}
        if fields:
            differ.append(f"event {i} ({a['evt.type']} {a['evt.args']}): {fields}")
    assert not differ, "\n".join(differ[:20])
    assert len(old) == len(new)
    # Executable memory of the program's own start (none: it is static) aside, each act was told.
    assert len(old) >= said["acts"] - 10
    events = daemon.status()["events"]
    assert not any(v for k, v in events.items() if "dropped" in k or "full" in k), events


def test_only_the_kernels_functions_show_what_io_uring_opened(kernel, world, told):
    """One open of each daemon's time, long before its storm ended. Elsewhere it is told as it is asked for."""
    path = f"{world.dir}/uring-unseen"
    assert told["syscalls"] == [(path, None)] and told["kernel"] == [(path, path)]


@pytest.mark.parametrize("how", ["open", "polled"])
def test_open_by_io_uring(kernel, world, run, how):
    """A worker of io_uring, and the thread that polls a ring, are their process."""
    path = world.file(f"uring-{how}", text="x")
    mark = kernel.alerts_mark()
    _, lines = run("uring", how, str(path), cgroup="x")
    assert lines[-1]["result"] == 0, lines
    seen = one(kernel, mark, "the open", fd__name=str(path))
    assert seen["fd.path.real"] == str(path) and seen["evt.res"] == "SUCCESS" and seen["fd.num"] > 2
    assert seen["evt.type"] == "openat" and seen["proc.pid"] != seen["thread.tid"], "it is its process's act"
    missing = f"{path}-missing"
    run("uring", how, missing, cgroup="x")
    seen = one(kernel, mark, "the failed open", fd__name=missing)
    assert seen["evt.res"] == "ENOENT" and seen["fd.num"] == -1


def test_connect_by_io_uring(kernel, listener, run):
    host, port = listener
    mark = kernel.alerts_mark()
    _, lines = run("uring", "connect", host, str(port), cgroup="x")
    seen = one(kernel, mark, "the connect", evt__type="connect", fd__rport=port)
    assert lines[-1]["result"] == 0 and seen["fd.rip"] == host and seen["evt.res"] == "SUCCESS", (lines, seen)
    run("uring", "connect", "127.0.0.1", "1", cgroup="x")
    seen = one(kernel, mark, "the refused connect", evt__type="connect", fd__rport=1)
    assert seen["evt.res"] == "ECONNREFUSED" and seen["fd.rip"] == "127.0.0.1" and seen["fd.num"] > 2


def test_bind_listen_and_accept_by_io_uring(kernel, run):
    mark = kernel.alerts_mark()
    _, lines = run("uring", "serve", str(PORT + 1), cgroup="x")
    assert lines[-1]["result"] == 0, lines
    seen = one(kernel, mark, "the accept", evt__type="accept", fd__lport=PORT + 1)
    assert seen["evt.res"] == "SUCCESS" and seen["fd.num"] > 2 and seen["proc.pid"] != seen["thread.tid"]
    seen = one(kernel, mark, "the bind", evt__type="bind", fd__lport=PORT + 1)
    by_ring = lines[0]["bind"] == 0  # Linux 6.11
    assert (seen["proc.pid"] != seen["thread.tid"]) == by_ring
    assert one(kernel, mark, "the listen", evt__type="listen", fd__lport=PORT + 1)["evt.arg.backlog"] == "3"


def test_name_that_changes_during_the_open(kernel, world, run):
    """The name is the one that the kernel used, not what stands in memory when the call ends."""
    fifo, decoy = world.dir / "race-fifo", world.file("race-decoy", text="x")
    os.mkfifo(fifo)
    mark = kernel.alerts_mark()
    _, lines = run("race", "name", str(fifo), str(decoy), cgroup="x", timeout=60.0)
    assert lines[0]["result"] == 0

    def told():
        return [a["output_fields"] for a in kernel.alerts(mark) if a["rule"] == "Act" and "race-" in a["output_fields"]["fd.name"]]
    until("both opens", lambda: len(told()) >= 2)
    seen = told()
    assert [a["fd.name"] for a in seen] == [str(fifo)] * 2 == [a["fd.path.real"] for a in seen]


def test_number_that_another_thread_takes(kernel, world, run):
    """What is told of an open is the file that was opened, whatever is put at its number."""
    path, decoy = world.file("race-file", text="x"), world.file("race-other", text="x")
    mark = kernel.alerts_mark()
    run("race", "dup", str(path), str(decoy), "300", cgroup="x", timeout=120.0)

    def seen():
        return [a["output_fields"] for a in kernel.alerts(mark) if a["output_fields"].get("fd.name") == str(path)]
    until("all opens to be told", lambda: len(seen()) == 300)
    wrong = [a for a in seen() if a["fd.path.real"] != str(path)]
    assert not wrong, wrong[0]


def test_socket_whose_number_another_takes(kernel, world, run):
    """A connect is told of the socket that connected, although another one stands at its number when the call ends."""
    path = world.dir / "race-socket"
    mark = kernel.alerts_mark()
    _, lines = run("race", "connect", str(path), cgroup="x", timeout=60.0)
    assert lines[0]["result"] == 0
    until("both connects", lambda: len([a for a in kernel.alerts(mark) if a["output_fields"]["evt.type"] == "connect"]) == 2)
    for a in kernel.alerts(mark):
        if a["output_fields"]["evt.type"] == "connect":
            assert a["output_fields"]["fd.type"] == "unix" and a["output_fields"]["fd.name"] == str(path), a


def test_programs_come_and_go_with_the_rules(world):
    """Functions that no rule asks about are left alone."""
    rule = """
- rule: {0}
  desc: an event
  condition: evt.type = {0} and proc.name = nobody
  output: told
  priority: Debug
"""
    few = world.daemon("few", rules=rule.format("open"), scope_cgroup="few", sensing="kernel")
    few.start()
    try:
        opens = few.status()["bpf"]["programs"]
        added = world.file("added.yaml", text=rule.format("ptrace"), mode=0o600)
        few.cli("rules", "add", str(added))
        assert few.status()["bpf"]["programs"] == opens + 2, "one for each table of system calls"
        few.restart()
        assert few.status()["adopted"] and few.status()["bpf"]["programs"] == opens + 2
        few.cli("rules", "remove", "added")
        assert few.status()["bpf"]["programs"] == opens
    finally:
        few.remove()
