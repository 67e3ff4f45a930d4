# SPDX-License-Identifier: Apache-2.0
"""Waiting for something to become true, always with an end."""

import os
import time

# Every limit of the world and of its tests is a number of seconds on an idle machine, times this. Only a failure waits to
# the end, so patience costs nothing: an emulated machine (tools/vm) is many times slower, and a busy one a few times.
SLOW = 6.0 if os.environ.get("TIPSTAFF_VM") else 1.0
PATIENCE = 2.0 * SLOW


class Timeout(AssertionError):
    """What was waited for did not come."""


def until(what, condition, timeout=5.0, every=0.01):
    """Calls `condition` until it returns something true, and returns that. An exception from it counts as "not yet"
    and is shown when time is up."""
    timeout *= PATIENCE
    end = time.monotonic() + timeout
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except (OSError, LookupError, RuntimeError) as err:
            last = err
        if time.monotonic() > end:
            raise Timeout(f"waited {timeout:g} s for {what}; last seen: {last!r}")
        time.sleep(every)
