"""The kernel's own TCP as a contender, over veth: one process for each service, so that Python's lock is not what is measured.

python -m userstack.bench.programs.kernel DEVICE veth ADDRESS/PREFIX KERNEL_ADDRESS MTU
"""

import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

from userstack.bench.programs.place import CHARGEN, DISCARD, ECHO, Place, say
from userstack.host.addresses import add_address, add_route

BACKLOG = 4096
ROOM = bytearray(1 << 20)
CHARACTERS = bytes(range(32, 127)) * 11040
"""A mebibyte."""


def echo(client: socket.socket) -> bool:
    """Send back what has come; False at the end. What is echoed here is one byte, which always fits."""
    data = client.recv(65536)
    if data:
        client.send(data)
    return bool(data)


def discard(client: socket.socket) -> bool:
    """Read what has come; False at the end."""
    return client.recv_into(ROOM) > 0


def chargen(client: socket.socket) -> bool:
    """Send what fits."""
    client.send(CHARACTERS)
    return True


Service = Callable[[socket.socket], bool]
SERVICES: dict[int, tuple[Service, int]] = {
    ECHO: (echo, select.EPOLLIN),
    DISCARD: (discard, select.EPOLLIN),
    CHARGEN: (chargen, select.EPOLLOUT),
}


class Server:
    """One service, in this process."""

    def __init__(self, listener: socket.socket, service: Service, interest: int) -> None:
        self._listener = listener
        self._service = service
        self._interest = interest
        self._clients: dict[int, socket.socket] = {}
        self._poll = select.epoll()

    def run(self) -> None:
        """Serve for ever."""
        self._poll.register(self._listener, select.EPOLLIN)
        while True:
            for number, _ in self._poll.poll():
                if number == self._listener.fileno():
                    self._accept()
                else:
                    self._serve(self._clients[number])

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients[client.fileno()] = client
        self._poll.register(client, self._interest)

    def _serve(self, client: socket.socket) -> None:
        try:
            goes_on = self._service(client)
        except BlockingIOError:
            return
        except ConnectionError:
            goes_on = False
        if not goes_on:
            del self._clients[client.fileno()]
            client.close()


def start(address: str, port: int) -> int:
    """Serve one port in a process of its own. Returns its number."""
    service, interest = SERVICES[port]
    listener = socket.create_server((address, port), backlog=BACKLOG)
    listener.setblocking(False)
    child = os.fork()
    if not child:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        Server(listener, service, interest).run()
    listener.close()
    return child


def main(words: list[str]) -> None:
    """Serve until SIGTERM."""
    place = Place.parse(words)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    add_address(place.device, str(place.address))
    add_route("default", device=place.device, gateway=str(place.kernel))  # whoever floods it comes from anywhere
    children: list[int] = []

    def end(_: int, __: FrameType | None) -> None:
        for child in children:
            os.kill(child, signal.SIGTERM)
        raise SystemExit

    signal.signal(signal.SIGTERM, end)
    children += [start(str(place.address.ip), port) for port in SERVICES]
    say("ready")
    while True:
        signal.pause()


if __name__ == "__main__":
    main(sys.argv[1:])
