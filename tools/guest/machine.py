# SPDX-License-Identifier: Apache-2.0
"""qemu-system-x86_64, always with TCG: runs one guest to its end and says how that was.

Five ways lead out of the guest: the kernel's console (to a file), and four ports: the command's output, its errors, the
files that it leaves behind (a tar archive), and what happens ("started", "exit N"). A shell has a terminal in place of the
first two.
"""

import contextlib
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time

from world.kernel import die_with_parent

from . import VmError

# As timeout(1) says it; and what is neither the command's failure nor its success.
STATUS_TIME, STATUS_MACHINE = 124, 125
# How often a guest is started whose kernel fails before it has run anything of ours, or by the emulator's fault: while a kernel
# patches its own code, an emulated processor can meet the breakpoint that guards the place after it is gone.
BOOTS = 3
EMULATOR = re.compile(r"\bOops: int3:")

KERNEL_ARGUMENTS = (
    "console=ttyS0 quiet loglevel=4 "
    # An oops ends the machine at once, and with -no-reboot qemu as well.
    "oops=panic panic=-1 "
    "lsm=lockdown,capability,landlock,bpf cgroup_no_v1=all "
    # Emulated time stands still now and then; that is no news.
    "no_timer_check nowatchdog rcupdate.rcu_cpu_stall_suppress=1 mitigations=off random.trust_cpu=on"
)
# How a capability (tipstaffd --capabilities) is taken from the guest: an argument of the kernel, a module that it does not
# load, or nothing here, because the script `start` leaves it out.
WITHOUT = {
    "lsm": ("lsm", "lockdown,capability,landlock"),
    "ktls": ("module_blacklist", "tls"),
    "nfqueue": ("module_blacklist", "nfnetlink_queue"),
    "cgroup2": None,
}
# As the kernel spells them: "..MP-BIOS bug: ..." is none of its own.
TROUBLE = re.compile(r"Kernel panic|\bOops\b|\bBUG: |general protection fault|KASAN: |UBSAN: ")
WARNING = re.compile(r"WARNING: CPU|possible recursive locking|suspicious RCU usage")


def trouble(console, pattern=TROUBLE):
    """What the kernel said from its first complaint on; "" if it did not complain."""
    lines = console.splitlines()
    for i, line in enumerate(lines):
        if pattern.search(line):
            return "\n".join(lines[max(0, i - 2): i + 60])
    return ""


def without(names):
    """The kernel's arguments that take these capabilities away. It looks at the last of a kind only."""
    kinds = {}
    for name in names:
        if WITHOUT[name]:
            kind, value = WITHOUT[name]
            kinds.setdefault(kind, []).append(value)
    return " ".join(f"{kind}={','.join(values)}" for kind, values in kinds.items())


# QEMU 7.2 can leave flags of the processor undefined after a cmpxchg16b that is interrupted, and the guest's kernel ends in a
# double fault in its allocator, once in some hours. Without the feature Linux uses another instruction. From 7.0 on it must
# have it: kmalloc_nolock(), by which BPF gets task storage there, gives nothing without.
def cpu(release):
    return "max" if int(release.split(".")[0]) >= 7 else "max,-cx16"


def arguments(processor, vmlinuz, initramfs, console, append, memory, cpus, icount):
    # Instructions can be counted on one processor only, and while it idles time shall not run after a clock of the host.
    machine = (["-accel", "tcg,thread=single", "-smp", "1", "-icount", "shift=0,sleep=off"] if icount
               else ["-accel", "tcg,thread=multi", "-smp", str(cpus)])
    return [
        "qemu-system-x86_64", *machine, "-cpu", processor, "-m", str(memory),
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-monitor", "none",
        "-kernel", vmlinuz, "-initrd", initramfs, "-append", f"{KERNEL_ARGUMENTS} {append}",
        "-chardev", f"file,id=console,path={console}", "-serial", "chardev:console",
        "-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
        "-device", "virtio-9p-pci,fsdev=root,mount_tag=host",
        "-device", "virtio-serial-pci",
    ]


def port(number, name, fd):
    """A port of the guest's whose output goes to a file descriptor of ours."""
    return ["-add-fd", f"fd={fd},set={number}", "-chardev", f"file,id={name},path=/dev/fdset/{number},append=on",
            "-device", f"virtserialport,nr={number},chardev={name},name={name}"]


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


class Outcome:
    """What came out of the port that tells what happens."""

    def __init__(self):
        self.text = ""

    def feed(self, data):
        self.text += data.decode("ascii", "replace")

    @property
    def started(self):
        return "started\n" in self.text

    @property
    def status(self):
        found = re.search(r"^exit (\d+)$", self.text, re.MULTILINE)
        return int(found[1]) if found else None


