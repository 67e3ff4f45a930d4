# SPDX-License-Identifier: Apache-2.0
"""The prefilter: what no rule can match never reaches the ring, and nothing else is missing."""

import collections
import json
import os
import textwrap

import pytest

import falco
from conftest import UID
from sweep import chosen_seed, sweep
from world import until

RULES = """
- rule: Fence
  desc: all that was done before it has been told
  condition: evt.type in (open, openat, openat2) and fd.name endswith .prefilter-fence
  output: fence %fd.filename
  priority: Notice
- rule: Key
  desc: a file that is read
  condition: evt.type in (open, openat, openat2) and evt.is_open_read=true and fd.num>=0 and fd.name endswith .prefilter-key
  output: key %fd.name %fd.nameraw
  priority: Notice
"""

# Makes the opens that it is sent, and tells what came of each. Of its own it opens folders meanwhile, with O_PATH.
OPENER = textwrap.dedent("""
    import ctypes, json, os, sys
    libc = ctypes.CDLL(None, use_errno=True)
    NR = {"open": 2, "creat": 85, "openat": 257, "openat2": 437}
    class How(ctypes.Structure):
        _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]
    def act(call, folder, name, flags):
        at, there = -100, os.path.exists(os.path.join(folder or ".", name))
        if folder is not None:
            at = folders[folder]
        name = name.encode()
        if call == "open":
            args = (name, flags, 0o600)
        elif call == "creat":
            args = (name, 0o600)
        elif call == "openat":
            args = (at, name, flags, 0o600)
        else:
            how = How(flags, 0o600 if flags & os.O_CREAT else 0, 0)
            args = (at, name, ctypes.byref(how), ctypes.sizeof(how))
        fd = libc.syscall(NR[call], *args)
        if fd < 0:
            return -ctypes.get_errno(), False
        os.close(fd)
        return fd, not there
    folders = {}
    print("ready", flush=True)
    for line in sys.stdin:
        todo = json.loads(line)
        os.chdir(todo["cwd"])
        for folder in todo["folders"]:
            folders[folder] = folders.get(folder) or os.open(folder, os.O_PATH | os.O_DIRECTORY)
        print(json.dumps([act(*a) for a in todo["acts"]]), flush=True)
""")


@pytest.fixture(scope="module")
def daemon(world):
    # Room for all that happens while the machine is busy with something else.
    d = world.daemon(entries=[], rules=RULES, limits={"activity_ring_kib": 8192})
    d.settings["rules"]["matching"] = "all"
    d.start()
    return d


@pytest.fixture(scope="module")
def tree(world):
    """Files for random names; a real path, since relative names start from what the kernel calls the folder."""
    top = world.dir.resolve() / "tree"
    for folder in ("etc/ssl", "home/.ssh", "a..b"):
        (top / folder).mkdir(parents=True)
    for name in ("etc/shadow", "etc/passwd", "etc/ssl/x.pem", "home/.ssh/id_rsa", "home/.bashrc", "a..b/x", "x"):
        (top / name).write_text("x", encoding="ascii")
    os.system(f"chmod -R a+rwX {top}")
    return top


class Opener:
    def __init__(self, world, tree):
        self.tree = tree
        self.process = world.spawn(["/usr/bin/python3", "-c", OPENER], cgroup="opener", uid=UID["backend"], stdin="pipe")
        assert self.process.line() == "ready"

    def play(self, acts, cwd):
        """Makes opens; each as the model sees it."""
        folders = sorted({a[1] for a in acts if a[1]})
        self.process.send(json.dumps({"cwd": cwd, "folders": folders, "acts": acts}))
        results = json.loads(self.process.line(30.0))
        return [{"call": call, "base": folder or cwd, "name": name, "result": result, "made": made, "process": "python3", "uid": UID["backend"],
                 "flags": os.O_CREAT | os.O_WRONLY | os.O_TRUNC if call == "creat" else flags}
                for (call, folder, name, flags), (result, made) in zip(acts, results)]


def random_acts(r, tree, count):
    names = ["etc/shadow", "etc/passwd", "etc/ssl/x.pem", "home/.ssh/id_rsa", "home/.bashrc", "a..b/x", "x", "none", "etc", "etc/none",
             "etc/ssl/../shadow", "etc//passwd", "./x", "etc/./shadow", "../tree/x", "etc/", ".", "a..b/../x"]
    acts = []
    for _ in range(count):
        name, folder = r.choice(names), None
        call = r.choice(("open", "openat", "openat", "openat2", "creat"))
        if r.randrange(2):
            name = f"{tree}/{name}"
        elif call in ("openat", "openat2") and r.randrange(2):
            folder = str(tree / r.choice(("etc", "home", "a..b")))
        if r.randrange(20) == 0:
            name = f"{tree}/" + "long/" * 60 + "name"
        elif r.randrange(10) == 0:
            name, folder = r.choice(("/etc/shadow", "/none")), None
        flags = r.choice((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY, os.O_RDWR))
        for extra in (os.O_CLOEXEC, os.O_CREAT, os.O_TRUNC, os.O_APPEND):
            flags |= extra if r.randrange(4) == 0 else 0
        acts.append((call, folder, name, flags))
    return acts


