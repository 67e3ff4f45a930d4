# SPDX-License-Identifier: Apache-2.0
"""Fields: each with the value that a real act gives it."""

import hashlib
import os
import pathlib
import time

import pytest

from conftest import UID, spiffe
from world import until

EXEC_FIELDS = """
  evt.type evt.cpu evt.arg.flags evt.hostname proc.name proc.exe proc.exepath proc.args proc.cmdline proc.cwd proc.tty proc.pid proc.ppid
  proc.vpid proc.sid proc.pgid proc.vpgid.name proc.vpgid.exe proc.is_vpgid_leader proc.sname proc.pname proc.pexe proc.pexepath proc.pcmdline
  proc.aname[1] proc.aname[2] proc.aname proc.aexepath[2] proc.aexe[2] proc.duration proc.ppid.duration proc.loginshellid
  proc.is_exe_writable proc.is_exe_upper_layer proc.is_exe_lower_layer proc.is_exe_from_memfd proc.exe_ino proc.exe_ino.ctime proc.exe_ino.mtime
  proc.exe_ino.ctime_duration_proc_start proc.exe_ino.ctime_duration_pidns_start proc.pidns_init_start_ts proc.exec_id
  proc.env proc.env[COLOUR] proc.aenv[COLOUR] proc.aenv[1]
  proc.vmsize proc.fdlimit thread.pfminor thread.vtid thread.cap_effective thread.cap_permitted
  user.name user.uid user.loginuid user.loginname group.gid group.name spiffe.path spiffe.parent.id
"""

OPEN_FIELDS = """
  evt.type evt.is_open_read evt.is_open_write evt.is_open_create evt.is_open_exec evt.res evt.rawres fd.name fd.nameraw fd.directory
  fd.filename fd.num fd.type fd.typechar fd.path.real fd.is_upper_layer fd.is_lower_layer fd.uid fd.types fd.containername fd.containerdirectory
  proc.pid proc.env[COLOUR] proc.stdin.type proc.stdin.name proc.stdout.type proc.nthreads proc.nchilds proc.vmsize proc.vmrss proc.fdlimit
  proc.fdopencount proc.fdusage thread.tid thread.vtid thread.cgroups thread.cgroup[memory] thread.pfminor spiffe.id spiffe.path
  spiffe.trust_domain spiffe.parent.id
"""


SOCKET_FIELDS = """
  evt.type evt.res fd.name fd.type fd.typechar fd.l4proto fd.sockfamily fd.num fd.ip fd.sip fd.cip fd.lip fd.rip fd.sport fd.cport fd.lport fd.rport
  fd.sip.name fd.cip.name fd.lip.name fd.rip.name fd.sproto fd.rproto fd.proto fd.connected fd.name_changed fd.is_server
"""


def shown(fields):
    return " ".join(f"{name}=%{name}" for name in fields.split())


RULES = f"""
- rule: Executed
  desc: what the tests execute
  condition: evt.type in (execve, execveat) and (proc.name startswith fields- or proc.is_exe_from_memfd = true)
  output: executed {shown(EXEC_FIELDS)}
  priority: Notice

- rule: Opened
  desc: what the tests open
  condition: evt.type in (open, openat) and fd.name contains /fields-open
  output: opened {shown(OPEN_FIELDS)}
  priority: Notice

- rule: Connected
  desc: what the tests connect to
  condition: evt.type = connect and fd.sip.name = localhost and fd.sport = 9
  output: connected {shown(SOCKET_FIELDS)}
  priority: Notice
"""


def executed(daemon, mark, name):
    alert = daemon.wait_alert(lambda a: a["rule"] == "Executed" and a["output_fields"]["proc.exepath"].endswith(f"/{name}"), mark)
    return alert["output_fields"]


def opened(daemon, mark, name):
    return daemon.wait_alert(lambda a: a["rule"] == "Opened" and a["output_fields"]["fd.name"].endswith(f"/{name}"), mark)["output_fields"]


