# SPDX-License-Identifier: Apache-2.0
"""The shipped rules against the attack generator: each act is told by its rule and by no other, its innocent neighbour by none.

All rules are asked about each event (`matching: all`), so that one that fires beside another is seen. That nothing more comes is
known from a file whose opening is told: it is opened after the act.
"""

import json
import os
import pathlib
import re
import subprocess
import textwrap

import pytest

from conftest import UID, spiffe
from world import ROOT, until


BUILD = pathlib.Path(os.environ.get("BUILD", "build"))
ATTACK = BUILD / "attack" if BUILD.is_absolute() else ROOT / BUILD / "attack"
SHIPPED = ROOT / "rules"
WORKLOAD = spiffe("attacked")

# Of MITRE ATT&CK for enterprise.
TACTICS = {
    "initial_access", "execution", "persistence", "privilege_escalation", "defense_evasion", "credential_access", "discovery",
    "lateral_movement", "collection", "command_and_control", "exfiltration", "impact",
}

# Acted out where two workloads speak with each other: test_fields_mtls.py.
ELSEWHERE = {"Workload speaks to a peer that it never had": ["T1550"]}

RULES = """
- rule: The end of the act
  desc: what was acted out before is told before
  condition: evt.type in (open, openat) and fd.name endswith /the-end-of-the-act and evt.is_open_read = true
  output: end of %fd.name
  priority: Debug
"""


@pytest.fixture(scope="module")
def daemon(world):
    # The workload of the acts; what it starts has another path, and no identity.
    d = world.daemon(entries=[{"spiffe_id": WORKLOAD, "selectors": ["unix:path:/opt/attack/workload"]}],
                     rules=textwrap.dedent(RULES))
    d.settings["rules"] = {"files": [str(SHIPPED), str(d.rules_file)], "matching": "all"}
    return d.start()


