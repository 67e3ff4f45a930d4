# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel packages: found through the machine's own apt sources, downloaded and unpacked, never installed.

What is kept of a kernel, below <cache>/<release>/: vmlinuz, and lib/modules/<release> with those modules that a machine
without hardware can use. `wanted` there says which modules those were, `package` the package and its version; it is written last.
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

KEYRING = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")

# Of the modules, what the guest may want; everything else drives hardware that it does not have.
WANTED = re.compile(
    r"/kernel/(arch|crypto|lib|net|security|drivers/(block/loop|virtio|char|vhost|net/[^/]+$)|"
    r"fs/(9p|ext4|fuse|fscache|jbd2|mbcache|netfs|nls|overlayfs))"
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


def whole(folder):
    """Is the kernel of that folder there with all that is wanted now?"""
    wanted = folder / "wanted"
    return (folder / "package").exists() and wanted.exists() and wanted.read_text(encoding="utf-8").strip() == WANTED.pattern


def cached(cache, series):
    """The release of the newest kernel of a series that is there, or None."""
    found = []
    for mark in cache.glob("*/package"):
        if not whole(mark.parent):
            continue
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


def say(text, end="\n"):
    print(f"vm: {text}", file=sys.stderr, flush=True, end=end)


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

    def show(self, packages):
        """What is known of packages: a dict of the interesting fields for each."""
        if not packages:
            return []
        said = self.run("apt-cache", "show", "--no-all-versions", *packages) or ""
        fields = re.compile(r"^(Package|Version|Size|Depends): (.*)$", re.MULTILINE)
        return [dict(fields.findall(text)) for text in said.split("\n\n") if text.strip()]

    def find(self, series):
        """The newest kernel of a series that is offered: (package, version, [all its packages], their size), or None."""
        names = [n for n in (self.run("apt-cache", "pkgnames", "linux-image-") or "").split()
                 if (m := KERNEL_NAME.fullmatch(n)) and in_series(m["version"], series)]
        best = newest([(p["Package"], p["Version"], p.get("Depends", "")) for p in self.show(names)])
        if not best:
            return None
        package, version, depends = best
        # From 7.x on Debian keeps the image, the modules and their tables in packages of their own.
        release = re.escape(package.removeprefix("linux-image-"))
        parts = [package, *re.findall(rf"\blinux-(?:base|binary|modules)-{release}(?= )", depends)]
        return package, version, parts, sum(int(p["Size"]) for p in self.show(parts))

    def download(self, packages, version, size, folder):
        """Downloads into `folder`, saying how far it is; the files, or None."""
        start = shown = time.monotonic()
        argv = ["apt-get", *self.options, "-q", "download", *(f"{p}={version}" for p in packages)]
        with open(folder / "apt.log", "w+", encoding="utf-8", errors="replace") as log:
            say(f"downloading {packages[0]} {version}, {size / 1e6:.0f} MB")
            apt = subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
            while apt.poll() is None:
                # A terminal sees each step, a log file one line every five seconds.
                now = time.monotonic()
                if now - shown > (0.5 if sys.stderr.isatty() else 5):
                    shown = now
                    have = sum(f.stat().st_size for f in folder.glob("*.deb"))
                    say(f"{have / 1e6:.0f} of {size / 1e6:.0f} MB", end="\r" if sys.stderr.isatty() else "\n")
                time.sleep(0.1)
            log.seek(0)
            said = log.read()
        files = sorted(folder.glob("*.deb"))
        if apt.returncode or len(files) != len(packages):
            say(f"{' '.join(argv)} failed:\n{said.strip()}")
            for file in files:
                file.unlink()
            return None
        say(f"downloaded in {time.monotonic() - start:.0f} s")
        return files


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
            # apt leaves the variable as it stands where nothing is known, as for sources in the newer format.
            if signed_by.startswith("$") and KEYRING.exists():
                signed_by = str(KEYRING)
            return uri, f"[signed-by={signed_by}] " if signed_by.startswith("/") else ""
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
    for place in ((), (folder / "apt", MORE_SUITES)):
        apt = Apt(*place)
        # Lists may be missing (a fresh container) or name a package that the mirror has dropped: then update, once.
        for updated in (False, True):
            if updated:
                if not apt.updatable:
                    break
                apt.update()
            found = apt.find(series)
            if not found:
                continue
            package, version, parts, size = found
            release = package.removeprefix("linux-image-")
            mark = cache / release / "package"
            if whole(mark.parent) and mark.read_text(encoding="utf-8").split() == [package, version]:
                say(f"{package} {version} is the newest, and here")
                return release
            debs = apt.download(parts, version, size, folder)
            if debs:
                unpack(debs, folder / "new", release)
                (folder / "new/wanted").write_text(f"{WANTED.pattern}\n", encoding="utf-8")
                (folder / "new/package").write_text(f"{package} {version}\n", encoding="utf-8")
                shutil.rmtree(cache / release, ignore_errors=True)
                (folder / "new").rename(cache / release)
                return release
    raise VmError(f"no kernel {series} (package linux-image-{series}...-amd64) in {Apt().where} nor in "
                  f"{', '.join(MORE_SUITES)} of the same mirror")


def unpack(debs, target, release):
    """The kernel and the wanted modules of its packages, with the tables that modprobe reads."""
    start = time.monotonic()
    modules = target / "lib/modules" / release
    modules.mkdir(parents=True)
    for deb in debs:
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as unpacker:
            with tarfile.open(fileobj=unpacker.stdout, mode="r|") as tar:
                for member in filter(tarfile.TarInfo.isfile, tar):
                    place = place_of(member.name, release)
                    if place:
                        data = tar.extractfile(member).read()
                        path = target / place
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_bytes(lzma.decompress(data) if member.name.endswith(".xz") else data)
        if unpacker.returncode:
            raise VmError(f"{deb.name} could not be unpacked (dpkg-deb: {unpacker.returncode})")
    if not (target / "vmlinuz").exists() or not (modules / "modules.builtin").exists():
        raise VmError(f"no kernel is in {' '.join(d.name for d in debs)}: has Debian arranged its packages anew?")
    # The package holds no tables of its modules; its installation would make them.
    done = subprocess.run(["busybox", "depmod", "-b", target, release], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise VmError(f"busybox depmod: {done.stdout.strip()}")
    say(f"unpacked {release} in {time.monotonic() - start:.0f} s")


def place_of(name, release):
    """Where a file of a package is kept, relative to the kernel's folder; None if it is not wanted."""
    name = name.removeprefix("./").removeprefix("usr/")
    if name in (f"boot/vmlinuz-{release}", f"lib/modules/{release}/vmlinuz"):
        return "vmlinuz"
    if not name.startswith(f"lib/modules/{release}/"):
        return None
    if name.endswith(("/modules.builtin", "/modules.builtin.modinfo", "/modules.order")):
        return name
    return name.removesuffix(".xz") if WANTED.search(name) and name.endswith((".ko", ".ko.xz")) else None
