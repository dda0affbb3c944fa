"""Nagle's algorithm and the sender's silly window avoidance (RFC 9293 3.7.4, 3.8.6.2.1)."""

import pytest

from tests.support.machine import Machine
from userstack.config import MILLISECOND, StackConfig
from userstack.tcp.state import State


def sizes(m: Machine) -> list[int]:
    return [len(segment.data) for segment in m.sent()]


@pytest.mark.requirement("SHLD-7")
def test_small_data_waits_while_something_is_unacknowledged() -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=1000)
    m.send(b"a")
    m.expect("ACK", seq=1, data=b"a")
    for _ in range(5):
        m.send(b"bc")
    m.nothing_sent()
    m.arrives("ACK", ack=2)
    m.expect("ACK", seq=2, data=b"bc" * 5)
    m.nothing_sent()


@pytest.mark.requirement("SHLD-28")
def test_full_segment_does_not_wait() -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=1000)
    m.send(b"a")
    m.sent()
    m.send(b"b" * 999)
    m.nothing_sent()
    m.send(b"b")
    assert sizes(m) == [1000]
    m.send(b"c" * 2500)
    assert sizes(m) == [1000, 1000]
    m.arrives("ACK")
    assert sizes(m) == [500]


@pytest.mark.requirement("MUST-17")
def test_nodelay_sends_at_once() -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=1000)
    m.connection.nodelay = True
    for _ in range(5):
        m.send(b"bc")
    assert sizes(m) == [2, 2, 2, 2, 2]


@pytest.mark.requirement("MUST-17")
def test_nodelay_lets_go_what_was_waiting() -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=1000)
    m.send(b"a")
    m.send(b"b")
    m.sent()
    m.connection.nodelay = True
    m.pull()
    assert sizes(m) == [1]


def test_nagle_can_be_off_for_the_whole_stack() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(nagle=False))
    m.send(b"a")
    m.send(b"b")
    assert sizes(m) == [1, 1]


def test_close_does_not_wait_for_nagle() -> None:
    """CLOSE implies a push (RFC 9293 3.8): the last octets and the FIN need not wait for an ACK."""
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"a")
    m.send(b"b")
    m.sent()
    m.close()
    if m.outbox:
        assert m.outbox[-1].end == 4
    else:
        m.arrives("ACK", ack=2)
        assert m.outbox[-1].end == 4
    assert m.outbox[-1].flags == "FIN,ACK"


@pytest.mark.requirement("MUST-38")
def test_small_part_of_a_window_is_not_used() -> None:
    """Rules (1) to (3) do not hold; (4), the override, does after 0.1 to 1 s."""
    m = Machine.in_state(State.ESTABLISHED, mss=1000, window=1000)
    m.send(b"x" * 5000)
    assert sizes(m) == [1000]
    m.arrives("ACK", ack=1001, window=100)
    m.nothing_sent()
    start = m.now
    sent = m.next_sent(within=1_000)
    assert 100 * MILLISECOND <= sent.time - start <= 1000 * MILLISECOND
    assert (sent.seq, len(sent.data)) == (1001, 100)


@pytest.mark.requirement("MUST-38")
def test_half_of_the_largest_window_is_used_at_once() -> None:
    """Rule (3): Fs = 1/2 of Max(SND.WND)."""
    m = Machine.in_state(State.ESTABLISHED, mss=1000, window=1000)
    m.send(b"x" * 5000)
    m.sent()
    m.arrives("ACK", ack=1001, window=499)
    m.nothing_sent()
    m.arrives("ACK", ack=1001, window=500)
    assert sizes(m) == [500]


@pytest.mark.requirement("MUST-38")
def test_last_octets_are_sent_when_they_fit() -> None:
    """Rule (2): all that is queued can go."""
    m = Machine.in_state(State.ESTABLISHED, mss=1000, window=1000)
    m.send(b"x" * 1050)
    assert sizes(m) == [1000]
    m.arrives("ACK", ack=1001, window=50)
    assert sizes(m) == [50]


@pytest.mark.requirement("MUST-38")
def test_window_that_opens_in_small_steps_is_left_to_grow() -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=1000, window=4000)
    m.send(b"x" * 20_000)
    assert sizes(m) == [1000] * 4
    m.arrives("ACK", ack=4001, window=0)
    m.nothing_sent()
    for window in range(100, 1000, 100):
        m.arrives("ACK", ack=4001, window=window)
        m.nothing_sent()
    m.arrives("ACK", ack=4001, window=1000)
    assert sizes(m) == [1000]
