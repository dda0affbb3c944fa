"""The client's side of TCP Fast Open: what is remembered of servers (RFC 7413 4.1.3), good and bad.

Cookies and MSSs are remembered by the two addresses, negative answers by the port too. Both are bounded: the oldest goes first.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

from userstack.address import Endpoint
from userstack.config import FAST_OPEN_CLIENT, FAST_OPEN_UNASKED, StackConfig
from userstack.counters import Counters
from userstack.tcp.fastopen import Cookie, FastOpen
from userstack.tcp.options import default_mss, header_size
from userstack.wire.encodable import MAX_OPTIONS

Key = TypeVar("Key")
Value = TypeVar("Value")

_LONGEST_BACKOFF: Final = 6
"""As in Linux: how often the time that a black hole is avoided for doubles."""


@dataclass(slots=True)
class Server:
    """What is known of a path."""

    cookie: Cookie | None = None
    mss: int | None = None
    """The MSS that the server has offered."""
    experiment: int = 0
    """Whether to ask by the experimental option: 0: not tried yet, 1: next, 2: that was not answered either."""


class CookieCache:
    """The ``Memory`` of one host's clients."""

    __slots__ = ("_config", "_counters", "_hole_at", "_holes", "_refused", "_servers")

    def __init__(self, config: StackConfig, counters: Counters) -> None:
        self._config = config
        self._counters = counters
        self._servers: dict[tuple[bytes, bytes], Server] = {}
        self._refused: dict[tuple[bytes, Endpoint], int] = {}
        """Until when, in ns, Fast Open is not tried."""
        self._holes = 0
        """Black holes that were found one after the other."""
        self._hole_at = 0

    def attempt(self, local: Endpoint, remote: Endpoint, config: StackConfig, mtu: int, *, deferred: bool, now: int) -> FastOpen:
        """How to open a connection with Fast Open now: with a cookie and text, asking for a cookie, or, for a while, without.

        ``deferred``: where the SYN may carry text, it waits for it.
        """
        if not self._config.fast_open & FAST_OPEN_CLIENT or self._is_swallowed(now):
            return FastOpen()
        if self._refused.get((local.address, remote), now) > now:
            return FastOpen()
        server = self._servers.get((local.address, remote.address)) or Server()
        if not (self._config.fast_open & FAST_OPEN_UNASKED or config.fast_open_no_cookie):
            if server.cookie is None:
                return FastOpen(Cookie(experimental=server.experiment == 1), memory=self)
            return FastOpen(server.cookie, room=_room(server, remote, config, mtu), memory=self, deferred=deferred)
        return FastOpen(room=_room(server, remote, config, mtu), memory=self, deferred=deferred)

    def answered(
        self,
        local: Endpoint,
        remote: Endpoint,
        asked: Cookie | None,
        cookie: Cookie | None,
        mss: int | None,
        *,
        negative: bool,
        now: int,
    ) -> None:
        """See ``Memory``."""
        server = self._servers.pop((local.address, remote.address), None) or Server()
        server.mss = mss
        if cookie is not None and cookie.value:
            server.cookie = cookie
        elif negative and asked is not None and not asked.value:
            server.experiment = max(server.experiment, 2 if asked.experimental else 1)
        self._keep(self._servers, (local.address, remote.address), server)
        if negative:
            self.failed(local, remote, now=now)

    def failed(self, local: Endpoint, remote: Endpoint, *, now: int) -> None:
        """See ``Memory``."""
        if self._config.fast_open_backoff:
            self._refused.pop((local.address, remote), None)  # the latest is the last to be forgotten
            self._keep(self._refused, (local.address, remote), now + self._config.fast_open_backoff)

    def swallowed(self, *, now: int) -> None:
        """See ``Memory``."""
        if self._config.fast_open_blackhole_timeout:
            self._counters.add("TcpExtTCPFastOpenBlackhole")
            self._holes += 1
            self._hole_at = now

    def works(self) -> None:
        """See ``Memory``."""
        self._holes = 0

    def _is_swallowed(self, now: int) -> bool:
        timeout = self._config.fast_open_blackhole_timeout << min(max(self._holes - 1, 0), _LONGEST_BACKOFF)
        return self._holes > 0 and now < self._hole_at + timeout

    def _keep(self, cache: dict[Key, Value], key: Key, value: Value) -> None:
        cache[key] = value
        if len(cache) > self._config.fast_open_cache:
            del cache[next(iter(cache))]
            self._counters.add("UserstackFastOpenForgotten")


def _room(server: Server, remote: Endpoint, config: StackConfig, mtu: int) -> int:
    """RFC 7413 4.1.3: octets of text for a SYN, by the MSS of the server. As in Linux there is room for the most options beside."""
    offered = server.mss or default_mss(remote.address)
    return max(min(offered, mtu - header_size(remote.address), config.max_segment or 65535) - MAX_OPTIONS, 0)
