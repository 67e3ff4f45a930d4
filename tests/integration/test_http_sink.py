# SPDX-License-Identifier: Apache-2.0
"""Alerts that are posted to a server: what it sees, whom the daemon believes, and what becomes of an alert that it does not take."""

import ipaddress
import os
import shutil
import signal
import ssl

import pytest
from cryptography import x509

from authority import Authority, context
from collector import CLOSE, HANG, OK, Collector, answer, check_payload
from conftest import UID, entry, spiffe
from world import until

RULES = """
- rule: Opened
  desc: a file
  condition: evt.type in (open, openat) and fd.name contains /posted-
  output: opened %fd.name by %proc.name
  priority: Warning
  tags: [one, two]
"""

SETTINGS = {
    "alerts": {"spool": {"sinks": ["http"]}, "timeout": "1s"},
    "limits": {"activity_ring_kib": 8192},
    "identity": {"authority": {"x509_ttl": "20s"}},
}


def ENTRIES(world):
    return [entry(world, "backend"), entry(world, "other")]


def act(world, run, name):
    status, _ = run("syscalls", "openat", str(world.file(f"posted-{name}", text="x")), cgroup="x")
    assert status == 0


def sink(daemon, name="http"):
    return next(s for s in daemon.status()["alerts"]["sinks"] if s["name"] == name)


def opened(collector):
    """The last letters of the files about which it was told, in order."""
    return [a["output_fields"]["fd.name"].split("posted-")[1] for a in collector.alerts if a["rule"] == "Opened"]


def until_told(collector, *names, timeout=20.0):
    until(f"the server to be told of {names}", lambda: set(names) <= set(opened(collector)), timeout)


def until_taken(daemon, collector, *names):
    """The server has them, and the daemon knows: what it does not know of would be posted again."""
    until_told(collector, *names)
    until("it to be counted", lambda: sink(daemon)["written"] == len(collector.requests))


@pytest.fixture
def post(world, daemon):
    """Starts the daemon anew with these settings of alerts.http, to a server of `context`."""
    made = []

    def start(context=None, spool=True, host="127.0.0.1", path="/", **http):
        collector = Collector(world, context)
        made.append(collector)
        daemon.stop()
        shutil.rmtree(daemon.state_dir / "spool", ignore_errors=True)  # of the test before
        scheme = "https" if context else "http"
        daemon.settings["alerts"]["http"] = {"enabled": True, "url": f"{scheme}://{host}:{collector.port}{path}", **http}
        daemon.settings["alerts"]["spool"] = {"sinks": ["http"] if spool else ["file"]}
        daemon.start()
        return collector

    yield start
    for collector in made:
        collector.stop()


# ---- what the server sees ----------------------------------------------------------------------


def test_one_connection_for_all_alerts(world, daemon, run, post):
    collector = post(path="/in?from=here", user_agent="somebody/1")
    mark = daemon.alerts_mark()
    for name in "abcde":
        act(world, run, name)
    until_told(collector, *"abcde")
    assert opened(collector) == list("abcde")
    assert collector.connections == 1 and not collector.trouble
    for request in collector.requests:
        check_payload(request["alert"])
        assert request["line"] == "POST /in?from=here HTTP/1.1"
        assert request["headers"]["Content-Type"] == "application/json" and request["headers"]["User-Agent"] == "somebody/1"
        assert request["headers"]["Host"] == f"127.0.0.1:{collector.port}"
        assert "Content-Encoding" not in request["headers"] and "Connection" not in request["headers"]
    def written():
        return [a for a in daemon.alerts(mark) if a["rule"] == "Opened"]

    until("the file to have as many", lambda: len(written()) == 5)
    assert [a for a in collector.alerts if a["rule"] == "Opened"] == written()
    assert collector.alerts[0]["rule"] == "Tipstaff daemon started"
    until("them to be counted", lambda: sink(daemon)["written"] == len(collector.requests))
    assert sink(daemon)["dropped"] == 0
    daemon.stop()
    assert collector.alerts[-1]["rule"] == "Tipstaff daemon stopped"


def test_compressed_and_one_by_one(world, daemon, run, post):
    collector = post(compress_uploads=True, keep_alive=False)
    for name in "abc":
        act(world, run, name)
    until_told(collector, *"abc")
    assert opened(collector) == list("abc") and collector.connections == len(collector.requests)
    assert all(r["headers"]["Content-Encoding"] == "gzip" and r["headers"]["Connection"] == "close" for r in collector.requests)
    assert not collector.trouble


