"""The retransmission timeout of RFC 6298 (RFC 9293 3.8.1, MUST-18): samples, smoothing, Karn, back-off."""

import itertools

import pytest

from tests.support.machine import ISS, LOCAL, MASK, REMOTE, Machine, Sent
from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.counters import Counters
from userstack.tcp.connection import Connection
from userstack.tcp.fastopen import FastOpen
from userstack.tcp.state import State
from userstack.wire.tcp import ACK, SYN, TcpSegment

QUICK = StackConfig(rto_min=1 * MILLISECOND)
"""Without the floor of one second the formula itself is seen."""


def exchange(m: Machine, rtt: float) -> None:
    """One segment of data, acknowledged after ``rtt`` ms."""
    m.send(b"x")
    m.expect("ACK", data=b"x")
    m.wait(rtt)
    m.arrives("ACK")
    m.nothing_sent()


def observed_rto(m: Machine) -> float:
    """Send a segment that gets lost: the ms after which it is sent again."""
    m.send(b"y")
    first = m.expect("ACK", data=b"y")
    again = m.next_sent(within=200_000)
    assert (again.seq, again.data) == (first.seq, b"y")
    return (again.time - first.time) / MILLISECOND


@pytest.mark.requirement("MUST-18")
@pytest.mark.parametrize("passive", [False, True], ids=["active", "passive"])
def test_first_sample(passive: bool) -> None:
    """(2.2): SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 RTTVAR; the handshake is the first sample."""
    m = Machine.in_state(State.ESTABLISHED, config=QUICK, rtt=100, passive=passive)
    info = m.connection.info()
    assert (info.srtt, info.rttvar, info.rto) == (100 * MILLISECOND, 50 * MILLISECOND, 300 * MILLISECOND)
    assert observed_rto(m) == pytest.approx(300, abs=1)


@pytest.mark.requirement("MUST-18")
def test_smoothing() -> None:
    """(2.3): RTTVAR from the old SRTT first, then SRTT."""
    m = Machine.in_state(State.ESTABLISHED, config=QUICK, rtt=100)
    exchange(m, 200)
    info = m.connection.info()
    assert info.rttvar == pytest.approx(62.5 * MILLISECOND, abs=1000)
    assert info.srtt == pytest.approx(112.5 * MILLISECOND, abs=1000)
    assert info.rto == pytest.approx(362.5 * MILLISECOND, abs=10_000)
    exchange(m, 50)
    info = m.connection.info()
    assert info.rttvar == pytest.approx(62.5 * MILLISECOND, abs=1000)
    assert info.srtt == pytest.approx(104.6875 * MILLISECOND, abs=1000)
    assert observed_rto(m) == pytest.approx(354.6875, abs=1.1)


def test_variance_never_falls_below_the_clock_granularity() -> None:
    """(2.2) and section 4: RTO = SRTT + max(G, K * RTTVAR)."""
    m = Machine.in_state(State.ESTABLISHED, config=QUICK, rtt=100)
    for _ in range(100):
        exchange(m, 100)
    info = m.connection.info()
    assert info.srtt == pytest.approx(100 * MILLISECOND, abs=1000)
    assert info.rto == pytest.approx(101 * MILLISECOND, abs=10_000)


def test_floor_of_one_second() -> None:
    """(2.4)."""
    m = Machine.in_state(State.ESTABLISHED, rtt=10)
    assert m.connection.info().rto == 1 * SECOND
    assert observed_rto(m) == pytest.approx(1000, abs=1)


def test_ceiling() -> None:
    """(2.5)."""
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(rto_max=4 * SECOND, r2=10_000 * SECOND))
    m.send(b"x")
    m.sent()
    times = [m.next_sent(within=10_000).time for _ in range(8)]
    gaps = [(later - earlier) // SECOND for earlier, later in itertools.pairwise(times)]
    assert gaps == [2, 4, 4, 4, 4, 4, 4]


@pytest.mark.requirement("MUST-19")
def test_back_off_doubles() -> None:
    """(5.5), (5.6)."""
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(r2=10_000 * SECOND))
    m.send(b"x")
    times = [m.sent()[0].time, *(m.next_sent(within=61_000).time for _ in range(9))]
    gaps = [(later - earlier) // SECOND for earlier, later in itertools.pairwise(times)]
    assert gaps == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert m.connection.info().rto == 60 * SECOND


@pytest.mark.requirement("MUST-18")
def test_karn_takes_no_sample_from_what_was_sent_twice() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=QUICK, rtt=100)
    observed_rto(m)
    m.wait(10)
    m.arrives("ACK")
    info = m.connection.info()
    assert (info.srtt, info.rttvar) == (100 * MILLISECOND, 50 * MILLISECOND)


