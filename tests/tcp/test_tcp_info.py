"""What is measured for TCP_INFO, and the counters of loss recovery, of windows and of what is not accepted."""

from dataclasses import replace

import pytest

from tests.support.machine import Machine
from tests.tcp.test_rack import LINUX, MSS, RTT, ack, edge, later, phase, sender
from userstack.config import SECOND, StackConfig
from userstack.tcp.chronograph import BUSY, IDLE, RWND_LIMITED, Chronograph
from userstack.tcp.delivery import Delivery
from userstack.tcp.info import ConnectionInfo
from userstack.tcp.linux_info import NOTHING_HERE, SIZE, pack, values
from userstack.tcp.receiver_rtt import ReceiverRtt
from userstack.tcp.recovery import Phase
from userstack.tcp.reordering import Reordering
from userstack.tcp.state import State
from userstack.tcp.tally import Tally


def info(m: Machine) -> ConnectionInfo:
    return m.connection.info(now=m.now)


# --- the parts ---


def test_the_chronograph_gives_each_moment_to_one_reason() -> None:
    clock = Chronograph()
    clock.switch(BUSY, 10)
    clock.switch(RWND_LIMITED, 15)
    clock.switch(RWND_LIMITED, 18)
    clock.switch(IDLE, 25)
    assert (clock.spent(RWND_LIMITED, 100), clock.busy(100)) == (10, 15)
    clock.switch(BUSY, 100)
    assert clock.busy(107) == 22


def test_a_rate_is_what_was_delivered_since_the_last_segment_delivered_went_out() -> None:
    delivery = Delivery()
    for end in (10, 20, 30):
        delivery.sent(end - 10, end, 10, 100)
    delivery.acknowledged(20)
    assert delivery.sample(150, 1, marked=True) == 2
    assert (delivery.rate_delivered, delivery.rate_interval, delivery.rate_app_limited) == (2, 50, False)
    assert (delivery.delivered, delivery.delivered_ce, delivery.outstanding) == (2, 2, 1)
    delivery.sent(30, 40, 10, 150)
    delivery.selectively([(30, 40)])
    assert delivery.sample(200, 1, marked=False) == 1
    assert (delivery.sacked, delivery.outstanding, delivery.rate_interval) == (1, 2, 50)
    delivery.acknowledged(40)
    assert (delivery.sacked, delivery.outstanding, delivery.delivered, delivery.delivered_ce) == (0, 0, 4, 2)


def test_a_sample_below_the_least_round_trip_is_not_believed() -> None:
    delivery = Delivery()
    delivery.sent(0, 10, 10, 100)
    delivery.acknowledged(10)
    delivery.sample(150, 51, marked=False)
    assert delivery.rate_interval == 0


def test_what_the_application_limited_counts_only_where_it_was_more() -> None:
    delivery = Delivery()
    for end in (10, 20):
        delivery.sent(end - 10, end, 10, 0)
    delivery.acknowledged(20)
    delivery.sample(10, 1, marked=False)
    delivery.gave_all()
    delivery.sent(20, 30, 10, 20)
    delivery.acknowledged(30)
    delivery.sample(30, 1, marked=False)
    assert (delivery.rate_delivered, delivery.rate_app_limited) == (2, False)
    delivery.gave_all()
    for end in (40, 50, 60):
        delivery.sent(end - 10, end, 10, 40)
    delivery.acknowledged(60)
    delivery.sample(50, 1, marked=False)
    assert (delivery.rate_delivered, delivery.rate_app_limited) == (3, True)


def test_a_receiver_takes_the_time_of_a_window_for_a_round_trip_at_most() -> None:
    receiver = ReceiverRtt()
    receiver.begin(0, 100, 0)
    receiver.window_passed(10, 100, 1_000)
    receiver.window_passed(100, 100, 3_000)
    assert receiver.rtt == 0
    receiver.window_passed(110, 100, 6_000)
    assert receiver.rtt == 5_000
    receiver.window_passed(210, 100, 16_000)
    assert receiver.rtt == 5_000
    receiver.echoed(9_000, all_read=False)
    assert receiver.rtt == 5_000
    receiver.echoed(13_000, all_read=True)
    assert receiver.rtt == 6_000
    receiver.echoed(800, all_read=False)
    assert receiver.rtt == 800


