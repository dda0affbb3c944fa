"""What a review of the core against the RFCs found: each test names its clause and what it expects."""

import contextlib
import gc
import weakref

import pytest

from tests.support.machine import LOCAL, REMOTE, Machine
from tests.support.pair import ENDS, Pair
from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.counters import Counters
from userstack.errors import HostUnreachable
from userstack.tcp.connection import Connection
from userstack.tcp.state import State
from userstack.wire.tcp import ACK, RST, SYN, TcpSegment


def shut(*, config: StackConfig | None = None) -> Machine:
    """ESTABLISHED, the peer's window closed."""
    m = Machine.in_state(State.ESTABLISHED, config=config, mss=1000)
    m.arrives("ACK", window=0)
    return m


def answer_probes(m: Machine, *, until: int) -> None:
    """Answer each probe at once, the window still shut, up to ``until`` (ns)."""
    while (deadline := m.subject.next_deadline()) is not None and deadline <= until:
        m.wait((deadline - m.now) / MILLISECOND)
        if m.sent():
            m.arrives("ACK", ack=1, window=0)


class Reader:
    """An application that reads all that comes at once."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.octets = 0

    def act(self, now: int) -> None:
        while self.connection.info().unread:
            self.octets += len(self.connection.receive(1 << 16, now=now))


# --- zero window ---


def test_idle_connection_behind_a_zero_window_is_not_probed_to_death() -> None:
    """RFC 9293 3.8.6.1, 3.8.3: nothing is outstanding and nothing waits, so no timer runs and R2 measures nothing."""
    m = shut()
    m.send(b"0")
    m.next_sent(within=2_000)
    m.arrives("ACK", ack=2, window=0)
    assert m.connection.next_deadline() is None
    m.wait(3_600_000)
    m.nothing_sent()
    m.expect_state(State.ESTABLISHED)


def test_fin_that_went_as_a_probe_leaves_no_timer_in_fin_wait_2() -> None:
    """RFC 9293 3.8.6.1: the FIN is acknowledged at a zero window; FIN-WAIT-2 waits as long as the application reads."""
    m = shut()
    m.close()
    m.next_sent(within=2_000)
    m.sent()
    m.arrives("ACK", ack=2, window=0)
    m.expect_state(State.FIN_WAIT_2)
    m.wait(3_600_000)
    m.expect_state(State.FIN_WAIT_2)


@pytest.mark.requirement("MUST-37")
@pytest.mark.parametrize("config", [StackConfig(r2=30 * SECOND), StackConfig(rto_max=240 * SECOND)], ids=["R2", "RTO"])
def test_answered_probes_never_end_the_connection(config: StackConfig) -> None:
    """MUST-37 holds also where probes come to lie farther apart than R2: each of them was answered."""
    m = shut(config=config)
    m.send(b"x")
    answer_probes(m, until=3600 * SECOND)
    m.expect_state(State.ESTABLISHED)


def both_shut() -> Pair:
    """Both ends send more than the other's application, which reads nothing, has room for."""
    pair = Pair(config=StackConfig(receive_buffer=4000))
    pair.open()
    pair.run(100)
    for end in pair.ends:
        end.send(b"x" * 50_000, now=pair.now)
    pair.flush()
    return pair


def test_two_ends_behind_zero_windows_do_not_answer_each_other_for_ever() -> None:
    """RFC 9293 3.10.7.4 step 1, MUST-66: an ACK with SEQ = SND.NXT past a probe is beyond a zero window, and so is its answer."""
    pair = both_shut()
    pair.run(10_000)
    assert sum(len(sent) for sent in pair.sent) < 200


def test_data_flows_towards_the_end_whose_own_data_waits_at_a_zero_window() -> None:
    """RFC 9293 3.10.7.4 step 1: "special allowance should be made to accept valid ACKs" when RCV.WND is zero.

    End 1 sends and does not read, end 0 reads and has a probe outstanding: its ACKs have to get through.
    """
    pair = Pair(config=StackConfig(receive_buffer=4000))
    pair.open()
    pair.run(100)
    pair.ends[0].send(b"q" * 10_000, now=pair.now)
    pair.flush()
    pair.run(5_000)
    reader = Reader(pair.ends[0])
    pair.ends[1].send(b"r" * 100_000, now=pair.now)
    pair.flush()
    for _ in range(1_000):
        pair.run(30)
        reader.act(pair.now)
        pair.flush()
    assert reader.octets == 100_000


