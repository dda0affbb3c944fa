"""The sans-I/O host: packets in, packets out, sockets on top.

The law of the order: everything that has arrived is processed before anything is sent (MUST-58, MUST-59), and generation stops when
the device is full: ``poll_transmit`` is only called for what the device can take.
"""

from collections import deque
from collections.abc import Callable, Sequence

from userstack.address import Endpoint, is_unspecified
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.errors import HostUnreachable
from userstack.net import icmp, icmpv6, octets
from userstack.net.addresses import Addresses
from userstack.net.bucket import TokenBucket
from userstack.net.ephemeral import EphemeralPorts
from userstack.net.ethernet import ICMPV6_TYPES, EthernetLink
from userstack.net.fast_path import FastPath
from userstack.net.interface import Interface, is_multicast, is_unicast, is_valid_source
from userstack.net.listener import Listener
from userstack.net.outgoing import Outgoing
from userstack.net.packing import Packing
from userstack.net.ports import Binding
from userstack.net.syncookies import SynCookies
from userstack.net.table import ConnectionRow
from userstack.net.transport import Transport
from userstack.tcp.connection import Connection
from userstack.tcp.isn import IsnGenerator, SecretIsn
from userstack.tcp.timestamps import SecretOffset
from userstack.trace import PacketDropped, PacketReceived, PacketSent, Tracer
from userstack.wire.codec import Codec, ParameterProblem, WireError
from userstack.wire.icmp import IcmpMessage
from userstack.wire.icmpv6 import UNRECOGNIZED_NEXT_HEADER
from userstack.wire.ip import ICMP, ICMPV6, NO_NEXT_HEADER, TCP, Buffer, IPPacket
from userstack.wire.offload import Outbound, finished, headers
from userstack.wire.source_route import SourceRoute, destination_of, read_recorded


