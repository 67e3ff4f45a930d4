# SPDX-License-Identifier: Apache-2.0
"""tools/vm itself: what comes out of a guest, and how one ends."""

import os

import pytest

import guest
from world import ROOT

pytestmark = pytest.mark.timeout(700)


def test_what_comes_out():
    """Status, output and errors are the command's; of its files only those that were asked for outlive it."""
    build = os.environ.get("BUILD", "build")
    kept, lost = ROOT / build / "test/vm-kept", ROOT / build / "test/vm-lost"
    kept.unlink(missing_ok=True)
    status, output, errors = guest.run(
        "sh", "-c", f"mkdir -p {build}/test; seq 100000 >{kept}; echo x >{lost}; uname -r; echo $TIPSTAFF_VM; echo oh >&2; exit 7",
        options=["--keep", kept, "--keep", lost.with_name("vm-never")])
    assert status == 7, errors
    release, named = output.splitlines()
    assert release == named and release.startswith("6.1.")
    assert "oh\n" in errors and "the command left no" in errors
    assert kept.read_text(encoding="ascii").split() == [str(n) for n in range(1, 100001)]
    assert not lost.exists()
    kept.unlink()


def test_a_panic_is_a_failure_and_is_shown():
    status, output, errors = guest.run("sh", "-c", "echo before; echo c >/proc/sysrq-trigger; sleep 60; echo after")
    assert status == 125, errors
    assert output == "before\n"
    assert "the kernel failed" in errors and "sysrq triggered crash" in errors and "Call Trace" in errors
    assert "started again" not in errors


def test_a_kernel_that_does_not_come_up_is_started_thrice():
    status, output, errors = guest.run("echo", "never", options=["--append", "rdinit=/nothing root=/dev/nothing"])
    assert status == 125 and not output, errors
    assert errors.count("the kernel failed") == 3 and errors.count("started again") == 2, errors


def test_a_hang_ends():
    status, _, errors = guest.run("sleep", "100000", timeout=60)
    assert status == 124 and "the command still ran after 60 s" in errors, errors


def test_what_can_be_taken_away():
    """By the names of the daemon's own list; nothing else goes with them but what rests on them."""
    build = os.environ.get("BUILD", "build")
    lacks = ["lsm", "ktls", "cgroup2", "nfqueue"]
    status, output, errors = guest.run(f"{build}/tipstaffd", "--capabilities", options=[f"--without={lack}" for lack in lacks])
    assert status == 0, errors
    rest_on_them = {"cgroup_connect", "sockops", "ima"}  # the last one on lsm: a BPF program asks for the hash
    assert {line.split()[0] for line in output.splitlines()[1:] if line.split()[1] == "no"} == {*lacks, *rest_on_them}
