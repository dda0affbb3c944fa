"""A bad link, sans-I/O: packets and the time go in, what is left of them comes out when it is due.

Law: nothing here knows a device, a clock or a packet's meaning, and all chance comes from the injected generator: the same seed,
the same packets and the same times give the same link. Times are in nanoseconds.
"""

import heapq
from dataclasses import dataclass
from random import Random

from userstack.config import MILLISECOND, SECOND
from userstack.counters import Counters
from userstack.errors import InvalidArgument

PROBABILITIES = ("loss", "duplicate", "reorder", "corrupt")
TIMES = ("reorder_delay", "delay", "jitter")
WHOLE = (*TIMES, "rate", "queue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairment:
    """What a link does to packets, in one direction. Probabilities are from 0 to 1, times in ns.

    Raises:
        InvalidArgument: a value cannot be; the text names it.
    """

    loss: float = 0.0
    """Share of the packets that is lost."""
    burst: float = 1.0
    """How many packets in a row are lost on average (a Gilbert model); 1: each for itself."""
    duplicate: float = 0.0
    """Probability that a packet arrives twice."""
    reorder: float = 0.0
    """Probability that a packet is held back by ``reorder_delay``, so that what follows in that time overtakes it."""
    reorder_delay: int = 5 * MILLISECOND
    corrupt: float = 0.0
    """Probability that one random bit of a packet is flipped, wherever it stands."""
    delay: int = 0
    """Time on the way."""
    jitter: int = 0
    """The delay varies by up to this, both ways and evenly; packets keep their order (for another one there is ``reorder``)."""
    rate: int | None = None
    """Bits per second that the link carries; None: any."""
    queue: int = 1000
    """Packets under way at once, waiting or delayed; what comes beyond it is dropped, or a slow link would fill the memory."""
    seed: int = 0
    """Where chance starts from."""

    def __post_init__(self) -> None:
        for name in PROBABILITIES:
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidArgument(f"{name} must be a share from 0 to 1, not {getattr(self, name)}")
        for name in WHOLE:
            value = getattr(self, name)
            if type(value) is not int and not (name == "rate" and value is None):
                raise InvalidArgument(f"{name} must be a whole number, of ns if it is a time, not {value!r}")
        if not 1 <= self.burst < float("inf") or (self.burst > 1 and self.loss > self.burst * (1 - self.loss)):
            # The spells between bursts are at least one packet long.
            raise InvalidArgument(
                f"burst must be at least 1 and not infinite, loss at most burst / (burst + 1), not {self.burst} and {self.loss}"
            )
        for name in TIMES:
            if getattr(self, name) < 0:
                raise InvalidArgument(f"{name} must not be below 0 ns, not {getattr(self, name)}")
        if self.jitter > self.delay:
            raise InvalidArgument(f"jitter ({self.jitter} ns) must not be above delay ({self.delay} ns)")
        if self.rate is not None and self.rate <= 0:
            raise InvalidArgument(f"rate must be above 0 bits per second, not {self.rate}")
        if self.queue < 1:
            raise InvalidArgument(f"queue must hold at least 1 packet, not {self.queue}")


class ImpairedLink:
    """One direction of a bad link.

    Args:
        impairment: what it does.
        random: all its chance; None for one that starts from the impairment's seed.
    """

    __slots__ = ("_busy_until", "_impairment", "_in_burst", "_latest", "_order", "_random", "_under_way", "counters")

    def __init__(self, impairment: Impairment, random: Random | None = None) -> None:
        self.counters = Counters()
        """What it did: ``offered``, ``lost``, ``duplicated``, ``reordered``, ``corrupted``, ``queue_full``."""
        self._impairment = impairment
        self._random = random or Random(impairment.seed)
        self._in_burst = False
        self._busy_until = 0
        self._latest = 0
        self._order = 0
        self._under_way: list[tuple[int, int, bytes, bool]] = []

    def offer(self, packet: bytes, now: int, *, vouched: bool = False) -> None:
        """A packet enters the link.

        Args:
            packet: its bytes.
            now: the time.
            vouched: whether somebody vouches for its checksum; for a corrupted copy nobody does.
        """
        self.counters.add("offered")
        if self._loses():
            self.counters.add("lost")
            return
        copies = 1
        if self._happens(self._impairment.duplicate):
            self.counters.add("duplicated")
            copies = 2
        for _ in range(copies):
            if len(self._under_way) >= self._impairment.queue:
                self.counters.add("queue_full")
                return
            self._carry(packet, now, vouched)

    def take(self, now: int) -> list[tuple[bytes, bool]]:
        """What arrives up to ``now``, in the order of arrival: the packets, and whether their checksums are vouched for."""
        arrived = []
        while self._under_way and self._under_way[0][0] <= now:
            _, _, packet, vouched = heapq.heappop(self._under_way)
            arrived.append((packet, vouched))
        return arrived

    def next_deadline(self) -> int | None:
        """When the next packet arrives; None when none is under way."""
        return self._under_way[0][0] if self._under_way else None

    def __len__(self) -> int:
        return len(self._under_way)

    def _carry(self, packet: bytes, now: int, vouched: bool) -> None:
        if packet and self._happens(self._impairment.corrupt):
            self.counters.add("corrupted")
            packet, vouched = self._flip_a_bit(packet), False
        due = self._arrival(len(packet), now)
        if self._happens(self._impairment.reorder):
            self.counters.add("reordered")
            due += self._impairment.reorder_delay
        self._order += 1
        heapq.heappush(self._under_way, (due, self._order, packet, vouched))

    def _arrival(self, length: int, now: int) -> int:
        """When a packet that keeps its place arrives: after its turn on the link, the delay, and whatever went before it."""
        impairment = self._impairment
        sent = now
        if impairment.rate is not None:
            sent = max(now, self._busy_until) + length * 8 * SECOND // impairment.rate
            self._busy_until = sent
        varied = self._random.randint(-impairment.jitter, impairment.jitter) if impairment.jitter else 0
        self._latest = max(self._latest, sent + impairment.delay + varied)
        return self._latest

    def _loses(self) -> bool:
        """A Gilbert model: good and bad spells, whose mean length and share of the time are what was asked for."""
        loss, burst = self._impairment.loss, self._impairment.burst
        if burst == 1:
            return self._happens(loss)
        leave, enter = 1 / burst, min(1.0, loss / (burst * (1 - loss)))
        self._in_burst = not self._happens(leave) if self._in_burst else self._happens(enter)
        return self._in_burst

    def _flip_a_bit(self, packet: bytes) -> bytes:
        place = self._random.randrange(len(packet) * 8)
        damaged = bytearray(packet)
        damaged[place // 8] ^= 1 << place % 8
        return bytes(damaged)

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability
