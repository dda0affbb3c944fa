"""TCP Fast Open (RFC 7413) of one connection: the option, what a SYN carries, and what becomes of it.

Law: who may use Fast Open is decided where all connections are known (``net``); here is only what follows from it.
"""

from typing import Final, NamedTuple, Protocol

from userstack.address import Endpoint
from userstack.tcp.state import State
from userstack.wire.tcp import EXPERIMENT, FAST_OPEN, FAST_OPEN_MAGIC, NOP, Option

LEAST_COOKIE: Final = 4
LARGEST_COOKIE: Final = 16
"""Octets (RFC 7413 4.1.1)."""
_BLACK_HOLE_TIMEOUTS: Final = 3
"""As in Linux: so many timeouts of one connection, or its end before, and what stands in the way is taken to swallow Fast Open."""


class Cookie(NamedTuple):
    """What the option says. An empty ``value`` asks for a cookie."""

    value: bytes = b""
    experimental: bool = False
    """In option 254 with the magic number of RFC 7413 4.1.1, as before the standard."""


class Memory(Protocol):
    """What is remembered of peers from one connection to the next (RFC 7413 4.1.3)."""

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
        """``asked`` was answered by a SYN,ACK with that cookie and MSS; ``negative``: the peer made nothing of it (4.1.3.1)."""
        ...

    def failed(self, local: Endpoint, remote: Endpoint, *, now: int) -> None:
        """Nothing or an ICMP error came back (4.1.3.1)."""
        ...

    def swallowed(self, *, now: int) -> None:
        """Again and again nothing comes back: something on the way swallows Fast Open."""
        ...

    def works(self) -> None:
        """A peer's text has come in a connection that Fast Open was used for."""
        ...


class FastOpen:
    """How far Fast Open has come with one connection. Without arguments: not at all.

    Args:
        cookie: what the option of the first SYN, or SYN,ACK, says; None: there is no option.
        room: how many octets of text the first SYN may carry.
        memory: of a connection that this end opens with Fast Open: who is told how it went.
        deferred: the SYN waits for the first SEND (TCP_FASTOPEN_CONNECT).
        accepted: of a connection that the peer opens: its text is taken, and answered, before the handshake is over.
    """

    __slots__ = ("accepted", "acked", "cookie", "deferred", "memory", "room", "sent")

    def __init__(
        self,
        cookie: Cookie | None = None,
        *,
        room: int = 0,
        memory: Memory | None = None,
        deferred: bool = False,
        accepted: bool = False,
    ) -> None:
        self.cookie = cookie
        self.room = room
        self.memory = memory
        self.deferred = deferred
        self.accepted = accepted
        self.sent = 0
        """Octets of text in our SYN."""
        self.acked = False
        """A SYN's text, ours or the peer's, has been acknowledged by the SYN,ACK (Linux TCPI_OPT_SYN_DATA)."""

    def leave_out(self) -> None:
        """The SYN has no room for the option: "abort TFO and fall back to the regular 3WHS" (RFC 7413 4.2.2)."""
        self.cookie = None
        self.room = 0

    @property
    def tried(self) -> bool:
        """Our SYN had the option, or text."""
        return self.memory is not None and (self.cookie is not None or self.sent > 0)

    def ended(self, *, heard: bool) -> None:
        """The connection is over; ``heard``: the peer's text has come in it."""
        if self.memory is not None and self.tried and heard:
            self.memory.works()


NO_FAST_OPEN: Final = FastOpen()
"""That of every connection which takes no part in it; nothing of it ever changes."""


class Opener(Protocol):
    """What of a ``Tcb`` is needed to tell how its Fast Open went."""

    fast_open: FastOpen
    state: State
    local: Endpoint
    retransmits: int

    @property
    def remote(self) -> Endpoint | None:
        """The remote socket."""
        ...


def read_cookie(options: tuple[Option, ...]) -> Cookie | None:
    """The first Fast Open option of a SYN; one of an illegal length is ignored (RFC 7413 4.1.1)."""
    for kind, data in options:
        experimental = kind == EXPERIMENT and data[:2] == FAST_OPEN_MAGIC
        if kind == FAST_OPEN or experimental:
            value = data[2:] if experimental else data
            if not value or (LEAST_COOKIE <= len(value) <= LARGEST_COOKIE and len(value) % 2 == 0):
                return Cookie(value, experimental)
    return None


def write_cookie(cookie: Cookie) -> tuple[Option, ...]:
    """The option, and the NOPs behind it that align what follows, as in Linux."""
    value = FAST_OPEN_MAGIC + cookie.value if cookie.experimental else cookie.value
    padding = (Option(NOP),) * (-(2 + len(value)) % 4)
    return (Option(EXPERIMENT if cookie.experimental else FAST_OPEN, value), *padding)


def answered(tcb: Opener, cookie: Cookie | None, mss: int | None, left: int, now: int) -> str | None:
    """The SYN,ACK is here, with that cookie and MSS, and leaves ``left`` octets of the SYN's text unacknowledged.

    Returns the name of the counter for how it went; None: the SYN had no text.
    """
    fast_open = tcb.fast_open
    if fast_open.memory is None or not fast_open.tried or tcb.remote is None:
        return None
    fast_open.acked = fast_open.sent > 0 and not left
    asked = fast_open.cookie
    if asked is None:
        cookie = None  # nobody asked for it
    refused = fast_open.sent == left if fast_open.sent else asked is not None and not asked.value
    fast_open.memory.answered(tcb.local, tcb.remote, asked, cookie, mss, negative=refused and cookie is None, now=now)
    if not fast_open.sent:
        return None
    return "TcpExtTCPFastOpenActive" if fast_open.acked else "TcpExtTCPFastOpenActiveFail"


def failed(tcb: Opener, now: int) -> None:
    """The opening came to nothing, by an ICMP error or for want of any answer (RFC 7413 4.1.3.1)."""
    fast_open = tcb.fast_open
    if fast_open.memory is not None and fast_open.tried and tcb.state is State.SYN_SENT and tcb.remote is not None:
        fast_open.memory.failed(tcb.local, tcb.remote, now=now)


def timed_out(tcb: Opener, now: int, *, last: bool = False) -> None:
    """A retransmission timeout, or the end of all patience: as in Linux the third timeout tells of a black hole."""
    fast_open = tcb.fast_open
    found = tcb.retransmits < _BLACK_HOLE_TIMEOUTS if last else tcb.retransmits == _BLACK_HOLE_TIMEOUTS
    if fast_open.memory is not None and fast_open.tried and found:
        fast_open.memory.swallowed(now=now)
