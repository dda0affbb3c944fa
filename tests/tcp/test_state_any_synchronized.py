"""What RFC 9293 3.10.7.4 says of every state from SYN-RECEIVED on alike: the ``stay`` rows of steps 1 to 5, RFC 5961 included."""

import pytest

from tests.support.machine import Machine
from userstack.config import StackConfig
from userstack.tcp.state import State

OTHER = [
    State.SYN_RECEIVED,
    State.ESTABLISHED,
    State.FIN_WAIT_1,
    State.FIN_WAIT_2,
    State.CLOSE_WAIT,
    State.CLOSING,
    State.LAST_ACK,
    State.TIME_WAIT,
]
START = [pytest.param(state, False, id=state) for state in OTHER] + [pytest.param(State.TIME_WAIT, True, id="TIME-WAIT record")]
SYNCHRONIZED = START[1:]


def answers_with_ack(m: Machine) -> None:
    """<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>, and nothing else has happened."""
    m.expect("ACK", seq=m.sent_nxt, ack=m.peer_nxt)
    m.nothing_sent()
    m.stayed()


# --- first: the sequence number ---


@pytest.mark.parametrize(("state", "record"), START)
@pytest.mark.parametrize(("offset", "data"), [(-10, b"old"), (-10, b""), (70_000, b"far"), (65_535, b""), (-5_000, b"x" * 1460)])
def test_unacceptable_seq_is_answered_with_an_ack(state: State, record: bool, offset: int, data: bytes) -> None:
    m = Machine.in_state(state, record=record)
    m.arrives("ACK", seq=m.peer_nxt + offset, ack=0 if state is State.SYN_RECEIVED else 1, data=data)
    answers_with_ack(m)


@pytest.mark.parametrize(("state", "record"), START)
@pytest.mark.parametrize("offset", [-1, 65_535, 1 << 20, -(1 << 20)])
def test_rst_outside_the_window_is_dropped_silently(state: State, record: bool, offset: int) -> None:
    m = Machine.in_state(state, record=record)
    m.arrives("RST", seq=m.peer_nxt + offset)
    m.nothing_sent()
    m.stayed()


# --- second: RST ---


@pytest.mark.parametrize(("state", "record"), START)
@pytest.mark.parametrize("offset", [1, 100, 60_000])
def test_rst_in_window_but_not_at_rcv_nxt_is_challenged(state: State, record: bool, offset: int) -> None:
    m = Machine.in_state(state, record=record)
    m.arrives("RST", seq=m.peer_nxt + offset)
    answers_with_ack(m)


@pytest.mark.requirement("SHLD-2")
@pytest.mark.parametrize(("state", "record"), START)
def test_rst_may_carry_data(state: State, record: bool) -> None:
    m = Machine.in_state(state, record=record)
    m.arrives("RST,ACK", seq=m.peer_nxt, data=b"out of paper")
    m.nothing_sent()
    m.expect_state(State.CLOSED)


# --- fourth: SYN ---


@pytest.mark.parametrize(("state", "record"), SYNCHRONIZED)
@pytest.mark.parametrize("flags", ["SYN", "SYN,ACK"])
@pytest.mark.parametrize("offset", [-2, 0, -70_000])
def test_syn_is_challenged_whatever_its_seq(state: State, record: bool, flags: str, offset: int) -> None:
    m = Machine.in_state(state, record=record)
    m.arrives(flags, seq=m.peer_nxt + offset)
    answers_with_ack(m)


@pytest.mark.parametrize("state", [s for s in OTHER if s not in (State.SYN_RECEIVED, State.TIME_WAIT)])
@pytest.mark.parametrize("offset", [1, 5_000, 70_000, 1 << 30])
def test_syn_above_rcv_nxt_is_challenged_too(state: State, offset: int) -> None:
    m = Machine.in_state(state)
    m.arrives("SYN", seq=m.peer_nxt + offset)
    answers_with_ack(m)