# ---- whom the daemon believes, and what it shows --------------------------------------------------


def fetch(world, daemon, name):
    """A folder with the SVID of a workload."""
    folder = world.dir / f"svid-{name}"
    if not folder.exists():
        folder.mkdir()
        os.chown(folder, UID[name], UID[name])
    cli = world.file("tipstaff", world.build / "tipstaff")
    p = world.spawn([cli, "--workload-socket", daemon.workload_socket, "svid", "fetch", "--write", folder], cgroup=name, uid=UID[name])
    assert p.wait(20) == 0, p.text()
    return folder


def until_not_believed(daemon, collector, why):
    until(f"the server not to be believed: {why}", lambda: f"not believed: {why}" in daemon.log(), 20.0)
    assert collector.requests == []
    until("the alerts to wait", lambda: sink(daemon)["spooled"] > 0)
    assert sink(daemon)["dropped"] == 0


def test_a_server_with_a_certificate_for_its_name(world, daemon, run, post):
    """The name is resolved by a process without rights, and has to be that of the certificate."""
    authority = Authority(world, "collector-ca")
    collector = post(authority.server(x509.DNSName("localhost")), host="localhost", ca_cert=str(authority.pem))
    act(world, run, "a")
    until_told(collector, "a")
    assert collector.connections == 1 and {r["id"] for r in collector.requests} == {None}


def test_a_server_by_its_address(world, daemon, run, post):
    authority = Authority(world, "collector-ca")
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    collector = post(authority.server(address), ca_cert=str(authority.pem))
    act(world, run, "a")
    until_told(collector, "a")


def test_another_name_is_refused(world, daemon, run, post):
    authority = Authority(world, "collector-ca")
    collector = post(authority.server(x509.DNSName("localhost.example.org")), host="localhost", ca_cert=str(authority.pem))
    until_not_believed(daemon, collector, "hostname mismatch")


def test_another_authority_is_refused(world, daemon, run, post):
    collector = post(Authority(world, "other-ca").server(x509.DNSName("localhost")), host="localhost",
                     ca_cert=str(Authority(world, "collector-ca").pem))
    until_not_believed(daemon, collector, "unable to get local issuer certificate")


def test_other_authorities_come_with_a_reload(world, daemon, run, post):
    collector = post(Authority(world, "next-ca").server(x509.DNSName("localhost")), host="localhost",
                     ca_cert=str(Authority(world, "this-ca").pem))
    until_not_believed(daemon, collector, "unable to get local issuer certificate")
    (world.dir / "next-ca.pem").replace(world.dir / "this-ca.pem")
    daemon.process.kill(signal.SIGHUP)
    act(world, run, "a")
    until_told(collector, "a", timeout=40.0)


def test_a_start_needs_the_authorities(world, daemon):
    daemon.stop()
    for path, why in ((world.dir / "not-there.pem", "No such file"), (world.file("empty.pem", text="x"), "holds no certificate")):
        daemon.settings["alerts"]["http"] = {"enabled": True, "url": "https://localhost/", "ca_cert": str(path)}
        daemon.start(wait=False)
        assert daemon.process.wait(10.0) == 1
        assert "alerts.http.ca_cert" in daemon.log().splitlines()[-1] and why in daemon.log().splitlines()[-1]
    del daemon.settings["alerts"]["http"]
    daemon.start()


def test_both_sides_show_their_svid(world, daemon, run, post):
    """The server is known by its SPIFFE ID, and knows the daemon by its own, also by the next one."""
    svid = fetch(world, daemon, "backend")
    server = context(svid / "svid.0.pem", svid / "svid.0.key")
    server.verify_mode = ssl.CERT_REQUIRED
    server.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    server.load_verify_locations(svid / "bundle.0.pem")
    collector = post(server, server_id=spiffe("backend"), svid=spiffe("tipstaff/n1"))
    act(world, run, "a")
    until_told(collector, "a")
    assert all(r["id"] == [spiffe("tipstaff/n1")] for r in collector.requests)
    first = collector.requests[0]["serial"]

    def shown_anew():
        # The server's own goes on as long as the daemon's.
        fetch(world, daemon, "backend")
        server.load_cert_chain(svid / "svid.0.pem", svid / "svid.0.key")
        act(world, run, "b")
        return [r for r in collector.requests if r["serial"] != first]

    renewed = until("the next SVID to be shown", shown_anew, 40.0)
    assert renewed[0]["id"] == [spiffe("tipstaff/n1")] and renewed[0]["connection"] > 1
    assert sink(daemon)["dropped"] == 0


