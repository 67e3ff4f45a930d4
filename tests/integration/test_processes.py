# SPDX-License-Identifier: Apache-2.0
"""Two processes: what each may, and what happens when one of them dies."""

import os
import signal

from conftest import UID
from world import kernel, until

RULES = """
- rule: Beacon
  desc: the load of these tests
  condition: evt.type in (open, openat) and fd.name endswith /beacon
  output: beacon %fd.name by %proc.pid
  priority: Notice
"""


def test_front_has_no_power(daemon):
    status = kernel.proc_status(daemon.front_pid())
    uids = set(status["Uid"].split())
    assert len(uids) == 1 and uids != {"0"}
    assert len(set(status["Gid"].split())) == 1 and status["Gid"].split()[0] != "0"
    assert status["Groups"] == ""
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, f"{kind} is {status[kind]}"
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def test_front_user_is_named_in_the_log(daemon):
    front = daemon.status()["front"]
    assert front["uid"] == int(kernel.proc_status(daemon.front_pid())["Uid"].split()[0])
    assert front["user"] in ("tipstaff", "nobody")
    assert front["user"] in daemon.log()


def test_front_shares_no_layout_and_no_mounts(daemon):
    def first_mapping(pid):
        with open(f"/proc/{pid}/maps", encoding="ascii") as f:
            return f.readline().split("-")[0]

    keeper, front = daemon.keeper_pid, daemon.front_pid()
    assert first_mapping(keeper) != first_mapping(front), "the front must be re-executed"
    assert os.readlink(f"/proc/{keeper}/ns/mnt") != os.readlink(f"/proc/{front}/ns/mnt")


def test_front_holds_no_bpf(daemon):
    links = []
    for fd in os.listdir(f"/proc/{daemon.front_pid()}/fd"):
        try:
            links.append(os.readlink(f"/proc/{daemon.front_pid()}/fd/{fd}"))
        except FileNotFoundError:
            pass
    assert not [name for name in links if "bpf" in name], links


def test_keeper_has_only_what_it_uses(daemon):
    status = kernel.proc_status(daemon.keeper_pid)
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    everything = int(kernel.proc_status(os.getpid())["CapBnd"], 16)
    assert int(status["CapEff"], 16) != everything, "the keeper kept every capability"


def test_front_killed_under_load(daemon, world, need):
    """Detection goes on without a gap, and a new front serves."""
    beacon = world.file("beacon", text="x")
    frontend = need("frontend")
    serial = frontend.do("fetch")["serial"]
    mark = daemon.alerts_mark()
    load = world.spawn(
        ["/bin/bash", "-c", f"for i in $(seq 400); do : < {beacon}; done; echo done; read x"],
        cgroup="load", stdin="pipe")
    front = daemon.front_pid()
    until("the load to be seen", lambda: len(daemon.alerts(mark)) > 20)
    os.kill(front, signal.SIGKILL)

    def served():
        got = frontend.do("fetch")
        return got if got["ok"] else None

    got = until("a new front to serve", served, 5.0)
    assert got["serial"] == serial, "the new front lost the certificate"
    assert daemon.front_pid() != front
    assert load.line(20) == "done"
    until("every open of the load to be told",
          lambda: len([a for a in daemon.alerts(mark) if a["rule"] == "Beacon"
                       and a["output_fields"]["proc.pid"] == load.pid]) == 400, 10.0)
    assert daemon.status()["front"]["restarts"] >= 1


def test_keeper_killed_ends_the_front(daemon):
    front = daemon.front_pid()
    daemon.process.kill(signal.SIGKILL)
    until("the front to end", lambda: not kernel.alive(front), 3.0)
    daemon.process.wait()
    daemon.start()
    assert daemon.status()["adopted"]


def test_sigterm_ends_both_with_success(daemon):
    assert daemon.stop(signal.SIGTERM) == 0
    daemon.start()


def test_configured_front_user(world):
    d = world.daemon("user", front={"user": "games"})
    d.start()
    try:
        import pwd

        games = pwd.getpwnam("games")
        status = kernel.proc_status(d.front_pid())
        assert status["Uid"].split() == [str(games.pw_uid)] * 4
    finally:
        d.remove()


def test_memory_of_both_is_small(daemon, need):
    """Both together, libraries included: 20 MB."""
    need("frontend").do("fetch")
    need("backend").do("fetch")
    assert UID  # the workloads above are alive while it is read
    total = sum(int(kernel.proc_status(p)["VmRSS"].split()[0]) for p in (daemon.keeper_pid, daemon.front_pid()))
    assert total < 20 * 1024, f"{total} KiB"
