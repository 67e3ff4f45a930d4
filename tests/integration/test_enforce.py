# SPDX-License-Identifier: Apache-2.0
"""Rules with an action: acts that are denied before they are done, and what stands in for that without BPF LSM."""

import json
import os
import shutil
import signal
import socket

import pytest

from conftest import UID, resolved, spiffe
from test_rules import add
from tiers import capabilities
from world import until

FRONTEND = f"spiffe.origin.id = {spiffe('frontend')}"
pytestmark = pytest.mark.kernel(each=True)

OPENS = "evt.type in (open, openat, openat2)"
EXECS = "evt.type in (execve, execveat)"
SECRET = "secret text"


def has_lsm():
    return not capabilities()["lsm"]


def rule(condition, action="deny", name="Guarded"):
    return f"""
- rule: {name}
  desc: d
  condition: {condition}
  output: guarded | file=%fd.path.real process=%proc.name exe=%proc.exepath
  priority: Critical
  action: {action}
"""


@pytest.fixture
def guard(world, daemon):
    """guard(CONDITION, action="deny") puts one rule into force until the test ends."""

    def go(*args, **kwargs):
        return add(world, daemon, "guard", rule(*args, **kwargs))

    yield go
    daemon.cli("rules", "remove", "guard")


@pytest.fixture
def secret(world, request):
    """A file of its own for each test, in a folder that everybody may write to."""
    folder = world.dir / f"vault-{abs(hash(request.node.name))}"
    folder.mkdir()
    folder.chmod(0o777)
    path = folder / "secret"
    path.write_text(SECRET, encoding="ascii")
    path.chmod(0o666)
    return path


@pytest.fixture
def frontend(need):
    return need("frontend", place="client")


def reach(world, workload, *args, program="reach"):
    """What became of an act of tests/attacks/PROGRAM, a child of the workload: its result, or "killed"."""
    out = workload.do("run", argv=[str(world.program(program)), *map(str, args)])
    if out["status"] == -signal.SIGKILL:
        return "killed"
    lines = [json.loads(line) for line in out["said"].splitlines() if line.startswith("{")]
    if lines and "impossible" in lines[0]:
        pytest.skip(f"{program}: {lines[0]['impossible']}")
    assert lines, out
    return lines[0]["result"]


def stopped():
    """What a denied open or exec looks like on this tier."""
    return -1 if has_lsm() else "killed"


def cat(workload, path):
    """True: it was read; False: it was stopped."""
    out = workload.do("run", argv=["/bin/cat", str(path)])
    assert out["status"] in (0, 1, -signal.SIGKILL), out
    assert (out["status"] == 0) == (SECRET in out["said"]), out
    return out["status"] == 0


# ---- what is told -----------------------------------------------------------------


def test_the_tier_is_told(daemon, guard):
    tiers = {t["concern"]: t for t in daemon.status()["tiers"]}
    assert tiers["enforcement"]["tier"] == ("lsm" if has_lsm() else "kill")
    notes = guard(f"{OPENS} and fd.path.real = /nowhere and {FRONTEND}")["notes"]
    assert bool(notes) != has_lsm(), notes
    listed = {r["name"]: r for r in daemon.json("rules", "list")["rules"]}
    assert listed["Guarded"]["action"] == "deny"
    assert listed["Guarded"]["does"] == ("deny" if has_lsm() else "kill")
    assert f"{'deny' if has_lsm() else 'kill'}" in daemon.cli("rules", "list")