def script(world, text, **kwargs):
    p = world.spawn(["/bin/bash", "-c", text], cgroup="x", **kwargs)
    status = p.wait(20)
    assert status == 0, p.text()
    return p


def test_what_an_exec_says_of_its_process(world, daemon):
    """A shell starts a program: what the kernel knows of it is what the fields say."""
    program = world.program("syscalls", "fields-a")
    mark = daemon.alerts_mark()
    before = time.time_ns()
    p = script(world, f"cd /usr/share && exec 3>&1 && {program} openat /etc/hostname && true", env={"COLOUR": "red blue", "PATH": "/bin"})
    f = executed(daemon, mark, "fields-a")
    assert f["evt.type"] == "execve" and f["proc.name"] == "fields-a" and f["proc.exepath"] == str(program)
    assert f["proc.exe"] == str(program) and f["proc.args"] == "openat /etc/hostname"
    assert f["proc.cmdline"] == "fields-a openat /etc/hostname" and f["proc.cwd"] == "/usr/share/" and f["proc.tty"] == 0
    assert f["proc.ppid"] == p.pid and f["proc.pname"] == "bash" and f["proc.pexe"] == "/bin/bash" and "cd /usr/share" in f["proc.pcmdline"]
    assert f["proc.aname[1]"] == "bash" and f["proc.aname"][0] == "bash" and f["proc.pexepath"].endswith("/bash")
    assert f["proc.loginshellid"] is not None
    assert 0 <= f["evt.cpu"] < os.cpu_count()
    assert f["proc.env[COLOUR]"] == "red blue" and "COLOUR=red blue" in f["proc.env"] and f["proc.aenv[COLOUR]"] == "red blue"
    assert "PATH=/bin" in f["proc.aenv[1]"]
    assert f["proc.exe_ino"] == os.stat(program).st_ino
    assert f["proc.exe_ino.ctime"] == os.stat(program).st_ctime_ns and f["proc.exe_ino.mtime"] == os.stat(program).st_mtime_ns
    assert 0 < f["proc.exe_ino.ctime_duration_proc_start"] < time.time_ns() - os.stat(program).st_ctime_ns + 10**9
    assert f["proc.duration"] < time.time_ns() - before + 10**9 and f["proc.ppid.duration"] >= f["proc.duration"]
    assert f["proc.vpid"] == f["proc.pid"] == f["thread.vtid"] and f["proc.is_vpgid_leader"] is False
    assert f["proc.vmsize"] > 100 and f["thread.pfminor"] > 0 and f["proc.fdlimit"] > 0
    assert f["user.uid"] == 0 and f["user.name"] == "root" and f["group.gid"] == 0 and f["group.name"] == "root"
    assert "CAP_SYS_ADMIN" in f["thread.cap_effective"] and "CAP_SYS_ADMIN" in f["thread.cap_permitted"]
    assert isinstance(f["proc.exec_id"], int) and f["proc.exec_id"] > 0


def test_ancestors_stay_when_they_have_ended(world, daemon):
    """Who forks twice and lets the first one end is not rid of where it comes from."""
    program = world.program("syscalls", "fields-left")
    mark = daemon.alerts_mark()
    script(world, f"(while kill -0 $$; do sleep 0.1; done; {program} openat /etc/hostname; true) >/dev/null 2>&1 &")
    f = executed(daemon, mark, "fields-left")
    assert f["proc.aname[1]"] == "bash" and f["proc.aname[2]"] == "bash" and f["proc.ppid.duration"] > 0


def test_login_name_of_nobody_is_a_text(world, daemon):
    """Rules compare with it: unset would make each comparison false."""
    program = world.program("syscalls", "fields-b")
    mark = daemon.alerts_mark()
    script(world, f"{program} openat /etc/hostname")
    f = executed(daemon, mark, "fields-b")
    with open("/proc/self/loginuid", encoding="ascii") as own:
        if int(own.read()) != 2**32 - 1:
            pytest.skip("this session has a login user")
    assert f["user.loginuid"] == -1 and f["user.loginname"] == "<NA>"


