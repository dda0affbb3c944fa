"""RACK-TLP (RFC 8985), PRR (RFC 6937), F-RTO (RFC 5682), the Eifel and D-SACK undo (RFC 3522, 3708), in the Linux profile.

Each pattern of segments was held against a 6.18 kernel.
"""

import random
from dataclasses import replace

import pytest

from tests.support.machine import Machine
from tests.support.pair import Fate, Pair, Talker
from userstack.config import MILLISECOND, StackConfig
from userstack.tcp.prr import RateReduction
from userstack.tcp.recovery import Phase
from userstack.tcp.state import State

LINUX = replace(StackConfig.linux(), delayed_ack=40 * MILLISECOND)
MSS = 1_000
RTT = 50
PTO = 2 * RTT + 2
RTO = RTT + 200


def sender(segments: int, *, more: int = 0, tsval: int | None = None, config: StackConfig = LINUX) -> Machine:
    """A machine that has just sent so many segments of ``MSS`` octets, the first ten at once, and has ``more`` to send."""
    mss = MSS + (12 if tsval is not None else 0)
    m = Machine.in_state(State.ESTABLISHED, config=config, sack=True, mss=mss, rtt=RTT, tsval=tsval, scale=7, passive=True)
    m.arrives("ACK")
    m.send(b"x" * (MSS * (segments + more)))
    assert numbers(m) == list(range(min(segments, 10)))
    m.wait(RTT)
    return m


def numbers(m: Machine) -> list[int]:
    """Which segments went out."""
    return [(sent.seq - 1) // MSS for sent in m.sent()]


def edge(number: int) -> int:
    return 1 + number * MSS


def ack(m: Machine, number: int, *blocks: tuple[int, int]) -> list[int]:
    """The peer has everything below segment ``number``, and SACKs segments; which segments that lets out."""
    options = m.sacked(*((edge(first), edge(end)) for first, end in blocks)) if blocks else None
    m.arrives("ACK", ack=edge(number), options=options)
    return numbers(m)


def later(m: Machine, within: float) -> tuple[int, float]:
    """The next segment that goes out of itself, and after how many ms."""
    start = m.now
    return (m.next_sent(within=within).seq - 1) // MSS, (m.now - start) / MILLISECOND


def phase(m: Machine) -> Phase:
    return m.connection.info().phase


# --- RACK: what is lost ---


def test_three_segments_beyond_prove_a_loss_at_once() -> None:
    m = sender(10)
    assert ack(m, 0, (1, 2)) == []
    assert ack(m, 0, (1, 3)) == []
    assert ack(m, 0, (1, 4)) == [0]
    assert phase(m) is Phase.RECOVERY
    assert ack(m, 10) == []
    assert phase(m) is Phase.OPEN
    assert m.counters["TcpExtTCPSackRecovery"] == 1


def test_fewer_prove_it_a_quarter_of_the_round_trip_later() -> None:
    m = sender(3)
    assert ack(m, 0, (1, 2)) == []
    assert phase(m) is Phase.DISORDER
    assert later(m, 100) == (0, RTT / 4)


def test_reordering_that_was_seen_makes_three_prove_nothing() -> None:
    m = sender(10)
    ack(m, 0, (1, 2))
    ack(m, 2)  # the first one was only late
    for end in (4, 5, 6, 7):
        assert ack(m, 2, (3, end)) == []
    assert later(m, 100) == (2, RTT / 4)


def test_only_what_is_missing_is_sent_again_in_the_size_that_it_had() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=replace(LINUX, nagle=False), sack=True, mss=MSS, rtt=RTT, scale=7)
    m.arrives("ACK")
    for size in (300, 200, 100, 400, 500):
        m.send(b"x" * size)
    m.sent()
    m.wait(RTT)
    m.arrives("ACK", ack=1, options=m.sacked((301, 1_501)))
    assert [(sent.seq, len(sent.data)) for sent in m.sent()] == [(1, 300)]


