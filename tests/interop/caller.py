# SPDX-License-Identifier: Apache-2.0
"""A grpcio client without generated code: caller.py METHOD HEADERS-AS-JSON [REQUEST-AS-HEX...] prints what came back.

METHOD is a full path. {"code", "text", "messages": [hex...], "first_ms"} as one JSON line for each request. A stream is read until its first
message, or its end.
"""

import json
import os
import sys
import time

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
import grpc  # noqa: E402


def ask(channel, method, headers, request):
    compression = grpc.Compression.Gzip if "--gzip" in sys.argv else None
    call = channel.unary_stream(method, lambda m: m, lambda m: m)(
        request, metadata=headers, timeout=10, compression=compression)
    messages, start, first = [], time.monotonic(), None
    try:
        for message in call:
            first = first or (time.monotonic() - start) * 1000
            messages.append(message.hex())
            call.cancel()
            break
    except grpc.RpcError:
        pass
    done = "OK" if messages else call.code().name
    print(json.dumps({"code": done, "text": "" if messages else call.details(), "messages": messages, "first_ms": first}))


def main():
    method, headers = sys.argv[1], [tuple(h) for h in json.loads(sys.argv[2])]
    more = b"".join(bytes(int(a.split("=")[1])) for a in sys.argv if a.startswith("--zeros="))
    options = [("grpc.max_receive_message_length", 1 << 24)]
    with grpc.insecure_channel(os.environ["SPIFFE_ENDPOINT_SOCKET"], options=options) as channel:
        for request in [a for a in sys.argv[3:] if not a.startswith("--")] or [""]:
            ask(channel, method, headers, bytes.fromhex(request) + more)


if __name__ == "__main__":
    main()