def forward(qemu, sources, outcome, deadline):
    """Copies what the guest says until qemu closes its ends. False when time was up before."""
    with selectors.DefaultSelector() as waiting:
        for fd, target in sources.items():
            waiting.register(fd, selectors.EVENT_READ, target)
        while waiting.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for key, _ in waiting.select(min(left, 1.0)):
                data = os.read(key.fd, 65536)
                if not data:
                    waiting.unregister(key.fd)
                elif key.data is None:
                    outcome.feed(data)
                else:
                    write_all(key.data, data)
    with contextlib.suppress(subprocess.TimeoutExpired):
        qemu.wait(max(0.1, deadline - time.monotonic()))
    return qemu.poll() is not None


def bring_back(archive, keep):
    """Takes out of the guest's archive what the caller wanted: {name: path}."""
    left = dict(keep)
    archive.seek(0)
    with contextlib.suppress(tarfile.ReadError), tarfile.open(fileobj=archive) as tar:  # an empty one cannot be read
        for member in tar:
            path = left.pop(member.name, None) if member.isfile() else None
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
                part = path.with_name(f"{path.name}.part")
                with open(part, "wb") as f:
                    shutil.copyfileobj(tar.extractfile(member), f)
                part.rename(path)
    for name in left:
        print(f"vm: note: the command left no {name}", file=sys.stderr)


def run(processor, vmlinuz, initramfs, **options):
    """Boots, runs what the initramfs says, and returns the exit status for the caller's caller. `options`: see start()."""
    if not shutil.which("qemu-system-x86_64"):
        raise VmError("qemu-system-x86_64 is missing (Debian: qemu-system-x86): sudo tools/install-deps vm")
    for boot in range(1, BOOTS + 1):
        status, again = start(processor, vmlinuz, initramfs, **options)
        if not again or boot == BOOTS:
            break
        print(f"vm: note: {again}; it is started again ({boot + 1} of {BOOTS})", file=sys.stderr)
    return status


def start(processor, vmlinuz, initramfs, *, shell=False, append="", memory=2048, cpus=2, icount=False, timeout=600.0, keep=None):
    """One guest, to its end: the exit status, and why it says nothing of the command ("": it does)."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tipstaff-vm-"))
        with open(f"{folder}/initramfs", "wb") as f:
            f.write(initramfs)
        argv = arguments(processor, vmlinuz, f.name, f"{folder}/console", append, memory, cpus, icount)
        sources, theirs = {}, []
        archive = stack.enter_context(tempfile.TemporaryFile(dir=folder))
        for number, name, target in ((1, "output", 1), (2, "errors", 2), (3, "kept", archive.fileno()), (4, "events", None)):
            ours, its = os.pipe()
            stack.callback(os.close, ours)
            sources[ours] = target
            theirs.append(its)
            argv += port(number, name, its)
        if shell:
            argv += ["-chardev", "stdio,id=terminal,signal=off", "-device", "virtconsole,nr=0,chardev=terminal"]
        qemu = subprocess.Popen(argv, stdin=None if shell else subprocess.DEVNULL, stdout=None if shell else 2,
                                pass_fds=theirs, preexec_fn=die_with_parent)
        for fd in theirs:
            os.close(fd)
        stack.callback(end, qemu)
        outcome = Outcome()
        in_time = forward(qemu, sources, outcome, time.monotonic() + timeout)
        end(qemu)
        if keep and in_time:
            bring_back(archive, keep)
        with open(f"{folder}/console", encoding="utf-8", errors="replace") as f:
            console = f.read()
        status = judge(outcome, console, in_time, timeout, qemu.returncode)
        return status, useless(outcome, console) if status == STATUS_MACHINE else ""


def useless(outcome, console):
    """Why a machine that failed is no reason to fail, "": it is one."""
    if not outcome.started:
        return "it had not come up"
    return "that is a fault of the emulator's" if EMULATOR.search(trouble(console)) else ""


def end(qemu):
    if qemu.poll() is None:
        qemu.send_signal(signal.SIGKILL)
        qemu.wait()


def judge(outcome, console, in_time, timeout, qemu_status):
    """The exit status, and on stderr why it is not the command's."""
    complaint = trouble(console)
    last = "\n".join(console.splitlines()[-25:])
    if complaint:
        print(f"vm: the kernel failed:\n{complaint}", file=sys.stderr)
        return STATUS_MACHINE
    if not in_time:
        doing = "the command still ran" if outcome.started else "the guest had not come up"
        print(f"vm: {doing} after {timeout:g} s (--timeout); the console ends:\n{last}", file=sys.stderr)
        return STATUS_TIME
    if outcome.status is None:
        print(f"vm: the guest ended without a word (qemu: {qemu_status}); its console ends:\n{last}", file=sys.stderr)
        return STATUS_MACHINE
    warning = trouble(console, WARNING)
    if warning:
        print(f"vm: note: the kernel warned:\n{warning}", file=sys.stderr)
    return outcome.status
