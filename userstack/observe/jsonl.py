"""Steps as JSON lines: one object each, ``event`` first; times in seconds since the observation began."""

import json
from typing import TextIO

from userstack.address import Endpoint
from userstack.config import SECOND
from userstack.observe.steps import Alarm, Arrow, Discard, Folded, Move, Release, Step
from userstack.wire.tcp import flag_names

Record = dict[str, object]


def to_record(step: Step) -> Record:
    """The step as plain JSON values."""
    match step:
        case Arrow():
            return _segment(step)
        case Move():
            return {
                "event": "transition",
                **_common(step.time, step.local, step.remote),
                "old": step.old,
                "new": step.new,
                "cause": step.cause,
                "clause": step.clause,
                "seconds_in_old": None if step.spent is None else step.spent / SECOND,
            }
        case Alarm():
            return {"event": "timer", **_common(step.time, step.local, step.remote), "timer": step.timer, "detail": step.detail}
        case Release():
            return {"event": "freed", **_common(step.time, step.local, step.remote)}
        case Discard():
            return {"event": "dropped", "time": step.time / SECOND, "counter": step.counter, "length": step.length}
        case Folded():
            return {
                "event": "folded",
                **_common(step.time, step.local, step.remote),
                "segments_sent": step.segments_sent,
                "bytes_sent": step.bytes_sent,
                "segments_received": step.segments_received,
                "bytes_received": step.bytes_received,
            }


class JsonLines:
    """Writes records and steps to ``stream``, one line each, flushed at once so that a reader follows live."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, step: Step) -> None:
        """Write a step."""
        self.write(to_record(step))

    def write(self, record: Record) -> None:
        """Write any other record; it has to have an ``event``."""
        self._stream.write(json.dumps(record) + "\n")
        self._stream.flush()


def _common(time: int, local: Endpoint, remote: Endpoint | None) -> Record:
    return {"time": time / SECOND, "local": str(local), "remote": None if remote is None else str(remote)}


def _segment(arrow: Arrow) -> Record:
    return {
        "event": "segment",
        **_common(arrow.time, arrow.local, arrow.remote),
        "direction": "sent" if arrow.sent else "received",
        "flags": flag_names(arrow.flags),
        "seq": arrow.seq,
        "ack": arrow.ack,
        "length": arrow.length,
        "window": arrow.window,
        "urgent_pointer": arrow.urgent_pointer,
        "options": list(arrow.options),
        "wire_seq": arrow.wire_seq,
        "wire_ack": arrow.wire_ack,
        "state": arrow.ours,
        "peer_state": arrow.peer,
        "phase": arrow.phase,
        "marks": list(arrow.marks),
        "note": arrow.note,
        "lost": arrow.lost,
    }
