"""FIN-WAIT-1 and FIN-WAIT-2 (RFC 9293 3.10.7.4 and the calls): the half that is still open goes on."""

import pytest

from tests.support.machine import Machine
from userstack.config import SECOND, StackConfig
from userstack.errors import BrokenPipe, CallerError
from userstack.tcp.state import State

BOTH = pytest.mark.parametrize("state", [State.FIN_WAIT_1, State.FIN_WAIT_2])


@BOTH
def test_send_is_refused(state: State) -> None:
    m = Machine.in_state(state)
    with pytest.raises(BrokenPipe):
        m.send(b"after the FIN")
    m.nothing_sent()
    m.stayed()


@BOTH
def test_second_close_sends_no_second_fin(state: State) -> None:
    """RFC 9293 3.10.4: an error or "ok" are both right."""
    m = Machine.in_state(state)
    try:
        m.close()
    except CallerError:
        m.pull()
    m.nothing_sent()
    m.stayed()


@BOTH
def test_text_is_delivered_and_acknowledged(state: State) -> None:
    m = Machine.in_state(state)
    with pytest.raises(BlockingIOError):
        m.receive()
    m.arrives("ACK", ack=1 if state is State.FIN_WAIT_1 else 2, data=b"still coming")
    m.wait(499)
    assert m.sent()[-1].ack == 13
    assert m.receive() == b"still coming"
    m.stayed()


@BOTH
def test_text_out_of_order_and_a_fin_beyond_the_hole(state: State) -> None:
    m = Machine.in_state(state)
    ack = 1 if state is State.FIN_WAIT_1 else 2
    m.arrives("FIN,ACK", seq=6, ack=ack, data=b"world")
    m.expect("ACK", seq=2, ack=1)
    m.stayed()
    m.arrives("ACK", seq=1, ack=ack, data=b"hello")
    assert m.sent()[-1].ack == 12
    m.expect_state(State.CLOSING if state is State.FIN_WAIT_1 else State.TIME_WAIT)
    assert m.receive() == b"helloworld"
    assert m.receive() == b""


def test_text_in_the_segment_that_acknowledges_our_fin() -> None:
    m = Machine.in_state(State.FIN_WAIT_1)
    m.arrives("ACK", ack=2, data=b"and")
    m.expect_state(State.FIN_WAIT_2)
    assert m.receive() == b"and"


def test_text_and_fin_in_the_segment_that_acknowledges_our_fin() -> None:
    m = Machine.in_state(State.FIN_WAIT_1)
    m.arrives("FIN,ACK", ack=2, data=b"the end")
    m.expect_state(State.TIME_WAIT)
    assert m.sent()[-1].ack == 9
    assert m.receive() == b"the end"
    assert m.receive() == b""


def test_ack_of_the_data_but_not_of_the_fin() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"data")
    m.close()
    assert m.sent()[-1].end == 6
    m.arrives("ACK", ack=5)
    m.expect_state(State.FIN_WAIT_1)
    m.arrives("ACK", ack=6)
    m.expect_state(State.FIN_WAIT_2)


def test_fin_is_sent_again_with_doubling_intervals() -> None:
    m = Machine.in_state(State.FIN_WAIT_1)
    for gap in (1, 2, 4, 8):
        sent = m.next_sent(within=10_000)
        assert (sent.flags, sent.seq, sent.ack) == ("FIN,ACK", 1, 1)
        assert sent.time - m.log[-2].time == gap * SECOND


def test_data_and_fin_both_lost_are_both_sent_again() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"data")
    m.close()
    m.sent()
    m.wait(1_000)
    m.arrives("ACK", ack=m.sent()[-1].end)
    m.wait(4_000)
    m.arrives("ACK", ack=6)
    m.expect_state(State.FIN_WAIT_2)


def test_half_closed_connection_receives_for_an_hour() -> None:
    """RFC 9293 3.6.1: after CLOSE (shutdown) the other direction stays open as long as the peer likes."""
    m = Machine.in_state(State.FIN_WAIT_2)
    for minute in range(60):
        m.wait(60_000)
        m.arrives("ACK", data=f"minute {minute};".encode())
        assert m.receive() == f"minute {minute};".encode()
    m.stayed()


def test_released_connection_does_not_wait_for_ever_in_fin_wait_2() -> None:
    """Note: RFC 9293 knows no such limit; Linux's tcp_fin_timeout, because nobody is left to read."""
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(fin_timeout=20 * SECOND, msl=1 * SECOND))
    m.release()
    m.sent()
    m.arrives("ACK", ack=2)
    m.expect_state(State.FIN_WAIT_2)
    m.wait(19_990)
    m.expect_state(State.FIN_WAIT_2)
    m.wait(2_100)
    m.expect_state(State.CLOSED)


def test_released_connection_still_closes_in_good_order() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.release()
    m.expect("FIN,ACK", seq=1, ack=1)
    m.arrives("ACK", ack=2)
    m.arrives("FIN,ACK", ack=2)
    m.expect("ACK", seq=2, ack=2)
    m.expect_state(State.TIME_WAIT)
