# SPDX-License-Identifier: Apache-2.0
"""What the tests of transparent mTLS have in common: places, and programs (tests/attacks/talk.c) that talk between them.

    frontend, in place "client"  ---- node ----  orders, in place "orders", ports 8080-8089 enforced
"""

import json
import pathlib

from conftest import UID, resolved, spiffe
from world import PATIENCE, until
from world.wire import in_netns

PORT = 8080
PORTS = "8080-8089"
UNCOVERED = 9090
# Dials again and again: a namespace that was only just found is not served yet.
RETRY = ("--retry", int(10000 * PATIENCE))


def policy(name, to, server="orders", clients=("frontend",), mode="strict"):
    """A traffic policy; `to` is a list of (address or network, port or ports)."""
    return {
        "name": name,
        "to": [{"cidr": cidr, "port": port} for cidr, port in to],
        "server": [spiffe(server)],
        "clients": [spiffe(c) for c in clients],
        "mode": mode,
    }


def orders_policy(world):
    return policy("orders", [(world.place("orders"), PORTS)])


class Answers:
    """What a dialler said: about its connect(), then about each step."""

    def __init__(self, process):
        self.process = process
        lines = [json.loads(line) for line in process.output if line.startswith("{")]
        said = [line for line in lines if "at_once" in line]
        assert said, f"it never came to connect(): {process.text()}"
        self.connect = said[0]
        self.before = next((line["before"] for line in lines if "before" in line), None)
        self.steps = [line for line in lines if "step" in line]

    @property
    def errno(self):
        return self.connect["errno"]

    @property
    def end(self):
        """How the last step ended."""
        return self.steps[-1]["errno"]

    def ok(self):
        """Connected, and every step went well."""
        bad = [s for s in [self.connect, *self.steps] if s["errno"] != "ok"]
        assert not bad, f"{bad} of {self.process.argv}"
        return True

    def __repr__(self):
        return self.process.text()


class Town:
    """Starts the programs of one test and ends them."""

    def __init__(self, world, daemon):
        self.world, self.daemon = world, daemon
        self.processes = []

    def address(self, place="orders"):
        return self.world.place(place)

    def spawn(self, argv, **kwargs):
        process = self.world.spawn(argv, **kwargs)
        self.processes.append(process)
        return process

    def talk(self, *args, name, place, uid=None, **kwargs):
        uid = UID.get(name, 0) if uid is None else uid
        return self.spawn([self.world.program("talk"), *args], cgroup=name, place=place, uid=uid, **kwargs)

    def serve(self, *steps, name="orders", place="orders", address=None, port=PORT, options=(), **kwargs):
        """A server that takes the steps with every connection; it listens when this returns."""
        process = self.talk(*options, "serve", address or self.address(place), port, *steps, name=name, place=place, **kwargs)
        said = process.json()
        assert said["listening"], said
        return process

    def start(self, *steps, options=(), name="frontend", place="client", to=None, port=PORT, **kwargs):
        """Begins to dial."""
        return self.talk(*options, "dial", to or self.address(), port, *steps, name=name, place=place, **kwargs)

    def dial(self, *steps, timeout=30.0, **kwargs):
        """Dials, takes the steps, ends; what was said."""
        process = self.start(*steps, **kwargs)
        process.wait(timeout)
        return Answers(process)

    def dial_resolved(self, *steps, options=(), timeout=30.0, **kwargs):
        """As dial(), of a process whose identity is settled before it dials."""
        process = self.start(*steps, options=("--wait", *options), stdin="pipe", **kwargs)
        process.json()
        resolved(self.daemon, process.pid)
        process.send("go")
        process.wait(timeout)
        return Answers(process)

    def ready(self, place="client", name="frontend"):
        """Waits until a place's namespace is served, and keeps it so for as long as this town lives."""
        self.spawn(["/bin/sleep", "3600"], cgroup="idle", place=place)
        return self.reconnect(place, name)

    def reconnect(self, place="client", name="frontend"):
        """Waits until connects work again."""
        server = self.serve("mirror", port=8089)
        try:
            answers = self.dial("echo", 1, options=RETRY, port=8089, name=name, place=place, timeout=60.0)
        finally:
            server.close()
        answers.ok()
        return answers

    def syn_is_held(self, place="client"):
        """Waits until a connect() hangs before the worker of a place. That can be over in two seconds: no program is
        started to look."""
        syn_sent = f" 0100007F:{self.daemon.worker_port:04X} 02 "
        table = pathlib.Path("/proc/thread-self/net/tcp")
        until("a SYN to be held", lambda: syn_sent in in_netns(self.world.netns(place), table.read_text))

    def close(self):
        for process in self.processes:
            process.close()


def accepted(server):
    """The connections that a server has seen: [{"accepted", "peer", "local"}, ...]."""
    return [json.loads(line) for line in server.said() if line.startswith('{"accepted"')]


def steps_of(server, count=1):
    """What a server did with its connections: waits for so many steps."""
    return until(f"{count} steps of the server", lambda: len(
        said := [json.loads(line) for line in server.output if line.startswith('{"step"')]) >= count and said, 10.0)


def fields(alert):
    return alert["output_fields"]


def about(rule, *ids, **exact):
    """A condition for wait_alert(): of that rule, with the IDs in it, and with fields (dots as __) of that value."""
    wanted = {k.replace("__", "."): str(v) for k, v in exact.items()}

    def match(alert):
        text = json.dumps(alert)
        return (alert["rule"] == rule and all(spiffe(i) in text for i in ids)
                and all(str(fields(alert).get(k)) == v for k, v in wanted.items()))

    return match


REFUSED = "mTLS connection refused"
DENIED = "mTLS connection denied"
CUT = "mTLS connection cut"
LIMIT = "Limit reached"
