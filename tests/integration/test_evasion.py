# SPDX-License-Identifier: Apache-2.0
"""Ways to act unseen, each against a rule that somebody would really write: docs/evasion.md names them all.

The vault is what the rules guard. An evasion passes its test when the rule fires all the same, with fields that say who did it.
"""

import os
import pathlib
import shutil

import pytest

from conftest import UID
from world import until

pytestmark = pytest.mark.kernel(each=True)

SHOWN = """evt.type evt.res evt.args fd.name fd.nameraw fd.path.real fd.path.host fd.num fd.ino proc.name proc.exe proc.exepath proc.args proc.cmdline
    proc.pid proc.pname thread.tid evt.is_async evt.buffer fd.rip fd.rport proc.is_exe_from_memfd evt.arg.flags""".split()
RULES = """
- macro: opened_for_reading
  condition: evt.type in (open, openat, openat2) and evt.is_open_read = true and fd.typechar = 'f' and fd.num >= 0
- macro: spawned_process
  condition: evt.type in (execve, execveat)
- list: trusted
  items: [sshd, backup]

- rule: Vault read
  desc: by the path that the kernel opened
  condition: opened_for_reading and fd.path.real startswith {vault}/ and not proc.name in (trusted)
  output: read {shown}
  priority: Warning
- rule: Vault named
  desc: by the name that was asked for, as the rules of the field do
  condition: opened_for_reading and fd.name startswith {vault}/ and not proc.name in (trusted)
  output: named {shown}
  priority: Warning
- rule: File of the vault
  desc: by the path under which the system itself has the file, whatever was mounted where
  condition: opened_for_reading and fd.path.host startswith {vault}/
  output: file {shown}
  priority: Warning
- rule: Secret itself
  desc: by the inode, whatever it is called
  condition: opened_for_reading and fd.ino = {ino}
  output: inode {shown}
  priority: Warning
- rule: Race
  desc: a pipe of the vault is opened for reading; its name is left to the caller
  condition: evt.type = openat and evt.is_open_read = true and fd.path.real = {vault}/fifo
  output: race {shown}
  priority: Warning
- rule: Data of the vault
  desc: what comes out of a file, by whichever descriptor
  condition: evt.type in (read, pread, readv) and fd.name startswith {vault}/ and evt.rawres > 0
  output: data {shown}
  priority: Warning
- rule: Data into the vault
  desc: what is written to a guarded file
  condition: evt.type in (write, pwrite, writev) and fd.name startswith {vault}/ and evt.buffer contains ring
  output: written {shown}
  priority: Warning
- rule: Vault changed
  desc: as the rules of the field have it, by whichever argument names it
  condition: >
    (evt.type in (unlink, unlinkat) and (evt.arg.name startswith {vault}/ or evt.arg.path startswith {vault}/)) or
    (evt.type in (mkdir, mkdirat) and evt.arg.path startswith {vault}/) or
    (evt.type in (rename, renameat, renameat2, link, linkat) and evt.arg.oldpath startswith {vault}/ring) or
    (evt.type in (symlink, symlinkat) and evt.arg.linkpath startswith {vault}/)
  output: changed {shown}
  priority: Warning
- rule: Connection
  desc: as the rules of the field have it
  condition: evt.type = connect and (evt.rawres >= 0 or evt.res = EINPROGRESS) and proc.name = uring
  output: connection {shown}
  priority: Notice
- rule: Datagram
  desc: as the rules of the field have it
  condition: evt.type in (sendto, sendmsg) and fd.l4proto = udp and evt.rawres > 0 and proc.name = uring
  output: datagram {shown}
  priority: Notice
- rule: Link to the vault
  desc: another name for a guarded file
  condition: >
    (evt.type in (link, linkat) and evt.arg.oldpath contains {vault}/) or
    (evt.type in (symlink, symlinkat) and evt.arg.target startswith {vault}/)
  output: link {shown}
  priority: Warning
- rule: Vault mounted elsewhere
  desc: a mount can give a file any name
  condition: evt.type = mount and evt.arg.dev startswith {vault}
  output: mount {shown}
  priority: Warning
- rule: Tool started
  desc: a program that has no business here, by the path of what is executed
  condition: spawned_process and proc.exepath startswith {tools}/
  output: started {shown}
  priority: Warning
- rule: Program from memory
  desc: as the rules of the field have it
  condition: spawned_process and proc.is_exe_from_memfd = true
  output: memory {shown}
  priority: Critical
- rule: Code of a tool
  desc: what is mapped to be executed is executed, whoever loads it
  condition: evt.type = mmap and evt.arg.prot contains PROT_EXEC and fd.name startswith {tools}/
  output: mapped {shown}
  priority: Warning
- rule: Namespace
  desc: a process leaves its namespaces or its root
  condition: evt.type in (setns, unshare, pivot_root, chroot) and evt.rawres = 0
  output: namespace {shown}
  priority: Notice
"""


