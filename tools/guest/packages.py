# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel packages: found through the machine's own apt sources, downloaded and unpacked, never installed.

What is kept of a kernel, below <cache>/<release>/: vmlinuz, and lib/modules/<release> with those modules that a machine
without hardware can use. `package` there names the package and its version; it is written last.
"""

import contextlib
import fcntl
import functools
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

from . import VmError

SERIES = ("6.1", "6.12", "7")

# Suites to look into when the machine's own have no kernel of a series; asked of the machine's own Debian mirror.
MORE_SUITES = ("bookworm-backports", "trixie", "trixie-backports")

# Of the modules, what the guest may want; everything else drives hardware that it does not have.
WANTED = re.compile(
    r"/kernel/(arch|crypto|lib|net|security|drivers/(virtio|char|vhost|net/[^/]+$)|fs/(9p|fuse|fscache|netfs|nls|overlayfs))"
)
# The ABI name tells a kernel from the meta package that leads to it.
KERNEL_NAME = re.compile(r"linux-image-(?P<version>\d+(?:\.\d+)+)(?:-\d+|\+[a-z0-9.]+)-amd64")


def cache_dir(root):
    """Where kernels are kept: $TIPSTAFF_VM_CACHE, or vm/ in the build folder."""
    named = os.environ.get("TIPSTAFF_VM_CACHE")
    return pathlib.Path(named).resolve() if named else root / os.environ.get("BUILD", "build") / "vm"


def in_series(version, series):
    """6.1.0 is of the series 6.1 and of 6; 6.12.3 is not."""
    return (version + ".").startswith(series + ".")


def compare(a, b):
    """Debian's order of versions."""
    if a == b:
        return 0
    return -1 if subprocess.run(["dpkg", "--compare-versions", a, "lt", b], check=False).returncode == 0 else 1


def newest(packages):
    """The newest of [(name, version, ...)]; None of none."""
    return max(packages, key=functools.cmp_to_key(lambda a, b: compare(a[1], b[1])), default=None)


def cached(cache, series):
    """The release of the newest kernel of a series that is there, or None."""
    found = []
    for mark in cache.glob("*/package"):
        name, version = mark.read_text(encoding="utf-8").split()
        if in_series(KERNEL_NAME.fullmatch(name)["version"], series):
            found.append((mark.parent.name, version))
    best = newest(found)
    return best[0] if best else None


@contextlib.contextmanager
def locked(cache):
    """One download at a time."""
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(text):
    print(f"vm: {text}", file=sys.stderr, flush=True)


# ---- apt ------------------------------------------------------------------------


