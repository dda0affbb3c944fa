"""What a driver asks of a host. ``net.host.Host`` is such."""

from typing import Protocol

from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.net.addresses import Addresses
from userstack.net.listener import Listener
from userstack.tcp.connection import Connection
from userstack.wire.ip import Buffer
from userstack.wire.offload import Outbound


class DrivenHost(Protocol):
    """A host without I/O: packets in, packets out, the time with each call (ns)."""

    config: StackConfig
    counters: Counters

    def deliver(self, data: Buffer, *, now: int, checksum_ok: bool = False, more: bool = False) -> bool:
        """A packet has come; True where it waits for ``settle``, which is owed after the last one with ``more``."""
        ...

    def settle(self, *, now: int) -> None:
        """The batch is over."""
        ...

    def poll_transmit(self, *, now: int) -> Outbound | None:
        """The next packet to send; None where there is none."""
        ...

    def next_deadline(self) -> int | None:
        """When ``advance`` has to be called; None: there is nothing to wait for."""
        ...

    def advance(self, *, now: int) -> None:
        """Do what is due."""
        ...

    def touch(self, connection: Connection) -> None:
        """A call was made on the connection: its output and its timers have to follow."""
        ...

    def touched(self) -> set[Connection | Listener | Addresses]:
        """Those whose readiness may have changed since the last call."""
        ...
