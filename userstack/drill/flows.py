"""Which connection a packet of the script belongs to.

The rule is packetdrill's: one socket is under test at a time, and that is the one made, listening or connecting last. The first
packet that comes in while a listener is under test makes a connection of its own, which is then under test. Where packets
name their ports, the ports decide instead.
"""

from collections.abc import Iterable

from userstack.address import Endpoint
from userstack.drill.flow import Flow
from userstack.drill.script import TcpSpec
from userstack.drill.settings import Settings
from userstack.drill.system import DrillSocket
from userstack.wire.ip import IPPacket
from userstack.wire.source_route import destination_of
from userstack.wire.tcp import TcpSegment

_FIRST_PORT = 49152
"""RFC 6335 6: where the ports of the script's clients begin."""


class Flows:
    """The connections of one run."""

    __slots__ = ("_all", "_listeners", "_listening", "_next_port", "_settings", "under_test")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._all: dict[tuple[Endpoint, Endpoint], Flow] = {}
        self._listening: Endpoint | None = None
        self._listeners: dict[int, Endpoint] = {}
        self._next_port = _FIRST_PORT
        self.under_test: Flow | None = None

    @property
    def all(self) -> Iterable[Flow]:
        """Every connection, the one that came first before the others."""
        return self._all.values()

    def made(self) -> None:
        """A socket was made: packets are no other's any more."""
        self.under_test = None
        self._listening = None

    def listening(self, local: Endpoint) -> None:
        """A socket listens at ``local``."""
        self.under_test = None
        self._listening = local
        self._listeners[local.port] = local

    def connecting(self, local: Endpoint, remote: Endpoint, socket: DrillSocket) -> Flow:
        """A socket has begun to connect."""
        flow = self._add(local, remote, active=True)
        flow.socket = socket
        return flow

    def accepted(self, remote: Endpoint, socket: DrillSocket) -> Flow | None:
        """The connection that ``accept`` gave; None where no packet of the script made it."""
        for flow in self._all.values():
            if flow.remote == remote and not flow.active and flow.socket is None:
                flow.socket = socket
                return flow
        return None

    def inbound(self, spec: TcpSpec | None) -> Flow:
        """The connection of a packet that comes in; None is a packet that is not TCP's."""
        if spec is not None and spec.source_port is not None and spec.destination_port is not None:
            return self._by_ports(spec.source_port, spec.destination_port)
        if self._listening is not None and spec is not None:
            return self._passive(self._listening)
        return self.under_test or self._passive(Endpoint(self._settings.local, self._settings.bind_port))

    def outbound(self, spec: TcpSpec | None) -> Flow | None:
        """The connection of a packet that goes out; None: there is none."""
        if spec is not None and spec.source_port is not None and spec.destination_port is not None:
            return self._by_ports(spec.destination_port, spec.source_port)
        return self.under_test

    def of_segment(self, packet: IPPacket, segment: TcpSegment) -> Flow | None:
        """The connection of a segment that the system sent; None where it is nobody's."""
        local = Endpoint(packet.source, segment.source_port)
        destination = destination_of(packet.destination, packet.options)
        return self._all.get((local, Endpoint(destination, segment.destination_port)))

    def _by_ports(self, remote_port: int, local_port: int) -> Flow:
        """The connection that the script means by these ports; those that come from a new one make it."""
        for known in self._all.values():
            if known.script_ports == (remote_port, local_port):
                self.under_test = known
                return known
        for flow in reversed(self._all.values()):
            if flow.active and flow.script_ports is None and flow.remote.port == remote_port:
                flow.script_ports = (remote_port, local_port)
                self.under_test = flow
                return flow
        local = self._listeners.get(local_port) or self._listening or Endpoint(self._settings.local, local_port)
        flow = self._add(Endpoint(self._settings.local, local.port), Endpoint(self._settings.remote, remote_port), active=False)
        flow.script_ports = (remote_port, local_port)
        return flow

    def _passive(self, local: Endpoint) -> Flow:
        """A connection that the script's side opens, from a port that no other has."""
        remote = Endpoint(self._settings.remote, self._next_port)
        self._next_port += 1
        self._listening = None
        return self._add(Endpoint(self._settings.local, local.port), remote, active=False)

    def _add(self, local: Endpoint, remote: Endpoint, *, active: bool) -> Flow:
        flow = Flow(local, remote, active)
        self._all[local, remote] = flow
        self.under_test = flow
        return flow