def test_syn_in_syn_received_is_challenged_after_an_active_open() -> None:
    m = Machine.in_state(State.SYN_RECEIVED)
    m.arrives("SYN", seq=5)
    answers_with_ack(m)


# --- fifth: ACK ---


@pytest.mark.parametrize(("state", "record"), START)
def test_segment_without_ack_is_dropped(state: State, record: bool) -> None:
    m = Machine.in_state(state, record=record)
    m.arrives("FIN", seq=m.peer_nxt, data=b"no ack")
    m.peer_nxt -= 7
    m.nothing_sent()
    m.stayed()
    m.arrives("", seq=m.peer_nxt)
    m.nothing_sent()
    m.stayed()


@pytest.mark.parametrize(("state", "record"), SYNCHRONIZED)
@pytest.mark.parametrize("beyond", [1, 1000, 1 << 30])
def test_ack_of_what_was_never_sent_is_answered_and_dropped(state: State, record: bool, beyond: int) -> None:
    m = Machine.in_state(state, record=record)
    segment = m.segment("ACK", ack=m.sent_nxt + beyond, data=b"injected")
    m.subject.on_segment(segment, now=m.now)
    m.pull()
    answers_with_ack(m)


@pytest.mark.requirement("MAY-12")
@pytest.mark.parametrize(("state", "record"), SYNCHRONIZED)
def test_ack_too_old_is_answered_and_dropped(state: State, record: bool) -> None:
    m = Machine.in_state(state, record=record)
    segment = m.segment("ACK", ack=-70_000, data=b"injected")
    m.subject.on_segment(segment, now=m.now)
    m.pull()
    answers_with_ack(m)


@pytest.mark.parametrize("passive", [True, False], ids=["passive", "active"])
@pytest.mark.parametrize("ack", [0, -5, 2, 1000])
def test_bad_ack_in_syn_received_is_answered_with_a_reset_or_an_ack(passive: bool, ack: int) -> None:
    m = Machine.in_state(State.SYN_RECEIVED, passive=passive)
    m.arrives("ACK", seq=1, ack=ack)
    sent = m.sent()
    # Note: step 5 asks for <SEQ=SEG.ACK><CTL=RST>, RFC 5961 section 5 for an ACK where SEG.ACK is outside its range.
    reset, answer = ("RST", ack, None), ("ACK", 1, 1)
    assert [(segment.flags, segment.seq, segment.ack) for segment in sent] in ([reset], [answer] if ack > 1 else [reset])
    m.stayed()


# --- the closed window: MUST-66 ---


@pytest.mark.requirement("MUST-66")
def test_rst_is_taken_at_a_zero_window() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(receive_buffer=2000), mss=1000)
    m.arrives("ACK", data=b"x" * 2000)
    m.wait(500)
    assert m.sent()[-1].window == 0
    m.arrives("RST", seq=m.peer_nxt + 1)
    m.nothing_sent()
    m.stayed()
    m.arrives("RST", seq=m.peer_nxt)
    m.expect_state(State.CLOSED)


def test_ack_is_taken_at_a_zero_window() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(receive_buffer=2000), mss=1000)
    m.arrives("ACK", data=b"x" * 2000)
    m.send(b"answer")
    m.sent()
    m.arrives("ACK", ack=7)
    m.nothing_sent()
    assert m.snd_una == 7


def test_ack_on_a_probe_is_taken_at_a_zero_window() -> None:
    """RFC 9293 3.10.7.4 step 1: "special allowance should be made to accept valid ACKs" (A.2: both ends probe)."""
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(receive_buffer=2000), mss=1000)
    m.arrives("ACK", data=b"x" * 2000)
    m.send(b"answer")
    m.sent()
    m.deliver(m.segment("ACK", ack=7, data=b"p"))
    m.peer_nxt -= 1
    m.pull()
    m.expect("ACK", seq=7, ack=2001)
    assert m.snd_una == 7
    assert m.receive() == b"x" * 2000
