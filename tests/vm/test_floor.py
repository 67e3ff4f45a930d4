# SPDX-License-Identifier: Apache-2.0
"""The floor: on Linux 6.1 with each of these taken away the daemon starts, says what it lacks and does what is possible;
`require` stops it. What is looked at, and how, is in ./floor, which runs in the guest."""

import os

import pytest

import guest


@pytest.mark.timeout(700)
@pytest.mark.parametrize("lacks", ["lsm", "ktls", "cgroup2", "cgroup2 lsm"])
def test_floor(lacks):
    build, names = os.environ.get("BUILD", "build"), lacks.split()
    status, output, errors = guest.run("env", f"BUILD={build}", "tests/vm/floor", *names,
                                       options=[f"--without={name}" for name in names])
    assert status == 0, output + errors
