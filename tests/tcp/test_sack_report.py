"""RFC 2018 and RFC 2883, the receiver: what this end tells of what has arrived beyond a hole, and of what has arrived twice."""

import pytest

from tests.support.machine import LOCAL, REMOTE, Machine, mss_option
from userstack.address import Endpoint, pack_address
from userstack.config import StackConfig
from userstack.tcp.ranges import RangeSet
from userstack.tcp.sack import SackReport, read_blocks
from userstack.tcp.state import State
from userstack.wire import tcp
from userstack.wire.tcp import Option

ENDS = [(LOCAL, REMOTE), (Endpoint(pack_address("fd09::2"), 8080), Endpoint(pack_address("fd09::1"), 40000))]
SIZE = 500
"""Octets of a segment in the examples of both RFCs."""


def receiver(*, tsval: int | None = None, sack: bool = True, config: StackConfig | None = None, mtu: int = 1500) -> Machine:
    return Machine.in_state(State.ESTABLISHED, sack=sack, tsval=tsval, config=config, mtu=mtu)


def segment(m: Machine, number: int, size: int = SIZE) -> list[tuple[int, int]]:
    """Segment ``number`` of the examples arrives, 0 is the first; the blocks of the ACK."""
    m.arrives("ACK", seq=1 + number * SIZE, data=b"x" * size)
    m.wait(60)
    return m.blocks(m.sent()[-1])


def octets(*segments: tuple[int, int]) -> list[tuple[int, int]]:
    """Blocks given in segments, the last one included."""
    return [(1 + first * SIZE, 1 + (last + 1) * SIZE) for first, last in segments]


# --- RFC 2018 2: negotiation ---


@pytest.mark.parametrize(("local", "remote"), ENDS)
def test_a_syn_permits_it(local: Endpoint, remote: Endpoint) -> None:
    m = Machine(local=local, remote=remote)
    m.open_active()
    assert m.expect("SYN").number(tcp.SACK_PERMITTED) == 0


def test_the_configuration_may_leave_it_out() -> None:
    m = Machine(config=StackConfig(sack=False), sack=True)
    m.open_active()
    assert m.expect("SYN").number(tcp.SACK_PERMITTED) is None


@pytest.mark.parametrize("sack", [False, True])
def test_a_syn_ack_permits_it_only_in_answer_to_it(sack: bool) -> None:
    m = Machine(sack=sack)
    m.open_passive()
    m.arrives("SYN", seq=0, options=m.syn_options())
    assert m.expect("SYN,ACK").number(tcp.SACK_PERMITTED) == (0 if sack else None)


def test_one_with_data_is_none() -> None:
    m = Machine()
    m.open_passive()
    m.arrives("SYN", seq=0, options=(mss_option(1460), Option(tcp.SACK_PERMITTED, b"x")))
    assert m.expect("SYN,ACK").number(tcp.SACK_PERMITTED) is None


@pytest.mark.parametrize(("sack", "config"), [(False, None), (True, StackConfig(sack=False))])
def test_without_permission_nothing_is_reported(sack: bool, config: StackConfig | None) -> None:
    m = receiver(sack=sack, config=config)
    assert segment(m, 1) == []
    assert segment(m, 1) == []


# --- RFC 2018 4 and its examples ---


def test_nothing_is_reported_without_a_hole() -> None:
    m = receiver()
    assert [segment(m, number) for number in range(4)] == [[]] * 4


def test_case_2_the_first_segment_is_lost() -> None:
    m = receiver()
    assert [segment(m, number) for number in range(1, 8)] == [octets((1, last)) for last in range(1, 8)]
    assert segment(m, 0) == []


def test_case_3_every_second_segment_is_lost() -> None:
    m = receiver()
    segment(m, 0)
    assert segment(m, 2) == octets((2, 2))
    assert segment(m, 4) == octets((4, 4), (2, 2))
    assert segment(m, 6) == octets((6, 6), (4, 4), (2, 2))
    assert segment(m, 3) == octets((2, 4), (6, 6))
    assert segment(m, 1) == octets((6, 6))


@pytest.mark.parametrize(("tsval", "most"), [(None, 4), (7, 3)])
def test_as_many_as_fit_the_latest_first(tsval: int | None, most: int) -> None:
    m = receiver(tsval=tsval)
    for number in range(2, 14, 2):
        blocks = segment(m, number)
    assert blocks == octets(*((number, number) for number in range(12, 12 - 2 * most, -2)))


def test_the_island_that_grew_last_comes_first() -> None:
    m = receiver()
    segment(m, 2)
    segment(m, 6)
    assert segment(m, 3) == octets((2, 3), (6, 6))
    assert segment(m, 7) == octets((6, 7), (2, 3))