def test_another_spiffe_id_is_refused(world, daemon, run, post):
    svid = fetch(world, daemon, "other")
    collector = post(context(svid / "svid.0.pem", svid / "svid.0.key"), server_id=spiffe("backend"))
    until_not_believed(daemon, collector, "its SPIFFE ID is another")


class Client:
    """The certificate that the daemon has from files, of an authority that the server knows."""

    def __init__(self, world):
        self.world, self.authority = world, Authority(world, "client-ca")
        self.cert, self.key = world.dir / "client.pem", world.dir / "client.key"
        self.write()

    def write(self):
        cert, key = self.authority.certify(x509.DNSName("n1.client"))
        self.world.file("client.pem", text=cert)
        self.world.file("client.key", text=key, mode=0o600)

    def serve(self):
        made = Authority(self.world, "collector-ca").server(x509.DNSName("localhost"))
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(self.authority.pem)
        return made

    def settings(self):
        return {"ca_cert": str(self.world.dir / "collector-ca.pem"), "client_cert": str(self.cert), "client_key": str(self.key)}


def test_a_certificate_from_files(world, daemon, run, post):
    """Shown to the server, read again at SIGHUP; files that are wrong then leave it as it is, and nothing of the key is in the log."""
    client = Client(world)
    collector = post(client.serve(), host="localhost", **client.settings())
    act(world, run, "a")
    until_taken(daemon, collector, "a")
    first = collector.requests[0]["serial"]
    assert first and all(r["serial"] == first for r in collector.requests)

    client.key.chmod(0o640)
    daemon.process.kill(signal.SIGHUP)
    until("the key to be refused", lambda: "client_key" in daemon.log() and "closed to all others" in daemon.log())
    act(world, run, "b")
    until_taken(daemon, collector, "b")
    assert {r["serial"] for r in collector.requests} == {first}

    kept = client.cert.read_text(encoding="utf-8")
    client.write()
    key = client.key.read_text(encoding="utf-8")
    new = client.cert.read_text(encoding="utf-8")
    client.cert.write_text(kept, encoding="utf-8")  # of another key
    daemon.process.kill(signal.SIGHUP)
    until("them not to fit", lambda: "not that of the first certificate; the one before is shown" in daemon.log())
    client.cert.write_text(new, encoding="utf-8")
    daemon.process.kill(signal.SIGHUP)

    def shown_anew():
        act(world, run, "c")
        return [r for r in collector.requests if r["serial"] != first]

    until("the next certificate to be shown", shown_anew, 20.0)
    assert sink(daemon)["dropped"] == 0 and key.splitlines()[1] not in daemon.log()
    # Another front has it from the keeper.
    front = daemon.front_pid()
    os.kill(front, 9)
    until("another front", lambda: daemon.front_pid() not in (None, front) and daemon.status()["front"]["running"], 20.0)
    act(world, run, "d")
    until_told(collector, "d")


