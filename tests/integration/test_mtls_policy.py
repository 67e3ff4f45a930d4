# SPDX-License-Identifier: Apache-2.0
"""Traffic policies while everything runs: what a change does to what is open, who serves which namespace, the limits."""

import signal
import threading

import pytest

from conftest import UID, entry, resolved, spiffe
from mtls import CUT, LIMIT, PORT, PORTS, REFUSED, RETRY, Answers, Town, about, accepted, fields, orders_policy, policy, steps_of
from world import Capture, CliError, until
from world.daemon import to_yaml

ENTRIES = ("frontend", "orders", "other")
TRAFFIC = []
BLACKHOLE = "10.93.0.1"
SECOND = 8095


def SETTINGS(world):
    return {"namespaces": [f"{world.name}-named-*"]}


@pytest.fixture(autouse=True)
def no_policy_is_left(daemon):
    yield
    if not daemon.running():
        daemon.start()
    for held in daemon.json("quarantine", "list")["quarantined"]:
        daemon.cli("release", held["spiffe_id"])
    for name in {p["set"] for p in daemon.json("policy", "list")["policies"] if p["set"]}:
        daemon.cli("policy", "remove", name)


@pytest.fixture
def town(world, daemon):
    t = Town(world, daemon)
    t.spawn(["/bin/sleep", "3600"], cgroup="idle", place="client")
    yield t
    t.close()


@pytest.fixture
def apply(world, daemon):
    """Applies policies as one set, by the CLI."""

    def go(*policies, name="orders", options=()):
        path = world.file(f"{name}.yaml", text=to_yaml(list(policies)), mode=0o644)
        return daemon.json("policy", "apply", *options, path)

    return go


@pytest.fixture
def enforced(world, town, apply):
    """The policy of the other modules is in force, and the places are served."""
    apply(orders_policy(world))
    town.reconnect()
    return orders_policy(world)


def stats(daemon):
    return daemon.json("connections")["stats"]


def goes_in_the_clear(world, town, **kwargs):
    with Capture(world, "client") as capture:
        town.dial("say", "a-marker", "hear", 100, **kwargs).ok()
        return capture.holds("a-marker")


def opened(town, *steps, **kwargs):
    """A client with an open connection, that waits for its end or for a line."""
    client = town.start("echo", 1000, *(steps or ("drain",)), **kwargs)
    until("its connection to carry bytes", lambda: any('"echo"' in line and '"ok"' in line for line in client.output))
    return client


def end_of(client, timeout=10.0):
    client.wait(timeout)
    return Answers(client).end


# ---- live -------------------------------------------------------------------------------


def test_apply_and_remove(world, daemon, town, apply):
    town.serve("mirror")
    assert daemon.json("policy", "list")["policies"] == []
    assert goes_in_the_clear(world, town), "nothing covers it"
    said = apply(orders_policy(world))
    assert said["set"] == "orders" and said["policies"] == ["orders"]
    town.reconnect()
    assert not goes_in_the_clear(world, town)
    assert town.dial_resolved(name="other").errno == "EPERM"
    shown = daemon.json("policy", "list")["policies"]
    assert [(p["name"], p["mode"], p["set"]) for p in shown] == [("orders", "strict", "orders")]
    assert shown[0]["to"] == [{"cidr": f"{town.address()}/32", "port": PORTS}]
    assert shown[0]["server"] == [spiffe("orders")] and shown[0]["clients"] == [spiffe("frontend")]
    assert "orders" in daemon.cli("policy", "list")
    daemon.cli("policy", "remove", "orders")
    assert goes_in_the_clear(world, town) and town.dial(name="other").errno == "ok"
    assert daemon.json("policy", "list")["policies"] == []


def test_explain_says_what_happens(world, daemon, town, apply):
    apply(orders_policy(world), policy("alone", [(town.address(), 8088)], mode="disable"))
    to = f"{town.address()}:{PORT}"

    def explain(name, to):
        said = daemon.json("policy", "explain", spiffe(name), to)
        return said["verdict"], said["cause"], said["policy"]

    assert explain("frontend", to) == ("mtls", "allowed", "orders")
    assert explain("other", to) == ("deny", "client-unlisted", "orders")
    assert explain("other", f"{town.address()}:9999") == ("plain", "uncovered", None)
    assert explain("other", f"{town.address()}:8088") == ("plain", "disabled", "alone")
    assert "orders" in daemon.cli("policy", "explain", spiffe("frontend"), to)
    # And so it is.
    town.serve("mirror")
    town.serve("mirror", port=8088)
    town.reconnect()
    assert not goes_in_the_clear(world, town)
    assert town.dial_resolved(name="other").errno == "EPERM"
    assert goes_in_the_clear(world, town, port=8088, name="other")


