# SPDX-License-Identifier: Apache-2.0
"""A grpcio client without generated code: caller.py METHOD HEADERS-AS-JSON [REQUEST-AS-HEX] prints what came back.

METHOD is a full path. {"code", "text", "messages": [hex...], "first_ms"} as one JSON line. A stream is read until its first
message, or its end.
"""

import json
import os
import sys
import time

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
import grpc  # noqa: E402


def main():
    method, headers = sys.argv[1], [tuple(h) for h in json.loads(sys.argv[2])]
    request = bytes.fromhex(sys.argv[3]) if len(sys.argv) > 3 else b""
    request += b"".join(bytes(int(a.split("=")[1])) for a in sys.argv if a.startswith("--zeros="))
    options = [("grpc.max_receive_message_length", 1 << 24)]
    compression = grpc.Compression.Gzip if "--gzip" in sys.argv else None
    with grpc.insecure_channel(os.environ["SPIFFE_ENDPOINT_SOCKET"], options=options) as channel:
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
        print(json.dumps({"code": done, "text": "" if messages else call.details(), "messages": messages,
                          "first_ms": first}))


if __name__ == "__main__":
    main()
