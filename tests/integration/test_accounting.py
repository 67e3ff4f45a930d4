# SPDX-License-Identifier: Apache-2.0
"""Every act is accounted for: what the programs that act say they did, against what the daemon says became of it."""

import hashlib
import os
import signal

from world import until

RULES = """
- rule: Counted
  desc: each open of the file
  condition: evt.type = openat and fd.name endswith /accounted
  output: "%evt.num"
  priority: Notice
"""
SETTINGS = {
    "limits": {"activity_ring_kib": 64},
    "alerts": {"queue": 100000},
    "drops": {"rate": 1000},
    "metrics": {"enabled": True, "interval": "1s"},
}
DROP = "Falco internal: syscall event drop"
SNAPSHOT = "Falco internal: metrics snapshot"


def account(daemon):
    """What became of acts, once nothing of it is under way."""

    def settled():
        a = daemon.status()["accounts"]["activity"]
        return a if a["waiting"] == 0 else None

    return until("the ring to be empty", settled, 20.0)


def delta(before, after):
    return {k: after[k] - before[k] for k in after if k not in ("tier", "waiting")}


def opens(daemon, run, path, times, stopped=False):
    """Acts it out; what became of it."""
    before = account(daemon)
    if stopped:
        os.kill(daemon.keeper_pid, signal.SIGSTOP)
    try:
        status, lines = run("opens", str(path), str(times), cgroup="x", timeout=30.0)
    finally:
        if stopped:
            os.kill(daemon.keeper_pid, signal.SIGCONT)
    assert status == 0 and lines[0]["opens"] == times
    return delta(before, account(daemon))


def balanced(d):
    assert d["generated"] == d["delivered"] + d["filtered"] + d["dropped"] + d["missed"], d


def reached(d):
    """Acts that got as far as the ring. What the kernel filters it counts before it knows the scope, so there are others'."""
    return d["delivered"] + d["dropped"]


def told(daemon):
    """Alerts of the rule, whether or not a sink took them."""
    return daemon.status()["alerts"]["by_priority"]["Notice"]


def test_every_act_is_delivered_when_there_is_room(world, daemon, run):
    path = world.file("accounted", text="x")
    own = reached(opens(daemon, run, path, 0))  # what a start of the program itself opens
    alerts = told(daemon)
    d = opens(daemon, run, path, 20)
    balanced(d)
    assert d["dropped"] == 0 and reached(d) == 20 + own
    until("their alerts", lambda: told(daemon) - alerts == 20)


def test_an_overrun_is_accounted_for_exactly(world, daemon, run):
    """The daemon is stopped while the ring fills up: what did not fit is the difference, to the last one."""
    path = world.file("accounted", text="x")
    own = reached(opens(daemon, run, path, 0))
    alerts, mark = told(daemon), daemon.alerts_mark()
    d = opens(daemon, run, path, 5000, stopped=True)
    balanced(d)
    assert reached(d) == 5000 + own
    assert 0 < d["dropped"] < 5000
    # What the program itself opened at its start came first, and found room.
    assert told(daemon) - alerts == 5000 - d["dropped"]
    alert = daemon.wait_alert(DROP, mark)
    fields = alert["output_fields"]
    assert alert["source"] == "internal" and alert["priority"] == "Debug" and "tags" not in alert
    assert all(isinstance(v, str) for k, v in fields.items() if k != "evt.time")
    assert int(fields["tipstaff.lost"]) == d["dropped"] == int(fields["n_drops_buffer_other_interest_exit"])
    assert int(fields["n_drops"]) == int(fields["n_drops_buffer_total"]) and fields["ebpf_enabled"] == "1"


def test_what_the_kernel_filters_is_accounted_for(world, daemon, run):
    path = world.file("unaccounted-for", text="x")
    own = reached(opens(daemon, run, path, 0))
    alerts = told(daemon)
    d = opens(daemon, run, path, 3000)
    balanced(d)
    assert d["filtered"] >= 3000 and d["dropped"] == 0 and reached(d) == own
    assert told(daemon) == alerts


def test_a_restart_takes_the_account_over(world, daemon, run):
    path = world.file("accounted", text="x")
    own = reached(opens(daemon, run, path, 0))
    before = account(daemon)
    daemon.stop()
    status, _ = run("opens", str(path), "30", cgroup="x")
    assert status == 0
    daemon.start()
    d = delta(before, account(daemon))
    balanced(d)
    assert d["dropped"] == 0 and reached(d) == 30 + own