def test_what_is_larger_than_the_window_after_a_timeout_goes_again_in_pieces() -> None:
    """The path takes less than it did, as another connection has found out: what was sent before is no reason to wait for ever."""
    m = Machine.in_state(State.ESTABLISHED, config=LINUX, sack=True, mss=MSS, rtt=RTT, scale=7, passive=True)
    m.arrives("ACK")
    for _ in range(3):
        m.send(b"x" * MSS)
    m.sent()
    m.connection.tcb.lower.path.learn(600, least=552, lifetime=600_000 * MILLISECOND, now=m.now)
    m.wait(5_000)
    assert {(sent.seq, len(sent.data)) for sent in m.sent()[-2:]} == {(1, 560)}
    m.arrives("ACK", ack=561)
    assert [(sent.seq, len(sent.data)) for sent in m.sent()] == [(561, 440), (1001, 560)]


def test_a_retransmission_that_is_lost_is_found_by_what_was_sent_after_it() -> None:
    m = sender(10, more=20)
    for end in range(2, 11):
        ack(m, 0, (1, end))
        m.wait(1)
    m.wait(RTT)
    assert 0 not in ack(m, 0, (1, 12))
    assert 0 in ack(m, 0, (1, 13))
    assert m.connection.info().total_retrans == 2


def test_the_timer_of_a_retransmitted_head_begins_anew() -> None:
    m = sender(3)
    ack(m, 0, (1, 2))
    m.next_sent(within=100)
    assert later(m, 1_000) == (0, RTO)


def test_a_block_in_the_middle_of_a_segment_splits_it() -> None:
    m = sender(4)
    m.arrives("ACK", ack=1, options=m.sacked((edge(1) + 500, edge(4))))
    m.wait(20)
    assert [(sent.seq, len(sent.data)) for sent in m.sent()][:2] == [(1, 1_000), (1_001, 500)]


def test_bogus_blocks_are_counted() -> None:
    m = sender(5)
    ack(m, 0, (4, 2))
    ack(m, 0, (3, 9))
    assert m.counters["TcpExtTCPSACKDiscard"] == 2
    assert phase(m) is Phase.OPEN


# --- PRR ---


def test_every_second_delivery_lets_one_segment_out() -> None:
    m = sender(10, more=30)
    sent = [ack(m, 0, (1, end)) for end in range(2, 11)]
    assert sent == [[10], [11], [0], [], [12], [], [13], [], []]
    assert m.connection.info().ssthresh == 5 * MSS


def test_the_account_of_a_recovery() -> None:
    """RFC 6937 3.1: above the target in proportion, below it no faster than slow start."""
    reduction = RateReduction(10, 5)
    counts = []
    for pipe in range(9, 5, -1):
        count = reduction.allow(pipe, 1, una_moved=False, newly_lost=0)
        counts.append(count)
        reduction.sent += count
    assert counts == [1, 0, 1, 0]
    assert reduction.allow(3, 1, una_moved=True, newly_lost=0) == 2
    assert RateReduction(10, 5).allow(0, 0, una_moved=False, newly_lost=3) == 1


# --- TLP ---


def test_the_last_segment_is_sent_again_after_two_round_trips() -> None:
    m = sender(3)
    assert ack(m, 1) == []
    number, after = later(m, 400)
    assert (number, after) == (2, PTO)
    assert m.counters["TcpExtTCPLossProbes"] == 1
    assert m.counters["TcpExtTCPTimeouts"] == 0


def test_a_lone_segment_is_given_the_time_of_a_delayed_ack() -> None:
    m = sender(1)
    assert later(m, 1_000) == (0, RTO - RTT)  # the timer of the retransmission comes first, and is a probe's
    assert m.counters["TcpExtTCPTimeouts"] == 0
    assert later(m, 1_000) == (0, RTO)
    assert m.counters["TcpExtTCPTimeouts"] == 1


def test_new_data_is_the_better_probe() -> None:
    m = sender(10, more=2)
    assert later(m, 400) == (10, PTO - RTT)
    assert m.connection.info().total_retrans == 0


def test_the_sack_of_a_probe_tells_of_the_tail() -> None:
    m = sender(5)
    m.next_sent(within=200)
    m.wait(RTT)
    assert ack(m, 2, (4, 5)) == []
    m.wait(20)
    assert numbers(m)[:1] == [2]


