"""CLOSING and LAST-ACK (RFC 9293 3.10.7.4 and the calls): both ends have closed, our FIN is not acknowledged yet."""

import pytest

from tests.support.machine import Machine
from userstack.config import SECOND
from userstack.errors import BrokenPipe, CallerError
from userstack.tcp.state import State

BOTH = pytest.mark.parametrize("state", [State.CLOSING, State.LAST_ACK])


@BOTH
def test_calls_find_the_connection_closing(state: State) -> None:
    m = Machine.in_state(state)
    with pytest.raises(BrokenPipe):
        m.send(b"x")
    assert m.receive() == b""
    try:
        m.close()
    except CallerError:
        m.pull()
    m.nothing_sent()
    m.stayed()


@BOTH
def test_ack_that_is_not_of_our_fin_is_ignored(state: State) -> None:
    m = Machine.in_state(state)
    m.arrives("ACK", seq=2, ack=1)
    m.nothing_sent()
    m.stayed()
    assert m.snd_una == 1


def test_older_data_is_acknowledged_first_in_last_ack() -> None:
    m = Machine.in_state(State.CLOSE_WAIT)
    m.send(b"data")
    m.close()
    assert m.sent()[-1].end == 6
    m.arrives("ACK", seq=2, ack=5)
    assert (m.state, m.snd_una) == (State.LAST_ACK, 5)
    m.arrives("ACK", seq=2, ack=6)
    m.expect_state(State.CLOSED)


def test_older_data_is_acknowledged_first_in_closing() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"data")
    m.close()
    m.arrives("FIN,ACK", ack=1)
    m.expect_state(State.CLOSING)
    m.arrives("ACK", seq=2, ack=5)
    assert (m.state, m.snd_una) == (State.CLOSING, 5)
    m.arrives("ACK", seq=2, ack=6)
    m.expect_state(State.TIME_WAIT)


@BOTH
def test_text_is_ignored(state: State) -> None:
    m = Machine.in_state(state)
    m.arrives("ACK", seq=2, ack=1, data=b"text")
    assert all((segment.flags, segment.ack) == ("ACK", 2) for segment in m.sent())
    assert m.rcv_nxt == 2
    assert m.receive() == b""
    m.stayed()


@BOTH
def test_repeated_fin_is_acknowledged_again(state: State) -> None:
    m = Machine.in_state(state)
    m.arrives("FIN,ACK", seq=1, ack=1)
    m.expect("ACK", seq=2, ack=2)
    m.nothing_sent()
    m.stayed()


def test_repeated_fin_that_acknowledges_ours_ends_closing_too() -> None:
    """RFC 9293 3.5.3 and A.2: the ACK field of a segment left of the window must not be lost, or CLOSING waits for ever."""
    m = Machine.in_state(State.CLOSING)
    m.arrives("FIN,ACK", seq=1, ack=2)
    m.sent()
    m.arrives("ACK", seq=2, ack=2)
    m.expect_state(State.TIME_WAIT)


@BOTH
def test_fin_is_sent_again_with_doubling_intervals(state: State) -> None:
    m = Machine.in_state(state)
    start = m.now
    for due in (1, 3, 7, 15):
        sent = m.next_sent(within=10_000)
        assert (sent.flags, sent.seq, sent.ack) == ("FIN,ACK", 1, 2)
        assert sent.time - start == due * SECOND
