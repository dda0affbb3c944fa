"""Connections of the kernel's to a contender, and where their source addresses come from when the ports of one are used up."""

import errno
import resource
import socket

ECHO, DISCARD, CHARGEN = 7, 9, 19
BLOCK = memoryview(bytearray(1 << 20))
"""What is sent, and received into: as much as one call takes."""


def connect(address: str, port: int) -> socket.socket:
    """A connection to the contender."""
    return socket.create_connection((address, port))


def allow_many_files() -> None:
    """A connection is a descriptor: have as many as this process may."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


class Sources:
    """The client closes first, so TIME-WAIT is its own, and holds a port for a minute.

    Where both ends have timestamps the kernel takes such a port again after a second (tcp_tw_reuse). Where they do not, the 64 512
    ports of an address are soon used up; then the next address takes over.

    Args:
        address: of the contender.
        spare: further addresses of the kernel's own.
    """

    def __init__(self, address: str, spare: list[str]) -> None:
        self._address = address
        self._spare = spare
        self._bound: str | None = None

    def start(self, sock: socket.socket, port: int) -> int:
        """Begin to connect. Gives the errno: 0 when that is done, EINPROGRESS when it is not yet.

        Raises:
            OSError: with EADDRNOTAVAIL, every port of every address is in use.
        """
        while True:
            if self._bound is not None:
                sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: the port is chosen by connect
                sock.bind((self._bound, 0))
            number = sock.connect_ex((self._address, port))
            if number != errno.EADDRNOTAVAIL:
                return number
            if not self._spare:
                raise OSError(number, "every port of the client is in TIME-WAIT")
            self._bound = self._spare.pop(0)
