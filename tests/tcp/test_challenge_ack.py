"""Challenge ACKs are limited (RFC 5961 section 7; RFC 9293 3.10.7.4 step 2)."""

import pytest

from tests.support.machine import Machine
from userstack.config import MILLISECOND, StackConfig
from userstack.tcp.state import State

FEW = StackConfig(challenge_ack_limit=3)


@pytest.mark.parametrize(("flags", "offset"), [("RST", 10), ("SYN", 10), ("SYN", -10)])
def test_no_more_than_the_limit_in_a_second(flags: str, offset: int) -> None:
    m = Machine.in_state(State.ESTABLISHED, config=FEW)
    for _ in range(20):
        m.arrives(flags, seq=m.peer_nxt + offset)
        m.wait(1)
    assert 1 <= len(m.sent()) <= 3
    m.stayed()


def test_next_second_has_its_own_share() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=FEW)
    for _ in range(20):
        m.arrives("RST", seq=11)
    m.sent()
    m.wait(1_001)
    m.arrives("RST", seq=11)
    m.expect("ACK", seq=1, ack=1)


def test_each_challenge_is_counted() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=FEW)
    for _ in range(20):
        m.arrives("RST", seq=11)
    assert m.counters["TcpExtTCPChallengeACK"] == len(m.sent())


def test_ordinary_acks_are_not_limited() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=FEW)
    for _ in range(10):
        m.arrives("ACK", seq=11, data=b"out of order")
    assert len(m.sent()) == 10


def test_real_reset_after_the_challenge() -> None:
    """RFC 5961 3.2: the peer that has no connection answers the challenge with a RST whose SEQ is our ACK."""
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("RST", seq=100)
    challenge = m.sent()[0]
    assert challenge.ack is not None
    m.arrives("RST", seq=challenge.ack)
    m.expect_state(State.CLOSED)


def test_restarted_peer_is_recognised() -> None:
    """RFC 9293 3.5.1 Figure 9: the peer crashed and opens anew; our answer makes it reset us."""
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"data")
    m.sent()
    m.arrives("SYN", seq=-100_000)
    challenge = m.expect("ACK", seq=5, ack=1)
    assert challenge.ack is not None
    m.arrives("RST", seq=challenge.ack)
    m.expect_state(State.CLOSED)


@pytest.mark.parametrize("record", [False, True], ids=["connection", "record"])
def test_limit_holds_in_time_wait(record: bool) -> None:
    m = Machine.in_state(State.TIME_WAIT, config=FEW, record=record)
    for _ in range(20):
        m.arrives("RST", seq=m.peer_nxt + 10)
        m.wait(1)
    assert 1 <= len(m.sent()) <= 3


# --- one connection's own limit (Linux tcp_invalid_ratelimit) ---

SELDOM = StackConfig(invalid_ratelimit=500 * MILLISECOND)


@pytest.mark.parametrize("state", [State.SYN_RECEIVED, State.ESTABLISHED, State.LAST_ACK, State.TIME_WAIT])
@pytest.mark.parametrize(("flags", "offset"), [("RST", 10), ("SYN", -10), ("ACK", -10)])
def test_one_connection_answers_once_in_its_time(state: State, flags: str, offset: int) -> None:
    """So whoever has one connection cannot use up the share of all others, or measure it."""
    m = Machine.in_state(state, config=SELDOM)
    ack = 1 if state is State.SYN_RECEIVED else 2
    for _ in range(499):
        m.arrives(flags, seq=m.peer_nxt + offset, ack=ack) if "ACK" in flags else m.arrives(flags, seq=m.peer_nxt + offset)
        m.wait(1)
    assert len(m.sent()) == 1
    m.wait(2)
    m.arrives("RST", seq=m.peer_nxt + 10)
    assert len(m.sent()) == 1


def test_text_is_answered_all_the_same() -> None:
    """It is no part of two ends' answering each other for ever, and who has lost an ACK needs it."""
    m = Machine.in_state(State.TIME_WAIT, config=SELDOM)
    for _ in range(3):
        m.arrives("ACK", seq=0, ack=2, data=b"old")
    assert len(m.sent()) == 3


@pytest.mark.parametrize("state", [State.ESTABLISHED, State.TIME_WAIT])
def test_what_was_skipped_is_counted(state: State) -> None:
    m = Machine.in_state(state, config=SELDOM)
    for _ in range(5):
        m.arrives("RST", seq=m.peer_nxt + 10)
    # As in Linux: the ACKs of TIME-WAIT are limited, but no challenge ACKs by name.
    challenges, name = (0, "TcpExtTCPACKSkippedTimeWait") if state is State.TIME_WAIT else (1, "TcpExtTCPACKSkippedChallenge")
    assert (m.counters["TcpExtTCPChallengeACK"], m.counters[name]) == (challenges, 4)
    assert len(m.sent()) == 1


# --- RFC 5961, section by section ---


@pytest.mark.parametrize("state", [State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSE_WAIT, State.LAST_ACK])
def test_a_rst_is_believed_at_rcv_nxt_challenged_in_the_window_and_dropped_outside(state: State) -> None:
    """3.2."""
    for offset, answers, closes in [(0, 0, True), (1, 1, False), (1000, 1, False), (-1, 0, False), (1 << 30, 0, False)]:
        m = Machine.in_state(state)
        m.sent()
        m.arrives("RST", seq=m.peer_nxt + offset)
        assert len(m.sent()) == answers
        assert (m.state is State.CLOSED) is closes


@pytest.mark.parametrize("state", [State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSE_WAIT, State.LAST_ACK])
@pytest.mark.parametrize("offset", [0, 1, -1, 1000, 1 << 30, -(1 << 30)])
def test_a_syn_is_challenged_irrespective_of_its_sequence_number(state: State, offset: int) -> None:
    """4.2."""
    m = Machine.in_state(state)
    m.sent()
    m.arrives("SYN", seq=m.peer_nxt + offset)
    (answer,) = m.sent()
    assert (answer.flags, answer.ack) == ("ACK", m.peer_nxt)
    m.stayed()


@pytest.mark.requirement("MAY-12")
@pytest.mark.parametrize(("ack", "taken"), [(1, True), (1 - 65535, True), (1 - 65536, False), (2, False), (1 << 30, False)])
def test_text_counts_only_with_an_ack_that_is_in_range(ack: int, taken: bool) -> None:
    """5.2: SND.UNA - MAX.SND.WND =< SEG.ACK =< SND.NXT; else it is discarded and an ACK sent back."""
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", seq=1, ack=ack, data=b"text")
    assert (m.counters["TcpExtTCPChallengeACK"] == 0) is taken
    if taken:
        assert m.receive() == b"text"
    else:
        m.expect("ACK", seq=1, ack=1)
        with pytest.raises(BlockingIOError):
            m.receive()
