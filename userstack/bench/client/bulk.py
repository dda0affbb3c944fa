"""Bulk: how many octets in what time. What is sent counts when the other end has closed, so that nothing is still on its way."""

import select
import socket
import threading
import time
from collections.abc import Callable

from userstack.bench.client.sockets import BLOCK, CHARGEN, DISCARD, allow_many_files, connect

Measured = dict[str, float]

BUFFERED, LEAST_BUFFERED = 4 << 20, 128 << 10
"""Octets that all senders together, and each of them, may have in the kernel: in the end a slow contender has to drain them."""


def bulk_in(address: str, *, seconds: float) -> Measured:
    """Send for ``seconds``, shut down, wait for the contender's FIN."""
    with connect(address, DISCARD) as sock:
        begin = time.perf_counter()
        sent, end = 0, begin + seconds
        while not sent or time.perf_counter() < end:
            sent += sock.send(BLOCK)
        sock.shutdown(socket.SHUT_WR)
        await_end(sock)
        return {"octets": sent, "seconds": time.perf_counter() - begin}


def bulk_out(address: str, *, seconds: float) -> Measured:
    """Receive for ``seconds`` from the first octet on, and close: since more is there, that is a reset."""
    with connect(address, CHARGEN) as sock:
        sock.recv(1, socket.MSG_PEEK)
        begin = time.perf_counter()
        received, end = 0, begin + seconds
        while not received or time.perf_counter() < end:
            got = sock.recv_into(BLOCK)
            if not got:
                raise ConnectionError("the contender stopped sending")
            received += got
        return {"octets": received, "seconds": time.perf_counter() - begin}


def bulk_both(address: str, *, seconds: float) -> Measured:
    """Both at once, over two connections; the threads wait in system calls, where Python's lock is free."""
    results: list[Measured] = []
    failures: list[BaseException] = []

    def run(measure: Callable[..., Measured]) -> None:
        try:
            results.append(measure(address, seconds=seconds))
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(measure,)) for measure in (bulk_in, bulk_out)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures.pop()
    return {"octets": sum(one["octets"] for one in results), "seconds": max(one["seconds"] for one in results)}


def bulk_among(address: str, *, seconds: float, connections: int, active: int) -> Measured:
    """Send over the first ``active`` of so many established connections, the others idle; time counts once all are there."""
    allow_many_files()
    socks = [connect(address, DISCARD) for _ in range(connections)]
    senders = {sock.fileno(): sock for sock in socks[:active]}
    poll = select.epoll()
    for number, sock in senders.items():
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, max(BUFFERED // active, LEAST_BUFFERED))
        poll.register(number, select.EPOLLOUT)
    begin = time.perf_counter()
    sent, end = 0, begin + seconds
    while not sent or time.perf_counter() < end:
        for number, _ in poll.poll(1):
            sent += _send(senders[number])
    for sock in senders.values():
        sock.setblocking(True)
        sock.shutdown(socket.SHUT_WR)
    for sock in senders.values():
        await_end(sock)
    took = time.perf_counter() - begin
    for sock in socks:
        sock.close()
    return {"octets": sent, "seconds": took}


def await_end(sock: socket.socket) -> None:
    """Read to the contender's FIN."""
    while sock.recv_into(BLOCK):
        pass


def _send(sock: socket.socket) -> int:
    try:
        return sock.send(BLOCK)
    except BlockingIOError:
        return 0
