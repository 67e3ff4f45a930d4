# SPDX-License-Identifier: Apache-2.0
"""What went over a place's wire: frames taken from the node's end of its veth pair."""

import socket
import struct
import threading

from . import kernel

ETH_P_ALL = 3
ETH_P_IP, ETH_P_IPV6 = 0x0800, 0x86DD
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_RCVBUFFORCE = 33
PACKET_OUTGOING = 4

HANDSHAKE, CHANGE_CIPHER, ALERT, DATA = 0x16, 0x14, 0x15, 0x17
LONGEST_RECORD = 16384 + 256  # TLS 1.3


def in_netns(netns, action):
    """Does something in a network namespace, on a thread of its own: what it opens stays there."""
    result = []

    def there():
        try:
            with open(netns, "rb") as ns:
                kernel.setns(ns.fileno(), kernel.CLONE_NEWNET)
            result.append(action())
        except Exception as err:
            result.append(err)

    thread = threading.Thread(target=there)
    thread.start()
    thread.join()
    if isinstance(result[0], Exception):
        raise result[0]
    return result[0]


class Segment:
    """One TCP segment."""

    def __init__(self, source, target, seq, flags, payload):
        self.source, self.target = source, target  # "address:port"
        self.seq, self.flags, self.payload = seq, flags, payload

    @property
    def syn(self):
        return bool(self.flags & 2)

    @property
    def rst(self):
        return bool(self.flags & 4)

    @property
    def fin(self):
        return bool(self.flags & 1)


def parse(frame):
    """The TCP segment in an Ethernet frame, or None."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == ETH_P_IP and frame[23] == socket.IPPROTO_TCP:
        start, end = 14 + (frame[14] & 15) * 4, 14 + struct.unpack_from("!H", frame, 16)[0]
        hosts = [socket.inet_ntop(socket.AF_INET, frame[i:i + 4]) for i in (26, 30)]
    elif kind == ETH_P_IPV6 and frame[20] == socket.IPPROTO_TCP:
        start, end = 54, 54 + struct.unpack_from("!H", frame, 18)[0]
        hosts = [socket.inet_ntop(socket.AF_INET6, frame[i:i + 16]) for i in (22, 38)]
    else:
        return None
    sport, dport, seq, _, offset, flags = struct.unpack_from("!HHIIBB", frame, start)
    # The IP length of a packet that is segmented later may be 0: then it is what was captured.
    payload = frame[start + (offset >> 4) * 4:end if end > start else len(frame)]
    return Segment(f"{hosts[0]}:{sport}", f"{hosts[1]}:{dport}", seq, flags, payload)


class Capture:
    """Frames of the node's end of a place's veth pair, both directions; a context manager. Nothing runs meanwhile: the
    kernel keeps the frames, in order, until they are looked at."""

    def __init__(self, world, place, buffer=256 << 20):
        world.place(place)
        device = world.device(place)

        def take():
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, min(buffer, 0x3FFFFFFF))
            s.bind((device, ETH_P_ALL))
            s.setblocking(False)
            return s

        self.socket = in_netns(world.netns("node"), take)
        self.frames = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _drain(self):
        while self.socket:
            try:
                self.frames.append(self.socket.recv(1 << 17))
            except BlockingIOError:
                break

    def close(self):
        """No more; what was captured stays. An incomplete capture proves nothing, so it is an error."""
        if self.socket:
            self._drain()
            _, dropped = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
            self.socket.close()
            self.socket = None
            if dropped:
                raise RuntimeError(f"the capture lost {dropped} frames")

    def segments(self):
        self._drain()
        return [s for s in map(parse, self.frames) if s]

    def streams(self):
        """What each end sent, in order: {(source, target): bytes}. Retransmissions count once, a hole ends a stream."""
        parts, begins = {}, {}
        for s in self.segments():
            way = (s.source, s.target)
            begin = (s.seq + 1) & 0xFFFFFFFF
            if s.syn and begins.get(way) != begin:
                # A port may be used again; then what follows is another connection of the same name.
                begins[way] = begin
                parts.setdefault(way, []).append({})
            if s.payload and way in begins:
                at = (s.seq + s.syn - begins[way]) & 0xFFFFFFFF
                if len(s.payload) > len(parts[way][-1].get(at, b"")):
                    parts[way][-1][at] = s.payload
        whole = {}
        for way, connections in parts.items():
            data = bytearray()
            for pieces in connections:
                reached = 0
                for at in sorted(pieces):
                    if at > reached:
                        break
                    data += pieces[at][reached - at:]
                    reached = max(reached, at + len(pieces[at]))
            whole[way] = bytes(data)
        return whole

    def holds(self, marker):
        """Whether the marker went over the wire in the clear: in one frame, or cut into several."""
        marker = marker.encode() if isinstance(marker, str) else marker
        self._drain()
        return any(marker in f for f in self.frames) or any(marker in s for s in self.streams().values())

    def tls(self, port):
        """The streams to and from a port, taken as TLS 1.3 records, and nothing else: {(source, target): [record type,
        ...]}. Raises when a byte lies outside of a record. Streams without a byte are left out."""
        return {way: records(data, way) for way, data in self.streams().items()
                if data and any(end.endswith(f":{port}") for end in way)}

    def resets(self, port):
        """Who sent a RST to or from a port."""
        return [s.source for s in self.segments() if s.rst and
                (s.source.endswith(f":{port}") or s.target.endswith(f":{port}"))]


def records(data, name=""):
    """The types of the TLS records that `data` consists of; a last one that is cut off counts."""
    types, at = [], 0
    while at < len(data):
        kind, version, length = struct.unpack("!BHH", (data[at:at + 5] + bytes(5))[:5])
        # The first record of a client may name an older version (RFC 8446, 5.1).
        good = (0x0301, 0x0303) if kind == HANDSHAKE and at == 0 else (0x0303,)
        if kind not in (HANDSHAKE, CHANGE_CIPHER, ALERT, DATA) or version not in good or not 0 < length <= LONGEST_RECORD:
            raise AssertionError(f"{name}: at byte {at} there is no TLS record but {data[at:at + 16]!r}")
        types.append(kind)
        at += 5 + length
    return types