def test_a_probe_that_repaired_the_loss_costs_half_the_window() -> None:
    m = sender(3, more=0)
    m.next_sent(within=200)
    m.wait(RTT)
    m.arrives("ACK", ack=edge(3))
    assert m.connection.info().ssthresh > 1 << 20  # not told yet from one that was needless
    m.send(b"y" * 10)
    m.sent()
    m.arrives("ACK")
    assert m.connection.info().ssthresh < 1 << 20
    assert m.counters["TcpExtTCPLossProbeRecovery"] == 1


def test_a_needless_probe_costs_nothing() -> None:
    m = sender(3)
    m.next_sent(within=200)
    ack(m, 3, (2, 3))  # a D-SACK
    m.send(b"y" * 10)
    m.sent()
    m.arrives("ACK")
    assert m.connection.info().ssthresh > 1 << 20


def test_without_sack_there_are_no_probes() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=LINUX, mss=MSS, rtt=RTT)
    m.send(b"x" * 3_000)
    m.sent()
    assert later(m, 1_000) == (0, RTO)


# --- the retransmission timeout ---


def test_a_timeout_takes_what_is_old_enough_as_lost() -> None:
    m = sender(10)
    m.next_sent(within=200)
    m.next_sent(within=1_000)
    assert phase(m) is Phase.LOSS
    assert ack(m, 1) == [1, 2]
    assert ack(m, 3) == [3, 4, 5, 6]


def test_a_peer_that_reneges_gets_everything_again() -> None:
    m = sender(4)
    ack(m, 0, (1, 3))
    ack(m, 1)
    m.sent()
    m.wait(600)
    assert m.counters["TcpExtTCPSACKReneging"] == 1
    assert (m.sent()[-1].seq - 1) // MSS == 1


# --- what was needless is given back ---


def test_a_timeout_that_came_too_early_is_taken_back() -> None:
    """F-RTO: what was sent once only is acknowledged."""
    m = sender(10, more=20)
    m.next_sent(within=200)
    assert later(m, 1_000)[0] == 0
    assert ack(m, 2)[0] == 11
    assert phase(m) is Phase.OPEN
    assert m.connection.info().cwnd >= 10 * MSS


def test_after_a_timeout_new_data_asks_whether_it_came_too_early() -> None:
    """F-RTO, step 2 (b), and 3 (a) where it did not."""
    m = sender(10, more=20)
    m.next_sent(within=200)
    m.next_sent(within=1_000)
    assert ack(m, 1) == [11, 12]
    m.wait(RTT)
    assert 1 in [*ack(m, 1, (11, 12)), *ack(m, 1, (11, 13))]
    assert phase(m) is Phase.LOSS


def test_an_ack_that_echoes_the_original_takes_the_recovery_back() -> None:
    m = sender(10, more=20, tsval=7)
    early = m.stamps()
    for end in (2, 3, 4):
        ack(m, 0, (1, end))
    assert m.connection.info().ssthresh == 5 * MSS
    m.wait(10)
    m.arrives("ACK", ack=edge(4), options=early)
    assert phase(m) is Phase.OPEN
    assert m.connection.info().cwnd >= 10 * MSS
    assert m.connection.info().ssthresh > 1 << 20


def test_a_d_sack_of_all_that_was_sent_again_takes_it_back() -> None:
    m = sender(10, more=20)
    for end in (2, 3, 4):
        ack(m, 0, (1, end))
    ack(m, 10)
    assert m.connection.info().ssthresh == 5 * MSS
    ack(m, 10, (0, 1))
    assert m.connection.info().ssthresh > 1 << 20


# --- both ends ---


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("profile", ["linux", "freebsd"])
def test_a_bad_network_changes_no_octet(seed: int, profile: str) -> None:
    pick = random.Random(seed)
    data = random.Random(1).randbytes(300_000)

    def fate(sender: int, index: int) -> Fate:
        chance = pick.random()
        return () if chance < 0.08 else (10, 35) if chance < 0.1 else (40,) if chance < 0.13 else (10,)

    pair = Pair(fate, config=StackConfig.linux() if profile == "linux" else StackConfig.freebsd())
    pair.open()
    pair.talkers += [Talker(pair.ends[0], data), Talker(pair.ends[1], data[:50_000])]
    pair.run_until_closed(seconds=2_000)
    assert (pair.talkers[0].received, pair.talkers[1].received) == (data[:50_000], data)