@pytest.fixture(scope="module")
def vault(world):
    folder = world.dir / "vault"
    folder.mkdir()
    os.chmod(folder, 0o755)
    world.file("vault/secret", text="the secret\n", mode=0o644)
    (world.dir / "tools").mkdir()
    os.chmod(world.dir / "tools", 0o777)
    return folder


@pytest.fixture(scope="module")
def secret(vault):
    return vault / "secret"


@pytest.fixture(scope="module")
def daemon(world, secret):
    rules = RULES.format(vault=secret.parent, tools=world.dir / "tools", ino=os.stat(secret).st_ino,
                         shown=" ".join("%" + f for f in SHOWN))
    d = world.daemon(entries=[], rules=rules)
    d.settings["rules"]["matching"] = "all"
    return d.start()


@pytest.fixture
def seen(daemon):
    """The one alert of a rule since the test began, by its fields (dots as __); it waits for it."""
    mark = daemon.alerts_mark()

    def find(rule, **fields):
        wanted = {k.replace("__", "."): v for k, v in fields.items()}

        def found():
            return [a["output_fields"] for a in daemon.alerts(mark)
                    if a["rule"] == rule and all(a["output_fields"].get(k) == v for k, v in wanted.items())]
        until(f"an alert {rule} {wanted}; there are {[a['output'][:300] for a in daemon.alerts(mark)]}", found)
        daemon.told(mark)
        assert len(found()) == 1, f"one act, one alert: {found()}"
        return found()[0]
    return find


@pytest.fixture
def tool(world):
    """A copy of a program of tests/attacks that nobody should start."""
    def make(program="syscalls", name=None):
        return world.program(program, f"tools/{name or program}")
    return make


def shell(world, script, *args, uid=0, **kwargs):
    p = world.spawn(["/bin/sh", "-ec", script, "sh", *map(str, args)], cgroup="x", uid=uid, **kwargs)
    status = p.wait(30.0)
    return status, p


def possible(status, process):
    """A script that an unprivileged user may not everywhere run to its end."""
    if status and "unshare failed" in process.text():
        pytest.skip(f"no unprivileged user namespaces here: {process.text()}")
    assert status == 0, process.text()


def python(world, code, *args, **kwargs):
    p = world.spawn(["/usr/bin/python3", "-c", code, *map(str, args)], cgroup="x", **kwargs)
    assert p.wait(30.0) == 0, p.text()
    return p


# ---- names of files ------------------------------------------------------------------------------------------------------


def test_symbolic_link(world, run, secret, seen):
    link = world.dir / "innocent-link"
    link.symlink_to(secret)
    _, lines = run("syscalls", "openat", str(link), cgroup="x")
    assert lines[0]["result"] == 0
    f = seen("Vault read")
    assert f["fd.name"] == str(link) and f["fd.path.real"] == str(secret) and f["proc.pid"] == lines[0]["pid"]


def test_link_in_the_middle_of_a_path(world, run, secret, seen):
    """The last component is an honest one; a folder above it is not."""
    (world.dir / "innocent-folder").symlink_to(secret.parent)
    _, lines = run("syscalls", "openat", f"{world.dir}/innocent-folder/secret", cgroup="x")
    assert seen("Vault read")["proc.pid"] == lines[0]["pid"]


