# SPDX-License-Identifier: Apache-2.0
"""The prefilter of kill, ptrace, mounts, modules and executable memory: what no rule can match never reaches the ring."""

import collections
import json
import os
import random
import textwrap

import pytest

import falco
from conftest import UID
from sweep import chosen_seed, sweep
from world import until

RULES = """
- rule: Fence
  desc: all that was done before it has been told
  condition: evt.type = mkdir and evt.arg.path endswith .called-fence
  output: fence %evt.arg.path
  priority: Notice
"""

# Makes the calls that it is sent, and tells what came of each. A text is a text; {"fd": X} one of its files; "child" a process of its own
# that takes no harm; "page" memory of its own.
ACTOR = textwrap.dedent("""
    import ctypes, json, mmap, os, signal, sys
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    NR = {"kill": 62, "tkill": 200, "tgkill": 234, "ptrace": 101, "mount": 165, "umount2": 166, "move_mount": 429, "init_module": 175, "finit_module": 313,
          "mmap": 9, "mprotect": 10, "pkey_mprotect": 329, "mkdir": 83}
    child = os.fork()
    if not child:
        signal.pause()
        os._exit(0)
    page = mmap.mmap(-1, 4096)
    places = {"child": child, "page": ctypes.addressof(ctypes.c_char.from_buffer(page))}
    files = {"file": os.open("/proc/self/exe", os.O_RDONLY), "directory": os.open("/proc/self", os.O_RDONLY), "pipe": os.pipe()[0], "none": -1}
    def act(call, args):
        made = []
        for a in args:
            if isinstance(a, dict):
                made.append(ctypes.c_long(files[a["fd"]] if "fd" in a else places[a["of"]]))
            elif isinstance(a, str):
                made.append(ctypes.c_char_p(a.encode()))
            else:
                made.append(ctypes.c_long(a))
        result = libc.syscall(ctypes.c_long(NR[call]), *made)
        return result if result != -1 else -ctypes.get_errno()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps([act(*a) for a in json.loads(line)]), flush=True)
    os.kill(child, signal.SIGKILL)
""")

UIDS = (0, 1000, UID["backend"] - 1, UID["backend"], UID["backend"] + 64, 300000)
ACTS = 50
NOBODY = 0x7ffffff0  # no process has that number
END = {"file": {"fd.typechar": "f", "fd.type": "file"}, "directory": {"fd.typechar": "d", "fd.type": "directory"},
       "pipe": {"fd.typechar": "p", "fd.type": "pipe"}, "none": {}}


@pytest.fixture(scope="module")
def daemon(world):
    d = world.daemon(entries=[], rules=RULES)
    d.settings["rules"]["matching"] = "all"
    d.start()
    return d


class Actor:
    def __init__(self, world):
        self.process = world.spawn(["/usr/bin/python3", "-c", ACTOR], cgroup="actor", uid=UID["backend"], stdin="pipe")
        assert self.process.line() == "ready"

    def play(self, acts):
        """Makes the calls; each as the model sees it. Of memory only what may be executed is told."""
        self.process.send(json.dumps([[call, args] for call, args, _ in acts]))
        results = json.loads(self.process.line(30.0))
        return [{"call": call, "result": result, "process": "python3", "uid": UID["backend"], **seen} for (call, _, seen), result in zip(acts, results)
                if seen.get("numbers", {}).get("prot", 4) & 4]

    def close(self):
        self.process.close()


def signal_act(r, call):
    sig = r.choice((*falco.SIGNALS, 0, 33, 34, 62, 63, 64, 65, 99))
    whom = r.choice(({"of": "child"}, NOBODY)) if sig in (0, 17, 18, 23, 28) else NOBODY
    return call, [whom, whom, sig] if call == "tgkill" else [whom, sig], {"numbers": {"sig": sig}}


def memory_act(r, call):
    prot = r.choice((4, 5, 7, 6, 12, 1, 3, 5 | 1 << 24, 5 | 1 << 25, 0x15))
    if call == "mmap":
        kind = r.choice(sorted(END))
        flags = r.choice((2, 1, 0x42, 0x4002, 0x8002, 0)) | (0x20 if kind == "none" else 0)
        return call, [0, 4096, prot, flags, {"fd": kind}, 0], {"numbers": {"prot": prot, "flags": flags}, "end": END[kind]}
    where = r.choice(({"of": "page"}, 4096))
    return call, [where, 4096, prot, *([-1] if call == "pkey_mprotect" else [])], {"numbers": {"prot": prot}}


def random_act(r, names):
    call, one, two = r.choice(sorted(falco.NUMBERS_OF)), r.choice(names), r.choice(names)
    if "kill" in call:
        return signal_act(r, call)
    if call in ("mmap", "mprotect", "pkey_mprotect"):
        return memory_act(r, call)
    if call == "ptrace":
        request = r.choice((*falco.REQUESTS, 40, 47, 48, 62, 63, 0x41ff, 0x420e, 0x420f, 99999))
        return call, [request, NOBODY, 0, 0], {"numbers": {"request": request}}
    if call == "mount":
        flags, kind = r.choice((*falco.MOUNT, 0, 4096 | 16384, 4096 | 1 << 20, 0xc0ed0001, 33)), r.choice(("ext4", "tmpfs", "x"))
        return call, [one, two, kind, flags, 0], {"numbers": {"flags": flags}, "texts": {"dev": one, "dir": two, "type": kind}}
    if call == "umount2":
        flags = r.choice((0, 1, 2, 4, 8, 10, 16, 99))
        return call, [one, flags], {"numbers": {"flags": flags}, "texts": {"name": one}}
    if call == "move_mount":
        return call, [-100, one, -100, two, 0], {"texts": {"oldpath": one, "newpath": two}}
    if call == "init_module":
        return call, [0, 0, one], {"texts": {"uargs": one}}
    kind, flags = r.choice(("file", "directory", "pipe")), r.choice((0, 1, 2, 3, 4, 8, 70))
    return call, [{"fd": kind}, one, flags], {"numbers": {"flags": flags}, "texts": {"uargs": one}, "end": END[kind]}


