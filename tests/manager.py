# SPDX-License-Identifier: Apache-2.0
"""A service manager as small as a test needs: it runs a daemon, keeps the descriptors that the daemon stores with it
(sd_notify(3): FDSTORE=1, FDSTOREREMOVE=1 on $NOTIFY_SOCKET) and passes them to the next one (LISTEN_FDS)."""

import array
import os
import signal
import socket
import sys
import threading

from world import until

FIRST = 3

# Descriptors cannot be put at their numbers before Process has made its own: this does it, in the daemon's place.
START = """
import fcntl, os, sys
fds = [int(n) for n in sys.argv[1].split(",") if n]
high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in fds]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


class Manager:
    """Runs one Daemon; a context manager."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.path = daemon.folder / "notify.sock"
        self.store = {}  # name -> descriptor
        self.said = []
        self.lock = threading.Lock()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _listen(self):
        while True:
            try:
                data, control, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(64 * 4), socket.MSG_CMSG_CLOEXEC)
            except OSError:
                return
            fds = array.array("i")
            for level, kind, payload in control:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
            if data == b"quit":
                return
            self._take(dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line), list(fds))

    def _take(self, message, fds):
        with self.lock:
            self.said.append(message)
            name = message.get("FDNAME")
            if message.get("FDSTOREREMOVE") and name in self.store:
                os.close(self.store.pop(name))
            if message.get("FDSTORE") and fds:
                if name in self.store:
                    os.close(self.store[name])
                self.store[name] = fds.pop()
        for fd in fds:
            os.close(fd)

    def names(self):
        with self.lock:
            return set(self.store)

    def heard(self, key):
        with self.lock:
            return sum(key in m for m in self.said)

    def start(self, wait=True):
        """Starts the daemon with what is stored; returns when it has said READY=1."""
        ready = self.heard("READY")
        with self.lock:
            stored = list(self.store.items())
        self.daemon.env = {
            **os.environ,
            "NOTIFY_SOCKET": str(self.path),
            "WATCHDOG_USEC": "30000000",
            "LISTEN_FDS": str(len(stored)),
            "LISTEN_FDNAMES": ":".join(name for name, _ in stored),
        }
        fds = [fd for _, fd in stored]
        self.daemon.pass_fds = fds
        self.daemon.wrap = [sys.executable, "-c", START, ",".join(map(str, fds))]
        self.daemon.start(wait=False)
        if wait:
            until(f"READY=1 (the log ends: {self.daemon.log()[-600:]})",
                  lambda: self.heard("READY") > ready or self._died(), 30)
        return self.daemon

    def _died(self):
        if not self.daemon.running():
            raise SystemError(f"tipstaffd ended: {self.daemon.log()[-3000:]}")
        return False

    def restart(self, signum=signal.SIGTERM):
        """As `systemctl restart`, or as the death of the daemon by a signal and its restart."""
        if signum == signal.SIGKILL:
            self.daemon.kill_both()
        else:
            self.daemon.stop(signum)
        return self.start()

    def drop(self):
        """Lets go of everything, as at `systemctl stop`."""
        with self.lock:
            for fd in self.store.values():
                os.close(fd)
            self.store.clear()

    def close(self):
        quitter = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        quitter.sendto(b"quit", str(self.path))
        quitter.close()
        self.thread.join(5)
        self.socket.close()
        self.drop()
