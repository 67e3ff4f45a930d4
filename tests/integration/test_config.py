# SPDX-License-Identifier: Apache-2.0
"""The configuration: what is wrong is refused with its place, before anything is touched."""

import json
import pathlib
import re
import subprocess

import pytest

from conftest import UID, entry, spiffe
from world import PATIENCE, CliError, until
from world.daemon import to_yaml

GOOD = """trust_domain: example.org
instance: {instance}
run_dir: {dir}/run
state_dir: {dir}/state
"""


def check(world, text):
    """`tipstaffd --check`: (exit status, what it said)."""
    path = world.file("checked.yaml", text=text, mode=0o644)
    done = subprocess.run([world.build / "tipstaffd", "--check", "--config", path], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20 * PATIENCE, check=False)
    return done.returncode, done.stdout


def good(world):
    return GOOD.format(instance=world.name, dir=world.dir)


def test_good_configuration_is_accepted(world):
    status, said = check(world, good(world))
    assert status == 0, said


def test_check_touches_nothing(world):
    check(world, good(world))
    assert not (world.dir / "run").exists() and not (world.dir / "state").exists()


@pytest.mark.parametrize("line, column, text, why", [
    (5, 1, "trust_domian: x\n", "trust_domian"),
    (6, 3, "scope:\n  cgroup: [/x]\n", "scope.cgroup"),
    (6, 3, "alerts:\n  sdtout: true\n", "alerts.sdtout"),
    (6, 11, "alerts:\n  stdout: perhaps\n", "alerts.stdout"),
    (6, 12, "scope:\n  cgroups: /x\n", "scope.cgroups"),
    (6, 13, "scope:\n  cgroups: [x]\n", "absolute"),
    (7, 15, "identity:\n  authority:\n    x509_ttl: soon\n", "x509_ttl"),
    (7, 15, "identity:\n  authority:\n    x509_ttl: 1s\n", "x509_ttl"),
    (5, 11, "require: [levitation]\n", "levitation"),
    (6, 11, "traffic:\n  files: [x.yaml]\n", "absolute"),
    (6, 12, "traffic:\n  records: openssl\n", "auto, kernel or user"),
    (5, 1, "instance: two\n", "instance"),
])
def test_wrong_keys_and_values_have_a_place(world, line, column, text, why):
    status, said = check(world, good(world) + text)
    assert status != 0 and why in said, said
    assert f"checked.yaml:{line}:{column}: " in said, said


@pytest.mark.parametrize("text, why", [
    ("trust_domain: Example.ORG\n", "trust_domain"),
    ("trust_domain: example.org\ninstance: ../x\n", "instance"),
    ("instance: x\n", "trust_domain"),
    ("trust_domain: [\n", "checked.yaml:"),
    ("", "checked.yaml"),
    ("- a\n", "checked.yaml:1:1"),
])
def test_wrong_files_are_refused(world, text, why):
    status, said = check(world, text)
    assert status != 0 and why in said, said


