# SPDX-License-Identifier: Apache-2.0
"""tools/vm, as the tests here call it."""

import subprocess

from world import ROOT


def run(*argv, options=(), timeout=600, kernel="6.1"):
    """Runs a command in a guest: (status, output, errors). `timeout` is tools/vm's own."""
    done = subprocess.run([ROOT / "tools/vm", "run", "--kernel", kernel, "--timeout", str(timeout), *options, "--", *argv],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=timeout + 60, check=False)
    return done.returncode, done.stdout, done.stderr