def test_ack_beside_an_outstanding_probe_is_acceptable_to_the_peer() -> None:
    """RFC 9293 3.3.1 table 6: at a zero window only SEG.SEQ = RCV.NXT is; the probe's octet has not moved the peer's RCV.NXT."""
    m = shut()
    m.send(b"0123456789")
    m.next_sent(within=2_000)
    m.arrives("ACK", ack=1, window=0)
    m.arrives("ACK", ack=1, window=0, data=b"x" * 1000)
    m.arrives("ACK", ack=1, window=0, data=b"x" * 1000)
    m.expect("ACK", seq=1, ack=2001)


@pytest.mark.requirement("MUST-38")
def test_override_that_fired_behind_a_shut_window_is_forgotten() -> None:
    """RFC 9293 3.8.6.2.1: the override timeout counts while data is held back, not for a window that opens later by ten octets."""
    m = Machine.in_state(State.ESTABLISHED, mss=1000, window=60_000)
    m.send(b"x" * 1000)
    m.sent()
    m.arrives("ACK", window=100)
    m.send(b"y" * 5000)
    m.wait(10)
    m.arrives("ACK", window=0)
    m.wait(300)
    m.arrives("ACK", window=10)
    m.nothing_sent()


def test_desynchronized_ends_do_not_answer_each_other_without_limit() -> None:
    """RFC 5961 7 and RFC 9293 3.10.7.4 step 1: forged octets at both ends, and each bare ACK lies beyond the other's window."""
    pair = Pair(lambda sender, index: (1,))
    pair.open()
    pair.run(100)
    for index, end in enumerate(pair.ends):
        numbers = (end.tcb.rcv_nxt & 0xFFFFFFFF, end.tcb.snd_nxt & 0xFFFFFFFF)
        forged = TcpSegment(ENDS[1 - index].port, ENDS[index].port, *numbers, ACK, 65535, payload=b"forged")
        end.on_segment(forged, now=pair.now)
    pair.flush()
    pair.run(10_000)
    assert sum(len(sent) for sent in pair.sent) < 2_100  # challenge_ack_limit: 100 in a second from each


# --- receiving ---


def test_text_held_before_the_fin_was_known_does_not_run_over_it() -> None:
    """RFC 9293 3.10.7.4 step 8: nothing comes behind a FIN. Text 3 to 19 is held, then a FIN at 6 comes, then the hole closes."""
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", seq=3, data=b"x" * 17)
    m.arrives("FIN,ACK", seq=6)
    m.arrives("ACK", seq=1, data=b"ab")
    m.expect_state(State.CLOSE_WAIT)
    assert m.rcv_nxt == 7
    assert m.receive() == b"abxxx"


@pytest.mark.requirement("SHLD-31")
def test_one_island_of_many_small_segments_is_one_island() -> None:
    """``out_of_order_ranges`` counts islands: 300 small segments in a row behind one lost octet are one of them."""
    m = Machine.in_state(State.ESTABLISHED)
    for index in range(300):
        m.arrives("ACK", seq=2 + 10 * index, data=b"x" * 10)
    assert m.counters["TcpExtTCPOFODrop"] == 0
    m.arrives("ACK", seq=1, data=b"y")
    assert m.rcv_nxt == 3002


@pytest.mark.requirement("SHLD-3")
@pytest.mark.parametrize("state", [State.CLOSING, State.LAST_ACK])
def test_close_with_unread_data_resets_after_both_fins_too(state: State) -> None:
    """SHLD-3, RFC 2525 2.17: received data is pending when the application goes; shutdown and the peer's FIN change nothing."""
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", data=b"abc")
    if state is State.CLOSING:
        m.close()
    m.arrives("FIN,ACK", ack=1)
    if state is State.LAST_ACK:
        m.close()
    m.sent()
    m.expect_state(state)
    m.release()
    m.expect_state(State.CLOSED)
    m.expect("RST")


