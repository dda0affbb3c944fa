"""SND.WL1 and SND.WL2, the receive window that never shrinks, silly windows at the receiver (RFC 9293 3.8.6, 3.10.7.4)."""

import pytest

from tests.support.machine import Machine
from userstack.config import StackConfig
from userstack.tcp.state import State

# --- SND.WND: step 5 of 3.10.7.4 ---


def snd_wnd(m: Machine) -> int:
    return m.connection.tcb.snd_wnd


def test_newer_seq_updates_the_window() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", data=b"1", window=5_000)
    assert snd_wnd(m) == 5_000
    m.arrives("ACK", data=b"2", window=400)
    assert snd_wnd(m) == 400


def test_same_seq_and_same_ack_updates_the_window() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", window=100)
    assert snd_wnd(m) == 100
    m.arrives("ACK", window=9_000)
    assert snd_wnd(m) == 9_000


def test_old_ack_does_not_update_the_window() -> None:
    """SND.WL2: of two segments with the same SEQ the one with the older ACK was sent earlier."""
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"0123456789")
    m.arrives("ACK", ack=11, window=9_000)
    m.arrives("ACK", ack=5, window=100)
    assert snd_wnd(m) == 9_000
    assert m.snd_una == 11


def test_old_seq_does_not_update_the_window() -> None:
    """SND.WL1: a segment that was overtaken (it fills a hole) tells of an older window."""
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", seq=6, data=b"world", window=9_000)
    m.arrives("ACK", seq=1, data=b"hello", window=100)
    assert snd_wnd(m) == 9_000


def test_unacceptable_segment_does_not_update_the_window() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", data=b"hello", window=9_000)
    m.arrives("ACK", seq=-20, data=b"old", window=100)
    m.arrives("ACK", seq=100_000, data=b"far", window=100)
    m.arrives("ACK", ack=1_000, window=100)
    assert snd_wnd(m) == 9_000


def test_window_update_lets_waiting_data_go() -> None:
    m = Machine.in_state(State.ESTABLISHED, window=1_000, mss=1_000)
    m.send(b"x" * 3_000)
    assert sum(len(segment.data) for segment in m.sent()) == 1_000
    m.arrives("ACK", ack=1, window=3_000)
    assert sum(len(segment.data) for segment in m.sent()) == 2_000


@pytest.mark.requirement("MUST-1")
def test_window_of_65535_is_not_negative() -> None:
    m = Machine.in_state(State.ESTABLISHED, window=65_535)
    m.send(b"x" * 200_000)
    while m.snd_una < 100_000:
        m.arrives("ACK", ack=m.snd_una + 1460)
    assert 32_768 < m.sent_nxt - m.snd_una <= 65_535


@pytest.mark.requirement("MUST-34")
@pytest.mark.requirement("SHLD-15")
def test_peer_that_shrinks_its_window_gets_nothing_new() -> None:
    m = Machine.in_state(State.ESTABLISHED, window=4_000, mss=1_000)
    m.send(b"x" * 8_000)
    assert sum(len(segment.data) for segment in m.sent()) == 4_000
    m.arrives("ACK", ack=1_001, window=1_000)
    m.nothing_sent()
    assert m.snd_una == 1_001
    m.arrives("ACK", ack=4_001, window=1_000)
    assert [(segment.seq, len(segment.data)) for segment in m.sent()] == [(4_001, 1_000)]


@pytest.mark.requirement("SHLD-16")
def test_data_inside_a_shrunken_window_is_resent() -> None:
    m = Machine.in_state(State.ESTABLISHED, window=4_000, mss=1_000)
    m.send(b"x" * 4_000)
    m.sent()
    m.arrives("ACK", ack=1_001, window=1_000)
    again = m.next_sent(within=3_000)
    assert (again.seq, len(again.data)) == (1_001, 1_000)


@pytest.mark.requirement("MUST-35")
def test_window_shrunk_to_zero_is_probed() -> None:
    m = Machine.in_state(State.ESTABLISHED, window=4_000, mss=1_000)
    m.send(b"x" * 4_000)
    m.sent()
    m.arrives("ACK", ack=1_001, window=0)
    probe = m.next_sent(within=3_000)
    assert probe.seq == 1_001
    assert len(probe.data) >= 1


def test_nothing_is_ever_sent_beyond_the_window() -> None:
    m = Machine.in_state(State.ESTABLISHED, window=3_500, mss=1_000, config=StackConfig(initial_window=50))
    m.send(b"x" * 60_000)
    right_edge = 1 + 3_500
    while m.snd_una < 60_001:
        sent = m.sent()
        if not sent:
            m.wait(100)
            continue
        assert max(segment.end for segment in sent) <= right_edge
        window = 3_500 - sent[0].seq % 700
        m.arrives("ACK", ack=sent[-1].end, window=window)
        right_edge = max(right_edge, sent[-1].end + window)


# --- RCV.WND ---


@pytest.mark.requirement("SHLD-14")
@pytest.mark.parametrize("buffer", [3_000, 10_000, 65_535])
def test_receive_window_never_shrinks(buffer: int) -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(receive_buffer=buffer), mss=1_000)
    edges: list[int] = []
    for step in range(200):
        room = (edges[-1] if edges else 1 + buffer) - m.peer_nxt
        size = min(room, 1 + step * 337 % 1_000)
        if size:
            m.arrives("ACK", data=b"x" * size)
        if step % 3 == 2 and m.readable():
            m.receive(1 + step * 211 % 700)
        m.wait(50)
        edges += [segment.ack + segment.window for segment in m.sent() if segment.ack is not None]
    assert edges == sorted(edges)
    assert edges[-1] > 1 + buffer


def test_unread_data_closes_the_window() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(receive_buffer=3_000), mss=1_000)
    windows = []
    for _ in range(3):
        m.arrives("ACK", data=b"x" * 1_000)
        m.wait(50)
        windows.append(m.sent()[-1].window)
    assert windows == [2_000, 1_000, 0]
    m.arrives("ACK", data=b"y")
    m.expect("ACK", seq=1, ack=3_001)
    assert m.receive() == b"x" * 3_000


@pytest.mark.requirement("MUST-39")
def test_window_is_not_opened_in_silly_steps() -> None:
    """RFC 9293 3.8.6.2.2: only when min(RCV.BUFF / 2, Eff.snd.MSS) can be added to it."""
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(receive_buffer=4_000), mss=1_000)
    for _ in range(4):
        m.arrives("ACK", data=b"x" * 1_000)
    m.wait(50)
    assert m.sent()[-1].window == 0
    for _ in range(9):
        m.receive(100)
    m.nothing_sent()
    m.arrives("ACK", data=b"p")
    assert m.expect("ACK", ack=4_001).window == 0
    m.peer_nxt -= 1
    for _ in range(11):
        m.receive(100)
    updates = m.sent()
    assert 1 <= len(updates) <= 2
    assert [update.ack for update in updates] == [4_001] * len(updates)
    assert updates[0].window >= 1_000
    assert updates[-1].window == 1_000 * len(updates) or updates[-1].window == 2_000


def test_reading_all_opens_the_whole_window_at_once() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(receive_buffer=4_000), mss=1_000)
    for _ in range(4):
        m.arrives("ACK", data=b"x" * 1_000)
    m.wait(50)
    m.sent()
    m.receive()
    assert m.expect("ACK", seq=1, ack=4_001).window == 4_000


def test_small_reads_of_a_window_that_is_open_send_nothing() -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=1_000)
    m.arrives("ACK", data=b"x" * 500)
    m.wait(50)
    m.sent()
    m.receive()
    m.nothing_sent()
