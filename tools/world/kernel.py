# SPDX-License-Identifier: Apache-2.0
"""The few system calls and files that Python 3.11 has no name for."""

import ctypes
import os
import signal

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def setns(fd, kind):
    if _libc.setns(fd, kind):
        raise OSError(ctypes.get_errno(), "setns")


def die_with_parent():
    """This process is killed when the one that started it ends: nothing outlives an aborted test."""
    if _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def cgroup2_mount():
    """Where cgroup2 is mounted: /sys/fs/cgroup, or below it beside version 1."""
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        for line in f:
            left, _, right = line.partition(" - ")
            if right.split()[0] == "cgroup2":
                return left.split()[4]
    raise RuntimeError("no cgroup2 is mounted here: mount -t cgroup2 none /sys/fs/cgroup/unified")


def start_time(pid):
    """When a process started, in ticks since boot; with its pid it names one process. None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return int(f.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError):
        return None


def state(pid):
    """R, S, Z...; None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0]
    except OSError:
        return None


def alive(pid):
    return state(pid) not in (None, "Z", "X")


def proc_status(pid):
    """/proc/PID/status as a dict."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as f:
        return {k: v.strip() for k, _, v in (line.partition(":") for line in f)}


def kill_if_same(pid, start):
    """Ends a process, but not another one that has its number by now."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if start_time(pid) == start:
            signal.pidfd_send_signal(fd, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(fd)