@pytest.mark.requirement("MUST-18")
@pytest.mark.parametrize(("tsval", "srtt"), [(None, None), (1_000, 10 * MILLISECOND)])
def test_karn_holds_for_a_syn_ack_that_a_repeated_syn_has_called_for(tsval: int | None, srtt: int | None) -> None:
    """Only a timestamp tells which of the two was acknowledged; and it counts as sent again, as in Linux."""
    m = Machine(config=StackConfig.linux(), tsval=tsval)
    m.open_passive()
    m.arrives("SYN", seq=0, options=m.syn_options())
    m.expect("SYN,ACK")
    m.wait(900)
    m.arrives("SYN", seq=0, options=m.syn_options())
    m.expect("SYN,ACK")
    m.wait(10)
    m.arrives("ACK", seq=1, ack=1)
    info = m.connection.info()
    assert (m.state, info.srtt, info.total_retrans) == (State.ESTABLISHED, srtt, 1)
    assert (m.counters["TcpRetransSegs"], m.counters["TcpExtTCPSynRetrans"]) == (1, 1)


@pytest.mark.requirement("MUST-18")
def test_karn_holds_for_a_syn_that_was_too_large_with_its_text() -> None:
    connection = Connection(
        LOCAL, config=StackConfig(), isn=lambda *_: ISS, counters=Counters(), mtu=1500, fast_open=FastOpen(room=1400)
    )
    connection.open_active(REMOTE, now=0)
    connection.send(b"x" * 1400, now=0)
    first = connection.poll_transmit(now=0)
    connection.on_packet_too_big(1000, seq=ISS, now=900 * MILLISECOND)
    again = connection.poll_transmit(now=900 * MILLISECOND)
    assert first is not None
    assert again is not None, "it goes out again at once, though the MSS of a peer that has named none yet was less all along"
    assert (len(first.payload), len(again.payload), again.flags) == (1400, 0, SYN)
    answer = TcpSegment(REMOTE.port, LOCAL.port, 0, ISS + 1 & MASK, SYN | ACK, 65535)
    connection.on_segment(answer, now=910 * MILLISECOND)
    assert (connection.state, connection.info().srtt) == (State.ESTABLISHED, None)


def test_back_off_is_kept_until_new_data_is_acknowledged_and_then_given_up() -> None:
    """RFC 9293 3.8.2: "keeping the backed-off value until a subsequent segment ... acknowledged without retransmission"."""
    m = Machine.in_state(State.ESTABLISHED, config=QUICK, rtt=100)
    assert observed_rto(m) == pytest.approx(300, abs=1)
    m.arrives("ACK")
    assert observed_rto(m) == pytest.approx(600, abs=1)
    m.arrives("ACK")
    exchange(m, 100)
    assert observed_rto(m) == pytest.approx(100 + 4 * 37.5, abs=1.1)


@pytest.mark.requirement("MUST-18")
def test_retransmission_among_others_takes_no_sample() -> None:
    """An ACK that covers a resent and a fresh segment at once says nothing certain of either."""
    m = Machine.in_state(State.ESTABLISHED, config=QUICK, rtt=100, mss=1000)
    m.send(b"x" * 2000)
    m.sent()
    m.wait(350)
    m.arrives("ACK", ack=2001)
    assert m.connection.info().srtt == 100 * MILLISECOND


def test_timer_runs_from_the_last_new_ack() -> None:
    """(5.3): an ACK of new data restarts the timer."""
    m = Machine.in_state(State.ESTABLISHED, rtt=10, mss=1000)
    m.send(b"x" * 2000)
    m.sent()
    m.wait(900)
    m.arrives("ACK", ack=1001)
    acked, rto = m.now, m.connection.info().rto
    again: Sent = m.next_sent(within=20_000)
    assert again.seq == 1001
    assert again.time - acked == pytest.approx(rto, abs=MILLISECOND)


def test_duplicate_ack_does_not_restart_the_timer() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"x")
    sent = m.sent()[0].time
    m.wait(900)
    m.arrives("ACK", ack=1)
    assert m.next_sent(within=200).time == sent + 1 * SECOND


def test_timer_stops_when_all_is_acknowledged() -> None:
    """(5.2)."""
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"x")
    m.arrives("ACK", ack=2)
    m.sent()
    assert m.connection.next_deadline() is None


@pytest.mark.parametrize("passive", [False, True], ids=["active", "passive"])
def test_lost_syn_makes_the_first_rto_three_seconds(passive: bool) -> None:
    """(5.7): "If the timer expires awaiting the ACK of a SYN segment"."""
    m = Machine.in_state(State.SYN_RECEIVED if passive else State.SYN_SENT, passive=passive)
    m.next_sent(within=1_000)
    m.wait(10)
    if passive:
        m.arrives("ACK", seq=1, ack=1)
    else:
        m.arrives("SYN,ACK", seq=0, ack=1, options=m.syn_options())
    m.sent()
    assert observed_rto(m) == pytest.approx(3000, abs=1)


def test_probe_of_the_clock_is_pure() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"x")
    deadlines = {m.connection.next_deadline() for _ in range(5)}
    assert deadlines == {m.now + 1 * SECOND}


def test_deadline_that_comes_too_early_does_nothing() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"x")
    m.sent()
    m.connection.on_deadline(now=m.now + 999 * MILLISECOND)
    assert m.connection.poll_transmit(now=m.now + 999 * MILLISECOND) is None