def words(tree):
    return [str(tree), f"{tree}/", f"{tree}/etc", f"{tree}/etc/shadow", "etc/shadow", "shadow", "..", "/", "/etc", "etc", "x", f"{tree}/etc//shadow", "/dev/sda1"]


KEYS = ["evt.type", "evt.rawres", *(f"evt.rawarg.{arg}" for arg in falco.CALLED_NUMBERS + falco.CALLED_TEXTS)]


OUTPUT = " ".join(f"%{key}" for key in KEYS)


def play(daemon, actor, tree, acts, number):
    mark, fence = daemon.alerts_mark(), f"{tree}/{number}.called-fence"
    done = actor.play([*acts, ("mkdir", [fence, 0o755], {})])
    daemon.wait_alert(lambda a: a["rule"] == "Fence" and a["output"].endswith(f"/{number}.called-fence"), mark, timeout=20.0)
    return done[:-1], daemon.told(mark)


def told(alerts):
    return collections.Counter((a["rule"], *(a["output_fields"][key] for key in KEYS)) for a in alerts if a["rule"].startswith("r"))


def known(act):
    seen = falco.called_fields(act)
    return tuple(seen[k] for k in KEYS), seen


def sweep_called(world, daemon, seed):
    tree = world.dir.resolve() / f"called-{random.randrange(1 << 32)}"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/shadow").write_text("x", encoding="ascii")
    os.system(f"chown -R {UID['backend']} {tree}")
    actor = Actor(world)

    def turn(r, number):
        def acts():
            done, alerts = play(daemon, actor, tree, [random_act(r, words(tree)) for _ in range(ACTS)], number)
            return told(alerts), [known(act) for act in done]

        return falco.CalledMaker(r, words(tree), UIDS), acts

    matched = sweep(world, daemon, seed, OUTPUT, turn)
    actor.close()
    return matched


@pytest.mark.timeout(700)
def test_alerts_are_those_of_the_language(world, daemon):
    """Random rules, random calls: with the prefilter, without it, and by a second opinion on the language."""
    seed = chosen_seed()
    assert sweep_called(world, daemon, seed) > 0
    daemon.stop()
    daemon.start("--no-prefilter")
    try:
        assert sweep_called(world, daemon, seed) > 0
    finally:
        daemon.stop()
        daemon.start()


NEVER = """
- rule: Far
  desc: what the acts of the test are not
  condition: >
    (evt.type in (kill, tgkill) and evt.arg.sig in (SIGKILL, SIGSTOP)) or (evt.type = ptrace and evt.arg.request contains PTRACE_POKE)
    or (evt.type in (mmap, mprotect) and evt.arg.prot contains PROT_WRITE) or (evt.type = mmap and evt.arg.prot contains PROT_EXEC and fd.type = directory)
    or (evt.type = mount and evt.arg.flags contains REMOUNT) or (evt.type in (init_module, finit_module) and evt.rawres >= 0)
  output: far %evt.type
  priority: Notice
"""


def account(daemon):
    a = daemon.status()["accounts"]["activity"]
    assert a["generated"] == a["delivered"] + a["waiting"] + a["filtered"] + a["dropped"] + a["missed"], a
    return a


def test_what_no_rule_can_match_is_not_told(world, daemon):
    tree = world.dir.resolve() / "never"
    tree.mkdir()
    os.chown(tree, UID["backend"], -1)
    actor = Actor(world)
    daemon.cli("rules", "add", world.file("never.yaml", text=NEVER, mode=0o644), "--name", "random")
    before, sent = account(daemon), daemon.status()["events"]["activity_sent"]
    acts = [("kill", [NOBODY, 15], {}), ("ptrace", [16, NOBODY, 0, 0], {}), ("mmap", [0, 4096, 5, 2, {"fd": "file"}, 0], {}),
            ("mprotect", [4096, 4096, 5], {}), ("mount", ["x", "/none", "x", 4096, 0], {}), ("init_module", [0, 0, ""], {})] * 200
    _, alerts = play(daemon, actor, tree, acts, "never")
    assert not [a for a in alerts if a["rule"] == "Far"]
    until("the counters to be read", lambda: account(daemon)["filtered"] - before["filtered"] >= len(acts))
    assert daemon.status()["events"]["activity_sent"] - sent < 100
    daemon.cli("rules", "remove", "random")
    actor.close()


def test_it_is_explained(world, daemon):
    file = world.file("explained.yaml", mode=0o644, text="""
- rule: Explained
  desc: d
  condition: >
    (evt.type = kill and evt.arg.sig = SIGKILL and evt.failed = false) or (evt.type in (mmap, mprotect) and evt.arg.prot contains PROT_WRITE)
    or (evt.type = mount and evt.arg.flags contains BIND) or (evt.type = mmap and fd.type = file)
    or (evt.type = rename and evt.arg.newpath startswith /bin/)
  output: x
  priority: Debug
""")
    said = json.dumps(daemon.json("rules", "explain", "Explained", file))
    for words_ in ("kill that succeeds, by its signal", "mmap/mprotect by its protection", "mount by its flags", "mmap of file",
                   "rename whose second name begins with /bin/"):
        assert words_ in said
