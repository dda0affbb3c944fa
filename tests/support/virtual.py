"""Virtual hosts joined in virtual time: packets take a delay, and whoever asks may lose, double, hold back or break them.

Everything follows from the seed and the calls; the clock is the network's own and the hosts' clocks follow it.
"""

import heapq
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.support.tso import cut
from userstack.address import pack_address
from userstack.config import MILLISECOND
from userstack.sim import VirtualHost

Fate = Callable[[int, bytes], list[tuple[int, bytes]]]
"""(index of the packet on the wire, packet) -> what arrives instead: (extra delay in ns, packet) each."""


def faithful(_index: int, packet: bytes) -> list[tuple[int, bytes]]:
    """Every packet arrives, once and in order."""
    return [(0, packet)]


@dataclass(slots=True)
class Impaired:
    """A seeded ``Fate``: rates from 0 to 1."""

    seed: int
    loss: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    reorder: float = 0.0
    hold: int = 5 * MILLISECOND
    """How long a reordered packet is held back, in nanoseconds."""

    def __call__(self, index: int, packet: bytes) -> list[tuple[int, bytes]]:
        draw = random.Random(f"{self.seed} {index}")
        if draw.random() < self.loss:
            return []
        arrivals = [(0, packet)] * (2 if draw.random() < self.duplicate else 1)
        if draw.random() < self.corrupt:
            broken = bytearray(packet)
            broken[draw.randrange(len(broken))] ^= 1 << draw.randrange(8)
            arrivals[0] = (0, bytes(broken))
        if draw.random() < self.reorder:
            arrivals[0] = (self.hold, arrivals[0][1])
        return arrivals


class VirtualNetwork:
    """Hosts by their addresses on one link with the same one-way delay (ns) between all."""

    def __init__(self, hosts: Mapping[str, VirtualHost], *, delay: int = MILLISECOND, fate: Fate = faithful) -> None:
        self._routes = {pack_address(address): host for address, host in hosts.items()}
        self._hosts = list(dict.fromkeys(hosts.values()))
        self.now = max(host.now for host in self._hosts)
        self.delay = delay
        self.fate = fate
        self.log: list[tuple[int, bytes]] = []
        """Every packet as it was sent, with its nanosecond."""
        self._flying: list[tuple[int, int, bytes]] = []
        self._count = 0
        self._collect()

    def run(self, until: int) -> None:
        """Let everything happen that happens up to and at ``until``."""
        self._collect()
        while (moment := self._next()) is not None and moment <= until:
            self._step(moment)
        for host in self._hosts:
            host.run(until)
        self.now = until

    def run_for(self, duration: int) -> None:
        """``run`` for that many nanoseconds."""
        self.run(self.now + duration)

    def run_until(self, done: Callable[[], object], *, limit: int) -> None:
        """Run from event to event until ``done()``.

        Raises:
            TimeoutError: it was not done by ``limit`` (ns from now), or nothing would ever happen again.
        """
        end = self.now + limit
        self._collect()
        while not done():
            moment = self._next()
            if moment is None or moment > end:
                raise TimeoutError(f"not done at {self.now} ns; next event: {moment}")
            self._step(moment)

    def _next(self) -> int | None:
        moments = [deadline for host in self._hosts if (deadline := host.next_deadline()) is not None]
        if self._flying:
            moments.append(self._flying[0][0])
        return max(min(moments), self.now) if moments else None

    def _step(self, moment: int) -> None:
        self.now = moment
        for host in self._hosts:
            host.run(moment)
        while self._flying and self._flying[0][0] <= moment:
            _, _, packet = heapq.heappop(self._flying)
            destination = packet[16:20] if packet[0] >> 4 == 4 else packet[24:40]
            if destination in self._routes:
                self._routes[destination].deliver(packet)
        self._collect()

    def _collect(self) -> None:
        for host in self._hosts:
            for sent, packet in ((sent, piece) for sent, whole in host._engine.take() for piece in cut(whole)):
                self.log.append((sent, packet))
                self._count += 1
                for extra, arrival in self.fate(self._count, packet):
                    heapq.heappush(self._flying, (sent + self.delay + extra, self._count, arrival))
