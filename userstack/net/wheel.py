"""The timer wheel: one hierarchical wheel (Varghese and Lauck 1987, scheme 7) for all timers of a host.

The law: a timer fires at the first ``advance(now)`` with ``now >= deadline``, never earlier, and ``next_deadline()`` names the
earliest deadline to the nanosecond, so the tick of the finest wheel is one nanosecond. Eight wheels of 256 slots stand above each
other; wheel n turns through byte n of the time. A timer stands in the wheel of the highest byte in which its deadline differs from
the wheel's cursor, and moves down when the cursor enters its slot::

    cursor    00 00 00 17 | 48 76 E8 00
    deadline  00 00 00 17 | 84 11 5F 3C      wheel 3, slot 0x84
                            ^^ the highest byte that differs

Two things keep that cheap in Python. Each wheel has its occupied slots as bits of one integer, so that empty stretches cost nothing
however long they are. And the cursor moves only when something is due: it goes straight to the new time, a slot that lies wholly
before that fires as it is, and of the one slot that the new time lies in each timer fires or moves down. A slot is also opened,
split over a wheel of its own that hangs in its place, when the earliest of many timers in it is asked for. Either way a timer goes
down at most once a wheel, so that every operation is O(1) amortised.
"""

from operator import attrgetter
from typing import Final

from userstack.errors import InvalidArgument

_BITS: Final = 8
_SLOTS: Final = 1 << _BITS
_WHEELS: Final = 8
_SCANNED: Final = 32
"""How many timers of a slot are looked through for the earliest before the slot is opened instead."""

_by_deadline = attrgetter("deadline")


class Timer:
    """An alarm that can be armed and armed again; it belongs to one wheel while it is armed.

    It is a link of the ring of its slot, so that arming allocates nothing and cancelling searches nothing.
    """

    __slots__ = ("_next", "_previous", "deadline", "owner")

    _previous: "Timer"
    _next: "Timer"

    def __init__(self, owner: object) -> None:
        self.owner = owner
        """Whatever the one who arms it wants to find again when it fires."""
        self.deadline: int | None = None
        """In nanoseconds; None while it is not armed. Only the wheel writes it."""
        self._previous = self._next = _NOWHERE


class _Slot(Timer):
    """The head of a ring of timers, first armed first."""

    __slots__ = ("index", "wheel")

    def __init__(self, wheel: "_Wheel", index: int) -> None:
        self.wheel = wheel
        self.index = index
        self._previous = self._next = self

    def take(self) -> Timer:
        """Unhang the ring: the first timer, whose successors end with this slot."""
        first = self._next
        self._previous = self._next = self
        return first


class _Wheel:
    """256 slots; ``parent`` is the wheel in whose slot ``index`` this one hangs, None for one of the eight."""

    __slots__ = ("index", "occupied", "parent", "shift", "slots")

    def __init__(self, shift: int, parent: "_Wheel | None" = None, index: int = 0) -> None:
        self.shift = shift
        self.parent = parent
        self.index = index
        self.occupied = 0
        self.slots: list[_Slot | _Wheel | None] = [None] * _SLOTS

    def vacate(self, index: int) -> None:
        """Note that a slot is empty; a wheel that hangs in another's slot goes with its last timer."""
        self.occupied ^= 1 << index
        if not self.occupied and self.parent is not None:
            self.parent.slots[self.index] = None
            self.parent.vacate(self.index)

    def drain(self, slots: int, due: list[Timer]) -> None:
        """Move every timer of the occupied ``slots`` (bits) to ``due``, slot after slot; their links stay as they are."""
        self.occupied ^= slots
        while slots:
            lowest = slots & -slots
            slots ^= lowest
            index = lowest.bit_length() - 1
            slot = self.slots[index]
            if isinstance(slot, _Wheel):
                self.slots[index] = None
                slot.drain(slot.occupied, due)
            elif slot is not None:
                timer = slot.take()
                while timer is not slot:
                    due.append(timer)
                    timer = timer._next


_NOWHERE: Final[Timer] = _Slot(_Wheel(0), 0)
"""The neighbour of a timer that is not armed."""