def acts():
    done = subprocess.run([ATTACK, "list", "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)["acts"]


ACTS = acts()


@pytest.fixture(scope="module")
def shipped(daemon):
    """The shipped rules as the daemon has loaded them, by name."""
    return {r["name"]: r for r in daemon.json("rules", "list")["rules"] if r["file"].startswith(str(SHIPPED))}


@pytest.fixture
def play(world, daemon, shipped):
    """Runs an act; the alerts of shipped rules that came of it."""
    end = world.file("the-end-of-the-act", text="x", mode=0o644)

    def go(act, *args, awaited=None):
        mark = daemon.alerts_mark()
        # It is held until all is told: the path of a cgroup that is gone is known to nobody.
        p = world.spawn([ATTACK, "run", act["name"], "--hold", *args], cgroup="attacked", stdin="pipe",
                        env={"SPIFFE_ENDPOINT_SOCKET": f"unix://{daemon.workload_socket}"})
        said = p.line(90.0)
        assert said and said.startswith(f"done    {act['name']}"), said
        assert world.spawn(["/bin/cat", end], cgroup="attacked").wait() == 0
        daemon.wait_alert("The end of the act", mark)
        # Another processor's events, or those of a container that is asked about, may be told after it.
        if awaited:
            daemon.wait_alert(awaited, mark)
        p.send("")
        assert p.wait() == 0
        return [a for a in daemon.told(mark) if a["rule"] in shipped]

    return go


@pytest.fixture
def quarantined(daemon):
    """Puts the workload into quarantine for a test that wants it."""
    held = []

    def hold():
        daemon.cli("quarantine", WORKLOAD, "--reason", "an act needs it")
        held.append(WORKLOAD)

    yield hold
    for name in held:
        daemon.cli("release", name)


@pytest.mark.kernel
@pytest.mark.parametrize("act", ACTS, ids=lambda a: a["name"])
def test_act_is_told_by_its_rule_alone(act, play, quarantined):
    if "quarantine" in act["needs"]:
        quarantined()
    alerts = play(act, awaited=act["rule"])
    assert {a["rule"] for a in alerts} == {act["rule"]}, [a["output"] for a in alerts]
    shown = [a["output_fields"] for a in alerts]
    for field, text in act["shows"].items():
        assert any(text in str(fields.get(field)) for fields in shown), (field, text, shown)


@pytest.mark.parametrize("act", ACTS, ids=lambda a: a["name"])
def test_innocent_neighbour_is_told_by_none(act, play):
    alerts = play(act, "--innocent")
    assert not alerts, [a["output"] for a in alerts]


def test_every_rule_has_an_act_a_tactic_and_a_technique(shipped):
    by_rule = dict(ELSEWHERE)
    for act in ACTS:
        by_rule.setdefault(act["rule"], []).append(act["technique"])
    assert sorted(by_rule) == sorted(shipped)
    for name, rule in shipped.items():
        tactics = {t.removeprefix("mitre_") for t in rule["tags"] if t.startswith("mitre_")}
        techniques = {t for t in rule["tags"] if re.fullmatch(r"T\d{4}(\.\d{3})?", t)}
        assert tactics and tactics <= TACTICS, (name, rule["tags"])
        assert techniques and set(by_rule[name]) <= techniques, (name, techniques, by_rule[name])
        assert rule["action"] == "none", f"{name}: what is shipped enforces nothing"


def test_the_page_has_a_row_for_each_act():
    page = (ROOT / "docs" / "attack.md").read_text(encoding="utf-8")
    rows = [f"| {a['rule']} | {a['technique']} | `{a['name']}` | {a['does']} |" for a in ACTS]
    missing = [r for r in rows if r not in page.splitlines()]
    assert not missing, "docs/attack.md lacks:\n" + "\n".join(missing)
    assert page.count("\n| ") == len(rows) + 1, "docs/attack.md has a row for an act that is not there"


def test_shipped_rules_load_without_a_warning(daemon):
    for path in sorted(SHIPPED.glob("*.yaml")):
        said = daemon.json("rules", "validate", path)["falco_load_results"][0]
        assert said["successful"] and said["schema_valid"] and not said["warnings"], said


def test_without_root_acts_are_skipped_with_the_reason(world):
    p = world.spawn([world.file("attack", ATTACK), "run", "all"], cgroup="attacked", uid=UID["other"])
    assert p.wait(60.0) == 0, p.text()
    for act in ACTS:
        said = next(line for line in p.output if line.split()[1].rstrip(":") == act["name"])
        assert said == (f"skipped {act['name']}: needs root" if "root" in act["needs"] else f"done    {act['name']}")


def test_nothing_of_an_act_stays(world, daemon, play):
    """Neither a file, nor a mount, nor a cgroup, nor a process."""
    def mounts():
        """But for those of other worlds, which come and go beside this one."""
        lines = pathlib.Path("/proc/self/mountinfo").read_text(encoding="ascii").splitlines()
        return [line for line in lines if world.name in line or not any(x in line for x in ("/run/netns", "/tmp/tipstaff-"))]

    before = mounts()
    folder = world.cgroup_dir("work/attacked")
    play(next(a for a in ACTS if a["name"] == "container-terminal"))
    play(next(a for a in ACTS if a["name"] == "write-program-folder"))
    assert mounts() == before
    assert not [p for p in folder.iterdir() if p.is_dir()]
    until("its processes to be gone", lambda: not (folder / "cgroup.procs").read_text(encoding="ascii"))
    assert not os.path.exists("/opt/attack") and not os.path.exists("/usr/local/bin/updater")


@pytest.mark.parametrize("args, said", [
    ([], "usage: attack list"),
    (["run"], "run takes names of acts, or all"),
    (["run", "nothing-such"], 'there is no act "nothing-such"'),
    (["list", "--yaml"], "list takes --json"),
])
def test_wrong_usage_is_told(args, said):
    done = subprocess.run([ATTACK, *args], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2 and said in done.stderr