def test_hard_link(world, run, secret, seen):
    """A hard link is a name of its own: the inode tells, and so does the call that made the name."""
    name = world.dir / "innocent-name"
    python(world, "import os, sys; os.link(sys.argv[1], sys.argv[2])", secret, name)
    assert seen("Link to the vault", evt__type="link")["evt.res"] == "SUCCESS"
    _, lines = run("syscalls", "openat", str(name), cgroup="x")
    f = seen("Secret itself")
    assert f["fd.path.real"] == f["fd.path.host"] == str(name) and f["proc.pid"] == lines[0]["pid"]


MOUNT = 'mount --bind "$1" "$2"; exec "$3" openat "$2/secret"'


@pytest.mark.parametrize("who", ["root", "user namespace"])
def test_bind_mount(world, secret, seen, who):
    """The folder gets another name in a mount namespace of its own, root's or one that anybody can make. The mount is told, and
    so is the path under which the system itself has the file."""
    elsewhere = world.dir / f"elsewhere-{who.split()[0]}"
    elsewhere.mkdir()
    unshare, uid = ("-m", 0) if who == "root" else ("-Urm", UID["rogue"])
    status, p = shell(world, f"exec unshare {unshare} sh -ec '{MOUNT}' sh \"$@\"", secret.parent, elsewhere,
                      world.program("syscalls"), uid=uid)
    possible(status, p)
    assert seen("Vault mounted elsewhere")["evt.res"] == "SUCCESS"
    f = seen("File of the vault")
    assert f["fd.path.host"] == str(secret) and f["proc.name"] == "syscalls"
    assert f["fd.name"] == f["fd.path.real"] == f"{elsewhere}/secret"
    assert seen("Secret itself")["proc.pid"] == f["proc.pid"]


def test_another_root(world, tool, secret, seen):
    """A root of its own in a user namespace: no name says anything any more, but the system has the file under its own."""
    root = world.dir / "tools" / "jail"
    root.mkdir()
    os.chmod(root, 0o777)
    (root / "old").mkdir()
    (root / "data").mkdir()
    tool(name="jail/act")
    status, p = shell(world, """exec unshare -Urm sh -ec '
        mount --bind "$1" "$1"; mount --bind "$2" "$1/data"; cd "$1"; pivot_root . old; exec ./act openat /data/secret' sh "$@" """,
                      root, secret.parent, uid=UID["rogue"])
    possible(status, p)
    assert seen("Namespace", evt__type="unshare")["proc.name"] == "unshare"
    assert seen("Namespace", evt__type="pivot_root")["proc.name"] == "pivot_root"
    f = seen("File of the vault")
    assert f["fd.name"] == f["fd.path.real"] == "/data/secret" and f["fd.path.host"] == str(secret)


def test_chroot(world, tool, secret, seen):
    """The name is the new root's, the path the file's."""
    root = world.dir / "tools" / "root"
    root.mkdir()
    tool(name="root/act")
    shutil.copy(secret, root / "secret")
    status, p = shell(world, f'exec chroot "{secret.parent.parent}" /tools/root/act openat /vault/secret')
    assert status == 0, p.text()
    assert seen("Namespace", evt__type="chroot")["proc.name"] == "chroot"
    f = seen("Vault read")
    assert f["fd.name"] == "/vault/secret" and f["fd.path.real"] == str(secret)


def test_setns(world, seen):
    place = world.netns("node")
    status, p = shell(world, f"exec nsenter --net={place} true")
    assert status == 0, p.text()
    f = seen("Namespace", evt__type="setns")
    assert f["proc.name"] == "nsenter" and "CLONE_NEWNET" in f["evt.args"]


@pytest.mark.parametrize("call", ["open", "openat", "openat2"])
def test_path_of_four_kilobytes(run, secret, seen, call):
    """As long as the kernel takes it: nothing of it is cut off."""
    detour = "/" + "./" * 2047
    name = detour[:4095 - len(str(secret))] + str(secret)
    _, lines = run("syscalls", call, name, cgroup="x")
    assert lines[0]["result"] == 0
    f = seen("Vault named")
    assert f["fd.name"] == str(secret) and f["fd.nameraw"] == name and f["evt.type"] == call


