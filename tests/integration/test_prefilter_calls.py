# SPDX-License-Identifier: Apache-2.0
"""The prefilter of everything but opens: what no rule can match never reaches the ring, and nothing else is missing."""

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
  condition: evt.type = mkdir and evt.arg.path endswith .calls-fence
  output: fence %evt.arg.path
  priority: Notice
"""

# Makes the calls that it is sent, and tells what came of each. A text is a text, {"dir": X} that folder's descriptor, {"fd": X} one of its
# own files. It uses none of these calls for itself.
ACTOR = textwrap.dedent("""
    import ctypes, json, os, socket, sys
    libc = ctypes.CDLL(None, use_errno=True)
    NR = {"unlink": 87, "unlinkat": 263, "rename": 82, "renameat2": 316, "mkdir": 83, "mkdirat": 258, "rmdir": 84, "symlink": 88, "symlinkat": 266,
          "link": 86, "linkat": 265, "chmod": 90, "fchmodat": 268, "dup2": 33, "connect": 42, "sendto": 44}
    folders, socks, files = {}, [], {}
    def number(call, *args):
        made = []
        for a in args:
            if isinstance(a, str):
                made.append(ctypes.c_char_p(a.encode()))
            elif isinstance(a, bytes):
                made.append(ctypes.c_char_p(a))
            else:
                made.append(ctypes.c_long(a))
        result = libc.syscall(ctypes.c_long(NR[call]), *made)
        return result if result >= 0 else -ctypes.get_errno()
    def at(folder):
        if folder is None:
            return -100
        if folder not in folders:
            folders[folder] = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        return folders[folder]
    def address(ip, port):
        if ":" in ip:
            return (10).to_bytes(2, "little") + port.to_bytes(2, "big") + bytes(4) + socket.inet_pton(socket.AF_INET6, ip) + bytes(4)
        return (2).to_bytes(2, "little") + port.to_bytes(2, "big") + socket.inet_pton(socket.AF_INET, ip) + bytes(8)
    def act(call, args):
        if call in ("connect", "sendto"):
            ip, port, kind, nonblock = args
            family = socket.AF_INET6 if ":" in ip else socket.AF_INET
            try:
                s = socket.socket(family, (socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) | (socket.SOCK_NONBLOCK if nonblock else 0))
            except OSError:
                return None
            to = address(ip, port)
            if call == "connect":
                result = number("connect", s.fileno(), to, len(to))
            else:
                result = number("sendto", s.fileno(), b"x", 1, 0, to, len(to))
            socks.append(s)
            return result
        if call == "dup2":
            return number("dup2", files[args[0]], args[1])
        made = []
        for a in args:
            made.append(at(a["dir"]) if isinstance(a, dict) else a)
        return number(call, *made)
    r, w = os.pipe()
    files = {"pipe": r, "udp": socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach(), "file": os.open("/proc/self/exe", os.O_RDONLY),
             "directory": os.open("/proc/self", os.O_RDONLY), "event": os.eventfd(0), "memfd": os.memfd_create("x"),
             "pidfd": os.pidfd_open(os.getpid())}
    print("ready", flush=True)
    for line in sys.stdin:
        todo = json.loads(line)
        os.chdir(todo["cwd"])
        print(json.dumps([act(*a) for a in todo["acts"]]), flush=True)
        folders.clear()
        for s in socks:
            s.close()
        socks.clear()
