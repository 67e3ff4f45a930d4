# SPDX-License-Identifier: Apache-2.0
"""A workload: a plain Python program that uses py-spiffe, as its authors publish it, and knows nothing of Tipstaff.

It reads one JSON object a line, does what "do" says and answers with one JSON object a line:

    fetch            its X.509-SVID, over a new connection
    bundles          the trust bundles
    jwt audience...  its JWT-SVIDs, with "id" only that one: {"svids": [{"spiffe_id", "token", ...}]}
    jwt_bundles      the JWT bundles: {trust domain: [key id...]}
    validate token audience  what a token says: {"spiffe_id", "claims"}
    watch_jwt        opens a stream of JWT bundles; updates come as {"news": "jwt_bundles", "keys"}
    watch            opens a stream; updates come as {"news": ...} lines
    run argv         a child process: {"status", "said"}; a negative status is the signal that ended it
    read path        reads a file itself
    connect host port    one TCP connect: {"errno": "ok" | "EPERM" | ..., "ms"}
    get host port path   an HTTP request: {"errno", "status", "body", "local", "peer"}
    follow host port     opens a connection and counts the lines that come; its end is {"news": "end"}
    exec argv        becomes another program
    identity uid gid     gives up root
    quit
"""

import errno
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

# A child must not run gRPC's fork handlers: they would touch connections that are not the child's.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc  # noqa: E402
from cryptography.hazmat.primitives.serialization import Encoding  # noqa: E402
from spiffe import SpiffeId, WorkloadApiClient  # noqa: E402

# The world's, see wait.py.
PATIENCE = float(os.environ.get("PATIENCE", "1"))

out_lock = threading.Lock()


def say(answer):
    with out_lock:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def failure(err):
    """What the API answered, out of the exception that py-spiffe wraps it in."""
    cause = err
    while cause is not None:
        if isinstance(cause, grpc.Call):
            return {"ok": False, "code": cause.code().name, "text": cause.details()}
        cause = cause.__cause__
    # Of a stream, py-spiffe keeps the code in its text only.
    named = re.search(r"StatusCode\.(\w+)", str(err))
    if named:
        return {"ok": False, "code": named.group(1), "text": str(err)}
    return {"ok": False, "code": type(err).__name__, "text": str(err)}


def describe(svid):
    return {
        "spiffe_id": str(svid.spiffe_id),
        "serial": f"{svid.leaf.serial_number:x}",
        "not_after": svid.leaf.not_valid_after_utc.timestamp(),
        "not_before": svid.leaf.not_valid_before_utc.timestamp(),
        "chain": "".join(c.public_bytes(Encoding.PEM).decode() for c in svid.cert_chain),
    }


def describe_bundles(bundles):
    return {
        bundle.trust_domain.name: "".join(
            a.public_bytes(Encoding.PEM).decode() for a in bundle.x509_authorities
        )
        for bundle in bundles.bundles
    }


def describe_keys(bundles):
    return {bundle.trust_domain.name: sorted(bundle.jwt_authorities) for bundle in bundles.bundles}


