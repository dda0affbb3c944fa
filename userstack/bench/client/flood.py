"""A SYN flood from random addresses, and a real client that wants to connect meanwhile.

The flood is as fast as the contender takes it and no faster: only so many SYNs wait in the queue of its device. More would fill it,
and what was lost there would say nothing of the contender.
"""

import os
import random
import signal
import socket
import statistics
import struct
import time
from pathlib import Path

from userstack.bench.client.bulk import Measured
from userstack.bench.client.roundtrip import exchange, percentile
from userstack.bench.client.sockets import ECHO, connect

AHEAD = 64
"""SYNs that may wait in the queue of the device."""
BURST = 16
"""SYNs between two looks at the queue."""
STUCK = 1.0
"""Seconds in which a contender reads nothing, after which the flood goes on regardless."""
SENT, DROPPED = 9, 11
"""Columns of /proc/net/dev."""
INTERVAL = 0.01
"""Between two connections of the real client."""
USUAL = 50
"""Connections that tell the usual time."""
IP = struct.Struct("!BBHHHBBH4s4s")
TCP = struct.Struct("!HHIIBBHHHBBH")


def flood(address: str, *, syns: int, device: str, seed: int) -> Measured:
    """Send so many SYNs to the echo port; connect as a real client before and meanwhile.

    The connect times are in microseconds; ``rate`` is SYNs a second.
    """
    usual = [_connect_once(address) for _ in range(USUAL)]
    begin = time.perf_counter()
    child = os.fork()
    if not child:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _send_flood(address, syns, device, seed)
        os._exit(0)
    meanwhile = [_connect_once(address)]
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        meanwhile.append(_connect_once(address))
    took = time.perf_counter() - begin
    return {
        "usual": statistics.median(usual) * 1e6,
        "meanwhile": statistics.median(meanwhile) * 1e6,
        "meanwhile_p99": percentile(meanwhile, 99) * 1e6,
        "rate": syns / took,
    }


def _connect_once(address: str) -> float:
    time.sleep(INTERVAL)
    begin = time.perf_counter()
    with connect(address, ECHO) as sock:
        took = time.perf_counter() - begin
        exchange(sock)  # a handshake that only one end believes in is none
    return took


def _send_flood(address: str, syns: int, device: str, seed: int) -> None:
    chance = random.Random(seed)
    target = socket.inet_aton(address)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        gate = _Gate(device)
        for _ in range(syns // BURST):
            gate.wait()
            for _ in range(BURST):
                raw.sendto(build_syn(chance, target), (address, 0))
            gate.sent += BURST


class _Gate:
    """Lets the next SYNs pass when those before have been read.

    A TUN device counts a packet as sent when the contender takes it. What was to be sent is the flood's SYNs, of which the kernel
    keeps no count, and the segments of the real client, of which it does.
    """

    def __init__(self, device: str) -> None:
        self.sent = 0
        """SYNs."""
        self._device = device
        self._base = self._taken() - segments_sent()

    def wait(self) -> None:
        """Wait until a burst fits."""
        taken, since = self._taken(), time.monotonic()
        while self.sent + segments_sent() + self._base - taken + BURST > AHEAD and time.monotonic() - since < STUCK:
            time.sleep(0)
            before, taken = taken, self._taken()
            if taken != before:
                since = time.monotonic()

    def _taken(self) -> int:
        for line in Path("/proc/net/dev").read_text().splitlines():
            name, _, counts = line.partition(":")
            if name.strip() == self._device:
                numbers = counts.split()
                return int(numbers[SENT]) + int(numbers[DROPPED])
        raise OSError(f"the device {self._device} is gone")


def segments_sent() -> int:
    """By the kernel's TCP of this namespace; retransmissions are no part of OutSegs."""
    names, values = (line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Tcp:"))
    counts = dict(zip(names, values, strict=True))
    return int(counts["OutSegs"]) + int(counts["RetransSegs"])


def build_syn(chance: random.Random, target: bytes) -> bytes:
    """A SYN with an MSS from anywhere; the kernel fills in the IP header's checksum (raw(7))."""
    source = struct.pack("!BBBB", chance.randrange(11, 120), chance.randrange(256), chance.randrange(256), chance.randrange(1, 255))
    port, seq = chance.randrange(1024, 65536), chance.randrange(1 << 32)
    tcp = TCP.pack(port, ECHO, seq, 0, 0x60, 0x02, 64240, 0, 0, 2, 4, 1460)
    total = sum(struct.unpack("!18H", source + target + b"\0\x06\0\x18" + tcp)) % 0xFFFF
    tcp = tcp[:16] + (0xFFFF - total or 0xFFFF).to_bytes(2, "big") + tcp[18:]
    return IP.pack(0x45, 0, 44, 0, 0x4000, 64, 6, 0, source, target) + tcp
