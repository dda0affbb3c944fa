"""What a segment is in relation to those before it: relative numbers, retransmissions, holes, duplicate ACKs, scaled windows."""

import pytest

from tests.observe.scenes import KERNEL_SYN, LOCAL, OUR_SYN, REMOTE
from userstack.address import Endpoint
from userstack.observe.flow import MAX_FLOWS, MAX_HOLES, Direction, Flow, FlowTable, Reading
from userstack.observe.steps import Mark
from userstack.wire.tcp import ACK, FIN, RST, SYN, Option, TcpSegment

ISS = 0xFFFFFFFE
IRS = 10


def segment(
    seq: int, flags: int = ACK, *, ack: int = 0, data: bytes = b"", window: int = 1000, options: tuple[Option, ...] = ()
) -> TcpSegment:
    return TcpSegment(1, 2, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, flags, window, 0, options, data)


@pytest.fixture
def flow() -> Flow:
    """Past the handshake; both ISNs so that numbers wrap at once."""
    flow = Flow(LOCAL, REMOTE)
    flow.read(segment(ISS, SYN, options=OUR_SYN), sent=True)
    flow.phases.look(sent=True, flags=SYN, end=1, ack=None)
    flow.read(segment(IRS, SYN | ACK, ack=ISS + 1, options=KERNEL_SYN), sent=False)
    flow.phases.look(sent=False, flags=SYN | ACK, end=1, ack=1)
    flow.read(segment(ISS + 1, ack=IRS + 1), sent=True)
    flow.phases.look(sent=True, flags=ACK, end=1, ack=1)
    return flow


def test_numbers_are_relative_and_do_not_wrap(flow: Flow) -> None:
    first = flow.read(segment(ISS + 1, ack=IRS + 1, data=b"x" * 100), sent=True)
    second = flow.read(segment(ISS + 101, ack=IRS + 1, data=b"x" * 100), sent=True)
    assert (first.seq, first.end, first.ack) == (1, 101, 1)
    assert (second.seq, second.end, second.marks) == (101, 201, ())


def test_numbers_go_on_beyond_four_gigabytes() -> None:
    direction = Direction(base=5)
    for _ in range(6):
        at = direction.end
        assert direction.relative((5 + at) & 0xFFFFFFFF) == at
        direction.cover(at, at + 2**30)
    assert direction.end == 6 * 2**30


def test_a_repeated_segment_is_a_retransmission(flow: Flow) -> None:
    flow.read(segment(ISS + 1, data=b"abc"), sent=True)
    assert flow.read(segment(ISS + 1, data=b"abc"), sent=True).marks == (Mark.RETRANSMISSION,)


def test_a_repeated_syn_is_a_retransmission() -> None:
    flow = Flow(LOCAL, REMOTE)
    assert flow.read(segment(IRS, SYN), sent=False).marks == ()
    assert flow.read(segment(IRS, SYN), sent=False).marks == (Mark.RETRANSMISSION,)


def test_what_fills_a_hole_is_late_and_only_then_repeated(flow: Flow) -> None:
    read = [
        flow.read(segment(IRS + start, data=b"x" * 10), sent=False).marks
        for start in (1, 21, 41, 11, 31, 31)  # 11 and 31 come after what follows them
    ]
    assert read == [(), (), (), (Mark.OUT_OF_ORDER,), (Mark.OUT_OF_ORDER,), (Mark.RETRANSMISSION,)]


def test_a_hole_filled_in_its_middle_leaves_both_ends_open(flow: Flow) -> None:
    flow.read(segment(IRS + 31, data=b"x"), sent=False)
    marks = [flow.read(segment(IRS + start, data=b"x" * 5), sent=False).marks for start in (11, 1, 26, 11)]
    assert marks == [(Mark.OUT_OF_ORDER,), (Mark.OUT_OF_ORDER,), (Mark.OUT_OF_ORDER,), (Mark.RETRANSMISSION,)]


