# SPDX-License-Identifier: Apache-2.0
"""The demo's scenes of transparent mTLS: see tools/demo."""

import json
import secrets
import textwrap
import time

from world import PATIENCE, Capture, until
from world.wire import DATA

FRONTEND = "spiffe://example.org/frontend"
ORDERS = "spiffe://example.org/orders"
IMPOSTOR = "spiffe://example.org/impostor"
FRONTEND_UID, ORDERS_UID, IMPOSTOR_UID = 61001, 61006, 61007
# Where orders serves: pages, a line every 20 ms, an impostor's place, nobody; and beside what the policy covers.
PAGES, LINES, TAKEN, NOBODY, UNCOVERED = 8090, 8091, 8092, 8093, 8099
NOWHERE = "10.79.1.1"
REFUSED, DENIED = "mTLS connection refused", "mTLS connection denied"

POLICY = """
- name: orders
  to:
    - {{cidr: {orders}, port: 8090-8093}}
    - {{cidr: 10.79.0.0/16, port: 8090}}
  server: [{server}]
  clients: [{client}]
  mode: strict
"""

# A server that sends a line every 20 ms for as long as somebody listens.
TICKER = """
import socket, sys, threading, time

def tick(s):
    try:
        while True:
            s.sendall(b"tick\\n")
            time.sleep(0.02)
    except OSError:
        pass

server = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("listening", flush=True)
while True:
    threading.Thread(target=tick, args=(server.accept()[0],), daemon=True).start()
"""

# Plain HTTP, as anybody in the network speaks it.
STRANGER = """
import errno, json, socket, sys

said = {"connect": "ok", "received": 0, "end": ""}
s = socket.socket()
s.settimeout(10)
try:
    s.connect((sys.argv[1], int(sys.argv[2])))
    try:
        s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        while data := s.recv(4096):
            said["received"] += len(data)
        said["end"] = "EOF"
    except OSError as err:
        said["end"] = errno.errorcode.get(err.errno or 0, str(err))
except OSError as err:
    said["connect"] = errno.errorcode.get(err.errno or 0, str(err))
print(json.dumps(said), flush=True)
"""


class Shop:
    """What the scenes share: orders, its pages, and the random marker in them."""

    def __init__(self, stage):
        world = self.world = stage.world
        self.address = world.place("orders")
        self.marker = secrets.token_hex(16)
        folder = world.dir / "pages"
        folder.mkdir(mode=0o755)
        world.file("pages/index.html", text=f"<p>{self.marker}</p>\n", mode=0o644)
        self.pages = self.start(["-m", "http.server", PAGES, "--bind", self.address, "--directory", folder],
                                "orders", ORDERS_UID)
        self.start(["-c", TICKER, self.address, LINES], "orders", ORDERS_UID)
        self.policy = world.file("orders.yaml", mode=0o644, text=POLICY.format(
            orders=self.address, server=ORDERS, client=FRONTEND))

    def start(self, args, name, uid):
        process = self.world.spawn(["/usr/bin/python3", "-u", *args], cgroup=name, place="orders", uid=uid)
        process.line()
        return process

    def page(self, who, port=PAGES):
        return who.do("get", host=self.address, port=port, path="/")

    def stranger(self):
        """What plaintext from a namespace without Tipstaff comes to."""
        process = self.world.spawn(["/usr/bin/python3", "-c", STRANGER, self.address, PAGES], scope="outside",
                                   place="stranger")
        return process.json()

    def open_ends(self, daemon):
        """Both ends of the open connection to the lines, once bytes were counted there."""
        ends = [c for c in daemon.json("connections")["connections"] if f"{self.address}:{LINES}" in (c["local"], c["remote"])
                and c["state"] == "open" and c["sent"] + c["received"]]
        return ends if len(ends) == 2 else None

    def log_names(self, address):
        """The access log's line for a request from that address: (how many, the latest)."""
        lines = [line for line in self.pages.output if line.startswith(f"{address} ") and "GET / " in line]
        return lines and (len(lines), lines[-1])


def show_alert(stage, alert, *fields):
    """An alert as a person would read it, and the fields that the scene is about."""
    stage.show("\n".join(textwrap.wrap(alert["output"], 100)))
    stage.show(json.dumps({k: alert["output_fields"].get(k) for k in fields}))


def scene_control(stage):
    """Without Tipstaff: the wire oracle can see."""
    stage.cli("detach", "--all")
    stage.daemon.process.wait(10)
    stage.check(not stage.daemon.pins.exists(), "Tipstaff is off this kernel: no process, no pin")
    shop = stage.shop = Shop(stage)
    client = stage.world.place("front")
    with Capture(stage.world, "front") as capture:
        got = shop.page(stage.frontend)
        stage.check(got.get("status") == 200 and shop.marker in got["body"],
                    f"frontend GETs a page from {shop.address}:{PAGES}, in another network namespace: "
                    f"{got.get('body', '').strip()}", str(got))
        stage.check(capture.holds(shop.marker),
                    f"a capture on the veth ({len(capture.frames)} frames) holds the page's marker: the wire can be read")
    logged = until("the access log", lambda: shop.log_names(client))
    stage.check(logged[0] == 1, f"the server's log: {logged[1]}")


