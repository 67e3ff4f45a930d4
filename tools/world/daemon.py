# SPDX-License-Identifier: Apache-2.0
"""tipstaffd in the world's node, and the CLI that talks to it."""

import json
import os
import pathlib
import shutil
import signal
import subprocess

from . import kernel
from .process import Process
from .wait import PATIENCE, until


# Of the first daemon of a world; the others count on.
WORKER_PORT = 15049


class CliError(RuntimeError):
    """`tipstaff` ended with an error; `text` is what it said."""

    def __init__(self, argv, status, text):
        super().__init__(f"{' '.join(argv)}: exit {status}: {text.strip()}")
        self.status = status
        self.text = text


def to_yaml(value, indent=0):
    """Enough YAML for a configuration: mappings, lists, scalars. Strings are quoted the JSON way."""
    pad = "  " * indent
    if isinstance(value, dict):
        lines = []
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                lines.append(f"{pad}{key}:\n{to_yaml(item, indent + 1)}")
            else:
                lines.append(f"{pad}{key}: {json.dumps(item)}\n")
        return "".join(lines)
    if isinstance(value, list):
        return "".join(f"{pad}- {to_yaml(item, indent + 1).lstrip()}" for item in value)
    return json.dumps(value) + "\n"


class Daemon:
    """One instance. Its files live in `folder`: the configuration, run_dir, state_dir, rules, entries, traffic policies
    and alerts. With `traffic`, a list of policies (maybe empty), it gets a worker's port of its own, and serves
    namespaces whose names match `namespaces` also while nobody is there. `scope_cgroup` names the world's cgroup whose processes
    it sees: two instances cannot share one."""

    def __init__(self, world, name, *, entries=(), rules="", traffic=None, namespaces=(), scope_cgroup="work", **settings):
        self.world = world
        self.instance = name
        self.scope_cgroup = scope_cgroup
        self.folder = world.dir / name
        self.run_dir = self.folder / "run"
        self.state_dir = self.folder / "state"
        self.alerts_file = self.folder / "alerts.jsonl"
        self.entries_file = self.folder / "entries.yaml"
        self.rules_file = self.folder / "rules.yaml"
        self.traffic_file = self.folder / "traffic.yaml"
        self.config_file = self.folder / "tipstaff.yaml"
        self.log_file = self.folder / "tipstaffd.log"
        self.folder.mkdir(mode=0o755)
        self.state_dir.mkdir(mode=0o700)
        self.process = None
        self.wrap = []  # what starts the daemon, if not we: ["prlimit", ...]
        self.env = None
        self.pass_fds = ()
        self.build = world.build  # another one: an older or a newer version
        self.write_entries(entries)
        self.rules_file.write_text(rules or "[]\n", encoding="utf-8")
        self.settings = {
            "trust_domain": "example.org",
            "instance": name,
            "run_dir": str(self.run_dir),
            "state_dir": str(self.state_dir),
            "scope": {"cgroups": [world.cgroup_path(scope_cgroup)]},
            "rules": {"files": [str(self.rules_file)]},
            "alerts": {"stdout": False, "file": str(self.alerts_file)},
            # Not whatever the machine has: what is sealed says so (test_cache.py).
            "cache": {"seal": "none"},
            "identity": {"entries": [str(self.entries_file)]},
        }
        if os.environ.get("SENSING"):
            self.settings["sensing"] = os.environ["SENSING"]  # runs the same tests on another tier
        world.cgroup_dir(scope_cgroup)
        if traffic is not None:
            self.worker_port = WORKER_PORT + len(world.daemons)
            self.write_traffic(traffic)
            self.settings["traffic"] = {
                "files": [str(self.traffic_file)], "port": self.worker_port, "host_network": False,
                "namespaces": list(namespaces), "records": getattr(world, "records", "auto")}
        for key, value in settings.items():
            if isinstance(value, dict):
                self.settings.setdefault(key, {}).update(value)
            else:
                self.settings[key] = value

    # ---- files ----------------------------------------------------------------

    @property
    def control_socket(self):
        return self.run_dir / "control.sock"

    @property
    def workload_socket(self):
        return self.run_dir / "workload.sock"

    @property
    def pins(self):
        return pathlib.Path("/sys/fs/bpf/tipstaff") / self.instance

    def tracing_links(self):
        """Paths of the pinned links of its tracing and LSM programs. (Those of a cgroup have its number behind their name.)"""
        return sorted(str(link) for link in self.pins.glob("v*/*/link_*") if not link.name.rsplit("_", 1)[-1].isdigit())

    def write_entries(self, entries):
        self.entries_file.write_text(to_yaml(list(entries)) if entries else "[]\n", encoding="utf-8")

    def write_traffic(self, policies):
        self.traffic_file.write_text(to_yaml(list(policies)) if policies else "[]\n", encoding="utf-8")

    def share_authority(self, other):
        """Before its first start: issues under the authority of `other`, which has run, as two nodes of one trust domain."""
        shutil.copytree(other.state_dir, self.state_dir, dirs_exist_ok=True)

    def log(self):
        try:
            return self.log_file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    # ---- life -----------------------------------------------------------------

    def start(self, *args, wait=True):
        self.config_file.write_text(to_yaml(self.settings), encoding="utf-8")
        with open(self.log_file, "ab") as log:
            self.process = Process(
                [*self.wrap, self.build / "tipstaffd", *args, "--config", self.config_file],
                cgroup_dir=self.world.cgroup_dir("daemon"),
                netns=self.world.netns("node"),
                output=log,
                env=self.env,
                pass_fds=self.pass_fds,
            )
        self.world.remember()
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=45.0):
        """Both processes run and serve."""

        def ready():
            if not self.process.running():
                raise SystemError(f"tipstaffd ended with {self.process.popen.returncode}:\n{self.log()[-4000:]}")
            return self.status()["front"]["running"]

        until(f"tipstaffd {self.instance} to serve (its log ends: {self.log()[-300:]})", ready, timeout)

    @property
    def keeper_pid(self):
        return self.process.pid

    def front_pid(self):
        """The front: the keeper's one living child."""
        try:
            with open(f"/proc/{self.keeper_pid}/task/{self.keeper_pid}/children", encoding="ascii") as f:
                children = [int(p) for p in f.read().split()]
        except OSError:
            return None
        living = [p for p in children if kernel.alive(p)]
        return living[0] if len(living) == 1 else None

    def running(self):
        return self.process is not None and self.process.running()

    def stop(self, signum=signal.SIGTERM, timeout=10.0):
        """Ends the keeper; the pins stay. The exit status."""
        if not self.running():
            return None
        front = self.front_pid()
        self.process.kill(signum)
        status = self.process.wait(timeout)
        if front:
            until("the front to end after its keeper", lambda: not kernel.alive(front), 5.0)
        return status

    def kill_both(self):
        """kill -9 of both processes."""
        front = self.front_pid()
        self.process.kill(signal.SIGKILL)
        if front:
            try:
                os.kill(front, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(5.0)
        if front:
            until("the front to be gone", lambda: not kernel.alive(front), 5.0)

    def restart(self):
        self.stop()
        return self.start()

    def remove(self):
        """Takes the instance off this kernel, with or without a living daemon, as a person would."""
        if self.pins.exists() or self.running():
            self.cli("detach", "--all", "--instance", self.instance)
        if self.process:
            self.process.wait(10.0)
        if self.pins.exists():
            raise RuntimeError(f"pins are left after detach: {sorted(p.name for p in self.pins.rglob('*'))[:5]}")

    # ---- the CLI --------------------------------------------------------------

    def cli_argv(self, *args):
        return [str(self.world.build / "tipstaff"), "--socket", str(self.control_socket), *map(str, args)]

    def cli(self, *args, check=True, timeout=15.0, stdin=None):
        """Runs a command of the CLI; what it printed (stdout), or CliError."""
        argv = self.cli_argv(*args)
        done = subprocess.run(argv, input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout * PATIENCE,
                              check=False)
        if check and done.returncode:
            raise CliError(argv, done.returncode, done.stderr + done.stdout)
        return done.stdout if check else done

    def json(self, *args, **kwargs):
        return json.loads(self.cli("--json", *args, **kwargs))

    def status(self):
        return self.json("status")

    def processes(self):
        return self.json("processes")["processes"]

    def process_of(self, pid):
        """What the daemon knows of a process, or None."""
        return next((p for p in self.processes() if p["pid"] == pid), None)

    # ---- alerts ---------------------------------------------------------------

    def alerts_mark(self):
        """Where the alert stream ends now; for alerts()."""
        try:
            return self.alerts_file.stat().st_size
        except FileNotFoundError:
            return 0

    def alerts(self, since=0):
        """The alerts written to the file since a mark; whole lines only."""
        try:
            with open(self.alerts_file, "rb") as f:
                f.seek(since)
                data = f.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        return [json.loads(line) for line in whole.splitlines() if line.startswith(b"{")]

    def told(self, since=0):
        """The same, once the file has all that is decided: where one alert of an event is there, those of other rules about it
        can still be on their way."""
        def written():
            return not next(s for s in self.status()["alerts"]["sinks"] if s["name"] == "file")["waiting"]

        until("every alert to be in the file", written)
        return self.alerts(since)

    def wait_alert(self, match, since=0, timeout=5.0):
        """The first alert since a mark whose rule is `match`, or for which `match` is true."""
        test = match if callable(match) else lambda a: a["rule"] == match
        return until(f"an alert ({match})", lambda: next(filter(test, self.alerts(since)), None), timeout)
