# SPDX-License-Identifier: Apache-2.0
"""Rules that change while the daemon runs: sets that are replaced, files that are read again when they change."""

import ctypes
import os

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
    mark = daemon.alerts_mark()
    assert daemon.json("rules", "replace", path)["rules"] == ["Yours"]
    told = daemon.wait_alert("Rules reloaded", mark)
    assert "Rules replaced | set=mine" in told["output"] and told["output_fields"]["tipstaff.set"] == "mine"
    mark = daemon.alerts_mark()
    daemon.cli("rules", "add", path)  # its namesake is there
    assert "Rules replaced | set=mine" in daemon.wait_alert("Rules reloaded", mark)["output"]
    daemon.cli("rules", "remove", "mine")


class Watched:
    """The names that files of a folder get, one after the other (inotify)."""

    def __init__(self, folder):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK)
        assert libc.inotify_add_watch(self.fd, os.fsencode(folder), 0x180) > 0  # IN_CREATE, IN_MOVED_TO

    def names(self):
        """Those since the last time."""
        found = []
        while True:
            try:
                events = os.read(self.fd, 65536)
            except BlockingIOError:
                return found
            while events:
                size = int.from_bytes(events[12:16], "little")
                found.append(events[16:16 + size].rstrip(b"\0").decode())
                events = events[16 + size:]


def guarding(paths):
    """A rule about that many files; the kernel has room for 8192 paths."""
    return f"""
- rule: Many
  desc: more than the kernel has room for
  condition: evt.type in (open, openat, openat2) and fd.path.real in ({", ".join(f"/nowhere/{i}" for i in range(paths))})
  output: o
  priority: Critical
  action: kill
"""


def test_what_the_kernel_refuses_never_has_its_name_on_disk(world, daemon):
    """So whenever the daemon dies meanwhile, the next one does not find it, and does not fail by it."""
    good, bad = world.file("good.yaml", text=guarding(10)), world.file("bad.yaml", text=guarding(9000))
    folder = daemon.state_dir / "rules.d"
    daemon.cli("rules", "add", good)
    daemon.cli("rules", "remove", "good")
    watched = Watched(folder)
    with pytest.raises(CliError) as err:
        daemon.cli("rules", "add", bad)
    assert "the kernel has room for 8192" in err.value.text
    assert watched.names() == ["bad.yaml.tmp"] and not list(folder.glob("bad*"))
    daemon.cli("rules", "add", good)
    assert watched.names()[:2] == ["good.yaml.tmp", "good.yaml"]
    with pytest.raises(CliError):
        daemon.cli("rules", "replace", bad, "--name", "good")
    assert "good.yaml" not in watched.names() and (folder / "good.yaml").read_text(encoding="utf-8") == good.read_text(encoding="utf-8")
    daemon.cli("rules", "remove", "good")
    os.close(watched.fd)


def test_what_a_crash_left_of_a_change_is_taken_away(daemon):
    daemon.kill_both()
    left = [daemon.state_dir / "rules.d" / "left.yaml.tmp", daemon.state_dir / "rules.select.tmp"]
    left[0].parent.mkdir(exist_ok=True)
    for path in left:
        path.write_text(guarding(9000), encoding="utf-8")
    daemon.start()
    for path in left:
        assert f"{path} is removed: a change that was not in force yet" in daemon.log() and not path.exists()
    assert "Many" not in daemon.cli("rules", "list")


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