# A value for each key of Falco's, and what is said of it: None, it is taken as it is.
FALCO = {
    "config_files": ([], "the configuration is one file"),
    "watch_config_files": (True, "rules.watch"),
    "rules_files": (["/etc/falco/falco_rules.yaml"], "write rules.files"),
    "rules": ([], None),
    "engine": ({"kind": "modern_ebpf"}, "limits.activity_ring_kib"),
    "capture": ({"enabled": False, "path_prefix": "/tmp/falco"}, None),
    "load_plugins": ([], None),
    "plugins": ([{"name": "container"}], "there are no plugins"),
    "plugins_hostinfo": (True, "there are no plugins"),
    "time_format_iso_8601": (False, None),
    "buffer_format_base64": (False, None),
    "priority": ("debug", None),
    "json_output": (False, None),
    "json_include_output_property": (True, None),
    "json_include_message_property": (False, None),
    "json_include_output_fields_property": (True, None),
    "json_include_tags_property": (True, None),
    "buffered_outputs": (False, None),
    "rule_matching": ("first", None),
    "outputs_queue": ({"capacity": 1000}, None),
    "append_output": ([{"match": {"source": "syscall"}, "extra_output": "on %evt.hostname"}], None),
    "static_fields": ({"cluster": "west"}, None),
    "stdout_output": ({"enabled": True}, None),
    "syslog_output": ({"enabled": False}, None),
    "file_output": ({"enabled": False, "keep_alive": True, "filename": "/var/log/events.txt"}, None),
    "file_output.keep_alive": (False, "SIGUSR1"),
    "http_output": ({"enabled": False, "url": "", "user_agent": "falcosecurity/falco", "insecure": False, "ca_cert": "", "ca_bundle": "",
                     "mtls": False, "client_cert": "/etc/ssl/certs/client.crt", "client_key": "/etc/ssl/certs/client.key", "echo": False,
                     "compress_uploads": False, "keep_alive": False, "max_consecutive_timeouts": 5}, None),
    "http_output.insecure": (True, "is always checked"),
    "http_output.ca_path": ("/etc/ssl/certs", "write ca_cert"),
    "program_output": ({"enabled": True, "program": "cat"}, "alerts.program"),
    "webserver": ({"enabled": True, "listen_port": 8765}, "tipstaff status --json"),
    "log_stderr": (True, None),
    "log_syslog": (True, "goes to stderr"),
    "log_level": ("info", "write log.level"),
    "libs_logger": ({"enabled": True, "severity": "info"}, "write log.level"),
    "output_timeout": (2000, None),
    "syscall_event_timeouts": ({"max_consecutives": 1000}, "no such timeouts"),
    "syscall_event_drops": ({"threshold": 0.1, "actions": ["log", "alert"], "rate": 0.03333, "max_burst": 1, "simulate_drops": False}, None),
    "syscall_event_drops.simulate_drops": (True, "cannot be pretended"),
    "metrics": ({"enabled": True, "interval": "1h", "output_rule": True, "output_file": "", "rules_counters_enabled": True,
                 "resource_utilization_enabled": True, "state_counters_enabled": True, "kernel_event_counters_enabled": True,
                 "kernel_event_counters_per_cpu_enabled": False, "libbpf_stats_enabled": False, "plugins_metrics_enabled": False,
                 "kernel_iter_event_counters_enabled": False, "jemalloc_stats_enabled": False, "convert_memory_to_mb": True,
                 "include_empty_values": False}, None),
    "metrics.output_rule": (False, "the snapshot is an alert"),
    "metrics.output_file": ("/tmp/falco_stats.jsonl", "alerts.file"),
    "metrics.kernel_event_counters_per_cpu_enabled": (True, "single CPUs"),
    "metrics.libbpf_stats_enabled": (True, "bpftool prog"),
    "metrics.plugins_metrics_enabled": (True, "there are no plugins"),
    "metrics.kernel_iter_event_counters_enabled": (True, "no such events"),
    "metrics.jemalloc_stats_enabled": (True, "no such allocator"),
    "base_syscalls": ({"custom_set": [], "repair": False, "all": False}, "follows from the rules"),
    "falco_libs": ({"snaplen": 80}, "limits.processes"),
}


