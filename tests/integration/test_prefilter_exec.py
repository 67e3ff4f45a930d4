# SPDX-License-Identifier: Apache-2.0
"""The prefilter of execs: the table of processes has them all, rules are held against those that one of them can match."""

import collections
import json
import os
import shutil
import textwrap

import pytest

import falco
from sweep import chosen_seed, load, sweep

RULES = """
- rule: Fence
  desc: all that was executed before it has been told
  condition: evt.type = execve and proc.name = exec-fence
  output: fence %proc.args
  priority: Notice
"""

# Executes what it is sent, each time in a child: [call, path, user, arguments]. Tells the child's number, 0 if nothing was executed.
ACTOR = textwrap.dedent("""
    import ctypes, json, os, sys
    libc = ctypes.CDLL(None, use_errno=True)
    def run(call, path, uid, args):
        argv = (ctypes.c_char_p * (len(args) + 2))(*[a.encode() for a in ("zero", *args)])
        pid = os.fork()
        if not pid:
            os.setresuid(uid, uid, uid)
            if call == "execve":
                libc.execve(path.encode(), argv, None)
            else:
                folder, name = os.path.split(path)
                libc.syscall(322, os.open(folder, os.O_PATH), name.encode(), argv, None, 0)
            os._exit(127)
        return pid if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 else 0
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps([run(*act) for act in json.loads(line)]), flush=True)
""")

LONG = "a-name-that-is-longer-than-a-comm"
NAMES = ("curl", "cu", "sh", "nc", LONG, LONG[:15], LONG[:16], ".hidden", "with blank")
UIDS = (0, 1, 63, 64, 1000, 4096, 61001, 65534, 300000)


@pytest.fixture(scope="module")
def daemon(world):
    d = world.daemon(entries=[], rules=RULES)
    d.settings["rules"]["matching"] = "all"
    d.start()
    return d


@pytest.fixture(scope="module")
def tree(world):
    """Programs that end at once, under many names, and links to them; a real path, since that is what the kernel tells."""
    top = world.dir.resolve() / "programs"
    for folder in ("bin", "tmp", "deep/er"):
        (top / folder).mkdir(parents=True)
        for name in NAMES:
            shutil.copy("/bin/true", top / folder / name)
    shutil.copy("/bin/true", top / "exec-fence")
    (top / "link").symlink_to(top / "bin/curl")
    (top / "linked").symlink_to(top / "tmp")
    os.system(f"chmod -R a+rX {top}")
    return top


class Actor:
    def __init__(self, world, tree):
        self.tree = tree
        self.process = world.spawn(["/usr/bin/python3", "-c", ACTOR], cgroup="actor", stdin="pipe")
        assert self.process.line() == "ready"

    def run(self, acts):
        self.process.send(json.dumps(acts))
        return json.loads(self.process.line(60.0))

    def fence(self, daemon, number):
        """Returns when all that was executed by now has been told."""
        mark = daemon.alerts_mark()
        self.run([["execve", f"{self.tree}/exec-fence", 0, [str(number)]]])
        passed(daemon, number, mark)


def passed(daemon, number, mark):
    daemon.wait_alert(lambda a: a["rule"] == "Fence" and a["output"].endswith(f" {number}"), mark, timeout=20.0)


def random_acts(r, tree, count):
    """Acts, and what the model knows of each."""
    acts, seen = [], []
    for _ in range(count):
        folder, name = r.choice(("bin", "tmp", "deep/er", "linked")), r.choice(NAMES)
        shown = path = f"{tree}/{folder}/{name}"
        if r.randrange(8) == 0:
            path, folder, name, shown = f"{tree}/link", "bin", "curl", f"{tree}/link"
        real = os.path.realpath(path)
        call, uid, args = r.choice(("execve", "execve", "execveat")), r.choice(UIDS), r.choice(([], ["one"], ["two", "three"]))
        acts.append([call, path, uid, args])
        seen.append({"call": call, "name": os.path.basename(shown), "path": real, "uid": uid, "args": " ".join(args), "parent": "python3"})
    return acts, seen


def words(tree):
    return [str(tree), f"{tree}/", f"{tree}/bin", f"{tree}/bin/curl", f"{tree}/bin/cu", f"{tree}/tmp/", f"{tree}/tmp/{LONG}", f"{tree}/link", f"{tree}/deep/er/sh",
            f"{tree}/de", "/usr/bin/curl", "/", "curl", ".hidden", "/tmp/nc", f"{tree}/linked/nc"]


ACTS = 30


