"""What a connection tells those who watch it (trace.py), and that it does the same unwatched."""

import pytest

from tests.support.machine import LOCAL, REMOTE, Machine
from tests.support.pair import ENDS
from userstack.address import Endpoint
from userstack.config import SECOND, StackConfig
from userstack.counters import Counters
from userstack.tcp.connection import Connection
from userstack.tcp.state import State
from userstack.trace import TimerFired


def timers(m: Machine) -> list[TimerFired]:
    return [event for event in m.trace if isinstance(event, TimerFired)]


def test_retransmission_is_told() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"x")
    m.wait(3_500)
    assert [(event.timer, event.time // SECOND) for event in timers(m)] == [("retransmission", 1), ("retransmission", 3)]
    assert (timers(m)[0].local, timers(m)[0].remote) == (LOCAL, REMOTE)


def test_probe_is_told() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", window=0)
    m.send(b"x")
    m.wait(1_500)
    assert [event.timer for event in timers(m)] == ["persist"]


@pytest.mark.parametrize("record", [False, True], ids=["connection", "record"])
def test_end_of_time_wait_is_told(record: bool) -> None:
    m = Machine.in_state(State.TIME_WAIT, record=record)
    m.wait(60_000)
    assert [event.timer for event in timers(m)] == ["TIME-WAIT"]


def test_user_timeout_is_told() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.connection.user_timeout = 2 * SECOND
    m.send(b"x")
    m.wait(5_000)
    assert timers(m)[-1].timer == "user timeout"


def test_every_transition_names_both_ends_its_cause_and_its_clause() -> None:
    m = Machine()
    m.open_passive()
    m.arrives("SYN", seq=0)
    m.arrives("ACK", seq=1, ack=1)
    m.arrives("FIN,ACK")
    m.close()
    m.arrives("ACK")
    causes = [(step.new, step.cause, step.clause.split()[0]) for step in m.transitions]
    assert causes == [
        ("LISTEN", "call OPEN passive", "3.10.1"),
        ("SYN-RECEIVED", "segment SYN", "3.10.7.2"),
        ("ESTABLISHED", "segment ACK", "3.10.7.4"),
        ("CLOSE-WAIT", "segment FIN,ACK", "3.10.7.4"),
        ("LAST-ACK", "call CLOSE", "3.10.4"),
        ("CLOSED", "segment ACK", "3.10.7.4"),
    ]
    assert [step.remote for step in m.transitions] == [None] + [REMOTE] * 5


def test_connection_that_nobody_watches_lives_and_dies_alike() -> None:
    def isn(local: Endpoint, remote: Endpoint, now: int) -> int:
        return 100

    a, b = (Connection(end, config=StackConfig(), isn=isn, counters=Counters()) for end in ENDS)
    b.open_passive(now=0)
    a.open_active(ENDS[1], now=0)
    now = 0
    for turn in range(20):
        for sender, receiver, source in ((a, b, ENDS[0]), (b, a, ENDS[1])):
            while (segment := sender.poll_transmit(now=now)) is not None:
                if turn != 4:
                    receiver.on_segment(segment, now=now, source=source.address)
        if turn in (3, 7):
            (a if turn == 3 else b).close(now=now)
        elif turn > 3:
            now = min((deadline for end in (a, b) if (deadline := end.next_deadline()) is not None), default=now)
            a.on_deadline(now=now)
            b.on_deadline(now=now)
    assert (a.state, b.state) == (State.CLOSED, State.CLOSED)
    assert (a.error, b.error) == (None, None)
