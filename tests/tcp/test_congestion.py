"""Slow start and congestion avoidance (RFC 5681, RFC 6928; RFC 9293 3.8.2, MUST-19)."""

import pytest

from tests.support.machine import Machine
from userstack.config import StackConfig
from userstack.tcp.congestion.reno import Reno
from userstack.tcp.state import State

MSS = 1000


def loaded(*, initial_window: int = 2, window: int = 65_535) -> Machine:
    """ESTABLISHED with 200 000 octets to send and the first flight out."""
    m = Machine.in_state(State.ESTABLISHED, mss=MSS, window=window, config=StackConfig(initial_window=initial_window))
    m.send(b"x" * 200_000)
    return m


def flight(m: Machine) -> int:
    """Octets sent and not acknowledged, as the peer sees it."""
    return m.sent_nxt - m.snd_una


@pytest.mark.parametrize("segments", [1, 2, 4, 10])
def test_initial_window(segments: int) -> None:
    m = loaded(initial_window=segments)
    assert [len(segment.data) for segment in m.sent()] == [MSS] * segments
    assert m.connection.info().cwnd == segments * MSS


def test_default_initial_window_is_that_of_rfc_6928() -> None:
    """min(10 * MSS, max(2 * MSS, 14600))."""
    m = Machine.in_state(State.ESTABLISHED, mss=1460)
    m.send(b"x" * 60_000)
    assert len(m.sent()) == 10
    large = Machine.in_state(State.ESTABLISHED, mss=8960, mtu=9000)
    large.send(b"x" * 60_000)
    assert sum(len(segment.data) for segment in large.sent()) == 17_920


@pytest.mark.parametrize("passive", [False, True])
@pytest.mark.parametrize(("losses", "segments"), [(0, 10), (1, 10), (2, 1)])
def test_initial_window_after_lost_syns(losses: int, segments: int, passive: bool) -> None:
    """RFC 6928 2 on RFC 5681 3.1: one segment, but only where more than one repetition says that it was really lost."""
    m = Machine.in_state(State.SYN_RECEIVED if passive else State.SYN_SENT, passive=passive)
    for _ in range(losses):
        m.next_sent(within=3_000)
    if passive:
        m.arrives("ACK", seq=1, ack=1)
    else:
        m.arrives("SYN,ACK", seq=0, ack=1, options=m.syn_options())
    m.sent()
    m.send(b"x" * 20_000)
    assert [len(segment.data) for segment in m.sent()] == [1460] * segments


def test_handshake_does_not_open_the_window() -> None:
    m = Machine.in_state(State.ESTABLISHED, passive=True, mss=MSS, config=StackConfig(initial_window=3))
    assert m.connection.info().cwnd == 3 * MSS


@pytest.mark.requirement("MUST-19")
def test_slow_start_adds_one_segment_for_each_ack() -> None:
    m = loaded()
    assert flight(m) == 2 * MSS
    for acked in range(1, 9):
        m.arrives("ACK", ack=1 + acked * MSS)
        assert m.connection.info().cwnd == (2 + acked) * MSS
        assert flight(m) == (2 + acked) * MSS


def test_slow_start_adds_no_more_than_one_segment_for_an_ack_of_many() -> None:
    """RFC 5681 (2): cwnd += min(N, SMSS)."""
    m = loaded(initial_window=4)
    m.arrives("ACK", ack=1 + 4 * MSS)
    assert m.connection.info().cwnd == 5 * MSS


def test_slow_start_is_not_fooled_by_divided_acks() -> None:
    m = loaded(initial_window=4)
    for octets in range(100, 1001, 100):
        m.arrives("ACK", ack=1 + octets)
    assert m.connection.info().cwnd == 5 * MSS


def test_duplicate_acks_do_not_count_as_new_data() -> None:
    m = loaded(initial_window=4)
    before = m.connection.info().cwnd
    m.arrives("ACK", ack=1)
    m.arrives("ACK", ack=1)
    assert m.connection.info().cwnd == before


@pytest.mark.requirement("MUST-19")
def test_timeout_halves_the_threshold_and_starts_with_one_segment() -> None:
    """RFC 5681 (4): ssthresh = max(FlightSize / 2, 2 * SMSS), cwnd = 1 segment."""
    m = loaded(initial_window=10)
    m.sent()
    m.next_sent(within=1_000)
    m.nothing_sent()
    info = m.connection.info()
    assert (info.cwnd, info.ssthresh) == (MSS, 5 * MSS)


def test_threshold_is_never_below_two_segments() -> None:
    m = loaded(initial_window=1)
    m.sent()
    m.next_sent(within=1_000)
    assert m.connection.info().ssthresh == 2 * MSS


def test_second_timeout_of_the_same_segment_keeps_the_threshold() -> None:
    m = loaded(initial_window=10)
    m.sent()
    for _ in range(3):
        m.next_sent(within=10_000)
    assert m.connection.info().ssthresh == 5 * MSS