def overlay(world, folder, program):
    """In a mount namespace of its own: an overlay on `folder`, with programs and files in each of its layers, all used once."""
    text = f"""set -e
        mount -t tmpfs none {folder}
        cd {folder}; mkdir low up work merged
        cp {program} low/fields-low; cp {program} low/fields-copied; echo text > low/fields-open-low
        mount -t overlay overlay -o lowerdir=low,upperdir=up,workdir=work merged
        cp {program} merged/fields-up; touch merged/fields-copied; echo text > merged/fields-open-up
        merged/fields-low openat {folder}/merged/fields-open-low
        merged/fields-up openat {folder}/merged/fields-open-up
        merged/fields-copied openat /etc/hostname
        {program} openat /etc/hostname
    """
    p = world.spawn(["/usr/bin/unshare", "-m", "/bin/bash", "-c", text], cgroup="x")
    assert p.wait(20) == 0, p.text()


@pytest.mark.kernel(each=True)
def test_layers_of_an_overlay(world, daemon):
    """What came with the image, and what was dropped into it."""
    program = world.program("syscalls", "fields-c")
    d = world.dir / "overlay"
    d.mkdir()
    mark = daemon.alerts_mark()
    overlay(world, d, program)
    low, up, copied = (executed(daemon, mark, f"fields-{n}") for n in ("low", "up", "copied"))
    plain = executed(daemon, mark, "fields-c")
    assert low["proc.is_exe_lower_layer"] and not low["proc.is_exe_upper_layer"] and "EXE_LOWER_LAYER" in low["evt.arg.flags"]
    for f in (up, copied):
        assert f["proc.is_exe_upper_layer"] and not f["proc.is_exe_lower_layer"] and "EXE_UPPER_LAYER" in f["evt.arg.flags"], f
    assert not plain["proc.is_exe_lower_layer"] and not plain["proc.is_exe_upper_layer"] and "LAYER" not in plain["evt.arg.flags"]
    f = opened(daemon, mark, "merged/fields-open-low")
    assert f["fd.is_lower_layer"] and not f["fd.is_upper_layer"]
    f = opened(daemon, mark, "merged/fields-open-up")
    assert f["fd.is_upper_layer"] and not f["fd.is_lower_layer"]


@pytest.mark.kernel(each=True)
def test_who_may_write_to_its_executable(world, daemon):
    """Owner, group, others, and root, who may whatever the mode says."""
    uid = UID["rogue"]
    cases = {  # name: (owner, group, mode, the uid that runs it, its groups, writable)
        "fields-owner": (uid, 0, 0o755, uid, [], True),
        "fields-ro": (uid, 0, 0o555, uid, [], False),
        "fields-others": (0, 0, 0o757, uid, [], True),
        "fields-group": (0, 4242, 0o775, uid, [7, 4242, 9999], True),
        "fields-nogroup": (0, 4242, 0o775, uid, [7, 9999], False),
        "fields-not": (0, 0, 0o755, uid, [], False),
        "fields-root": (uid, 0, 0o555, 0, [], True),
    }
    mark = daemon.alerts_mark()
    for name, (owner, group, mode, who, groups, _) in cases.items():
        path = world.program("syscalls", name)
        os.chown(path, owner, group)
        os.chmod(path, mode)
        script(world, f"exec setpriv --reuid {who} --regid {who} --groups {','.join(map(str, groups or [who]))} {path} openat /etc/hostname")
    for name, (*_, writable) in cases.items():
        f = executed(daemon, mark, name)
        assert f["proc.is_exe_writable"] is writable, name
        assert ("EXE_WRITABLE" in f["evt.arg.flags"]) is writable, name


