# SPDX-License-Identifier: Apache-2.0
"""Identities by the content of the executable: unix:sha256, whoever hashes it. (test_digest_kernel.py: what only the kernel can.)"""

import hashlib
import mmap
import os
import shutil
import subprocess
import time

import pytest

from conftest import UID, resolved, spiffe
from tiers import capabilities
from world import until


def ENTRIES(world):
    content = (world.build / "attacks/ask").read_bytes()
    return [
        {"spiffe_id": spiffe("asker"), "selectors": [f"unix:sha256:{hashlib.sha256(content).hexdigest()}"]},
        {"spiffe_id": spiffe("other"), "selectors": [f"unix:uid:{UID['other']}"]},
    ]


SETTINGS = {"limits": {"digest_mib": 8}}
LARGE = b"\0" * (9 << 20)


def copy(world, name, extra=b""):
    """The program under another name; `extra` makes it another content that does the same."""
    folder = world.dir / "programs"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    path = folder / name
    shutil.copy(world.build / "attacks/ask", path)
    with open(path, "ab") as f:
        f.write(extra)
    path.chmod(0o755)
    return path


def served(world, daemon, path, uid=UID["rogue"]):
    """Does that program get an SVID from the Workload API?"""
    return world.spawn([path, daemon.workload_socket], cgroup="x", uid=uid).wait(30) == 0


def test_the_content_decides_and_not_the_name(world, daemon):
    assert served(world, daemon, copy(world, "ask"))
    assert served(world, daemon, copy(world, "anything"))


def test_another_content_under_the_same_name_is_nobody(world, daemon):
    path = copy(world, "changes")
    assert served(world, daemon, path)
    path.unlink()
    assert not served(world, daemon, copy(world, "changes", extra=b"x"))
    path.unlink()
    assert served(world, daemon, copy(world, "changes"))


def test_a_change_in_place_is_seen_each_time(world, daemon):
    path = copy(world, "in-place")
    good = path.read_bytes()
    for content, same in ((good, True), (good + b"y", False), (good, True), (good[:-1] + b"\1", False)):
        path.write_bytes(content)
        assert served(world, daemon, path) == same


@pytest.fixture
def memory(world):
    """A tmpfs, mounted where the daemon sees it."""
    folder = world.dir / "programs/memory"
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tip-test", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_change_that_no_time_tells_of_is_seen(world, daemon, memory):
    """tmpfs does not change a file's times when it is written to through a mapping that was read before."""
    path = copy(world, "memory/silent")
    until("its times to be old enough to be believed", lambda: time.time() - path.stat().st_ctime > 0.1)
    assert served(world, daemon, path)
    assert served(world, daemon, path)
    before = path.stat()
    with open(path, "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
        at = len(m) - 1
        m[at] = m[at] ^ 1
    after = path.stat()
    assert (after.st_ctime_ns, after.st_mtime_ns, after.st_size) == (before.st_ctime_ns, before.st_mtime_ns, before.st_size)
    assert not served(world, daemon, path)


def test_a_file_beyond_the_limit_has_no_digest(world, daemon):
    assert not served(world, daemon, copy(world, "large", extra=LARGE))
    until("the log to say why", lambda: "larger than limits.digest_mib" in daemon.log())


def test_who_selects_otherwise_is_served_beside_it(world, daemon):
    """Every exec waits for its digest, and none waits for ever."""
    assert served(world, daemon, copy(world, "large", extra=LARGE), uid=UID["other"])
    assert served(world, daemon, copy(world, "small", extra=b"z"), uid=UID["other"])


def test_memfd_has_no_digest(world, daemon):
    code = (
        "import os, sys\n"
        "fd = os.memfd_create('x', 0)\n"
        "os.write(fd, open(sys.argv[1], 'rb').read())\n"
        "os.execve(fd, ['x', sys.argv[2]], {})\n"
    )
    p = world.spawn(["/usr/bin/python3", "-S", "-c", code, copy(world, "for-memfd"), daemon.workload_socket], cgroup="x",
                    uid=UID["rogue"])
    assert p.wait(30) == 1, p.text()


def test_a_mount_in_a_user_namespace_has_no_digest(world, daemon):
    """What a user mounts is that user's word: FUSE and the like could show each reader something else."""
    path = copy(world, "mounted")
    status = world.spawn(["/usr/bin/unshare", "-Urm", path, daemon.workload_socket], cgroup="x", uid=UID["rogue"]).wait(30)
    assert status == 1
    assert served(world, daemon, path)


def test_who_ran_before_the_daemon_is_known_by_its_digest_too(world, daemon):
    p = world.spawn([copy(world, "early"), daemon.workload_socket, "600000"], cgroup="x", uid=UID["rogue"], stdin="pipe")
    assert resolved(daemon, p.pid)["spiffe_id"] == spiffe("asker")
    daemon.stop()
    daemon.start()
    assert resolved(daemon, p.pid)["spiffe_id"] == spiffe("asker")
    p.close()


def test_the_tier_is_told(world, daemon):
    why_not = capabilities()["ima"]
    tier = next(t for t in daemon.status()["tiers"] if t["concern"] == "executable digest")
    assert tier["tier"] == ("sha256" if why_not else "ima"), tier
    assert why_not in tier["detail"], tier
    before = daemon.status()["digests"]
    assert served(world, daemon, copy(world, "counted", extra=os.urandom(8)), uid=UID["other"])
    after = daemon.status()["digests"]
    source, other = ("read", "kernel") if why_not else ("kernel", "read")
    assert after[source] > before[source] and after[other] == before[other], (before, after)
