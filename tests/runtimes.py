# SPDX-License-Identifier: Apache-2.0
"""Container runtimes as small as a test needs: a socket that answers as Docker's API does."""

import json
import os
import secrets
import socket
import threading
import time


def new_id():
    """A container's ID."""
    return secrets.token_hex(32)


def container(cid, **more):
    """What Docker says about a container; `more` is put over it."""
    return {
        "Id": cid,
        "Name": "/web-1",
        "Image": "sha256:" + "ab" * 32,
        "Created": "2026-01-02T03:04:05.5Z",
        "State": {"Status": "running", "Pid": 1, "StartedAt": "2026-01-02T03:04:06.000000001Z"},
        "Config": {
            "Image": "registry.example.org:5000/shop/web:1.2",
            "Labels": {"app": "web", "tier": "front"},
            "Healthcheck": {"Test": ["CMD", "/bin/true", "health"]},
        },
        "HostConfig": {"Privileged": False, "PidMode": "", "NetworkMode": "default", "IpcMode": "host"},
        "Mounts": [
            {"Source": "/srv/data", "Destination": "/data", "Mode": "ro", "RW": False, "Propagation": "rprivate"},
            {"Source": "/etc/hosts", "Destination": "/etc/hosts", "Mode": "", "RW": True, "Propagation": "rslave"},
        ],
        "NetworkSettings": {"IPAddress": "172.17.0.9"},
        **more,
    }


class Docker:
    """A socket at `path`. `answers`: path -> what is said, an object or whole bytes of HTTP; `delay`: seconds before it."""

    def __init__(self, path):
        self.path = path
        self.answers = {}
        self.delay = 0
        self.asked = []
        self.chunked = False
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(str(path))
        os.chmod(path, 0o660)
        self.socket.listen(64)
        threading.Thread(target=self._serve, daemon=True).start()

    def know(self, cid, **more):
        """A container is there from now on."""
        self.answers[f"/containers/{cid}/json"] = container(cid, **more)
        self.answers["/images/sha256:" + "ab" * 32 + "/json"] = {
            "Id": "sha256:" + "ab" * 32,
            "RepoDigests": ["registry.example.org:5000/shop/web@sha256:" + "cd" * 32],
        }

    def _serve(self):
        while True:
            try:
                conn, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(conn,), daemon=True).start()

    def _answer(self, conn):
        with conn:
            head = b""
            while b"\r\n\r\n" not in head:
                data = conn.recv(4096)
                if not data:
                    return
                head += data
            path = head.split()[1].decode()
            self.asked.append(path)
            time.sleep(self.delay)
            answer = self.answers.get(path)
            try:
                conn.sendall(answer if isinstance(answer, bytes) else self._http(answer))
            except OSError:
                pass

    def _http(self, answer):
        if answer is None:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 24\r\n\r\n" + b'{"message":"no such one"}'[:24]
        body = json.dumps(answer).encode()
        if not self.chunked:
            return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        parts = [body[i:i + 100] for i in range(0, len(body), 100)]
        return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                + b"".join(b"%x;x=y\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\nX: y\r\n\r\n")

    def times_asked(self, cid):
        return sum(cid in path for path in self.asked)

    def close(self):
        self.socket.close()
