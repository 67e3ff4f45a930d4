# SPDX-License-Identifier: Apache-2.0
"""What a security review found: each of these was a way in, out or around."""

import json
import os
import signal
import time

import pytest
from conftest import UID, entry, resolved, spiffe
from world import until

pytestmark = pytest.mark.kernel

# Told to, fills the process table with children, then connects from one that found no place. argv: children, address, port
FILL = """
import errno, os, signal, socket, sys, time
def attempt():
    try:
        socket.create_connection((sys.argv[2], int(sys.argv[3])), 2).close()
        return "connected"
    except OSError as err:
        return errno.errorcode[err.errno]
input()
children = []
for _ in range(int(sys.argv[1])):
    pid = os.fork()
    if not pid:
        signal.pause()
        os._exit(0)
    children.append(pid)
print("parent", attempt(), flush=True)
last = os.fork()
if not last:
    print("child", attempt(), flush=True)
    os._exit(0)
os.waitpid(last, 0)
for pid in children:
    os.kill(pid, signal.SIGKILL)
"""

# Told to, connects, leaves the connection to a child and ends. The child says so, and asks when it is told to.
# argv: socket, request
LEAVE = """
import os, socket, sys
input()
s = socket.socket(socket.AF_UNIX)
(ended, end), (over, alive) = os.pipe(), os.pipe()
if not os.fork():
    s.connect(sys.argv[1])
    if os.fork():
        os._exit(0)
    os.read(ended, 1)
    print("left", flush=True)
    input()
    answer = b""
    try:
        s.sendall(sys.argv[2].encode() + b"\\n")
    except BrokenPipeError:
        pass
    try:
        while chunk := s.recv(65536):
            answer += chunk
    except ConnectionResetError:
        pass
    print(answer.decode() or "{}", flush=True)
    os._exit(0)
os.wait()
os.write(end, b"x")
os.close(alive)
os.read(over, 1)
"""

# Told to, sends datagrams for some seconds. argv: seconds
TRY = """
import socket, sys, time
input()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end, refused = time.monotonic() + float(sys.argv[1]), 0
while time.monotonic() < end:
    try:
        s.sendto(b"x", ("127.0.0.1", 9))
    except PermissionError:
        refused += 1
print(refused, flush=True)
"""

# Opens connections to a socket and holds them until it is told to let go. argv: socket, how many
HOLD = """
import socket, sys
held = []
for _ in range(int(sys.argv[2])):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    held.append(s)
print("connected", flush=True)
input()
"""

RULES = """
- rule: marked
  desc: a file that only the test opens
  condition: evt.type in (open, openat) and fd.name endswith /marked
  output: marked file opened by %proc.name
  priority: NOTICE
"""

SETTINGS = {"limits": {"processes": 1024}}


def python(world, code, *args, **kwargs):
    return world.spawn(["/usr/bin/python3", "-u", "-c", code, *map(str, args)], **kwargs)


@pytest.fixture
def quarantined(world, daemon):
    """Runs a program under an identity that is quarantined meanwhile: afterwards BPF LSM would refuse its exec."""
    def run(code, *args):
        p = python(world, code, *args, cgroup="frontend", uid=UID["frontend"], stdin="pipe")
        resolved(daemon, p.pid)
        daemon.cli("quarantine", spiffe("frontend"), "--reason", "test")
        p.send("go")
        return p

    yield run
    daemon.cli("release", spiffe("frontend"))


def test_a_full_table_is_no_way_out(daemon, quarantined, listener):
    before = daemon.status()["events"]["procs_full"]
    p = quarantined(FILL, 1100, *listener)
    p.wait(60)
    assert daemon.status()["events"]["procs_full"] > before, "the table did not become full: " + p.text()
    assert p.text().split() == ["parent", "EPERM", "child", "EPERM"]


def test_refusals_do_not_drown_other_alerts(world, daemon, quarantined):
    mark = daemon.alerts_mark()
    marked = world.file("marked", text="x", mode=0o644)
    p = quarantined(TRY, 3)
    for _ in range(10):
        world.spawn(["/bin/cat", marked], cgroup="backend", uid=UID["backend"]).wait()
        time.sleep(0.1)
    p.wait()
    assert int(p.text()) > 1000, "too few to drown anything"
    until("all ten", lambda: sum(a["rule"] == "marked" for a in daemon.alerts(mark)) == 10)
    told = sum(a["rule"] == "Quarantined workload refused" for a in daemon.alerts(mark))
    assert 0 < told <= 6 * 20


@pytest.mark.parametrize("where", ["in scope", "out of scope"])
def test_whoever_connected_must_still_live(world, daemon, where):
    """A busy daemon looks at the caller late: one that has ended may have been inside a container."""
    request = json.dumps({"version": daemon.status()["version"], "method": "status", "params": {}})
    group = f"docker-{'cd' * 32}.scope"
    p = python(world, LEAVE, daemon.control_socket, request, cgroup=group if where == "in scope" else f"../{group}", stdin="pipe")
    os.kill(daemon.keeper_pid, signal.SIGSTOP)
    try:
        p.send("connect")
        assert p.line() == "left"
    finally:
        os.kill(daemon.keeper_pid, signal.SIGCONT)
    p.send("ask")
    assert "result" not in json.loads(p.line())
    p.wait()


def test_a_front_that_hangs_is_replaced(daemon, need):
    assert need("frontend").do("fetch")["ok"]
    front = daemon.front_pid()
    os.kill(front, signal.SIGSTOP)
    until("another front", lambda: daemon.front_pid() not in (front, None), 30)
    until("it to serve", lambda: daemon.status()["front"]["running"], 10)
    assert need("frontend").do("fetch")["ok"]


def test_started_without_standard_descriptors(world):
    """Otherwise the first sockets would be standard error, and log lines go into them."""
    d = world.daemon("closed", entries=[entry(world, "frontend")])
    d.wrap = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    d.start()
    assert [os.readlink(f"/proc/{pid}/fd/{fd}") for pid in (d.keeper_pid, d.front_pid()) for fd in range(3)] == ["/dev/null"] * 6


def test_folders_of_others_are_refused(world):
    d = world.daemon("folders", entries=[entry(world, "frontend")])
    d.run_dir.mkdir()
    for folder, mode, owner in ((d.state_dir, 0o777, 0), (d.run_dir, 0o775, 0), (d.run_dir, 0o755, UID["other"])):
        os.chown(folder, owner, owner)
        os.chmod(folder, mode)
        with pytest.raises(SystemError, match="root owns"):
            d.start()
        os.chown(folder, 0, 0)
        os.chmod(folder, 0o700 if folder == d.state_dir else 0o755)
    d.start()
    d.stop()


def test_fewer_descriptors_than_connections(world):
    """A descriptor that the front has no room for would break the link, and every stream with it."""
    d = world.daemon("few", entries=[entry(world, "frontend")])
    d.wrap = ["prlimit", "--nofile=200:200"]
    d.start()
    front = d.front_pid()
    held = [python(world, HOLD, d.workload_socket, 100, cgroup="rogue", uid=UID["rogue"] + i, stdin="pipe") for i in range(3)]
    for p in held:
        assert p.line() == "connected"
    until("connections to be counted", lambda: d.status()["identity"]["connections"] >= 100)
    for p in held:
        p.send("go")
        p.wait()
    assert d.front_pid() == front and "RLIMIT_NOFILE" in d.log()
    d.stop()