# --- timers ---


def test_partial_acks_restart_the_timer_only_once() -> None:
    """RFC 6582 3.2 step 3: "for the first partial ACK that arrives during fast recovery, also reset the retransmit timer"."""
    m = Machine.in_state(State.ESTABLISHED, mss=1000)
    m.send(b"x" * 10_000)
    m.wait(10)
    for _ in range(3):
        m.arrives("ACK", ack=1)
    m.wait(400)
    m.arrives("ACK", ack=1001)
    first = m.connection.next_deadline()
    m.wait(400)
    m.arrives("ACK", ack=2001)
    assert m.connection.next_deadline() == first


@pytest.mark.requirement("MUST-21")
def test_user_timeout_below_the_rto_holds_after_an_ack_too() -> None:
    """RFC 9293 3.8.3, 3.10.8: 500 ms after the last progress the connection ends, though the RTO is a second."""
    m = Machine.in_state(State.ESTABLISHED)
    m.connection.nodelay = True
    m.connection.user_timeout = 500 * MILLISECOND
    m.send(b"a")
    m.send(b"b")
    m.wait(10)
    m.arrives("ACK", ack=2)
    m.wait(501)
    m.expect_state(State.CLOSED)


def test_longer_user_timeout_brings_no_retransmission_before_the_rto() -> None:
    """RFC 6298 (5.4): the timer that stood at the end of a short user timeout has to move back to the RTO with it."""
    m = Machine.in_state(State.ESTABLISHED)
    m.connection.user_timeout = 500 * MILLISECOND
    m.send(b"a")
    m.sent()
    m.connection.user_timeout = None
    m.wait(900)
    m.nothing_sent()


def test_soft_error_of_long_ago_is_not_why_the_connection_dies() -> None:
    """RFC 9293 3.9.2.2, 3.8.3: what was acknowledged afterwards has overcome it."""
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"a")
    m.icmp(HostUnreachable(), hard=False, seq=1)
    m.arrives("ACK", ack=2)
    assert m.connection.soft_error is None


def test_soft_error_says_more_than_that_r1_has_passed() -> None:
    """``_give_up``: "an earlier soft error says more than 'timed out' does"; the note of R1 (SHLD-9) must not take its place."""
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"a")
    m.icmp(HostUnreachable(), hard=False, seq=1)
    m.wait(200_000)
    m.expect_state(State.CLOSED)
    assert isinstance(m.error, HostUnreachable)


def listening_again() -> Machine:
    """LISTEN once more, after a SYN whose SYN,ACK was sent three times and then reset (RFC 9293 3.5.3)."""
    m = Machine()
    m.open_passive()
    m.arrives("SYN", seq=0, options=m.syn_options())
    m.wait(4_000)
    m.arrives("RST", seq=1)
    m.expect_state(State.LISTEN)
    m.sent()
    m.peer_nxt = 0
    return m


def test_new_incarnation_has_the_first_rto() -> None:
    """RFC 6298 (2.1): a new SYN in the same LISTEN begins with one second, not with the last one's back-off."""
    m = listening_again()
    m.arrives("SYN", seq=0, options=m.syn_options())
    m.sent()
    began = m.now
    assert m.next_sent(within=60_000).time - began == SECOND


@pytest.mark.requirement("MUST-18")
def test_new_incarnation_does_not_measure_from_the_old_one() -> None:
    """RFC 6298 3: the SYN,ACK that is acknowledged is the one to be timed."""
    m = Machine()
    m.open_passive()
    m.arrives("SYN", seq=0)
    m.arrives("RST", seq=1)
    m.wait(50_000)
    m.peer_nxt = 0
    m.arrives("SYN", seq=0)
    m.wait(10)
    m.arrives("ACK", seq=1, ack=1)
    assert m.connection.info().srtt == 10 * MILLISECOND