@pytest.mark.parametrize("bad", ["- {name: x}\n", "- name: x\n  to: {cidr: 10.0.0.1, port: 70000}\n", "nonsense"])
def test_a_bad_policy_is_refused_whole(world, daemon, town, enforced, bad):
    path = world.file("bad.yaml", text=to_yaml([policy("good", [("10.99.0.0/16", 1)])]) + bad, mode=0o644)
    with pytest.raises(CliError) as refused:
        daemon.cli("policy", "apply", path)
    assert "bad.yaml:" in refused.value.text or "bad:" in refused.value.text, refused.value.text
    assert [p["name"] for p in daemon.json("policy", "list")["policies"]] == ["orders"]
    assert town.dial_resolved(name="other").errno == "EPERM"


@pytest.mark.parametrize("ephemeral", [False, True])
def test_what_was_applied_outlives_a_restart(world, daemon, town, apply, ephemeral):
    town.serve("mirror")
    apply(orders_policy(world), options=["--ephemeral"] if ephemeral else [])
    town.reconnect()
    daemon.restart()
    assert [p["name"] for p in daemon.json("policy", "list")["policies"]] == ([] if ephemeral else ["orders"])
    if not ephemeral:
        town.reconnect()
    assert goes_in_the_clear(world, town) is ephemeral


def test_a_file_is_read_again_on_sighup(world, daemon, town):
    town.serve("mirror")
    daemon.write_traffic([orders_policy(world)])
    daemon.process.kill(signal.SIGHUP)
    until("the file's policy", lambda: [p["name"] for p in daemon.json("policy", "list")["policies"]] == ["orders"])
    town.reconnect()
    assert not goes_in_the_clear(world, town)
    daemon.write_traffic([])
    daemon.process.kill(signal.SIGHUP)
    until("it to be gone", lambda: not daemon.json("policy", "list")["policies"])
    assert goes_in_the_clear(world, town)


# ---- what is open ---------------------------------------------------------------------------


def test_a_change_that_denies_cuts_what_is_open(daemon, town, apply, enforced):
    server = town.serve("mirror")
    client = opened(town)
    mark = daemon.alerts_mark()
    apply({**enforced, "clients": [spiffe("other")]})
    assert end_of(client) == "ECONNRESET"
    assert steps_of(server)[0]["errno"] == "ECONNRESET"
    assert town.dial_resolved().errno == "EPERM"
    cut = daemon.wait_alert(about(CUT, "frontend", "orders"), mark)
    assert fields(cut)["tipstaff.cause"]


def test_a_change_of_the_server_cuts_what_is_open(town, apply, enforced):
    town.serve("mirror")
    client = opened(town)
    apply({**enforced, "server": [spiffe("other")]})
    assert end_of(client) == "ECONNRESET"
    assert town.dial().errno == "ECONNREFUSED"


def test_a_change_that_allows_leaves_it_open(town, apply, enforced):
    server = town.serve("mirror")
    client = opened(town, "pause", "echo", 1000, "shut", "drain", stdin="pipe")
    apply(enforced, {**policy("more", [("10.99.0.0/16", 1)])})
    apply({**enforced, "clients": [spiffe("frontend"), spiffe("other")]})
    client.send("go")
    assert end_of(client) == "ok"
    assert steps_of(server)[0]["errno"] == "ok"


@pytest.mark.parametrize("how", ["removed", "disabled"])
def test_a_change_that_asks_for_nothing_leaves_it_open(daemon, world, town, apply, enforced, how):
    """What is open stays as it is, encrypted; the next connection there is left alone."""
    server = town.serve("mirror")
    client = opened(town, "pause", "say", "a-marker", "hear", 8, "echo", 1000, "shut", "drain", stdin="pipe")
    if how == "removed":
        daemon.cli("policy", "remove", "orders")
    else:
        apply({**enforced, "mode": "disable"})
    assert goes_in_the_clear(world, town)
    with Capture(world, "client") as capture:
        client.send("go")
        assert end_of(client) == "ok"
        assert not capture.holds("a-marker")
    assert {s["errno"] for s in steps_of(server, 2)} == {"ok"}


