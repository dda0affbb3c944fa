"""Challenge ACKs are limited (RFC 5961 section 7; RFC 9293 3.10.7.4 step 2)."""

import pytest

from tests.support.machine import Machine
from userstack.config import StackConfig
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