@pytest.mark.requirement("MUST-18")
def test_crossing_syns_give_no_round_trip_time() -> None:
    """RFC 6298 3: SYN and SYN,ACK are one sequence number sent twice; the peer's SYN,ACK may answer either."""
    m = Machine.in_state(State.SYN_SENT)
    m.wait(90)
    m.arrives("SYN", seq=0, options=m.syn_options())
    m.wait(10)
    m.arrives("SYN,ACK", seq=0, ack=1)
    assert m.connection.info().srtt in (None, 100 * MILLISECOND)


def test_lost_syn_counts_in_a_simultaneous_open_too() -> None:
    """RFC 5681 3.1: one segment "if the SYN or SYN/ACK is lost"; RFC 6298 (5.7): the RTO then begins at three seconds."""
    m = Machine.in_state(State.SYN_SENT)
    m.wait(1_500)
    m.arrives("SYN", seq=0, options=m.syn_options())
    m.wait(10)
    m.arrives("ACK", seq=1, ack=1)
    m.expect_state(State.ESTABLISHED)
    assert m.connection.info().cwnd == 1460
    assert m.connection.info().rto == 3 * SECOND


def test_bare_acks_do_not_count_against_idleness() -> None:
    """RFC 5681 4.1: "has not sent data in an interval exceeding the retransmission timeout"; the ACKs of a receiver are no data."""
    m = Machine.in_state(State.ESTABLISHED, mss=1000)
    for _ in range(5):
        m.send(b"x" * 50_000)
        while flight := m.sent():
            m.wait(10)
            for segment in flight:
                m.arrives("ACK", ack=segment.end)
    for _ in range(20):
        m.wait(500)
        m.arrives("ACK", data=b"y")
    m.wait(100)
    m.sent()
    m.send(b"z" * 50_000)
    assert sum(len(segment.data) for segment in m.sent()) <= 10_000


# --- counters ---


def test_resets_of_an_established_connection_are_counted_from_the_right_states() -> None:
    """RFC 4022 tcpEstabResets: to CLOSED from ESTABLISHED or CLOSE-WAIT, whoever does it; from FIN-WAIT-2 it is none."""
    m = Machine.in_state(State.ESTABLISHED)
    m.abort()
    assert m.counters["TcpEstabResets"] == 1
    m = Machine.in_state(State.FIN_WAIT_2)
    m.arrives("RST", seq=1)
    m.expect_state(State.CLOSED)
    assert m.counters["TcpEstabResets"] == 0


def test_attempt_that_times_out_has_failed() -> None:
    """RFC 4022 tcpAttemptFails: to CLOSED from SYN-SENT or SYN-RECEIVED, for whatever reason."""
    m = Machine.in_state(State.SYN_SENT)
    m.wait(200_000)
    m.expect_state(State.CLOSED)
    assert m.counters["TcpAttemptFails"] == 1


def test_text_in_order_with_the_syn_is_not_out_of_order() -> None:
    """TcpExtTCPOFOQueue counts segments beyond a hole."""
    m = Machine.in_state(State.LISTEN)
    m.arrives("SYN", seq=0, data=b"early")
    assert m.counters["TcpExtTCPOFOQueue"] == 0


# --- memory ---


def test_raised_error_does_not_keep_the_connection_alive() -> None:
    """The error that a call raises holds its traceback, and with it the Tcb and its buffers: no cycle may lead back to it."""
    connection = Connection(LOCAL, config=StackConfig(), isn=lambda *_: 0, counters=Counters())
    connection.open_active(REMOTE, now=0)
    connection.on_segment(TcpSegment(REMOTE.port, LOCAL.port, 0, 1, SYN | ACK, 65535), now=0)
    connection.on_segment(TcpSegment(REMOTE.port, LOCAL.port, 1, 0, RST, 0), now=0)
    watched = weakref.ref(connection)
    gc.disable()
    try:
        with contextlib.suppress(ConnectionResetError):
            connection.receive(1, now=0)
        del connection
        assert watched() is None
    finally:
        gc.enable()