class Workload:
    def __init__(self):
        self.streams = []

    def fetch(self, _):
        with WorkloadApiClient() as client:
            context = client.fetch_x509_context(timeout=10 * PATIENCE)
            svids = [describe(s) for s in context.x509_svids]
            return {"ok": True, **svids[0], "svids": svids,
                    "bundles": describe_bundles(context.x509_bundle_set)}

    def bundles(self, _):
        with WorkloadApiClient() as client:
            return {"ok": True, "bundles": describe_bundles(client.fetch_x509_bundles(timeout=10 * PATIENCE))}

    def jwt(self, order):
        with WorkloadApiClient() as client:
            subject = SpiffeId(order["id"]) if "id" in order else None
            # py-spiffe checks neither signature nor claims of what it was given: that is `validate`.
            svids = client.fetch_jwt_svids(audience=set(order["audience"]), subject=subject)
            return {"ok": True, "svids": [
                {"spiffe_id": str(s.spiffe_id), "audience": sorted(s.audience), "expiry": s.expiry, "token": s.token}
                for s in svids]}

    def jwt_bundles(self, _):
        with WorkloadApiClient() as client:
            return {"ok": True, "bundles": describe_keys(client.fetch_jwt_bundles())}

    def validate(self, order):
        with WorkloadApiClient() as client:
            svid = client.validate_jwt_svid(order["token"], order["audience"])
            return {"ok": True, "spiffe_id": str(svid.spiffe_id)}

    def watch_jwt(self, _):
        client = WorkloadApiClient()
        handler = client.stream_jwt_bundles(
            lambda bundles: say({"news": "jwt_bundles", "keys": describe_keys(bundles)}),
            lambda err: say({"news": "error", **failure(err)}),
            retry_connect=False,
        )
        self.streams.append((client, handler))
        return {"ok": True}

    def watch(self, _):
        client = WorkloadApiClient()
        handler = client.stream_x509_contexts(
            lambda context: say({"news": "svid", **describe(context.default_svid)}),
            lambda err: say({"news": "error", **failure(err)}),
            retry_connect=False,
        )
        self.streams.append((client, handler))
        return {"ok": True}

    def run(self, order):
        done = subprocess.run(
            order["argv"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=order.get("timeout", 10) * PATIENCE,
            check=False,
        )
        return {"ok": True, "status": done.returncode, "said": done.stdout.decode("utf-8", "replace")}

    def read(self, order):
        with open(order["path"], encoding="utf-8") as f:
            return {"ok": True, "text": f.read()}

    def connect(self, order):
        with socket.socket() as s:
            s.settimeout(5 * PATIENCE)
            start = time.monotonic()
            result = s.connect_ex((order["host"], order["port"]))
        return {"ok": result == 0, "errno": errno.errorcode.get(result, str(result)) if result else "ok",
                "ms": (time.monotonic() - start) * 1000}

    def get(self, order):
        connection = http.client.HTTPConnection(order["host"], order["port"], timeout=10 * PATIENCE)
        try:
            connection.connect()
            local, peer = connection.sock.getsockname(), connection.sock.getpeername()
            connection.request("GET", order["path"])
            answer = connection.getresponse()
            return {"ok": True, "errno": "ok", "status": answer.status, "body": answer.read().decode(),
                    "local": f"{local[0]}:{local[1]}", "peer": f"{peer[0]}:{peer[1]}"}
        finally:
            connection.close()

    def follow(self, order):
        s = socket.create_connection((order["host"], order["port"]), timeout=10 * PATIENCE)
        first = s.makefile("rb").readline()
        threading.Thread(target=self.follow_to_the_end, args=(s,), daemon=True).start()
        return {"ok": True, "first": first.decode().strip()}

    @staticmethod
    def follow_to_the_end(s):
        received, how = 0, "EOF"
        try:
            while data := s.recv(4096):
                received += len(data)
        except OSError as err:
            how = errno.errorcode.get(err.errno or 0, str(err))
        say({"news": "end", "how": how, "received": received, "at": time.monotonic()})

    def exec(self, order):
        os.execv(order["argv"][0], order["argv"])

    def identity(self, order):
        if "gid" in order:
            os.setresgid(order["gid"], order["gid"], order["gid"])
        os.setresuid(order["uid"], order["uid"], order["uid"])
        return {"ok": True}

    def quit(self, _):
        sys.exit(0)


def main():
    workload = Workload()
    say({"hello": os.getpid(), "executable": os.path.realpath(sys.executable)})
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = getattr(workload, order["do"])(order)
        except Exception as err:  # whatever happens is the answer
            answer = {**failure(err), "errno": errno.errorcode.get(getattr(err, "errno", None) or 0)}
        say(answer)


if __name__ == "__main__":
    main()