""")

ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.1.2.3", "127.200.0.9", "::1")
NETS = ("127.0.0.0/8", "127.0.0.0/30", "127.128.0.0/9", "127.0.0.1/32", "::1/128", "10.0.0.0/8", "0.0.0.0/0")
UIDS = (0, 1000, UID["backend"] - 1, UID["backend"], UID["backend"] + 64, 300000)
PORTS = (0, 1, 9, 53, 80, 443, 1024, 40001, 65535)
ENDS = {
    "udp": {"fd.sip": "0.0.0.0", "fd.sport": 0, "fd.snet": "0.0.0.0", "fd.l4proto": "udp", "fd.typechar": "4", "fd.type": "ipv4", "fd.connected": False},
    "file": {"fd.typechar": "f", "fd.type": "file"},
    "directory": {"fd.typechar": "d", "fd.type": "directory"},
    "pipe": {"fd.typechar": "p", "fd.type": "pipe"},
    "event": {"fd.typechar": "e", "fd.type": "event"},
    "memfd": {"fd.typechar": "m", "fd.type": "memfd"},
    "pidfd": {"fd.typechar": "P", "fd.type": "pidfd"},
}


@pytest.fixture(scope="module")
def daemon(world):
    d = world.daemon(entries=[], rules=RULES, limits={"activity_ring_kib": 8192})
    d.settings["rules"]["matching"] = "all"
    d.start()
    return d


class Actor:
    def __init__(self, world):
        self.process = world.spawn(["/usr/bin/python3", "-c", ACTOR], cgroup="actor", uid=UID["backend"], stdin="pipe")
        assert self.process.line() == "ready"

    def play(self, acts, cwd):
        """Makes the calls; each as the model sees it, and those that could not be tried left out."""
        self.process.send(json.dumps({"cwd": cwd, "acts": [[call, args] for call, args, _ in acts]}))
        results = json.loads(self.process.line(30.0))
        done = []
        for (call, _, told), result in zip(acts, results):
            if result is None:
                continue
            act = {"call": call, "result": result, "process": "python3", "uid": UID["backend"], **told}
            if call in ("connect", "sendto"):
                act["end"] = {**told["end"], "fd.connected": call == "sendto" or result in (0, -115)}
            done.append(act)
        return done

    def close(self):
        self.process.close()


def plant(tree):
    """The files that acts are about, anew; a real path, since relative names start from what the kernel calls the folder."""
    for folder in ("etc/ssl", "home/.ssh", "a..b", "bin"):
        (tree / folder).mkdir(parents=True)
    for name in ("etc/shadow", "etc/passwd", "etc/ssl/x.pem", "home/.ssh/id_rsa", "home/.bashrc", "a..b/x", "x", "bin/sh"):
        (tree / name).write_text("x", encoding="ascii")
    os.system(f"chmod -R a+rwX {tree}; chown -R {UID['backend']} {tree}")


NAMES = ["etc/shadow", "etc/passwd", "etc/ssl/x.pem", "home/.ssh/id_rsa", "home/.bashrc", "a..b/x", "x", "none", "etc", "bin/sh", "bin/new", "etc/none",
         "etc/ssl/../shadow", "etc//passwd", "./x", "etc/./shadow", "etc/", "a..b/../x"]


def path_act(r, tree, call):
    # A folder that descriptors are of stays where it is.
    names = [n for n in NAMES if not (call.startswith("rename") and n.rstrip("/") == "etc")]

    def name():
        return f"{tree}/{r.choice(names)}" if r.randrange(2) else r.choice(names)

    def where():
        return str(tree / r.choice(("etc", "home", "bin"))) if r.randrange(2) else None

    def based(folder):
        return folder or str(tree)

    one, two, folder, other, mode = name(), name(), where(), where(), r.choice((0o644, 0o755, 0o4755, 0o600, 0o2111, 0))
    if call in ("unlink", "rmdir"):
        return call, [one], {"paths": [(str(tree), one)]}
    if call == "mkdir":
        return call, [one, 0o755], {"paths": [(str(tree), one)]}
    if call == "chmod":
        return call, [one, mode], {"paths": [(str(tree), one)], "mode": mode}
    if call == "fchmodat":
        return call, [{"dir": folder}, one, mode], {"paths": [(based(folder), one)], "mode": mode}
    if call in ("unlinkat", "mkdirat"):
        return call, [{"dir": folder}, one, 0 if call == "unlinkat" else 0o755], {"paths": [(based(folder), one)]}
    if call in ("rename", "link", "symlink"):
        return call, [one, two], {"paths": [(str(tree), one), (str(tree), two)]}
    if call == "symlinkat":
        return call, [one, {"dir": other}, two], {"paths": [("", one), (based(other), two)]}
    return call, [{"dir": folder}, one, {"dir": other}, two, 0], {"paths": [(based(folder), one), (based(other), two)]}


def socket_act(r, call):
    if call == "dup2":
        kind, to = r.choice(sorted(ENDS)), r.choice((200, 201, 202))
        return call, [kind, to], {"end": ENDS[kind]}
    ip, port = r.choice(ADDRESSES), r.choice(PORTS[1:])
    kind = r.choice(("tcp", "udp")) if call == "connect" else "udp"
    v6 = ":" in ip
    end = {f"fd.{e}{what}": value for e in "sr" for what, value in (("ip", ip), ("net", ip), ("port", port))}
    end.update({"fd.l4proto": kind, "fd.typechar": "6" if v6 else "4", "fd.type": "ipv6" if v6 else "ipv4"})
    return call, [ip, port, kind, r.randrange(3) == 0], {"end": end}


def random_acts(r, tree, count):
    acts = []
    for _ in range(count):
        call = r.choice((*falco.PATHS, *falco.SOCKETS * 3))
        acts.append(socket_act(r, call) if call in falco.SOCKETS else path_act(r, tree, call))
    return acts


def words(tree):
    return [str(tree), f"{tree}/", f"{tree}/etc", f"{tree}/etc/shadow", f"{tree}/etc/passwd", f"{tree}/bin/", f"{tree}/home/.ssh/id_rsa", "/etc", "etc/shadow",
            "shadow", "passwd", "x", ".pem", "id_rsa", "/.ssh/id_rsa", "..", "/", "a..b/x", f"{tree}/a..b", ".bashrc", "bin/sh", "none", "tree/x", "/x"]


KEYS = ["evt.type", "evt.rawres", "fd.rip", "fd.rport", *(f"evt.rawarg.{arg}" for arg in falco.PATH_ARGS)]


OUTPUT = " ".join(f"%{key}" for key in KEYS)
ACTS = 50


def play(daemon, actor, tree, acts, number):
    mark, fence = daemon.alerts_mark(), f"{tree}/{number}.calls-fence"
    done = actor.play([*acts, ("mkdir", [fence, 0o755], {"paths": [(str(tree), fence)]})], str(tree))
    daemon.wait_alert(lambda a: a["rule"] == "Fence" and a["output"].endswith(f"/{number}.calls-fence"), mark, timeout=20.0)
    return done, daemon.told(mark)  # other rules than the fence's may have matched the last call


def told(alerts):
    return collections.Counter((a["rule"], *(a["output_fields"][key] for key in KEYS)) for a in alerts if a["rule"].startswith("r"))


def known(act):
    seen = falco.call_fields(act)
    return tuple(seen[k] for k in KEYS), seen


def sweep_calls(world, daemon, seed):
    top = world.dir.resolve() / f"calls-{random.randrange(1 << 32)}"
    actor = Actor(world)

    def turn(r, number):
        tree = top / str(number)
        plant(tree)

        def acts():
            done, alerts = play(daemon, actor, tree, random_acts(r, tree, ACTS), number)
            return told(alerts), [known(act) for act in done]

        return falco.CallMaker(r, words(tree), ADDRESSES, NETS, PORTS, UIDS), acts

    matched = sweep(world, daemon, seed, OUTPUT, turn)
    actor.close()
    return matched


def filtered(daemon):
    return daemon.status()["events"]["prefiltered"]


@pytest.mark.timeout(700)
def test_alerts_are_those_of_the_language(world, daemon):
    """Random rules, random calls: with the prefilter, without it, and by a second opinion on the language. Whether it keeps any of
    them back is up to the rules; the test behind this one has those of which it must."""
    seed = chosen_seed()
    assert sweep_calls(world, daemon, seed) > 0
    daemon.stop()
    daemon.settings["rules"]["prefilter"] = False
    try:
        daemon.start()
        assert sweep_calls(world, daemon, seed) > 0
    finally:
        daemon.stop()
        daemon.settings["rules"]["prefilter"] = True
        daemon.start()


NEVER = """
- rule: Far
  desc: what the acts of the test are not
  condition: >
    (evt.type = connect and fd.snet in (10.0.0.0/8)) or (evt.type in (unlink, unlinkat) and (evt.arg.path startswith /bin/ or evt.arg.name startswith /bin/))
    or (evt.type = dup2 and evt.rawres in (0, 1, 2) and fd.type = ipv4) or (evt.type = rename and evt.arg.newpath startswith /bin/)
  output: far %evt.type
  priority: Notice
"""


def test_what_no_rule_can_match_is_not_told(world, daemon):
    tree = world.dir.resolve() / "never"
    plant(tree)
    actor = Actor(world)
    daemon.cli("rules", "add", world.file("never.yaml", text=NEVER, mode=0o644), "--name", "random")
    before = daemon.status()["events"]
    socket_call = ("connect", ["127.0.0.1", 9, "udp", False], {"end": {}})
    acts = [socket_call, ("unlink", [f"{tree}/none"], {}), ("dup2", ["udp", 200], {"end": {}}),
            ("rename", [f"{tree}/none", f"{tree}/new"], {})] * 300
    _, alerts = play(daemon, actor, tree, acts, "never")
    assert not [a for a in alerts if a["rule"] == "Far"]
    until("the counters to be read", lambda: filtered(daemon) - before["prefiltered"] >= len(acts))
    assert daemon.status()["events"]["activity_sent"] - before["activity_sent"] < 100
    daemon.cli("rules", "remove", "random")
    actor.close()
