# SPDX-License-Identifier: Apache-2.0
"""Container runtimes as small as a test needs: a socket that answers as Docker's API does, and one that speaks the CRI."""

import json
import os
import queue
import secrets
import socket
import subprocess
import sys
import threading
import time
from concurrent import futures


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


def event(cid, action, **attributes):
    """A line of Docker's events."""
    return json.dumps({"Type": "container", "Action": action, "Actor": {"ID": cid, "Attributes": attributes}, "scope": "local",
                       "status": action, "id": cid, "time": 1767323045}).encode() + b"\n"


class Docker:
    """
    A socket at `path`. `answers`: path -> what is said, an object or whole bytes of HTTP; `delay`: seconds before it;
    `events`: whether it has any.
    """

    def __init__(self, path, events=False):
        self.path = path
        self.events = events
        self.listeners = []
        self.answers = {}
        self.delay = 0
        self.asked = []
        self.answered = []
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
            if self.events and path.startswith("/events?"):
                conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
                self.listeners.append(conn)
                try:
                    conn.recv(1)  # until either side ends it
                except OSError:
                    pass
                if conn in self.listeners:
                    self.listeners.remove(conn)
                return
            time.sleep(self.delay)
            answer = self.answers.get(path)
            try:
                conn.sendall(answer if isinstance(answer, bytes) else self._http(answer))
            except OSError:
                return
            self.answered.append(path)

    def say(self, data):
        """To everybody who listens, as it is."""
        for conn in self.listeners:
            conn.sendall(b"%x\r\n%s\r\n" % (len(data), data))

    def tell(self, cid, action="create", **attributes):
        self.say(event(cid, action, **attributes))

    def hang_up(self):
        """Nobody listens when this returns."""
        while self.listeners:
            self.listeners.pop().shutdown(socket.SHUT_RDWR)

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
        # Who waits in accept() would go on, and take what comes to the descriptor's next owner.
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


# ---- the Container Runtime Interface ------------------------------------------------------------


def varint(n):
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def message(*fields):
    """A protobuf message of (number, value): int, bool, text, bytes (a message too); a dict is a map, a list is repeated."""
    out = b""
    for number, value in fields:
        if isinstance(value, dict):
            value = [message((1, k), (2, v)) for k, v in value.items()]
        for v in value if isinstance(value, list) else [value]:
            if isinstance(v, int):
                out += varint(number << 3) + varint(int(v))
            else:
                data = v.encode() if isinstance(v, str) else v
                out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def text_field(data, number):
    """The first text under `number` in a message; "" if there is none."""
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        n, at = read_varint(data, at)
        if tag & 7 == 2:
            if tag >> 3 == number:
                return data[at:at + n]
            at += n
    return b""


def read_varint(data, at):
    n = shift = 0
    while True:
        n |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 0x80:
            return n, at