def records_by_kernel(stage):
    """How many sockets have begun to make or to take TLS records in the kernel: (sent, received) of both places together."""
    sums = {"TlsTxSw": 0, "TlsRxSw": 0}
    for place in ("front", "orders"):
        for line in stage.world.inside(place, "cat", "/proc/net/tls_stat").splitlines():
            name, value = line.split()
            if name in sums:
                sums[name] += int(value)
    return sums


def scene_transparent(stage):
    shop, daemon = stage.shop, stage.daemon
    client = stage.world.place("front")
    daemon.start()
    stage.cli("policy", "apply", shop.policy)
    stage.cli("policy", "list")
    stage.cli("policy", "explain", FRONTEND, f"{shop.address}:{PAGES}")

    def served():
        """A namespace that was only just found says EHOSTUNREACH."""
        return (got := shop.page(stage.frontend))["errno"] != "EHOSTUNREACH" and got

    until("frontend's namespace to be served", served)
    before = shop.log_names(client)[0]
    kernel = stage.tiers["mtls records"] == "kernel"
    counted = kernel and records_by_kernel(stage)
    with Capture(stage.world, "front") as capture:
        got = shop.page(stage.frontend)
        stage.check(got.get("status") == 200 and shop.marker in got["body"],
                    f"the same program, the same server, the same request: {got.get('body', '').strip()}", str(got))
        stage.check(got["peer"] == f"{shop.address}:{PAGES}" and got["local"].startswith(f"{client}:"),
                    f"frontend sees its connection as {got['local']} -> {got['peer']}", str(got))
        stage.check(not capture.holds(shop.marker), f"the marker is not in the {len(capture.frames)} frames of the capture")
        streams = capture.tls(PAGES)
        stage.check(len(streams) == 2 and all(DATA in types for types in streams.values()),
                    "every byte of both directions lies in a TLS 1.3 record: "
                    + " and ".join(f"{len(types)} records" for types in streams.values()), str(streams))
    if kernel:
        now = records_by_kernel(stage)
        stage.check(all(now[name] >= counted[name] + 2 for name in now),
                    "the kernel made and took the records of both ends: "
                    + ", ".join(f"{name} {counted[name]} -> {now[name]}" for name in now), f"{counted} then {now}")
    logged = until("the access log", lambda: (seen := shop.log_names(client)) and seen[0] > before and seen)
    stage.check(True, f"the server's log shows the client's real address: {logged[1]}")
    stage.check(stage.frontend.do("follow", host=shop.address, port=LINES)["first"] == "tick", "a connection stays open")
    ends = until("bytes to be counted at both of its ends", lambda: shop.open_ends(daemon))
    stage.cli("connections")
    stage.check({(c["own_id"], c["peer_id"]) for c in ends} == {(FRONTEND, ORDERS), (ORDERS, FRONTEND)},
                "both of its ends know both IDs", str(ends))


def scene_no_identity(stage):
    shop = stage.shop
    rogue = stage.world.workload("rogue", uid=FRONTEND_UID, place="front")
    got = rogue.do("fetch")
    stage.check(got.get("code") == "PERMISSION_DENIED", "rogue is the same program under the same uid, and has no entry",
                str(got))
    mark = stage.daemon.alerts_mark()
    got = shop.page(rogue)
    stage.check(got["errno"] == "EPERM", f"its connect() to orders returns {got['errno']}", str(got))
    alert = stage.daemon.wait_alert(
        lambda a: a["rule"] == DENIED and a["output_fields"]["proc.pid"] in (rogue.pid, str(rogue.pid)), mark)
    show_alert(stage, alert, "proc.pid", "proc.exepath", "spiffe.id", "tipstaff.cause", "tipstaff.expected.id")
    stage.check(True, f"the alert names it: pid {rogue.pid}")
    rogue.close()


def scene_stranger(stage):
    shop = stage.shop
    mark = stage.daemon.alerts_mark()
    before = len(shop.pages.output)
    with Capture(stage.world, "orders") as capture:
        said = shop.stranger()
        answered = sum(len(data) for (source, _), data in capture.streams().items() if source == f"{shop.address}:{PAGES}")
        stage.check(said["received"] == 0 and answered == 0,
                    "from a namespace without Tipstaff, plain HTTP to orders: not one byte came back", str(said))
        stage.check(said["connect"] == "ok" and said["end"] == "ECONNRESET",
                    f"its connect() was {said['connect']}, then {said['end']}", str(said))
    alert = stage.daemon.wait_alert(lambda a: a["rule"] == REFUSED and stage.world.place("stranger") in json.dumps(a), mark)
    show_alert(stage, alert, "tipstaff.cause", "fd.rip", "tipstaff.own.id", "tipstaff.peer.id")
    stage.check(len(shop.pages.output) == before, "the server heard nothing of it", "\n".join(shop.pages.output[before:]))


