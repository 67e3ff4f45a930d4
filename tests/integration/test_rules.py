# SPDX-License-Identifier: Apache-2.0
"""Rules: live, refused when wrong, and those that kill."""

import json
import subprocess
from pathlib import Path

import pytest

from conftest import UID, spiffe
from tiers import capabilities
from world import CliError, until

RULE_FILES = Path(__file__).resolve().parents[1] / "rules"

RULES = """
- rule: Configured
  desc: in the configured file
  condition: evt.type in (open, openat) and fd.name endswith /rules-configured
  output: configured %fd.name
  priority: Warning
  tags: [one, two]
"""

ADDED = """
- rule: Added
  desc: by the CLI
  condition: evt.type in (open, openat) and fd.name endswith /rules-added
  output: added %fd.name by %proc.name
  priority: Notice
"""


def kill_rule(path, who, action="kill", name="Guarded", how="="):
    return f"""
- rule: {name}
  desc: nobody of {who} opens it
  condition: evt.type in (open, openat, openat2) and fd.path.real {how} {path} and {who}
  output: guarded file %fd.path.real opened by %proc.name
  priority: Critical
  action: {action}
"""


def names(daemon):
    return [r["name"] for r in daemon.json("rules", "list")["rules"]]


def touch(world, daemon, run, name):
    """Opens a file; a mark from before."""
    path = world.file(name, text="x")
    mark = daemon.alerts_mark()
    status, lines = run("syscalls", "openat", str(path), cgroup="x")
    assert status == 0 and lines[0]["result"] == 0
    return mark


def add(world, daemon, name, text, *more):
    return daemon.json("rules", "add", world.file(f"{name}.yaml", text=text, mode=0o644), *more)


def test_configured_rule_works_and_is_listed(world, daemon, run):
    mark = touch(world, daemon, run, "rules-configured")
    assert daemon.wait_alert("Configured", mark)["tags"] == ["one", "two"]
    rule = next(r for r in daemon.json("rules", "list")["rules"] if r["name"] == "Configured")
    assert rule["file"] == str(daemon.rules_file) and rule["line"] == 2
    assert rule["set"] is None and rule["enabled"] and rule["priority"] == "Warning"


def test_rate_limit_holds_back_and_counts(world, daemon, run):
    limited = ADDED.replace("- rule: Added", "- rule: Limited") + "  rate_limit: {per_second: 0.001, max_burst: 2}\n"
    add(world, daemon, "limited", limited)
    mark = daemon.alerts_mark()
    for _ in range(5):
        touch(world, daemon, run, "rules-added")

    def of():
        return next(r for r in daemon.json("rules", "list")["rules"] if r["name"] == "Limited")
    until("five matches", lambda: of()["matched"] == 5)
    assert of()["suppressed"] == 3
    assert of()["rate_limit"] == {"per_second": 0.001, "max_burst": 2}
    assert daemon.status()["rules"]["suppressed"] == 3
    assert len([a for a in daemon.told(mark) if a["rule"] == "Limited"]) == 2
    # A reload does not open the gate again.
    daemon.cli("rules", "reload")
    touch(world, daemon, run, "rules-added")
    until("one more", lambda: of()["matched"] == 6)
    assert of()["suppressed"] == 4
    daemon.cli("rules", "remove", "limited")


def test_add_works_at_once_and_remove_too(world, daemon, run):
    added = add(world, daemon, "added", ADDED)
    assert added["rules"] == ["Added"] and added["set"] == "added"
    mark = touch(world, daemon, run, "rules-added")
    daemon.wait_alert("Added", mark)
    daemon.cli("rules", "remove", "added")
    assert "Added" not in names(daemon)
    mark = touch(world, daemon, run, "rules-added")
    # Proof that it is silent: a later event of another rule is there, and this one is not.
    touch(world, daemon, run, "rules-configured")
    daemon.wait_alert("Configured", mark)
    assert not [a for a in daemon.told(mark) if a["rule"] == "Added"]


