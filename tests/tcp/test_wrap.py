"""Sequence numbers wrap at 2**32 (RFC 9293 3.4): in the handshake, in data, in FINs, in holes and resets."""

import pytest

from tests.support.machine import Machine
from userstack.config import StackConfig
from userstack.tcp.state import State

NEAR = [0, 1, 2**31 - 2, 2**31 - 1, 2**31, 2**32 - 2000, 2**32 - 1461, 2**32 - 10, 2**32 - 2, 2**32 - 1]


@pytest.mark.parametrize("iss", NEAR)
@pytest.mark.parametrize("irs", [0, 2**31 - 1, 2**32 - 1, 2**32 - 10])
@pytest.mark.parametrize("passive", [False, True], ids=["active", "passive"])
def test_handshake_data_and_close(iss: int, irs: int, passive: bool) -> None:
    m = Machine.in_state(State.ESTABLISHED, iss=iss, irs=irs, passive=passive)
    data = bytes(range(256)) * 16
    m.send(data)
    got = b""
    while len(got) < len(data):
        sent = m.sent()
        assert sent[0].seq == 1 + len(got)
        got += b"".join(segment.data for segment in sent)
        m.arrives("ACK", data=b"0123456789")
    assert got == data
    m.arrives("FIN,ACK")
    assert m.receive() == b"0123456789" * ((m.peer_nxt - 2) // 10)
    m.close()
    assert m.sent()[-1].end == 4098
    m.arrives("ACK")
    m.expect_state(State.CLOSED)
    assert m.error is None


@pytest.mark.parametrize("irs", NEAR)
def test_hole_across_the_wrap(irs: int) -> None:
    m = Machine.in_state(State.ESTABLISHED, irs=irs)
    data = bytes(range(200)) * 20
    for start in range(3500, -1, -500):
        m.arrives("FIN,ACK" if start == 3500 else "ACK", seq=1 + start, data=data[start : start + 500])
    assert m.sent()[-1].ack == 4002
    assert m.receive() == data
    m.expect_state(State.CLOSE_WAIT)


@pytest.mark.parametrize("iss", NEAR)
def test_retransmission_across_the_wrap(iss: int) -> None:
    m = Machine.in_state(State.ESTABLISHED, iss=iss, mss=1000)
    m.send(b"a" * 1000 + b"b" * 1000 + b"c" * 1000)
    m.sent()
    m.arrives("ACK", ack=1001)
    again = m.next_sent(within=2_000)
    assert (again.seq, again.data) == (1001, b"b" * 1000)
    m.arrives("ACK", ack=3001)
    m.sent()
    m.wait(60_000)
    m.nothing_sent()
    assert m.snd_una == m.snd_nxt == 3001


@pytest.mark.parametrize("irs", NEAR)
def test_window_edges_across_the_wrap(irs: int) -> None:
    m = Machine.in_state(State.ESTABLISHED, irs=irs, config=StackConfig(receive_buffer=1000))
    for seq in (1001, 0, -1, 5000, -5000):
        m.arrives("RST", seq=seq)
        m.nothing_sent()
    for seq in (2, 1000):
        m.arrives("RST", seq=seq)
        m.expect("ACK", seq=1, ack=1)
    m.stayed()
    m.arrives("RST", seq=1)
    m.expect_state(State.CLOSED)


@pytest.mark.parametrize("iss", NEAR)
def test_bad_acks_across_the_wrap(iss: int) -> None:
    m = Machine.in_state(State.SYN_SENT, iss=iss)
    for ack in (0, 2, -1, 100):
        m.arrives("SYN,ACK", seq=0, ack=ack)
        m.expect("RST", seq=ack)
    m.arrives("SYN,ACK", seq=0, ack=1)
    m.expect("ACK", seq=1, ack=1)
    m.arrives("ACK", ack=2)
    m.expect("ACK", seq=1, ack=1)
    m.expect_state(State.ESTABLISHED)


def test_tcb_counts_on_beyond_the_wrap() -> None:
    """Inside there are plain integers: 13 MB from ISNs just below 2**32, in both directions."""
    m = Machine.in_state(State.ESTABLISHED, mss=65_495, mtu=65_535)
    piece = bytes(65_495)
    for _ in range(200):
        m.arrives("ACK", data=piece)
        assert m.receive() == piece
        m.send(piece)
    m.arrives("ACK")
    assert m.connection.tcb.rcv_nxt - m.connection.tcb.irs == 1 + 200 * 65_495
    assert m.connection.tcb.snd_una - m.connection.tcb.iss == 1 + 200 * 65_495
