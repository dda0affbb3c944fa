"""``VirtualHost``: one host, one layer-3 link, no clock but the one that the caller moves.

Law: what it does follows from the seed and the calls alone. The same seed and the same calls give the same bytes.
"""

import hashlib
import operator
import random
from collections.abc import Sequence
from socket import AF_INET, AF_INET6
from typing import NamedTuple

from userstack.address import LINK_INDEX, Endpoint
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.errors import InvalidArgument
from userstack.net.host import Host
from userstack.net.interface import Interface
from userstack.net.mtu import check_mtu
from userstack.sim.engine import Engine
from userstack.sim.sockaddr import SocketName, format_name
from userstack.sim.virtual_socket import VirtualSocket
from userstack.tcp.state import State
from userstack.trace import Tracer
from userstack.wire.codec import make_codec
from userstack.wire.ip import Buffer
from userstack.wire.offload import finished


class Row(NamedTuple):
    """One line of what netstat would list, with the names of the socket calls: ``("192.168.0.1", 80)``, ``("fd3d::1", 80, 0, 0)``.

    IPv4 is IPv4, whatever the family of the socket.
    """

    local: SocketName
    remote: SocketName | None
    """None for a listener."""
    state: State
    timer: str
    """The timer that fires next, empty where none runs."""


class VirtualHost:
    """A whole TCP/IP host in virtual time. Every destination is reachable over its one link.

    Args:
        addresses: The host's own addresses with their prefixes, ``"192.168.0.1/16"`` or ``"fd3d::1/64"``.
        mtu: The largest IP packet that the link carries, in bytes.
        config: The settings; None for the defaults.
        seed: Where the secret of the sequence numbers and all randomness come from.
        start: The first value of ``now``, in nanoseconds.
        trace: Told of everything that happens: packets, segments, transitions, timers.

    Raises:
        InvalidArgument: an address, the MTU or the start cannot be.
    """

    __slots__ = ("_engine",)

    def __init__(
        self,
        addresses: Sequence[str],
        mtu: int = 1500,
        config: StackConfig | None = None,
        seed: int = 0,
        start: int = 0,
        *,
        trace: Tracer | None = None,
    ) -> None:
        interfaces = [Interface.parse(text) for text in addresses]
        check_mtu(mtu, interfaces)
        start = operator.index(start)
        if start < 0:
            raise InvalidArgument(f"start must be a time in nanoseconds from 0 on, not {start}")
        core = Host(
            interfaces,
            config=config or StackConfig(),
            codec=make_codec("fast"),
            secret=hashlib.sha256(f"userstack secret {seed}".encode()).digest(),
            random=random.Random(f"userstack {seed}").randrange,
            mtu=mtu,
            start=start,
            trace=trace,
        )
        self._engine = Engine(core, start)

    @property
    def now(self) -> int:
        """The host's clock, in nanoseconds."""
        return self._engine.now

    @property
    def counters(self) -> Counters:
        """What happened, under the names of ``nstat``."""
        return self._engine.core.counters

    def deliver(self, packet: Buffer) -> None:
        """One IP packet arrives now. What is no valid packet is counted and dropped; no content raises."""
        self._engine.deliver(bytes(memoryview(packet)))

    def take(self) -> list[tuple[int, bytes]]:
        """The packets sent since the last call, oldest first, each with the nanosecond at which it was sent.

        With ``config.offload`` they may be larger than the MTU.
        """
        return [(time, finished(packet)) for time, packet in self._engine.take()]

    def next_deadline(self) -> int | None:
        """The nanosecond at which something happens next without a packet or a call; None where nothing would."""
        return self._engine.core.next_deadline()

    def run(self, until: int) -> None:
        """Move the clock to ``until`` (nanoseconds), firing every deadline on its nanosecond, in order.

        Raises:
            InvalidArgument: ``until`` lies before ``now``.
        """
        until = operator.index(until)
        if until < self.now:
            raise InvalidArgument(f"run(until={until}) would go back in time: now is {self.now} ns")
        self._engine.run(until)

    def socket(self, family: int = AF_INET) -> VirtualSocket:
        """A fresh, non-blocking stream socket of this host.

        Raises:
            OSError: EAFNOSUPPORT: neither AF_INET nor AF_INET6.
        """
        return VirtualSocket(self._engine, family)

    def connections(self) -> list[Row]:
        """What netstat would list: listeners, connections and TIME-WAIT."""
        return [
            Row(_name(row.local), _name(row.remote) if row.remote else None, row.state, row.timer)
            for row in self._engine.core.connections()
        ]


def _name(endpoint: Endpoint) -> SocketName:
    return format_name(endpoint, AF_INET if len(endpoint.address) == 4 else AF_INET6, LINK_INDEX)
