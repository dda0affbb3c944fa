"""The system under test as the runner sees it: a host with a clock and one link, and its non-blocking sockets.

``VirtualHost`` is one; the tests have another over the kernel.
"""

from collections.abc import Callable
from typing import Protocol

from userstack.config import StackConfig
from userstack.tcp.info import ConnectionInfo

Address = tuple[str, int] | tuple[str, int, int, int]
"""As Python's sockets have it; of IPv6 with flow label and scope."""


class DrillSocket(Protocol):
    """A non-blocking stream socket, as Python's own; what cannot be done at once raises ``BlockingIOError``."""

    def bind(self, address: tuple[str, int], /) -> None:
        """``bind(2)``."""
        ...

    def listen(self, backlog: int = ..., /) -> None:
        """``listen(2)``."""
        ...

    def accept(self) -> "tuple[DrillSocket, Address]":
        """``accept(2)``."""
        ...

    def connect(self, address: tuple[str, int], /) -> None:
        """``connect(2)``."""
        ...

    def send(self, data: bytes, flags: int = 0, /) -> int:
        """``send(2)``; MSG_MORE and MSG_OOB are the flags."""
        ...

    def sendto(self, data: bytes, flags: int, address: tuple[str, int] | None, /) -> int:
        """``sendto(2)``; MSG_FASTOPEN is the one flag."""
        ...

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """``recv(2)``; MSG_PEEK and MSG_OOB are the flags."""
        ...

    def sockatmark(self) -> bool:
        """``sockatmark(3)``."""
        ...

    def shutdown(self, how: int, /) -> None:
        """``shutdown(2)``."""
        ...

    def close(self) -> None:
        """``close(2)``."""
        ...

    def getsockname(self) -> Address:
        """``getsockname(2)``."""
        ...

    def getpeername(self) -> Address:
        """``getpeername(2)``."""
        ...

    def setsockopt(self, level: int, option: int, value: bytes, /) -> None:
        """``setsockopt(2)``."""
        ...

    def getsockopt(self, level: int, option: int, length: int, /) -> int | bytes:
        """``getsockopt(2)``."""
        ...

    def poll(self) -> int:
        """The events of ``poll(2)`` that hold now, as Linux numbers them, whether asked for or not."""
        ...

    def queued(self) -> tuple[int, int]:
        """Octets that wait to be read (SIOCINQ), and octets that the peer has not acknowledged (SIOCOUTQ)."""
        ...

    def info(self) -> ConnectionInfo:
        """What TCP_INFO would tell."""
        ...


class System(Protocol):
    """A host. Times are in nanoseconds."""

    @property
    def now(self) -> int:
        """The clock."""
        ...

    def deliver(self, packet: bytes, /) -> None:
        """An IP packet arrives now."""
        ...

    def take(self) -> list[tuple[int, bytes]]:
        """The IP packets sent since the last call, with the time of each."""
        ...

    def run(self, until: int) -> None:
        """Let time pass up to ``until``."""
        ...

    def next_deadline(self) -> int | None:
        """When something may happen next without a packet or a call; None: never."""
        ...

    def socket(self, family: int, /) -> DrillSocket:
        """A fresh socket."""
        ...


MakeSystem = Callable[[list[str], int, StackConfig], System]
"""From the host's addresses with prefixes, the MTU and the settings."""
