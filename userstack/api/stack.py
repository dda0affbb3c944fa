"""A running TCP stack as a program sees it: where listeners and connections come from, and what ends them all."""

import asyncio
import operator
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from userstack.address import Endpoint, format_address
from userstack.api import control, report
from userstack.api.connection import Connection
from userstack.api.errors import ClosedHandle
from userstack.api.guards import check_timeout, parse_port
from userstack.api.hangup import HangUp
from userstack.api.listener import Listener
from userstack.api.md5 import check_key, keys_of
from userstack.api.names import SocketAddress, parse_address, parse_route
from userstack.api.opening import OPENING, establish, send_first
from userstack.api.worker import Worker
from userstack.config import FAST_OPEN_SERVER
from userstack.counters import Counters
from userstack.errors import AddressInUse, ConnectionAborted, InvalidArgument
from userstack.net.host import Host
from userstack.net.ports import Binding
from userstack.net.table import ConnectionRow
from userstack.runtime.clock import Clock, MonotonicClock
from userstack.runtime.device import PacketDevice
from userstack.runtime.driver import Driver
from userstack.tcp import connection as tcp
from userstack.tcp.state import State
from userstack.wire.ip import Buffer

T = TypeVar("T")

DRAIN = 2.0
"""Seconds that leaving a stack waits for what closed connections still have to deliver: one retransmission at an RTO of 1 s."""

_DELIVERING = frozenset({State.FIN_WAIT_1, State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK})
"""Where a connection that the program has closed can be without the peer having acknowledged our FIN."""

_OVER = frozenset({State.TIME_WAIT, State.CLOSED})