@pytest.mark.needs("lsm")
def test_an_open_is_denied_and_the_process_lives(daemon, need, frontend, guard, secret):
    """Neither read nor emptied, and each told once."""
    guard(f"{OPENS} and fd.path.real = {secret} and {FRONTEND}")
    mark = daemon.alerts_mark()
    out = frontend.do("run", argv=["/bin/sh", "-c", f"cat {secret}; true > {secret}; true >> {secret}; echo alive"])
    assert "alive" in out["said"] and SECRET not in out["said"]
    assert secret.read_text(encoding="ascii") == SECRET
    fields = daemon.wait_alert("Guarded", mark)["output_fields"]
    assert fields["tipstaff.action"] == "denied" and fields["evt.res"] == "EPERM"
    assert fields["fd.path.real"] == str(secret) and fields["proc.name"] == "cat"
    assert need("backend").do("read", path=str(secret))["ok"]
    until("all of them to be told", lambda: len([a for a in daemon.alerts(mark) if a["rule"] == "Guarded"]) >= 3)
    assert len([a for a in daemon.told(mark) if a["rule"] == "Guarded"]) == 3
    assert daemon.status()["events"]["denied"] >= 3


@pytest.mark.needs("lsm")
def test_kill_refuses_as_well(daemon, frontend, guard, secret):
    guard(f"{OPENS} and fd.path.real = {secret} and {FRONTEND}", action="kill")
    mark = daemon.alerts_mark()
    out = frontend.do("run", argv=["/bin/dd", f"of={secret}", "if=/dev/null"])
    assert out["status"] == -signal.SIGKILL
    assert secret.read_text(encoding="ascii") == SECRET, "O_TRUNC came too late"
    assert daemon.wait_alert("Guarded", mark)["output_fields"]["tipstaff.action"] == "killed"


# ---- each dimension ---------------------------------------------------------------


def dimensions(world, secret):
    """name: (condition, whether it concerns /bin/cat as a child of frontend)"""
    st = secret.stat()
    dev = os.major(st.st_dev) << 20 | os.minor(st.st_dev)
    cgroup = world.cgroup_path("work/frontend")
    path = f"fd.path.real = {secret}"
    exe = os.path.realpath("/bin/cat")
    return {
        "a folder": (f"fd.path.real startswith {secret.parent}/ and {FRONTEND}", True),
        "components": (f"fd.path.real pmatch ({secret.parent}) and {FRONTEND}", True),
        "components, not text": (f"fd.path.real pmatch ({str(secret)[:-2]}) and {FRONTEND}", False),
        "spared path": (f"fd.path.real startswith {secret.parent}/ and not {path} and {FRONTEND}", False),
        "inode": (f"fd.ino = {st.st_ino} and {FRONTEND}", True),
        "inode and device": (f"fd.ino = {st.st_ino} and fd.dev = {dev} and {FRONTEND}", True),
        "inode elsewhere": (f"fd.ino = {st.st_ino} and fd.dev = {dev + 1} and {FRONTEND}", False),
        "executable": (f"{path} and proc.exepath = {exe}", True),
        "another executable": (f"{path} and proc.exepath = /bin/no-cat and {FRONTEND}", False),
        "only this executable may": (f"{path} and not proc.exepath = {exe}", False),
        "only another executable may": (f"{path} and not proc.exepath = /bin/no-cat and {FRONTEND}", True),
        "executable's inode": (f"{path} and proc.exe_ino = {os.stat(exe).st_ino}", True),
        "cgroup": (f"{path} and proc.cgroup = {cgroup}", True),
        "cgroups below": (f"{path} and proc.cgroup startswith {os.path.dirname(cgroup)}/", True),
        "another cgroup": (f"{path} and proc.cgroup = {cgroup}-not", False),
        "identities that begin so": (f"{path} and spiffe.id startswith spiffe://example.org/front", True),
        "identities like this": (f"{path} and spiffe.id glob spiffe://*.org/f*", True),
        "other identities": (f"{path} and spiffe.id startswith spiffe://example.org/back", False),
        "reading": (f"{path} and evt.is_open_read = true and {FRONTEND}", True),
        "writing": (f"{path} and evt.is_open_write = true and {FRONTEND}", False),
    }


def test_each_dimension_of_an_open(world, frontend, guard, secret):
    for name, (condition, concerned) in dimensions(world, secret).items():
        guard(f"{OPENS} and {condition}")
        assert cat(frontend, secret) != concerned, name