def words(tree):
    return [str(tree), f"{tree}/", f"{tree}/etc", f"{tree}/etc/shadow", f"{tree}/etc/passwd", f"{tree}/etc/ssl/x.pem", f"{tree}/home/.ssh",
            f"{tree}/home/.ssh/id_rsa", f"{tree}/none", "/etc/shadow", "/etc", "etc/shadow", "shadow", "passwd", "x", "x.pem", ".pem",
            "id_rsa", "/.ssh/id_rsa", "../", "..", "/", "a..b/x", f"{tree}/a..b", ".bashrc", "/none", "tree/x"]


def play(daemon, opener, tree, acts, number):
    """Makes opens, as the model sees them, and all alerts about them."""
    mark, fence = daemon.alerts_mark(), f"{tree}/{number}.prefilter-fence"
    done = opener.play([*acts, ("openat", None, fence, os.O_RDONLY)], str(tree))
    daemon.wait_alert(lambda a: a["rule"] == "Fence" and a["output"].endswith(f" {number}.prefilter-fence"), mark, timeout=20.0)
    return done, daemon.told(mark)  # other rules than the fence's may have matched the last open


def told(alerts):
    return collections.Counter(
        (a["rule"], f["evt.type"], f["fd.nameraw"], f["evt.arg.flags"], f["evt.rawres"])
        for a in alerts for f in [a["output_fields"]] if a["rule"].startswith("r") and "O_PATH" not in f["evt.arg.flags"])


def known(act):
    seen = falco.fields(act)
    return (act["call"], act["name"], seen["evt.arg.flags"], act["result"]), seen


ACTS = 40


def sweep_opens(world, daemon, tree, seed):
    opener = Opener(world, tree)

    def turn(r, number):
        def acts():
            done, alerts = play(daemon, opener, tree, random_acts(r, tree, ACTS), number)
            return told(alerts), [known(act) for act in done]

        return falco.Maker(r, words(tree), (0, 1000, UID["backend"], UID["backend"] + 1)), acts

    matched = sweep(world, daemon, seed, "%evt.type %fd.nameraw %evt.arg.flags %evt.rawres", turn)
    opener.process.close()
    return matched


def filtered(daemon):
    return daemon.status()["events"]["prefiltered"]


def test_what_no_rule_can_match_is_not_told(world, daemon, tree):
    """Names by all the ways of writing them; those that cannot match stay in the kernel."""
    opener = Opener(world, tree)
    (tree / "a.prefilter-key").write_text("x", encoding="ascii")
    (tree / "a.prefilter-key").chmod(0o644)
    before = daemon.status()["events"]
    names = ["a.prefilter-key", f"{tree}/a.prefilter-key", f"{tree}//a.prefilter-key", "./a.prefilter-key", "etc/../a.prefilter-key"]
    acts = [("openat", None, n, os.O_RDONLY) for n in names]
    acts += [("openat", None, f"{tree}/x", os.O_RDONLY)] * 1000
    acts += [("openat", None, "none.prefilter-key", os.O_RDONLY), ("openat", None, "a.prefilter-key", os.O_WRONLY)]
    _, alerts = play(daemon, opener, tree, acts, "first")
    assert collections.Counter(a["output_fields"]["fd.nameraw"] for a in alerts if a["rule"] == "Key") == collections.Counter(names)
    until("the counters to be read", lambda: filtered(daemon) - before["prefiltered"] >= 1002)
    assert daemon.status()["events"]["activity_sent"] - before["activity_sent"] < 100
    opener.process.close()


@pytest.mark.timeout(400)
def test_alerts_are_those_of_the_language(world, daemon, tree):
    """Random rules, random opens: with the prefilter, without it, and by a second opinion on the language."""
    seed = chosen_seed()
    before = filtered(daemon)
    assert sweep_opens(world, daemon, tree, seed) > 0
    until("the counters to be read", lambda: filtered(daemon) > before)
    daemon.stop()
    daemon.settings["rules"]["prefilter"] = False
    try:
        daemon.start()
        assert sweep_opens(world, daemon, tree, seed) > 0
    finally:
        daemon.stop()
        daemon.settings["rules"]["prefilter"] = True
        daemon.start()


