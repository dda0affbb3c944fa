"""The neighbours on a link: at which link address each answers, what waits for an answer, and when to ask (RFC 1122 2.3.2).

The law: whom to ask and what to give up on is decided here, in what form is not; the protocol (ARP, later ND) pulls
``poll_solicitation``, hands in what it hears with ``learn``, and nothing here knows a frame.

A neighbour's one timer means, by its state:

    INCOMPLETE    ask again, by broadcast, until ``neighbor_tries`` questions had no answer: then FAILED
    REACHABLE     the answer is ``neighbor_reachable`` old: STALE
    STALE         unused: forget it. In use: ask the neighbour itself (RFC 1122 2.3.2.1 "unicast poll"), no answer: FAILED
    FAILED        forget it; a packet to it before that starts over
"""

from collections import deque
from enum import StrEnum
from typing import NamedTuple

from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.net.wheel import Timer, TimerWheel


class NeighborState(StrEnum):
    """What is known about a neighbour, in the words of ``ip neigh``."""

    INCOMPLETE = "INCOMPLETE"
    REACHABLE = "REACHABLE"
    STALE = "STALE"
    FAILED = "FAILED"


class NeighborRow(NamedTuple):
    """What is shown of a neighbour. ``expires`` (ns) is when its state is looked at again."""

    address: bytes
    mac: bytes | None
    state: str
    expires: int


class Solicitation(NamedTuple):
    """A question that is due: who has ``address``? ``mac`` is whom to ask, None for everyone."""

    address: bytes
    mac: bytes | None


class Neighbor:
    """One neighbour. ``header`` belongs to the link: what it puts before each packet to this neighbour."""

    __slots__ = ("address", "header", "mac", "state", "timer", "tries", "waiting")

    def __init__(self, address: bytes) -> None:
        self.address = address
        self.mac: bytes | None = None
        self.header = b""
        self.state = NeighborState.FAILED
        self.tries = 0
        """Questions since the last answer."""
        self.waiting: deque[bytes] = deque()
        self.timer = Timer(self)


class NeighborTable:
    """At most ``config.neighbor_max`` neighbours, those that were heard of longest ago first."""

    def __init__(self, *, config: StackConfig, counters: Counters) -> None:
        self._config = config
        self._counters = counters
        self._neighbors: dict[bytes, Neighbor] = {}
        self._wheel = TimerWheel(0)
        self._solicitations: deque[Solicitation] = deque()
        self._unreachable: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._neighbors)

    def get(self, address: bytes) -> Neighbor | None:
        """The neighbour with that address, if anything is known of it."""
        return self._neighbors.get(address)

    def rows(self) -> list[NeighborRow]:
        """Every neighbour, the one heard of longest ago first."""
        return [NeighborRow(n.address, n.mac, n.state.value, n.timer.deadline or 0) for n in self._neighbors.values()]

    def hold(self, address: bytes, packet: bytes, *, now: int) -> None:
        """Keep ``packet`` until ``address``, whose link address is not known, answers; ask for it if nobody has."""
        neighbor = self._neighbors.get(address)
        if neighbor is None:
            neighbor = self._insert(address)
        if len(neighbor.waiting) >= self._config.neighbor_queue:
            # RFC 1122 2.3.2.2: the latest is what is kept.
            neighbor.waiting.popleft()
            self._counters.add("ArpUnresolvedDiscards")
        neighbor.waiting.append(packet)
        if neighbor.state is NeighborState.FAILED:
            # The last question is neighbor_retry old, or there was none: RFC 1122 2.3.2.1 allows the next.
            neighbor.state = NeighborState.INCOMPLETE
            neighbor.tries = 0
            self._solicit(neighbor, now)

    def use(self, neighbor: Neighbor, *, now: int) -> None:
        """Note that a packet goes to a stale neighbour, which is then asked whether it is still there."""
        if neighbor.state is NeighborState.STALE and not neighbor.tries:
            self._solicit(neighbor, now)

    def learn(self, address: bytes, mac: bytes, *, create: bool, now: int) -> Neighbor | None:
        """Note that ``address`` answers at ``mac``; None where it was not known and is not to be created.

        What waits for it is the caller's to send.
        """
        neighbor = self._neighbors.pop(address, None)
        if neighbor is None:
            if not create:
                return None
            neighbor = self._insert(address)
        self._neighbors[address] = neighbor  # the last of the dict: the latest heard of
        neighbor.mac = mac
        neighbor.state = NeighborState.REACHABLE
        neighbor.tries = 0
        self._wheel.arm(neighbor.timer, now + self._config.neighbor_reachable)
        return neighbor

    def give_up(self, packet: bytes) -> None:
        """Report ``packet`` as one that could not be delivered."""
        if len(self._unreachable) >= self._config.transmit_queue:
            self._unreachable.popleft()
            self._counters.add("IpOutDiscards")
        self._unreachable.append(packet)

    def poll_solicitation(self) -> Solicitation | None:
        """The next question to ask."""
        return self._solicitations.popleft() if self._solicitations else None

    def poll_unreachable(self) -> bytes | None:
        """The next packet that was given up on."""
        return self._unreachable.popleft() if self._unreachable else None

    def next_deadline(self) -> int | None:
        """When ``on_deadline`` has something to do (ns)."""
        return self._wheel.next_deadline()

    def on_deadline(self, *, now: int) -> None:
        """Ask again, age, forget."""
        for timer in self._wheel.advance(now):
            assert isinstance(timer.owner, Neighbor)
            self._expire(timer.owner, now)

    def _expire(self, neighbor: Neighbor, now: int) -> None:
        if neighbor.state is NeighborState.REACHABLE:
            neighbor.state = NeighborState.STALE
            self._wheel.arm(neighbor.timer, now + self._config.neighbor_reachable)
        elif 0 < neighbor.tries < self._config.neighbor_tries:
            self._solicit(neighbor, now)
        elif neighbor.tries:
            self._fail(neighbor, now)
        else:
            del self._neighbors[neighbor.address]

    def _solicit(self, neighbor: Neighbor, now: int) -> None:
        neighbor.tries += 1
        self._solicitations.append(Solicitation(neighbor.address, neighbor.mac))
        self._wheel.arm(neighbor.timer, now + self._config.neighbor_retry)

    def _fail(self, neighbor: Neighbor, now: int) -> None:
        self._counters.add("ArpFailures")
        neighbor.state = NeighborState.FAILED
        neighbor.mac = None
        neighbor.tries = 0
        self._abandon(neighbor)
        self._wheel.arm(neighbor.timer, now + self._config.neighbor_reachable)

    def _abandon(self, neighbor: Neighbor) -> None:
        while neighbor.waiting:
            self.give_up(neighbor.waiting.popleft())

    def _insert(self, address: bytes) -> Neighbor:
        while len(self._neighbors) >= self._config.neighbor_max:
            oldest = self._neighbors.pop(next(iter(self._neighbors)))
            self._wheel.cancel(oldest.timer)
            self._abandon(oldest)
            self._counters.add("ArpTableFulls")
        neighbor = self._neighbors[address] = Neighbor(address)
        return neighbor