def test_a_start_needs_the_clients_key(world, daemon):
    client = Client(world)
    settings = {"enabled": True, "url": "https://localhost/", **client.settings()}
    Authority(world, "collector-ca")
    daemon.stop()
    for spoil, why in ((lambda: client.key.chmod(0o604), "closed to all others"), (lambda: os.chown(client.key, 1, 0), "has to be root's"),
                       (lambda: client.key.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----", encoding="utf-8"), "without a passphrase"),
                       (client.key.unlink, "No such file")):
        client.write()
        spoil()
        daemon.settings["alerts"]["http"] = settings
        daemon.start(wait=False)
        assert daemon.process.wait(10.0) == 1
        assert "alerts.http.client_key: " in daemon.log().splitlines()[-1] and why in daemon.log().splitlines()[-1]
        with pytest.raises(RuntimeError) as err:
            world.inside("node", world.build / "tipstaffd", "--check", "--config", daemon.config_file)
        assert f"{daemon.config_file}:" in str(err.value) and why in str(err.value)
        client.key.unlink(missing_ok=True)
    del daemon.settings["alerts"]["http"]
    daemon.start()


def test_what_the_server_answers_is_logged_when_it_is_wanted(world, daemon, run, post):
    collector = post(echo=True)
    collector.always = b"HTTP/1.1 201 x\r\nContent-Length: 10\r\n\r\nfine\x1b[2J\n!"
    act(world, run, "a")
    until_told(collector, "a")
    until("it to be in the log", lambda: " front info http: the server answers 201: fine\\x1b[2J\\x0a!\n" in daemon.log())


# ---- what a server does not take -------------------------------------------------------------------


@pytest.mark.parametrize("spool", [True, False], ids=["spool", "queue"])
def test_a_server_that_cannot_take_it_now_is_asked_again(world, daemon, run, post, spool):
    collector = post(spool=spool)
    act(world, run, "a")
    until_told(collector, "a")
    collector.replies = [answer(503), answer(429, "Retry-After: 1"), answer(500)]
    for name in "bcd":
        act(world, run, name)
    until_told(collector, *"bcd")
    assert opened(collector) == list("abbbbcd")
    assert sink(daemon)["dropped"] == 0
    assert "the server says 503" in daemon.log() and "alerts are taken again" in daemon.log()


def test_what_it_refuses_is_counted(world, daemon, run, post):
    collector = post()
    act(world, run, "a")
    until_told(collector, "a")
    collector.replies = [answer(400)]
    act(world, run, "b")
    act(world, run, "c")
    until_told(collector, "c")
    assert opened(collector) == list("abc"), "the refused one is not tried again, and holds nothing up"
    until("it to be counted", lambda: (sink(daemon)["refused"], sink(daemon)["dropped"]) == (1, 1))


def test_nothing_is_lost_while_nobody_listens(world, daemon, run, post):
    """No server, then no daemon either, then both: all of it comes, in order, and once."""
    collector = post()
    act(world, run, "a")
    until_taken(daemon, collector, "a")
    collector.stop()
    for name in "bcd":
        act(world, run, name)
    until("them to be on disk", lambda: (s := sink(daemon))["spooled"] >= 3 and not s["waiting"], 20.0)
    daemon.restart()
    act(world, run, "e")
    until("it to be behind them", lambda: sink(daemon)["spooled"] >= 4, 20.0)
    collector.start()
    until_told(collector, *"bcde", timeout=60.0)
    assert opened(collector) == list("abcde")
    until("the spool to be empty", lambda: sink(daemon)["spooled"] == 0)
    assert sink(daemon)["dropped"] == 0


def test_a_silent_server_slows_nobody(world, daemon, run, post):
    collector = post(timeout="3s")
    act(world, run, "a")
    until_told(collector, "a")
    collector.replies = [HANG]
    mark = daemon.alerts_mark()
    status, lines = run("opens", str(world.file("posted-h", text="x")), "1000", cgroup="x", timeout=30.0)
    assert status == 0 and lines[0]["opens"] == 1000
    until("the file to have them", lambda: len([a for a in daemon.alerts(mark) if a["rule"] == "Opened"]) == 1000, 20.0)
    until("the server to be complained of", lambda: sink(daemon)["timeouts"] > 0, 20.0)
    # The hanging request is given up, and all of it comes on another connection.
    until("the server to have them", lambda: opened(collector).count("h") > 1000, 60.0)
    assert opened(collector).count("h") == 1001 and sink(daemon)["dropped"] == 0


def test_a_silent_server_is_given_up_for_one_alert(world, daemon, run, post):
    """As Falco does it: so many more attempts, then the next one."""
    collector = post(timeout="300ms", max_consecutive_timeouts=1)
    act(world, run, "a")
    until_taken(daemon, collector, "a")
    before = sink(daemon)
    collector.replies = [HANG, HANG]
    act(world, run, "b")
    act(world, run, "c")
    until_told(collector, "c", timeout=30.0)
    assert opened(collector) == list("abbc")
    until("it to be counted", lambda: sink(daemon)["refused"] == before["refused"] + 1)


def endless(head, piece):
    def parts():
        yield head
        while True:
            yield piece

    return parts


@pytest.mark.parametrize("reply,times", [
    (b"SSH-2.0-x\r\n", 2), (b"\0" * 100000, 2), (CLOSE, 2), (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 2),
    (b"HTTP/1.1 2", 2), (endless(b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 1000 + b"\r\n"), 2),
    (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), 2),
    # Taken, whatever follows:
    (endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000), 1), (OK + OK, 1),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", 1), (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 1),
], ids=["no-http", "zeros", "close", "length", "cut", "headers", "continue", "body", "two", "short", "chunk"])
def test_a_server_that_answers_badly(world, daemon, run, strange, reply, times):
    """Bounded in bytes and in time; what it did not clearly take is posted again, and the front lives."""
    front = daemon.front_pid()
    before = len(strange.requests)
    strange.replies = [reply]
    name = f"bad{before}"
    act(world, run, name)
    until_told(strange, name)
    act(world, run, name + "next")
    until_told(strange, name + "next")
    assert opened(strange).count(name) == times and opened(strange).count(name + "next") == 1
    assert daemon.front_pid() == front and sink(daemon)["dropped"] == 0


