"""A bulk transfer told in one line: plain segments beyond a few in a row are counted instead of drawn.

Law: whatever is remarkable ends the run and is shown itself, so that folding never hides anything but repetition.
"""

from collections.abc import Callable

from userstack.address import Endpoint
from userstack.observe.steps import Arrow, Folded, Step

SHOWN = 8
"""Plain segments drawn before counting begins."""


class Fold:
    """Takes steps, hands them on to ``emit``, and makes one ``Folded`` of each run of plain segments of one connection."""

    __slots__ = ("_emit", "_flow", "_last_time", "_received", "_run", "_sent")

    def __init__(self, emit: Callable[[Step], None]) -> None:
        self._emit = emit
        self._run = 0
        self._flow: tuple[Endpoint, Endpoint] | None = None
        self._last_time = 0
        self._sent = [0, 0]
        self._received = [0, 0]

    def __call__(self, step: Step) -> None:
        """Take a step."""
        plain = isinstance(step, Arrow) and step.phase is None and not (step.marks or step.note or step.lost)
        if not (plain and isinstance(step, Arrow)):
            self.flush()
            self._run = 0
            self._emit(step)
            return
        flow = (step.local, step.remote)
        if flow != self._flow:
            self.flush()
            self._flow, self._run = flow, 0
        self._run += 1
        if self._run <= SHOWN:
            self._emit(step)
        else:
            self._count(step)

    def flush(self) -> None:
        """Tell about the segments counted so far."""
        if self._flow is None or not self._sent[0] + self._received[0]:
            return
        self._emit(
            Folded(
                time=self._last_time,
                local=self._flow[0],
                remote=self._flow[1],
                segments_sent=self._sent[0],
                bytes_sent=self._sent[1],
                segments_received=self._received[0],
                bytes_received=self._received[1],
            )
        )
        self._sent, self._received = [0, 0], [0, 0]

    def _count(self, arrow: Arrow) -> None:
        tally = self._sent if arrow.sent else self._received
        tally[0] += 1
        tally[1] += arrow.length
        self._last_time = arrow.time
