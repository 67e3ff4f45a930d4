# SPDX-License-Identifier: Apache-2.0
"""The configuration: what is wrong is refused with its place, before anything is touched."""

import json
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