def test_without_the_prefilter_all_opens_are_told(world, daemon, tree):
    opener = Opener(world, tree)
    daemon.stop()
    daemon.start("--no-prefilter")
    try:
        before = daemon.status()["events"]["activity_sent"]
        play(daemon, opener, tree, [("openat", None, f"{tree}/x", os.O_RDONLY)] * 200, "all")
        until("the opens to be told", lambda: daemon.status()["events"]["activity_sent"] - before >= 200)
    finally:
        daemon.restart()
        opener.process.close()


# Opens the names that it is given in turns until it is told to stop; then how often it did each. As fast as a ring can take that
# nobody reads for some seconds.
STORM = textwrap.dedent("""
    import os, sys, threading
    names, done = sys.argv[1:], threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), done.set()), daemon=True).start()
    print("ready", flush=True)
    rounds = 0
    while not done.is_set():
        for name in names:
            os.close(os.open(name, os.O_RDONLY))
        rounds += 1
        done.wait(0.004)
    print(rounds, flush=True)
""")


@pytest.mark.timeout(400)
def test_reloads_lose_nothing(world, daemon, tree):
    """200 reloads under load that alternate two sets: what both of them match is told once, each time that it was done."""
    for name in ("both-a.reload", "both-b.reload", "left.reload", "right.reload"):
        (tree / name).write_text("x", encoding="ascii")
        (tree / name).chmod(0o644)
    both = f"fd.name endswith /both-a.reload or fd.name = {tree}/both-b.reload"
    sets = [f"""
- rule: Reloaded
  desc: what both sets want, and what only this one does
  condition: evt.type in (open, openat) and evt.is_open_read=true and ({both} or fd.name endswith /{own}.reload)
  output: reloaded %fd.filename
  priority: Debug
""" for own in ("left", "right")]
    files = [world.file(f"set-{i}.yaml", text=text, mode=0o644) for i, text in enumerate(sets)]
    daemon.cli("rules", "add", files[0], "--name", "alternating")
    mark = daemon.alerts_mark()
    storm = world.spawn(["/usr/bin/python3", "-c", STORM, *(str(tree / n) for n in ("both-a.reload", "both-b.reload", "left.reload",
                         "right.reload"))], cgroup="opener", uid=UID["backend"], stdin="pipe")
    assert storm.line() == "ready"
    for i in range(1, 201):
        daemon.cli("rules", "add", files[i % 2], "--name", "alternating")
    storm.send("stop")
    rounds = int(storm.line(30.0))
    assert rounds > 200
    opener = Opener(world, tree)
    play(daemon, opener, tree, [], "reloads")
    seen = collections.Counter(a["output_fields"]["fd.filename"] for a in daemon.alerts(mark) if a["rule"] == "Reloaded")
    daemon.cli("rules", "remove", "alternating")
    opener.process.close()
    events = daemon.status()["events"]
    assert (seen["both-a.reload"], seen["both-b.reload"]) == (rounds, rounds), events
    assert 0 < seen["left.reload"] < rounds and 0 < seen["right.reload"] < rounds, seen


# Opens a file by every way of writing its name that it can think of, as root in a mount namespace of its own.
WAYS = textwrap.dedent("""
    import ctypes, os, sys
    libc = ctypes.CDLL(None, use_errno=True)
    tree, fence = os.fsencode(sys.argv[1]), os.fsencode(sys.argv[2])
    libc.unshare(0x20000)
    libc.mount(None, b"/", None, 0x44000, None)
    libc.mount(tree + b"/etc", tree + b"/bound", None, 0x1000, None)
    def opened(name, at=-100):
        fd = libc.syscall(257, at, name, os.O_RDONLY, 0)
        if fd >= 0:
            os.close(fd)
    def apart(how):
        pid = os.fork()
        if not pid:
            try:
                how()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
    def chrooted():
        os.chroot(tree)
        opened(b"/etc/secret.key")
        opened(b"../../etc/secret.key")
        os.chdir("/etc")
        opened(b"secret.key")
    def nowhere():
        os.mkdir(tree + b"/gone")
        os.chdir(tree + b"/gone")
        os.rmdir(tree + b"/gone")
        for name in (b"secret.key", b"./secret.key", b"../etc/secret.key"):
            opened(name)
    etc = os.open(tree + b"/etc", os.O_PATH)
    top = os.open(tree, os.O_PATH)
    gone = os.open(tree + b"/etc/secret.key", os.O_PATH)
    fds = [(b"secret.key", etc), (b"etc/secret.key", top), (b"./etc/secret.key", top), (b"../etc/secret.key", etc), (b"", etc), (b".", etc),
           (b"secret.key", 9999), (b"secret.key", gone), (b"\\xff\\xfe.key", etc), (b"secret.key\\xff", etc)]
    for name, at in fds:
        opened(name, at)
    os.chdir(tree + b"/etc")
    root = b"/proc/self/root" + tree
    names = [b"secret.key", b"./secret.key", b"../etc/secret.key", b"/etc/secret.key", b"bound/secret.key", b"", None, b"\\xff\\xfe.key"]
    names += [tree + n for n in (b"/etc/secret.key", b"/etc//secret.key", b"/etc/./secret.key", b"/etc/../etc/secret.key", b"/etc/secret.key/",
                                 b"/etc/secret.key/.", b"/bound/secret.key", b"/link.key", b"/linked/secret.key", b"/etc/\\xff\\xfe.key",
                                 b"/etc/\\xc3\\xa9.key", b"/etc/ secret.key", b"/etc/secret.key ", b"/etc/*.key")]
    names += [b"/" + tree + b"/etc/secret.key", b"/.." + tree + b"/etc/secret.key", root + b"/etc/secret.key", root + b"/../" * 3 + b"etc/secret.key",
              b"/proc/self/cwd/secret.key", b"/proc/thread-self/cwd/secret.key", b"/dev/fd/%d/secret.key" % etc, b"/proc/self/fd/%d" % gone]
    long = tree + b"/" + b"d" * 60 + b"/" + b"e" * 60 + b"/" + b"f" * 60 + b"/secret.key"
    names += [long, long + b"x"]
    for size in (191, 192, 193, 4094, 4095, 4096, 5000):
        rest = size - len(b"secret.key")
        names += [(b"./" * size)[:rest - rest % 2] + b"secret.key", b"/" * (size - len(tree) - 15) + tree + b"/etc/secret.key",
                  tree + b"/" + b"x" * max(size - len(tree) - 12, 1) + b"/secret.key"]
    for name in names:
        opened(name)
    apart(chrooted)
    apart(nowhere)
    opened(fence)
""")