class Stack:
    """A host on a device, pumped by the running event loop. Made by ``tun``, ``veth``, ``memory``, ...; an async context manager.

    Args:
        host: the sans-I/O host.
        device: where its packets go; it stays the caller's, who closes it after the stack.
        clock: the time that the host is told.
    """

    def __init__(self, host: Host, device: PacketDevice, *, clock: Clock | None = None) -> None:
        self.host = host
        self.device = device
        self.worker: Worker | None = None
        """Which of several workers has it; None for a stack that is not made by ``run``."""
        self._driver = Driver(host, device, clock or MonotonicClock())
        self._listeners: set[Listener] = set()
        self._hang_up = HangUp()
        self._closed = False
        self._ended = asyncio.Event()
        self._draining: asyncio.Timeout | None = None

    @property
    def counters(self) -> Counters:
        """What happened, under the names of Linux's ``nstat``."""
        return self.host.counters

    async def settle(self) -> None:
        """Wait until the stack may use all of its addresses; on a link that others share, it first asks them (RFC 4862 5.4).

        Raises:
            AddressInUse: another node on the link has one of them.
        """
        addresses = self.host.addresses
        self._driver.flush()
        await self._driver.until(addresses, lambda: not addresses.tentative or bool(addresses.duplicates))
        for address in addresses.duplicates:
            raise AddressInUse(
                f"another node on the link of {self.device.name} has {format_address(address)}: choose another address"
            )

    def deliver(self, packet: Buffer, vouched: bool) -> None:
        """Take in a packet (frame) that has come by another way than the device; ``vouched``: its TCP checksum is right."""
        self.host.deliver(packet, now=self.now(), checksum_ok=vouched)
        self._driver.flush()

    def now(self) -> int:
        """The stack's time in nanoseconds, in which its deadlines and traces are told."""
        return self._driver.now()

    def connections(self) -> list[ConnectionRow]:
        """What netstat would list: listeners, connections, TIME-WAIT."""
        return self.host.connections()

    async def listen(
        self,
        port: int,
        *,
        address: str | None = None,
        backlog: int = 128,
        reuse_address: bool = False,
        ipv6_only: bool = False,
        md5: Mapping[str, bytes] | None = None,
        fast_open: int = 0,
    ) -> Listener:
        """Listen for connections.

        Args:
            port: 0 takes one that is free; ``Listener.getsockname`` tells it.
            address: one of the stack's, ``0.0.0.0`` for every one of IPv4, or ``::`` for every one of IPv6 and, unless
                ``ipv6_only``, of IPv4 too. None for every one that the stack has.
            backlog: how many established connections may wait to be accepted (one more, as in Linux); then SYNs are dropped.
            reuse_address: SO_REUSEADDR: take the port although connections of its former user are still in TIME-WAIT.
            ipv6_only: IPV6_V6ONLY: leave IPv4 to others. Otherwise clients over IPv4 have mapped names, ``::ffff:10.9.0.1``.
            md5: peers that sign every segment, and their keys (RFC 2385): ``{"10.9.0.1": b"secret", "fd3d::/64": b"other"}``.
                ``Listener.set_md5_key`` changes them.
            fast_open: TCP_FASTOPEN (RFC 7413): up to so many connections are accepted, with the data of their SYN, before their
                handshake is over. A SYN may come twice: not for requests that must not be carried out twice (RFC 7413 6.1).

        Raises:
            OSError: EADDRINUSE, EADDRNOTAVAIL or EINVAL.
        """
        self._check_open()
        if operator.index(backlog) < 0:
            raise InvalidArgument(f"a backlog is 0 or more, not {backlog}")
        if operator.index(fast_open) < 0:
            raise InvalidArgument(f"fast_open is a number of connections from 0 up, not {fast_open}")
        if fast_open and not self.host.config.fast_open & FAST_OPEN_SERVER:
            raise InvalidArgument("fast_open: the stack serves none: make it with StackConfig(fast_open=3)")
        keys = keys_of({} if md5 is None else md5, self.host.config.md5_keys)
        local = self._local(address, port, ipv6=self._has_ipv6)
        binding = self.host.bind(local.endpoint, reuse_address=reuse_address, v6only=ipv6_only)
        core = self._or_unbind(binding, lambda: self.host.listen(binding, backlog=backlog, now=self.now(), fast_open=fast_open))
        core.md5_keys = keys
        listener = Listener(
            core,
            self._driver,
            ipv6=local.ipv6,
            adopt=lambda accepted: self._adopt(accepted, ipv6=local.ipv6, reuse_address=reuse_address),
            forget=self._listeners.discard,
        )
        self._listeners.add(listener)
        return listener

    async def connect(
        self,
        address: str,
        port: int,
        *,
        local_address: str | None = None,
        local_port: int = 0,
        timeout: float | None = None,  # noqa: ASYNC109 # an ETIMEDOUT, as of the kernel
        reuse_address: bool = False,
        md5_key: bytes | None = None,
        fast_open: Buffer | None = None,
        source_route: Sequence[str] = (),
        strict_route: bool = False,
    ) -> Connection:
        """Open a connection and wait until it is established. Cancelling it leaves nothing behind.

        Args:
            address: of the peer; a link-local one with its link, ``fe80::1%userstack0``.
            port: of the peer.
            local_address: one of the stack's; None for the one nearest to the peer.
            local_port: 0 for one that is free.
            timeout: seconds after which to give up; None leaves it to the stack, which sends SYNs for ``StackConfig.r2_syn``.
            reuse_address: SO_REUSEADDR: take a local port although connections of its former user are still in TIME-WAIT.
            md5_key: what both ends sign every segment with (RFC 2385), 1 to 80 octets; None: they do not.
            fast_open: what to send first, as much of it as possible with the SYN (RFC 7413, MSG_FASTOPEN): nothing as long as there
                is no cookie of the peer's, for which it asks; what the peer does not take so follows the handshake. It may arrive
                twice: not for requests that must not be carried out twice (RFC 7413 6.1).
            source_route: the IPv4 addresses of up to nine routers that every packet is to pass, in their order (RFC 9293 MUST-51).
            strict_route: and no other router than these.

        Raises:
            ConnectionRefusedError: a RST answered.
            TimeoutError: nothing answered in time.
            OSError: EADDRINUSE, EADDRNOTAVAIL, ENETUNREACH, EHOSTUNREACH, EINVAL, ...
        """
        self._check_open()
        check_timeout(timeout)
        check_key(md5_key)
        remote = parse_address(address, port, device=self.device.name)
        local = self._local(local_address, local_port, ipv6=remote.ipv6)
        route = parse_route(source_route, strict=strict_route)
        first = None if fast_open is None else memoryview(fast_open).cast("B")
        if local_address is None and not local_port:
            core = self.host.connect(remote.endpoint, now=self.now(), fast_open=first, route=route)
        else:
            binding = self.host.bind(local.endpoint, reuse_address=reuse_address)
            core = self._or_unbind(
                binding, lambda: self.host.connect(remote.endpoint, binding=binding, now=self.now(), fast_open=first, route=route)
            )
        core.md5_key = md5_key
        rest = memoryview(b"") if first is None else first[len(core.tcb.sendbuf) :]
        await establish(core, self._driver, timeout)
        connection = self._adopt(core, ipv6=remote.ipv6, reuse_address=reuse_address)
        await send_first(connection, rest)
        return connection

    def control(self, directory: Path | None = None) -> AbstractAsyncContextManager[Path]:
        """Answer ``userstack ss`` and ``api.control.query`` for the length of an ``async with`` block; gives the socket's path.

        Raises:
            SetupError: the socket cannot be made.
            ClosedHandle: the stack was closed.
        """
        self._check_open()
        commands: dict[str, Callable[[], Any]] = {
            "connections": lambda: [report.row(row, self.device, self.now()) for row in self.connections()],
            "counters": self.counters.snapshot,
            "info": lambda: report.stack(self.host, self.device, self.worker),
        }
        return control.serve(commands, directory)

    async def close(self, *, drain: float = DRAIN) -> None:
        """End the stack, as a host that goes down; may be called twice, and returns when the stack is at its end.

        Listeners close. Connections that the program has not closed are reset. Those that it has closed get up to ``drain`` seconds
        to deliver what was sent and to have their FIN acknowledged, and are reset then. TIME-WAIT is cut short. Whoever still waits
        in a call gets ``ConnectionAbortedError``.

        Args:
            drain: seconds; 0 ends at once. Of several calls the one that ends first counts.
        """
        check_timeout(drain)
        if self._closed:
            self._shorten(drain)
            await self._ended.wait()
            return
        self._closed = True
        try:
            await self._end_all()
            if drain:
                await self._drain(drain)
        finally:
            for core in self._alive():
                core.abort(now=self.now())
                self._driver.touch(core)
            self._driver.stop()
            self._ended.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close(drain=DRAIN if error is None else 0)

    def __repr__(self) -> str:
        addresses = ", ".join(str(interface) for interface in self.host.interfaces)
        return f"<Stack {addresses} on {self.device.name}{' closed' if self._closed else ''}>"

    async def _end_all(self) -> None:
        """Listeners, and the connections that the program has not closed or that are not open yet."""
        for listener in list(self._listeners):
            await listener.close()
        self._hang_up.hung_up = True
        for row in self.connections():
            core = row.connection
            if core is None or core.is_released or core.state is State.CLOSED:
                continue
            if core.state in OPENING:
                self._driver.interrupt(core, lambda: ConnectionAborted("the stack was closed"))
            core.abort(now=self.now())
            self._driver.touch(core)
            self._driver.wake(core)

    async def _drain(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds) as self._draining:
                for core in self._alive():
                    await self._driver.until(core, lambda core=core: core.state not in _DELIVERING)  # type: ignore[misc]
        except OSError:  # the time is over, or the device gone
            pass
        finally:
            self._draining = None

    def _shorten(self, seconds: float) -> None:
        if self._draining is None or self._draining.expired():
            return
        end = asyncio.get_running_loop().time() + seconds
        if end < (self._draining.when() or end):
            self._draining.reschedule(end)

    def _alive(self) -> list[tcp.Connection]:
        return [row.connection for row in self.connections() if row.connection is not None and row.state not in _OVER]

    @property
    def _has_ipv6(self) -> bool:
        return any(len(interface.address) == 16 for interface in self.host.interfaces)

    def _local(self, address: str | None, port: int, *, ipv6: bool) -> SocketAddress:
        if address is not None:
            return parse_address(address, port, device=self.device.name)
        return SocketAddress(Endpoint(bytes(16 if ipv6 else 4), parse_port(port)), ipv6)

    def _or_unbind(self, binding: Binding, call: Callable[[], T]) -> T:
        try:
            return call()
        except BaseException:
            if not binding.used_up:
                self.host.unbind(binding)
            raise

    def _adopt(self, core: tcp.Connection, *, ipv6: bool, reuse_address: bool) -> Connection:
        return Connection(core, self._driver, ipv6=ipv6, reuse_address=reuse_address, hang_up=self._hang_up)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedHandle("the stack was closed")
        self._driver.check()
