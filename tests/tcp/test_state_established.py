"""ESTABLISHED (RFC 9293 3.10.7.4 steps 5 to 8): ACKs, text in and out of order, a FIN beyond a hole."""

from collections.abc import Iterable

import pytest

from tests.support.machine import Machine
from userstack.config import StackConfig
from userstack.errors import InvalidArgument
from userstack.tcp.state import State

# --- step 5 ---


def test_ack_cleans_the_retransmission_queue() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"0123456789")
    m.sent()
    m.arrives("ACK", ack=5)
    assert (m.snd_una, m.connection.info().unacked) == (5, 6)
    m.arrives("ACK", ack=11)
    assert (m.snd_una, m.connection.info().unacked) == (11, 0)
    m.nothing_sent()
    m.wait(10_000)
    m.nothing_sent()


def test_partly_acknowledged_segment_is_resent_from_snd_una() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"0123456789")
    m.sent()
    m.arrives("ACK", ack=5)
    again = m.next_sent(within=2_000)
    assert again.seq <= 5
    assert again.end == 11
    assert again.data.endswith(b"456789")


def test_duplicate_ack_is_ignored() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"0123456789")
    m.arrives("ACK", ack=11)
    m.sent()
    for ack in (11, 5, 1):
        m.arrives("ACK", ack=ack)
    m.nothing_sent()
    m.stayed()
    assert m.snd_una == 11


def test_text_of_a_segment_with_an_old_ack_is_taken() -> None:
    """RFC 9293 3.10.7.4 step 5: a duplicate ACK "can be ignored", the rest of its segment not."""
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"0123456789")
    m.arrives("ACK", ack=11)
    m.arrives("ACK", ack=5, data=b"text")
    assert m.receive() == b"text"


# --- step 7 ---


def test_text_in_order_is_delivered_and_acknowledged() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", data=b"hello ")
    m.arrives("ACK", data=b"world")
    m.wait(499)
    assert m.sent()[-1].ack == 12
    assert m.rcv_nxt == 12
    assert m.readable()
    assert m.receive(5) == b"hello"
    assert m.receive() == b" world"
    assert not m.readable()
    with pytest.raises(BlockingIOError):
        m.receive()


def test_receive_into_fills_a_buffer_of_the_callers() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", data=b"hello world")
    buffer = bytearray(5)
    assert m.connection.receive_into(buffer, now=m.now) == 5
    assert bytes(buffer) == b"hello"
    larger = bytearray(20)
    assert m.connection.receive_into(larger, now=m.now) == 6
    assert bytes(larger[:6]) == b" world"


@pytest.mark.requirement("SHLD-31")
@pytest.mark.requirement("MAY-13")
def test_text_out_of_order_is_held_and_answered_at_once() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", seq=6, data=b"world")
    m.expect("ACK", seq=1, ack=1)
    assert m.rcv_nxt == 1
    assert not m.readable()
    m.arrives("ACK", seq=1, data=b"hello")
    m.expect("ACK", seq=1, ack=11)  # Note: RFC 5681 4.2: a segment that fills a gap is acknowledged at once
    assert m.receive() == b"helloworld"


STREAM = bytes(range(97, 97 + 20))


@pytest.mark.parametrize(
    "pieces",
    [
        [(10, 20), (5, 10), (0, 5)],
        [(5, 10), (15, 20), (0, 5), (10, 15)],
        [(0, 10), (5, 15), (10, 20)],
        [(0, 10), (0, 10), (0, 20)],
        [(5, 20), (0, 20)],
        [(8, 12), (4, 16), (0, 20)],
        [(4, 16), (8, 12), (0, 6), (14, 20)],
        [(19, 20), (0, 1), (1, 19)],
        [(10, 15), (5, 12), (14, 20), (0, 5)],
        [(2, 3), (4, 5), (6, 7), (0, 8), (8, 20)],
    ],
)
def test_overlapping_text_is_put_together(pieces: Iterable[tuple[int, int]]) -> None:
    m = Machine.in_state(State.ESTABLISHED)
    for start, end in pieces:
        m.arrives("ACK", seq=1 + start, data=STREAM[start:end])
    m.wait(500)
    assert m.sent()[-1].ack == 21
    assert m.receive() == STREAM


def test_segment_across_the_left_edge_is_trimmed() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", seq=1, data=b"hello")
    m.arrives("ACK", seq=-1, data=b"xxhello world")
    assert m.receive() == b"hello world"
    assert m.rcv_nxt == 12


def test_segment_across_the_right_edge_is_trimmed() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(receive_buffer=1000))
    m.arrives("FIN,ACK", seq=1, data=b"a" * 600 + b"b" * 600)
    m.wait(500)
    assert m.sent()[-1].ack == 1001
    m.expect_state(State.ESTABLISHED)
    assert m.receive() == b"a" * 600 + b"b" * 400


