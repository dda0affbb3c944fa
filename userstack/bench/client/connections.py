"""Connections a second: each is opened, echoes one byte and is closed, one after another or many at once."""

import errno
import os
import select
import socket
import time

from userstack.bench.client.bulk import Measured
from userstack.bench.client.sockets import ECHO, Sources


def one_after_another(address: str, *, seconds: float, spare: list[str]) -> Measured:
    """The next begins when the last is closed."""
    sources, done = Sources(address, spare), 0
    begin = time.perf_counter()
    end = begin + seconds
    while not done or time.perf_counter() < end:
        with socket.socket() as sock:
            check(sources.start(sock, ECHO))
            sock.send(b"x")
            if sock.recv(1) != b"x":
                raise ConnectionError("the contender did not echo the byte")
        done += 1
    return {"connections": done, "seconds": time.perf_counter() - begin}


def many_at_once(address: str, *, seconds: float, spare: list[str], clients: int) -> Measured:
    """So many are on their way at any time."""
    crowd = _Crowd(Sources(address, spare))
    for _ in range(clients):
        crowd.start()
    begin = time.perf_counter()
    end = begin + seconds
    while not crowd.done or time.perf_counter() < end:
        crowd.turn()
    took = time.perf_counter() - begin
    done = crowd.done
    crowd.close()
    return {"connections": done, "seconds": took}


class _Crowd:
    """Clients that each begin anew when they are done."""

    def __init__(self, sources: Sources) -> None:
        self.done = 0
        self._sources = sources
        self._poll = select.epoll()
        self._connecting: dict[int, socket.socket] = {}
        self._waiting: dict[int, socket.socket] = {}

    def start(self) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        number = self._sources.start(sock, ECHO)
        if number != errno.EINPROGRESS:
            check(number)
        self._connecting[sock.fileno()] = sock
        self._poll.register(sock.fileno(), select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)

    def turn(self) -> None:
        """One look at who can go on."""
        for number, events in self._poll.poll(1):
            if number in self._connecting:
                sock = self._connecting.pop(number)
                if events & (select.EPOLLERR | select.EPOLLHUP):
                    check(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ECONNRESET)
                sock.send(b"x")
                self._waiting[number] = sock
            elif events & select.EPOLLIN:
                sock = self._waiting.pop(number)
                if sock.recv(1) != b"x":
                    raise ConnectionError("the contender did not echo the byte")
                sock.close()
                self.done += 1
                self.start()

    def close(self) -> None:
        for sock in (*self._connecting.values(), *self._waiting.values()):
            sock.close()


def check(number: int) -> None:
    """Raise the error that ``connect_ex`` gave, if it gave one."""
    if number:
        raise OSError(number, os.strerror(number))