class CriServer:
    """containerd, as the CRI shows it: pods of one container each."""

    PREFIX = "/runtime.v1.RuntimeService/"

    def __init__(self, path, version):
        import grpc

        self.grpc = grpc
        self.version = version
        self.listeners = []
        self.containers = {}  # id -> (sandbox id, ContainerStatusResponse)
        self.sandboxes = {}  # id -> PodSandboxStatusResponse
        self.asked = []
        outer = self

        class Handler(grpc.GenericRpcHandler):
            def service(self, details):
                if details.method == outer.PREFIX + "GetContainerEvents":
                    return grpc.unary_stream_rpc_method_handler(outer.events)
                return grpc.unary_unary_rpc_method_handler(lambda request, context: outer.answer(details.method, request, context))

        self.server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[Handler()])
        self.server.add_insecure_port(f"unix:{path}")
        self.server.start()
        os.chmod(path, 0o660)

    def answer(self, method, request, context):
        method = method.removeprefix(self.PREFIX)
        cid = text_field(text_field(request, 1), 1).decode() if method == "ListContainers" else text_field(request, 1).decode()
        self.asked.append([method, cid])
        if method == "Version":
            return message((1, "0.1.0"), (2, "containerd"), (3, self.version))
        if method == "ListContainers":
            found = self.containers.get(cid)
            return message((1, [message((1, cid), (2, found[0]))])) if found else b""
        found = self.containers.get(cid, (0, None))[1] if method == "ContainerStatus" else self.sandboxes.get(cid)
        if found is None:
            context.abort(self.grpc.StatusCode.NOT_FOUND, f"{cid}: not found")
        return found

    def events(self, request, context):
        """Those that come from now on, until one is empty."""
        self.asked.append(["GetContainerEvents", ""])
        mine = queue.Queue()
        context.add_callback(lambda: mine.put(b""))
        self.listeners.append(mine)
        yield from iter(mine.get, b"")
        self.listeners.remove(mine)

    def serve(self):
        """Does what it is told on standard input, a line of JSON each, and says so."""
        print(json.dumps("ready"), flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            if "container" in order:
                self.containers[order["container"]] = order["sandbox"], bytes.fromhex(order["status"])
            elif "sandbox" in order:
                self.sandboxes[order["sandbox"]] = bytes.fromhex(order["status"])
            elif "event" in order:
                for listener in list(self.listeners):
                    listener.put(bytes.fromhex(order["event"]))
            print(json.dumps(self.asked), flush=True)


def container_status(cid, privileged=False):
    info = {"config": {"image": {"image": "sha256:" + "12" * 32}, "linux": {"security_context": {"privileged": privileged}}}}
    return message(
        (1, message(
            (1, cid), (2, message((1, "web"))), (5, 1767323046000000001), (8, message((1, "docker.io/shop/web:1.2"))),
            (9, "docker.io/shop/web@sha256:" + "ef" * 32), (12, {"app": "web"}),
            (14, [message((1, "/data"), (2, "/srv/data"), (3, True), (5, 1))]))),
        (2, {"info": json.dumps(info)}))


def container_event(cid, sandbox, kind=0):
    """What the CRI tells when a container is made (`kind`: 0)."""
    return message((1, cid), (2, kind), (3, 1767323045000000000), (4, first(sandbox_status(sandbox))),
                   (5, [first(container_status(cid))]))


def first(status):
    return text_field(status, 1)


def sandbox_status(sandbox):
    applied = {"spec": {"containers": [{"name": "sidecar"},
                                       {"name": "web", "livenessProbe": {"exec": {"command": ["/bin/true", "live"]}}}]}}
    info = {"image": "registry.k8s.io/pause:3.9", "cniResult": {"Interfaces": {"eth0": {"Mac": "x"}}}}
    return message(
        (1, message(
            (1, sandbox), (2, message((1, "web-7d9"), (2, "uid-1"), (3, "shop"))), (4, 1767323045000000000),
            (5, message((1, "10.1.2.3"))), (6, message((1, message((2, message((1, 2), (2, 0), (3, 2))))))),
            (7, {"tier": "front"}), (8, {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(applied)}))),
        (2, {"info": json.dumps(info)}))


class Cri:
    """A CriServer in a process of its own: grpcio's threads do not live with tests that fork."""

    def __init__(self, path, version="1.7.24"):
        self.process = subprocess.Popen([sys.executable, __file__, str(path), version], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        assert json.loads(self.process.stdout.readline()) == "ready"

    def tell(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def know(self, cid, sandbox, privileged=False, status=None):
        """A pod with a container, and its sandbox. `status`: other bytes than a container's status."""
        self.tell(container=cid, sandbox=sandbox, status=(status or container_status(cid, privileged)).hex())
        self.tell(sandbox=sandbox, status=sandbox_status(sandbox).hex())

    def asked(self):
        """[method, id] of each question so far."""
        return self.tell()

    def close(self):
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()


if __name__ == "__main__":
    CriServer(*sys.argv[1:]).serve()
