"""The sans-I/O host: packets in, packets out, sockets on top.

The law of the order: everything that has arrived is processed before anything is sent (MUST-58, MUST-59), and generation stops when
the device is full: ``poll_transmit`` is only called for what the device can take.
"""

from collections import deque
from collections.abc import Callable, Sequence

from userstack.address import Endpoint
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.errors import HostUnreachable
from userstack.net import icmp
from userstack.net.addresses import Addresses
from userstack.net.ethernet import EthernetLink
from userstack.net.interface import Interface, is_valid_source
from userstack.net.listener import Listener
from userstack.net.ports import Binding
from userstack.net.table import ConnectionRow
from userstack.net.transport import Outgoing, Transport
from userstack.tcp.connection import Connection
from userstack.tcp.isn import IsnGenerator, SecretIsn
from userstack.tcp.timestamps import SecretOffset
from userstack.trace import PacketDropped, PacketReceived, PacketSent, Tracer
from userstack.wire.codec import Codec, WireError
from userstack.wire.ip import ICMP, TCP, Buffer, IPPacket


class Host:
    """One host with its addresses. ``now`` is in nanoseconds and never goes back; ``random(n)`` gives 0 to n - 1.

    Without ``link`` packets are IP packets; with it they are its frames, and ``counters`` should be the link's. ``isn`` takes the
    place of the generator of RFC 6528.
    """

    def __init__(
        self,
        interfaces: Sequence[Interface],
        *,
        config: StackConfig,
        codec: Codec,
        secret: bytes,
        random: Callable[[int], int],
        mtu: int = 1500,
        link: EthernetLink | None = None,
        trace: Tracer | None = None,
        start: int = 0,
        isn: IsnGenerator | None = None,
        counters: Counters | None = None,
    ) -> None:
        self.addresses = Addresses(interfaces)
        self.interfaces = self.addresses.interfaces
        self.config = config
        self.codec = codec
        self.counters = Counters() if counters is None else counters
        self.link = link
        self.trace = trace
        self.transport = Transport(
            self.addresses,
            config=config,
            counters=self.counters,
            isn=isn or SecretIsn(secret),
            timestamp_offset=SecretOffset(secret),
            random=random,
            mtu=mtu,
            trace=trace,
            start=start,
        )
        self._own = self.addresses.own
        self._replies: deque[bytes] = deque()
        self._identification = 0

    # --- packets in ---

    def deliver(self, data: Buffer, *, now: int, checksum_ok: bool = False) -> None:
        """What the device has read. ``checksum_ok``: the device vouches for TCP's checksum. Never raises for what is in it."""
        packet = data if self.link is None else self.link.receive(data, now=now)
        if packet is None:
            return
        if self.trace is not None:
            self.trace(PacketReceived(now, bytes(packet)))
        self._receive(packet, now, checksum_ok)

    def _receive(self, data: Buffer, now: int, checksum_ok: bool) -> None:
        self.counters.add("IpInReceives")
        try:
            dropped = self._demultiplex(self.codec.decode_ip(data), now, checksum_ok)
        except WireError as error:
            dropped = error.counter
        if dropped is not None:
            self.counters.add(dropped)
            if self.trace is not None:
                self.trace(PacketDropped(now, bytes(data), dropped))

    def _demultiplex(self, packet: IPPacket, now: int, checksum_ok: bool) -> str | None:
        """Hand a packet up; the name of the counter where it is thrown away."""
        if packet.destination not in self._own or not is_valid_source(packet.source, self.interfaces):
            return "IpInAddrErrors" if packet.version == 4 else "Ip6InAddrErrors"  # MUST-57, MUST-63
        if packet.is_fragment:
            return "IpReasmFails"
        if packet.protocol == TCP:
            return self._receive_tcp(packet, now, checksum_ok)
        if packet.protocol == ICMP:
            return self._receive_icmp(packet, now)
        return "IpInUnknownProtos"

    def _receive_tcp(self, packet: IPPacket, now: int, checksum_ok: bool) -> str | None:
        self.counters.add("IpInDelivers")
        self.counters.add("TcpInSegs")
        try:
            segment = self.codec.decode_tcp(packet, verify=not checksum_ok)
        except WireError as error:
            if error.counter != "TcpInErrs":
                self.counters.add("TcpInErrs")
            raise
        local = Endpoint(packet.destination, segment.destination_port)
        return self.transport.segment_arrives(local, Endpoint(packet.source, segment.source_port), segment, now=now)

    def _receive_icmp(self, packet: IPPacket, now: int) -> str | None:
        self.counters.add("IpInDelivers")
        self.counters.add("IcmpInMsgs")
        try:
            message = self.codec.decode_icmp(packet)
        except WireError as broken:
            if broken.counter != "IcmpInErrors":
                self.counters.add("IcmpInErrors")
            raise
        reply = icmp.echo_reply(packet, message, codec=self.codec, ttl=self.config.default_ttl)
        if reply is not None:
            self.counters.add("IcmpInEchos")
            return self._reply(reply)
        error = icmp.parse_error(message, path_mtu_discovery=self.config.path_mtu_discovery)
        if error is not None:
            self.transport.icmp_error(error, now=now)
        return None

    def _reply(self, packet: IPPacket) -> str | None:
        if len(self._replies) >= self.config.transmit_queue:
            return "IpOutDiscards"
        self.counters.add("IcmpOutEchoReps")
        self._replies.append(self.codec.encode_ip(packet))
        return None

    # --- packets out ---

    def poll_transmit(self, *, now: int) -> bytes | None:
        """The next packet (frame, where there is a link) for the device; None when there is nothing to send now."""
        if self.link is None:
            return self._next_packet(now)
        while (frame := self.link.poll_transmit(now=now)) is None:
            packet = self._next_packet(now)
            if packet is None:
                return None
            self.link.send(packet, _destination(packet), now=now)
            self._report_unreachable(self.link, now)
        return frame

    def _next_packet(self, now: int) -> bytes | None:
        while (packet := self._replies.popleft() if self._replies else self._next_of_tcp(now)) is not None:
            self.counters.add("IpOutRequests")
            if self.trace is not None:
                self.trace(PacketSent(now, packet))
            if _destination(packet) not in self._own:
                return packet
            self._receive(packet, now, checksum_ok=True)  # RFC 1122 3.3.1.1: what is for ourselves never reaches the link
        return None

    def _next_of_tcp(self, now: int) -> bytes | None:
        outgoing = self.transport.poll_transmit(now=now)
        return None if outgoing is None else self._encode(outgoing)

    def _encode(self, outgoing: Outgoing) -> bytes:
        self._identification = (self._identification + 1) & 0xFFFF
        return self.codec.encode_ip(
            IPPacket(
                outgoing.source,
                outgoing.destination,
                TCP,
                self.codec.encode_tcp(outgoing.segment, outgoing.source, outgoing.destination),
                ttl=outgoing.ttl,
                tos=outgoing.tos,
                identification=self._identification,
                dont_fragment=self.config.path_mtu_discovery,
            )
        )

    def _report_unreachable(self, link: EthernetLink, now: int) -> None:
        while (data := link.poll_unreachable()) is not None:
            packet = self.codec.decode_ip(data)
            if packet.protocol == TCP:
                segment = self.codec.decode_tcp(packet, verify=False)
                local = Endpoint(packet.source, segment.source_port)
                remote = Endpoint(packet.destination, segment.destination_port)
                self.transport.unreachable(local, remote, segment.seq, HostUnreachable(), now=now)

    # --- time ---

    def advance(self, *, now: int) -> None:
        """Fire every deadline up to ``now``."""
        if self.link is not None:
            self.link.on_deadline(now=now)
            self._report_unreachable(self.link, now)
        self.transport.table.advance(now)

    def next_deadline(self) -> int | None:
        """When ``advance`` has to be called next, in ns; None where nothing waits. It may be early, never late."""
        deadlines = (self.transport.table.wheel.next_deadline(), None if self.link is None else self.link.next_deadline())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    # --- sockets ---

    def bind(self, local: Endpoint, *, reuse_address: bool = False, v6only: bool = False) -> Binding:
        """Take a local socket; port 0 takes an unused one, an unspecified address means all of ours of its family (MUST-43).

        ``::`` means those of IPv4 too, unless ``v6only`` (IPV6_V6ONLY) is set; a connection from IPv4 then has IPv4 sockets.

        Raises:
            AddressInUse: the port is taken.
            AddressNotAvailable: the address is not ours, or not yet (``addresses``), or no ephemeral port is free.
        """
        return self.transport.bind(local, reuse_address=reuse_address, v6only=v6only)

    def unbind(self, binding: Binding) -> None:
        """Give a bound socket back that neither listens nor connects."""
        self.transport.unbind(binding)

    def listen(self, binding: Binding, *, backlog: int, now: int, config: StackConfig | None = None) -> Listener:
        """Listen on a bound socket, which then belongs to the listener; ``config`` is for its connections.

        Raises:
            AddressInUse: something listens there already.
        """
        return self.transport.listen(binding, backlog=backlog, config=config, now=now)

    def connect(
        self, remote: Endpoint, *, binding: Binding | None = None, now: int, config: StackConfig | None = None
    ) -> Connection:
        """Active OPEN: SYN-SENT at once. Without ``binding`` address (MUST-44) and port are chosen; with it, it is used up.

        Raises:
            NetworkUnreachable: no address of ours has the family, the socket is not bound for it, or MUST-46.
            AddressNotAvailable: no port is free, no address may be used yet, or a connection between the two sockets exists.
            NoBufferSpace: ``max_connections`` was reached.
        """
        return self.transport.connect(remote, binding=binding, config=config, now=now)

    def touch(self, connection: Connection) -> None:
        """After every call on a connection: its output and its timers have to follow."""
        self.transport.touch(connection)

    def touched(self) -> set[Connection | Listener]:
        """Those whose readiness may have changed since the last call: wake who waits for them."""
        return self.transport.table.touched()

    def connections(self) -> list[ConnectionRow]:
        """Listeners, live connections and TIME-WAIT records."""
        return self.transport.rows()


def _destination(packet: bytes) -> bytes:
    """The destination as it stands in the header."""
    return packet[16:20] if packet[0] >> 4 == 4 else packet[24:40]
