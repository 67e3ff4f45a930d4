# SPDX-License-Identifier: Apache-2.0
"""The initramfs: busybox, the few modules that lead to the host's root, and the three scripts. Made anew for each run, in
memory; so the command can travel in it, with no limit on its length."""

import os
import pathlib
import re
import shlex
import shutil

from . import VmError

HERE = pathlib.Path(__file__).parent
# What leads to the root, and to the host; all else is loaded on demand from there.
BOOT_MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")
APPLETS = ("sh", "cat", "chmod", "cp", "ln", "mkdir", "modprobe", "mount", "poweroff", "switch_root")


class Cpio:
    """An archive in the one format that the kernel reads (newc)."""

    def __init__(self):
        self.data = bytearray()
        self.inodes = 0
        self.folders = set()

    def add(self, name, mode, content=b""):
        self.inodes += 1
        fields = (self.inodes, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        self.data += b"070701" + b"".join(b"%08x" % f for f in fields) + name.encode() + b"\0"
        self.data += bytes(-len(self.data) % 4) + content
        self.data += bytes(-len(self.data) % 4)

    def folder(self, name):
        for part in [*reversed(pathlib.PurePosixPath(name).parents), pathlib.PurePosixPath(name)]:
            if str(part) not in self.folders and str(part) != ".":
                self.folders.add(str(part))
                self.add(str(part), 0o040755)

    def file(self, name, content, mode=0o644):
        self.folder(os.path.dirname(name))
        self.add(name, 0o100000 | mode, content)

    def link(self, name, target):
        self.folder(os.path.dirname(name))
        self.add(name, 0o120777, target.encode())

    def finish(self):
        self.add("TRAILER!!!", 0)
        return bytes(self.data)


def boot_modules(folder):
    """The boot modules that are not built in: their names; and {file: [files it needs]} of all that takes."""
    needs = {}
    for line in (folder / "modules.dep").read_text(encoding="utf-8").splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
    by_name = {pathlib.PurePosixPath(p).stem.replace("-", "_"): p for p in needs}
    builtin = {pathlib.PurePosixPath(p).stem.replace("-", "_")
               for p in (folder / "modules.builtin").read_text(encoding="utf-8").split()}
    names, chosen = [], {}
    for name in BOOT_MODULES:
        if name in by_name:
            names.append(name)
            for path in (by_name[name], *needs[by_name[name]]):
                chosen[path] = needs[path]
        elif name not in builtin:
            raise VmError(f"{folder} has no module {name}: is this the generic flavour of the kernel?")
    return names, chosen


def busybox():
    """A busybox that needs no library."""
    path = shutil.which("busybox")
    data = pathlib.Path(path).read_bytes() if path else b""
    # A dynamic one names its loader.
    if not data or re.search(rb"/lib(64|32)?/ld-[a-z0-9-]+\.so", data):
        raise VmError("a static busybox is missing (Debian: busybox-static): sudo tools/install-deps vm")
    return data


def make(modules, settings, argv):
    """The archive. `modules`: the kernel's lib/modules/<release>; `settings`: variables for the scripts."""
    cpio = Cpio()
    for name in ("dev", "proc", "sys", "host", "rw", "newroot"):
        cpio.folder(name)
    cpio.file("bin/busybox", busybox(), 0o755)
    for applet in APPLETS:
        cpio.link(f"bin/{applet}", "busybox")
    cpio.file("init", (HERE / "boot").read_bytes(), 0o755)
    for script in ("start", "command"):
        cpio.file(f"vm/{script}", (HERE / script).read_bytes(), 0o755)
    names, chosen = boot_modules(modules)
    lines = [f"{name}={shlex.quote(str(value))}" for name, value in settings.items()]
    lines.append(f"VM_BOOT_MODULES={shlex.quote(' '.join(names))}")
    cpio.file("vm/settings", "\n".join([*lines, "set -- " + shlex.join(argv), ""]).encode(errors="surrogateescape"))
    below = f"lib/modules/{modules.name}"
    for path in chosen:
        cpio.file(f"{below}/{path}", (modules / path).read_bytes())
    cpio.file(f"{below}/modules.dep", "".join(f"{p}: {' '.join(n)}\n" for p, n in chosen.items()).encode())
    return cpio.finish()
