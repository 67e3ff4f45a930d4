# SPDX-License-Identifier: Apache-2.0
"""A kubelet as small as a test needs: it lists its pods to whoever has a token."""

import json
import socket
import ssl
import threading
import time

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def pod(cid, name="web-7d9", padding=0, **status):
    """A pod of one container, with init and debug containers that never ran; `status` is put over the container's."""
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": "uid-1", "labels": {"tier": "front"},
                     "annotations": {"note": "<items> \"items\": [{}]" + "x" * padding}},
        "spec": {
            "volumes": [{"name": "data", "hostPath": {"path": "/srv/data"}}, {"name": "tmp", "emptyDir": {}}],
            "containers": [{
                "name": "web", "image": "registry.example.org:5000/shop/web:1.2", "securityContext": {"privileged": True},
                "livenessProbe": {"exec": {"command": ["/bin/true", "live"]}},
                "volumeMounts": [{"name": "data", "mountPath": "/data", "readOnly": True}, {"name": "tmp", "mountPath": "/tmp"}],
            }],
            "hostPID": True,
        },
        "status": {
            "podIP": "10.1.2.3",
            "containerStatuses": [{
                "name": "web", "containerID": f"containerd://{cid}", "image": "registry.example.org:5000/shop/web:1.2",
                "imageID": "registry.example.org:5000/shop/web@sha256:" + "cd" * 32,
                "state": {"running": {"startedAt": "2026-01-02T03:04:06Z"}}, **status,
            }],
        },
    }


class Kubelet:
    """`pods`: those that it lists; `token`: the one that it takes, None: it asks for none; `answer`: bytes of HTTP instead of
    a list, or pieces of them; `delay`: seconds before it. `asked`: the head of each request."""

    def __init__(self, world, context=None):
        self.context = context
        self.pods = []
        self.token = None
        self.answer = None
        self.delay = 0
        self.asked = []
        self.listener = world.socket("node")
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        """Nobody listens any more."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it was closed before
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            head = b""
            while b"\r\n\r\n" not in head:
                data = connection.recv(4096)
                if not data:
                    return
                head += data
            head = head.decode()
            self.asked.append(head)
            time.sleep(self.delay)
            for part in self._reply(head):
                connection.sendall(part)
        except (OSError, ssl.SSLError):
            pass
        finally:
            connection.close()

    def _reply(self, head):
        if self.answer is not None:
            return [self.answer] if isinstance(self.answer, bytes) else self.answer
        if not head.startswith("GET /pods HTTP/1.1\r\n"):
            return [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"]
        if self.token and f"\r\nAuthorization: Bearer {self.token}\r\n" not in head:
            return [b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 12\r\n\r\nUnauthorized"]
        body = json.dumps({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": self.pods or None}).encode()
        parts = [body[i:i + 4096] for i in range(0, len(body), 4096)]
        return [OK + b"Transfer-Encoding: chunked\r\n\r\n", *(b"%x\r\n%s\r\n" % (len(p), p) for p in parts), b"0\r\n\r\n"]