def test_deep_folder(world, run, secret, seen):
    """A relative name whose folder is far away; the path is as long as one can be."""
    way = "/".join(["d" * 250] * 15)
    deep = world.dir / way
    deep.mkdir(parents=True)
    back = "../" * 15 + "vault/secret"
    _, lines = run("syscalls", "openat", back, cgroup="x", cwd=deep)
    assert lines[0]["result"] == 0
    f = seen("Vault named")
    assert f["fd.name"] == str(secret) and f["fd.nameraw"] == back


def test_name_that_is_no_text(world, run, vault, seen):
    """Bytes that are no UTF-8: the rule matches the bytes, and the alert stays JSON."""
    name = os.fsencode(vault) + b"/\xff\xfe\x80secret\xc3"
    with open(name, "wb") as f:
        f.write(b"x")
    os.chmod(name, 0o644)
    _, lines = run("syscalls", "openat", os.fsdecode(name), cgroup="x")
    assert lines[0]["result"] == 0
    f = seen("Vault read")
    assert f["fd.name"].startswith(f"{vault}/\ufffd") and f["fd.name"].endswith("\ufffd") and "secret" in f["fd.path.real"]


# ---- ways to open ----------------------------------------------------------------------------------------------------------


def test_32_bit_call(run, secret, seen):
    """int 0x80 has numbers of its own."""
    _, lines = run("reach", "ia32", str(secret), cgroup="x")
    if lines[0]["result"] == -38:
        pytest.skip("this kernel has no 32-bit calls")
    assert lines[0]["result"] >= 0
    f = seen("Vault read")
    assert f["fd.name"] == str(secret) and f["evt.type"] == "openat"


def test_folder_by_number(world, secret, seen):
    """openat() with a folder, a name without one: the whole path is told."""
    python(world, "import os, sys; d = os.open(sys.argv[1], os.O_PATH); os.open('secret', os.O_RDONLY, dir_fd=d)", secret.parent)
    f = seen("Vault named")
    assert f["fd.name"] == str(secret) and f["fd.nameraw"] == "secret"


def test_name_that_changes_during_the_open(world, run, vault, seen):
    """When the call ends another name stands in memory. The path is the file's own, on either tier."""
    fifo, decoy = vault / "fifo", world.file("decoy", text="x")
    os.mkfifo(fifo)
    _, lines = run("race", "name", str(fifo), str(decoy), cgroup="x", timeout=60.0)
    assert lines[0]["result"] == 0
    f = seen("Race")
    assert f["fd.path.real"] == str(fifo) and f["proc.name"] == "race"


def test_descriptor_that_was_passed(world, secret, seen):
    """One process opens the file, another reads it by a descriptor that it was sent: what is read is told, and by whom."""
    p = python(world, """
import os, socket, sys
ours, theirs = socket.socketpair()
if os.fork() == 0:
    fd = socket.recv_fds(theirs, 1, 1)[1][0]
    os.read(fd, 100)
    print(os.getpid(), flush=True)
    os._exit(0)
socket.send_fds(ours, [b"x"], [os.open(sys.argv[1], os.O_RDONLY)])
os.wait()
""", secret)
    reader = int(p.output[-1])
    f = seen("Data of the vault")
    assert f["proc.pid"] == reader and f["fd.name"] == str(secret)
    assert seen("Vault read")["proc.pid"] == p.pid


# ---- who acts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["renamed", "heir", "worker"])
def test_program_that_gives_itself_a_trusted_name(run, secret, seen, how):
    """comm and the arguments belong to the program, and so do its threads' names and what a child inherits. proc.name and
    proc.cmdline are those of the exec."""
    _, lines = run("evade", how, "sshd", str(secret), cgroup="x")
    assert lines[0]["result"] == 0
    f = seen("Vault read")
    assert f["proc.name"] == "evade" and f["proc.pid"] == lines[0]["pid"]
    assert f["proc.cmdline"] == f"evade {how} sshd {secret}"


def test_program_that_deletes_itself(tool, run, secret, seen):
    path = tool("evade", "fleeting")
    _, lines = run("evade", "gone", str(secret), as_name="tools/fleeting", cgroup="x")
    assert lines[0]["result"] == 0 and not path.exists()
    assert seen("Tool started", proc__name="fleeting")["proc.exepath"] == str(path)
    assert seen("Vault read")["proc.exepath"] == str(path)


