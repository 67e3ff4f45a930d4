# SPDX-License-Identifier: Apache-2.0
"""The floor: on Linux 6.1 with each of these taken away the daemon starts, says what it lacks and does what is possible;
`require` stops it. What is looked at, and how, is in ./floor, which runs in the guest."""

import os

import pytest

import guest


@pytest.mark.timeout(700)
@pytest.mark.parametrize("lack", ["lsm", "ktls", "cgroup2"])
def test_floor(lack):
    build = os.environ.get("BUILD", "build")
    status, output, errors = guest.run("env", f"BUILD={build}", "tests/vm/floor", lack, options=["--without", lack])
    assert status == 0, output + errors
