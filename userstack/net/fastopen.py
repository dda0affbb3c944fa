"""The server's side of TCP Fast Open (RFC 7413 4.1.2, 4.2): who gets a cookie, and who may speak before the handshake is over."""

import hashlib
from collections import deque
from hmac import compare_digest
from typing import Final

from userstack.address import Endpoint
from userstack.config import FAST_OPEN_SERVER, FAST_OPEN_WITHOUT_COOKIE, SECOND, StackConfig
from userstack.counters import Counters
from userstack.net.siphash import siphash
from userstack.tcp.connection import Connection
from userstack.tcp.fastopen import NO_FAST_OPEN, Cookie, FastOpen, read_cookie
from userstack.wire.tcp import TcpSegment

KEY_OCTETS: Final = 16
_RESET_COUNTS: Final = 60 * SECOND
"""As in Linux: so long a request that was reset counts as pending."""


class FastOpenQueue:
    """PendingFastOpenRequests of one listener (RFC 7413 4.2): connections that the peer has not confirmed."""

    __slots__ = ("_resets", "limit", "pending")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """The most of them; 0: the listener does no Fast Open (FastOpenEnabled)."""
        self.pending: dict[Connection, None] = {}
        self._resets: deque[int] = deque()
        """Until when, in ns, each that was reset counts."""

    def has_room(self, *, now: int) -> bool:
        """One more may come; where the queue is full one that was reset long ago makes place."""
        if len(self.pending) + len(self._resets) < self.limit:
            return True
        if self._resets and self._resets[0] <= now:
            self._resets.popleft()
            return True
        return False

    def was_reset(self, *, now: int) -> None:
        """RFC 7413 5.1: who forges SYNs with cookies gains nothing by the RSTs that answer our SYN,ACKs."""
        if len(self._resets) < self.limit:
            self._resets.append(now + _RESET_COUNTS)


class FastOpenServer:
    """Makes and checks the cookies of one host; ``secret`` gives the key where the settings have none."""

    __slots__ = ("_config", "_counters", "_key")

    def __init__(self, config: StackConfig, counters: Counters, secret: bytes) -> None:
        self._config = config
        self._counters = counters
        self._key = hashlib.blake2s(key=secret[:32], digest_size=KEY_OCTETS, person=b"TFO key").digest()

    def judge(
        self, queue: FastOpenQueue, config: StackConfig, local: Endpoint, remote: Endpoint, segment: TcpSegment, *, now: int
    ) -> FastOpen:
        """What comes of a SYN to a listener with that queue and those settings (RFC 7413 4.2.2, steps 1 to 4)."""
        asked = read_cookie(segment.options)
        if asked is not None and not asked.value:
            self._counters.add("TcpExtTCPFastOpenCookieReqd")
        if not self._config.fast_open & FAST_OPEN_SERVER or not queue.limit or not (segment.payload or asked):
            return NO_FAST_OPEN
        if not queue.has_room(now=now):
            self._counters.add("TcpExtTCPFastOpenListenOverflow")
            return NO_FAST_OPEN
        if self._config.fast_open & FAST_OPEN_WITHOUT_COOKIE or config.fast_open_no_cookie:
            self._counters.add("TcpExtTCPFastOpenPassive")
            return FastOpen(accepted=True)
        return NO_FAST_OPEN if asked is None else self._check(asked, self._valid(config, local, remote))

    def _valid(self, config: StackConfig, local: Endpoint, remote: Endpoint) -> list[bytes]:
        """The cookies that count, that of the first key in front: as Linux makes them of both addresses."""
        keys = config.fast_open_key or self._key
        each = (keys[at : at + KEY_OCTETS] for at in range(0, len(keys), KEY_OCTETS))
        return [siphash(key, remote.address + local.address) for key in each]

    def _check(self, asked: Cookie, valid: list[bytes]) -> FastOpen:
        """RFC 7413 4.1.2. A cookie of the former key is good too, and is answered by one of the new key."""
        fresh = Cookie(valid[0], asked.experimental)
        if not asked.value:
            return FastOpen(fresh)
        found = next((index for index, value in enumerate(valid) if compare_digest(asked.value, value)), None)
        if found is None:
            self._counters.add("TcpExtTCPFastOpenPassiveFail")
            return FastOpen(fresh)
        self._counters.add("TcpExtTCPFastOpenPassive")
        if found:
            self._counters.add("TcpExtTCPFastOpenPassiveAltKey")
        return FastOpen(fresh if found else None, accepted=True)