def test_a_connection_in_the_clear_ends_when_a_policy_becomes_strict(world, town, apply):
    """Those of processes in scope and those of strangers, on both sides."""
    server = town.serve("mirror")
    inside = opened(town)
    outside = opened(town, scope="outside", place="client", uid=0)
    uncovered_server = town.serve("mirror", port=9090)
    other = opened(town, "pause", "echo", 1000, "shut", "drain", port=9090, stdin="pipe")
    apply(orders_policy(world))
    # Whoever's socket is destroyed reads ECONNABORTED, the other end a reset.
    broken = {"ECONNRESET", "ECONNABORTED"}
    assert {s["errno"] for s in steps_of(server, 2)} <= broken, "both ends at the server"
    assert end_of(inside) in broken and end_of(outside) in broken
    other.send("go")
    assert end_of(other) == "ok" and steps_of(uncovered_server)[0]["errno"] == "ok", "what is not covered is left alone"


@pytest.mark.parametrize("name", ["frontend", "orders"])
def test_quarantine_cuts_what_is_open(daemon, town, enforced, name):
    """Of whichever end is quarantined."""
    server = town.serve("mirror")
    client = opened(town)
    daemon.cli("quarantine", spiffe(name), "--reason", "a test")
    assert end_of(client) == "ECONNRESET" and steps_of(server)[0]["errno"] == "ECONNRESET"
    assert town.dial_resolved().errno == ("EPERM" if name == "frontend" else "ECONNREFUSED")
    daemon.cli("release", spiffe(name))
    town.dial("echo", 1000, options=RETRY).ok()


# ---- rotation -----------------------------------------------------------------------------------


def test_rotation_under_load_breaks_nothing(world, daemon, town, enforced):
    """New SVIDs at both ends, again and again: open connections stay, new ones are made with whatever is the newest."""
    town.serve("mirror")
    rounds = 8
    steady = opened(town, *(["pause", "echo", 1000] * rounds), "shut", "drain", stdin="pipe")
    workloads = {name: world.workload(name, daemon=daemon, uid=UID[name]) for name in ("frontend", "orders")}
    serials = {name: {w.do("fetch")["serial"]} for name, w in workloads.items()}
    over, made = threading.Event(), []

    def load():
        while not over.is_set():
            made.append(town.dial("echo", 20_000, "shut", "drain"))

    users = [threading.Thread(target=load) for _ in range(3)]
    for user in users:
        user.start()
    try:
        for i in range(rounds):
            # An entry that asks for other names wants other certificates.
            daemon.write_entries([{**entry(world, name), "dns_names": [f"n{i}.example.org"]} for name in ENTRIES])
            daemon.process.kill(signal.SIGHUP)
            for name, w in workloads.items():
                new = until(f"a new SVID of {name}", lambda w=w, name=name: (
                    s := w.do("fetch").get("serial")) and s not in serials[name] and s)
                serials[name].add(new)
            steady.send("go")
            before = len(made)
            until("connections with the new SVIDs", lambda before=before: len(made) >= before + 6, 10.0)
    finally:
        over.set()
        for user in users:
            user.join()
        daemon.write_entries([entry(world, name) for name in ENTRIES])
        daemon.process.kill(signal.SIGHUP)
        for w in workloads.values():
            w.close()
    assert end_of(steady) == "ok" and Answers(steady).ok()
    assert len(made) > rounds and all(answers.ok() for answers in made)


# ---- namespaces -----------------------------------------------------------------------------------


def test_found_by_its_first_process_and_let_go_after_the_last(world, daemon, town, enforced):
    town.serve("mirror")
    # What the other tests left in their places may still be about to be let go.
    town.reconnect()
    before = stats(daemon)["namespaces"]
    world.place("found")
    answers = town.dial("echo", 10, place="found", options=RETRY)
    answers.ok()
    print(f"served {answers.connect['all_ms']:.1f} ms after its first connect, at try {answers.connect['tries']}")
    stay = town.spawn(["/bin/sleep", "3600"], cgroup="idle", place="found")
    town.dial("echo", 10, place="found").ok()
    until("it to be counted", lambda: stats(daemon)["namespaces"] == before + 1)
    stay.close()
    world.leave("found")
    until("it to be let go", lambda: stats(daemon)["namespaces"] == before, 10.0)


def test_found_by_its_name(world, daemon, town, enforced):
    """Before anything runs in it: so its first process is served at its first try."""
    town.serve("mirror")
    before = stats(daemon)["namespaces"]
    world.place("named-one")
    world.place("unnamed")
    until("it to be served", lambda: stats(daemon)["namespaces"] == before + 1, 10.0)
    assert str(daemon.worker_port) in world.inside("named-one", "iptables-legacy-save")
    assert str(daemon.worker_port) not in world.inside("unnamed", "iptables-legacy-save")
    assert town.dial("echo", 10, place="named-one").ok()
    world.leave("named-one")
    until("it to be let go", lambda: stats(daemon)["namespaces"] == before, 10.0)


