# SPDX-License-Identifier: Apache-2.0
"""Traffic policies from files and by CLI: what is in force, what is refused, what is explained."""

import os
import signal
import subprocess

import pytest

from conftest import spiffe
from world import CliError, until
from world.daemon import to_yaml


def policy(name, cidr="10.0.2.0/24", port=8080, **more):
    return {"name": name, "to": [{"cidr": cidr, "port": port}],
            "server": [spiffe("orders")], "clients": [spiffe("frontend")], **more}


def names(d):
    return [p["name"] for p in d.json("policy", "list")["policies"]]


def applied(world, d, policies, name="mine", *more):
    path = world.file("applied.yaml", text=to_yaml(policies), mode=0o644)
    return d.json("policy", "apply", path, "--name", name, *more)


def explained(d, who, where):
    e = d.json("policy", "explain", who, where)
    return e["verdict"], e["cause"], e["policy"]


TRAFFIC = [policy("from-file")]


@pytest.fixture(autouse=True)
def as_it_was(daemon):
    """Tests share the daemon: each leaves it with the policy of its file."""
    yield
    daemon.write_traffic(TRAFFIC)
    for name in {p["set"] for p in daemon.json("policy", "list")["policies"] if p["set"]}:
        daemon.cli("policy", "remove", name)
    os.kill(daemon.keeper_pid, signal.SIGHUP)
    until("the policy of the file", lambda: names(daemon) == ["from-file"])


def test_files_and_sets_hold_in_order_and_survive(world, daemon):
    assert names(daemon) == ["from-file"]
    result = applied(world, daemon, [policy("a", port=81), policy("b", port=82)])
    assert result["set"] == "mine" and result["policies"] == ["a", "b"]
    applied(world, daemon, [policy("short", port=83)], "gone", "--ephemeral")
    listed = {p["name"]: p for p in daemon.json("policy", "list")["policies"]}
    assert list(listed) == ["from-file", "a", "b", "short"]
    assert listed["from-file"]["set"] is None and listed["from-file"]["file"] == str(daemon.traffic_file)
    assert listed["a"]["set"] == "mine" and listed["a"]["to"] == [{"cidr": "10.0.2.0/24", "port": "81"}]
    daemon.restart()
    assert names(daemon) == ["from-file", "a", "b"]
    with pytest.raises(CliError, match="with 1 others"):
        daemon.cli("policy", "remove", "a")
    with pytest.raises(CliError, match="comes from a file"):
        daemon.cli("policy", "remove", "from-file")
    assert daemon.json("policy", "remove", "mine") == {"set": "mine", "policies": ["a", "b"]}
    daemon.restart()
    assert names(daemon) == ["from-file"]


def test_what_is_wrong_is_refused_whole_with_its_place(world, daemon):
    for policies, why in [
        ([policy("a"), policy("b", cidr="10.0.2.1/24")], r"applied\.yaml:\d+:\d+: .*host bits"),
        ([policy("from-file", port=1)], r"applied\.yaml:1:\d+: .*already"),
        ([policy("c", mode="disable")], r"applied\.yaml:\d+:\d+: policy from-file says something else"),
        ([policy("d", clients=[])], r"applied\.yaml:\d+:\d+: at least one"),
    ]:
        with pytest.raises(CliError, match=why):
            applied(world, daemon, policies)
        assert names(daemon) == ["from-file"]
    assert not (daemon.state_dir / "traffic.d" / "mine.yaml").exists()


def test_sighup_reads_the_files_anew(world, daemon):
    mark = daemon.alerts_mark()
    daemon.write_traffic([policy("other")])
    os.kill(daemon.keeper_pid, signal.SIGHUP)
    until("the new policies", lambda: names(daemon) == ["other"])
    assert daemon.wait_alert("Traffic policies changed", mark)["output_fields"]["tipstaff.by"] == "SIGHUP"
    daemon.write_traffic([{"name": "broken"}])
    os.kill(daemon.keeper_pid, signal.SIGHUP)
    until("the refusal", lambda: "the old policies stay" in daemon.log())
    assert names(daemon) == ["other"]