def test_root_of_a_user_namespace_may_not_write_to_foreign_files(world, daemon):
    """It has every capability, and none that counts for a file whose owner has no name there."""
    program = world.program("syscalls", "fields-userns")
    os.chmod(program, 0o755)
    mark = daemon.alerts_mark()
    script(world, f"exec setpriv --reuid {UID['rogue']} --regid {UID['rogue']} --clear-groups "
                  f"unshare -Ur {program} openat /etc/hostname")
    f = executed(daemon, mark, "fields-userns")
    assert "CAP_DAC_OVERRIDE" in f["thread.cap_effective"] and f["proc.is_exe_writable"] is False


def test_executed_from_memory(world, daemon):
    code = (
        "import os, sys\n"
        "fd = os.memfd_create('nothing')\n"
        "os.write(fd, open(sys.argv[1], 'rb').read())\n"
        "os.execve(fd, ['innocent', 'openat', '/etc/hostname'], {})\n"
    )
    mark = daemon.alerts_mark()
    p = world.spawn(["/usr/bin/python3", "-c", code, str(world.program("syscalls", "fields-d"))], cgroup="x")
    assert p.wait(20) == 0, p.text()
    f = daemon.wait_alert(lambda a: a["rule"] == "Executed" and a["output_fields"]["proc.is_exe_from_memfd"], mark)["output_fields"]
    assert "EXE_FROM_MEMFD" in f["evt.arg.flags"] and f["proc.exe"] == "innocent"


def test_pid_namespace(world, daemon):
    """Numbers inside, and how long the namespace has been there."""
    program = world.program("syscalls", "fields-ns")
    mark = daemon.alerts_mark()
    before = time.time_ns()
    # the file is changed after the namespace was made, as what is dropped into a container is; file times have ticks of some ms
    p = world.spawn(["/usr/bin/unshare", "-p", "-f", "/bin/bash", "-c", f"for i in {{1..30}}; do /bin/touch -a {program}; done; {program} openat /etc/hostname; true"], cgroup="x")
    assert p.wait(20) == 0, p.text()
    f = executed(daemon, mark, "fields-ns")
    assert 1 < f["proc.vpid"] < 40 and f["proc.vpid"] == f["thread.vtid"] != f["proc.pid"]
    assert before - 10**9 < f["proc.pidns_init_start_ts"] < time.time_ns()
    assert 0 < f["proc.exe_ino.ctime_duration_pidns_start"] < time.time_ns() - before + 10**9


def test_what_proc_says_when_a_rule_asks(world, daemon, run):
    """Sizes, descriptors and control groups of a process that lives."""
    path = world.file("fields-open-live", text="x")
    code = f"""
import os, sys, threading
hold = threading.Event()
for _ in range(3): threading.Thread(target=hold.wait, daemon=True).start()
os.close(os.open({str(path)!r}, os.O_RDONLY))
sys.stdin.read()
os._exit(0)
"""
    mark = daemon.alerts_mark()
    p = world.spawn(["/usr/bin/python3", "-c", code], cgroup="x", env={"COLOUR": "green"}, stdin="pipe")
    f = opened(daemon, mark, "fields-open-live")
    p.close()
    assert f["proc.nthreads"] == 4 and f["proc.nchilds"] == 3
    assert f["proc.vmsize"] > 1000 and 0 < f["proc.vmrss"] < f["proc.vmsize"]
    assert f["proc.fdopencount"] >= 3 and f["proc.fdlimit"] > 3
    assert abs(f["proc.fdusage"] - 100 * f["proc.fdopencount"] / f["proc.fdlimit"]) < 0.01
    assert f["proc.stdin.type"] == "pipe" and f["proc.stdin.name"].startswith("pipe:[") and "pipe" in f["fd.types"]
    assert f["thread.vtid"] == f["thread.tid"] and f["thread.pfminor"] > 0
    assert world.cgroup_path("work/x") in f["thread.cgroups"]
    assert f["thread.cgroup[memory]"].startswith("/")
    assert f["fd.uid"] == f"{f['thread.tid']}{f['fd.num']}"
    assert f["fd.containername"] == f"host:{path}" and f["fd.containerdirectory"] == f"host:{path.parent}"
    assert f["proc.env[COLOUR]"] == "green"


