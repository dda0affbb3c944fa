"""TCP of one host, above IP: which connection a segment is for (RFC 9293 3.10.7), and the sockets that programs open."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from userstack.address import Endpoint, format_address, is_unspecified
from userstack.config import FAST_OPEN_EVERY_LISTENER, FAST_OPEN_SERVER, StackConfig
from userstack.counters import Counters
from userstack.errors import AddressInUse, AddressNotAvailable, InvalidArgument, NetworkUnreachable, NoBufferSpace
from userstack.net.addresses import Addresses
from userstack.net.cookies import CookieCache
from userstack.net.ephemeral import EphemeralPorts
from userstack.net.fastopen import FastOpenServer
from userstack.net.icmp import IcmpError
from userstack.net.interface import is_valid_source
from userstack.net.listener import Listener
from userstack.net.paths import Paths
from userstack.net.ports import Binding, Kind, PortTable, Use
from userstack.net.reuse import gives_way
from userstack.net.syncookies import VALID, SynCookies, carry_options, remembered_syn, without_echo, without_options
from userstack.net.synqueue import Verdict, judge
from userstack.net.table import ConnectionRow, ConnectionTable, Entry
from userstack.tcp import md5sig, seq
from userstack.tcp.challenge import ChallengeThrottle
from userstack.tcp.connection import Connection
from userstack.tcp.fastopen import FastOpen
from userstack.tcp.isn import IsnGenerator
from userstack.tcp.options import default_mss, read_syn
from userstack.tcp.orphancount import OrphanCount
from userstack.tcp.output import reset_for
from userstack.tcp.state import State
from userstack.tcp.timestamps import OffsetGenerator, read_timestamps
from userstack.tcp.timewait import TimeWait
from userstack.trace import Tracer
from userstack.wire.ip import Buffer, IPPacket
from userstack.wire.source_route import SourceRoute
from userstack.wire.tcp import ACK, RST, SYN, TcpSegment


class Outgoing(NamedTuple):
    """A segment on its way down to IP."""

    segment: TcpSegment
    source: bytes
    destination: bytes
    ttl: int
    tos: int
    dont_fragment: bool
    route: SourceRoute | None


class Transport:
    """The connections, listeners and ports of one host."""

    def __init__(
        self,
        addresses: Addresses,
        *,
        config: StackConfig,
        counters: Counters,
        isn: IsnGenerator,
        timestamp_offset: OffsetGenerator,
        cookies: SynCookies,
        ephemeral_ports: EphemeralPorts,
        random: Callable[[int], int],
        secret: bytes,
        mtu: int,
        trace: Tracer | None,
        start: int,
        confirm: Callable[[bytes, int], None] | None = None,
    ) -> None:
        self.addresses = addresses
        self.config = config
        self.ports = PortTable(config.ephemeral_ports, random)
        self.table = ConnectionTable(self.ports, config=config, counters=counters, trace=trace, start=start)
        self.listeners: dict[Endpoint, Listener] = {}
        self._counters = counters
        self._isn = isn
        self._timestamp_offset = timestamp_offset
        self._syn_cookies = cookies
        self._ephemeral_ports = ephemeral_ports
        self.paths = Paths(mtu, config=config, counters=counters)
        self._trace = trace
        self._confirm = confirm
        """Told, with the time, of a remote address that has just proved to hear us."""
        self._challenge = ChallengeThrottle(config.challenge_ack_limit, random)
        self.orphans = OrphanCount(config.max_orphans)
        self._cookies = CookieCache(config, counters)
        self._fast_open = FastOpenServer(config, counters, secret)
        self._quiet_until = start + config.msl if config.quiet_time else 0
        self._alone: deque[Outgoing] = deque()
        """Segments of no connection: resets, and SYN,ACKs with a cookie."""

    # --- segments ---

    def segment_arrives(
        self, local: Endpoint, remote: Endpoint, segment: TcpSegment, *, packet: IPPacket, route: SourceRoute | None, now: int
    ) -> str | None:
        """Find whose the segment is; the name of the counter where it is thrown away.

        ``packet`` has brought it; ``route`` is the way back that it has recorded.
        """
        entry = self.table.entries.get((local, remote))
        if entry is not None:
            return self._to_entry(entry, segment, packet, route, now)
        listener = self._listener_at(local)
        if listener is not None:
            if packet.ttl < listener.config.min_ttl_for(local.address):
                return "TcpExtTCPMinTTLDrop"
            return self._to_listener(listener, local, remote, segment, route, now)
        return self._to_nobody(local, remote, segment, route)

    def _listener_at(self, local: Endpoint) -> Listener | None:
        """Whoever listens for ``local``: on the address itself, on every one of its family, or on every one of both."""
        listener = self.listeners.get(local) or self.listeners.get(Endpoint(bytes(len(local.address)), local.port))
        if listener is None and len(local.address) == 4:
            dual = self.listeners.get(Endpoint(bytes(16), local.port))
            return dual if dual is not None and dual.binding.both_families else None
        return listener

    def _to_entry(self, entry: Entry, segment: TcpSegment, packet: IPPacket, route: SourceRoute | None, now: int) -> str | None:
        if entry.record is not None:
            listener = self._listener_at(entry.key[0])
            if listener is not None and entry.record.reopens(segment):
                return self._reopen(entry, listener, segment, route, now)
        connection = entry.connection
        if connection is not None and packet.ttl < connection.tcb.lower.min_ttl:
            return "TcpExtTCPMinTTLDrop"
        local, remote = entry.key
        forged = md5sig.failure(segment, remote.address, local.address, entry.machine.md5_key)
        if forged is not None:
            return forged
        waiting = entry.listener
        if waiting is not None and connection is not None and waiting.full and connection.would_be_established(segment):
            return self._overflow(entry, connection, segment, route, now)
        accepted = 0 if connection is None else connection.tcb.segs_accepted
        if self.table.segment_arrives(entry, segment, now) and self._confirm is not None:
            self._confirm(remote.address, now)
        if connection is not None and connection.tcb.segs_accepted != accepted:
            connection.lower.rcv_tos = packet.tos  # MAY-9
            if route is not None and connection.tcb.passive:
                connection.return_route(route)  # SHLD-24
        return None

    def _overflow(self, entry: Entry, child: Connection, segment: TcpSegment, route: SourceRoute | None, now: int) -> str:
        """The accept queue is full. Either as if the ACK had been lost: the SYN,ACK is repeated and the peer tries on; or a RST."""
        self._counters.add("TcpExtListenOverflows")
        if child.config.abort_on_overflow:
            self._counters.add("TcpExtEmbryonicRsts")
            self._refuse(*entry.key, segment, child.md5_key, route)
            child.give_up(cause="accept queue full", now=now)
            self.table.free(entry, now)
        return "TcpExtListenDrops"

    def _to_listener(
        self,
        listener: Listener,
        local: Endpoint,
        remote: Endpoint,
        segment: TcpSegment,
        route: SourceRoute | None,
        now: int,
    ) -> str | None:
        """RFC 9293 3.10.7.2; what its steps leave, a SYN alone, gets a connection of its own in LISTEN."""
        key = listener.md5_keys.find(remote.address)
        forged = md5sig.failure(segment, remote.address, local.address, key)
        if forged is not None:
            return forged
        if segment.flags & RST:
            return None
        if segment.flags & ACK:
            return self._third_segment(listener, local, remote, segment, key, route, now)
        if not segment.flags & SYN or not remote.port:
            return "TcpInErrs"
        verdict = judge(listener, self._counters)
        if verdict is Verdict.DROP or self.table.live >= self.config.max_connections:
            return "TcpExtListenDrops"
        if verdict is Verdict.COOKIE:
            return self._send_cookie(listener, local, remote, segment, key, route, now)
        fast_open = self._fast_open.judge(listener.fast_open, listener.config, local, remote, segment, now=now)
        child = self._new_connection(local, remote, config=listener.config, listening=True, fast_open=fast_open, now=now)
        child.md5_key = key
        if route is not None:
            child.return_route(route)
        child.on_segment(segment, now=now, source=remote.address)
        if child.state is State.SYN_RECEIVED:
            self._enter_child(child, listener)
        return None

    def _send_cookie(
        self,
        listener: Listener,
        local: Endpoint,
        remote: Endpoint,
        syn: TcpSegment,
        key: bytes | None,
        route: SourceRoute | None,
        now: int,
    ) -> str | None:
        """RFC 4987 3.6: the SYN,ACK goes out, and nothing is kept of the connection that it says there is."""
        config = listener.config
        if not config.timestamps or read_timestamps(syn.options) is None:
            syn = without_options(syn)
        offered = read_syn(syn.options).mss
        mss = offered if offered is not None else default_mss(local.address)
        cookie = self._syn_cookies.make(local, remote, syn.seq, mss, now)
        if cookie is None:
            return "TcpExtListenDrops"
        child = self._new_connection(local, remote, config=config, isn=lambda *_: cookie, listening=True, now=now)
        child.tcb.trace = None  # it is in no state that anybody could see
        child.md5_key = key
        if route is not None:
            child.return_route(route)
        child.on_segment(syn, now=now, source=remote.address)
        if child.state is not State.SYN_RECEIVED:
            return None
        carry_options(child, now)
        answer = child.poll_transmit(now=now)
        if answer is not None:
            listener.cookie_sent_at = now
            if self._send_alone(answer, local, remote, route):
                self._counters.add("TcpExtSyncookiesSent")
        return None

    def _third_segment(
        self,
        listener: Listener,
        local: Endpoint,
        remote: Endpoint,
        ack: TcpSegment,
        key: bytes | None,
        route: SourceRoute | None,
        now: int,
    ) -> str | None:
        """3.10.7.2, second step: an ACK for a LISTEN is answered with a RST, unless it brings a cookie back."""
        sent_at = listener.cookie_sent_at
        if ack.flags & SYN or not listener.config.syncookies or sent_at is None or now - sent_at > VALID:
            self._refuse(local, remote, ack, key, route)
            return None
        cookie = seq.wrap(ack.ack - 1)
        mss = self._syn_cookies.check(cookie, local, remote, ack.seq - 1, now)
        if mss is None:
            self._counters.add("TcpExtSyncookiesFailed")
            self._refuse(local, remote, ack, key, route)
            return None
        self._counters.add("TcpExtSyncookiesRecv")
        if listener.full or self.table.live >= self.config.max_connections:
            if listener.full:
                self._counters.add("TcpExtListenOverflows")
            return "TcpExtListenDrops"
        self._remember(listener, local, remote, ack, cookie, mss, now)
        return None

    def _remember(
        self, listener: Listener, local: Endpoint, remote: Endpoint, ack: TcpSegment, cookie: int, mss: int, now: int
    ) -> None:
        """The connection as if its SYN had been kept; ``ack``, with what else it brings, is then the next of its segments."""
        config = replace(listener.config, defer_accept=0)  # as in Linux: it is here, so it is established
        child = self._new_connection(local, remote, config=config, isn=lambda *_: cookie, listening=True, now=now)
        child.md5_key = listener.md5_keys.find(remote.address)
        offset = self._timestamp_offset(local, remote) if config.timestamps else None
        child.on_segment(remembered_syn(ack, mss, offset=offset), now=now, source=remote.address)
        self._enter_child(child, listener)
        entry = self.table.entries[(local, remote)]
        self.table.segment_arrives(entry, without_echo(ack), now)

    def _reopen(self, entry: Entry, listener: Listener, segment: TcpSegment, route: SourceRoute | None, now: int) -> str | None:
        """RFC 9293 3.6.1, MAY-2: TIME-WAIT to SYN-RECEIVED."""
        local, remote = entry.key
        key = listener.md5_keys.find(remote.address)
        forged = md5sig.failure(segment, remote.address, local.address, key)
        if forged is not None:
            return forged
        if listener.full:
            self._counters.add("TcpExtListenOverflows")
            return "TcpExtListenDrops"
        # As in Linux the SYN queue is no limit here: the record gives its place, and its peer is no forged one.
        fast_open = self._fast_open.judge(listener.fast_open, listener.config, local, remote, segment, now=now)
        connection = self._new_connection(
            local, remote, config=listener.config, reopening=entry.record, fast_open=fast_open, now=now
        )
        connection.md5_key = key
        if route is not None:
            connection.return_route(route)
        connection.on_segment(segment, now=now)
        self.table.leave(entry)
        self._enter_child(connection, listener)
        return None

    def _enter_child(self, connection: Connection, listener: Listener) -> None:
        use = Use(connection.local.address, listener.binding.use.reuse_address, Kind.CONNECTED)
        self.table.enter(connection, use, listener)

    def _to_nobody(self, local: Endpoint, remote: Endpoint, segment: TcpSegment, route: SourceRoute | None) -> str | None:
        """RFC 9293 3.10.7.1; what is signed is answered only where the signature can be told to be right, and by a signed RST.

        Note: as in Linux the key is looked for with whoever listens on the peer's port number: a BGP speaker that has lost a
        connection that it had opened listens on port 179 itself.
        """
        key = None
        if md5sig.is_signed(segment):
            listener = self._listener_at(Endpoint(local.address, remote.port))
            key = None if listener is None else listener.md5_keys.find(remote.address)
            forged = md5sig.failure(segment, remote.address, local.address, key)
            if forged is not None:
                return forged
        self._refuse(local, remote, segment, key, route)
        return None

    def _refuse(self, local: Endpoint, remote: Endpoint, segment: TcpSegment, key: bytes | None, route: SourceRoute | None) -> None:
        """RFC 9293 3.10.7.1: nobody's segment."""
        reset = reset_for(segment, echo_timestamp=self.config.rst_echoes_timestamp)
        if reset is None:
            return
        if key is not None:
            md5sig.sign(reset, local.address, remote.address, key)
        if self._send_alone(reset, local, remote, route):
            self._counters.add("TcpOutSegs")
            self._counters.add("TcpOutRsts")

    def _send_alone(self, segment: TcpSegment, local: Endpoint, remote: Endpoint, route: SourceRoute | None) -> bool:
        """Send a segment that belongs to no connection; False where too many wait for the device."""
        if len(self._alone) >= self.config.transmit_queue:
            self._counters.add("IpOutDiscards")
            return False
        ttl, tos = self.config.ttl_for(local.address), self.config.tos_for(local.address)
        dont_fragment = self.config.path_mtu_discovery
        self._alone.append(Outgoing(segment, local.address, remote.address, ttl, tos, dont_fragment, route))
        return True

    def icmp_error(self, error: IcmpError, *, now: int) -> None:
        """RFC 9293 3.9.2.2, MUST-54: to the connection that caused it."""
        entry = self.table.entries.get((error.local, error.remote))
        if entry is None or entry.connection is None or entry.record is not None:
            return
        if error.ttl < entry.connection.min_ttl:
            self._counters.add("TcpExtTCPMinTTLDrop")
            return
        if error.mtu is not None and self.config.path_mtu_discovery:
            entry.connection.on_packet_too_big(error.mtu, seq=error.seq, now=now)
            self.paths.keep(error.remote.address, entry.connection.tcb.lower.path)
        else:
            entry.connection.on_icmp_error(error.error, hard=error.hard, seq=error.seq, now=now)
        self.touch(entry.connection)

    def unreachable(self, local: Endpoint, remote: Endpoint, wire_seq: int, error: OSError, *, now: int) -> None:
        """No neighbour answered. While a connection is being opened that ends it, as in the kernel; later it is a soft error."""
        entry = self.table.entries.get((local, remote))
        opening = entry is not None and entry.connection is not None and entry.connection.state is State.SYN_SENT
        self.icmp_error(IcmpError(local, remote, wire_seq, error, opening, None), now=now)

    def poll_transmit(self, *, now: int) -> Outgoing | None:
        """The next segment to send."""
        if self._alone:
            return self._alone.popleft()
        found = self.table.poll_transmit(now)
        if found is None:
            return None
        entry, segment = found
        machine = entry.machine
        lower = machine.lower
        return Outgoing(
            segment,
            entry.key[0].address,
            entry.key[1].address,
            machine.ttl,
            machine.tos & ~3 | segment.ecn if segment.ecn else machine.tos,
            lower.dont_fragment,
            lower.route,
        )

    # --- sockets ---

    def bind(self, local: Endpoint, *, reuse_address: bool, v6only: bool) -> Binding:
        """Take a local socket: see ``Host.bind``."""
        if not 0 <= local.port <= 65535:
            raise InvalidArgument(f"a port is 0 to 65535, not {local.port}")
        if local.address not in self.addresses.own and not is_unspecified(local.address):
            raise AddressNotAvailable(self.addresses.why_not(local.address))
        return self.ports.bind(local, reuse_address=reuse_address, v6only=v6only)

    def unbind(self, binding: Binding) -> None:
        """Give a bound socket back that neither listens nor connects."""
        self.ports.release(binding)

    def listen(self, binding: Binding, *, backlog: int, config: StackConfig | None, fast_open: int, now: int) -> Listener:
        """Listen on a bound socket: see ``Host.listen``."""
        binding.check()
        if self.ports.listens(binding):
            raise AddressInUse(f"something listens on {binding.local} already")
        machine = self._new_connection(binding.local, config=config, now=now)
        machine.open_passive(now=now)
        self.ports.change(binding, Kind.LISTENING)
        every = FAST_OPEN_SERVER | FAST_OPEN_EVERY_LISTENER
        if not fast_open and self.config.fast_open & every == every:
            fast_open = max(backlog, 0)
        listener = Listener(self, machine, binding, backlog=backlog, config=config or self.config, fast_open=fast_open)
        self.listeners[binding.local] = listener
        return listener

    def stop_listening(self, listener: Listener, *, now: int) -> None:
        """Close a listener; what it has not handed out is reset, what is half open forgotten."""
        self._forget(listener, now)
        listener.machine.close(now=now)

    def turn_active(self, listener: Listener, remote: Endpoint, *, now: int) -> Connection:
        """RFC 9293 3.10.1: LISTEN to SYN-SENT."""
        self._check_room()
        self._check_destination(remote)
        connection = listener.machine
        local = Endpoint(self._local_address(listener.binding, remote), connection.local.port)
        if (local, remote) in self.table.entries:
            raise AddressNotAvailable(f"there is a connection from {local} to {remote} already")
        connection.tcb.local = local
        connection.md5_key = listener.md5_keys.find(remote.address)
        connection.tcb.lower.path = self.paths.to(remote.address, now=now)
        connection.open_active(remote, now=now)
        self._forget(listener, now)
        use = Use(connection.local.address, listener.binding.use.reuse_address, Kind.CONNECTED)
        self.table.enter(connection, use)
        return connection

    def _forget(self, listener: Listener, now: int) -> None:
        del self.listeners[listener.binding.local]
        self.ports.release(listener.binding)
        for connection in list(listener.syn_queue):  # as in Linux without a word: what they send yet is nobody's
            connection.give_up(cause="listener closed", now=now)
            self.table.forget(connection, now)
        for connection in listener.accept_queue:
            if connection.state is not State.CLOSED:
                connection.abort(now=now, accepted=False)
            self.touch(connection)
        listener.accept_queue.clear()
        self.table.touch_listener(listener)

    def connect(
        self,
        remote: Endpoint,
        *,
        binding: Binding | None,
        config: StackConfig | None,
        fast_open: Buffer | None,
        deferred: bool,
        route: SourceRoute | None = None,
        now: int,
    ) -> Connection:
        """Active OPEN: see ``Host.connect``."""
        self._check_room()
        self._check_destination(remote)
        if route is not None:
            self._check_route(route, remote)
        if binding is not None:
            binding.check()
        address = self._local_address(binding, remote)
        port = binding.local.port if binding is not None else self._ephemeral(address, remote, config or self.config, now)
        local = Endpoint(address, port)
        reuse_address = binding is not None and binding.use.reuse_address
        attempt = None
        if fast_open is not None:
            mtu = self.paths.to(remote.address, now=now).mtu
            attempt = self._cookies.attempt(local, remote, config or self.config, mtu, deferred=deferred, now=now)
        connection = self._connection_between(local, remote, reuse_address=reuse_address, config=config, fast_open=attempt, now=now)
        connection.open_active(remote, now=now)
        if route is not None:
            connection.give_route(route)
        if attempt is not None and attempt.room and fast_open:
            connection.send(fast_open[: attempt.room], now=now)
        if binding is not None:
            self.unbind(binding)
        self.table.enter(connection, Use(address, reuse_address, Kind.CONNECTED))
        return connection

    def _check_destination(self, remote: Endpoint) -> None:
        if not 0 <= remote.port <= 65535:
            raise InvalidArgument(f"a port is 0 to 65535, not {remote.port}")
        if remote.address not in self.addresses.own and not is_valid_source(remote.address, self.addresses.interfaces):
            # Whoever cannot send us anything is nobody to connect to; loopback never leaves a host (RFC 1122 3.2.1.3).
            raise NetworkUnreachable(f"{remote} is no address of one host (RFC 9293 MUST-46)")

    def _check_route(self, route: SourceRoute, remote: Endpoint) -> None:
        if len(remote.address) != 4:
            raise InvalidArgument("a source route is for IPv4: IPv6 has none (RFC 5095)")
        for hop in route.hops:
            if not is_valid_source(hop, self.addresses.interfaces):
                raise NetworkUnreachable(f"{format_address(hop)} is no address of one router (RFC 9293 MUST-46)")

    def _check_room(self) -> None:
        if self.table.live >= self.config.max_connections:
            raise NoBufferSpace(f"max_connections ({self.config.max_connections}) was reached")

    def _local_address(self, binding: Binding | None, remote: Endpoint) -> bytes:
        """The address to reach ``remote`` from: that which was bound, or the best one (MUST-44)."""
        if binding is not None:
            bound = binding.local.address
            if is_unspecified(bound) and len(remote.address) == 4 and len(bound) == 16 and binding.use.v6only:
                raise NetworkUnreachable(f"the socket is bound for IPv6 alone, and {format_address(remote.address)} is IPv4")
            if len(bound) != len(remote.address) and not binding.both_families:
                raise InvalidArgument(f"{format_address(bound)} and {format_address(remote.address)} are not of one family")
            if not is_unspecified(bound):
                return bound
        return self.addresses.source_for(remote.address)

    def _ephemeral(self, address: bytes, remote: Endpoint, config: StackConfig, now: int) -> int:
        def is_free(port: int) -> bool:
            old = self.table.entries.get((Endpoint(address, port), remote))
            if old is not None and not self._gives_way(old, asked=False, config=config, now=now):
                return False
            return not self.ports.is_bound(port)

        return self._ephemeral_ports.choose(address, remote, is_free)

    def _gives_way(self, old: Entry, *, asked: bool, config: StackConfig, now: int) -> bool:
        loopback = old.key[1].address in self.addresses.own
        return old.record is not None and gives_way(old.record, asked=asked, loopback=loopback, config=config, now=now)

    def _connection_between(
        self,
        local: Endpoint,
        remote: Endpoint,
        *,
        reuse_address: bool,
        config: StackConfig | None,
        fast_open: FastOpen | None,
        now: int,
    ) -> Connection:
        old = self.table.entries.get((local, remote))
        if old is None:
            return self._new_connection(local, remote, config=config, fast_open=fast_open, now=now)
        if old.record is None or not self._gives_way(old, asked=reuse_address, config=config or self.config, now=now):
            raise AddressNotAvailable(f"there is a connection from {local} to {remote} already")
        self._counters.add("TcpExtTWRecycled")
        # As for MAY-2 the new ISS lies above all that the old incarnation used.
        above = old.record.next_iss
        old.record.abort(now=now)
        self.table.free(old, now)
        return self._new_connection(
            local,
            remote,
            config=config,
            isn=lambda *key: seq.wrap(max(seq.unwrap(self._isn(*key), above), above)),
            fast_open=fast_open,
            now=now,
        )

    def _new_connection(
        self,
        local: Endpoint,
        remote: Endpoint | None = None,
        *,
        now: int,
        config: StackConfig | None = None,
        isn: IsnGenerator | None = None,
        reopening: TimeWait | None = None,
        listening: bool = False,
        fast_open: FastOpen | None = None,
    ) -> Connection:
        return Connection(
            local,
            config=config or self.config,
            isn=isn or self._isn,
            timestamp_offset=self._timestamp_offset,
            counters=self._counters,
            mtu=self.paths.link_mtu(local.address),
            path=None if remote is None else self.paths.to(remote.address, now=now),
            trace=self._trace,
            challenge=self._challenge,
            orphans=self.orphans,
            quiet_until=self._quiet_until,
            reopening=reopening,
            listening=listening,
            fast_open=fast_open,
        )

    def touch(self, connection: Connection) -> None:
        """After a call on a connection: its output and its timers have to follow."""
        self.table.touch(connection)

    def rows(self) -> list[ConnectionRow]:
        """Listeners, live connections and TIME-WAIT records."""
        listening = [
            ConnectionRow(listener.local, None, listener.state, "", None, len(listener.accept_queue), listener.backlog, None)
            for listener in self.listeners.values()
        ]
        return listening + self.table.rows()