@pytest.mark.timeout(200)
def test_no_way_of_writing_a_name_hides_it(world, daemon, tree):
    """Names that begin anywhere and are written in any way: the same is told with the prefilter and without it."""
    conditions = [f"fd.name = {tree}/etc/secret.key", "fd.name endswith /secret.key", f"fd.name startswith {tree}/etc", "fd.name = /etc/secret.key",
                  "fd.filename = secret.key", f"fd.directory = {tree}/etc", f"fd.name pmatch ({tree}/etc)", f"not fd.name startswith {tree} and fd.nameraw endswith key",
                  "not fd.filename = secret.key and fd.name endswith .key", "fd.nameraw = secret.key", "fd.nameraw contains ../", "fd.nameraw startswith ./",
                  "fd.name startswith /proc/", f"fd.directory = {tree}/bound", "fd.name glob */secret.key", "fd.name glob /proc/*/secret.key"]
    text = "".join(f"- rule: r{i}\n  desc: d\n  condition: evt.type = openat and not evt.arg.flags contains O_DIRECTORY and proc.name = python3 and {c}\n"
                   f"  output: x %fd.nameraw %evt.rawres\n  priority: Debug\n" for i, c in enumerate(conditions))
    for folder in ("etc", "bound", "d" * 60 + "/" + "e" * 60 + "/" + "f" * 60):
        (tree / folder).mkdir(parents=True, exist_ok=True)
    for name in ("secret.key", os.fsdecode(b"\xff\xfe.key")):
        (tree / "etc" / name).write_text("x", encoding="ascii")
    (tree / ("d" * 60) / ("e" * 60) / ("f" * 60) / "secret.key").write_text("x", encoding="ascii")
    (tree / "link.key").symlink_to(tree / "etc/secret.key")
    (tree / "linked").symlink_to(tree / "etc")
    file = world.file("ways.yaml", text=text, mode=0o644)
    told_of = []
    for number, on in enumerate((True, False)):
        daemon.stop()
        daemon.settings["rules"]["prefilter"] = on
        daemon.start()
        daemon.cli("rules", "add", file, "--name", "random")
        mark, fence = daemon.alerts_mark(), f"{tree}/{number}.prefilter-fence"
        assert world.spawn(["/usr/bin/python3", "-c", WAYS, str(tree), fence], cgroup="opener").wait() == 0
        daemon.wait_alert(lambda a: a["rule"] == "Fence" and a["output"].endswith(f" {number}.prefilter-fence"), mark, timeout=20.0)
        told_of.append(collections.Counter((a["rule"], a["output_fields"]["fd.nameraw"], a["output_fields"]["evt.rawres"] < 0)
                                           for a in daemon.told(mark) if a["rule"].startswith("r")))
        daemon.cli("rules", "remove", "random")
    daemon.stop()
    daemon.settings["rules"]["prefilter"] = True
    daemon.start()
    with_it, without = told_of
    assert with_it == without, (without - with_it, with_it - without)
    assert {rule for rule, *_ in with_it} == {f"r{i}" for i in range(len(conditions))}