@pytest.mark.parametrize("key", FALCO)
def test_falcos_keys_are_taken_or_said_to_be_another(world, key):
    """No key of a falco.yaml is unknown: what is not taken has its place, and what to write instead, and is in the documentation."""
    value, instead = FALCO[key]
    top, _, below = key.partition(".")
    status, said = check(world, good(world) + to_yaml({top: {below: value} if below else value}))
    table = (pathlib.Path(__file__).parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8").split("## Falco's switches")[1]
    assert re.search(rf"`{top}[`.]", table) or top.startswith("json_include_"), key
    if instead is None:
        assert status == 0, said
    else:
        line, column = (6, 3) if below else (5, 1)
        assert status != 0 and f"checked.yaml:{line}:{column}: {key}: is Falco's, and not here: " in said and instead in said, said
        assert not below or f"`{below}`" in table


def test_missing_file_is_named(world):
    done = subprocess.run([world.build / "tipstaffd", "--check", "--config", "/nowhere/x.yaml"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20 * PATIENCE, check=False)
    assert done.returncode != 0 and "/nowhere/x.yaml" in done.stdout


def test_bad_rules_and_entries_are_found_by_check(world):
    rules = world.file("bad-rules.yaml", text="- rule: A\n  desc: d\n  condition: no.field = 1\n  output: o\n  priority: Info\n")
    status, said = check(world, good(world) + to_yaml({"rules": {"files": [str(rules)]}}))
    assert status != 0 and "bad-rules.yaml:3:" in said, said
    entries = world.file("bad-entries.yaml", text="- spiffe_id: spiffe://example.org/x\n  selectors: [unix:shoe:1]\n")
    status, said = check(world, good(world) + to_yaml({"identity": {"entries": [str(entries)]}}))
    assert status != 0 and "bad-entries.yaml:2:" in said, said


def test_a_bad_configuration_stops_the_start(world):
    d = world.daemon("bad", nonsense=1)
    d.start(wait=False)
    assert d.process.wait(10) != 0
    assert "nonsense" in d.log() and "tipstaff.yaml:" in d.log()
    assert not d.pins.exists() and not d.control_socket.exists()


def test_capabilities_are_told_without_a_daemon(world, daemon):
    """What the marks of these tests go by is what a daemon found when it started."""
    pins = sorted(daemon.pins.rglob("*"))
    for options, read in ((["--json"], json.loads), ([], str)):
        done = subprocess.run([world.build / "tipstaffd", "--capabilities", *options], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True, timeout=20 * PATIENCE, check=False)
        assert done.returncode == 0
        told = read(done.stdout)
        for capability in daemon.status()["capabilities"]:
            if options:
                there = next(c for c in told["capabilities"] if c["name"] == capability["name"])
                assert there["works"] == capability["works"], there
            else:
                assert f'\n{capability["name"]:14}  {"yes" if capability["works"] else "no":3}  ' in told
    assert sorted(daemon.pins.rglob("*")) == pins


def test_what_is_missing_and_what_follows_is_said(daemon):
    """Whatever this kernel is: what enforcement and mTLS would use is either there or named, in status and in the log."""
    status = daemon.status()
    works = {c["name"]: c["works"] for c in status["capabilities"]}
    lacks = {entry["capability"]: entry for entry in status["lacks"]}
    assert not any(works[name] for name in lacks)
    assert ("lsm" in lacks) == (not works["lsm"])
    assert ("fentry" in lacks) == (not works["fentry"] and daemon.settings.get("sensing") != "syscalls")
    assert "ktls" not in lacks, "nothing here asks for it"
    for name, entry in lacks.items():
        assert f"this kernel has no {name} ({entry['detail']}): {entry['follows']}" in daemon.log()
        assert f"{name}: {entry['follows']}" in daemon.cli("status")
    assert ("What is missing here" in daemon.cli("status")) == bool(lacks)


def test_required_capability_that_is_missing_stops_the_start(world, daemon):
    missing = [c["name"] for c in daemon.status()["capabilities"] if not c["works"]]
    if not missing:
        pytest.skip("this kernel has everything")
    d = world.daemon("require", require=[missing[0]])
    d.start(wait=False)
    assert d.process.wait(15) != 0
    assert missing[0] in d.log()
    assert not d.pins.exists()


def test_required_capability_that_is_there_does_not(world, daemon):
    there = [c["name"] for c in daemon.status()["capabilities"] if c["works"]]
    d = world.daemon("required", require=there)
    d.start()
    d.remove()


def test_sensing_that_this_kernel_cannot_do_stops_the_start(world, daemon):
    """Where fentry works `sensing: kernel` is what it says, and auto takes it; where it does not, the daemon refuses rather
    than be weaker, and auto senses at system calls."""
    fentry = next(c for c in daemon.status()["capabilities"] if c["name"] == "fentry")
    if "sensing" not in daemon.settings:
        by_itself = {t["concern"]: t["tier"] for t in daemon.status()["tiers"]}["sensing"]
        assert by_itself == ("fexit" if fentry["works"] else "sys_exit")
    d = world.daemon("sensing", scope_cgroup="sensing", sensing="kernel")
    if fentry["works"]:
        d.start()
        assert {t["concern"]: t["tier"] for t in d.status()["tiers"]}["sensing"] == "fexit"
        d.remove()
        return
    d.start(wait=False)
    assert d.process.wait(15) != 0
    assert "sensing: kernel needs fentry" in d.log() and fentry["detail"] in d.log()
    assert not d.pins.exists()


def test_scope_that_does_not_exist_is_an_error(world):
    d = world.daemon("noscope", scope={"cgroups": ["/no/such/cgroup"]})
    d.start(wait=False)
    assert d.process.wait(15) != 0
    assert "/no/such/cgroup" in d.log()
    assert not d.pins.exists()


def test_alert_stream_on_stdout_is_json_lines(world):
    path = world.file("stdout-mark", text="x")
    rules = ("- rule: Out\n  desc: d\n  condition: evt.type in (open, openat) and fd.name endswith /stdout-mark\n"
             "  output: out %fd.name\n  priority: Info\n")
    d = world.daemon("stdout", rules=rules, alerts={"stdout": True})
    d.start()
    try:
        world.spawn(["/bin/cat", path], cgroup="x", scope=d.scope_cgroup).wait()
        d.wait_alert("Out")
        line = until("the alert on stdout", lambda: next(
            (x for x in d.log().splitlines() if x.startswith("{") and '"Out"' in x), None))
        assert json.loads(line) == d.wait_alert("Out"), "the same line as in the file"
    finally:
        d.remove()


def test_enforcement_off_enforces_nothing(world, listener):
    d = world.daemon("lenient", entries=[entry(world, "frontend", scope="lenient")], enforcement=False)
    d.start()
    try:
        p = world.workload("frontend", daemon=d, uid=UID["frontend"], place="client")
        assert p.do("fetch")["ok"]
        with pytest.raises(CliError) as err:
            d.cli("quarantine", spiffe("frontend"), "--reason", "x")
        assert "enforcement is off" in err.value.text, "half a quarantine would be a lie"
        assert p.do("connect", host=listener[0], port=listener[1])["errno"] == "ok"
        assert p.do("fetch")["ok"]
        assert d.status()["enforcement"] in (False, "off")
        p.close()
    finally:
        d.remove()


def test_more_enforcing_rules_than_the_kernel_holds_are_found_by_check(world):
    rules = world.file("many.yaml", text=to_yaml([
        {"rule": f"rule {n}", "desc": "d", "output": "o", "priority": "WARNING", "action": "deny",
         "condition": f"evt.type in (open, openat, openat2) and fd.path.real = /etc/key{n}"}
        for n in range(257)]))
    status, said = check(world, good(world) + to_yaml({"rules": {"files": [str(rules)]}}))
    assert status != 0 and "many.yaml:" in said and "256 rules with an action" in said, said