@pytest.fixture(scope="module")
def strange(world, daemon):
    collector = Collector(world)
    daemon.stop()
    shutil.rmtree(daemon.state_dir / "spool", ignore_errors=True)
    daemon.settings["alerts"]["http"] = {"enabled": True, "url": f"http://127.0.0.1:{collector.port}", "timeout": "3s"}
    daemon.start()
    act_first = until("it to begin", lambda: collector.requests)
    assert act_first[0]["alert"]["rule"]
    yield collector
    collector.stop()


def test_a_kept_connection_that_was_closed_is_no_fault(world, daemon, run, post):
    collector = post()
    act(world, run, "a")
    until_taken(daemon, collector, "a")
    said = len(daemon.log())
    collector.hang_up()
    act(world, run, "b")
    until_taken(daemon, collector, "b")
    # Closed instead of an answer, which the daemon cannot tell from before: it is posted again at once.
    collector.replies = [CLOSE]
    act(world, run, "c")
    until("it to come twice", lambda: opened(collector) == list("abcc"))
    assert collector.connections == 3 and "an alert is not taken" not in daemon.log()[said:]


def test_another_front_goes_on(world, daemon, run, post):
    collector = post()
    act(world, run, "a")
    until_taken(daemon, collector, "a")
    front = daemon.front_pid()
    os.kill(front, 9)
    until("another front", lambda: daemon.front_pid() not in (None, front) and daemon.status()["front"]["running"], 20.0)
    act(world, run, "b")
    until_told(collector, "b")
    assert opened(collector) == list("ab") and "Front restarted" in {a["rule"] for a in collector.alerts}


@pytest.mark.timeout(200)
def test_a_policy_on_the_servers_port_holds_for_the_daemon_too(world):
    """What it posts in plaintext is refused like anybody's, waits, and comes when the policy is gone."""
    collector = Collector(world)
    policy = {"name": "collector", "to": [{"cidr": "127.0.0.1/32", "port": collector.port}],
              "server": [spiffe("collector")], "clients": [spiffe("other")]}
    d = world.daemon("covered", traffic=[policy])
    d.settings["scope"] = {"cgroups": [world.cgroup_path("covered"), world.cgroup_path("daemon")]}  # its own as well
    d.settings["alerts"]["http"] = {"enabled": True, "url": f"http://127.0.0.1:{collector.port}/"}
    try:
        d.start()
        until("the connection to be refused", lambda: "http: 127.0.0.1 cannot be reached" in d.log())
        assert sink(d)["waiting"] and not collector.requests
        d.write_traffic([])
        os.kill(d.keeper_pid, signal.SIGHUP)
        until("what waited to come", lambda: "Tipstaff daemon started" in {a["rule"] for a in collector.alerts}, 60.0)
        assert sink(d)["dropped"] == 0
    finally:
        d.remove()
        collector.stop()


def test_other_configurations_are_refused(world, daemon):
    def check(http, why):
        text = f"trust_domain: example.org\nrun_dir: {world.dir}/r\nstate_dir: {world.dir}/s\nalerts: {{http: {{enabled: true, {http}}}}}\n"
        path = world.file("bad.yaml", text=text, mode=0o644)
        with pytest.raises(RuntimeError) as err:
            world.inside("node", world.build / "tipstaffd", "--check", "--config", path)
        assert why in str(err.value) and "secret" not in str(err.value)

    check("keep_alive: true", "url: is missing")
    check("url: ftp://a.b/", "must begin with http")
    check("url: https://user:secret@a.b/", "user or a password")
    check("url: https://a.b/", "ca_cert")
    check("url: http://a.b/, svid: spiffe://example.org/x", "https://")
    check("url: https://a.b/, server_id: spiffe://another.org/x", "trust domain")
    check("url: https://a.b/, insecure: true", "unknown key")
    check("url: http://a.b:0/", "port")
    check('url: "http://a.b/x y"', "printable")
