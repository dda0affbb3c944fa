"""A listening socket as a program sees it."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from userstack.api.connection import Connection
from userstack.api.errors import ClosedHandle
from userstack.api.guards import check_timeout
from userstack.api.md5 import set_key
from userstack.api.names import SocketName, parse_address, socket_name
from userstack.api.opening import establish
from userstack.net.listener import Listener as CoreListener
from userstack.runtime.driver import Driver
from userstack.tcp import connection as tcp


class Listener:
    """Takes connections in; made by ``Stack.listen``. Use it as an async context manager or close it.

    Args:
        core: the listener of the sans-I/O host.
        driver: what moves its packets.
        ipv6: whether it is a socket of IPv6, which names IPv4 by mapped addresses.
        adopt: makes a program's connection of a host's.
        forget: called once, when the listener is closed.
    """

    def __init__(
        self,
        core: CoreListener,
        driver: Driver,
        *,
        ipv6: bool,
        adopt: Callable[[tcp.Connection], Connection],
        forget: Callable[["Listener"], None],
    ) -> None:
        self._core = core
        self._driver = driver
        self._ipv6 = ipv6
        self._adopt = adopt
        self._forget = forget
        self._closed = False
        self._turn = asyncio.Lock()
        """Whose turn to accept it is: first come, first served, and a connection wakes one task and not all."""

    async def accept(self) -> Connection:
        """Take the oldest established connection, waiting for one if there is none. Several tasks may wait, and are served in turn.

        Raises:
            ClosedHandle: the listener was closed, before or meanwhile.
        """
        async with self._turn:
            while True:
                await self._driver.until(self._core, self._has_news)
                self._check_open()
                accepted = self._core.accept()
                if accepted is not None:
                    return self._adopt(accepted)

    async def connect(self, address: str, port: int, *, timeout: float | None = None) -> Connection:  # noqa: ASYNC109
        """Turn from listening to opening: LISTEN to SYN-SENT of RFC 9293 3.10.1. The listener is closed by it.

        Connections that are half-open or not yet accepted are reset, as with ``close``.

        Args:
            address: of the peer.
            port: of the peer.
            timeout: seconds after which to give up; None leaves it to the stack.

        Raises:
            OSError: as ``Stack.connect``.
        """
        remote = parse_address(address, port, device=self._driver.device.name)
        check_timeout(timeout)
        self._check_open()
        core = self._core.connect(remote.endpoint, now=self._driver.now())
        self._end()
        await establish(core, self._driver, timeout)
        return self._adopt(core)

    def set_md5_key(self, peer: str, key: bytes | None) -> None:
        """Set, change or, with None, delete the key of a peer that signs its segments (RFC 2385).

        Connections that are established keep theirs (``Connection.set_md5_key``).

        Args:
            peer: an address or a prefix, ``10.9.0.1`` or ``10.9.0.0/24``; the longest prefix wins.
            key: 1 to 80 octets.

        Raises:
            OSError: EINVAL: no address, prefix or key; ENOENT: there is no key to delete; ENOMEM: ``StackConfig.md5_keys``.
        """
        self._check_open()
        set_key(self._core.md5_keys, peer, key)
        self._core.rekey()

    async def close(self) -> None:
        """Stop listening; may be called twice. Connections that are half-open or not yet accepted are reset."""
        if not self._closed:
            self._core.close(now=self._driver.now())
            self._end()

    def getsockname(self) -> SocketName:
        """The address and port that are listened on; the address is 0.0.0.0 or :: where it is every one."""
        self._check_open()
        return socket_name(self._core.local, ipv6=self._ipv6)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Connection:
        """The next connection; the loop ends when the listener is closed."""
        try:
            return await self.accept()
        except ClosedHandle:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Listener {self._core.local}{' closed' if self._closed else ''}>"

    def _has_news(self) -> bool:
        return len(self._core.accept_queue) > 0 or self._closed

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedHandle("this listener was closed")

    def _end(self) -> None:
        self._closed = True
        self._forget(self)
        self._driver.flush()
        self._driver.wake(self._core)
