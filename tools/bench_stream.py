# SPDX-License-Identifier: Apache-2.0
"""The part `stream` of `make bench`: how much the stream of events and alerts takes, and what it loses.

Events that the kernel filters, as fast as they come; events that reach the matcher, and alerts, at a pace, because a worker that
waits for nobody would show how fast it is itself. What was lost counts whatever the pace: none may be.
"""

import statistics
import time

from world import until

PASS_RATE, PASS_SECONDS = 100_000, 5  # events a second that reach the matcher
ALERT_RATE, ALERTS = 10_000, 100_000
RELOADS = 10

RULE = """
- rule: {name}
  desc: d
  condition: evt.type in (open, openat, openat2) and {condition}
  output: "opened {name} file=%fd.name flags=%evt.arg.flags process=%proc.name exe=%proc.exepath command=%proc.cmdline
    parent=%proc.pname user=%user.name uid=%user.uid identity=%spiffe.id container=%container.id"
  priority: Notice
"""


class Stream:
    def __init__(self, bench):
        self.bench = bench
        self.daemon = bench.daemon
        self.file = bench.file

    def measure(self):
        kept = self.daemon.rules_file.read_text(encoding="utf-8")
        try:
            self.filtered()
            self.passed()
            self.alerts()
        finally:
            self.daemon.rules_file.write_text(kept, encoding="utf-8")
        self.reload()

    def running(self, name, condition):
        """A daemon with one more rule."""
        self.daemon.rules_file.write_text(RULE.format(name=name, condition=condition), encoding="utf-8")
        self.daemon.start()

    def storm(self, *args, count, path=None):
        """Runs `count` openers; nanoseconds of a pair by the clock and of CPU time, of each; CPU seconds of the daemon, seconds,
        what was sent and dropped."""
        before, cpu, began = self.events(), self.bench.cpu_us(), time.monotonic()
        took = self.bench.worker("open", path or self.file, *args, count=count)
        seconds = time.monotonic() - began
        until("the ring to be drained", self.bench.settled, 30.0)
        after = self.events()
        return took, (self.bench.cpu_us() - cpu) / 1e6, seconds, {k: after[k] - before[k] for k in after}

    def events(self):
        return {k: v for k, v in self.daemon.status()["events"].items() if isinstance(v, int)}

    @staticmethod
    def lost(events):
        return sum(v for k, v in events.items() if "drop" in k)

    def filtered(self):
        """Two processes open a file that no rule is about, then one that is not there: the most opens that can be had."""
        self.running("Elsewhere", "fd.name = /nowhere/at/all")
        for what, path, count in (("opens", None, 1000000), ("opens that fail", "/none", 4000000)):
            took, cpu, seconds, events = self.storm(str(count), count=2, path=path)
            rate, alone = (sum(1e9 / t[i] for t in took) for i in (0, 1))
            self.bench.say(f"{what}, that no rule is about, 2 processes", f"{rate / 1000:.0f}", "k/s",
                           by_their_CPU_time=f"{alone / 1000:.0f} k/s",
                           filtered=f"{events['prefiltered'] / (2 * count):.3f} of them", dropped=self.lost(events),
                           CPU_of_the_daemon=f"{100 * cpu / seconds:.1f} %")
        self.daemon.remove()

    def passed(self):
        """The file is the one that the rule is about, the process is not: userspace decides."""
        self.running("By nobody", f"fd.name = {self.file} and proc.cmdline contains nobody-at-all")
        count = PASS_RATE * PASS_SECONDS // 2
        took, cpu, _, events = self.storm(str(count), str(PASS_RATE // 2), count=2)
        rate = sum(1e9 / t[0] for t in took)
        self.bench.say("opens that reach the matcher, 2 processes", f"{rate / 1000:.0f}", "k/s", dropped=self.lost(events),
                       CPU_of_an_event=f"{cpu / (2 * count) * 1e6:.2f} us")
        self.daemon.remove()

    def alerts(self):
        self.running("Every time", f"fd.name = {self.file}")
        mark = self.daemon.alerts_mark()
        _, cpu, _, events = self.storm(str(ALERTS), str(ALERT_RATE), count=1)
        written = sum(a["rule"] == "Every time" for a in self.daemon.alerts(mark))
        size = self.daemon.alerts_mark() - mark
        self.bench.say(f"CPU of {ALERTS // 1000} k alerts as JSON to a file", f"{cpu:.2f}", "s", written=written,
                       dropped=self.lost(events), bytes_of_an_alert=size // max(1, written))
        self.daemon.remove()

    def reload(self):
        """From the CLI's start to its end: read, compiled, in the kernel."""
        self.daemon.start()
        took = []
        for _ in range(RELOADS):
            began = time.monotonic()
            self.daemon.cli("rules", "reload")
            took.append((time.monotonic() - began) * 1000)
        self.bench.say("tipstaff rules reload", f"{statistics.median(took):.1f}", "ms",
                       spread=f"{min(took):.1f}-{max(took):.1f}", rules=len(self.daemon.json("rules", "list")["rules"]))
        self.daemon.remove()
