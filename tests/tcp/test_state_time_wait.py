"""TIME-WAIT (RFC 9293 3.10.7.4, 3.6.1): the connection itself and the record that the host keeps in its place behave alike."""

import pytest

from tests.support.machine import LOCAL, REMOTE, Machine
from userstack.config import SECOND, StackConfig
from userstack.errors import BrokenPipe, CallerError, NotConnected
from userstack.tcp.state import State

BOTH = pytest.mark.parametrize("record", [False, True], ids=["connection", "record"])


@pytest.mark.requirement("MUST-13")
@BOTH
def test_repeated_fin_is_acknowledged_again_and_restarts_the_wait(record: bool) -> None:
    m = Machine.in_state(State.TIME_WAIT, record=record)
    for _ in range(3):
        m.wait(59_000)
        m.arrives("FIN,ACK", seq=1, ack=2)
        m.expect("ACK", seq=2, ack=2)
        m.nothing_sent()
    m.stayed()
    assert m.subject.next_deadline() == m.now + 60 * SECOND
    m.wait(59_999)
    m.stayed()
    m.wait(1)
    m.expect_state(State.CLOSED)


@BOTH
def test_repeated_fin_with_text_is_acknowledged_again(record: bool) -> None:
    m = Machine.in_state(State.FIN_WAIT_2)
    m.arrives("FIN,ACK", seq=1, ack=2, data=b"bye")
    m.expect("ACK", seq=2, ack=5)
    if record:
        m.compact()
    m.wait(30_000)
    m.arrives("FIN,ACK", seq=1, ack=2, data=b"bye")
    m.expect("ACK", seq=2, ack=5)
    m.nothing_sent()
    assert m.subject.next_deadline() == m.now + 60 * SECOND


@BOTH
def test_text_is_ignored(record: bool) -> None:
    m = Machine.in_state(State.TIME_WAIT, record=record)
    m.deliver(m.segment("ACK", seq=2, data=b"text"))
    m.pull()
    assert all((segment.flags, segment.seq, segment.ack) == ("ACK", 2, 2) for segment in m.sent())
    m.stayed()


@BOTH
def test_unacceptable_segment_does_not_restart_the_wait(record: bool) -> None:
    """An ACK from the blue must not keep the record alive: only a repeated FIN restarts 2 MSL."""
    m = Machine.in_state(State.TIME_WAIT, record=record)
    deadline = m.subject.next_deadline()
    m.wait(10_000)
    m.arrives("ACK", seq=-1000, ack=2)
    m.sent()
    assert m.subject.next_deadline() == deadline


@BOTH
def test_two_records_do_not_answer_each_other_for_ever(record: bool) -> None:
    """After a simultaneous close both ends wait; a pure ACK at RCV.NXT must not be answered with another."""
    m = Machine.in_state(State.TIME_WAIT, record=record)
    m.arrives("ACK", seq=2, ack=2)
    m.nothing_sent()
    m.stayed()


@BOTH
def test_rst_is_ignored_after_rfc_1337(record: bool) -> None:
    m = Machine.in_state(State.TIME_WAIT, record=record, config=StackConfig(rfc1337=True))
    m.arrives("RST", seq=2)
    m.nothing_sent()
    m.stayed()
    m.wait(60_000)
    m.expect_state(State.CLOSED)


def test_calls_find_the_connection_closing() -> None:
    m = Machine.in_state(State.TIME_WAIT)
    with pytest.raises(BrokenPipe):
        m.send(b"x")
    assert m.receive() == b""
    try:
        m.close()
    except CallerError:
        m.pull()
    m.nothing_sent()
    m.stayed()


def test_record_names_both_sockets_and_the_state() -> None:
    m = Machine.in_state(State.TIME_WAIT, record=True)
    assert (m.subject.local, m.subject.remote, m.subject.state) == (LOCAL, REMOTE, State.TIME_WAIT)
    assert m.subject.poll_transmit(now=m.now) is None


def test_record_made_later_does_not_wait_longer() -> None:
    m = Machine.in_state(State.TIME_WAIT)
    deadline = m.subject.next_deadline()
    m.wait(5_000)
    m.compact()
    assert m.subject.next_deadline() == deadline
    m.wait(55_000)
    m.expect_state(State.CLOSED)


def test_calls_after_the_wait_find_no_connection() -> None:
    m = Machine.in_state(State.TIME_WAIT)
    m.wait(60_000)
    m.expect_state(State.CLOSED)
    with pytest.raises(NotConnected):
        m.connection.abort(now=m.now)
    m.connection.user_timeout_expired(now=m.now)
    m.connection.on_deadline(now=m.now)
    m.connection.release(now=m.now)
    assert m.receive() == b""
    assert m.error is None
    assert [step.new for step in m.transitions] == [State.CLOSED]


@BOTH
@pytest.mark.parametrize("flags", ["RST", "FIN,ACK", "SYN", "ACK"])
def test_segments_after_the_wait_wake_nothing(record: bool, flags: str) -> None:
    m = Machine.in_state(State.TIME_WAIT, record=record)
    m.wait(60_000)
    m.deliver(m.segment(flags))
    m.wait(600_000)
    m.expect_state(State.CLOSED)
    assert m.subject.next_deadline() is None
    assert [step.new for step in m.transitions] == [State.CLOSED]


@BOTH
def test_unread_data_outlives_the_wait(record: bool) -> None:
    m = Machine.in_state(State.FIN_WAIT_2)
    m.arrives("FIN,ACK", seq=1, ack=2, data=b"bye")
    if record:
        m.compact()
    m.wait(60_000)
    assert m.receive() == b"bye"
    assert m.receive() == b""
