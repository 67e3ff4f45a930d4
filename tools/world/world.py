# SPDX-License-Identifier: Apache-2.0
"""The world itself. Layout of one called NAME:

    cgroup  NAME/daemon         tipstaffd and nothing else
            NAME/work/...       the workloads; the daemon's scope
            NAME/outside/...    processes that no daemon sees: strangers
    netns   NAME-node           where the daemon runs; routes between the others
            NAME-<x>            one for each place, a veth pair to the node: 10.77.<i>.2 and fd77:<i>::2 there, .1 on the node
    folder  /tmp/tipstaff-NAME  everything that is written, 0755, because workloads of other uids must reach it
"""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile

from . import kernel
from .daemon import Daemon
from .process import Process, Workload
from .wait import PATIENCE, until
from .wire import in_netns

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PREFIX = "tipstaff-"
NETNS_DIR = pathlib.Path("/run/netns")
PIN_ROOT = pathlib.Path("/sys/fs/bpf/tipstaff")


def command(*argv):
    """Runs a tool that must succeed."""
    done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, timeout=30 * PATIENCE)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, argv))}: {done.stdout.strip()}")
    return done.stdout


class World:
    """One world; a context manager. `tag` begins its name, the pid of this process ends it."""

    def __init__(self, tag, build=None, records="auto"):
        if os.geteuid() != 0:
            sys.exit("cgroups, network namespaces and BPF need root: run this with sudo")
        sweep()
        self.records = records  # traffic.records of its daemons
        self.build = pathlib.Path(build or os.environ.get("BUILD", "build"))
        if not self.build.is_absolute():
            self.build = ROOT / self.build
        serial = 0
        while True:
            self.name = f"{tag}{os.getpid()}" + (f"x{serial}" if serial else "")
            self.dir = pathlib.Path(tempfile.gettempdir()) / f"{PREFIX}{self.name}"
            try:
                self.dir.mkdir(mode=0o755)
                break
            except FileExistsError:
                serial += 1
        os.chmod(self.dir, 0o755)
        self.cgroup2 = pathlib.Path(kernel.cgroup2_mount())
        self.ipv6 = pathlib.Path("/proc/sys/net/ipv6").exists()  # a kernel may be started without
        self.places = []
        self.processes = []
        self.daemons = []
        self.remember()
        try:
            self._build_up()
        except BaseException:
            self.close()
            raise

    def _build_up(self):
        self.cgroup_dir("daemon")
        self.cgroup_dir("work")
        command("ip", "netns", "add", f"{self.name}-node")
        command("ip", "-n", f"{self.name}-node", "link", "set", "lo", "up")
        self.sysctl("node", "net.ipv4.ip_forward", 1)
        if self.ipv6:
            self.sysctl("node", "net.ipv6.conf.all.forwarding", 1)
            self.sysctl("node", "net.ipv6.conf.default.accept_dad", 0)
        # "No route" is said each time: what waits for it (a name server that is not there) does not wait for long.
        self.sysctl("node", "net.ipv4.icmp_ratelimit", 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def remember(self):
        """Writes down what a later run must clean up if this one is killed."""
        me = {
            "pid": os.getpid(),
            "start": kernel.start_time(os.getpid()),
            "name": self.name,
            "instances": [d.instance for d in self.daemons],
            "processes": [[d.keeper_pid, kernel.start_time(d.keeper_pid)] for d in self.daemons if d.process],
        }
        part = self.dir / "world.json.part"
        part.write_text(json.dumps(me), encoding="utf-8")
        part.rename(self.dir / "world.json")

    # ---- places ---------------------------------------------------------------

    def cgroup_path(self, name):
        """The path below the cgroup2 mount, as configuration and selectors want it."""
        return f"/{self.name}/{name}"

    def cgroup_dir(self, name):
        """The folder of one of the world's cgroups, made if it is not there."""
        folder = self.cgroup2 / self.name / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def netns(self, name):
        return NETNS_DIR / f"{self.name}-{name}"

    def place(self, name):
        """A network namespace joined to the node; its address."""
        if name not in self.places:
            self.places.append(name)
            i = self.places.index(name) + 1
            ns, node = f"{self.name}-{name}", f"{self.name}-node"
            command("ip", "netns", "add", ns)
            if self.ipv6:
                self.sysctl(name, "net.ipv6.conf.default.accept_dad", 0)
            command("ip", "-n", node, "link", "add", f"to{i}", "type", "veth", "peer", "name", "eth0", "netns", ns)
            command("ip", "-n", node, "addr", "add", f"10.77.{i}.1/24", "dev", f"to{i}")
            command("ip", "-n", node, "link", "set", f"to{i}", "up")
            command("ip", "-n", ns, "addr", "add", f"10.77.{i}.2/24", "dev", "eth0")
            command("ip", "-n", ns, "link", "set", "eth0", "up")
            command("ip", "-n", ns, "link", "set", "lo", "up")
            command("ip", "-n", ns, "route", "add", "default", "via", f"10.77.{i}.1")
            if self.ipv6:
                # Without waiting for duplicates of addresses that nobody else can have.
                command("ip", "-n", node, "addr", "add", f"fd77:{i}::1/64", "dev", f"to{i}", "nodad")
                command("ip", "-n", ns, "addr", "add", f"fd77:{i}::2/64", "dev", "eth0", "nodad")
                command("ip", "-n", ns, "route", "add", "default", "via", f"fd77:{i}::1")
        return f"10.77.{self.places.index(name) + 1}.2"

    def place6(self, name):
        """Its IPv6 address; not without `ipv6`."""
        self.place(name)
        return f"fd77:{self.places.index(name) + 1}::2"

    def device(self, name):
        """The node's end of the place's veth pair."""
        return f"to{self.places.index(name) + 1}"

    def leave(self, name):
        """Deletes the name of a place's namespace, as a container runtime does; what still acts in it keeps it alive."""
        command("ip", "netns", "del", f"{self.name}-{name}")

    def inside(self, place, *argv):
        """Runs a tool in a place's namespace (its routes, rules and settings), out of every daemon's sight."""
        return command("nsenter", f"--net={self.netns(place)}", *argv)

    def sysctl(self, place, name, value):
        """Sets a network setting of a place, "net.ipv4.tcp_syn_retries"."""
        path = pathlib.Path("/proc/sys") / name.replace(".", "/")
        in_netns(self.netns(place), lambda: path.write_text(str(value), encoding="ascii"))

    def socket(self, place, family=socket.AF_INET, kind=socket.SOCK_STREAM):
        """A socket of a place's namespace that was made outside of every daemon's scope."""
        return in_netns(self.netns(place), lambda: socket.socket(family, kind))

    # ---- those who live there ---------------------------------------------------

    def daemon(self, name="", **kwargs):
        """The one that sees cgroup work/..., or another one that sees NAME/... ."""
        kwargs.setdefault("scope_cgroup", name or "work")
        d = Daemon(self, self.name + (f"-{name}" if name else ""), **kwargs)
        self.daemons.append(d)
        return d

    def spawn(self, argv, *, cgroup=None, place=None, uid=0, gid=None, env=None, kind=Process, scope="work", **kwargs):
        """A process in cgroup <scope>/<cgroup>, in the namespace of `place` (None: the node), under `uid`. What is started
        with scope="outside" is a stranger: no daemon sees it."""
        if place:
            self.place(place)
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8", **(env or {})}
        process = kind(
            argv,
            cgroup_dir=self.cgroup_dir(f"{scope}/{cgroup}" if cgroup else scope),
            netns=self.netns(place or "node"),
            uid=uid,
            gid=gid,
            env=environment,
            **kwargs,
        )
        self.processes.append(process)
        return process

    def workload(self, name, *, daemon=None, uid=61001, place=None, **kwargs):
        """A Python workload with py-spiffe, in cgroup <name> of its daemon's scope."""
        daemon = daemon or self.daemons[0]
        kwargs.setdefault("scope", daemon.scope_cgroup)
        env = {
            "SPIFFE_ENDPOINT_SOCKET": f"unix://{daemon.workload_socket}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATIENCE": str(PATIENCE),
            **kwargs.pop("env", {}),
        }
        return self.spawn(
            [self.python(), "-u", self.file("workload.py", pathlib.Path(__file__).parent / "workload.py")],
            cgroup=name, place=place, uid=uid, env=env, kind=Workload, **kwargs)

    def python(self):
        """The interpreter of build/venv; a copy of it when other uids cannot reach the clone (it lies in /root, say)."""
        venv = self.build / "venv"
        if not (venv / "bin/python").exists():
            sys.exit(f"{venv} is missing: run tools/install-deps demo")
        if not all(p.stat().st_mode & 0o001 for p in [venv.resolve(), *venv.resolve().parents]):
            copy = self.dir / "venv"
            if not copy.exists():
                # Not the 107 MB of Envoy: root runs that one, from where it is.
                shutil.copytree(venv, copy, symlinks=True, ignore=shutil.ignore_patterns("envoy"))
            venv = copy
        return venv / "bin" / "python"

    def file(self, name, source=None, text=None, mode=0o755):
        """A file in the world's folder: a copy of `source`, or `text`."""
        path = self.dir / name
        if not path.exists() or text is not None:
            part = path.with_name(path.name + ".part")
            part.write_bytes(source.read_bytes() if source else text.encode())
            os.chmod(part, mode)
            part.rename(path)
        return path

    def program(self, name, as_name=None):
        """A copy of one of build/attacks/ in the world's folder: a path that a registration entry can name."""
        return self.file(as_name or name, self.build / "attacks" / name)

    # ---- the end --------------------------------------------------------------

    def close(self):
        """Takes everything away; raises at the end if something could not be."""
        trouble = []

        def attempt(what, action):
            try:
                action()
            except Exception as err:
                trouble.append(f"{what}: {err}")

        for process in self.processes:
            attempt(f"end {process.argv[0]}", process.close)
        for daemon in self.daemons:
            attempt(f"remove {daemon.instance}", daemon.remove)
            if daemon.process:
                attempt(f"end {daemon.instance}", daemon.process.close)
        attempt("take it away", lambda: take_away(self.name, [d.instance for d in self.daemons]))
        if trouble:
            raise RuntimeError("cleaning up: " + "; ".join(trouble))


def take_away(name, instances):
    """Removes what a world called `name` consists of; used by its owner and by sweep()."""
    if not re.fullmatch(r"[a-z]+[0-9]+(x[0-9]+)?", name):
        raise ValueError(f"{name!r} is no name of a world")
    group = pathlib.Path(kernel.cgroup2_mount()) / name
    if group.exists():
        if (group / "cgroup.kill").exists():
            (group / "cgroup.kill").write_text("1", encoding="ascii")
        until("the world's cgroup to be empty",
              lambda: "populated 0" in (group / "cgroup.events").read_text(encoding="ascii"), 10.0)
        folders = sorted((p for p in group.rglob("*") if p.is_dir()), key=lambda p: -len(p.parts))
        for folder in [*folders, group]:
            until(f"{folder} to be removable", lambda folder=folder: remove_cgroup(folder), 5.0)
    for instance in instances:
        if instance.startswith(name):
            remove_pins(instance)
    if NETNS_DIR.is_dir():
        for ns in sorted(NETNS_DIR.iterdir()):
            if ns.name.startswith(f"{name}-"):
                command("ip", "netns", "del", ns.name)
    shutil.rmtree(pathlib.Path(tempfile.gettempdir()) / f"{PREFIX}{name}", ignore_errors=True)


def remove_cgroup(folder):
    folder.rmdir()
    return True


def remove_pins(instance):
    """Unpins an instance by hand: what `tipstaff detach --all` did not get to do."""
    folder = PIN_ROOT / instance
    if not folder.is_dir():
        return
    for path in sorted(folder.rglob("*"), key=lambda p: -len(p.parts)):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
    folder.rmdir()


def sweep():
    """Cleans up after worlds whose owner was killed before it could."""
    for folder in pathlib.Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        record = folder / "world.json"
        try:
            # /tmp belongs to everybody: only what root wrote into root's folder is to be believed.
            if folder.lstat().st_uid or record.lstat().st_uid or folder.is_symlink():
                continue
            world = json.loads(record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if kernel.start_time(world["pid"]) == world["start"] and kernel.alive(world["pid"]):
            continue
        if folder.name != f"{PREFIX}{world['name']}":
            continue
        for pid, start in world["processes"]:
            kernel.kill_if_same(pid, start)
        take_away(world["name"], world["instances"])


def leftovers(name):
    """What is still there of a world: for a demo that proves that it left nothing behind."""
    found = []
    if (pathlib.Path(kernel.cgroup2_mount()) / name).exists():
        found.append(f"cgroup /{name}")
    if NETNS_DIR.is_dir():
        found += [f"network namespace {p.name}" for p in NETNS_DIR.iterdir() if p.name.startswith(f"{name}-")]
    if PIN_ROOT.is_dir():
        found += [f"pins {p}" for p in PIN_ROOT.iterdir() if p.name.startswith(name)]
    folder = pathlib.Path(tempfile.gettempdir()) / f"{PREFIX}{name}"
    if folder.exists():
        found.append(f"folder {folder}")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if f"{PREFIX}{name}/".encode() in f.read():
                    found.append(f"process {pid}")
        except OSError:
            pass
    return found