def test_a_process_that_enters_a_namespace_later(world, town, enforced):
    """It executed elsewhere, and goes there by setns(): its connects are served there too."""
    town.serve("mirror")
    world.place("entered")
    code = ("import ctypes, errno, os, socket, sys, time\n"
            "ctypes.CDLL(None).setns(os.open(sys.argv[1], os.O_RDONLY), 0x40000000)\n"
            "os.setresuid(*3 * [int(sys.argv[3])])\n"
            "end = time.monotonic() + 10\n"
            "while (error := socket.socket().connect_ex((sys.argv[2], 8080))) and time.monotonic() < end: time.sleep(0.001)\n"
            "print(errno.errorcode.get(error, 'ok'), flush=True)\n")
    p = town.spawn(["/usr/bin/python3", "-c", code, world.netns("entered"), town.address(), UID["frontend"]],
                   cgroup="frontend", place="client", uid=0)
    assert p.line(20) == "ok"


def test_a_namespace_without_a_name_is_served_while_somebody_is_there(world, town, enforced):
    """A container runtime deletes the name first."""
    town.serve("mirror")
    client = town.start("echo", 1000, options=("--wait", *RETRY), place="nameless", stdin="pipe")
    client.json()
    world.leave("nameless")
    client.send("go")
    client.wait(20)
    assert Answers(client).ok()


# ---- limits -----------------------------------------------------------------------------------------


class Small(Town):
    """A daemon with little room, and a client and a server in a scope of its own."""

    def __init__(self, world, name, limits):
        self.scope, self.server = name, f"s-{name}"
        daemon = world.daemon(name, scope_cgroup=name, limits=limits, traffic=[
            policy("orders", [(world.place(self.server), PORTS)]), policy("nowhere", [("10.93.0.0/16", PORTS)]),
            policy("second", [(world.place(self.server), str(SECOND))], server="second", clients=("other",)),
        ], entries=[{"spiffe_id": spiffe(n), "selectors": [f"cgroup:path:{world.cgroup_path(f'{name}/{n}')}"]}
                    for n in ("frontend", "orders", "other", "second")])
        super().__init__(world, daemon)
        daemon.start()
        self.spawn(["/bin/sleep", "3600"], cgroup="idle", place=f"c-{name}", scope=name)
        self.app = self.serve("mirror", place=self.server, scope=name)
        self.talks().ok()
        until("it to be over", lambda: stats(daemon)["relays"] == 0)

    def start(self, *steps, **kwargs):
        there = {"place": f"c-{self.scope}", "scope": self.scope, "to": self.address(self.server)}
        return super().start(*steps, **{**there, **kwargs})

    def talks(self):
        """A whole connection, as soon as there is room for one."""
        return self.dial("echo", 10, "shut", "drain", options=RETRY)


@pytest.fixture
def small(world):
    made = []

    def make(name, **limits):
        made.append(Small(world, name, limits))
        return made[-1]

    yield make
    for town in made:
        town.close()
        town.daemon.remove()


def test_held_connects_are_limited(world, small):
    town = small("held", held_connects=4, held_connects_per_identity=4)
    world.inside("node", "ip", "route", "replace", "blackhole", "10.93.0.0/16")
    held = [town.start(to=BLACKHOLE) for _ in range(4)]
    until("four to be held", lambda: stats(town.daemon)["held"] == 4)
    assert town.dial(to=BLACKHOLE).errno == "EHOSTUNREACH"
    # On a slow machine a SYN is sent again before it is answered, and counts again.
    assert stats(town.daemon)["limit_held"] >= 1 and all(c.running() for c in held)
    for c in held:
        c.close()
    until("room again", lambda: stats(town.daemon)["held"] == 0, 10.0)


@pytest.mark.parametrize("name, limits, fit, cause", [
    ("relays", {"relays": 8, "handshakes": 8}, 4, None),  # both ends of a connection are of this daemon
    ("identity", {"relays_per_identity": 3}, 3, "limits.relays_per_identity"),
], ids=["relays", "relays_per_identity"])
def test_connections_are_limited(small, name, limits, fit, cause):
    town = small(name, **limits)
    mark = town.daemon.alerts_mark()
    clients = [opened(town) for _ in range(fit)]
    refused = town.dial("echo", 10)
    assert refused.errno == "EHOSTUNREACH", refused
    if cause:
        town.daemon.wait_alert(about(LIMIT, "frontend", tipstaff__limit=cause), mark)
    else:
        until("it to be counted", lambda: stats(town.daemon)["limit_relays"] >= 1)
    assert all(c.running() for c in clients), "those who came first are not touched"
    for c in clients:
        c.close()
    town.talks().ok()


