"""SYN-SENT (RFC 9293 3.10.7.3 and the calls): what does not move the connection."""

import pytest

from tests.support.machine import REMOTE, Machine
from userstack.config import StackConfig
from userstack.errors import AlreadyConnected
from userstack.tcp.state import State


@pytest.mark.parametrize("flags", ["ACK", "SYN,ACK", "FIN,ACK", "SYN,FIN,ACK"])
@pytest.mark.parametrize("ack", [0, 2, -1, 1 << 30])
def test_unacceptable_ack_is_answered_with_a_reset(flags: str, ack: int) -> None:
    """Step 1: SEG.ACK =< ISS or SEG.ACK > SND.NXT; note that SEG.ACK = ISS is unacceptable too."""
    m = Machine.in_state(State.SYN_SENT)
    m.arrives(flags, seq=0, ack=ack)
    m.expect("RST", seq=ack)
    m.nothing_sent()
    m.stayed()


@pytest.mark.parametrize("ack", [0, 2, -1])
def test_rst_with_an_unacceptable_ack_is_dropped(ack: int) -> None:
    m = Machine.in_state(State.SYN_SENT, irs=0)
    m.arrives("RST,ACK", seq=0, ack=ack)
    m.nothing_sent()
    m.stayed()


@pytest.mark.parametrize("flags", ["RST", "RST,SYN"])
def test_rst_without_ack_is_dropped(flags: str) -> None:
    m = Machine.in_state(State.SYN_SENT, irs=0)
    m.arrives(flags, seq=0)
    m.nothing_sent()
    m.stayed()


@pytest.mark.parametrize("flags", ["ACK", "", "FIN", "FIN,ACK", "PSH,ACK"])
def test_segment_without_syn_is_dropped(flags: str) -> None:
    m = Machine.in_state(State.SYN_SENT)
    m.arrives(flags, seq=0, ack=1, data=b"text")
    m.nothing_sent()
    m.stayed()
    m.peer_nxt = 0
    m.arrives("SYN,ACK", seq=0, ack=1)
    m.expect_state(State.ESTABLISHED)
    with pytest.raises(BlockingIOError):
        m.receive()


def test_send_is_queued() -> None:
    m = Machine.in_state(State.SYN_SENT)
    assert m.send(b"queued") == 6
    m.nothing_sent()
    m.arrives("SYN,ACK", seq=0, ack=1)
    assert b"".join(segment.data for segment in m.sent()) == b"queued"


def test_queue_is_bounded() -> None:
    m = Machine.in_state(State.SYN_SENT, config=StackConfig(send_buffer=1000))
    assert m.send(b"x" * 5000) == 1000
    assert not m.writable()
    with pytest.raises(BlockingIOError):
        m.send(b"y")


def test_receive_waits() -> None:
    m = Machine.in_state(State.SYN_SENT)
    with pytest.raises(BlockingIOError):
        m.receive()


@pytest.mark.parametrize("state", [state for state in State if state not in (State.CLOSED, State.LISTEN)])
def test_open_finds_the_connection_taken(state: State) -> None:
    """RFC 9293 3.10.1, SYN-SENT to TIME-WAIT: "connection already exists"."""
    m = Machine.in_state(state)
    with pytest.raises(AlreadyConnected):
        m.connection.open_active(REMOTE, now=m.now)
    with pytest.raises(AlreadyConnected):
        m.connection.open_passive(now=m.now)
    m.pull()
    m.nothing_sent()
    m.stayed()


@pytest.mark.parametrize("state", [state for state in State if state is not State.CLOSED])
def test_status_names_the_state(state: State) -> None:
    info = Machine.in_state(state).connection.info()
    assert info.state is state
    assert info.local.port == 8080


def test_old_duplicate_of_figure_8_leaves_the_opener_to_the_real_answer() -> None:
    m = Machine.in_state(State.SYN_SENT)
    m.arrives("SYN,ACK", seq=0, ack=-9)
    m.expect("RST", seq=-9)
    m.irs += 100
    m.peer_nxt = 0
    m.arrives("SYN,ACK", seq=0, ack=1)
    m.expect("ACK", seq=1, ack=1)
    m.expect_state(State.ESTABLISHED)


def test_syn_is_sent_again_with_doubling_intervals() -> None:
    m = Machine.in_state(State.SYN_SENT)
    for due in (1, 3, 7, 15):
        sent = m.next_sent(within=10_000)
        assert (sent.flags, sent.seq, sent.mss) == ("SYN", 0, 1460)
        assert sent.time == due * 1_000_000_000