def test_holes_are_bounded(flow: Flow) -> None:
    for number in range(3 * MAX_HOLES):
        flow.read(segment(IRS + 1 + 2 * number, data=b"x"), sent=False)
    assert len(flow.received.holes) == MAX_HOLES


def test_a_duplicate_ack_needs_something_that_is_missing(flow: Flow) -> None:
    def ack() -> Reading:
        return flow.read(segment(IRS + 1, ack=ISS + 1), sent=False)

    assert [ack().marks, ack().marks] == [(), ()]  # nothing of ours is unacknowledged
    flow.read(segment(ISS + 1, data=b"abc"), sent=True)
    assert ack().marks == (Mark.DUPLICATE_ACK,)
    other_window = segment(IRS + 1, ack=ISS + 1, window=999)
    assert flow.read(other_window, sent=False).marks == ()  # RFC 5681 2: a window update is none


def test_a_closed_window_is_marked_but_not_that_of_a_reset(flow: Flow) -> None:
    assert flow.read(segment(IRS + 1, ack=ISS + 1, window=0), sent=False).marks == (Mark.ZERO_WINDOW,)
    assert flow.read(segment(IRS + 1, RST, window=0), sent=False).marks == ()


def test_a_window_is_scaled_when_both_ends_agree() -> None:
    flow = Flow(LOCAL, REMOTE)
    scale = (Option(3, b"\x07"),)
    assert flow.read(segment(ISS, SYN, options=scale), sent=True).window == 1000  # RFC 7323 2.2: never in a SYN
    flow.read(segment(IRS, SYN | ACK, ack=ISS + 1, options=scale), sent=False)
    assert flow.read(segment(IRS + 1, ack=ISS + 1), sent=False).window == 128000


def test_a_window_is_not_scaled_when_one_end_did_not_offer_it(flow: Flow) -> None:
    assert flow.read(segment(IRS + 1, ack=ISS + 1), sent=False).window == 1000


def test_the_answer_to_a_stranger_is_read_too() -> None:
    """RFC 9293 3.10.7.1: a RST with sequence number 0 answers a SYN to a closed port."""
    flow = Flow(LOCAL, REMOTE)
    flow.read(segment(IRS, SYN), sent=False)
    reset = flow.read(segment(0, RST | ACK, ack=IRS + 1), sent=True)
    assert (reset.seq, reset.ack) == (0, 1)


def test_a_connection_that_is_joined_in_its_middle_counts_from_there() -> None:
    flow = Flow(LOCAL, REMOTE)
    reading = flow.read(segment(5000, ack=7000, data=b"abc"), sent=False)
    assert (reading.seq, reading.ack, reading.marks) == (0, 0, ())


def test_a_syn_with_a_new_isn_begins_anew_once_the_old_connection_is_over(flow: Flow) -> None:
    intruder = flow.read(segment(IRS + 500, SYN), sent=False)
    assert intruder.seq == 500  # in the middle of a connection it is only odd
    flow.phases.look(sent=False, flags=RST, end=1, ack=None)
    assert flow.read(segment(IRS + 70000, SYN), sent=False).seq == 0


def test_flows_are_bounded_and_can_be_forgotten() -> None:
    table = FlowTable()
    kept = table.flow(LOCAL, REMOTE)
    for port in range(1, MAX_FLOWS + 1):
        table.flow(LOCAL, Endpoint(bytes(4), port))
        assert table.flow(LOCAL, REMOTE) is kept  # it is used all the time
    assert len(table) == MAX_FLOWS
    table.forget(LOCAL, REMOTE)
    table.forget(LOCAL, REMOTE)
    assert table.flow(LOCAL, REMOTE) is not kept


def test_a_fin_takes_a_number(flow: Flow) -> None:
    reading = flow.read(segment(ISS + 1, FIN | ACK, ack=IRS + 1, data=b"abc"), sent=True)
    assert reading.end - reading.seq == 4