def sweep_execs(world, daemon, tree, seed):
    actor = Actor(world, tree)

    def turn(r, number):
        def acts():
            wanted, seen = random_acts(r, tree, ACTS)
            mark = daemon.alerts_mark()
            pids = actor.run(wanted)
            assert 0 not in pids
            actor.fence(daemon, number)
            got = collections.Counter((a["rule"], a["output_fields"]["proc.pid"]) for a in daemon.told(mark)
                                      if a["rule"].startswith("r") and a["output_fields"]["proc.pid"] in pids)
            print(f"set {number}: {dict(zip(pids, seen))}")
            return got, [((pid,), falco.exec_fields(act)) for pid, act in zip(pids, seen)]

        return falco.ExecMaker(r, words(tree), NAMES, UIDS), acts

    matched = sweep(world, daemon, seed, "%proc.pid", turn)
    actor.process.close()
    return matched


def lifecycle(daemon):
    a = daemon.status()["accounts"]["lifecycle"]
    assert a["generated"] == a["delivered"] + a["waiting"] + a["filtered"] + a["dropped"] + a["missed"], a
    return a


@pytest.mark.timeout(700)
def test_alerts_are_those_of_the_language(world, daemon, tree):
    """Random rules, random execs: with the prefilter, without it, and by a second opinion on the language."""
    seed = chosen_seed()
    before = lifecycle(daemon)
    assert sweep_execs(world, daemon, tree, seed) > 0
    assert lifecycle(daemon)["filtered"] > before["filtered"]
    daemon.stop()
    daemon.start("--no-prefilter")
    try:
        before = lifecycle(daemon)
        assert sweep_execs(world, daemon, tree, seed) > 0
        assert lifecycle(daemon)["filtered"] == before["filtered"]
    finally:
        daemon.stop()
        daemon.start()


def test_execs_that_no_rule_can_match_are_accounted_for(world, daemon, tree):
    actor = Actor(world, tree)
    load(world, daemon, ["evt.type in (execve, execveat) and proc.name in (nobody, none)", f"evt.type = execve and proc.exepath startswith {tree}/none/",
                         "evt.type = execve and proc.is_exe_from_memfd = true and proc.pname = nobody"], "%proc.pid")
    before = lifecycle(daemon)
    pids = actor.run([["execve", f"{tree}/bin/curl", 1000, []]] * 200)
    assert 0 not in pids
    actor.fence(daemon, "accounted")
    after = lifecycle(daemon)
    assert after["filtered"] - before["filtered"] >= 200
    # forks and exits, and the fence
    assert after["delivered"] - before["delivered"] >= 401
    daemon.cli("rules", "remove", "random")
    actor.process.close()


def test_it_is_explained(world, daemon):
    file = world.file("explained.yaml", mode=0o644, text="""
- rule: Explained
  desc: d
  condition: >
    evt.type = execveat and user.uid = 0 and proc.tty != 0 and proc.name in (nc, ncat) and proc.exepath startswith /tmp/ and proc.pname = bash
  output: x
  priority: Debug
""")
    said = daemon.json("rules", "explain", "Explained", file)
    assert "exec by execveat, with a terminal, by user 0, whose name is nc or is ncat, whose path begins with /tmp/" in json.dumps(said)


