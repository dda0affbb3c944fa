"""What is sent again after the retransmission timeout, and what the counters say of it (RFC 9293 3.8.1, 3.10.8)."""

import pytest

from tests.support.machine import Machine
from userstack.config import StackConfig
from userstack.tcp.state import State


def test_only_the_front_of_the_queue_is_sent_again() -> None:
    """RFC 9293 3.10.8 and RFC 6298 (5.4): the earliest segment."""
    m = Machine.in_state(State.ESTABLISHED, mss=1000)
    m.send(bytes(range(250)) * 16)
    assert len(m.sent()) == 4
    again = m.next_sent(within=1_000)
    assert (again.seq, again.data) == (1, (bytes(range(250)) * 16)[:1000])
    m.nothing_sent()


def test_what_is_sent_again_carries_the_newest_ack_and_window() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"x")
    m.arrives("ACK", ack=1, data=b"hello")
    m.sent()
    again = m.next_sent(within=1_000)
    while not again.data:
        again = m.next_sent(within=1_000)
    assert (again.seq, again.ack, again.data) == (1, 6, b"x")


def test_small_segments_are_merged_when_sent_again() -> None:
    """RFC 9293 3.8.6: "may repackage segments on the retransmission queue": the octets are the same in any case."""
    m = Machine.in_state(State.ESTABLISHED)
    m.connection.nodelay = True
    for octet in (b"a", b"b", b"c"):
        m.send(octet)
    assert [segment.data for segment in m.sent()] == [b"a", b"b", b"c"]
    got = b""
    for _ in range(10):
        if m.snd_una == 4:
            break
        again = m.next_sent(within=20_000)
        assert again.seq == 1 + len(got)
        got += again.data
        m.arrives("ACK", ack=1 + len(got))
        for segment in m.sent():
            got += segment.data
            m.arrives("ACK", ack=1 + len(got))
    assert got == b"abc"


def test_counts() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"12345")
    m.wait(3_100)
    info = m.connection.info()
    assert info.retransmits == 2
    assert info.bytes_sent - info.bytes_retrans == 5 or info.bytes_sent == 5
    assert info.bytes_retrans == 10
    assert m.counters["TcpRetransSegs"] == 2
    m.arrives("ACK", ack=6)
    info = m.connection.info()
    assert (info.unacked, info.unsent, info.bytes_acked) == (0, 0, 5)
    m.arrives("ACK", data=b"12345678")
    assert m.connection.info().bytes_received == 8
    assert m.connection.info().unread == 8
    assert m.connection.info().segs_in == 3
    assert m.connection.info().segs_out == len(m.log)


def test_timer_is_named() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    assert m.connection.info().timer_expires is None
    m.send(b"x")
    info = m.connection.info()
    assert info.timer
    assert info.timer_expires == m.connection.next_deadline()


@pytest.mark.parametrize("lost", [{0}, {1}, {2}, {3}, {0, 2}, {1, 3}, {0, 1, 2, 3}], ids=str)
def test_what_was_lost_is_repaired(lost: set[int]) -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=1000, config=StackConfig(initial_window=4))
    data = bytes(range(200)) * 20
    m.send(data)
    arrived: dict[int, int] = {}
    for index, segment in enumerate(m.sent()):
        if index not in lost:
            arrived |= dict(enumerate(segment.data, segment.seq))
    for _ in range(40):
        edge = next(seq for seq in range(1, 4002) if seq not in arrived)
        m.arrives("ACK", ack=edge)
        if edge == 4001:
            break
        m.wait(1_000)
        for segment in m.sent():
            arrived |= dict(enumerate(segment.data, segment.seq))
    assert bytes(arrived[seq] for seq in sorted(arrived)) == data
    assert m.snd_una == 4001


# --- the answer comes after the deadline, but before the device could take what the deadline wants to send ---


@pytest.mark.parametrize("passive", [True, False], ids=["passive", "active"])
def test_syn_ack_that_is_due_again_is_not_sent_once_it_is_acknowledged(passive: bool) -> None:
    m = Machine.in_state(State.SYN_RECEIVED, passive=passive)
    m.fire()
    m.arrives("ACK", seq=1, ack=1)
    m.expect_state(State.ESTABLISHED)
    m.nothing_sent()
    m.wait(3_600_000)
    m.expect_state(State.ESTABLISHED)
    m.nothing_sent()


def test_syn_that_is_due_again_is_not_sent_once_it_is_answered() -> None:
    m = Machine.in_state(State.SYN_SENT)
    m.fire()
    m.arrives("SYN,ACK", seq=0, ack=1, options=m.syn_options())
    m.expect("ACK", seq=1, ack=1)
    m.nothing_sent()
    m.wait(3_600_000)
    m.expect_state(State.ESTABLISHED)
    m.nothing_sent()


@pytest.mark.parametrize("state", [State.ESTABLISHED, State.FIN_WAIT_1, State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK])
def test_data_or_fin_that_is_due_again_is_not_sent_once_it_is_acknowledged(state: State) -> None:
    m = Machine.in_state(state)
    if state in (State.ESTABLISHED, State.CLOSE_WAIT):
        m.send(b"data")
        m.sent()
    m.fire()
    m.arrives("ACK")
    m.nothing_sent()
    m.wait(50_000)
    m.nothing_sent()
    assert m.error is None


def test_probe_that_is_due_is_not_sent_once_the_window_is_open() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", window=0)
    m.send(b"0123456789")
    m.fire()
    m.arrives("ACK", window=1_000)
    m.expect("ACK", seq=1, data=b"0123456789")
    m.nothing_sent()
    m.arrives("ACK")
    m.wait(3_600_000)
    m.nothing_sent()


def test_ack_that_is_due_is_not_sent_after_a_reset() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", data=b"text")
    m.fire()
    m.arrives("RST")
    m.nothing_sent()


@pytest.mark.parametrize("state", [State.SYN_SENT, State.SYN_RECEIVED, State.FIN_WAIT_1, State.LAST_ACK])
def test_nothing_that_is_due_is_sent_after_an_abort(state: State) -> None:
    m = Machine.in_state(state)
    m.fire()
    m.abort()
    assert [segment.flags for segment in m.sent()] in ([], ["RST"])
    m.wait(600_000)
    m.nothing_sent()


@pytest.mark.parametrize("state", [State.SYN_SENT, State.SYN_RECEIVED, State.ESTABLISHED, State.FIN_WAIT_1, State.LAST_ACK])
def test_device_that_is_full_for_long_makes_no_storm(state: State) -> None:
    """Ten deadlines come while nothing can be sent: afterwards each segment is sent again once."""
    m = Machine.in_state(state)
    if state is State.ESTABLISHED:
        m.send(b"data")
        m.sent()
    for _ in range(5):
        m.fire()
    m.pull()
    assert len(m.sent()) == 1
