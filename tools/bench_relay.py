# SPDX-License-Identifier: Apache-2.0
"""The part `relay` of `make bench`: what mutual TLS costs two programs that know nothing of it.

    client -- hop -- veth -- node -- veth -- hop -- server

Both hops on this machine, in turns: no hops at all (raw), Envoy, Tipstaff. The way through loopback and veth, the programs at
its ends and the kind of certificates are the same for all. No connection is resumed. The best of all turns counts: what else
runs on the machine only ever adds, and a virtual processor has slow minutes.
"""

import contextlib
import os
import time

import envoy
from world import kernel, until

PORT, TLS_PORT, ENVOY_PORT = 9000, 9443, 15001
UIDS = {"client": 61001, "server": 61002}
SIZES = {1: 3000, 64: 3000, 16384: 3000}  # bytes: round trips
CONNECTS, MIB, IDLE = 300, 512, 1000
TRIES = 3  # in a turn


def spiffe(name):
    return f"spiffe://example.org/bench-{name}"


def usage(folder):
    """Microseconds of CPU that a cgroup has used."""
    with open(folder / "cpu.stat", encoding="ascii") as f:
        return int(dict(line.split() for line in f)["usage_usec"])


class Raw:
    """Nobody in between."""

    name = "raw"
    group = None  # the cgroup of the hops

    def __init__(self, relay):
        self.relay = relay
        self.to = (relay.address["server"], PORT)

    @contextlib.contextmanager
    def running(self):
        yield

    def pids(self):
        return []


class Envoy(Raw):
    """One process, both hops: each listens and dials where its application lives."""

    name = "Envoy"
    group = "envoy"

    def __init__(self, relay):
        super().__init__(relay)
        server = self.to[0]
        self.to = ("127.0.0.1", ENVOY_PORT)
        self.hops = [self.hop("client", "server", self.to, (server, TLS_PORT)),
                     self.hop("server", "client", (server, TLS_PORT), (server, PORT))]
        self.process = None

    def hop(self, role, peer, listen, dial):
        there = self.relay.world.netns(role)
        # The group that Tipstaff uses: the hybrid that Envoy would choose costs more.
        return envoy.hop(role, listen=listen, dial=dial, svid=self.relay.svids[role], peer_id=spiffe(peer),
                         listen_netns=there, dial_netns=there, groups=["X25519"])

    @contextlib.contextmanager
    def running(self):
        self.process = envoy.start(self.relay.world, self.group, self.hops)
        yield
        self.process.close()

    def pids(self):
        return [self.process.pid]


class Tipstaff(Raw):
    """Keeper and front. The client dials the server itself."""

    name = "Tipstaff"
    group = "daemon"

    @contextlib.contextmanager
    def running(self):
        self.relay.daemon.start()
        yield
        self.relay.daemon.remove()

    def pids(self):
        return [self.relay.daemon.keeper_pid, self.relay.daemon.front_pid()]


CONTENDERS = {kind.name.lower(): kind for kind in (Raw, Envoy, Tipstaff)}