def test_the_snapshot_tells_the_same(world, daemon, run):
    account(daemon)
    now = daemon.status()["accounts"]["activity"]
    alert = daemon.wait_alert(lambda a: a["rule"] == SNAPSHOT and a["output_fields"]["tipstaff.activity.generated"] >= now["generated"],
                              daemon.alerts_mark())
    fields = alert["output_fields"]
    assert alert["source"] == "internal" and alert["priority"] == "Informational" and "tags" not in alert
    assert fields["falco.rules.matches_total"] > 0 and fields["scap.n_drops"] > 0
    for kind, path in (("rules", daemon.rules_file), ("config", daemon.config_file)):
        assert fields[f"falco.sha256_{kind}_file.{path.name.replace('.', '_')}"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert fields["evt.source"] == "syscall" and fields["falco.memory_rss_mb"] > 1
    assert fields["tipstaff.activity.generated"] == sum(
        fields[f"tipstaff.activity.{k}"] for k in ("delivered", "waiting", "filtered", "dropped", "missed"))


def snapshot(daemon):
    """The fields of a snapshot that is raised from now on."""
    return daemon.wait_alert(SNAPSHOT, daemon.alerts_mark())["output_fields"]


def meminfo(name):
    with open("/proc/meminfo", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def test_the_snapshot_tells_of_the_host(world, daemon, run):
    """Under Falco's names, of the same files; when the rules were loaded; how often each matched."""
    path = world.file("accounted", text="x")
    opens(daemon, run, path, 3)
    before = snapshot(daemon)
    assert 0 < before["falco.host_memory_used_mb"] < meminfo("MemTotal") / 1024
    assert before["falco.host_open_fds"] > 0 and before["falco.host_procs_running"] > 0
    assert 0 <= before["falco.host_cpu_usage_perc"] <= 100 and before["falco.memory_pss_mb"] > 1
    assert before["falco.rules.Counted"] == next(r["matched"] for r in daemon.json("rules", "list")["rules"] if r["name"] == "Counted")
    assert before["falco.start_ts"] <= before["falco.reload_ts"] < before["evt.time"]
    assert before["falco.num_evts_prev"] <= before["falco.num_evts"]
    daemon.cli("rules", "reload")
    after = daemon.wait_alert(lambda a: a["rule"] == SNAPSHOT and a["output_fields"]["falco.reload_ts"] > before["falco.reload_ts"],
                              daemon.alerts_mark())["output_fields"]
    assert abs(after["falco.start_ts"] - before["falco.start_ts"]) < 10**8


def test_parts_of_the_snapshot_can_be_left_out(daemon):
    parts = {"rules_counters_enabled": "falco.rules.", "resource_utilization_enabled": "falco.host_memory",
             "state_counters_enabled": "falco.n_threads", "kernel_event_counters_enabled": "scap."}

    def there(fields):
        return {key for key, part in parts.items() if any(name.startswith(part) for name in fields)}

    full = snapshot(daemon)
    assert there(full) == set(parts) and "scap.n_drops_bug" not in full
    daemon.stop()
    daemon.settings["metrics"].update(dict.fromkeys(parts, False))
    daemon.start()
    try:
        assert there(snapshot(daemon)) == set()
        daemon.stop()
        for key in parts:
            del daemon.settings["metrics"][key]
        daemon.settings["metrics"].update(convert_memory_to_mb=False, include_empty_values=True)
        daemon.start()
        fields = snapshot(daemon)
        assert fields["falco.memory_rss_kb"] > 1024 and "falco.memory_rss_mb" not in fields
        assert fields["scap.n_drops_bug"] == 0 == fields["falco.rules.Counted"]
    finally:
        daemon.stop()
        for key in ("convert_memory_to_mb", "include_empty_values", *parts):
            daemon.settings["metrics"].pop(key, None)
        daemon.start()


def test_the_end_says_how_many_there_were(daemon):
    daemon.stop()
    log = daemon.log()
    assert "rule Counted: " in log and "severity Notice: " in log and "events detected: " in log
    daemon.start()