class Host:
    """One host with its addresses. ``now`` is in nanoseconds and never goes back; ``random(n)`` gives 0 to n - 1.

    Without ``mac`` packets are IP packets, and every address may be used at once. With it they are Ethernet frames, and an IPv6
    address is used once it is sure that nobody else has it: ``addresses`` tells. ``gateways`` are the next hops to other networks,
    one for a family. ``isn`` takes the place of the generator of RFC 6528.

    Raises:
        InvalidArgument: ``mac`` or a gateway cannot be.
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
        mac: bytes | None = None,
        gateways: Sequence[bytes] = (),
        trace: Tracer | None = None,
        start: int = 0,
        isn: IsnGenerator | None = None,
    ) -> None:
        self.config = config
        self.codec = codec
        self.counters = Counters()
        self.link = None
        if mac is not None:
            self.link = EthernetLink(
                mac,
                interfaces,
                gateways=gateways,
                config=config,
                codec=codec,
                counters=self.counters,
                random=random,
                trace=trace,
            )
        self.addresses = Addresses(interfaces) if self.link is None else self.link.addresses
        self.interfaces = self.addresses.interfaces
        self.trace = trace
        confirm = None if self.link is None else self.link.confirm
        self.transport = Transport(
            self.addresses,
            config=config,
            counters=self.counters,
            isn=isn or SecretIsn(secret),
            timestamp_offset=SecretOffset(secret),
            syn_cookies=SynCookies(secret),
            ephemeral_ports=EphemeralPorts(secret, config.ephemeral_ports),
            random=random,
            secret=secret,
            mtu=mtu,
            trace=trace,
            start=start,
            hand_down=self._reply_of_tcp,
            confirm=confirm,
        )
        self._fast_path: FastPath | None = None
        """None where every packet is to go through the codec."""
        if codec.name == "fast":
            self._fast_path = FastPath(self.transport, self.counters, confirm, self._receive, self._drop)
        self._own = self.addresses.own
        self._packing = Packing(codec, offload=config.offload)
        self._replies: deque[Outbound] = deque()
        """What is sent without a connection."""
        self._errors = TokenBucket(rate=config.icmp_error_rate, burst=config.icmp_error_burst)

    # --- packets in ---

    def deliver(self, data: Buffer, *, now: int, checksum_ok: bool = False, more: bool = False) -> bool:
        """What the device has read. Never raises for what is in it.

        Args:
            data: a packet (frame, where there is a link).
            now: the time, in ns.
            checksum_ok: the device vouches for TCP's checksum.
            more: it is one of a batch, of which what belongs together may be taken as one; after the last one the caller owes
                ``settle``.

        Returns:
            True where it waits for that.
        """
        packet = data if self.link is None else self.link.receive(data, now=now)
        if packet is None:
            return False
        if self.trace is not None:
            self.trace(PacketReceived(now, bytes(packet)))
        if self._fast_path is not None:
            if self._fast_path.take(packet, now, vouched=checksum_ok, more=more):
                return self._fast_path.holds
            if self.transport.syn_path.patterns and self._answer_syn(packet, now, checksum_ok):
                return False
        self._receive(packet, now, checksum_ok)
        return False

    def _answer_syn(self, data: Buffer, now: int, checksum_ok: bool) -> bool:
        """The short way of a SYN that gets a cookie."""
        if len(self._replies) >= self.config.transmit_queue:
            return False
        identification = (self._packing.identification + 1) & 0xFFFF
        answer = self.transport.syn_path.answer(data, identification, now, vouched=checksum_ok)
        if answer is None:
            return False
        self._packing.identification = identification
        self._replies.append(answer)
        return True

    def settle(self, *, now: int) -> None:
        """The batch is over."""
        if self._fast_path is not None:
            self._fast_path.settle(now)

    def _receive(self, data: Buffer, now: int, checksum_ok: bool) -> None:
        self.counters["Ip6InReceives" if len(data) and data[0] >> 4 == 6 else "IpInReceives"] += 1
        try:
            packet = self.codec.decode_ip(data)
            octets.count_in(self.counters, len(packet.source) == 16, packet.tos, 1, len(data))
            dropped = self._demultiplex(packet, now, checksum_ok)
        except ParameterProblem as problem:
            dropped = problem.counter
            self._answer_problem(data, problem, now)
        except WireError as error:
            dropped = error.counter
        if dropped is not None:
            self._drop(dropped, data, now)

    def _drop(self, counter: str, data: Buffer, now: int) -> None:
        self.counters.add(counter)
        if self.trace is not None:
            self.trace(PacketDropped(now, bytes(data), counter))

    def _demultiplex(self, packet: IPPacket, now: int, checksum_ok: bool) -> str | None:
        """Hand a packet up; the name of the counter where it is thrown away."""
        ip = "Ip" if len(packet.source) == 4 else "Ip6"
        if packet.destination not in self._own or not is_valid_source(packet.source, self.interfaces):
            return self._receive_by_group(packet, now) if is_multicast(packet.destination) else ip + "InAddrErrors"
        route = None
        if packet.options:
            recorded = read_recorded(packet.options)
            if recorded is not None:
                if not (self.config.accept_source_route and recorded.completed):
                    return "IpInSourceRouteDrops"  # this host is no router: what is to go on does not (RFC 1122 3.3.5)
                route = recorded.back(packet.source)
        if packet.is_fragment:
            return ip + "ReasmFails"
        if packet.protocol == TCP:
            self.counters[ip + "InDelivers"] += 1
            return self._receive_tcp(packet, route, now, checksum_ok)
        if packet.protocol == (ICMP if len(packet.source) == 4 else ICMPV6):
            self.counters.add(ip + "InDelivers")
            return self._receive_icmp(packet, route, now) if packet.protocol == ICMP else self._receive_icmpv6(packet, now)
        if len(packet.source) == 16 and packet.protocol != NO_NEXT_HEADER:
            raise ParameterProblem(  # RFC 8200 4
                "Ip6InUnknownProtos",
                f"unknown next header {packet.protocol}",
                code=UNRECOGNIZED_NEXT_HEADER,
                pointer=packet.next_header_offset,
            )
        return ip + "InUnknownProtos"

    def _receive_by_group(self, packet: IPPacket, now: int) -> str | None:
        """What came to a group is for ICMPv6 alone (MUST-57), and from nobody for duplicate address detection alone (MUST-63)."""
        if len(packet.destination) == 4 or packet.destination not in self.addresses.groups:
            return "IpInAddrErrors" if len(packet.destination) == 4 else "Ip6InMcastPkts"
        if not (is_valid_source(packet.source) or is_unspecified(packet.source)) or packet.is_fragment:
            return "Ip6InAddrErrors"
        self.counters.add("Ip6InMcastPkts")
        if packet.protocol != ICMPV6:
            return "Ip6InUnknownProtos"
        self.counters.add("Ip6InDelivers")
        return self._receive_icmpv6(packet, now)

    def _receive_tcp(self, packet: IPPacket, route: SourceRoute | None, now: int, checksum_ok: bool) -> str | None:
        self.counters["TcpInSegs"] += 1
        try:
            segment = self.codec.decode_tcp(packet, verify=not checksum_ok)
        except WireError as error:
            if error.counter != "TcpInErrs":
                self.counters.add("TcpInErrs")
            raise
        return self.transport.segment_arrives(segment, packet=packet, route=route, now=now)

    def _receive_icmp(self, packet: IPPacket, route: SourceRoute | None, now: int) -> str | None:
        self.counters.add("IcmpInMsgs")
        try:
            message = self.codec.decode_icmp(packet)
        except WireError as broken:
            if broken.counter != "IcmpInErrors":
                self.counters.add("IcmpInErrors")
            raise
        self.counters.add(icmp.counter_of(message.type))
        reply = icmp.echo_reply(packet, message, codec=self.codec, ttl=self.config.default_ttl, route=route)
        if reply is not None:
            self.counters.add("IcmpOutMsgs")
            return self._reply(reply, "IcmpOutEchoReps")
        error = icmp.parse_error(message, path_mtu_discovery=self.config.path_mtu_discovery)
        if error is not None:
            self.transport.icmp_error(error, now=now)
        return None

    def _receive_icmpv6(self, packet: IPPacket, now: int) -> str | None:
        self.counters.add("Icmp6InMsgs")
        try:
            message = self.codec.decode_icmpv6(packet)
            return self._take_icmpv6(packet, message, now)
        except WireError as broken:
            if broken.counter != "Icmp6InErrors":
                self.counters.add("Icmp6InErrors")
            raise

    def _take_icmpv6(self, packet: IPPacket, message: IcmpMessage, now: int) -> str | None:
        self.counters.add(icmpv6.counter_of(message.type))
        if message.type in ICMPV6_TYPES:
            if self.link is not None:
                self.link.receive_icmpv6(packet, message, now=now)
            return None
        reply = icmpv6.echo_reply(message)
        if reply is not None:
            return self._reply_icmpv6(reply, packet.destination, packet.source, "Icmp6OutEchoReplies", tos=packet.tos & 0xFC)
        error = icmpv6.parse_error(message, path_mtu_discovery=self.config.path_mtu_discovery)
        if error is not None:
            self.transport.icmp_error(error, now=now)
        return None

    def _answer_problem(self, data: Buffer, problem: ParameterProblem, now: int) -> None:
        """RFC 4443 3.4, to whoever sent us an IPv6 packet that RFC 8200 has answered so; RFC 1122 3.2.2.5 for IPv4."""
        if data[0] >> 4 == 4:
            self._answer_problem4(data, problem, now)
            return
        source, destination = bytes(data[8:24]), bytes(data[24:40])
        if destination not in self._own and destination not in self.addresses.groups:
            return
        if not icmpv6.may_be_answered(data, multicast=problem.multicast):
            return
        if not self._errors.take(now=now):
            self.counters.add("Icmp6OutRateLimitHost")
            return
        message = icmpv6.parameter_problem(data, code=problem.code, pointer=problem.pointer)
        dropped = self._reply_icmpv6(message, destination, source, "Icmp6OutParmProblems", tos=self.config.tos_for(source))
        if dropped is not None:
            self.counters.add(dropped)

    def _answer_problem4(self, data: Buffer, problem: ParameterProblem, now: int) -> None:
        source, destination = bytes(data[12:16]), bytes(data[16:20])
        if not icmp.may_be_answered(data):
            return
        if not self._errors.take(now=now):
            self.counters.add("IcmpOutRateLimitHost")
            return
        mtu = self.transport.paths.to(source, now=now).mtu
        message = self.codec.encode_icmp(icmp.parameter_problem(data, pointer=problem.pointer, mtu=mtu))
        self.counters.add("IcmpOutMsgs")
        ttl, tos = self.config.default_ttl, self.config.tos
        dropped = self._reply(IPPacket(destination, source, ICMP, message, ttl=ttl, tos=tos), "IcmpOutParmProbs")
        if dropped is not None:
            self.counters.add(dropped)

    def _reply_icmpv6(self, message: IcmpMessage, asked: bytes, asker: bytes, counter: str, *, tos: int) -> str | None:
        """RFC 4443 2.2: from the address that was asked; where that is a group, from one of ours, if there is one yet."""
        source = asked if asked in self._own else self.addresses.best_source(asker)
        if source is None or not is_unicast(asker):
            return "Ip6InAddrErrors"
        payload = self.codec.encode_icmpv6(message, source, asker)
        self.counters.add("Icmp6OutMsgs")
        return self._reply(IPPacket(source, asker, ICMPV6, payload, ttl=self.config.ttl_for(source), tos=tos), counter)

    def _reply(self, packet: IPPacket, counter: str) -> str | None:
        if len(self._replies) >= self.config.transmit_queue:
            return "IpOutDiscards" if packet.version == 4 else "Ip6OutDiscards"
        self.counters.add(counter)
        self._replies.append(self.codec.encode_ip(packet))
        return None

    def _reply_of_tcp(self, outgoing: Outgoing) -> bool:
        if len(self._replies) >= self.config.transmit_queue:
            return False
        self._replies.append(self._packing.pack(outgoing))
        return True

    # --- packets out ---

    def poll_transmit(self, *, now: int) -> Outbound | None:
        """The next packet (frame, where there is a link) for the device; None when there is nothing to send now.

        With ``config.offload`` a packet of TCP's is one that the device has to finish.
        """
        train = self._packing.train  # what is left of it is counted already
        if self.link is None:
            return train.popleft() if train else self._next_packet(now)
        while (frame := self.link.poll_transmit(now=now)) is None:
            packet = train.popleft() if train else self._next_packet(now)
            if packet is None:
                return None
            self.link.send(packet, _destination(headers(packet)), now=now)
            self._report_unreachable(self.link, now)
        return frame

    def _next_packet(self, now: int) -> Outbound | None:
        """The next one that is for the link, or the first of a train, the rest of which follows: all of it is counted with it."""
        while (packet := self._replies.popleft() if self._replies else self._next_of_tcp(now)) is not None:
            head, train = headers(packet), self._packing.train
            octets.count_out(self.counters, head[0] >> 4, 1 + len(train), len(packet) + sum(map(len, train)))
            if self.trace is not None:
                for unit in (packet, *train):
                    self.trace(PacketSent(now, finished(unit)))
            if _destination(head) not in self._own:
                return packet
            # RFC 1122 3.3.1.1: what is for ourselves never reaches the link
            units = [packet, *train]
            train.clear()
            for unit in units:
                self._receive(finished(unit), now, checksum_ok=True)
        return None

    def _next_of_tcp(self, now: int) -> Outbound | None:
        outgoing = self.transport.poll_transmit(now=now)
        return None if outgoing is None else self._packing.pack(outgoing)

    def _report_unreachable(self, link: EthernetLink, now: int) -> None:
        while (data := link.poll_unreachable()) is not None:
            packet = self.codec.decode_ip(data)
            if packet.protocol == TCP:
                segment = self.codec.decode_tcp(packet, verify=False)
                local = Endpoint(packet.source, segment.source_port)
                remote = Endpoint(destination_of(packet.destination, packet.options), segment.destination_port)
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
        first = self.transport.table.wheel.next_deadline()
        other = None if self.link is None else self.link.next_deadline()
        return first if other is None or (first is not None and first <= other) else other

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

    def listen(
        self, binding: Binding, *, backlog: int, now: int, config: StackConfig | None = None, fast_open: int = 0
    ) -> Listener:
        """Listen on a bound socket, which then belongs to the listener; ``config`` is for its connections.

        ``fast_open``: how many may speak before their handshake is over (RFC 7413, PendingFastOpenRequests), where the settings
        let servers do so.

        Raises:
            AddressInUse: something listens there already.
        """
        return self.transport.listen(binding, backlog=backlog, config=config, fast_open=fast_open, now=now)

    def connect(
        self,
        remote: Endpoint,
        *,
        binding: Binding | None = None,
        now: int,
        config: StackConfig | None = None,
        fast_open: Buffer | None = None,
        deferred: bool = False,
        route: SourceRoute | None = None,
    ) -> Connection:
        """Active OPEN: SYN-SENT at once. Without ``binding`` address (MUST-44) and port are chosen; with it, it is used up.

        ``fast_open``, which may be empty, asks for Fast Open (RFC 7413): as much of it as the SYN may carry is taken for sending,
        nothing as long as there is no cookie. With ``deferred`` a SYN that may carry text waits for the first ``send``.
        ``route`` is the source route that every segment takes (MUST-51).

        Raises:
            NetworkUnreachable: no address of ours has the family, the socket is not bound for it, or MUST-46.
            AddressNotAvailable: no port is free, no address may be used yet, or a connection between the two sockets exists.
            NoBufferSpace: ``max_connections`` was reached.
        """
        leaves_link = route is not None and not any(interface.contains(route.hops[0]) for interface in self.interfaces)
        if self.link is not None and route is not None and route.strict and leaves_link:
            raise HostUnreachable("the first router of a strict route must be on this link (RFC 791 3.1)")
        return self.transport.connect(
            remote, binding=binding, config=config, fast_open=fast_open, deferred=deferred, route=route, now=now
        )

    def touch(self, connection: Connection) -> None:
        """After every call on a connection: its output and its timers have to follow."""
        self.transport.touch(connection)

    def touched(self) -> set[Connection | Listener | Addresses]:
        """Those whose readiness may have changed since the last call, ``addresses`` among them: wake who waits for them."""
        touched: set[Connection | Listener | Addresses] = {*self.transport.table.touched()}
        if self.addresses.take_changed():
            touched.add(self.addresses)
        return touched

    def connections(self) -> list[ConnectionRow]:
        """Listeners, live connections and TIME-WAIT records."""
        return self.transport.rows()


def _destination(packet: bytes) -> bytes:
    """The destination as it stands in the header."""
    return packet[16:20] if packet[0] >> 4 == 4 else packet[24:40]