@pytest.mark.requirement("MUST-19")
def test_congestion_avoidance_adds_one_segment_in_a_round_trip() -> None:
    m = loaded(initial_window=16)
    m.sent()
    m.next_sent(within=1_000)
    while m.connection.info().cwnd <= m.connection.info().ssthresh:
        m.sent()
        m.arrives("ACK", ack=m.snd_una + MSS)
    for _ in range(5):
        before = m.connection.info().cwnd
        for _ in range(before // MSS):
            m.sent()
            m.arrives("ACK", ack=m.snd_una + MSS)
        grown = m.connection.info().cwnd - before
        assert MSS // 2 <= grown <= MSS


def test_peers_window_bounds_what_the_congestion_window_allows() -> None:
    m = loaded(initial_window=10, window=4 * MSS)
    assert flight(m) == 4 * MSS


@pytest.mark.requirement("MUST-17")
def test_nodelay_does_not_escape_congestion_control() -> None:
    """RFC 9293 3.7.4: "In all cases, sending data is also subject to ... slow start"."""
    m = Machine.in_state(State.ESTABLISHED, mss=MSS, config=StackConfig(initial_window=2))
    m.connection.nodelay = True
    m.send(b"x" * 10_000)
    assert flight(m) == 2 * MSS


def test_transfer_that_never_loses_ends_without_a_timeout() -> None:
    m = loaded()
    while m.snd_una < 200_001:
        assert m.sent()
        m.wait(5)
        m.arrives("ACK")
    assert m.counters["TcpRetransSegs"] == 0
    assert sum(len(segment.data) for segment in m.log) == 200_000


@pytest.mark.parametrize("slow_start_after_idle", [True, False])
def test_idle_connection_starts_again_from_the_initial_window(slow_start_after_idle: bool) -> None:
    """RFC 5681 4.1: after an idle time longer than the RTO, RW = min(IW, cwnd)."""
    config = StackConfig(initial_window=2, slow_start_after_idle=slow_start_after_idle)
    m = Machine.in_state(State.ESTABLISHED, mss=MSS, config=config)
    m.send(b"x" * 20_000)
    while m.snd_una < 20_001:
        m.sent()
        m.arrives("ACK")
    assert m.connection.info().cwnd > 5 * MSS
    m.wait(5_000)
    m.sent()
    cwnd = m.connection.info().cwnd
    m.send(b"y" * 20_000)
    assert flight(m) == (2 * MSS if slow_start_after_idle else cwnd // MSS * MSS)


def test_an_idle_time_behind_a_shut_window_counts_when_it_opens_and_not_before() -> None:
    """RFC 5681 4.1 reduces before transmission begins, and the probes of a shut window are none."""
    m = Machine.in_state(State.ESTABLISHED, mss=MSS, config=StackConfig(initial_window=2))
    m.send(b"x" * 20_000)
    while m.snd_una < 20_001:
        m.sent()
        m.arrives("ACK", window=0 if m.connection.info().unsent == 0 else 65_535)
    before = m.connection.info().cwnd
    m.wait(5_000)
    m.send(b"y" * 20_000)
    m.wait(5_000)
    assert m.connection.info().cwnd == before > 2 * MSS
    m.sent()
    m.arrives("ACK")
    assert flight(m) == 2 * MSS


def test_third_duplicate_ack_resends_at_once() -> None:
    """RFC 5681 3.2, steps 2 to 4."""
    m = loaded(initial_window=10)
    m.sent()
    for _ in range(2):
        m.arrives("ACK", ack=1)
        assert all(segment.seq > 1 for segment in m.sent())
    m.arrives("ACK", ack=1)
    again = m.sent()[0]
    assert (again.seq, len(again.data)) == (1, MSS)
    info = m.connection.info()
    assert info.ssthresh <= 6 * MSS
    assert info.cwnd == info.ssthresh + 3 * MSS
    m.arrives("ACK", ack=1)
    assert m.connection.info().cwnd == info.cwnd + MSS


def test_new_ack_ends_fast_recovery_with_half_the_window() -> None:
    """RFC 5681 3.2, step 6."""
    m = loaded(initial_window=10)
    m.sent()
    for _ in range(3):
        m.arrives("ACK", ack=1)
    ssthresh = m.connection.info().ssthresh
    m.arrives("ACK")
    assert m.connection.info().cwnd <= ssthresh


def test_partial_ack_resends_the_next_hole() -> None:
    """RFC 6582 3.2, step 3."""
    m = loaded(initial_window=10)
    m.sent()
    for _ in range(3):
        m.arrives("ACK", ack=1)
    m.sent()
    m.arrives("ACK", ack=1 + 3 * MSS)
    again = m.sent()[0]
    assert (again.seq, len(again.data)) == (1 + 3 * MSS, MSS)


@pytest.mark.parametrize("kind", ["text", "window", "older"])
def test_what_is_no_duplicate_ack_resends_nothing(kind: str) -> None:
    """RFC 5681 2: no data, the same window, SEG.ACK = SND.UNA, something outstanding."""
    m = loaded(initial_window=10, window=60_000)
    m.arrives("ACK", ack=1 + MSS)
    m.sent()
    for turn in range(6):
        if kind == "text":
            m.arrives("ACK", ack=1 + MSS, data=b"text")
        else:
            m.arrives("ACK", ack=1 + MSS if kind == "window" else 1, window=60_000 - turn - 1)
    assert all(segment.seq > 9 * MSS for segment in m.sent() if segment.data)
    assert m.counters["TcpRetransSegs"] == 0


def test_packet_too_big_makes_segments_smaller() -> None:
    """RFC 1191 6.3: what did not fit is sent again at once, in pieces that do."""
    m = Machine.in_state(State.ESTABLISHED, mss=1460)
    m.send(b"x" * 2920)
    m.sent()
    m.connection.on_packet_too_big(1000, seq=(m.iss + 1) % 2**32, now=m.now)
    m.pull()
    got = b""
    while sent := m.sent():
        assert max(len(segment.data) for segment in sent) <= 960
        got += b"".join(segment.data for segment in sent)
        m.arrives("ACK", ack=sent[-1].end)
    assert got == b"x" * 2920
    assert m.connection.info().snd_mss == 960


@pytest.mark.parametrize(("mtu", "seq"), [(1500, 1), (9000, 1), (1000, 100_000), (1000, -1)])
def test_packet_too_big_that_says_nothing_is_ignored(mtu: int, seq: int) -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=1460)
    m.send(b"x" * 2920)
    m.sent()
    m.connection.on_packet_too_big(mtu, seq=(m.iss + seq) % 2**32, now=m.now)
    m.pull()
    m.nothing_sent()
    assert m.connection.info().snd_mss == 1460


@pytest.mark.parametrize("mtu", [0, 1, 68, 40])
def test_absurd_packet_too_big_still_lets_data_through(mtu: int) -> None:
    """RFC 791: every link carries 68 octets."""
    m = Machine.in_state(State.ESTABLISHED, mss=1460, config=StackConfig(min_path_mtu=68))
    m.send(b"x" * 500)
    m.sent()
    m.connection.on_packet_too_big(mtu, seq=(m.iss + 1) % 2**32, now=m.now)
    m.pull()
    assert m.connection.info().snd_mss == 28
    while m.snd_una < 501:
        assert m.sent()
        m.arrives("ACK")


def test_timeout_ends_fast_recovery() -> None:
    """RFC 6582 4: after a timeout there is slow start from one segment, and no window inflated by duplicates."""
    m = loaded(initial_window=10)
    m.sent()
    for _ in range(3):
        m.arrives("ACK", ack=1)
    m.sent()
    m.next_sent(within=2_000)
    assert m.connection.info().cwnd == MSS
    m.sent()
    m.arrives("ACK", ack=1 + MSS)
    assert m.connection.info().cwnd == 2 * MSS
    m.arrives("ACK", ack=1 + 2 * MSS)
    assert m.connection.info().cwnd == 3 * MSS


@pytest.mark.parametrize(("acked", "change"), [(500, -500), (1000, 0), (3000, -2000)])
def test_partial_ack_deflates_the_window(acked: int, change: int) -> None:
    """RFC 6582 3.2 step 3: less what was acknowledged, plus one segment if that was at least one."""
    m = loaded(initial_window=10)
    m.sent()
    for _ in range(3):
        m.arrives("ACK", ack=1)
    before = m.connection.info().cwnd
    m.arrives("ACK", ack=1 + acked)
    assert m.connection.info().cwnd == before + change


@pytest.mark.parametrize(("limit", "grown"), [(1, 1), (2, 2), (65535, 4)])
def test_one_ack_of_four_segments_adds_as_many_as_the_limit_says(limit: int, grown: int) -> None:
    """RFC 5681 (2) with a limit of one segment, RFC 3465 2.2 with more."""
    reno = Reno(MSS, 10 * MSS, limit=limit)
    reno.on_ack(4 * MSS, 10 * MSS)
    assert reno.cwnd == (10 + grown) * MSS


@pytest.mark.parametrize(("sent", "grown"), [(5, 0), (6, 2), (9, 8), (10, 10)])
def test_a_validated_window_grows_only_while_more_than_half_of_it_is_used(sent: int, grown: int) -> None:
    """As RFC 7661 4.3 has it for slow start; what was used counts until it has been acknowledged."""
    reno = Reno(MSS, 10 * MSS, limit=65535, validate=True)
    for acked in range(0, sent, 2):
        reno.on_ack(min(2, sent - acked) * MSS, (sent - acked) * MSS)
    assert reno.cwnd == (10 + grown) * MSS


def test_a_validated_window_in_congestion_avoidance_grows_only_when_it_was_full() -> None:
    for spare, grown in ((0, 1), (1, 0)):
        reno = Reno(MSS, 10 * MSS, validate=True)
        reno.ssthresh = 10 * MSS
        reno.on_ack((10 - spare) * MSS, (10 - spare) * MSS)
        reno.on_ack((10 - spare) * MSS, (10 - spare) * MSS)
        assert reno.cwnd == (10 + grown) * MSS