# Executes a program in every way that might hide what it is called.
WAYS = textwrap.dedent("""
    import ctypes, os, sys, threading
    libc = ctypes.CDLL(None, use_errno=True)
    tree, number = sys.argv[1], sys.argv[2]
    target = tree + "/tmp/evil"
    def execve(path, name=b"zero", *args):
        argv = (ctypes.c_char_p * (len(args) + 2))(name, *args)
        libc.execve(os.fsencode(path), argv, None)
    def execveat(fd, path, flags=0):
        libc.syscall(322, fd, os.fsencode(path), (ctypes.c_char_p * 2)(b"zero"), None, flags)
    def apart(how):
        pid = os.fork()
        if not pid:
            try:
                how()
            finally:
                os._exit(127)
        os.waitpid(pid, 0)
    def renamed():
        libc.prctl(15, b"harmless", 0, 0, 0)
        execve(target)
    def renamed_by_file():
        with open("/proc/self/comm", "w") as f:
            f.write("harmless")
        execve(target)
    def in_thread():
        t = threading.Thread(target=lambda: (libc.prctl(15, b"harmless", 0, 0, 0), execve(target)))
        t.start()
        t.join()
    def memfd():
        fd = os.memfd_create("harmless", 0)
        with open(target, "rb") as f:
            os.write(fd, f.read())
        execveat(fd, "", 0x1000)
    def chrooted():
        os.chroot(tree)
        execve("/tmp/static")
    def unlinked():
        os.link(target, tree + "/tmp/gone")
        fd = os.open(tree + "/tmp/gone", os.O_RDONLY)
        os.unlink(tree + "/tmp/gone")
        execveat(fd, "", 0x1000)
    def below():
        os.chdir(tree + "/tmp")
        execve("./evil")
    def moved():
        os.chdir(tree)
        execve("tmp/../tmp//evil")
    folder = os.open(tree + "/tmp", os.O_PATH)
    ways = [lambda: execve(target), lambda: execve(target, b""), lambda: execve(target, b"harmless", b"x" * 3000), renamed, renamed_by_file, in_thread,
            memfd, chrooted, unlinked, below, moved, lambda: execveat(folder, "evil"), lambda: execveat(os.open(target, os.O_PATH), "", 0x1000),
            lambda: execve(tree + "/harmless"), lambda: execve(tree + "/linked/evil"), lambda: execve(tree + "/script"), lambda: execve("/proc/self/root" + target),
            lambda: execve("/proc/self/fd/%d/evil" % folder), lambda: execve(tree + "/tmp/" + "evil" * 10), lambda: execve(tree + "/tmp/evil-of-15-byte"[:len(tree) + 20]),
            lambda: execve(os.fsencode(tree) + b"/tmp/evil\\xff\\xfe"), lambda: execve(tree + "/tmp/evil "), lambda: execve(tree + ("/" + "d" * 60) * 4 + "/evil")]
    for way in ways:
        apart(way)
    apart(lambda: execve(tree + "/exec-fence", b"exec-fence", number.encode()))
""")


@pytest.mark.timeout(200)
def test_no_way_of_executing_hides_it(world, daemon, tree):
    """The same is told with the prefilter and without it, however a program is executed and whatever it called itself before."""
    conditions = ["proc.name = evil", "proc.name startswith evil", f"proc.exepath = {tree}/tmp/evil", f"proc.exepath startswith {tree}/tmp/", "proc.exepath startswith /tmp/",
                  "proc.is_exe_from_memfd = true", f"not proc.exepath startswith {tree} and user.uid = 0", f"proc.exepath pmatch ({tree}/tmp)", "not proc.name startswith e",
                  "evt.type = execveat", "proc.name = harmless", f"proc.name = script or proc.exepath = {tree}/harmless", "proc.exepath endswith /evil",
                  f"proc.exepath startswith {tree}/{'d' * 60}", "proc.name = evilevilevilevi", "proc.name = evil-of-15-byte"]
    text = [f"evt.type in (execve, execveat) and proc.pname = python3 and {c}" for c in conditions]
    long = tree / "/".join(["d" * 60] * 4)
    long.mkdir(parents=True)
    static = "/bin/busybox" if os.path.exists("/bin/busybox") else "/bin/true"
    for name in ("tmp/evil", "tmp/" + "evil" * 10, "tmp/evil-of-15-byte", os.fsdecode(b"tmp/evil\xff\xfe"), "tmp/evil ", long / "evil"):
        shutil.copy("/bin/true", tree / name)
    shutil.copy(static, tree / "tmp/static")
    (tree / "harmless").symlink_to(tree / "tmp/evil")
    (tree / "script").write_text(f"#!{tree}/tmp/evil\n", encoding="ascii")
    (tree / "script").chmod(0o755)
    told = []
    for number, on in enumerate((True, False)):
        daemon.stop()
        daemon.start(*([] if on else ["--no-prefilter"]))
        load(world, daemon, text, "%evt.type %proc.name %proc.exepath %proc.args")
        mark = daemon.alerts_mark()
        assert world.spawn(["/usr/bin/python3", "-c", WAYS, str(tree), str(number)], cgroup="actor").wait() == 0
        passed(daemon, number, mark)
        told.append(collections.Counter((a["rule"], *(a["output_fields"][f] for f in ("evt.type", "proc.name", "proc.exepath", "proc.args")))
                                        for a in daemon.told(mark) if a["rule"].startswith("r") and a["output_fields"]["proc.name"] != "exec-fence"))
        daemon.cli("rules", "remove", "random")
    daemon.stop()
    daemon.start()
    with_it, without = told
    assert with_it == without, (without - with_it, with_it - without)
    missing = {f"r{i}" for i in range(len(conditions))} - {rule for rule, *_ in with_it}
    # Without a static program nothing runs in the chroot.
    assert not missing - ({"r4", "r6"} if static == "/bin/true" else set()), missing