def test_a_data_segment_reports_too_and_is_so_much_shorter() -> None:
    m = receiver(tsval=7)
    segment(m, 2)
    m.send(b"y" * 3_000)
    sent = m.sent()
    assert [len(s.data) for s in sent] == [1_448 - 12, 1_448 - 12]
    assert all(m.blocks(s) == octets((2, 2)) for s in sent)


def test_a_small_mtu_leaves_room_for_text() -> None:
    m = receiver(tsval=7, mtu=68)
    for number in (2, 4, 6):
        segment(m, number, size=10)
    m.send(b"y" * 100)
    assert all(len(s.data) >= 1 and sum(len(option.data) + 2 for option in s.raw.options[-1:]) <= 28 for s in m.sent())


@pytest.mark.parametrize("data", [b"", b"\0" * 7, b"\0" * 12])
def test_an_option_of_a_wrong_length_has_no_blocks(data: bytes) -> None:
    assert read_blocks((Option(tcp.SACK, data),), 0) == []


def test_blocks_are_unwrapped_near_snd_una() -> None:
    assert read_blocks((Option(tcp.NOP), Option(tcp.SACK, b"\xff\xff\xff\xfe\0\0\0\x02")), 2**32) == [(2**32 - 2, 2**32 + 2)]


def test_what_is_remembered_is_bounded() -> None:
    report, islands = SackReport(), RangeSet()
    for number in range(0, 10_000, 10):
        islands.add(number, number + 5)
        report.arrived(number, islands)
    assert report.blocks(islands, 100) == [(number, number + 5) for number in (9_990, 9_980, 9_970, 9_960)]


# --- RFC 2883: duplicates ---


def test_a_segment_below_rcv_nxt_is_reported_once() -> None:
    """4.1.1: reporting a duplicate segment; 4: each is reported at most once."""
    m = receiver()
    segment(m, 0)
    segment(m, 1)
    assert segment(m, 0) == octets((0, 0))
    assert segment(m, 2) == []


def test_with_a_hole_the_islands_follow() -> None:
    """4.1.2: an out-of-order segment and a duplicate segment."""
    m = receiver()
    segment(m, 0)
    segment(m, 2)
    assert segment(m, 0) == octets((0, 0), (2, 2))
    assert segment(m, 3) == octets((2, 3))


def test_a_duplicate_on_an_island_is_followed_by_the_island() -> None:
    """4.1.3: reporting a duplicate of an out-of-order segment."""
    m = receiver()
    segment(m, 0)
    segment(m, 2)
    assert segment(m, 2) == octets((2, 2), (2, 2))
    segment(m, 3)
    assert segment(m, 3) == octets((3, 3), (2, 3))


def test_a_part_below_rcv_nxt() -> None:
    """4.2.1: reporting partial duplicate segments."""
    m = receiver()
    segment(m, 0)
    assert segment(m, 0, size=2 * SIZE) == octets((0, 0))
    assert m.rcv_nxt == 1 + 2 * SIZE


def test_a_part_of_an_island() -> None:
    """4.2.2, 4.2.3: of several parts the first."""
    m = receiver()
    segment(m, 0)
    segment(m, 2)
    segment(m, 4)
    assert segment(m, 2, size=3 * SIZE) == [*octets((2, 2)), *octets((2, 4))]
    assert segment(m, 1, size=2 * SIZE) == octets((2, 2))


@pytest.mark.parametrize("tsval", [None, 7])
def test_a_repeated_fin_is_a_duplicate_too(tsval: int | None) -> None:
    m = Machine.in_state(State.CLOSE_WAIT, sack=True, tsval=tsval)
    m.arrives("FIN,ACK", seq=1)
    assert m.blocks(m.expect("ACK", ack=2)) == [(1, 2)]


def test_the_configuration_may_leave_duplicates_out() -> None:
    m = receiver(config=StackConfig(dsack=False))
    segment(m, 0)
    assert segment(m, 0) == []
    assert segment(m, 2) == octets((2, 2))


def test_duplicates_are_counted() -> None:
    m = receiver()
    segment(m, 0)
    segment(m, 0)
    segment(m, 2)
    segment(m, 2)
    assert (m.counters["TcpExtTCPDSACKOldSent"], m.counters["TcpExtTCPDSACKOfoSent"]) == (1, 1)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 11, 12])
def test_segments_that_have_no_room_for_a_block_have_none(size: int) -> None:
    """RFC 6691: the option takes its octets of what MSS leaves, of which one is for text."""
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(max_segment=size), sack=True)
    for number in (11, 31, 51):
        m.arrives("ACK", seq=number, data=b"x")
    assert m.blocks(m.sent()[-1]) == []
