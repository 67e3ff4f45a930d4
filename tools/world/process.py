# SPDX-License-Identifier: Apache-2.0
"""Processes of the world: started in a cgroup, a network namespace and under a uid, before their exec."""

import fcntl
import json
import os
import queue
import select
import signal
import subprocess
import termios
import threading
import time

from . import kernel
from .wait import PATIENCE, Timeout, until


class Process:
    """One process. Its output is collected; `close()` ends it if it still runs."""

    def __init__(self, argv, *, cgroup_dir=None, netns=None, uid=0, gid=None, env=None, cwd="/", stdin=None,
                 output=None, pass_fds=()):
        self.argv = [str(a) for a in argv]
        gid = uid if gid is None else gid
        fds = []
        try:
            procs = os.open(f"{cgroup_dir}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) if cgroup_dir else -1
            fds += [procs] if procs >= 0 else []
            ns = os.open(netns, os.O_RDONLY | os.O_CLOEXEC) if netns else -1
            fds += [ns] if ns >= 0 else []

            def enter():
                # In the child, before exec: the kernel must see the exec in its final place. The namespace comes first: a
                # daemon serves every namespace in which a process of its scope acts, and the one of this process is not ours.
                if ns >= 0:
                    kernel.setns(ns, kernel.CLONE_NEWNET)
                if procs >= 0:
                    os.write(procs, b"0")
                if uid or gid:
                    os.setgroups([])
                    os.setresgid(gid, gid, gid)
                    os.setresuid(uid, uid, uid)
                kernel.die_with_parent()

            self.popen = subprocess.Popen(
                self.argv,
                preexec_fn=enter,
                stdin=subprocess.PIPE if stdin == "pipe" else subprocess.DEVNULL,
                stdout=output if output is not None else subprocess.PIPE,
                stderr=output if output is not None else subprocess.STDOUT,
                env=env,
                cwd=cwd,
                pass_fds=pass_fds,
            )
        finally:
            for fd in fds:
                os.close(fd)
        self.pid = self.popen.pid
        self.lines = queue.Queue()
        self.output = []
        self._reading = threading.Lock()
        self._reader = None
        if self.popen.stdout:
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()

    def _read(self):
        fd, rest, data = self.popen.stdout.fileno(), b"", b"-"
        wait = select.poll()
        wait.register(fd, select.POLLIN)
        while data:
            wait.poll()
            with self._reading:
                data = os.read(fd, 1 << 16)
                *lines, rest = (rest + data).split(b"\n")
                for raw in lines if data or not rest else [*lines, rest]:
                    line = raw.decode("utf-8", "replace")
                    self.output.append(line)
                    self.lines.put(line)
        self.lines.put(None)

    def said(self):
        """Its whole lines up to now: what it had printed before this call is among them."""
        unread = bytearray(4)

        def all_read():
            with self._reading:
                fcntl.ioctl(self.popen.stdout, termios.FIONREAD, unread)
            return not any(unread)

        if not self.popen.stdout.closed:
            until(f"the output of {self.argv[0]} to be read", all_read)
        return list(self.output)

    def line(self, timeout=10.0):
        """The next line that it printed; None when it has closed its output."""
        return self._line_before(time.monotonic() + timeout * PATIENCE)

    def _line_before(self, end):
        try:
            return self.lines.get(timeout=max(0.01, end - time.monotonic()))
        except queue.Empty:
            raise Timeout(f"{self.argv[0]} printed nothing more in time; so far: {self.output[-5:]}") from None

    def json(self, timeout=10.0):
        """The next line that is a JSON object; anything else it says is kept in `output`."""
        return self._json_before(time.monotonic() + timeout * PATIENCE)

    def _json_before(self, end):
        while True:
            line = self._line_before(end)
            if line is None:
                raise Timeout(f"{self.argv[0]} ended ({self.popen.poll()}); it said: {self.output[-20:]}")
            if line.startswith("{"):
                return json.loads(line)

    def send(self, text):
        self.popen.stdin.write(text.encode() + b"\n")
        self.popen.stdin.flush()

    def wait(self, timeout=10.0):
        """Its exit status; negative: the signal that ended it."""
        try:
            status = self.popen.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            raise Timeout(f"{self.argv} still runs after {timeout * PATIENCE:g} s; it said: {self.output[-5:]}") from None
        if self._reader:
            self._reader.join(PATIENCE)
        return status

    def text(self):
        return "\n".join(self.output)

    def running(self):
        return self.popen.poll() is None

    def kill(self, signum=signal.SIGKILL):
        if self.running():
            self.popen.send_signal(signum)

    def close(self):
        self.kill()
        self.popen.wait()
        if self._reader:
            self._reader.join(PATIENCE)
        for pipe in (self.popen.stdin, self.popen.stdout):
            # A child that lives on may hold the other end: then the reader still reads, and would not let go.
            if pipe and not (pipe is self.popen.stdout and self._reader.is_alive()):
                try:
                    pipe.close()
                except OSError:
                    pass


class Workload(Process):
    """A Python workload (workload.py) that does what it is told: see there for the verbs. It answers in JSON lines;
    what its stream has to say arrives between the answers."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, stdin="pipe", **kwargs)
        self.news = []
        self.hello = self.json(20.0)

    def do(self, verb, timeout=15.0, **params):
        self.send(json.dumps({"do": verb, **params}))
        end = time.monotonic() + timeout * PATIENCE
        while True:
            answer = self._json_before(end)
            if "news" in answer:
                self.news.append(answer)
            else:
                return answer

    def tell(self, verb, **params):
        """As do(), for what does not answer (an exec)."""
        self.send(json.dumps({"do": verb, **params}))

    def next_news(self, timeout=10.0):
        """What the stream said next: {"news": "svid", ...} or {"news": "error", "code": ...}."""
        if self.news:
            return self.news.pop(0)
        end = time.monotonic() + timeout * PATIENCE
        while True:
            answer = self._json_before(end)
            if "news" in answer:
                return answer