@pytest.mark.parametrize("limit, all_of_them, to", [
    ("held_connects_per_identity", {"held_connects": 8}, BLACKHOLE),
    ("handshakes_per_identity", {"handshakes": 8, "relays": 64}, BLACKHOLE),
    ("relays_per_identity", {"relays": 64, "handshakes": 8}, None),
])
def test_a_greedy_identity_leaves_room_for_others(world, small, limit, all_of_them, to):
    """It gets its share, an errno that says so, one alert; somebody else is served."""
    town = small("g-" + limit[:4], **all_of_them, **{limit: 2})
    second = town.serve("mirror", name="second", place=town.server, scope=town.scope, port=SECOND)
    resolved(town.daemon, second.pid)
    world.inside("node", "ip", "route", "replace", "blackhole", "10.93.0.0/16")
    mark = town.daemon.alerts_mark()
    if to:
        greedy = [town.start(to=to) for _ in range(2)]
        until("both to be held", lambda: stats(town.daemon)["held"] == 2)
    else:
        greedy = [opened(town) for _ in range(2)]
    for _ in range(5):
        assert town.dial_resolved(**({"to": to} if to else {})).errno == "EHOSTUNREACH"
    town.dial_resolved("echo", 100, "shut", "drain", name="other", port=SECOND).ok()
    assert all(c.running() for c in greedy)
    town.daemon.wait_alert(about(LIMIT, "frontend", tipstaff__limit=f"limits.{limit}"), mark)
    said = [a for a in town.daemon.told(mark) if a["rule"] in (LIMIT, REFUSED)]
    assert len(said) == 1, said
    refused = [r for r in town.daemon.json("status")["limits"] if r["limit"] == limit and r["spiffe_id"] == spiffe("frontend")]
    # On a slow machine a SYN is sent again before it is answered, and counts again.
    assert len(refused) == 1 and refused[0]["refused"] >= 5
    assert limit in town.daemon.cli("status")
    for c in greedy:
        c.close()


# Opens connections, and says how many of them are left when none was closed for some seconds. argv: socket, how many
API = """
import select, socket, sys
sys.stdin.readline()
held = [socket.socket(socket.AF_UNIX) for _ in range(int(sys.argv[2]))]
for s in held:
    s.connect(sys.argv[1])

def closed(s):
    try:
        return not s.recv(65536)
    except ConnectionResetError:
        return True

while ready := select.select(held, [], [], 4)[0]:
    over = [s for s in ready if closed(s)]
    held = [s for s in held if s not in over]
print(len(held), flush=True)
sys.stdin.readline()
"""


def test_the_workload_api_has_a_share_for_each_identity(small):
    town = small("api", connections_per_identity=4)

    def callers(name, count):
        p = town.spawn(["/usr/bin/python3", "-u", "-c", API, str(town.daemon.workload_socket), str(count)], cgroup=name,
                       place=f"c-{town.scope}", scope=town.scope, stdin="pipe")
        resolved(town.daemon, p.pid)
        p.send("go")
        return int(p.line(30))

    assert callers("frontend", 7) == 4
    assert callers("other", 3) == 3, "of the same user, and another identity"
    said = [r for r in town.daemon.json("status")["limits"] if r["limit"] == "connections_per_identity"]
    assert [(r["spiffe_id"], r["refused"]) for r in said] == [(spiffe("frontend"), 3)]


def test_silent_strangers_take_no_more_than_their_share(small):
    """Handshakes that never begin fill their table, and time out of it; nobody gets bytes meanwhile."""
    town = small("silent", handshakes=4, relays=64)
    seen = len(accepted(town.app))
    mute = [town.start("drain", place="stranger", scope="outside", uid=0) for _ in range(16)]
    for m in mute:
        m.wait(40)
        answers = Answers(m)
        # One for whom there is no room is reset at once: a slow machine tells connect() of it already.
        assert answers.errno == "ECONNRESET" or (
            answers.errno == "ok" and answers.end == "ECONNRESET" and answers.steps[-1]["bytes"] == 0), answers
    assert len(accepted(town.app)) == seen
    town.talks().ok()
