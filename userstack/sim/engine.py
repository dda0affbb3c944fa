"""The sans-I/O host with a clock that its owner moves: what a virtual host and its sockets share.

Law: whatever the core owes is taken out at once, after each packet, call and deadline, and carries the nanosecond of its cause.
"""

from userstack.address import is_unspecified
from userstack.errors import AddressNotAvailable
from userstack.net.host import Host
from userstack.wire.offload import Outbound


class Engine:
    """A host, the time, and what was sent and not yet taken."""

    __slots__ = ("_sent", "core", "now")

    def __init__(self, core: Host, start: int) -> None:
        self.core = core
        self.now = start
        self._sent: list[tuple[int, Outbound]] = []

    def deliver(self, packet: bytes) -> None:
        """One IP packet arrives now."""
        self.core.deliver(packet, now=self.now)
        self.flush()

    def take(self) -> list[tuple[int, Outbound]]:
        """What was sent since the last call, with the nanosecond of each."""
        sent, self._sent = self._sent, []
        return sent

    def run(self, until: int) -> None:
        """Fire every deadline up to and at ``until``, each on its nanosecond."""
        while (deadline := self.core.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.core.advance(now=self.now)
            self.flush()
        self.now = until

    def this_host(self, unspecified: bytes) -> bytes:
        """The first address of the host of that family, packed; ``unspecified`` itself where it has none."""
        family = (interface.address for interface in self.core.interfaces if len(interface.address) == len(unspecified))
        return next(family, unspecified)

    def require_own(self, address: bytes) -> None:
        """Raise ``AddressNotAvailable`` where the packed ``address`` is neither one of the host nor the unspecified one."""
        addresses = self.core.addresses
        if address not in addresses.own and not is_unspecified(address):
            raise AddressNotAvailable(addresses.why_not(address))

    def flush(self) -> None:
        """Take out what the core owes now. Nobody sleeps on readiness here, so the list of the touched is dropped."""
        while (packet := self.core.poll_transmit(now=self.now)) is not None:
            self._sent.append((self.now, packet))
        self.core.touched()