class TimerWheel:
    """Timers by their deadline. ``start`` is the time now, in nanoseconds; it never runs backwards.

    Raises:
        InvalidArgument: ``start`` is below 0.
    """

    __slots__ = ("_armed", "_cursor", "_earliest", "_now", "_stale", "_wheels")

    def __init__(self, start: int) -> None:
        if start < 0:
            raise InvalidArgument(f"a timer wheel cannot start before 0, at {start}")
        self._now = start
        self._cursor = start
        self._armed = 0
        # No deadline is below _earliest; it is the earliest itself unless _stale.
        self._earliest = start
        self._stale = True
        self._wheels = [_Wheel(_BITS * n) for n in range(_WHEELS)]

    def __len__(self) -> int:
        return self._armed

    def arm(self, timer: Timer, deadline: int) -> None:
        """Let ``timer`` fire at ``deadline`` (ns); one that is armed moves there. A deadline in the past fires at the next advance.

        Raises:
            InvalidArgument: the deadline is 2**64 ns (584 years) away, or farther.
        """
        key = deadline if deadline > self._now else self._now
        if (key ^ self._cursor) >> _BITS * _WHEELS:
            raise InvalidArgument(f"deadline {deadline} is too far from now ({self._now}): a wheel reaches 2**64 ns")
        if timer.deadline is not None:
            self.cancel(timer)
        timer.deadline = deadline
        self._place(timer, key)
        self._armed += 1
        if deadline < self._earliest or self._armed == 1:
            self._earliest = deadline
            self._stale = False

    def cancel(self, timer: Timer) -> None:
        """Disarm ``timer``; nothing happens where it is not armed."""
        deadline = timer.deadline
        if deadline is None:
            return
        previous, following = timer._previous, timer._next
        previous._next = following
        following._previous = previous
        timer.deadline = None
        timer._previous = timer._next = _NOWHERE
        self._armed -= 1
        if deadline == self._earliest:
            self._stale = True
        if previous is following and isinstance(previous, _Slot):
            previous.wheel.vacate(previous.index)

    def advance(self, now: int) -> list[Timer]:
        """Go to ``now`` (ns); disarm and return every timer that is due, by deadline, those of one deadline in arming order.

        A ``now`` before the latest one counts as the latest one.
        """
        if now < self._now:
            now = self._now
        # Asked before the clock moves: an opened slot is filled by the time at which its timers were armed.
        earliest = self._earliest if self._earliest > now else self.next_deadline()
        self._now = now
        if earliest is None or earliest > now:
            return []
        due: list[Timer] = []
        self._sweep(now, due)
        self._earliest = now + 1
        self._stale = True
        self._armed -= len(due)
        # Timers of one deadline stood in one slot in their order, and the sort is stable.
        due.sort(key=_by_deadline)
        for timer in due:
            timer.deadline = None
            timer._previous = timer._next = _NOWHERE
        return due

    def next_deadline(self) -> int | None:
        """The earliest deadline of all (ns), which may lie in the past; None where no timer is armed."""
        if not self._armed:
            return None
        if self._stale:
            self._earliest = self._find_earliest()
            self._stale = False
        return self._earliest

    def _place(self, timer: Timer, key: int) -> None:
        """Hang ``timer`` in its slot; ``key`` is its deadline, or now where that has passed."""
        wheel = self._wheels[((key ^ self._cursor) | 1).bit_length() - 1 >> 3]
        index = key >> wheel.shift & 0xFF
        slot = wheel.slots[index]
        while isinstance(slot, _Wheel):
            wheel = slot
            index = key >> wheel.shift & 0xFF
            slot = wheel.slots[index]
        if slot is None:
            slot = wheel.slots[index] = _Slot(wheel, index)
        last = slot._previous
        if last is slot:
            wheel.occupied |= 1 << index
        timer._previous = last
        timer._next = slot
        last._next = slot._previous = timer

    def _place_ring(self, timer: Timer, end: _Slot, due: list[Timer]) -> None:
        """Place a ring that was taken off ``end`` anew, from ``timer`` on; what is due by the cursor goes to ``due`` instead."""
        while timer is not end:
            following = timer._next
            deadline = timer.deadline
            assert deadline is not None
            if deadline <= self._cursor:
                due.append(timer)
            else:
                self._place(timer, deadline)
            timer = following

    def _sweep(self, now: int, due: list[Timer]) -> None:
        """Move the cursor to ``now`` and what is due by then to ``due``."""
        level = ((self._cursor ^ now) | 1).bit_length() - 1 >> 3
        self._cursor = now
        for wheel in self._wheels[:level]:
            wheel.drain(wheel.occupied, due)
        while level < _WHEELS:
            wheel = self._wheels[level]
            index = now >> wheel.shift & 0xFF
            wheel.drain(wheel.occupied & (1 << index) - 1, due)
            if not wheel.occupied >> index & 1:
                return
            wheel.occupied ^= 1 << index
            entered = wheel.slots[index]
            if isinstance(entered, _Slot):
                self._place_ring(entered.take(), entered, due)
                return
            # The slot was opened before: its wheel takes the place of the one below, which is empty.
            assert entered is not None
            wheel.slots[index] = entered.parent = None
            level -= 1
            self._wheels[level] = entered

    def _find_earliest(self) -> int:
        wheel = next(wheel for wheel in self._wheels if wheel.occupied)
        while True:
            index = (wheel.occupied & -wheel.occupied).bit_length() - 1
            slot = wheel.slots[index]
            if isinstance(slot, _Slot):
                first = slot._next.deadline
                if first is not None and first > self._now and not wheel.shift:
                    return first  # the slot is one nanosecond
                earliest = _earliest_of(slot, _SCANNED if wheel.shift else self._armed)
                if earliest is not None:
                    return earliest
                slot = self._open(wheel, index, slot)
            assert slot is not None
            wheel = slot

    def _open(self, wheel: _Wheel, index: int, slot: _Slot) -> _Wheel:
        """Split a slot over a wheel that takes its place."""
        opened = wheel.slots[index] = _Wheel(wheel.shift - _BITS, wheel, index)
        timer = slot.take()
        while timer is not slot:
            following = timer._next
            assert timer.deadline is not None
            self._place(timer, max(timer.deadline, self._now))
            timer = following
        return opened


def _earliest_of(slot: _Slot, limit: int) -> int | None:
    """The earliest deadline in a slot; None where it holds more than ``limit`` timers."""
    earliest: int | None = None
    timer = slot._next
    while timer is not slot:
        deadline = timer.deadline
        assert deadline is not None
        if earliest is None or deadline < earliest:
            earliest = deadline
        if not limit:
            return None
        limit -= 1
        timer = timer._next
    return earliest