def test_only_x_may_and_who_is_pending_may_not(frontend, need, run, guard, secret):
    guard(f"{OPENS} and fd.path.real = {secret} and not spiffe.id = {spiffe('backend')}")
    assert need("backend").do("read", path=str(secret))["ok"]
    assert not cat(frontend, secret)
    status, lines = run("syscalls", "openat", str(secret), cgroup="x", uid=UID["rogue"])
    assert status == -signal.SIGKILL or lines[0]["result"] == -1


def test_many_rules_about_one_path(world, daemon, frontend, need, secret):
    """What one rule says of a path takes nothing from what another says."""
    text = "".join(
        rule(f"{OPENS} and fd.path.real startswith {secret.parent}/ and not spiffe.id in ({spiffe('backend')}, {spiffe(f'w{n}')})",
             name=f"Guarded {n}") for n in range(100))
    add(world, daemon, "guard", text + rule(f"{OPENS} and fd.path.real = {secret} and not spiffe.id = {spiffe('other')}",
                                            name="Stricter"))
    mark = daemon.alerts_mark()
    assert not cat(frontend, secret)
    assert daemon.wait_alert(lambda a: a["rule"].startswith("Guarded") or a["rule"] == "Stricter", mark)["rule"] == "Guarded 0"
    out = need("backend").do("read", path=str(secret)) if has_lsm() else {"ok": False}
    assert not out["ok"], "spared by a hundred rules, and not by the last"
    daemon.cli("rules", "remove", "guard")
    assert cat(frontend, secret)


# ---- attacks on opens ----------------------------------------------------------------


@pytest.fixture
def guarded(frontend, guard, secret):
    guard(f"{OPENS} and fd.path.real = {secret} and {FRONTEND}")
    assert not cat(frontend, secret), "or the attack would prove nothing"
    return secret


@pytest.mark.parametrize("how", ["opath", "ia32"])
def test_other_ways_to_open(world, frontend, guarded, how):
    result = reach(world, frontend, how, guarded)
    if how == "ia32" and result == -38:
        pytest.skip("the kernel has no 32-bit calls")
    assert result == stopped()


@pytest.mark.parametrize("how", ["open", "openat2", "creat"])
def test_every_call_that_opens(world, frontend, guarded, how):
    assert reach(world, frontend, how, guarded, program="syscalls") == stopped()
    if has_lsm():
        assert guarded.read_text(encoding="ascii") == SECRET


def test_a_symlink_and_another_name(world, frontend, guarded):
    link = guarded.parent / "innocent"
    link.symlink_to(guarded)
    for name in (link, guarded.parent / ".." / guarded.parent.name / "." / "secret", f"/proc/self/root{guarded}"):
        assert not cat(frontend, name), name


@pytest.mark.needs("lsm")
@pytest.mark.parametrize("how", ["open", "polled"])
def test_io_uring(world, frontend, guarded, how):
    """A worker of io_uring, and the thread that polls a ring, are their process."""
    assert reach(world, frontend, how, guarded, program="uring") == -1


@pytest.mark.needs("lsm")
def test_truncate_without_a_descriptor(world, frontend, guarded):
    assert reach(world, frontend, "truncate", guarded) == -1
    assert guarded.read_text(encoding="ascii") == SECRET


@pytest.mark.needs("lsm")
def test_the_dup2_race(world, frontend, guarded):
    """What stands at the number afterwards decides nothing."""
    harmless = world.file("harmless", text="x", mode=0o644)
    assert reach(world, frontend, "race", guarded, harmless) == -1


NAMESPACE = ["/usr/bin/unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c"]


def in_namespace(frontend, script):
    """Runs a script as root of a user namespace of its own; skips where nobody may make one."""
    out = frontend.do("run", argv=[*NAMESPACE, script], timeout=20)
    if "unshare failed" in out["said"]:
        pytest.skip(f"no unprivileged user namespaces here: {out['said']}")
    return out