def test_added_rules_survive_a_restart_unless_ephemeral(world, daemon, run):
    add(world, daemon, "kept", ADDED)
    add(world, daemon, "fleeting", ADDED.replace("Added", "Fleeting"), "--ephemeral")
    assert {"Added", "Fleeting"} <= set(names(daemon))
    daemon.restart()
    assert "Added" in names(daemon) and "Fleeting" not in names(daemon)
    mark = touch(world, daemon, run, "rules-added")
    daemon.wait_alert("Added", mark)
    daemon.cli("rules", "remove", "Added")
    assert "Added" not in names(daemon)


def test_sets_keep_their_order_over_a_restart(world, daemon, run):
    """A later one may change what an earlier one defines, whatever their names are."""
    add(world, daemon, "zebra", "- macro: mine\n  condition: (evt.num < 0)\n" + ADDED + "  exceptions: []\n")
    add(world, daemon, "middle", "- macro: mine\n  condition: (evt.num > 0)\n  override: {condition: replace}\n")
    add(world, daemon, "ant", "- rule: Added\n  condition: and mine\n  override: {condition: append}\n")
    for _ in range(2):
        mark = touch(world, daemon, run, "rules-added")
        daemon.wait_alert("Added", mark)
        daemon.restart()
    for name in ("ant", "middle", "zebra"):
        daemon.cli("rules", "remove", name)


def test_what_the_kernel_has_no_room_for_is_not_there_after_a_restart(world, daemon, run):
    """The loader takes it, the kernel does not: neither a new set nor a former one's place on disk is left with it."""
    many = ", ".join(f"/srv/{i}" for i in range(9000))
    text = kill_rule(f"({many})", "proc.cgroup = /nowhere", how="in")
    add(world, daemon, "former", ADDED)
    for name in ("former", "new"):
        with pytest.raises(CliError) as err:
            add(world, daemon, "many", text, "--name", name)
        assert "9001 paths" in err.value.text and "room for 8192" in err.value.text
        assert "the rules that ran before still run" in err.value.text
        assert "Added" in names(daemon) and "Guarded" not in names(daemon)
    daemon.restart()
    assert "Added" in names(daemon) and "Guarded" not in names(daemon)
    mark = touch(world, daemon, run, "rules-added")
    daemon.wait_alert("Added", mark)
    daemon.cli("rules", "remove", "former")


def test_same_set_again_replaces_it(world, daemon):
    add(world, daemon, "again", ADDED)
    add(world, daemon, "again", ADDED.replace("Added", "Other"))
    assert "Other" in names(daemon) and "Added" not in names(daemon)
    daemon.cli("rules", "remove", "again")


@pytest.mark.parametrize("text, place, why", [
    ("- rule: [\n", ":", ""),
    ("- rule: A\n  desc: d\n  condition: evt.type = open and no.field = 1\n  output: o\n  priority: Notice\n", ":3:", "no.field"),
    ("- rule: A\n  desc: d\n  condition: evt.type = open and (\n  output: o\n  priority: Notice\n", ":3:", ""),
    ("- rule: A\n  desc: d\n  condition: evt.type = open\n  output: o\n  priority: Loud\n", ":5:", "Emergency"),
    ("- rule: A\n  desc: d\n  condition: evt.type = open\n  priority: Notice\n", ":1:", "output"),
    ("- rule: A\n  desc: d\n  condition: nowhere_macro\n  output: o\n  priority: Notice\n", ":3:", "nowhere_macro"),
    ("- rule: A\n  desc: d\n  condition: evt.type = opened\n  output: o\n  priority: Notice\n", ":3:", "opened"),
])
def test_bad_rules_are_refused_whole_with_their_place(world, daemon, run, text, place, why):
    good_and_bad = ADDED + text
    before = names(daemon)
    path = world.file("bad.yaml", text=text, mode=0o644)
    with pytest.raises(CliError) as err:
        daemon.cli("rules", "add", path)
    assert place in err.value.text and why in err.value.text, err.value.text
    with pytest.raises(CliError):
        daemon.cli("rules", "add", world.file("bad2.yaml", text=good_and_bad, mode=0o644))
    assert names(daemon) == before
    mark = touch(world, daemon, run, "rules-configured")
    daemon.wait_alert("Configured", mark)
    # The same judgement without a daemon.
    done = daemon.cli("rules", "validate", path, check=False)
    assert done.returncode == 1 and why in done.stdout + done.stderr