def test_room_is_the_most_that_was_read_in_a_round_trip() -> None:
    receiver = ReceiverRtt()
    receiver.begin(0, 100, 0)
    receiver.read(500, 10)
    assert receiver.space == 100
    receiver.echoed(50, all_read=True)
    receiver.read(700, 40)
    assert receiver.space == 100
    receiver.read(900, 50)
    assert receiver.space == 900
    receiver.read(1_000, 100)
    assert receiver.space == 900


def test_reordering_is_the_longest_distance_in_segments() -> None:
    reordering = Reordering()
    reordering.found(0, 2_000, 1_000)
    assert (reordering.degree, reordering.seen) == (3, 1)
    reordering.found(0, 4_500, 1_000)
    reordering.found(9, 9, 1_000)
    assert (reordering.degree, reordering.seen) == (5, 2)
    reordering.found(0, 10**9, 1_000)
    assert reordering.degree == 300


def test_the_time_of_a_recovery_goes_on_until_it_is_over() -> None:
    tally = Tally()
    tally.timed_out(100, first=True)
    tally.timed_out(300, first=False)
    assert (tally.timeouts, tally.rto_recoveries, tally.time_in_rto(350)) == (2, 1, 250)
    tally.recovered(400)
    assert tally.time_in_rto(900) == 300


# --- of a connection ---


def test_the_buffer_that_is_full_is_what_limits() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=replace(LINUX, send_buffer=2 * MSS), sack=True, mss=MSS, rtt=RTT, passive=True)
    m.send(b"x" * 2 * MSS)
    m.sent()
    m.wait(20)
    told = values(info(m))
    assert (told["tcpi_sndbuf_limited"], told["tcpi_busy_time"], told["tcpi_rwnd_limited"]) == (20_000, 20_000, 0)
    m.arrives("ACK", ack=1 + 2 * MSS)
    m.wait(20)
    assert values(info(m))["tcpi_busy_time"] == 20_000


def test_super_segments_count_as_the_segments_they_were() -> None:
    m = Machine.in_state(State.ESTABLISHED, passive=True)
    before = info(m).segs_in
    m.arrives("ACK", data=b"x" * 14_600)
    assert (info(m).segs_in - before, info(m).data_segs_in) == (10, 10)


@pytest.mark.parametrize("most", [1, 12])
def test_a_segment_without_room_for_its_options_counts_as_one_octet(most: int) -> None:
    m = Machine.in_state(State.ESTABLISHED, passive=True, config=StackConfig(max_segment=most), tsval=1)
    m.arrives("ACK", data=b"x" * 2000)
    told = info(m)
    assert (told.data_segs_in, told.rcv_mss_seen, values(told)["tcpi_advmss"]) == (2000, 1, 1)
    assert len(pack(told)) == SIZE


def test_what_has_no_meaning_here_is_nothing() -> None:
    told = values(info(sender(3)))
    assert {name: told[name] for name in NOTHING_HERE} == dict.fromkeys(NOTHING_HERE, 0)


@pytest.mark.parametrize("rack", [True, False])
def test_lost_segments_are_told_one_by_one(rack: bool) -> None:
    m = sender(10, config=replace(LINUX, rack=rack))
    for end in (2, 3, 4):
        ack(m, 0, (1, end))
    told = values(info(m))
    assert [told[f"tcpi_{name}"] for name in ("unacked", "sacked", "lost", "retrans")] == [10, 3, 1, 1]


def test_without_sack_the_front_is_what_is_lost() -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=MSS, passive=True)
    m.send(b"x" * 8 * MSS)
    m.sent()
    for _ in range(3):
        m.arrives("ACK", ack=1)
    m.sent()
    told = values(info(m))
    assert [told[f"tcpi_{name}"] for name in ("ca_state", "unacked", "sacked", "lost", "retrans")] == [3, 8, 3, 1, 1]
    m.arrives("ACK", ack=1 + 8 * MSS)
    assert values(info(m))["tcpi_lost"] == 0


# --- counters ---


def test_undoing_is_counted_by_what_it_undid() -> None:
    m = sender(10, more=20)
    m.next_sent(within=200)
    later(m, 1_000)
    ack(m, 2)
    assert (m.counters["TcpExtTCPLossUndo"], m.counters["TcpExtTCPSpuriousRTOs"]) == (1, 1)
    m = sender(10, more=20, tsval=7)
    early = m.stamps()
    for end in (2, 3, 4):
        ack(m, 0, (1, end))
    m.wait(10)
    m.arrives("ACK", ack=edge(4), options=early)
    assert m.counters["TcpExtTCPPartialUndo"] == 1
    m = sender(10, tsval=7)
    early = m.stamps()
    for end in (2, 3, 4):
        ack(m, 0, (1, end))
    m.wait(10)
    m.arrives("ACK", ack=edge(10), options=early)
    assert m.counters["TcpExtTCPFullUndo"] == 1
    m = sender(10, more=20)
    for end in (2, 3, 4):
        ack(m, 0, (1, end))
    ack(m, 10)
    ack(m, 10, (0, 1))
    assert m.counters["TcpExtTCPDSACKUndo"] == 1