class Apt:
    """apt as this machine has it; with `folder`, one with lists and sources of its own there."""

    def __init__(self, folder=None, suites=()):
        self.options = ["-o", "Acquire::Retries=3", "-o", "Acquire::http::Timeout=30", "-o", "Acquire::https::Timeout=30"]
        if os.geteuid() == 0:
            # The sandbox user could not write into a build folder of somebody else.
            self.options += ["-o", "APT::Sandbox::User=root"]
        self.where = "the machine's apt sources"
        if folder:
            uri, signed_by = debian_mirror()
            (folder / "lists/partial").mkdir(parents=True)
            (folder / "sources.list").write_text(
                "".join(f"deb {signed_by}{uri} {suite} main\n" for suite in suites), encoding="utf-8")
            self.options += [
                "-o", f"Dir::Etc::SourceList={folder}/sources.list", "-o", "Dir::Etc::SourceParts=-",
                "-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}",
                "-o", "Acquire::Languages=none",
            ]
            self.where = " and ".join(suites)
        self.updatable = bool(folder) or os.geteuid() == 0

    def run(self, tool, *args):
        """What a tool of apt printed; None when it failed."""
        done = subprocess.run([tool, *self.options, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, check=False)
        return done.stdout if done.returncode == 0 else None

    def update(self):
        """Reads the package lists again. One source that cannot be had is no reason to fail."""
        say(f"reading the package lists of {self.where}")
        self.run("apt-get", "-q", "update")

    def find(self, series):
        """The newest kernel of a series that is offered: (package, version, size), or None."""
        names = [n for n in (self.run("apt-cache", "pkgnames", "linux-image-") or "").split()
                 if (m := KERNEL_NAME.fullmatch(n)) and in_series(m["version"], series)]
        offered = []
        if names:
            for text in (self.run("apt-cache", "show", "--no-all-versions", *names) or "").split("\n\n"):
                fields = dict(re.findall(r"^(Package|Version|Size): (.*)$", text, re.MULTILINE))
                if len(fields) == 3:
                    offered.append((fields["Package"], fields["Version"], int(fields["Size"])))
        return newest(offered)

    def download(self, package, version, size, folder):
        """Downloads into `folder` with a line of progress; the file, or None."""
        start = time.monotonic()
        with open(folder / "apt.log", "w+", encoding="utf-8", errors="replace") as log:
            apt = subprocess.Popen(["apt-get", *self.options, "-q", "download", f"{package}={version}"], cwd=folder,
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
            shown = 0.0
            while True:
                try:
                    apt.wait(0.25)
                    break
                except subprocess.TimeoutExpired:
                    pass
                # A terminal sees each step, a log file one line every five seconds.
                now = time.monotonic()
                if sys.stderr.isatty() or now - shown > 5:
                    shown = now
                    have = sum(f.stat().st_size for f in folder.rglob("*.deb"))
                    text = f"vm: {package}: {have / 1e6:.0f} of {size / 1e6:.0f} MB"
                    print(text, end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)
            log.seek(0)
            said = log.read()
        files = list(folder.glob("*.deb"))
        if apt.returncode or len(files) != 1:
            say(f"apt-get download {package}={version} failed:\n{said.strip()}")
            return None
        say(f"{package}: {size / 1e6:.0f} MB in {time.monotonic() - start:.0f} s")
        return files[0]


def debian_mirror():
    """The Debian mirror that this machine's apt uses: (its URI, "[signed-by=...] " or "")."""
    with open("/etc/os-release", encoding="utf-8") as f:
        release = dict(line.rstrip().split("=", 1) for line in f if "=" in line)
    codename = release.get("VERSION_CODENAME", "").strip('"')
    done = subprocess.run(["apt-get", "indextargets", "--format", "$(RELEASE)|$(REPO_URI)|$(SIGNED_BY)",
                           "Created-By: Packages", "Component: main"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    for line in done.stdout.splitlines():
        suite, uri, signed_by = line.split("|", 2)
        if suite == codename:
            return uri, f"[signed-by={signed_by}] " if signed_by else ""
    raise VmError(f"no Debian mirror among this machine's apt sources (a source with {codename} main)")


# ---- fetching ---------------------------------------------------------------------


def fetch(cache, series, refresh=False):
    """The release of a kernel of a series that lies unpacked in the cache. Asks the network only if none is there, or
    with `refresh` also for a newer one."""
    with locked(cache):
        have = cached(cache, series)
        if have and not refresh:
            return have
        for tool in ("apt-get", "apt-cache", "dpkg-deb", "busybox"):
            if not shutil.which(tool):
                raise VmError(f"{tool} is missing: kernels come from Debian packages (sudo tools/install-deps vm)")
        with tempfile.TemporaryDirectory(dir=cache, prefix=".part-") as temporary:
            return find_and_unpack(cache, series, pathlib.Path(temporary))


def find_and_unpack(cache, series, folder):
    """fetch() when the network has to be asked."""
    for apt in (lambda: Apt(), lambda: Apt(folder / "apt", MORE_SUITES)):
        apt = apt()
        # Lists may be missing (a fresh container) or name a package that the mirror has dropped: then update, once.
        for updated in (False, True):
            if updated:
                if not apt.updatable:
                    break
                apt.update()
            found = apt.find(series)
            if not found:
                continue
            package, version, size = found
            release = package.removeprefix("linux-image-")
            mark = cache / release / "package"
            if mark.exists() and mark.read_text(encoding="utf-8").split() == [package, version]:
                say(f"{package} {version} is the newest, and here")
                return release
            deb = apt.download(package, version, size, folder)
            if deb:
                unpack(deb, folder / "new", release)
                (folder / "new/package").write_text(f"{package} {version}\n", encoding="utf-8")
                shutil.rmtree(cache / release, ignore_errors=True)
                (folder / "new").rename(cache / release)
                return release
    raise VmError(f"no kernel {series} (package linux-image-{series}...-amd64) in {Apt().where} nor in "
                  f"{', '.join(MORE_SUITES)} of the same mirror")


def unpack(deb, target, release):
    """The kernel and the wanted modules of a package, with the tables that modprobe reads."""
    start = time.monotonic()
    modules = target / "lib/modules" / release
    modules.mkdir(parents=True)
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as unpacker:
        with tarfile.open(fileobj=unpacker.stdout, mode="r|") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                name = member.name.removeprefix(".")
                if name == f"/boot/vmlinuz-{release}":
                    (target / "vmlinuz").write_bytes(tar.extractfile(member).read())
                elif name.endswith(("/modules.builtin", "/modules.builtin.modinfo", "/modules.order")):
                    (modules / name.rpartition("/")[2]).write_bytes(tar.extractfile(member).read())
                elif WANTED.search(name) and name.endswith((".ko", ".ko.xz")):
                    data = tar.extractfile(member).read()
                    path = modules / name[name.index("/kernel/") + 1:].removesuffix(".xz")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(lzma.decompress(data) if name.endswith(".xz") else data)
    if unpacker.returncode or not (target / "vmlinuz").exists():
        raise VmError(f"{deb.name} could not be unpacked (dpkg-deb: {unpacker.returncode}): is the disk full?")
    # The package holds no tables; its installation would make them.
    done = subprocess.run(["busybox", "depmod", "-b", target, release], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise VmError(f"busybox depmod: {done.stdout.strip()}")
    say(f"unpacked {release} in {time.monotonic() - start:.0f} s")