def test_many_short_lives(run, vault, seen):
    """Children that open a file and are gone before anybody could look at /proc."""
    name = f"{vault}/brief"
    for i in range(20):
        with open(f"{name}-{i}", "w", encoding="ascii"):
            pass
    _, lines = run("evade", "brief", "20", name, cgroup="x", timeout=60.0)
    pids = set()
    for i in range(20):
        f = seen("Vault read", fd__name=f"{name}-{i}")
        assert f["proc.name"] == "evade" and f["proc.exepath"].endswith("/evade") and f["proc.pname"] == "evade"
        pids.add(f["proc.pid"])
    assert len(pids) == 20 and lines[0]["pid"] not in pids


# ---- ways to execute -----------------------------------------------------------------------------------------------------------


def test_exec_by_symbolic_link(world, tool, seen):
    """Name and first argument are the caller's choice; the path is that of the program."""
    path = tool()
    link = world.dir / "backup"
    link.symlink_to(path)
    assert world.spawn([link, "openat", "/etc/hostname"], cgroup="x").wait() == 0
    f = seen("Tool started")
    assert f["proc.exepath"] == str(path) and f["proc.name"] == "backup" and f["proc.exe"] == str(link)


def test_exec_by_descriptor(world, tool, seen):
    """fexecve(): execveat() with an empty path."""
    path = tool()
    python(world, "import os, sys; os.execve(os.open(sys.argv[1], os.O_RDONLY), ['sshd', 'openat', '/etc/hostname'], {})", path)
    f = seen("Tool started")
    assert f["evt.type"] == "execveat" and f["proc.exepath"] == str(path) and f["proc.exe"] == "sshd"


def test_exec_of_a_file_that_was_deleted(world, tool, seen):
    """Its path is the one that it had."""
    path = tool(name="deleted")
    python(world, """
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
os.unlink(sys.argv[1])
os.execve(fd, ['sshd', 'openat', '/etc/hostname'], {})
""", path)
    assert seen("Tool started")["proc.exepath"] == str(path)


def test_exec_from_memory(world, tool, seen):
    python(world, """
import os, sys
fd = os.memfd_create("innocent")
os.write(fd, open(sys.argv[1], "rb").read())
os.execve(fd, ["sshd", "openat", "/etc/hostname"], {})
""", tool())
    f = seen("Program from memory")
    assert f["proc.exepath"] == "memfd:innocent" and "EXE_FROM_MEMFD" in f["evt.arg.flags"]


def test_exec_by_a_thread(world, run, tool, seen):
    """The thread takes the leader's place: one event, of the process."""
    path = tool()
    status, lines = run("victim", "--thread-exec", str(path), "openat", "/etc/hostname", cgroup="x")
    f = seen("Tool started")
    assert f["proc.exepath"] == str(path) and f["thread.tid"] == f["proc.pid"] and f["proc.name"] == "syscalls", (status, lines)


def test_dynamic_linker_as_the_program(world, seen):
    """What is executed is the linker; what it maps to be executed is told, and stands in its arguments."""
    linker = "/lib64/ld-linux-x86-64.so.2"
    path = world.file("tools/cat", source=pathlib.Path(os.path.realpath("/bin/cat")))
    assert world.spawn([linker, path, "/etc/hostname"], cgroup="x").wait() == 0
    f = seen("Code of a tool")
    assert f["fd.name"] == str(path) and f["proc.exepath"] == os.path.realpath(linker)
    assert f["proc.args"] == f"{path} /etc/hostname"


def test_a_megabyte_of_arguments(world, tool, seen):
    """The exec is told, with as many arguments as a record holds."""
    path = tool()
    assert world.spawn([path, "openat", "/etc/hostname", *["x" * 100000] * 10, "--last"], cgroup="x").wait() == 0
    f = seen("Tool started")
    assert f["proc.exepath"] == str(path) and f["proc.args"].startswith("openat /etc/hostname xxx")
    assert len(f["proc.args"]) > 3000 and "--last" not in f["proc.args"]


