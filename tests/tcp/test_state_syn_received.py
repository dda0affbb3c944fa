"""SYN-RECEIVED (RFC 9293 3.10.7.4 and the calls): what does not move the connection, and what it keeps for ESTABLISHED."""

import pytest

from tests.support.machine import Machine
from userstack.config import SECOND, StackConfig
from userstack.tcp.state import State

BOTH = pytest.mark.parametrize("passive", [True, False], ids=["passive", "active"])


@BOTH
def test_repeated_syn_is_answered(passive: bool) -> None:
    """The peer's SYN came again because our answer was lost: it is left of the window, so step 1 answers it."""
    m = Machine.in_state(State.SYN_RECEIVED, passive=passive)
    m.arrives("SYN", seq=0, options=m.syn_options())
    answer = m.sent()[0]
    assert (answer.flags, answer.seq, answer.ack) in (("ACK", 1, 1), ("SYN,ACK", 0, 1))
    m.stayed()
    m.arrives("ACK", seq=1, ack=1)
    m.expect_state(State.ESTABLISHED)


@BOTH
def test_syn_ack_is_sent_again(passive: bool) -> None:
    m = Machine.in_state(State.SYN_RECEIVED, passive=passive)
    for due in (1, 3, 7):
        sent = m.next_sent(within=10_000)
        assert (sent.flags, sent.seq, sent.ack, sent.mss) == ("SYN,ACK", 0, 1, 1460)
        assert sent.time == due * SECOND


@BOTH
def test_text_with_the_ack_of_our_syn_is_delivered(passive: bool) -> None:
    m = Machine.in_state(State.SYN_RECEIVED, passive=passive)
    m.arrives("ACK", seq=1, ack=1, data=b"at once")
    m.expect_state(State.ESTABLISHED)
    assert m.receive() == b"at once"


def test_text_before_the_ack_of_our_syn_is_kept_or_asked_for_again() -> None:
    m = Machine.in_state(State.SYN_RECEIVED, passive=True)
    m.arrives("ACK", seq=6, ack=1, data=b"world")
    m.arrives("ACK", seq=1, ack=1, data=b"hello")
    assert m.receive() == b"helloworld"


@BOTH
def test_close_with_data_pending_waits(passive: bool) -> None:
    m = Machine.in_state(State.SYN_RECEIVED, passive=passive)
    m.send(b"pending")
    m.close()
    m.nothing_sent()
    m.stayed()


def test_receive_waits() -> None:
    m = Machine.in_state(State.SYN_RECEIVED, passive=True)
    with pytest.raises(BlockingIOError):
        m.receive()


def test_send_is_queued_and_bounded() -> None:
    m = Machine.in_state(State.SYN_RECEIVED, passive=True, config=StackConfig(send_buffer=1000))
    assert m.send(b"x" * 1500) == 1000
    with pytest.raises(BlockingIOError):
        m.send(b"y")
    m.nothing_sent()
    m.arrives("ACK", seq=1, ack=1)
    assert b"".join(segment.data for segment in m.sent()) == b"x" * 1000


def test_fin_lost_with_its_ack_establishes_on_any_later_segment() -> None:
    """The ACK of the handshake was lost; the first data segment, which carries it too, does its work."""
    m = Machine.in_state(State.SYN_RECEIVED, passive=True)
    m.arrives("FIN,ACK", seq=1, ack=1, data=b"bye")
    m.expect_state(State.CLOSE_WAIT)
    assert m.receive() == b"bye"
    assert m.receive() == b""


@BOTH
@pytest.mark.parametrize("heard", ["nothing", "SYN,ACK", "FIN"])
def test_close_in_syn_received_is_repaired_whatever_was_lost(passive: bool, heard: str) -> None:
    """FIN-WAIT-1 with the SYN not yet acknowledged: SYN,ACK and FIN are both outstanding."""
    m = Machine.in_state(State.SYN_RECEIVED, passive=passive)
    m.close()
    m.sent()
    if heard == "SYN,ACK":
        m.arrives("ACK", seq=1, ack=1)
    for _ in range(8):
        if m.state is State.FIN_WAIT_2:
            break
        again = m.next_sent(within=20_000)
        m.arrives("ACK", seq=1, ack=1 if again.flags == "SYN,ACK" and heard != "FIN" else 2)
        m.sent()
    m.expect_state(State.FIN_WAIT_2)
    assert m.snd_una == 2
    m.wait(60_000)
    m.nothing_sent()


def test_syn_with_fin_closes_after_the_handshake() -> None:
    """RFC 9293 3.10.7.2: "any other incoming control ... will be processed in the SYN-RECEIVED state"."""
    m = Machine.in_state(State.LISTEN)
    m.arrives("SYN,FIN", seq=0, data=b"all", options=m.syn_options())
    m.expect_state(State.SYN_RECEIVED)
    m.sent()
    m.arrives("FIN,ACK", seq=1, ack=1, data=b"all")
    m.expect_state(State.CLOSE_WAIT)
    assert m.sent()[-1].ack == 5
    assert m.receive() == b"all"
    assert m.receive() == b""


def test_data_queued_before_a_simultaneous_open_goes_out_after_it() -> None:
    m = Machine.in_state(State.SYN_SENT)
    m.send(b"queued")
    m.arrives("SYN", seq=0, options=m.syn_options())
    m.expect("SYN,ACK", seq=0, ack=1)
    m.nothing_sent()
    m.arrives("SYN,ACK", seq=0, ack=1, options=m.syn_options())
    assert b"".join(segment.data for segment in m.sent()) == b"queued"


def test_crossing_syn_ack_does_not_take_a_reset_for_data() -> None:
    m = Machine.in_state(State.SYN_RECEIVED)
    m.arrives("SYN,ACK", seq=0, ack=2)
    m.expect_state(State.SYN_RECEIVED)