def test_a_mount_in_a_user_namespace_is_no_way_around(frontend, guarded):
    """Bound to another name, the file is still what it is by the name that root gave it."""
    other = guarded.parent / "other"
    other.write_text("x", encoding="ascii")
    out = in_namespace(frontend, f"mount --bind {guarded} {other} && echo bound && cat {other}")
    assert "bound" in out["said"] and SECRET not in out["said"], out


def test_a_mount_in_a_user_namespace_frames_nobody_else(frontend, need, guard, secret):
    """Only the forger itself sees its own forgery: others open the file by its proper name."""
    guard(f"{OPENS} and fd.path.real = {secret.parent}/forbidden")
    (secret.parent / "forbidden").write_text("x", encoding="ascii")
    in_namespace(frontend, f"mount --bind {secret} {secret.parent}/forbidden")
    assert need("backend").do("read", path=str(secret))["ok"]


@pytest.mark.needs("lsm")
def test_an_overlay_in_a_user_namespace_is_no_way_around(frontend, guarded):
    """overlayfs opens what lies below it through a mount of the kernel's own."""
    folder = guarded.parent.parent / f"{guarded.parent.name}-over"
    folder.mkdir()
    folder.chmod(0o777)
    out = in_namespace(
        frontend, f"cd {folder} && mkdir up work all && "
        f"mount -t overlay overlay -o lowerdir={guarded.parent},upperdir=up,workdir=work all && echo mounted && cat all/secret")
    if "mounted" not in out["said"]:
        pytest.skip(f"no overlayfs in user namespaces here: {out['said']}")
    assert SECRET not in out["said"], out


def test_hard_links_and_renames_do_not_change_an_inode(frontend, guard, secret):
    """A path rule is about names: whoever may give the file another one evades it. A rule about the inode holds."""
    st = secret.stat()
    guard(f"{OPENS} and fd.ino = {st.st_ino} and fd.dev = {os.major(st.st_dev) << 20 | os.minor(st.st_dev)} and {FRONTEND}")
    link = secret.parent / "link"
    os.link(secret, link)
    assert not cat(frontend, link)
    moved = secret.parent / "moved"
    secret.rename(moved)
    assert not cat(frontend, moved)


def test_an_executable_in_disguise_is_not_spared(world, frontend, guard, secret):
    """Only X may: a mount over X's name in a user namespace does not make a program X."""
    x = world.dir / "the-reader"
    shutil.copy(os.path.realpath("/bin/true"), x)
    guard(f"{OPENS} and fd.path.real = {secret} and not proc.exepath = {x} and {FRONTEND}")
    out = in_namespace(frontend, f"mount --bind {os.path.realpath('/bin/cat')} {x} && echo bound && {x} {secret}")
    assert "bound" in out["said"] and SECRET not in out["said"], out
    shutil.copy(os.path.realpath("/bin/cat"), world.dir / "the-reader.new")
    (world.dir / "the-reader.new").rename(x)
    assert SECRET in frontend.do("run", argv=[str(x), str(secret)])["said"], "the honest one may"


# ---- exec --------------------------------------------------------------------------


@pytest.fixture
def tool(world):
    """A program that says that it ran."""
    return world.file("forbidden-tool", text="#!/bin/sh\necho it ran\n")


def test_an_exec_is_stopped(world, daemon, frontend, need, guard):
    copy = world.dir / "echo-copy"
    shutil.copy(os.path.realpath("/bin/echo"), copy)
    guard(f"{EXECS} and proc.exepath = {copy} and {FRONTEND}")
    mark = daemon.alerts_mark()
    out = frontend.do("run", argv=["/bin/sh", "-c", f"{copy} it ran; echo alive"])
    assert "it ran" not in out["said"] and "alive" in out["said"], out
    fields = daemon.wait_alert("Guarded", mark)["output_fields"]
    assert fields["proc.exepath"] == str(copy)
    assert fields["tipstaff.action"] == ("denied" if has_lsm() else "killed")
    assert "it ran" in need("backend").do("run", argv=[str(copy), "it ran"])["said"]
    assert reach(world, frontend, "thread-exec", copy) == stopped()
    until("both to be told", lambda: len([a for a in daemon.alerts(mark) if a["rule"] == "Guarded"]) == 2)


