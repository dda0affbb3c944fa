"""The neighbours on a link: at which link address each answers, what waits for an answer, and when to ask.

One machine serves both families, as in Linux: the neighbor unreachability detection of RFC 4861 7.3 is also what RFC 1122 2.3.2.1
wants of an ARP cache. The law: whom to ask and what to give up on is decided here, in what form is not; the protocol (ARP, ND)
pulls ``poll_solicitation``, hands in what it hears with ``learn``, and nothing here knows a packet of either.

A neighbour's one timer means, by its state:

    INCOMPLETE    ask again, everybody, until ``neighbor_tries`` questions had no answer: then FAILED
    REACHABLE     the last proof that it hears us is old: STALE
    STALE         nobody needs it: forget it. A packet to it goes out, and it is DELAY
    DELAY         TCP has proved nothing meanwhile: PROBE
    PROBE         ask again, the neighbour itself, until ``neighbor_tries`` questions had no answer: then FAILED
    FAILED        forget it; a packet to it before that starts over
"""

from collections import deque
from collections.abc import Callable
from enum import IntEnum, StrEnum
from typing import NamedTuple

from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.net.wheel import Timer, TimerWheel
from userstack.wire.offload import Outbound, headers


class NeighborState(StrEnum):
    """What is known about a neighbour, in the words of RFC 4861 7.3.2 and of ``ip neigh``."""

    INCOMPLETE = "INCOMPLETE"
    REACHABLE = "REACHABLE"
    STALE = "STALE"
    DELAY = "DELAY"
    PROBE = "PROBE"
    FAILED = "FAILED"


class Standing(IntEnum):
    """Who makes room in a full table: the lowest first, and of those the one heard of longest ago.

    What strangers say or send us costs nobody of a higher standing the place, however many they say they are.
    """

    HEARD = 0
    """It spoke to us and we never had anything for it, or it does not answer."""
    ASKED = 1
    """We had a packet for it; an answer to a stranger's is enough for that."""
    PROVEN = 2
    """It acknowledged what TCP had sent, which nobody can do who does not hear us."""
    GATEWAY = 3
    """Every other network lies behind it: it never makes room."""


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
    prompt: bytes | None
    """The headers of the packet that waits for the answer, where one does."""


class Neighbor:
    """One neighbour. ``header`` belongs to the link: what it puts before each packet to this neighbour."""

    __slots__ = ("address", "confirmed", "header", "mac", "standing", "state", "timer", "tries", "waiting")

    def __init__(self, address: bytes, standing: Standing) -> None:
        self.address = address
        self.standing = standing
        self.mac: bytes | None = None
        """None while it is INCOMPLETE or FAILED."""
        self.header = b""
        self.state = NeighborState.FAILED
        self.tries = 0
        """Questions since the last answer."""
        self.confirmed: int | None = None
        """When TCP last proved that it hears us, since it became REACHABLE."""
        self.waiting: deque[Outbound] = deque()
        self.timer = Timer(self)