def scene_impostor(stage):
    shop, world = stage.shop, stage.world
    taken = shop.start(["-m", "http.server", TAKEN, "--bind", shop.address], "impostor", IMPOSTOR_UID)
    stage.say(f"impostor (pid {taken.pid}) holds a valid SVID of {IMPOSTOR} and listens on orders' port {TAKEN}")
    mark = stage.daemon.alerts_mark()
    got = shop.page(stage.frontend, TAKEN)
    stage.check(got["errno"] == "ECONNREFUSED", f"frontend's connect() there returns {got['errno']}", str(got))
    alert = stage.daemon.wait_alert(
        lambda a: a["rule"] == REFUSED and FRONTEND in json.dumps(a) and IMPOSTOR in json.dumps(a), mark)
    show_alert(stage, alert, "tipstaff.cause", "tipstaff.own.id", "tipstaff.peer.id", "tipstaff.expected.id")
    stage.check(True, "the alert has both IDs")
    got = shop.page(stage.frontend, NOBODY)
    stage.check(got["errno"] == "ECONNREFUSED", f"a port that is covered and where nobody listens: {got['errno']}", str(got))
    world.inside("front", "ip", "route", "add", "unreachable", "10.79.0.0/16")
    without, covered = (stage.frontend.do("connect", host=NOWHERE, port=p)["errno"] for p in (UNCOVERED, PAGES))
    stage.check(without == covered != "ok",
                f"an address without a route: {covered} on a covered port, {without} on one that no policy covers",
                f"{covered} and {without}")
    taken.close()


def scene_cut(stage):
    """Quarantine, once more: an open connection."""
    shop, frontend = stage.shop, stage.frontend
    while frontend.news:
        frontend.next_news()
    stage.cli("connections", "--id", ORDERS)
    stage.check(shop.open_ends(stage.daemon), "frontend's connection to orders is still open")
    begun = time.monotonic()
    stage.cli("quarantine", FRONTEND, "--reason", "a shell was seen in it")
    done = time.monotonic()
    end = frontend.next_news()
    while end["news"] != "end":
        end = frontend.next_news()
    stage.check(end["how"] == "ECONNRESET", f"its open connection ended with {end['how']} after {end['received']} bytes",
                str(end))
    stage.say(f"cut {1000 * (end['at'] - begun):.0f} ms after the command was started "
              f"(which itself took {1000 * (done - begun):.0f} ms)")
    got = shop.page(frontend)
    stage.check(got["errno"] == "EPERM", f"a new connect() returns {got['errno']}", str(got))
    stage.cli("release", FRONTEND)
    got = until("frontend to be served again", lambda: (got := shop.page(frontend)).get("status") == 200 and got)
    stage.check(shop.marker in got["body"], "after the release it gets its page again")


def scene_mtls_death(stage):
    """Death, once more: an open transfer, a new connect, a stranger."""
    shop, frontend, daemon = stage.shop, stage.frontend, stage.daemon
    stage.check(frontend.do("follow", host=shop.address, port=LINES)["first"] == "tick", "a transfer is under way")
    keeper, front = daemon.keeper_pid, daemon.front_pid()
    daemon.kill_both()
    stage.say(f"kill -9 {keeper} {front}: both processes are gone")
    end = frontend.next_news()
    stage.check(end["how"] == "ECONNRESET", f"the transfer ended with {end['how']} and not with a clean EOF", str(end))
    got = frontend.do("connect", host=shop.address, port=PAGES)
    stage.check(got["errno"] == "EHOSTUNREACH" and got["ms"] < 2000 * PATIENCE,
                f"a new connect() fails after {got['ms']:.1f} ms: {got['errno']}", str(got))
    said = shop.stranger()
    stage.check(said["received"] == 0 and "EOF" not in said["end"],
                f"plaintext to orders is refused: {said['end'] or said['connect']}, {said['received']} bytes", str(said))
    start = time.monotonic()
    daemon.start(wait=False)
    got = until("frontend to reach orders again", lambda: (got := shop.page(frontend)).get("status") == 200 and got, 10.0)
    stage.check(shop.marker in got["body"], f"restarted; {time.monotonic() - start:.2f} s after that frontend has its page")
    daemon.wait_ready()
    with Capture(stage.world, "front") as capture:
        got = shop.page(frontend)
        stage.check(got.get("status") == 200 and not capture.holds(shop.marker) and len(capture.tls(PAGES)) == 2,
                    "and again all of it is TLS", str(got))
    said = shop.stranger()
    stage.check(said["received"] == 0 and said["end"] == "ECONNRESET", f"the stranger still gets nothing: {said['end']}",
                str(said))


SCENES = [
    ("Control: the wire without Tipstaff", scene_control),
    ("Transparent mTLS", scene_transparent),
    ("No identity", scene_no_identity),
    ("A stranger", scene_stranger),
    ("An impostor, a closed port, no route", scene_impostor),
    ("Quarantine cuts what is open", scene_cut),
    ("Death, with connections open", scene_mtls_death),
]
