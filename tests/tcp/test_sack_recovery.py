"""RFC 6675, the sender: the scoreboard, what is lost, what is in the pipe, and what is sent again; RFC 2018 8: reneging."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.machine import Machine
from tests.support.pair import Fate, Pair, Talker
from userstack.config import StackConfig
from userstack.tcp.ranges import RangeSet
from userstack.tcp.scoreboard import Scoreboard
from userstack.tcp.state import State

MSS = 1_000


def sender(segments: int = 10, *, window: int = 10, config: StackConfig | None = None) -> Machine:
    """A machine that has just sent so many segments of ``MSS`` octets, all that its congestion window takes."""
    m = Machine.in_state(State.ESTABLISHED, sack=True, mss=MSS, config=config or StackConfig(initial_window=window))
    m.send(b"x" * (MSS * segments))
    assert [s.seq for s in m.sent()] == [1 + MSS * index for index in range(min(segments, window))]
    return m


def edge(number: int) -> int:
    """Where segment ``number`` begins."""
    return 1 + number * MSS


def ack(m: Machine, number: int, *blocks: tuple[int, int]) -> list[int]:
    """The peer has everything below segment ``number``, and SACKs segments; which segments that lets out."""
    m.arrives("ACK", ack=edge(number), options=m.sacked(*((edge(first), edge(end)) for first, end in blocks)))
    return [(s.seq - 1) // MSS for s in m.sent()]


# --- the scoreboard ---


def test_update_counts_news_once() -> None:
    board = Scoreboard(10)
    assert board.update([(5, 8), (10, 12)], 1, 20) == (5, 0)
    assert board.update([(5, 8), (7, 11)], 1, 20) == (2, 0)
    assert board.octets == 7


@pytest.mark.parametrize("block", [(5, 5), (8, 5), (15, 21), (100, 200)])
def test_a_block_that_cannot_be_is_not_believed(block: tuple[int, int]) -> None:
    board = Scoreboard(10)
    assert board.update([block], 1, 20) == (0, 1)
    assert not len(board)


def test_an_old_block_says_nothing() -> None:
    board = Scoreboard(10)
    assert board.update([(1, 5), (3, 12)], 10, 20) == (0, 0)
    assert not len(board)


def test_what_a_peer_makes_this_end_remember_is_bounded() -> None:
    board = Scoreboard(10)
    for number in range(0, 1_000, 2):
        board.update([(number, number + 1)], 0, 10_000)
    assert len(board) == 10
    assert board.end == 19


def test_loss_edge() -> None:
    board = Scoreboard(10)
    board.update([(1_000, 3_000)], 0, 10_000)
    assert board.loss_edge(MSS) == 0
    board.update([(3_000, 3_001)], 0, 10_000)
    assert board.loss_edge(MSS) == 1_000
    board.clear()
    board.update([(10, 20), (30, 40), (50, 60)], 0, 100)
    assert board.loss_edge(MSS) == 10
    board.update([(70, 80)], 0, 100)
    assert board.loss_edge(MSS) == 30


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), max_size=12), st.integers(0, 70), st.integers(0, 70))
def test_range_questions(pieces: list[tuple[int, int]], start: int, end: int) -> None:
    ranges, model = RangeSet(), set()
    for first, size in pieces:
        ranges.add(first, first + size)
        model |= set(range(first, first + size))
    holding = ranges.containing(start)
    assert (holding is not None) == (start in model)
    if holding is not None:
        assert holding in list(ranges)
        assert start in range(*holding)
    overlap = ranges.overlap(start, end) if start < end else None
    common = sorted(model & set(range(start, end)))
    assert (overlap[0] if overlap else None) == (common[0] if common else None)
    assert list(reversed(ranges)) == list(ranges)[::-1]


# --- recovery ---


def test_three_sacks_repair_the_one_loss_with_one_segment() -> None:
    m = sender()
    assert ack(m, 0, (1, 2)) == []
    assert ack(m, 0, (1, 3)) == []
    assert ack(m, 0, (1, 4)) == [0]
    assert m.connection.info().ssthresh == 5 * MSS
    assert m.connection.info().cwnd == 5 * MSS
    for number in range(5, 10):
        assert ack(m, 0, (1, number)) == []
    assert ack(m, 10) == []
    assert m.connection.info().cwnd == 5 * MSS
    assert m.connection.info().total_retrans == 1
    assert m.counters["TcpExtTCPSackRecovery"] == 1


def test_one_ack_that_sacks_enough_is_enough() -> None:
    """(2): IsLost (HighACK + 1), though there was only one duplicate."""
    m = sender()
    assert ack(m, 0, (1, 4)) == [0]


def test_a_sack_that_repeats_what_is_known_is_no_duplicate() -> None:
    m = sender()
    for _ in range(10):
        assert ack(m, 0, (1, 2)) == []


def test_bare_duplicates_without_blocks_begin_nothing() -> None:
    m = sender()
    for _ in range(10):
        assert ack(m, 0) == []


def test_a_window_update_with_news_is_a_duplicate() -> None:
    m = sender()
    for end in (2, 3, 4):
        m.arrives("ACK", ack=1, window=50_000 + end, options=m.sacked((edge(1), edge(end))))
    assert [s.seq for s in m.sent()] == [1]


def test_only_the_holes_are_sent_again() -> None:
    """Segments 0, 3 and 6 of ten are lost."""
    m = sender()
    assert ack(m, 0, (1, 2)) == []
    assert ack(m, 0, (1, 3)) == []
    assert ack(m, 0, (4, 5), (1, 3)) == [0]
    assert ack(m, 0, (4, 6), (1, 3)) == []
    assert ack(m, 0, (7, 8), (4, 6), (1, 3)) == [3]
    assert ack(m, 0, (7, 9), (4, 6), (1, 3)) == [6]
    assert ack(m, 0, (7, 10), (4, 6), (1, 3)) == []
    assert ack(m, 3, (7, 10), (4, 6)) == [6]  # the rescue: it is the highest that is missing
    assert ack(m, 6, (7, 10)) == []
    assert ack(m, 10) == []
    assert m.connection.info().total_retrans == 4
    assert m.snd_una == edge(10)


def test_limited_transmit() -> None:
    """RFC 3042, RFC 6675 5 (3): a SACKed octet has left the network."""
    m = sender(12)
    assert ack(m, 0, (1, 2)) == [10]
    assert ack(m, 0, (1, 3)) == [11]
    assert ack(m, 0, (1, 4)) == [0]
    assert m.connection.info().ssthresh == 5 * MSS  # FlightSize without those two


def test_limited_transmit_without_sack() -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=MSS)
    m.send(b"x" * (20 * MSS))
    assert len(m.sent()) == 10
    for number in (10, 11):
        m.arrives("ACK", ack=1)
        assert [s.seq for s in m.sent()] == [edge(number)]
    m.arrives("ACK", ack=1)
    assert [s.seq for s in m.sent()] == [1]
    assert m.connection.info().ssthresh == 5 * MSS


def test_new_data_goes_out_in_recovery_as_the_pipe_drains() -> None:
    m = sender(40)
    for end in (2, 3, 4):
        ack(m, 0, (1, end))
    sent = [ack(m, 0, (1, end)) for end in range(5, 13)]
    assert sent == [[], [], [], [], [12], [13], [14], [15]]
    assert ack(m, 12) == [16]
    assert m.connection.info().cwnd == 5 * MSS


def test_new_losses_do_not_halve_again_within_one_recovery() -> None:
    m = sender(30)
    for end in (2, 3, 4):
        ack(m, 0, (1, end))
    ack(m, 0, (5, 10), (1, 4))
    assert m.connection.info().ssthresh == 5 * MSS
    ack(m, 4, (5, 10))
    assert m.connection.info().ssthresh == 5 * MSS


def test_when_nothing_new_is_left_the_doubtful_goes_again() -> None:
    """Rule (3) of NextSeg ()."""
    m = sender()
    assert ack(m, 0, (1, 2)) == []
    assert ack(m, 0, (1, 3)) == []
    assert ack(m, 0, (1, 4)) == [0]
    assert ack(m, 0, (1, 4), (5, 9)) == [4]  # below one large block: lost
    m = sender()
    for end in (2, 3, 4):
        ack(m, 0, (1, end))
    for end in (5, 6, 7):
        ack(m, 0, (1, end))
    assert ack(m, 0, (1, 7), (8, 9)) == [7]  # one block above it is no proof


def test_rescue_retransmission() -> None:
    """Rule (4): the end of the flight, once in a recovery, when the front was acknowledged."""
    m = sender()
    for end in (2, 3, 4):
        ack(m, 0, (1, end))
    assert ack(m, 0, (1, 7)) == []
    assert ack(m, 7) == [9]
    assert ack(m, 8) == []


def test_a_fin_is_sent_again_too() -> None:
    m = sender(5)
    m.close()
    m.expect("FIN,ACK", seq=edge(5))
    m.arrives("ACK", ack=edge(0), options=m.sacked((edge(1), edge(5))))
    assert [s.seq for s in m.sent()][:1] == [1]
    m.arrives("ACK", ack=edge(5))
    again = m.next_sent(within=3_000) if not m.outbox else m.sent()[0]
    assert (again.flags, again.seq) == ("FIN,ACK", edge(5))
    m.arrives("ACK", ack=edge(5) + 1)
    m.expect_state(State.FIN_WAIT_2)


# --- after a timeout (5.1) ---


def test_a_timeout_sends_what_is_not_sacked() -> None:
    m = sender()
    ack(m, 0, (1, 2), (3, 4))
    assert m.next_sent(within=2_000).seq == 1
    assert ack(m, 2, (3, 4)) == [2, 4]
    assert ack(m, 4) == [5, 6]
    assert ack(m, 5) == [7, 8]


def test_no_recovery_begins_before_the_point_of_the_timeout_is_passed() -> None:
    m = sender()
    m.next_sent(within=2_000)
    before = m.connection.info().ssthresh
    ack(m, 0, (1, 2), (3, 4), (5, 6))
    assert m.connection.info().ssthresh == before
    assert m.counters["TcpExtTCPSackRecovery"] == 0


def test_a_timeout_ends_recovery() -> None:
    m = sender()
    for end in (2, 3, 4):
        ack(m, 0, (1, end))
    assert m.next_sent(within=3_000).seq == 1
    assert m.connection.info().cwnd == MSS
    assert ack(m, 4) == [4, 5]


def test_a_peer_that_reneges_gets_everything_again() -> None:
    """RFC 2018 8: the left edge is sent again after a timeout, SACKed or not, and the rest is no more believed."""
    m = sender()
    ack(m, 0, (1, 3))
    ack(m, 1)
    again = m.next_sent(within=4_000)
    assert again.seq == edge(1)
    assert m.counters["TcpExtTCPSACKReneging"] == 1
    assert ack(m, 2) == [2, 3]


def test_bogus_blocks_are_counted_and_move_nothing() -> None:
    m = sender()
    for block in ((20, 30), (5, 4), (9, 12)):
        assert ack(m, 0, block) == []
    assert m.counters["TcpExtTCPSACKDiscard"] == 3
    assert m.connection.info().cwnd == 10 * MSS


def test_blocks_without_permission_mean_nothing() -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=MSS)
    m.send(b"x" * (10 * MSS))
    m.sent()
    assert ack(m, 0, (1, 4)) == []


def test_a_duplicate_reported_is_counted() -> None:
    m = sender()
    ack(m, 3, (1, 2))
    ack(m, 3, (5, 6), (5, 8))
    assert (m.counters["TcpExtTCPDSACKRecv"], m.counters["TcpExtTCPDSACKOfoRecv"]) == (1, 1)


def test_a_smaller_path_mtu_resends_what_is_missing_only() -> None:
    m = sender(config=StackConfig(initial_window=10, min_path_mtu=540))
    ack(m, 0, (1, 2))
    m.connection.on_packet_too_big(540, seq=m.iss + 1 & 0xFFFFFFFF, now=m.now)
    m.pull()
    resent = m.sent()
    assert [s.seq for s in resent][:3] == [1, 501, edge(2)]
    assert all(len(s.data) <= 500 for s in resent)


# --- both ends ---


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("sack", [False, True])
def test_a_bad_network_changes_no_octet(seed: int, sack: bool) -> None:
    pick = random.Random(seed)
    data = random.Random(1).randbytes(300_000)

    def fate(sender: int, index: int) -> Fate:
        chance = pick.random()
        return () if chance < 0.08 else (10, 35) if chance < 0.1 else (40,) if chance < 0.13 else (10,)

    pair = Pair(fate, config=StackConfig(sack=sack))
    pair.open()
    pair.talkers += [Talker(pair.ends[0], data), Talker(pair.ends[1], b"")]
    pair.run_until_closed(seconds=2_000)
    assert pair.talkers[1].received == data


def burst(sack: bool) -> tuple[int, int]:
    """Ten segments in a row of a long transfer are lost: timeouts, and when all was there, in ms."""
    pair = Pair(lambda sender, index: () if sender == 0 and 60 <= index < 70 else (10,), config=StackConfig(sack=sack))
    pair.open()
    pair.talkers += [Talker(pair.ends[0], bytes(400_000)), Talker(pair.ends[1], b"")]
    while len(pair.talkers[1].received) < 400_000:
        assert pair.step(100_000_000_000)
    return pair.ends[0].tcb.counters["TcpExtTCPTimeouts"], pair.now // 1_000_000


def test_a_burst_of_losses_costs_less_with_sack() -> None:
    with_sack, without = burst(True), burst(False)
    assert with_sack[0] == 0
    assert with_sack[1] < without[1]
