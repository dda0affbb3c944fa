"""TCP of one host, above IP: which connection a segment is for (RFC 9293 3.10.7), and the sockets that programs open."""

from collections.abc import Callable

from userstack.address import Endpoint, is_unspecified
from userstack.config import FAST_OPEN_EVERY_LISTENER, FAST_OPEN_SERVER, StackConfig
from userstack.counters import Counters
from userstack.errors import AddressInUse, AddressNotAvailable, InvalidArgument
from userstack.net.active import ActiveOpens
from userstack.net.addresses import Addresses
from userstack.net.arrival import Arrival
from userstack.net.cookies import CookieCache
from userstack.net.ephemeral import EphemeralPorts
from userstack.net.factory import ConnectionFactory
from userstack.net.fastopen import FastOpenServer
from userstack.net.icmp import IcmpError
from userstack.net.listener import Listener
from userstack.net.outgoing import Outgoing, outgoing_of
from userstack.net.passive import PassiveOpens
from userstack.net.paths import Paths
from userstack.net.ports import Binding, Kind, PortTable, use_of
from userstack.net.stateless import StatelessReplies
from userstack.net.syn_path import SynPath
from userstack.net.syncookies import SynCookies
from userstack.net.table import ConnectionRow, ConnectionTable, Entry
from userstack.tcp import md5sig
from userstack.tcp.connection import Connection
from userstack.tcp.isn import IsnGenerator
from userstack.tcp.state import State
from userstack.tcp.timestamps import OffsetGenerator
from userstack.trace import Tracer
from userstack.wire.ip import Buffer, IPPacket
from userstack.wire.source_route import SourceRoute
from userstack.wire.tcp import TcpSegment


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
        syn_cookies: SynCookies,
        ephemeral_ports: EphemeralPorts,
        random: Callable[[int], int],
        secret: bytes,
        mtu: int,
        trace: Tracer | None,
        start: int,
        hand_down: Callable[[Outgoing], bool],
        confirm: Callable[[bytes, int], None] | None = None,
    ) -> None:
        self.addresses = addresses
        self.config = config
        self.ports = PortTable(config.ephemeral_ports, random)
        self.table = ConnectionTable(self.ports, config=config, counters=counters, trace=trace, start=start)
        self.paths = Paths(mtu, config=config, counters=counters)
        self.listeners: dict[Endpoint, Listener] = {}
        self._counters = counters
        self._confirm = confirm
        """Told, with the time, of a remote address that has just proved to hear us."""
        self._factory = ConnectionFactory(
            self.paths,
            config=config,
            counters=counters,
            isn=isn,
            timestamp_offset=timestamp_offset,
            random=random,
            trace=trace,
            start=start,
        )
        self.syn_path = SynPath(self.table, syn_cookies, addresses.interfaces, timestamp_offset, config, counters)
        self._replies = StatelessReplies(config, counters, hand_down)
        self._passive = PassiveOpens(
            self.table,
            self._factory,
            self._replies,
            config=config,
            counters=counters,
            syn_cookies=syn_cookies,
            syn_path=self.syn_path,
            fast_open=FastOpenServer(config, counters, secret),
        )
        self._active = ActiveOpens(
            self.table,
            self._factory,
            self.ports,
            addresses,
            config=config,
            counters=counters,
            ephemeral_ports=ephemeral_ports,
            fast_open_cookies=CookieCache(config, counters),
        )

    # --- segments ---

    def segment_arrives(self, segment: TcpSegment, *, packet: IPPacket, route: SourceRoute | None, now: int) -> str | None:
        """Find whose the segment is; the name of the counter where it is thrown away.

        ``packet`` has brought it; ``route`` is the way back that it has recorded.
        """
        ports = (segment.source_port << 16 | segment.destination_port).to_bytes(4, "big")
        entry = self.table.flows.get(packet.source + packet.destination + ports)
        if entry is not None:
            return self.to_entry(entry, segment, packet.ttl, packet.tos, route, now)
        local = Endpoint(packet.destination, segment.destination_port)
        remote = Endpoint(packet.source, segment.source_port)
        listener = self._listener_at(local)
        if listener is not None:
            if packet.ttl < listener.config.min_ttl_for(local.address):
                return "TcpExtTCPMinTTLDrop"
            key = listener.md5_keys.find(remote.address)
            return self._passive.segment_arrives(listener, Arrival(listener.socket_at(local), remote, segment, route, key, now))
        return self._to_nobody(local, remote, segment, route, now)

    def wants(self, local: Endpoint, remote: Endpoint, *, opens: bool) -> bool:
        """Whether a segment between the two finds its connection here, or, where it ``opens`` one, a listener."""
        return (local, remote) in self.table.entries or (opens and self._listener_at(local) is not None)

    def _listener_at(self, local: Endpoint) -> Listener | None:
        """Whoever listens for ``local``: on the address itself, on every one of its family, or on every one of both."""
        listener = self.listeners.get(local) or self.listeners.get(Endpoint(bytes(len(local.address)), local.port))
        if listener is None and len(local.address) == 4:
            dual = self.listeners.get(Endpoint(bytes(16), local.port))
            return dual if dual is not None and dual.binding.both_families else None
        return listener

    def to_entry(self, entry: Entry, segment: TcpSegment, ttl: int, tos: int, route: SourceRoute | None, now: int) -> str | None:
        """The same for one whose connection, or what is left of it, is known; TTL and TOS are those of its packet."""
        connection, record = entry.connection, entry.record
        if record is not None:
            listener = self._listener_at(entry.key[0])
            if listener is not None and record.reopens(segment):
                if ttl < listener.config.min_ttl_for(entry.key[0].address):
                    return "TcpExtTCPMinTTLDrop"
                key = listener.md5_keys.find(entry.key[1].address)
                return self._passive.reopen(entry, listener, Arrival(*entry.key, segment, route, key, now))
        tcb = None if connection is None else connection.tcb
        if tcb is not None and ttl < tcb.lower.min_ttl:
            return "TcpExtTCPMinTTLDrop"
        local, remote = entry.key
        key = record.md5_key if record is not None else tcb.md5_key if tcb is not None else None
        forged = md5sig.failure(segment, remote.address, local.address, key)
        if forged is not None:
            return forged
        waiting = entry.listener
        if waiting is not None and connection is not None and waiting.full and connection.would_be_established(segment):
            return self._passive.overflow(entry, connection, Arrival(*entry.key, segment, route, connection.md5_key, now))
        accepted = 0 if tcb is None else tcb.segs_accepted
        if self.table.segment_arrives(entry, segment, now) and self._confirm is not None:
            self._confirm(remote.address, now)
        if connection is not None and tcb is not None and tcb.segs_accepted != accepted:
            tcb.lower.rcv_tos = tos  # MAY-9
            if route is not None and tcb.passive:
                connection.return_route(route)  # SHLD-24
        return None

    def _to_nobody(self, local: Endpoint, remote: Endpoint, segment: TcpSegment, route: SourceRoute | None, now: int) -> str | None:
        """RFC 9293 3.10.7.1; what is signed is answered only where the signature can be told to be right, and by a signed RST.

        Note: as in Linux the key is looked for with whoever listens on the peer's port number: a BGP speaker that has lost a
        connection that it had opened listens on port 179 itself.
        """
        listener = self._listener_at(Endpoint(local.address, remote.port)) if md5sig.is_signed(segment) else None
        key = None if listener is None else listener.md5_keys.find(remote.address)
        arrival = Arrival(local, remote, segment, route, key, now)
        forged = arrival.forgery
        if forged is not None:
            return forged
        self._replies.refuse(arrival)
        return None

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
        """The next segment of a connection to send."""
        found = self.table.poll_transmit(now)
        if found is None:
            return None
        entry, segment = found
        local, remote = entry.key
        tcb = entry.tcb
        if tcb is not None:
            lower, ttl, tos = tcb.lower, tcb.ttl, tcb.tos
        else:
            machine = entry.machine
            lower, ttl, tos = machine.lower, machine.ttl, machine.tos
        if segment.ecn:
            tos = tos & ~3 | segment.ecn
        return outgoing_of((segment, local.address, remote.address, ttl, tos, lower.dont_fragment, lower.route))

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
        machine = self._factory.make(binding.local, config=config, now=now)
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
        connection = self._active.open_listening(listener, remote, now=now)
        self._forget(listener, now)
        use = use_of(connection.local.address, listener.binding.use.reuse_address, Kind.CONNECTED)
        self.table.enter(connection, use)
        return connection

    def _forget(self, listener: Listener, now: int) -> None:
        del self.listeners[listener.binding.local]
        self.syn_path.patterns.clear()
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
        return self._active.connect(
            remote, binding=binding, config=config, fast_open=fast_open, deferred=deferred, route=route, now=now
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
