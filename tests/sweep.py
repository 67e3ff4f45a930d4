# SPDX-License-Identifier: Apache-2.0
"""Random rules against random acts: what the differential tests of the prefilter have in common. TIP_TEST_SEED repeats one of
them, TIP_TEST_SETS makes it shorter."""

import collections
import os
import random

import falco

SETS, RULES_A_SET = int(os.environ.get("TIP_TEST_SETS", "25")), 20


def chosen_seed():
    seed = int(os.environ.get("TIP_TEST_SEED", random.randrange(1 << 32)))
    print(f"TIP_TEST_SEED={seed}")
    return seed


def load(world, daemon, conditions, output):
    """Rules r0, r1, ... of these conditions (texts), in place of those before."""
    text = "".join(f"- rule: r{i}\n  desc: d\n  condition: >\n    {c}\n  output: x {output}\n  priority: Debug\n" for i, c in enumerate(conditions))
    daemon.cli("rules", "add", world.file("random.yaml", text=text, mode=0o644), "--name", "random")


def expected(conditions, acts):
    """How often each rule is to match. `acts`: [(what its alerts are known by, the fields of the act)]"""
    want = collections.Counter()
    for key, seen in acts:
        want.update((f"r{i}", *key) for i, c in enumerate(conditions) if falco.holds(c, seen))
    return want


def sweep(world, daemon, seed, output, turn):
    """500 rules in sets, each held against acts of its own; how often rules were to match. `turn(r, number)` prepares a set and
    returns who makes its conditions, and what makes its acts when they are in force: that returns the alerts of these rules,
    counted, each by its rule and what `expected()` has for a key; and the acts for that."""
    r = random.Random(seed)
    matched = 0
    for number in range(SETS):
        maker, play = turn(r, number)
        conditions = [maker.condition() for _ in range(1 + r.randrange(2 * RULES_A_SET - 1))]
        load(world, daemon, [falco.text(c) for c in conditions], output)
        got, acts = play()
        want = expected(conditions, acts)
        wrong = falco.differences(conditions, got, want)
        assert not wrong, f"seed {seed}, set {number}:\n" + "\n".join(wrong[:10])
        matched += sum(want.values())
    daemon.cli("rules", "remove", "random")
    return matched