def test_validate_says_yes_to_good_ones(world, daemon):
    done = daemon.cli("rules", "validate", world.file("good.yaml", text=ADDED, mode=0o644), check=False)
    assert done.returncode == 0 and "Ok" in done.stdout


def offline(world, *words):
    return subprocess.run([str(w) for w in (world.build / "tipstaff", "rules", *words)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=30, check=False)


def test_validate_prints_what_falco_prints(world):
    bad = world.file("results.yaml", text="- rule: r\n  desc: d\n  condition: evt.type=open and no.field=1\n"
                                          "  output: x\n  priority: INFO\n  colour: red\n")
    done = offline(world, "validate", bad)
    assert done.returncode == 1
    assert done.stdout.startswith(f"""{bad}: Invalid
1 Errors:
In rules content: ({bad}:0:0)
    rule 'r': ({bad}:0:2)
    rule condition: ({bad}:2:13)
    condition expression: ("evt.type=open and...":3:32)
------
evt.type=open and no.field=1
                  ^
------
LOAD_ERR_COMPILE_CONDITION (Error compiling condition): """)
    done = offline(world, "validate", bad, "--json")
    assert done.returncode == 1
    result, = json.loads(done.stdout)["falco_load_results"]
    assert (result["name"], result["successful"], result["schema_valid"]) == (str(bad), False, False)
    error, = result["errors"]
    warning, = result["warnings"]
    assert error["code"] == "LOAD_ERR_COMPILE_CONDITION" and warning["code"] == "LOAD_UNKNOWN_KEY"
    assert error["context"]["snippet"] == f"evt.type=open and no.field=1\n{' ' * 18}^\n"
    at = error["context"]["locations"][-1]
    assert at == {"item_type": "condition expression", "item_name": "",
                  "position": {"name": '"evt.type=open and..."', "line": 3, "column": 32, "offset": 51}}


def test_validate_of_what_cannot_be_read_or_is_not_for_us(world):
    done = offline(world, "validate", "/nowhere/at/all.yaml", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["falco_load_results"][0]["errors"][0]["code"] == "LOAD_ERR_FILE_READ"
    text = "- required_plugin_versions:\n  - {name: json, version: 0.1.0}\n"
    done = offline(world, "validate", world.file("plugin.yaml", text=text), "--json")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("Error: ") and "json (>= 0.1.0)" in done.stderr


def test_every_construct_loads_and_is_explained(world):
    """The files use what rule files out there use, the second over the first."""
    done = offline(world, "validate", RULE_FILES, "--json")
    results = json.loads(done.stdout)["falco_load_results"]
    assert done.returncode == 0 and [r["errors"] for r in results] == [[], []]
    codes = {w["code"] for r in results for w in r["warnings"]}
    assert codes == {"LOAD_UNKNOWN_SOURCE", "LOAD_UNKNOWN_FILTER", "LOAD_UNUSED_LIST", "LOAD_DEPRECATED_ITEM"}

    def explain(rule):
        done = offline(world, "explain", rule, RULE_FILES, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    rule = explain("Door opened by a shell")
    opened = "(evt.type in (open, openat, openat2) and fd.typechar = f and fd.num >= 0)"
    assert rule["details"]["condition_compiled"] == (
        f'({opened} and proc.name in (sh, bash, dash, our_shell, zsh) and fd.name in ("/etc/door one", /etc/door-two)'
        " and not proc.name = our_shell and (container.id != host or evt.num = 0))")
    assert rule["details"]["events"] == ["open", "openat", "openat2"]
    assert rule["details"]["macros"] == ["in_container", "opened", "shell", "spared"]
    assert rule["details"]["lists"] == ["doors"]
    assert rule["details"]["condition_operators"] == ["!=", "=", ">=", "in"]
    assert rule["details"]["output_fields"] == ["container.id", "fd.name", "proc.aname[2]", "proc.name"]
    assert rule["tags"] == ["T1000", "container", "host", "local"]
    details = explain("With exceptions")["details"]
    assert details["exception_names"] == ["compared", "flat", "later", "modified", "new", "one_modified", "paths", "plain"]
    assert 'not (tolower(proc.name) startswith anyof (x, y) and fd.name = tolower(fd.name))' in details["condition_compiled"]
    assert not explain("Text operators")["enabled"]
    done = offline(world, "explain", "No such rule", RULE_FILES)
    assert done.returncode == 1 and "No such rule" in done.stderr


def enabled(daemon):
    return {r["name"]: r["enabled"] for r in daemon.json("rules", "list")["rules"]}


def test_rules_are_switched_by_name_and_tag(world, daemon, run):
    add(world, daemon, "added", ADDED)
    assert daemon.json("rules", "disable", "Conf*")["rules"] == ["Configured"]
    assert enabled(daemon) == {"Configured": False, "Added": True}
    # What is off stays off when files are read again, and over a restart; the other rule still works.
    daemon.cli("rules", "reload")
    assert enabled(daemon) == {"Configured": False, "Added": True}
    mark = touch(world, daemon, run, "rules-configured")
    touch(world, daemon, run, "rules-added")
    daemon.wait_alert("Added", mark)
    assert not [a for a in daemon.told(mark) if a["rule"] == "Configured"]
    daemon.restart()
    assert enabled(daemon) == {"Configured": False, "Added": True}
    # By tag; the last word counts.
    assert daemon.json("rules", "enable", "two", "--tag")["rules"] == ["Configured"]
    mark = touch(world, daemon, run, "rules-configured")
    daemon.wait_alert("Configured", mark)
    assert daemon.json("rules", "disable", "Conf*", "--ephemeral")["rules"] == ["Configured"]
    daemon.restart()
    assert enabled(daemon)["Configured"]
    with pytest.raises(CliError, match="Nowhere"):
        daemon.cli("rules", "disable", "Nowhere*")
    daemon.cli("rules", "remove", "added")


@pytest.fixture
def configured(daemon):
    """Restarts the daemon with other settings of `rules`, and with the old ones at the end."""
    before = dict(daemon.settings["rules"])

    def go(**settings):
        daemon.settings["rules"] = {**before, **settings}
        daemon.restart()

    yield go
    daemon.settings["rules"] = before
    daemon.restart()


def test_first_rule_takes_the_event_or_all_get_it(world, daemon, run, configured):
    add(world, daemon, "second", ADDED.replace("Added", "Second").replace("/rules-added", "/rules-configured"))
    add(world, daemon, "last", ADDED)

    def told():
        mark = touch(world, daemon, run, "rules-configured")
        touch(world, daemon, run, "rules-added")
        daemon.wait_alert("Added", mark)
        return [a["rule"] for a in daemon.told(mark)]
    assert told() == ["Configured", "Added"]
    configured(matching="all")
    assert told() == ["Configured", "Second", "Added"]
    daemon.cli("rules", "remove", "second")
    daemon.cli("rules", "remove", "last")


def test_configuration_selects_rules_by_name_and_tag(world, daemon, configured):
    add(world, daemon, "added", ADDED + "  tags: [three]\n" + ADDED.replace("Added", "Admitted") + "  tags: [four]\n")

    def on():
        return [name for name, is_on in enabled(daemon).items() if is_on and name != "Configured"]
    assert on() == ["Added", "Admitted"]
    configured(select=[{"disable": {"rule": "Ad?[!m]*"}}, {"disable": {"tag": "four"}}])
    assert on() == []
    configured(select=[{"disable": {"rule": "Ad*"}}, {"enable": {"tag": "four"}}])
    assert on() == ["Admitted"]
    daemon.cli("rules", "remove", "added")


def test_explain_of_the_running_set(world, daemon):
    rule = daemon.json("rules", "explain", "Configured")
    assert rule["details"]["condition_compiled"] == "(evt.type in (open, openat) and fd.name endswith /rules-configured)"
    assert rule["details"]["kernel"] == ["open by open/openat, whose name ends with /rules-configured"]
    assert rule["details"]["userspace"] == []
    listed, = [r for r in daemon.json("rules", "list")["rules"] if r["name"] == "Configured"]
    assert listed == rule
    assert "endswith /rules-configured" in daemon.cli("rules", "explain", "Configured", check=False).stdout
    with pytest.raises(CliError, match="Nowhere"):
        daemon.cli("rules", "explain", "Nowhere")


def test_explain_parts_the_kernel_from_userspace(world):
    text = """
- macro: known
  condition: (fd.name startswith /etc/ and not proc.pname in (apt, dpkg))
- rule: Parted
  desc: d
  condition: evt.type in (open, openat) and known and (user.name = root or fd.num >= 0) and evt.is_open_write = true
  output: o
  priority: NOTICE
- rule: Of another kind too
  desc: d
  condition: evt.type in (open, openat, mmap) and fd.name startswith /etc/
  output: o
  priority: NOTICE
"""
    path = str(world.file("parted.yaml", text=text, mode=0o644))

    def explained(rule, *options):
        return subprocess.run([world.build / "tipstaff", *options, "rules", "explain", rule, path],
                              stdout=subprocess.PIPE, text=True, check=True).stdout

    details = json.loads(explained("Parted", "--json"))["details"]
    assert details["kernel"] == ["open by open/openat, for writing or both, whose name begins with /etc/"]
    assert details["userspace"] == ["not proc.pname in (apt, dpkg)", "(user.name = root or fd.num >= 0)"]
    lines = [line.split(maxsplit=1) for line in explained("Parted").splitlines()]
    assert ["userspace", "not proc.pname in (apt, dpkg)"] in lines and ["and", "(user.name = root or fd.num >= 0)"] in lines
    # Of opens the kernel decides it, of the other event nothing.
    assert json.loads(explained("Of another kind too", "--json"))["details"]["userspace"] == ["fd.name startswith /etc/"]


def test_reload_takes_the_new_file(world, daemon, run):
    old = daemon.rules_file.read_text(encoding="utf-8")
    daemon.rules_file.write_text(old.replace("Configured", "Rewritten"), encoding="utf-8")
    daemon.cli("rules", "reload")
    mark = touch(world, daemon, run, "rules-configured")
    daemon.wait_alert("Rewritten", mark)
    daemon.rules_file.write_text(old, encoding="utf-8")
    daemon.cli("rules", "reload")
    assert "Configured" in names(daemon) and "Rewritten" not in names(daemon)


def test_reload_of_a_bad_file_keeps_the_old_set(world, daemon, run):
    old = daemon.rules_file.read_text(encoding="utf-8")
    daemon.rules_file.write_text(old + "- rule: Half\n  desc: d\n  condition: evt.type =\n  output: o\n  priority: Info\n",
                                 encoding="utf-8")
    try:
        with pytest.raises(CliError) as err:
            daemon.cli("rules", "reload")
        assert "rules.yaml:" in err.value.text, err.value.text
        mark = touch(world, daemon, run, "rules-configured")
        daemon.wait_alert("Configured", mark)
    finally:
        daemon.rules_file.write_text(old, encoding="utf-8")


def test_reload_loses_no_event(world, daemon):
    """A storm of opens while rules are reloaded again and again: every one is told."""
    path = world.file("rules-configured", text="x")
    mark = daemon.alerts_mark()
    load = world.spawn(["/bin/bash", "-c", f"for i in $(seq 3000); do : < {path}; done; echo done"], cgroup="load")
    reloads = 0
    while load.running():
        daemon.cli("rules", "reload")
        reloads += 1
    assert load.wait(30) == 0 and reloads >= 1
    from world import until

    until("every open to be told", lambda: len([a for a in daemon.alerts(mark) if a["rule"] == "Configured"]) >= 3000, 15.0)
    assert len([a for a in daemon.told(mark) if a["rule"] == "Configured"]) == 3000


# ---- rules that kill ---------------------------------------------------------


def test_kill_by_origin_and_only_that(world, daemon, need):
    secret = str(world.file("secret", text="secret text", mode=0o644))
    frontend, backend = need("frontend"), need("backend")
    cat = ["/bin/cat", secret]
    assert frontend.do("run", argv=cat)["status"] == 0
    add(world, daemon, "guard", kill_rule(secret, f"spiffe.origin.id = {spiffe('frontend')}"))
    mark = daemon.alerts_mark()
    out = frontend.do("run", argv=cat)
    assert out["status"] == -9 and "secret text" not in out["said"]
    alert = daemon.wait_alert("Guarded", mark)
    assert alert["output_fields"]["tipstaff.action"] == "killed"
    assert backend.do("run", argv=cat)["status"] == 0
    daemon.cli("rules", "remove", "guard")
    assert frontend.do("run", argv=cat)["status"] == 0


def test_kill_through_a_symlink_and_another_name(world, daemon, need):
    """fd.path.real is what was opened, not what was asked for."""
    secret = str(world.file("secret2", text="secret text", mode=0o644))
    link = world.dir / "innocent"
    link.symlink_to(secret)
    add(world, daemon, "guard", kill_rule(secret, f"spiffe.origin.id = {spiffe('frontend')}"))
    for asked in (str(link), f"{world.dir}/../{world.dir.name}/./secret2", f"/proc/self/root{secret}"):
        out = need("frontend").do("run", argv=["/bin/cat", asked])
        assert out["status"] == -9, (asked, out)
    daemon.cli("rules", "remove", "guard")


def test_kill_below_a_folder(world, daemon, need):
    folder = world.dir / "vault"
    folder.mkdir()
    (folder / "a").write_text("x", encoding="ascii")
    beside = world.file("vaulted", text="x", mode=0o644)
    add(world, daemon, "guard", kill_rule(f"{folder}/", f"spiffe.origin.id = {spiffe('frontend')}", how="startswith"))
    assert need("frontend").do("run", argv=["/bin/cat", f"{folder}/a"])["status"] == -9
    assert need("frontend").do("run", argv=["/bin/cat", str(beside)])["status"] == 0
    daemon.cli("rules", "remove", "guard")


def test_only_one_may(world, daemon, need, run):
    """`not spiffe.id = X`: everybody in scope but X, also those without an identity."""
    secret = str(world.file("secret3", text="secret text", mode=0o644))
    add(world, daemon, "guard", kill_rule(secret, f"not spiffe.id = {spiffe('backend')}"))
    # The process itself, which is known; a child that has just started is pending, and pending is not backend.
    assert need("backend").do("read", path=secret)["ok"]
    assert need("frontend").do("run", argv=["/bin/cat", secret])["status"] == -9
    status, _ = run("syscalls", "openat", secret, cgroup="x", uid=UID["rogue"])
    assert status == -9
    daemon.cli("rules", "remove", "guard")
    assert need("frontend").do("run", argv=["/bin/cat", secret])["status"] == 0


def test_deny_that_becomes_kill_is_said(world, daemon):
    secret = str(world.file("secret4", text="x", mode=0o644))
    added = add(world, daemon, "guard", kill_rule(secret, f"spiffe.origin.id = {spiffe('frontend')}", action="deny"))
    does = next(r for r in daemon.json("rules", "list")["rules"] if r["name"] == "Guarded")["does"]
    if not capabilities()["lsm"]:
        assert does == "deny" and not added["notes"]
    else:
        assert does == "kill" and any("killed" in note for note in added["notes"]), added
    daemon.cli("rules", "remove", "guard")


def test_kill_that_the_kernel_cannot_decide_is_refused(world, daemon):
    text = """
- rule: Undecidable
  desc: the kernel does not know parents' names
  condition: evt.type in (open, openat, openat2) and proc.pname = bash
  output: o
  priority: Critical
  action: kill
"""
    with pytest.raises(CliError) as err:
        add(world, daemon, "undecidable", text)
    # The place is that of proc.pname, and the fields that may be used are named.
    assert ":4:54:" in err.value.text and "fd.path.real" in err.value.text
    assert "Undecidable" not in names(daemon)


def test_kill_rule_holds_while_the_daemon_is_dead(world, daemon, need):
    secret = str(world.file("secret5", text="x", mode=0o644))
    add(world, daemon, "guard", kill_rule(secret, f"spiffe.origin.id = {spiffe('frontend')}"))
    frontend = need("frontend")
    daemon.kill_both()
    assert frontend.do("run", argv=["/bin/cat", secret])["status"] == -9
    daemon.start()
    assert frontend.do("run", argv=["/bin/cat", secret])["status"] == -9
    daemon.cli("rules", "remove", "guard")
    assert frontend.do("run", argv=["/bin/cat", secret])["status"] == 0