class Relay:
    def __init__(self, bench):
        self.bench = bench
        self.world = bench.world
        self.address = {name: self.world.place(name) for name in UIDS}
        self.program = self.world.file("bench-relay", self.world.build / "bench" / "relay")
        entries = [{"spiffe_id": spiffe(name), "selectors": [
            f"cgroup:path:{self.world.cgroup_path('work/' + name)}", f"unix:uid:{uid}"]} for name, uid in UIDS.items()]
        self.svids = self.write_svids(self.world.daemon("svids", entries=entries))
        self.daemon = self.world.daemon("relay", entries=entries, limits={"relays": 4 * IDLE}, traffic=[
            {"name": "relay", "to": [{"cidr": f"{self.address['server']}/32", "port": PORT}],
             "server": [spiffe("server")], "clients": [spiffe("client")]}])
        self.seen = {}  # contender: {what: [a value for each round]}

    def write_svids(self, daemon):
        """A folder for each identity, with the SVID that the daemon's own CLI wrote."""
        cli = self.world.file("tipstaff", self.world.build / "tipstaff")
        folders = {}
        daemon.start()
        for name, uid in UIDS.items():
            folders[name] = self.world.dir / f"svid-{name}"
            folders[name].mkdir()
            os.chown(folders[name], uid, uid)
            fetch = self.spawn(name, cli, "--workload-socket", daemon.workload_socket, "svid", "fetch", "--write",
                               folders[name])
            if fetch.wait(20):
                raise RuntimeError(fetch.text())
        daemon.remove()
        return folders

    def spawn(self, who, *argv):
        return self.world.spawn(argv, cgroup=who, place=who, uid=UIDS[who])

    # ---- measuring ----------------------------------------------------------------

    def client(self, contender, mode, *args):
        """Runs the client once: what it printed, and the CPU time of the hops and of everything in this world meanwhile."""
        groups = [self.world.cgroup_dir(contender.group)] if contender.group else []
        everything = self.world.cgroup_dir("work").parent
        before = sum(usage(g) for g in groups), usage(everything)
        process = self.spawn("client", self.program, mode, *contender.to, *args)
        result = process.json(120)
        if mode == "idle":
            return process
        if process.wait():
            raise RuntimeError(process.text())
        return {**result, "hops_us": sum(usage(g) for g in groups) - before[0], "all_us": usage(everything) - before[1]}

    def settled(self, contender):
        before = usage(self.world.cgroup_dir(contender.group))
        time.sleep(0.2)
        return usage(self.world.cgroup_dir(contender.group)) - before < 2000

    def works(self, contender):
        return self.spawn("client", self.program, "connect", *contender.to, 20).wait(30) == 0

    def round(self, contender):
        """A turn of one contender."""
        got = {}
        with contender.running():
            server = self.spawn("server", self.program, "serve", self.address["server"], PORT)
            server.line()
            until(f"a connection through {contender.name}", lambda: self.works(contender), 20.0, every=0.2)
            if contender.group:
                got["empty"] = self.rss(contender)
                idle = self.client(contender, "idle", IDLE)
                got["idle"] = self.rss(contender)
                idle.close()
                until(f"{contender.name} to settle", lambda: self.settled(contender), 20.0)
            tries = [self.load(contender) for _ in range(TRIES)]
            server.close()
        for what in tries[0]:
            got[what] = (max if what == "bulk" else min)(t[what] for t in tries)
        for what, value in got.items():
            self.seen.setdefault(contender.name, {}).setdefault(what, []).append(value)

    def load(self, contender):
        """Everything that moves bytes, once."""
        got = {}

        def note(what, result, units):
            got[f"{what} CPU"], got[f"{what} CPU of all"] = result["hops_us"] / units, result["all_us"] / units

        for size, count in SIZES.items():
            what = f"ping-pong {size} B"
            times = self.client(contender, "ping", size, count)
            got[f"{what}, p50"], got[f"{what}, p99"] = times["p50_us"], times["p99_us"]
            note(what, times, count * 1.1)  # it warms up
        times = self.client(contender, "connect", CONNECTS)
        got["connect+echo+close"] = times["each_us"]
        note("connect+echo+close", times, CONNECTS)
        bulk = self.client(contender, "bulk", MIB)
        got["bulk"] = bulk["mb_s"]
        note("bulk", bulk, bulk["bytes"] / 1e9 * 1e6)
        return got

    @staticmethod
    def rss(contender):
        return sum(int(kernel.proc_status(pid)["VmRSS"].split()[0]) for pid in contender.pids())

    def measure(self, rounds, names):
        contenders = []
        for name in names:
            if name == "envoy" and not envoy.find(self.world.build):
                self.bench.note("Envoy is not installed here (tools/install-deps test): no comparison with it")
            else:
                contenders.append(CONTENDERS[name](self))
        for _ in range(rounds):
            for contender in contenders:
                self.round(contender)
        for name in [c.name for c in contenders if c.group]:
            self.tell(name)
        if {"Envoy", "Tipstaff"} <= self.seen.keys():
            self.compare()

    # ---- telling ------------------------------------------------------------------

    def best(self, name, what):
        return (max if what == "bulk" else min)(self.seen[name][what])

    def spread(self, name, what, digits):
        values = self.seen[name][what]
        return f"{min(values):.{digits}f}-{max(values):.{digits}f}"

    def against_raw(self, name, what, unit, digits=1, **more):
        with_it, without = self.best(name, what), self.best("raw", what)
        both = {name: f"{with_it:.{digits}f} {unit}", "raw": f"{without:.{digits}f} {unit}"}
        self.bench.say(f"{what}, {name}", f"{with_it / without:.2f}", "x", **both, **more, spread=self.spread(name, what, digits))

    def cpu(self, name, what, label, unit, digits):
        both = {k: f"{self.best(who, f'{what} CPU of all'):.{digits}f} {unit}"
                for k, who in (("with_both_ends", name), ("raw", "raw"))}
        self.bench.say(f"CPU per {label}, {name}", f"{self.best(name, f'{what} CPU'):.{digits}f}", unit, **both,
                       spread=self.spread(name, f"{what} CPU", digits))

    def tell(self, name):
        for size in SIZES:
            what = f"ping-pong {size} B"
            for quantile in (f"{what}, p50", f"{what}, p99"):
                added = self.best(name, quantile) - self.best("raw", quantile)
                self.against_raw(name, quantile, "us", added=f"{added:.1f} us")
            self.cpu(name, what, f"round trip of {size} B", "us", 1)
        connect = "connect+echo+close"
        self.against_raw(name, connect, "us", 0, a_second=f"{1e6 / self.best(name, connect):.0f}")
        self.cpu(name, connect, "connection", "us", 0)
        self.against_raw(name, "bulk", "MB/s", 0)
        self.cpu(name, "bulk", "GB", "s", 2)
        empty, full = self.best(name, "empty"), self.best(name, "idle")
        self.bench.say(f"RSS with {IDLE} idle connections, {name}", f"{full / 1024:.1f}", "MB",
                       before=f"{empty / 1024:.1f} MB", each=f"{(full - empty) / IDLE:.1f} KB")

    def compare(self):
        """Tipstaff against Envoy; below 1 is ahead. Of a round trip only what the hops added."""

        def ratio(what, label, without=0.0):
            ours, theirs = (self.best(name, what) - without for name in ("Tipstaff", "Envoy"))
            self.bench.say(f"Tipstaff : Envoy, {label}", f"{ours / theirs:.2f}", "x")

        for size in SIZES:
            what = f"ping-pong {size} B"
            ratio(f"{what}, p50", f"added to p50, {size} B", self.best("raw", f"{what}, p50"))
            ratio(f"{what} CPU", f"CPU per round trip, {size} B")
        ratio("connect+echo+close", "time per connection")
        ratio("connect+echo+close CPU", "CPU per connection")
        ratio("bulk CPU", "CPU per GB")
        ratio("idle", f"RSS with {IDLE} idle connections")