def test_out_of_order_segment_across_the_right_edge_is_trimmed() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(receive_buffer=1000))
    m.arrives("FIN,ACK", seq=801, data=b"b" * 400)
    m.arrives("ACK", seq=1, data=b"a" * 800)
    m.wait(500)
    assert m.sent()[-1].ack == 1001
    assert m.receive() == b"a" * 800 + b"b" * 200
    m.expect_state(State.ESTABLISHED)


def test_first_octet_beyond_the_window_is_not_taken() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(receive_buffer=1000))
    m.arrives("ACK", seq=1001, data=b"z")
    m.expect("ACK", seq=1, ack=1)
    m.arrives("ACK", seq=1, data=b"a" * 999)
    m.arrives("ACK", seq=1000, data=b"b")
    assert m.receive() == b"a" * 999 + b"b"


def test_islands_are_bounded_but_the_next_expected_octet_is_never_refused() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(out_of_order_ranges=4))
    for island in range(10):
        m.arrives("ACK", seq=11 + 2 * island, data=b"i")
    m.arrives("ACK", seq=1, data=b"0123456789")
    assert m.receive() == b"0123456789i"
    assert m.counters["TcpExtTCPOFODrop"] == 6


def test_pure_ack_is_not_answered() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    for _ in range(5):
        m.arrives("ACK")
    m.wait(10_000)
    m.nothing_sent()


@pytest.mark.requirement("MUST-58")
@pytest.mark.requirement("MUST-59")
def test_a_batch_of_segments_is_answered_with_one_ack() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    for _ in range(8):
        m.deliver(m.segment("ACK", data=b"x" * 1460))
    m.pull()
    m.expect("ACK", seq=1, ack=1 + 8 * 1460)
    m.nothing_sent()


def test_data_carries_the_ack_that_is_owed() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", data=b"question")
    m.send(b"answer")
    sent = m.sent()
    assert (sent[-1].data, sent[-1].ack) == (b"answer", 9)
    m.wait(39)
    m.nothing_sent()


# --- step 8 ---


def test_fin_beyond_a_hole_is_remembered() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("FIN,ACK", seq=6, data=b"world")
    m.expect("ACK", seq=1, ack=1)
    m.stayed()
    m.arrives("ACK", seq=1, data=b"hello")
    m.expect("ACK", seq=1, ack=12)
    m.moved(State.ESTABLISHED, State.CLOSE_WAIT, section="3.10.7.4")
    assert m.receive() == b"helloworld"
    assert m.receive() == b""


def test_bare_fin_beyond_a_hole_is_remembered() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("FIN,ACK", seq=11)
    m.stayed()
    m.arrives("ACK", seq=6, data=b"world")
    m.stayed()
    m.arrives("ACK", seq=1, data=b"hello")
    m.expect_state(State.CLOSE_WAIT)
    assert m.sent()[-1].ack == 12
    assert m.receive() == b"helloworld"


def test_text_beyond_a_remembered_fin_does_not_count() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("FIN,ACK", seq=6)
    m.arrives("ACK", seq=6, data=b"beyond the end")
    m.arrives("ACK", seq=1, data=b"hello")
    m.expect_state(State.CLOSE_WAIT)
    assert m.rcv_nxt == 7
    assert m.receive() == b"hello"
    assert m.receive() == b""


def test_fin_in_the_middle_of_what_is_known_is_taken_where_it_stands() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", seq=1, data=b"hello")
    m.arrives("FIN,ACK", seq=3, data=b"llo")
    m.expect_state(State.CLOSE_WAIT)
    assert m.rcv_nxt == 7
    assert m.receive() == b"hello"


# --- calls ---


def test_send_pushes_back_when_the_buffer_is_full() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(send_buffer=3000), window=1000)
    assert m.send(b"x" * 2000) == 2000
    assert m.writable()
    assert m.send(b"x" * 2000) == 1000
    assert not m.writable()
    with pytest.raises(BlockingIOError):
        m.send(b"x")
    m.sent()
    m.arrives("ACK", ack=1001, window=1000)
    assert m.writable()
    assert m.send(b"x" * 2000) == 1000


def test_empty_send_is_nothing() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    assert m.send(b"") == 0
    m.nothing_sent()


@pytest.mark.requirement("MUST-61")
def test_push_stands_on_the_segment_that_empties_the_queue() -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=1000)
    m.send(b"x" * 2500)
    pushes = [bool(segment.raw.flags & 0x08) for segment in m.sent()]
    m.arrives("ACK")
    pushes += [bool(segment.raw.flags & 0x08) for segment in m.sent()]
    assert pushes == [False, False, True]


@pytest.mark.requirement("MUST-60")
def test_data_is_not_held_back_for_ever() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"a")
    m.send(b"b")
    m.wait(50)
    m.arrives("ACK", ack=2)
    m.wait(1_000)
    assert m.sent_nxt == 3


def test_receive_takes_any_limit_that_can_be() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", data=b"text")
    assert m.receive(0) == b""
    assert m.receive(1) == b"t"
    with pytest.raises(InvalidArgument):
        m.receive(-1)
    assert m.receive(100) == b"ext"