def test_a_timeout_is_counted_by_what_it_came_after() -> None:
    m = sender(10)
    for end in (2, 3, 4):
        ack(m, 0, (1, end))
    m.wait(2_000)
    assert (m.counters["TcpExtTCPSackRecoveryFail"], m.counters["TcpExtTCPSackFailures"]) == (1, 0)
    m = Machine.in_state(State.ESTABLISHED, mss=MSS, passive=True)
    m.send(b"x" * 2 * MSS)
    m.sent()
    m.arrives("ACK", ack=1)
    m.wait(2_000)
    assert m.counters["TcpExtTCPRenoFailures"] == 1
    m.sent()
    m.arrives("ACK", ack=1 + MSS)
    m.sent()
    m.wait(20_000)
    assert m.counters["TcpExtTCPLossFailures"] == 1


def test_a_timeout_after_sacks_and_one_within_a_recovery_without() -> None:
    m = sender(2, config=replace(LINUX, rack=False))
    ack(m, 0, (1, 2))
    m.wait(2_000)
    assert m.counters["TcpExtTCPSackFailures"] == 1
    m = Machine.in_state(State.ESTABLISHED, mss=MSS, passive=True)
    m.send(b"x" * 8 * MSS)
    m.sent()
    for _ in range(3):
        m.arrives("ACK", ack=1)
    m.wait(3_000)
    assert m.counters["TcpExtTCPRenoRecoveryFail"] == 1


def test_what_follows_a_timeout_goes_again_in_slow_start() -> None:
    m = sender(10)
    m.next_sent(within=200)
    m.next_sent(within=1_000)
    assert (phase(m), m.counters["TcpExtTCPSlowStartRetrans"]) == (Phase.LOSS, 0)
    assert ack(m, 1) == [1, 2]
    assert (m.counters["TcpExtTCPSlowStartRetrans"], m.counters["TcpExtTCPFastRetrans"]) == (2, 0)


def test_a_window_that_shuts_and_opens() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=replace(LINUX, receive_buffer=2_920), passive=True)
    m.arrives("ACK", data=b"x" * 1_460)
    m.arrives("ACK", seq=1_461, data=b"x" * 1_460)
    m.sent()
    m.wait(100)
    assert (m.counters["TcpExtTCPToZeroWindowAdv"], m.counters["TcpExtTCPFromZeroWindowAdv"]) == (1, 0)
    m.arrives("ACK", seq=2_921, data=b"x")
    assert m.counters["TcpExtTCPZeroWindowDrop"] == 1
    m.sent()
    m.receive()
    m.sent()
    assert (m.counters["TcpExtTCPToZeroWindowAdv"], m.counters["TcpExtTCPFromZeroWindowAdv"]) == (1, 1)


def test_acks_that_are_not_sent_are_counted_by_their_reason() -> None:
    config = replace(LINUX, invalid_ratelimit=SECOND)
    m = Machine.in_state(State.ESTABLISHED, config=config, tsval=1_000, passive=True)
    m.arrives("ACK", seq=200_000)
    m.arrives("ACK", seq=200_000)
    assert m.counters["TcpExtTCPACKSkippedSeq"] == 1
    m.tsval = 5
    m.arrives("ACK", seq=1)
    assert m.counters["TcpExtTCPACKSkippedPAWS"] == 1
    m.tsval = 2_000
    m.arrives("RST", seq=5)
    assert (m.counters["TcpExtTCPACKSkippedChallenge"], m.counters["TcpExtTCPChallengeACK"]) == (1, 0)


def test_the_gauge_of_established_connections() -> None:
    m = Machine.in_state(State.ESTABLISHED, passive=True)
    assert m.counters["TcpCurrEstab"] == 1
    m.arrives("FIN,ACK")
    assert m.counters["TcpCurrEstab"] == 1
    m.close()
    assert m.counters["TcpCurrEstab"] == 0


def test_an_abort_that_loses_data_is_counted() -> None:
    m = Machine.in_state(State.ESTABLISHED, passive=True)
    m.abort()
    assert m.counters["TcpExtTCPAbortOnData"] == 1