class NeighborTable:
    """At most ``config.neighbor_max`` neighbours of one family.

    Args:
        protocol: whose table it is, ``Arp`` or ``Nd``: the beginning of its counters' names.
        reachable: how long the next proof that a neighbour hears us is to count (ns).
        gateway: the neighbour that never makes room for another.
        config: the limits and times.
        counters: where it counts.
    """

    def __init__(
        self, protocol: str, *, reachable: Callable[[], int], gateway: bytes | None, config: StackConfig, counters: Counters
    ) -> None:
        self._protocol = protocol
        self._reachable = reachable
        self._gateway = gateway
        self._config = config
        self._counters = counters
        self._neighbors: dict[bytes, Neighbor] = {}
        self._by_standing: dict[Standing, dict[bytes, Neighbor]] = {standing: {} for standing in Standing}
        """The same neighbours, those of each standing by when they were heard of."""
        self._wheel = TimerWheel(0)
        self._solicitations: deque[Solicitation] = deque()
        self._unreachable: deque[Outbound] = deque()

    def __len__(self) -> int:
        return len(self._neighbors)

    def get(self, address: bytes) -> Neighbor | None:
        """The neighbour with that address, if anything is known of it."""
        return self._neighbors.get(address)

    def rows(self) -> list[NeighborRow]:
        """Every neighbour, in the order in which they make room."""
        neighbors = [neighbor for those in self._by_standing.values() for neighbor in those.values()]
        return [NeighborRow(n.address, n.mac, n.state.value, n.timer.deadline or 0) for n in neighbors]

    # --- what we send ---

    def hold(self, address: bytes, packet: Outbound, *, now: int) -> None:
        """Keep ``packet`` until ``address``, whose link address is not known, answers; ask for it if nobody has."""
        neighbor = self._neighbors.get(address) or self._insert(address, Standing.ASKED)
        if neighbor is None:
            self._counters.add(f"{self._protocol}UnresolvedDiscards")
            return
        self._raise(neighbor, Standing.ASKED)
        if len(neighbor.waiting) >= self._config.neighbor_queue:
            # RFC 1122 2.3.2.2, RFC 4861 7.2.2: the latest is what is kept.
            neighbor.waiting.popleft()
            self._counters.add(f"{self._protocol}UnresolvedDiscards")
        neighbor.waiting.append(packet)
        if neighbor.state is NeighborState.FAILED:
            # The last question is neighbor_retry old, or there was none: RFC 1122 2.3.2.1 allows the next.
            neighbor.state = NeighborState.INCOMPLETE
            neighbor.tries = 0
            self._solicit(neighbor, now)

    def use(self, neighbor: Neighbor, *, now: int) -> None:
        """Note that a packet goes to a neighbour whose link address is known."""
        self._raise(neighbor, Standing.ASKED)
        if neighbor.state is NeighborState.STALE:
            neighbor.state = NeighborState.DELAY
            self._wheel.arm(neighbor.timer, now + self._config.neighbor_delay)

    # --- what we hear ---

    def learn(
        self, address: bytes, mac: bytes | None, *, solicited: bool, override: bool, create: bool, now: int
    ) -> Neighbor | None:
        """Note that ``address`` is said to be at ``mac``, as RFC 4861 7.2.3 and 7.2.5 have it.

        What waits for it is the caller's to send.

        Args:
            address: the neighbour's.
            mac: None where nothing is said but that it is there.
            solicited: it answers a question of ours, so that it hears us.
            override: the link address counts even if another one is known.
            create: the neighbour becomes known by it, if it was not.
            now: the time (ns).

        Returns:
            The neighbour, if it is known now.
        """
        neighbor = self._neighbors.get(address)
        if neighbor is None or neighbor.state is NeighborState.FAILED:
            if not create or mac is None:
                return None
            neighbor = neighbor or self._insert(address, Standing.HEARD)
            if neighbor is None:
                return None
        elif neighbor.mac is None and mac is None:
            return None
        self._judge(neighbor, mac or neighbor.mac, solicited=solicited, override=override, now=now)
        self._by_standing[neighbor.standing][address] = self._by_standing[neighbor.standing].pop(address)
        return neighbor

    def _judge(self, neighbor: Neighbor, mac: bytes | None, *, solicited: bool, override: bool, now: int) -> None:
        moved = mac != neighbor.mac
        if moved and not override and neighbor.mac is not None:
            if neighbor.state is NeighborState.REACHABLE:
                self._become_stale(neighbor, now)  # it is asked when it is needed: who answers then has it
            return
        neighbor.mac = mac
        if solicited:
            self._become_reachable(neighbor, now)
        elif moved:
            self._become_stale(neighbor, now)

    def confirm(self, neighbor: Neighbor, *, now: int) -> None:
        """Note that the neighbour hears us: what went through it was acknowledged by TCP (RFC 4861 7.3.1)."""
        if neighbor.mac is None:
            return
        self._raise(neighbor, Standing.PROVEN)
        if neighbor.state is NeighborState.REACHABLE:
            neighbor.confirmed = now  # its timer is armed anew when it fires: this runs for every acknowledgment
        else:
            self._become_reachable(neighbor, now)

    # --- what is due ---

    def give_up(self, packet: Outbound) -> None:
        """Report ``packet`` as one that could not be delivered."""
        if len(self._unreachable) >= self._config.transmit_queue:
            self._unreachable.popleft()
            self._counters.add(f"{self._protocol}UnreachableDiscards")
        self._unreachable.append(packet)

    def poll_solicitation(self) -> Solicitation | None:
        """The next question to ask."""
        return self._solicitations.popleft() if self._solicitations else None

    def poll_unreachable(self) -> Outbound | None:
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
        match neighbor.state:
            case NeighborState.REACHABLE:
                if neighbor.confirmed is not None:
                    self._become_reachable(neighbor, neighbor.confirmed)
                else:
                    self._become_stale(neighbor, now)
            case NeighborState.DELAY:
                neighbor.state = NeighborState.PROBE
                neighbor.tries = 0
                self._solicit(neighbor, now)
            case NeighborState.INCOMPLETE | NeighborState.PROBE:
                if neighbor.tries < self._config.neighbor_tries:
                    self._solicit(neighbor, now)
                else:
                    self._fail(neighbor, now)
            case NeighborState.STALE | NeighborState.FAILED:
                self._forget(neighbor)

    def _become_reachable(self, neighbor: Neighbor, since: int) -> None:
        neighbor.state = NeighborState.REACHABLE
        neighbor.confirmed = None
        self._wheel.arm(neighbor.timer, since + self._reachable())

    def _become_stale(self, neighbor: Neighbor, now: int) -> None:
        neighbor.state = NeighborState.STALE
        self._wheel.arm(neighbor.timer, now + self._config.neighbor_stale)

    def _solicit(self, neighbor: Neighbor, now: int) -> None:
        neighbor.tries += 1
        self._wheel.arm(neighbor.timer, now + self._config.neighbor_retry)
        if len(self._solicitations) >= self._config.transmit_queue:
            self._counters.add(f"{self._protocol}OutDiscards")
            return
        prompt = headers(neighbor.waiting[0]) if neighbor.waiting else None
        self._solicitations.append(Solicitation(neighbor.address, neighbor.mac, prompt))

    def _fail(self, neighbor: Neighbor, now: int) -> None:
        self._counters.add(f"{self._protocol}Failures")
        neighbor.state = NeighborState.FAILED
        neighbor.mac = None
        if neighbor.standing is not Standing.GATEWAY:
            self._move(neighbor, Standing.HEARD)
        while neighbor.waiting:
            self.give_up(neighbor.waiting.popleft())
        self._wheel.arm(neighbor.timer, now + self._config.neighbor_stale)

    # --- who is in the table ---

    def _raise(self, neighbor: Neighbor, standing: Standing) -> None:
        if neighbor.standing < standing:
            self._move(neighbor, standing)

    def _move(self, neighbor: Neighbor, standing: Standing) -> None:
        del self._by_standing[neighbor.standing][neighbor.address]
        neighbor.standing = standing
        self._by_standing[standing][neighbor.address] = neighbor

    def _insert(self, address: bytes, standing: Standing) -> Neighbor | None:
        """A new neighbour; None where the table is full of others that it must not push out."""
        if address == self._gateway:
            standing = Standing.GATEWAY
        if len(self._neighbors) >= self._config.neighbor_max and not self._make_room(standing):
            return None
        neighbor = self._neighbors[address] = self._by_standing[standing][address] = Neighbor(address, standing)
        return neighbor

    def _make_room(self, newcomer: Standing) -> bool:
        self._counters.add(f"{self._protocol}TableFulls")
        least = next(standing for standing in Standing if self._by_standing[standing])
        if least is Standing.GATEWAY or (newcomer is Standing.HEARD and least is not Standing.HEARD):
            return False
        oldest = next(iter(self._by_standing[least].values()))
        self._wheel.cancel(oldest.timer)
        self._counters.add(f"{self._protocol}UnresolvedDiscards", len(oldest.waiting))
        self._forget(oldest)
        return True

    def _forget(self, neighbor: Neighbor) -> None:
        del self._neighbors[neighbor.address]
        del self._by_standing[neighbor.standing][neighbor.address]
