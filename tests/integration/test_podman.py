# SPDX-License-Identifier: Apache-2.0
"""A real runtime: podman, its API service, and containers of an image of one static program."""

import json
import os
import pathlib
import pty
import shutil
import subprocess
import tarfile

import pytest

from world import PATIENCE, until

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]

RULES = """
- rule: Terminal shell in container
  desc: somebody has opened a shell in a container
  condition: >
    evt.type in (execve, execveat) and container.id != host and proc.name = sh and proc.tty != 0
  output: >
    shell id=%container.full_id name=%container.name type=%container.type image=%container.image
    repository=%container.image.repository tag=%container.image.tag digest=%container.image.digest
    privileged=%container.privileged start=%container.start_ts by=%proc.pname app=%container.label[app]
  priority: Notice
- rule: Privileged
  desc: a container that may do everything has started
  condition: evt.type in (execve, execveat) and proc.name = true and container.privileged = true
  output: privileged id=%container.full_id name=%container.name
  priority: Warning
- rule: Start
  desc: a container has started
  condition: evt.type in (execve, execveat) and proc.name = true and container.id != host
  output: start id=%container.full_id name=%container.name image=%container.image
  priority: Notice
"""
IMAGE = "localhost/shop/box:1.2"


def SETTINGS(world):
    return {"containers": {"docker": [], "podman": [str(world.dir / "podman.sock")], "hold_ms": 10000}}


class Podman:
    """podman with its storage in the world's folder, and its service."""

    def __init__(self, world):
        self.world = world
        folder = world.dir / "podman"
        folder.mkdir()
        self.argv = ["podman", "--root", str(folder / "root"), "--runroot", str(folder / "run"), "--storage-driver", "vfs",
                     "--cgroup-manager", "cgroupfs", "--tmpdir", str(folder / "tmp"), "--events-backend", "file", "--runtime", "crun"]
        self.where = ["--network", "none", "--cgroup-parent", world.cgroup_path("work/boxes")]
        self.image(folder / "image.tar")
        self.service = subprocess.Popen([*self.argv, "system", "service", "--time=0", f"unix://{world.dir}/podman.sock"])
        until("podman's service", lambda: os.path.exists(f"{world.dir}/podman.sock"), 60)

    def image(self, path):
        with tarfile.open(path, "w") as tar:
            tar.add(shutil.which("busybox"), "bin/busybox")
            for name in ("sh", "true", "sleep"):
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        self("import", str(path), IMAGE)

    def __call__(self, *args):
        done = subprocess.run([*self.argv, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                              timeout=60 * PATIENCE)
        if done.returncode:
            raise RuntimeError(f"podman {args[0]}: {done.stderr}")
        return done.stdout.strip()

    def run(self, *args):
        return self("run", *self.where, *args)

    def terminal(self, *args):
        """With a terminal of its own, as from a user's."""
        ours, its = pty.openpty()
        try:
            return subprocess.run([*self.argv, *args], stdin=its, stdout=its, stderr=its, check=False,
                                  timeout=60 * PATIENCE).returncode
        finally:
            os.close(ours)
            os.close(its)

    def close(self):
        subprocess.run([*self.argv, "rm", "--all", "--force", "--time", "0"], stdout=subprocess.DEVNULL, check=False)
        self.service.terminate()
        self.service.wait(30)
        # Where cgroup v1 is mounted too, podman makes folders there that it leaves.
        for top in pathlib.Path("/sys/fs/cgroup").glob(f"*/{self.world.name}"):
            if top.parent != self.world.cgroup2:
                for folder in sorted((p for p in [top, *top.rglob("*")] if p.is_dir()), key=lambda p: -len(p.parts)):
                    until(f"{folder} to be removable", lambda folder=folder: folder.rmdir() is None)


@pytest.fixture(scope="module")
def podman(world, daemon):
    if not shutil.which("podman"):
        pytest.skip("there is no podman: tools/install-deps test")
    p = Podman(world)
    try:
        try:
            p.run("--rm", IMAGE, "true")
        except RuntimeError as err:
            # Where RLIMIT_NOFILE cannot be raised, for one.
            pytest.skip(f"podman cannot start a container here: {err}")
        yield p
    finally:
        p.close()


def alert(daemon, mark, rule):
    return daemon.wait_alert(lambda a: a["rule"] == rule, since=mark, timeout=60)["output_fields"]


def test_a_terminal_shell_in_a_container(daemon, podman):
    podman.run("--detach", "--name", "web", "--label", "app=shop", IMAGE, "sleep", "10000")
    box = json.loads(podman("inspect", "web"))[0]
    mark = daemon.alerts_mark()
    assert podman.terminal("exec", "-it", "web", "sh", "-c", "exit 0") == 0
    seen = alert(daemon, mark, "Terminal shell in container")
    assert seen["container.full_id"] == box["Id"]
    assert seen["container.name"] == "web"
    assert seen["container.type"] == "podman"
    assert seen["container.image"] == IMAGE
    assert (seen["container.image.repository"], seen["container.image.tag"]) == ("localhost/shop/box", "1.2")
    assert seen["container.image.digest"] == box["ImageDigest"]
    assert seen["container.privileged"] is False
    assert seen["container.label[app]"] == "shop"
    assert seen["container.start_ts"] > 0


def test_a_shell_without_a_terminal_is_none(daemon, podman):
    mark = daemon.alerts_mark()
    podman("exec", "web", "sh", "-c", "/bin/true; exit 0")
    alert(daemon, mark, "Start")  # what the shell runs is told of, so the shell was seen
    assert not [a for a in daemon.told(mark) if a["rule"] == "Terminal shell in container"]


def test_a_container_that_is_gone_at_once(daemon, podman):
    """It may be gone before podman answers about it: then its event has told what it is called."""
    until("somebody listens to podman", lambda: daemon.status()["containers"]["streams"], 60)
    for i in range(3):
        mark = daemon.alerts_mark()
        podman.run("--rm", "--name", f"brief-{i}", IMAGE, "true")
        seen = alert(daemon, mark, "Start")
        assert (seen["container.name"], seen["container.image"]) == (f"brief-{i}", IMAGE)


def test_a_privileged_container(daemon, podman):
    mark = daemon.alerts_mark()
    podman.run("--rm", "--privileged", "--name", "strong", IMAGE, "true")
    assert alert(daemon, mark, "Privileged")["container.name"] == "strong"
