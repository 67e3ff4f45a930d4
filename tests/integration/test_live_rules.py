# SPDX-License-Identifier: Apache-2.0
"""Rules that change while the daemon runs: sets that are replaced, files that are read again when they change."""

import pytest

from world import CliError, until

RULES = """
- rule: Live one
  desc: a file
  condition: evt.type in (open, openat) and fd.name endswith /live-one
  output: one %fd.name
  priority: Notice
  tags: [live, first]

- rule: Live two
  desc: another
  condition: evt.type in (open, openat) and fd.name endswith /live-two
  output: two %fd.name
  priority: Notice
  tags: [live]

- rule: Off by its file
  desc: a third
  condition: evt.type in (open, openat) and fd.name endswith /live-three
  output: three %fd.name
  priority: Notice
  enabled: false
"""


def test_replace_wants_a_set_that_is_there(world, daemon):
    text = "- rule: Mine\n  desc: d\n  condition: evt.type = open\n  output: o\n  priority: Notice\n"
    path = world.file("mine.yaml", text=text, mode=0o644)
    with pytest.raises(CliError) as err:
        daemon.cli("rules", "replace", path)
    assert "no rule set" in err.value.text
    daemon.cli("rules", "add", path)
    world.file("mine.yaml", text=text.replace("Mine", "Yours"), mode=0o644)
    assert daemon.json("rules", "replace", path)["rules"] == ["Yours"]
    daemon.cli("rules", "remove", "mine")


def test_watched_files(daemon):
    """Changed in place, replaced by rename, broken: read when it has settled, and kept when it is wrong."""
    daemon.stop()
    daemon.settings["rules"]["watch"] = True
    daemon.start()
    text = daemon.rules_file.read_text(encoding="utf-8")

    def names():
        return {r["name"] for r in daemon.json("rules", "list")["rules"]}

    mark = daemon.alerts_mark()
    daemon.rules_file.write_text(text.replace("Live two", "Written"), encoding="utf-8")
    until("it to be read", lambda: "Written" in names())
    assert daemon.wait_alert("Rules reloaded", mark)["output_fields"]["tipstaff.by"] == "watch"
    part = daemon.rules_file.with_name("part")
    part.write_text(text.replace("Live two", "Renamed"), encoding="utf-8")
    part.rename(daemon.rules_file)
    until("the other file to be read", lambda: "Renamed" in names())
    daemon.rules_file.write_text("- rule: [\n", encoding="utf-8")
    until("it to be refused", lambda: "the old rules stay" in daemon.log())
    assert "Renamed" in names()
    daemon.rules_file.write_text(text, encoding="utf-8")
    until("it to be as it was", lambda: "Live two" in names())
