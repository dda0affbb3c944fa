"""Two connections and a wire between them, in virtual time: what is sent is lost, doubled or late as a schedule says.

Law: the clock jumps from one event to the next (a segment arrives, a deadline comes); nothing waits, nothing is random.
"""

import heapq
from collections.abc import Callable, Sequence

from tests.support.tso import apart
from userstack.address import Endpoint, pack_address
from userstack.config import MILLISECOND, StackConfig
from userstack.counters import Counters
from userstack.tcp.connection import Connection
from userstack.tcp.state import CAN_SEND, State
from userstack.trace import Event, Transition
from userstack.wire.tcp import TcpSegment

Fate = tuple[int, ...]
"""When the copies of one segment arrive, in ms after it was sent: ``()`` is a loss, ``(10,)`` normal, ``(10, 12)`` a duplicate."""

ENDS = (Endpoint(pack_address("10.9.0.2"), 8080), Endpoint(pack_address("10.9.0.1"), 40000))
LIMIT = 100_000
"""Events after which a run counts as endless."""


def scheduled(fates: tuple[Sequence[Fate], Sequence[Fate]], *, after: Fate = (10,)) -> Callable[[int, int], Fate]:
    """A schedule from two lists, one for each sender; beyond a list's end everything arrives."""

    def fate(sender: int, index: int) -> Fate:
        return fates[sender][index] if index < len(fates[sender]) else after

    return fate


def delayed(sender: int, index: int) -> Fate:
    """The perfect wire: 10 ms, nothing lost."""
    return (10,)


class Talker:
    """The application at one end: sends its bytes as fast as they are taken, closes, and reads to the end.

    Args:
        connection: the end it uses.
        data: all that it sends.
        appetite: the most that it reads at once, in bytes.
    """

    def __init__(self, connection: Connection, data: bytes, *, appetite: int = 1 << 16) -> None:
        self.connection = connection
        self.unsent = data
        self.appetite = appetite
        self.received = b""
        self.eof = False
        self.closed = False

    def act(self, now: int) -> None:
        """Do what can be done now."""
        self._send(now)
        if not self.unsent and not self.closed and self.connection.state in CAN_SEND:
            self.connection.close(now=now)
            self.closed = True
        while self.connection.readable and not self.eof:
            chunk = bytes(self.connection.receive(self.appetite, now=now))
            self.received += chunk
            self.eof = not chunk

    def _send(self, now: int) -> None:
        while self.unsent and self.connection.state in CAN_SEND:
            try:
                taken = self.connection.send(self.unsent, now=now)
            except BlockingIOError:
                return
            self.unsent = self.unsent[taken:]


class Pair:
    """Two connections, 0 and 1, and the wire.

    Args:
        schedule: ``schedule(sender, index)`` is the fate of the sender's segment number ``index``.
        config: of both ends.
        isns: the initial sequence number of each.
        mtu: of the wire, in bytes.
    """

    def __init__(
        self,
        schedule: Callable[[int, int], Fate] = delayed,
        *,
        config: StackConfig | None = None,
        isns: tuple[int, int] = (2**32 - 2, 2**32 - 3),
        mtu: int = 1500,
    ) -> None:
        self.now = 0
        self.schedule = schedule
        self.isns = isns
        self.traces: tuple[list[Event], list[Event]] = ([], [])
        self.wire: list[tuple[int, int, int, TcpSegment]] = []
        self.sent: tuple[list[TcpSegment], list[TcpSegment]] = ([], [])
        self.talkers: list[Talker] = []
        self.ends = (self._end(0, config, mtu), self._end(1, config, mtu))

    def _end(self, index: int, config: StackConfig | None, mtu: int) -> Connection:
        def isn(local: Endpoint, remote: Endpoint, now: int) -> int:
            return self.isns[index]

        trace = self.traces[index].append
        return Connection(ENDS[index], config=config or StackConfig(), isn=isn, counters=Counters(), mtu=mtu, trace=trace)

    def open(self, *, simultaneous: bool = False) -> None:
        """End 0 connects to end 1; or each to the other at the same time."""
        if simultaneous:
            self.ends[1].open_active(ENDS[0], now=self.now)
        else:
            self.ends[1].open_passive(now=self.now)
        self.ends[0].open_active(ENDS[1], now=self.now)
        self.flush()

    def flush(self) -> None:
        """Let the applications act, and put on the wire all that the two ends have to send now."""
        for talker in self.talkers:
            talker.act(self.now)
        for sender, end in enumerate(self.ends):
            while (segment := end.poll_transmit(now=self.now)) is not None:
                for part in apart(segment):
                    self._carry(sender, part)

    def _carry(self, sender: int, segment: TcpSegment) -> None:
        index = len(self.sent[sender])
        self.sent[sender].append(segment)
        assert index < LIMIT, "the two ends do not stop sending"
        for copy, delay in enumerate(self.schedule(sender, index)):
            order = (len(self.sent[0]) + len(self.sent[1])) * 4 + copy
            heapq.heappush(self.wire, (self.now + delay * MILLISECOND, order, sender, segment))

    def step(self, until: int) -> bool:
        """Jump to the next event at or before ``until`` (ns) and let it happen; False when there is none."""
        times = [deadline for end in self.ends if (deadline := end.next_deadline()) is not None]
        if self.wire:
            times.append(self.wire[0][0])
        if not times or min(times) > until:
            return False
        self.now = max(self.now, min(times))
        while self.wire and self.wire[0][0] <= self.now:
            _, _, sender, segment = heapq.heappop(self.wire)
            if self.ends[1 - sender].state is not State.CLOSED:
                self.ends[1 - sender].on_segment(segment, now=self.now, source=ENDS[sender].address)
        for end in self.ends:
            deadline = end.next_deadline()
            if deadline is not None and deadline <= self.now:
                end.on_deadline(now=self.now)
        self.flush()
        return True

    def run(self, milliseconds: float) -> None:
        """Let time pass."""
        until = self.now + round(milliseconds * MILLISECOND)
        events = 0
        while self.step(until):
            events += 1
            assert events < LIMIT, "time does not move on"
        self.now = until

    def run_until_closed(self, *, seconds: float) -> None:
        """Let time pass until both ends are CLOSED.

        Raises:
            AssertionError: they are not, ``seconds`` later or when nothing is left to happen.
        """
        until = self.now + round(seconds * 1000) * MILLISECOND
        events = 0
        while self.states != (State.CLOSED, State.CLOSED):
            assert self.step(until), f"stuck in {self.states} at {self.now} ns"
            events += 1
            assert events < LIMIT, "time does not move on"

    @property
    def states(self) -> tuple[State, State]:
        return self.ends[0].state, self.ends[1].state

    def path(self, end: int) -> list[str]:
        """The states that an end went through, from CLOSED on."""
        return [State.CLOSED, *(event.new for event in self.traces[end] if isinstance(event, Transition))]
