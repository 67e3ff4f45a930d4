# SPDX-License-Identifier: Apache-2.0
"""A server that takes alerts over HTTP, in the node's network namespace, and can be told to behave badly."""

import gzip
import json
import re
import socket
import ssl
import threading

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HANG = object()  # says nothing, and keeps the connection
CLOSE = object()  # closes the connection instead of an answer
PRIORITIES = {"emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug"}


def answer(status, *headers):
    return "\r\n".join([f"HTTP/1.1 {status} x", "Content-Length: 0", *headers, "", ""]).encode()


def check_payload(alert):
    """What falcosidekick's input asks of a body: its types, and that nothing is empty which must not be."""
    assert isinstance(alert, dict)
    for name in ("output", "priority", "rule", "time", "source", "hostname"):
        assert isinstance(alert[name], str) and alert[name], name
    assert alert["priority"].lower() in PRIORITIES
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", alert["time"])
    assert isinstance(alert["output_fields"], dict) and alert["output_fields"]
    assert all(isinstance(tag, str) for tag in alert.get("tags") or [])
    assert set(alert) <= {"uuid", "output", "priority", "rule", "time", "source", "output_fields", "hostname", "tags"}


class Collector:
    """`replies`: what is answered next, in order; after that OK. `requests`: what came, each with the number of its
    connection, and the SPIFFE ID and serial number of the client's certificate."""

    def __init__(self, world, context=None, port=0):
        self.world, self.context, self.port = world, context, port
        self.replies = []
        self.requests = []
        self.trouble = []
        self.connections = 0
        self.always = OK
        self.open = set()
        self.start()

    def start(self):
        self.listener = self.world.socket("node")
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        self.listener.listen(16)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def stop(self):
        """Nobody listens any more, and what is open is closed."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.hang_up()

    def hang_up(self):
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @property
    def alerts(self):
        return [r["alert"] for r in self.requests]

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection, self.connections), daemon=True).start()

    def serve(self, connection, number):
        self.open.add(connection)
        plain = connection
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection.makefile("rb") as stream:
                while self.exchange(connection, stream, number):
                    pass
        except (OSError, ssl.SSLError, ValueError) as error:
            self.trouble.append(str(error))
        finally:
            self.open.discard(plain)
            connection.close()

    def exchange(self, connection, stream, number):
        line = stream.readline().decode("ascii")
        if not line:
            return False
        headers = {}
        while (header := stream.readline().decode("ascii")) != "\r\n":
            name, value = header.rstrip("\r\n").split(": ", 1)
            assert name not in headers
            headers[name] = value
        body = stream.read(int(headers["Content-Length"]))
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        reply = self.replies.pop(0) if self.replies else self.always
        request = {"line": line.rstrip("\r\n"), "headers": headers, "alert": json.loads(body), "connection": number,
                   "reply": reply, **self.client(connection)}
        self.requests.append(request)
        if reply is HANG:
            stream.readline()
            return False
        if reply is CLOSE:
            return False
        for part in [reply] if isinstance(reply, bytes) else reply():
            connection.sendall(part)
        return headers.get("Connection") != "close"

    def client(self, connection):
        cert = connection.getpeercert() if self.context else None
        if not cert:
            return {"id": None, "serial": None}
        return {"id": [value for kind, value in cert["subjectAltName"] if kind == "URI"], "serial": cert["serialNumber"]}