# ---- io_uring ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def ring(run):
    """Does something through a ring; skips where there are none."""
    def go(*args):
        status, lines = run("uring", *map(str, args), cgroup="x")
        if "impossible" in lines[0]:
            pytest.skip(f"io_uring is not available here: {lines[0]['impossible']}")
        assert status == 0 and lines[-1]["result"] == 0, lines
    return go


@pytest.fixture(scope="module")
def asked(daemon):
    """Is what a ring is asked told when it is asked, because nobody sees how it ends?"""
    return next(t["tier"] for t in daemon.status()["tiers"] if t["concern"] == "sensing") == "sys_exit"


@pytest.mark.parametrize("how", ["open", "polled", "direct", "quiet"])
def test_open_by_io_uring(ring, secret, seen, asked, how):
    """In a worker, by the thread that polls the ring, into the ring's own table, without a completion."""
    ring(how, secret)
    f = seen("Vault named")
    assert f["fd.name"] == str(secret) and f["evt.type"] == "openat" and f["evt.res"] == "SUCCESS" and f["fd.num"] >= 0
    assert f["proc.name"] == "uring" and f["proc.exepath"].endswith("/uring") and f["evt.is_async"] is asked
    assert f["fd.path.real"] == (None if asked else str(secret))


def test_connect_by_io_uring(ring, listener, seen, asked):
    host, port = listener
    ring("connect", host, port)
    f = seen("Connection", fd__rip=host, fd__rport=port)
    assert f["proc.name"] == "uring" and f["evt.res"] == ("EINPROGRESS" if asked else "SUCCESS")


def test_datagram_by_io_uring(ring, listener, seen):
    """To an address that only the request names."""
    host, port = listener
    ring("sendto", host, port)
    f = seen("Datagram", fd__rip=host, fd__rport=port)
    assert f["proc.name"] == "uring" and f["evt.is_async"] is True and f["evt.buffer"] == "by a ring"


@pytest.mark.parametrize("act, call", [("unlink", "unlinkat"), ("mkdir", "mkdirat"), ("rename", "renameat2"), ("link", "linkat"),
                                       ("symlink", "symlinkat")])
def test_path_by_io_uring(ring, vault, world, seen, act, call):
    """Calls on paths have no function with name and result: they are told as they are asked for, on either tier."""
    name, to = vault / f"ring-{act}", world.dir / f"ring-{act}-to"
    if act in ("unlink", "rename", "link"):
        name.write_text("x", encoding="ascii")
    if act == "symlink":
        name, to = to, name
        ring(act, name, to)
    else:
        ring(act, name, *([to] if act in ("rename", "link") else []))
    f = seen("Vault changed", evt__type=call)
    assert f["proc.name"] == "uring" and f["evt.is_async"] is True and f["evt.res"] == "SUCCESS"
    told = {"unlink": f"dirfd=-100(AT_FDCWD) name={name} flags=0", "mkdir": f"dirfd=-100(AT_FDCWD) path={name} mode=1C0",
            "rename": f"oldpath={name} newdirfd=-100(AT_FDCWD) newpath={to}", "link": f"oldpath={name} newdir=-100(AT_FDCWD) newpath={to}",
            "symlink": f"target={name} linkdirfd=-100(AT_FDCWD) linkpath={to}"}[act]
    assert told in f["evt.args"], f["evt.args"]


@pytest.mark.parametrize("how", ["read", "readv"])
def test_read_by_io_uring(ring, secret, seen, how):
    """The rule asks how much was read, which nobody knows yet."""
    ring(how, secret)
    f = seen("Data of the vault")
    assert f["evt.type"] == how and f["fd.name"] == str(secret) and f["evt.is_async"] is True


def test_write_by_io_uring(ring, vault, seen):
    path = vault / "written"
    path.write_text("", encoding="ascii")
    ring("write", path, "by a ring")
    f = seen("Data into the vault")
    assert f["evt.buffer"] == "by a ring" and f["fd.name"] == str(path) and path.read_text(encoding="ascii") == "by a ring"


def test_nothing_was_lost(daemon):
    events = daemon.status()["events"]
    dropped = {k: v for k, v in events.items() if "dropped" in k or "full" in k}
    assert dropped and not any(dropped.values()), dropped