def test_explain_says_which_line_decides(world, daemon):
    applied(world, daemon, [policy("host", cidr="10.0.2.7/32", mode="disable"), policy("six", cidr="fd00:2::/64")])
    assert explained(daemon, spiffe("frontend"), "10.0.2.1:8080") == ("mtls", "allowed", "from-file")
    assert explained(daemon, spiffe("other"), "10.0.2.1:8080") == ("deny", "client-unlisted", "from-file")
    assert explained(daemon, "none", "10.0.2.1:8080") == ("deny", "no-identity", "from-file")
    assert explained(daemon, "none", "10.0.2.1:8081") == ("plain", "uncovered", None)
    assert explained(daemon, "none", "10.0.2.7:8080") == ("plain", "disabled", "host")
    e = daemon.json("policy", "explain", spiffe("frontend"), "10.0.2.7:8080")
    assert [c["policy"] for c in e["candidates"]] == ["host", "from-file"] and not e["notes"]
    e = daemon.json("policy", "explain", spiffe("frontend"), "[fd00:2::1]:8080")
    assert e["policy"] == "six" and "EPERM" in e["notes"][0]
    assert "decided by  host" in daemon.cli("policy", "explain", "none", "10.0.2.7:8080")
    with pytest.raises(CliError, match="no destination"):
        daemon.cli("policy", "explain", "none", "10.0.2.7")


def test_what_will_not_be_had_is_said(world, daemon):
    result = applied(world, daemon, [policy("six", cidr="fd00:2::/64"), policy("far", port=9, server=["spiffe://far.org/x"])])
    assert len(result["notes"]) == 2
    assert "IPv6" in result["notes"][0] and "far.org" in result["notes"][1]


def test_a_change_is_an_alert(world, daemon):
    mark = daemon.alerts_mark()
    applied(world, daemon, [policy("a", port=81)])
    # The file may just be read again, after the test before.
    daemon.wait_alert(lambda a: a["rule"] == "Traffic policies changed" and a["output_fields"].get("tipstaff.set") == "mine", mark)


def test_without_traffic_in_the_configuration_no_policy_is_taken(world):
    d = world.daemon("plain").start()
    assert names(d) == [] and "traffic.files" in d.json("policy", "list")["notes"][0]
    with pytest.raises(CliError, match=r"traffic\.files"):
        applied(world, d, [policy("a")])
    assert names(d) == []


def test_validate_and_check_need_no_daemon(world):
    good = world.file("good-traffic.yaml", text=to_yaml([policy("a")]), mode=0o644)
    bad = world.file("bad-traffic.yaml", text=to_yaml([policy("a", port=81)]), mode=0o644)

    def run(*args):
        return subprocess.run([str(a) for a in args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=20, check=False)

    done = run(world.build / "tipstaff", "policy", "validate", good)
    assert done.returncode == 0 and "Ok" in done.stdout
    done = run(world.build / "tipstaff", "policy", "validate", good, bad)
    assert done.returncode == 1 and "bad-traffic.yaml:1:" in done.stdout, done.stdout
    config = {"trust_domain": "example.org", "instance": world.name, "run_dir": str(world.dir / "run"),
              "state_dir": str(world.dir / "state"), "traffic": {"files": [str(good), str(bad)]}}
    path = world.file("checked.yaml", text=to_yaml(config), mode=0o644)
    done = run(world.build / "tipstaffd", "--check", "--config", path)
    assert done.returncode == 1 and "bad-traffic.yaml:1:" in done.stdout, done.stdout
    config["traffic"]["files"] = [str(good)]
    path = world.file("checked.yaml", text=to_yaml(config), mode=0o644)
    done = run(world.build / "tipstaffd", "--check", "--config", path)
    assert done.returncode == 0 and "1 traffic policies" in done.stdout, done.stdout
