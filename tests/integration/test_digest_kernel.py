# SPDX-License-Identifier: Apache-2.0
"""The kernel hashes what it executes (IMA): what the daemon could not say by reading the file, and what it remembers."""

import array
import errno
import fcntl
import hashlib
import mmap
import os
import shutil
import signal
import struct
import subprocess

import pytest

from conftest import UID, resolved, spiffe
from tiers import capabilities
from world import until

pytestmark = [pytest.mark.kernel(each=True)]
IMA = pytest.mark.needs("ima")

PYTHON = os.path.realpath("/usr/bin/python3")
FS_IOC_ENABLE_VERITY = 0x40806685


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def ENTRIES(world):
    return [
        {"spiffe_id": spiffe("asker"), "selectors": [f"unix:sha256:{sha256(world.build / 'attacks/ask')}"]},
        {"spiffe_id": spiffe("snake"), "selectors": [f"unix:sha256:{sha256(PYTHON)}"]},
    ]


@pytest.fixture
def programs(world):
    folder = world.dir / "programs"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def reader(world):
    """A daemon of its own, which reads executables itself."""
    d = world.daemon("reader", entries=ENTRIES(world), digest="user")
    d.start()
    return d


@pytest.fixture(scope="module")
def disk(world):
    """A folder on ext4, where files can have fs-verity."""
    image, folder = world.dir / "image", world.dir / "disk"
    with open(image, "wb") as f:
        f.truncate(64 << 20)
    folder.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-b", "4096", "-O", "verity", image], check=True)
    done = subprocess.run(["mount", "-o", "loop", image, folder], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no ext4 with fs-verity here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def copy(source, path):
    shutil.copy(source, path)
    path.chmod(0o755)
    return path


def ask(world, daemon, path, scope="work"):
    return world.spawn([path, daemon.workload_socket], cgroup="x", uid=UID["rogue"], scope=scope)


def served(*args, **kwargs):
    return ask(*args, **kwargs).wait(30) == 0


def replaced(world, daemon, path, scope="work"):
    """Is it served, though its file was gone before the daemon heard of the exec?"""
    os.kill(daemon.keeper_pid, signal.SIGSTOP)
    try:
        p = ask(world, daemon, path, scope)
        until("the exec", lambda: os.path.realpath(f"/proc/{p.pid}/exe") == str(path))
        path.unlink()
        copy("/bin/true", path)
    finally:
        os.kill(daemon.keeper_pid, signal.SIGCONT)
    return p.wait(30) == 0


def select(daemon, entries, asked):
    """Other entries; returns when they are in force."""
    daemon.write_entries(entries)
    daemon.process.kill(signal.SIGHUP)
    until("the entries", lambda: ("nothing is hashed" in tier(daemon)["detail"]) != asked)


def tier(daemon):
    return next(t for t in daemon.status()["tiers"] if t["concern"] == "executable digest")


def events(daemon):
    e = daemon.status()["events"]
    return e["digest_hashed"], e["digest_remembered"]


@IMA
def test_what_was_replaced_before_the_daemon_looked_has_its_digest(world, daemon, programs):
    read = daemon.status()["digests"]["read"]
    assert replaced(world, daemon, copy(world.build / "attacks/ask", programs / "replaced"))
    assert daemon.status()["digests"]["read"] == read


def test_who_reads_the_file_later_cannot_know(world, reader, programs):
    """The same without the kernel's help: nobody, rather than somebody else."""
    path = copy(world.build / "attacks/ask", programs / "read")
    assert served(world, reader, path, scope="reader")
    assert not replaced(world, reader, path, scope="reader")


@IMA
def test_the_digest_outlives_the_file_and_the_daemon(world, daemon, programs):
    path = copy(world.build / "attacks/ask", programs / "outlived")
    p = world.spawn([path, daemon.workload_socket, "600000"], cgroup="x", uid=UID["rogue"], stdin="pipe")
    assert resolved(daemon, p.pid)["spiffe_id"] == spiffe("asker")
    path.unlink()
    daemon.stop()
    daemon.start()
    assert resolved(daemon, p.pid)["spiffe_id"] == spiffe("asker")
    p.close()


@IMA
def test_a_fork_has_its_parents_digest(world, daemon, programs):
    """Asked for anew, a child of a program that is gone is who it was."""
    path = copy(PYTHON, programs / "snake")
    code = "import os, sys; sys.stdin.readline(); pid = os.fork()\nif pid: print(pid, flush=True)\nsys.stdin.readline()"
    p = world.spawn([path, "-IS", "-c", code], cgroup="x", uid=UID["rogue"], stdin="pipe")
    assert resolved(daemon, p.pid)["spiffe_id"] == spiffe("snake")
    path.unlink()
    p.send("fork")
    child = int(p.line())
    daemon.cli("identity", "add", spiffe("late"), "--selector", "unix:uid:4242")
    until("the child to be who it was", lambda: resolved(daemon, child)["spiffe_id"] == spiffe("snake"))
    daemon.cli("identity", "remove", spiffe("late"))
    assert resolved(daemon, child)["spiffe_id"] == spiffe("snake")
    p.close()


@IMA
def test_a_script_has_the_digest_of_its_interpreter(world, daemon, programs):
    script = programs / "script"
    script.write_text(f"#!{PYTHON} -IS\nimport sys\nsys.stdin.readline()\n", encoding="utf-8")
    script.chmod(0o755)
    p = world.spawn([script], cgroup="x", uid=UID["rogue"], stdin="pipe")
    assert resolved(daemon, p.pid)["spiffe_id"] == spiffe("snake")
    p.close()


@IMA
def test_nothing_is_hashed_while_nobody_asks(world, daemon, programs):
    path = copy(world.build / "attacks/ask", programs / "idle")
    select(daemon, [{"spiffe_id": spiffe("rogue"), "selectors": [f"unix:uid:{UID['rogue']}"]}], False)
    before = events(daemon)
    assert served(world, daemon, path)
    assert events(daemon) == before
    select(daemon, ENTRIES(world), True)
    assert served(world, daemon, path)
    assert events(daemon) != before


@IMA
def test_a_file_that_stays_as_it_is_is_hashed_twice_and_then_remembered(world, daemon, disk):
    path = copy(world.build / "attacks/ask", disk / "remembered")
    hashed, remembered = events(daemon)
    for _ in range(4):
        assert served(world, daemon, path)
    assert events(daemon) == (hashed + 2, remembered + 2)


@IMA
def test_any_change_of_a_remembered_file_is_seen(world, daemon, disk):
    path = copy(world.build / "attacks/ask", disk / "changes")
    good = path.read_bytes()

    def remembered():
        for _ in range(3):
            assert served(world, daemon, path)
        return events(daemon)[1]

    before = events(daemon)[1]
    assert remembered() > before
    with open(path, "r+b") as f:
        f.seek(-1, os.SEEK_END)
        f.write(b"\1")
    assert not served(world, daemon, path)
    path.write_bytes(good)
    before = events(daemon)[1]
    assert remembered() > before
    change_by_mapping(path)
    assert not served(world, daemon, path)


@pytest.fixture
def overlay(disk):
    """What a container sees: an overlay, whose inodes have a copy of the times."""
    low, up, work, top = (disk / name for name in ("low", "up", "work", "top"))
    for folder in (low, up, work, top):
        folder.mkdir()
    subprocess.run(["mount", "-t", "overlay", "-o", f"lowerdir={low},upperdir={up},workdir={work}", "tip-test", top], check=True)
    yield top
    subprocess.run(["umount", "-l", top], check=True)
    for folder in (low, up, work, top):
        shutil.rmtree(folder)


def change_by_mapping(path):
    with open(path, "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
        m[len(m) - 1] = m[len(m) - 1] ^ 1


@IMA
def test_what_an_overlay_shows_is_hashed_each_time(world, daemon, overlay):
    path = copy(world.build / "attacks/ask", overlay / "mapped")
    hashed, remembered = events(daemon)
    for _ in range(3):
        assert served(world, daemon, path)
    assert events(daemon) == (hashed + 3, remembered)
    change_by_mapping(path)
    assert not served(world, daemon, path)


def test_a_change_below_an_overlay_is_seen_by_who_reads(world, reader, overlay):
    path = copy(world.build / "attacks/ask", overlay / "mapped")
    for _ in range(3):
        assert served(world, reader, path, scope="reader")
    change_by_mapping(path)
    assert not served(world, reader, path, scope="reader")


def enable_verity(path):
    """fs-verity by SHA-256 in blocks of 4096, no salt, no signature."""
    arg = struct.pack("<IIIIQIIQ11Q", 1, 1, 4096, 0, 0, 0, 0, 0, *[0] * 11)
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, FS_IOC_ENABLE_VERITY, array.array("B", arg))
    except OSError as e:
        if e.errno == errno.EOPNOTSUPP:
            pytest.skip("this kernel has no fs-verity")
        raise
    finally:
        os.close(fd)


@IMA
def test_with_fsverity_the_first_digest_holds_for_good(world, daemon, disk):
    path = copy(world.build / "attacks/ask", disk / "verity")
    enable_verity(path)
    hashed, remembered = events(daemon)
    for mode in (0o755, 0o555, 0o755):
        path.chmod(mode)
        assert served(world, daemon, path)
    assert events(daemon) == (hashed + 1, remembered + 2)


def test_the_daemon_reads_one_content_under_fsverity_once(world, reader, disk):
    """Whatever its times say, and whichever file has it."""
    paths = [copy(world.build / "attacks/ask", disk / name) for name in ("one", "another")]
    for path in paths:
        enable_verity(path)
    before = reader.status()["digests"]
    for mode in (0o755, 0o555):
        for path in paths:
            path.chmod(mode)
            assert served(world, reader, path, scope="reader")
    after = reader.status()["digests"]
    assert (after["read"], after["remembered"]) == (before["read"] + 1, before["remembered"] + 3)


def test_another_content_under_fsverity_is_another(world, reader, disk):
    path = copy(world.build / "attacks/ask", disk / "other")
    with open(path, "ab") as f:
        f.write(b"x")
    enable_verity(path)
    assert not served(world, reader, path, scope="reader")


def test_status_says_who_hashes(daemon, reader):
    assert tier(reader)["tier"] == "sha256" and "digest: user" in tier(reader)["detail"]
    assert tier(daemon)["tier"] == ("sha256" if capabilities()["ima"] else "ima")