def test_an_exec_by_inode(world, frontend, guard):
    copy = world.dir / "echo-inode"
    shutil.copy(os.path.realpath("/bin/echo"), copy)
    link = world.dir / "echo-link"
    os.link(copy, link)
    guard(f"{EXECS} and proc.exe_ino = {copy.stat().st_ino} and {FRONTEND}")
    assert "it ran" not in frontend.do("run", argv=["/bin/sh", "-c", f"{link} it ran"])["said"]


@pytest.mark.needs("lsm")
def test_a_script_counts_by_its_own_name(frontend, guard, tool):
    guard(f"{EXECS} and proc.exepath = {tool} and {FRONTEND}")
    out = frontend.do("run", argv=["/bin/sh", "-c", f"{tool}; echo alive"])
    assert "it ran" not in out["said"] and "alive" in out["said"]


def test_what_the_dynamic_linker_runs_is_an_open(world, frontend, guard):
    """To the kernel that is an exec of ld.so: a rule about opens stops it."""
    copy = world.dir / "echo-linked"
    shutil.copy(os.path.realpath("/bin/echo"), copy)
    linker = "/lib64/ld-linux-x86-64.so.2"
    guard(f"{EXECS} and proc.exepath = {copy} and {FRONTEND}")
    assert "it ran" in frontend.do("run", argv=[linker, str(copy), "it ran"])["said"], "as docs/rules.md says"
    guard(f"{OPENS} and fd.path.real = {copy} and {FRONTEND}")
    assert "it ran" not in frontend.do("run", argv=["/bin/sh", "-c", f"{linker} {copy} it ran"])["said"]


@pytest.mark.needs("lsm")
def test_an_exec_is_no_open_for_reading(world, frontend, guard):
    copy = world.dir / "echo-unread"
    shutil.copy(os.path.realpath("/bin/echo"), copy)
    guard(f"{OPENS} and fd.path.real = {copy} and {FRONTEND}")
    assert "it ran" in frontend.do("run", argv=[str(copy), "it ran"])["said"]
    assert reach(world, frontend, "memfd", copy) == -1, "to copy it is to read it"


# ---- connect and bind ---------------------------------------------------------------


@pytest.fixture
def client(frontend):
    return frontend


def test_connects_by_address_and_port(daemon, client, listener, guard):
    host, port = listener
    for condition, concerned in {
        f"fd.sip = {host}": True,
        "fd.sip = 192.0.2.1": False,
        f"fd.snet = {host.rsplit('.', 1)[0]}.0/24": True,
        f"fd.snet = {host}/32 and fd.sport = {port}": True,
        f"fd.sport > {port}": False,
        f"fd.sport >= {port} and fd.sport < {port + 1}": True,
        f"not fd.snet = {host}/32": False,
        f"fd.sip = {host} and not spiffe.id = {spiffe('frontend')}": False,
    }.items():
        guard(f"evt.type = connect and {condition} and {FRONTEND}" if "spiffe" not in condition
              else f"evt.type = connect and {condition}")
        mark = daemon.alerts_mark()
        assert (client.do("connect", host=host, port=port)["errno"] == "EPERM") == concerned, condition
        if concerned:
            fields = daemon.wait_alert("Guarded", mark)["output_fields"]
            assert fields["tipstaff.action"] == "denied" and fields["evt.res"] == "EPERM"
            assert len([a for a in daemon.told(mark) if a["rule"] == "Guarded"]) == 1


@pytest.mark.parametrize("how", ["unspec", "fastopen"])
def test_ways_around_a_connect(world, client, listener, guard, how):
    host, port = listener
    guard(f"evt.type = connect and fd.sip = {host} and {FRONTEND}")
    assert reach(world, client, how, host, port) == -1
    assert reach(world, client, "connect", host, port, program="uring") == -1


