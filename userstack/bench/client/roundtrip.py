"""The round trip of one byte, in microseconds."""

import os
import socket
import statistics
import time

from userstack.bench.client.bulk import Measured
from userstack.bench.client.sockets import ECHO, connect

WARM_UP = 100


def round_trip(address: str, *, seconds: float, processor: int | None = None) -> Measured:
    """Send a byte, await its echo, again and again; on one ``processor``, or wherever the kernel likes."""
    if processor is not None:
        os.sched_setaffinity(0, {processor})
    took: list[float] = []
    with connect(address, ECHO) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(WARM_UP):
            exchange(sock)
        last = time.perf_counter()
        end = last + seconds
        while not took or last < end:
            exchange(sock)
            now = time.perf_counter()
            took.append(now - last)
            last = now
    return {"median": statistics.median(took) * 1e6, "p99": percentile(took, 99) * 1e6}


def exchange(sock: socket.socket) -> None:
    """One byte there and back."""
    sock.send(b"x")
    if sock.recv(1) != b"x":
        raise ConnectionError("the contender did not echo the byte")


def percentile(values: list[float], hundredths: int) -> float:
    """The value that so many of a hundred do not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) * hundredths // 100, len(ranked) - 1)]