def test_names_of_files(world, daemon):
    """fd.nameraw is what was said, fd.name the same made absolute, fd.path.real what it led to."""
    target = world.file("fields-open-target", text="x")
    link = world.dir / "fields-open-link"
    link.symlink_to(target)
    mark = daemon.alerts_mark()
    script(world, f"cd {world.dir} && : < ../{world.dir.name}/./fields-open-link")
    f = opened(daemon, mark, "fields-open-link")
    assert f["fd.nameraw"] == f"../{world.dir.name}/./fields-open-link" and f["fd.name"] == str(link) and f["fd.path.real"] == str(target)
    assert f["fd.directory"] == str(world.dir) and f["fd.filename"] == "fields-open-link" and f["fd.typechar"] == "f" and f["fd.type"] == "file"
    assert f["evt.is_open_read"] and not f["evt.is_open_write"] and not f["evt.is_open_create"]


def test_an_open_that_made_the_file(world, daemon):
    path = world.dir / "fields-open-new"
    mark = daemon.alerts_mark()
    script(world, f"umask 0; echo x > {path}; sleep 0; echo y >> {path}; : < {path}-absent || true")
    until("both opens to be told", lambda: len([a for a in daemon.alerts(mark) if a["output_fields"].get("fd.name") == str(path)]) == 2)
    first, second = (a["output_fields"] for a in daemon.alerts(mark) if a["output_fields"].get("fd.name") == str(path))
    assert first["evt.is_open_create"] and not second["evt.is_open_create"] and first["evt.is_open_write"]
    f = opened(daemon, mark, "fields-open-new-absent")
    assert f["fd.num"] == -1 and f["fd.typechar"] == "f" and f["evt.res"] == "ENOENT" and f["evt.rawres"] == -2 and not f["evt.is_open_create"]
    assert f["fd.is_upper_layer"] is None and f["fd.path.real"] is None


def test_identity(world, daemon, need):
    path = world.file("fields-open-id", text="x", mode=0o644)
    mark = daemon.alerts_mark()
    assert need("frontend").do("read", path=str(path))["ok"]
    f = opened(daemon, mark, "fields-open-id")
    assert f["spiffe.id"] == spiffe("frontend") and f["spiffe.path"] == "/frontend" and f["spiffe.trust_domain"] == "example.org"
    assert f["spiffe.parent.id"] is None
    mark = daemon.alerts_mark()
    assert need("frontend").do("run", argv=["/bin/cat", str(path)])["status"] == 0
    assert opened(daemon, mark, "fields-open-id")["spiffe.parent.id"] == spiffe("frontend")


def test_a_host_that_a_rule_names(world, daemon):
    """The name is resolved by a process of its own: it ends, and leaves the daemon with the addresses."""
    code = "import socket; s = socket.socket(); s.connect_ex(('127.0.0.1', 9))"

    def found():
        mark = daemon.alerts_mark()
        p = world.spawn(["/usr/bin/python3", "-c", code], cgroup="x")
        assert p.wait(20) == 0, p.text()
        daemon.cli("status")  # what the rings had before is read
        return next((a for a in daemon.alerts(mark) if a["rule"] == "Connected"), None)

    f = until("the name to be resolved", found, 20.0)["output_fields"]
    assert f["fd.sip.name"] == f["fd.rip.name"] == "localhost" and f["fd.sip"] == "127.0.0.1" and f["fd.sport"] == 9
    assert f["fd.sproto"] == f["fd.rproto"] == "discard" and f["fd.l4proto"] == "tcp" and f["fd.typechar"] == "4"
    assert f["evt.res"] == "ECONNREFUSED" and not f["fd.connected"] and not f["fd.is_server"] and f["fd.sockfamily"] == "ip"
    children = pathlib.Path(f"/proc/{daemon.keeper_pid}/task/{daemon.keeper_pid}/children")
    until("nothing of the resolver to be left", lambda: len(children.read_text(encoding="ascii").split()) == 1)