def test_a_mapped_address_is_the_ipv4_address(client, listener, guard):
    host, port = listener
    guard(f"evt.type = connect and fd.sip = {host} and {FRONTEND}")
    code = f"import socket; s = socket.socket(socket.AF_INET6); print(s.connect_ex(('::ffff:{host}', {port})))"
    assert client.do("run", argv=["/usr/bin/python3", "-c", code])["said"].strip() == "1"


def test_binds(world, daemon, client, guard):
    guard(f"evt.type = bind and fd.sport < 7000 and {FRONTEND}")
    mark = daemon.alerts_mark()
    assert reach(world, client, "bind", "127.0.0.1", 6999) == -1
    assert reach(world, client, "unspec-bind", 6999) == -1
    assert reach(world, client, "bind", "127.0.0.1", 7000) == 0
    fields = daemon.wait_alert("Guarded", mark)["output_fields"]
    assert fields["tipstaff.action"] == "denied"


@pytest.mark.needs("lsm")
@pytest.mark.parametrize("how", ["inherited", "received"])
def test_a_socket_from_outside(world, daemon, listener, guard, how):
    """The cgroup hooks follow the socket; LSM follows the task."""
    host, port = listener
    guard(f"evt.type = connect and fd.sip = {host} and {FRONTEND}")
    world.place("client")
    made = world.socket("client")
    ours, theirs = socket.socketpair()
    with made, ours, theirs:
        fd = (made if how == "inherited" else theirs).fileno()
        p = world.spawn([world.program("reach"), how, str(fd), host, str(port), "wait"], cgroup="frontend", place="client",
                        uid=UID["frontend"], stdin="pipe", pass_fds=(fd,))
        assert p.json(10)["who"] == "ready"
        resolved(daemon, p.pid)
        if how == "received":
            socket.send_fds(ours, [b"x"], [made.fileno()])
        p.popen.stdin.write(b"\n")
        p.popen.stdin.flush()
        assert p.json(10)["result"] == -1
        p.close()


# ---- quarantine -----------------------------------------------------------------------


@pytest.fixture
def quarantined(daemon, frontend, client):
    daemon.cli("quarantine", spiffe("frontend"), "--reason", "test")
    yield client
    daemon.cli("release", spiffe("frontend"))


@pytest.mark.needs("lsm")
def test_quarantine_refuses_execs(daemon, quarantined):
    mark = daemon.alerts_mark()
    out = quarantined.do("exec", argv=["/bin/true"])
    assert not out["ok"] and "not permitted" in json.dumps(out), out
    alert = daemon.wait_alert("Quarantined workload refused", mark)
    assert "exec" in alert["output"]


@pytest.mark.needs("lsm")
def test_quarantine_refuses_sockets_that_nothing_else_sees(world, daemon, listener):
    """What it had running before goes on, and makes no raw, packet, ping or vsock socket; UNIX sockets go on working."""
    host, port = listener
    kinds = ["raw", "packet", "ping", "vsock", "unix"]
    running = {}
    for kind in kinds:
        running[kind] = world.spawn([world.program("reach"), kind, "wait"], cgroup="frontend", place="client", stdin="pipe")
        assert running[kind].json(10)["who"] == "ready"
    made = world.socket("client")
    running["inherited"] = world.spawn(
        [world.program("reach"), "inherited", str(made.fileno()), host, str(port), "wait"], cgroup="frontend", place="client",
        uid=UID["frontend"], stdin="pipe", pass_fds=(made.fileno(),))
    assert running["inherited"].json(10)["who"] == "ready"
    resolved(daemon, running["inherited"].pid)
    daemon.cli("quarantine", spiffe("frontend"), "--reason", "test")
    try:
        for kind, p in running.items():
            p.popen.stdin.write(b"\n")
            p.popen.stdin.flush()
            result = p.json(10)["result"]
            if kind == "inherited":
                assert result == -1
            elif kind == "unix":
                assert result >= 0
            p.close()
    finally:
        daemon.cli("release", spiffe("frontend"))
        made.close()
