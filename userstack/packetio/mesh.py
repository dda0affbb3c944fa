"""Frames from worker to worker: for each an inbox that all the others write to, made before they are forked. Law: nothing blocks.

Nobody else can reach an inbox: it has no name.
"""

import socket
import struct
from typing import NamedTuple

from userstack.packetio.ethernet import ETHERNET_HEADER
from userstack.wire.ip import Buffer
from userstack.wire.offload import LARGEST_PACKET

BUFFER = 4 * 1024 * 1024
"""Bytes that may wait in an inbox, as in a packet socket: some tens of super-frames of 64 KiB."""
SO_SNDBUFFORCE = 32

_HEADER = struct.Struct("=BBB")
_VOUCHED, _FOR_ALL = 1, 2


class Letter(NamedTuple):
    """A frame under way."""

    origin: int
    """The worker that the kernel gave it to."""
    seen: int
    """How many others have had it before."""
    frame: Buffer
    vouched: bool
    """Its TCP checksum is known to be right."""
    for_all: bool = False
    """It is a copy of what every worker gets: to be taken in by whoever has it."""


class Mesh:
    """The inboxes of ``count`` workers. After the fork each takes its own with ``take``."""

    def __init__(self, count: int) -> None:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(count)]
        self._inboxes = [inbox for inbox, _ in pairs]
        self._to = [end for _, end in pairs]
        self._inbox = self._inboxes[0]
        self._buffer = bytearray(_HEADER.size + ETHERNET_HEADER + LARGEST_PACKET)
        for end in self._to:
            end.setblocking(False)
            _enlarge(end)
        for inbox in self._inboxes:
            inbox.setblocking(False)

    def take(self, number: int) -> None:
        """This process is the worker of that number from now on."""
        self._inbox = self._inboxes.pop(number)
        for inbox in self._inboxes:
            inbox.close()
        self._inboxes = [self._inbox]

    def fileno(self) -> int:
        """The descriptor that is readable when a letter is there."""
        return self._inbox.fileno()

    def send(self, worker: int, letter: Letter) -> bool:
        """False where the inbox of that worker is full, or the worker gone: the frame is lost."""
        marks = letter.vouched * _VOUCHED | letter.for_all * _FOR_ALL
        try:
            self._to[worker].sendmsg((_HEADER.pack(letter.origin, letter.seen, marks), letter.frame))
        except OSError:
            return False
        return True

    def receive(self) -> Letter | None:
        """The next letter, whose frame lies in a buffer that the next call writes over; None where there is none."""
        try:
            size = self._inbox.recv_into(self._buffer)
        except BlockingIOError:
            return None
        origin, seen, marks = _HEADER.unpack_from(self._buffer)
        frame = memoryview(self._buffer)[_HEADER.size : size]
        return Letter(origin, seen, frame, bool(marks & _VOUCHED), bool(marks & _FOR_ALL))

    def close(self) -> None:
        """Give all that is left back; may be called twice."""
        for end in (*self._inboxes, *self._to):
            end.close()


def _enlarge(end: socket.socket) -> None:
    """What waits in an inbox counts against those who write; two connected ends have no other limit (net.unix.max_dgram_qlen)."""
    try:
        end.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, BUFFER)
    except PermissionError:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
