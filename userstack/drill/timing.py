"""When the script wants an event, on the system's clock.

A relative time counts from the moment at which the event before was done, as the clock stood then: an outbound packet that came
a little early or late, within the tolerance, moves what follows. An absolute time counts from the first event.
"""

from dataclasses import dataclass

from userstack.config import SECOND
from userstack.drill.errors import Mismatch
from userstack.drill.script import Base, Place, When
from userstack.drill.settings import Settings


@dataclass(frozen=True, slots=True)
class Window:
    """The nanoseconds between which an event may happen, without the tolerance, and the tolerance."""

    start: int
    end: int
    tolerance: int

    @property
    def earliest(self) -> int:
        """The first nanosecond that is early enough."""
        return self.start - self.tolerance

    @property
    def latest(self) -> int:
        """The last nanosecond that is not too late."""
        return self.end + self.tolerance


class Timeline:
    """From the script's times to the system's clock and back."""

    __slots__ = ("_settings", "_zero")

    def __init__(self, settings: Settings, now: int, first: When) -> None:
        self._settings = settings
        self._zero = now - first.start
        """Where the script's time 0 stands: its first event, whatever its time, begins now."""

    def window(self, when: When, now: int) -> Window | None:
        """Where the event must lie, ``now`` being when the one before was done; None: at any time."""
        if when.base is Base.ANY:
            return None
        origin = now if when.base is Base.RELATIVE else self._zero
        start = origin + when.start
        end = start if when.end is None else origin + when.end
        return Window(start, end, self._tolerance(end - now))

    def end_of_call(self, when: When, end: int, now: int) -> Window:
        """When a call that blocks must return; ``now`` is when the event before it was done."""
        at = end + (self._zero if when.base is Base.ABSOLUTE else now)
        return Window(at, at, self._tolerance(at - now))

    def script_time(self, now: int) -> int:
        """The script's time for one of the system's clock."""
        return now - self._zero

    def check(self, window: Window | None, at: int, what: str, place: Place) -> None:
        """Say that something happened at the wrong time.

        Raises:
            Mismatch: it did.
        """
        if window is None or window.earliest <= at <= window.latest:
            return
        expected = self.text(window)
        text = f"{what}: expected at {expected}, but it happened at {self.stamp(at)}"
        raise Mismatch(place, text, expected, self.stamp(at), fields=("time",))

    def text(self, window: Window) -> str:
        """``0.100000`` or ``0.100000~0.200000``."""
        start = self.stamp(window.start)
        return start if window.start == window.end else f"{start}~{self.stamp(window.end)}"

    def stamp(self, at: int) -> str:
        """Seconds of the script's time, to the microsecond."""
        return f"{self.script_time(at) / SECOND:.6f}"

    def _tolerance(self, distance: int) -> int:
        """What the options give: so many microseconds, or a share of the time since the event before, whichever is more."""
        return max(self._settings.tolerance, int(max(distance, 0) * self._settings.tolerance_percent / 100))
