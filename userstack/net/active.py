"""Active OPEN (RFC 9293 3.10.1): from which address and port to whom, and what it takes from an older incarnation of the pair."""

from userstack.address import Endpoint, format_address, is_unspecified
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.errors import AddressNotAvailable, InvalidArgument, NetworkUnreachable, NoBufferSpace
from userstack.net.addresses import Addresses
from userstack.net.cookies import CookieCache
from userstack.net.ephemeral import EphemeralPorts
from userstack.net.factory import ConnectionFactory
from userstack.net.interface import is_valid_source
from userstack.net.listener import Listener
from userstack.net.ports import Binding, Kind, PortTable, use_of
from userstack.net.reuse import gives_way
from userstack.net.table import ConnectionTable, Entry
from userstack.tcp import seq
from userstack.tcp.connection import Connection
from userstack.tcp.fastopen import FastOpen
from userstack.wire.ip import Buffer
from userstack.wire.source_route import SourceRoute


class ActiveOpens:
    """Opens the connections that programs ask for."""

    __slots__ = ("_addresses", "_config", "_counters", "_ephemeral_ports", "_factory", "_fast_open_cookies", "_ports", "_table")

    def __init__(
        self,
        table: ConnectionTable,
        factory: ConnectionFactory,
        ports: PortTable,
        addresses: Addresses,
        *,
        config: StackConfig,
        counters: Counters,
        ephemeral_ports: EphemeralPorts,
        fast_open_cookies: CookieCache,
    ) -> None:
        self._table = table
        self._factory = factory
        self._ports = ports
        self._addresses = addresses
        self._config = config
        self._counters = counters
        self._ephemeral_ports = ephemeral_ports
        self._fast_open_cookies = fast_open_cookies

    def connect(
        self,
        remote: Endpoint,
        *,
        binding: Binding | None,
        config: StackConfig | None,
        fast_open: Buffer | None,
        deferred: bool,
        route: SourceRoute | None,
        now: int,
    ) -> Connection:
        """Open from CLOSED: see ``Host.connect``."""
        self._check_room()
        self._check_destination(remote)
        if route is not None:
            self._check_route(route, remote)
        if binding is not None:
            binding.check()
        address = self._local_address(binding, remote)
        port = binding.local.port if binding is not None else self._ephemeral(address, remote, config or self._config, now)
        local = Endpoint(address, port)
        reuse_address = binding is not None and binding.use.reuse_address
        attempt = None
        if fast_open is not None:
            mtu = self._factory.paths.to(remote.address, now=now).mtu
            attempt = self._fast_open_cookies.attempt(local, remote, config or self._config, mtu, deferred=deferred, now=now)
        connection = self._connection_between(local, remote, reuse_address=reuse_address, config=config, fast_open=attempt, now=now)
        connection.open_active(remote, now=now)
        if route is not None:
            connection.give_route(route)
        if attempt is not None and attempt.room and fast_open:
            connection.send(fast_open[: attempt.room], now=now)
        if binding is not None:
            self._ports.release(binding)
        self._table.enter(connection, use_of(address, reuse_address, Kind.CONNECTED))
        return connection

    def open_listening(self, listener: Listener, remote: Endpoint, *, now: int) -> Connection:
        """LISTEN to SYN-SENT; whoever has the listener takes it out, and enters the connection."""
        self._check_room()
        self._check_destination(remote)
        connection = listener.machine
        local = Endpoint(self._local_address(listener.binding, remote), connection.local.port)
        if (local, remote) in self._table.entries:
            raise AddressNotAvailable(f"there is a connection from {local} to {remote} already")
        connection.tcb.local = local
        connection.md5_key = listener.md5_keys.find(remote.address)
        connection.tcb.lower.path = self._factory.paths.to(remote.address, now=now)
        connection.open_active(remote, now=now)
        return connection

    # --- whether it may be ---

    def _check_room(self) -> None:
        if self._table.live >= self._config.max_connections:
            raise NoBufferSpace(f"max_connections ({self._config.max_connections}) was reached")

    def _check_destination(self, remote: Endpoint) -> None:
        if not 0 <= remote.port <= 65535:
            raise InvalidArgument(f"a port is 0 to 65535, not {remote.port}")
        if remote.address not in self._addresses.own and not is_valid_source(remote.address, self._addresses.interfaces):
            # Whoever cannot send us anything is nobody to connect to; loopback never leaves a host (RFC 1122 3.2.1.3).
            raise NetworkUnreachable(f"{remote} is no address of one host (RFC 9293 MUST-46)")

    def _check_route(self, route: SourceRoute, remote: Endpoint) -> None:
        if len(remote.address) != 4:
            raise InvalidArgument("a source route is for IPv4: IPv6 has none (RFC 5095)")
        for hop in route.hops:
            if not is_valid_source(hop, self._addresses.interfaces):
                raise NetworkUnreachable(f"{format_address(hop)} is no address of one router (RFC 9293 MUST-46)")

    # --- between which sockets ---

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
        return self._addresses.source_for(remote.address)

    def _ephemeral(self, address: bytes, remote: Endpoint, config: StackConfig, now: int) -> int:
        def is_free(port: int) -> bool:
            old = self._table.entries.get((Endpoint(address, port), remote))
            if old is not None and not self._gives_way(old, asked=False, config=config, now=now):
                return False
            return not self._ports.is_bound(port)

        return self._ephemeral_ports.choose(address, remote, is_free)

    # --- after whom ---

    def _gives_way(self, old: Entry, *, asked: bool, config: StackConfig, now: int) -> bool:
        loopback = old.key[1].address in self._addresses.own
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
        old = self._table.entries.get((local, remote))
        if old is None:
            return self._factory.make(local, remote, config=config, fast_open=fast_open, now=now)
        if old.record is None or not self._gives_way(old, asked=reuse_address, config=config or self._config, now=now):
            raise AddressNotAvailable(f"there is a connection from {local} to {remote} already")
        self._counters.add("TcpExtTWRecycled")
        # As for MAY-2 the new ISS lies above all that the old incarnation used.
        above, isn = old.record.next_iss, self._factory.isn
        old.record.abort(now=now)
        self._table.free(old, now)
        return self._factory.make(
            local,
            remote,
            config=config,
            isn=lambda *key: seq.wrap(max(seq.unwrap(isn(*key), above), above)),
            fast_open=fast_open,
            now=now,
        )