def test_resolving_needs_no_rights(world, daemon):
    """What parses the answers of name servers is nobody, whoever starts it."""
    p = world.spawn([world.build / "tipstaffd", "--resolve", "localhost", "no-such-host.invalid"], cgroup="x")
    assert p.wait(60) == 0
    assert p.output[0].split()[:2] == ["localhost", "127.0.0.1"] and p.output[1].strip() == "no-such-host.invalid"
    # Who cannot become nobody does not ask at all.
    p = world.spawn([world.build / "tipstaffd", "--resolve", "localhost"], cgroup="x", uid=UID["rogue"])
    assert p.wait(60) == 1 and "cannot become nobody" in p.text() and "127.0.0.1" not in p.text()


HASHED = """
- rule: Hashed
  desc: what the executable is, by its content
  condition: evt.type in (open, openat) and fd.name endswith /fields-hash
  output: hashed %proc.exe.sha256
  priority: Notice
"""


def test_what_the_executable_hashes_to(world, daemon):
    """Where the kernel does not hash, the daemon reads the file when the first event asks; the next ones know."""
    path, program = world.file("fields-hash", text="x"), os.path.realpath("/usr/bin/python3")
    with open(program, "rb") as f:
        want = hashlib.sha256(f.read()).hexdigest()
    daemon.cli("rules", "add", world.file("hashed.yaml", text=HASHED, mode=0o644))
    mark = daemon.alerts_mark()
    code = f"import os, sys\nfor _ in sys.stdin: os.close(os.open({str(path)!r}, os.O_RDONLY))\n"
    p = world.spawn([program, "-c", code], cgroup="x", stdin="pipe")

    def known():
        p.send("again")
        return [a for a in daemon.alerts(mark) if a["rule"] == "Hashed" and a["output_fields"]["proc.exe.sha256"] == want]

    until("the digest to be known", known)
    assert {a["output_fields"]["proc.exe.sha256"] for a in daemon.told(mark) if a["rule"] == "Hashed"} <= {want, None}
    p.close()
    daemon.cli("rules", "remove", "hashed")


# ---- the catalogue -----------------------------------------------------------


def test_the_fields_are_listed(daemon):
    fields = {f["name"]: f for f in daemon.json("rules", "fields")["fields"]}
    assert fields["proc.name"]["events"] is None and fields["proc.name"]["type"] == "CHARBUF" and fields["proc.name"]["served"]
    assert "openat" in fields["fd.is_upper_layer"]["events"] and "execve" not in fields["fd.is_upper_layer"]["events"]
    assert fields["proc.aname"]["argument"] == "[NUMBER]" and not fields["proc.aname"]["needs_argument"]
    assert fields["thread.cgroup"]["needs_argument"] and fields["fd.types"]["several"]
    assert not fields["evt.pluginname"]["served"] and "plugin" in fields["evt.pluginname"]["about"]
    table = daemon.cli("rules", "fields")
    assert all(name in table for name in fields)


def test_each_listed_field_loads(world, daemon):
    """All of them in one rule's output, as a rule file would name them."""
    names = []
    for f in daemon.json("rules", "fields")["fields"]:
        if f["deprecated"]:
            continue
        argument = {"[NUMBER]": "[1]", "[NAME]": "[x]", "[ARGUMENT]": "[res]", None: ""}[f["argument"]] if f["needs_argument"] else ""
        if f["name"] == "evt.type.is":
            argument = "[open]"
        names.append(f"%{f['name']}{argument}")
    text = f"- rule: All\n  desc: d\n  condition: evt.type = open and evt.num = 0\n  output: all {' '.join(names)}\n  priority: Info\n"
    daemon.cli("rules", "validate", world.file("all.yaml", text=text, mode=0o644))


def test_the_page_of_the_fields_is_up_to_date(daemon):
    """`make fields-doc` writes it anew."""
    page = (pathlib.Path(__file__).parents[2] / "docs" / "fields.md").read_text(encoding="utf-8")
    assert page == daemon.cli("rules", "fields", "--markdown")
