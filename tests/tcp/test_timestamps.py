"""RFC 7323 3 to 5: the Timestamps option, which timestamp is echoed, round-trip times by it, PAWS; RFC 6191 in TIME-WAIT."""

from typing import Any

import pytest

from tests.support.machine import LOCAL, REMOTE, Machine, Sent, mss_option, stamp
from userstack.address import Endpoint, pack_address
from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.errors import ConnectionReset
from userstack.tcp.connection import Connection
from userstack.tcp.output import reset_for
from userstack.tcp.state import State
from userstack.tcp.timestamps import SecretOffset, Timestamps
from userstack.wire import tcp
from userstack.wire.tcp import Option

ENDS = [(LOCAL, REMOTE), (Endpoint(pack_address("fd09::2"), 8080), Endpoint(pack_address("fd09::1"), 40000))]
DAY_MS = 86_400_000


def established(*, passive: bool = False, tsval: int | None = 1_000, config: StackConfig | None = None) -> Machine:
    return Machine.in_state(State.ESTABLISHED, passive=passive, tsval=tsval, config=config)


def stamps(sent: Sent) -> tuple[int, int]:
    assert sent.timestamps is not None
    return sent.timestamps


# --- 3.2: negotiation ---


@pytest.mark.parametrize(("local", "remote"), ENDS)
def test_a_syn_offers_them_and_echoes_nothing(local: Endpoint, remote: Endpoint) -> None:
    m = Machine(local=local, remote=remote, start=5 * SECOND)
    m.open_active()
    assert m.expect("SYN").timestamps == (5_000, 0)


def test_the_configuration_may_leave_them_out() -> None:
    m = Machine(config=StackConfig(timestamps=False), tsval=7)
    m.open_active()
    assert m.expect("SYN").timestamps is None
    m.arrives("SYN,ACK", seq=0, ack=1, options=m.syn_options())
    assert m.expect("ACK").timestamps is None


@pytest.mark.parametrize("tsval", [None, 7])
def test_a_syn_ack_has_them_only_in_answer_to_them(tsval: int | None) -> None:
    m = Machine(tsval=tsval, start=5 * SECOND)
    m.open_passive()
    m.arrives("SYN", seq=0, options=m.syn_options())
    assert m.expect("SYN,ACK").timestamps == (None if tsval is None else (5_000, 7))


@pytest.mark.parametrize("tsval", [None, 7])
def test_crossing_syns(tsval: int | None) -> None:
    m = Machine(tsval=tsval)
    m.open_active()
    m.expect("SYN")
    m.arrives("SYN", seq=0, options=m.syn_options())
    assert m.expect("SYN,ACK").timestamps == (None if tsval is None else (0, 7))


@pytest.mark.parametrize("passive", [False, True])
def test_once_agreed_every_segment_has_them(passive: bool) -> None:
    m = established(passive=passive)
    m.send(b"x" * 4_000)
    m.arrives("ACK", data=b"hello")
    m.close()
    m.wait(3_000)
    m.arrives("ACK", ack=1)
    assert len(m.log) > 6
    assert all(sent.timestamps is not None for sent in m.log)


def test_one_that_was_not_agreed_is_ignored() -> None:
    m = established(tsval=None)
    m.arrives("ACK", data=b"hello", options=(stamp(5),))
    m.arrives("ACK", data=b"world", options=(stamp(4),))
    assert m.receive() == b"helloworld"
    assert all(sent.timestamps is None for sent in m.log[1:])


@pytest.mark.parametrize("data", [b"", b"\0" * 7, b"\0" * 9])
def test_one_of_a_wrong_length_is_none(data: bytes) -> None:
    m = Machine(config=StackConfig())
    m.open_passive()
    m.arrives("SYN", seq=0, options=(mss_option(1460), Option(tcp.TIMESTAMPS, data)))
    assert m.expect("SYN,ACK").timestamps is None


def test_a_peer_that_leaves_them_out_on_the_third_ack_is_taken() -> None:
    m = Machine.in_state(State.SYN_RECEIVED, passive=True, tsval=7)
    m.arrives("ACK", seq=1, ack=1, options=())
    m.expect_state(State.ESTABLISHED)
    m.send(b"hello")
    assert m.expect("ACK", data=b"hello").timestamps is not None, "they were agreed: ours go on"


def test_a_peer_that_leaves_them_out_in_mid_connection_is_taken_and_may_begin_again() -> None:
    m = established()
    m.send(b"x" * 100)
    m.sent()
    m.arrives("ACK", ack=101, data=b"hello", options=())
    assert m.receive() == b"hello"
    assert m.connection.info().unacked == 0
    m.arrives("ACK", seq=6, ack=101, data=b"world")
    assert m.receive() == b"world"
    m.arrives("FIN,ACK", seq=11, ack=101, options=())
    m.expect_state(State.CLOSE_WAIT)


def test_not_tolerated_it_is_dropped_in_silence() -> None:
    m = established(config=StackConfig(tolerate_missing_ts=False))
    m.arrives("ACK", data=b"hello", options=())
    m.wait(100)
    m.nothing_sent()
    assert m.rcv_nxt == 1
    assert m.counters["TcpExtTCPMissingTimestamp"] == 1


def test_not_tolerated_nor_is_the_third_ack() -> None:
    m = Machine.in_state(State.SYN_RECEIVED, passive=True, tsval=7, config=StackConfig(tolerate_missing_ts=False))
    m.arrives("ACK", seq=1, ack=1, options=())
    m.expect_state(State.SYN_RECEIVED)
    m.arrives("ACK", seq=1, ack=1)
    m.expect_state(State.ESTABLISHED)


def test_a_rst_needs_none() -> None:
    m = established()
    m.arrives("RST", seq=1, options=())
    m.expect_state(State.CLOSED)


# --- what they leave of a segment (RFC 6691) ---


@pytest.mark.requirement("MUST-5")
@pytest.mark.requirement("MUST-16")
@pytest.mark.parametrize(("local", "remote"), ENDS)
def test_a_full_segment_is_12_octets_shorter(local: Endpoint, remote: Endpoint) -> None:
    mss = 1460 if len(local.address) == 4 else 1440
    m = Machine.in_state(State.ESTABLISHED, tsval=7, mss=mss, local=local, remote=remote)
    m.send(b"x" * 3_000)
    assert [len(sent.data) for sent in m.sent()] == [mss - 12, mss - 12]
    assert m.connection.info().snd_mss == mss - 12
    assert m.connection.info().rcv_mss == mss


def test_a_smaller_path_mtu_counts_them_too() -> None:
    m = established()
    m.send(b"x" * 1_448)
    m.sent()
    m.connection.on_packet_too_big(1_000, seq=m.iss + 1 & 0xFFFFFFFF, now=m.now)
    m.pull()
    assert len(m.sent()[0].data) == 1_000 - 40 - 12


# --- 4.3: which timestamp to echo; its examples ---


def echo(m: Machine) -> int:
    return stamps(m.sent()[-1])[1]


def test_of_delayed_acks_the_earliest_is_echoed() -> None:
    m = established()
    m.tsval = 1_001
    m.arrives("ACK", data=b"A" * 10)
    m.nothing_sent()
    m.tsval = 1_002
    m.arrives("ACK", data=b"B" * 10)
    assert echo(m) == 1_001


def test_beyond_a_hole_that_of_the_last_in_sequence_is_echoed_and_then_that_which_filled_it() -> None:
    m = established()
    wanted = [(1, 1_001, 1_001), (21, 1_003, 1_001), (11, 1_002, 1_002), (41, 1_005, 1_002), (31, 1_004, 1_004)]
    for first, tsval, expected in wanted:
        m.tsval = tsval
        m.arrives("ACK", seq=first, data=b"x" * 10)
        m.wait(60)
        assert echo(m) == expected, first


def test_a_timestamp_beyond_last_ack_sent_is_not_kept() -> None:
    m = established()
    m.tsval = 2_000
    m.arrives("ACK", seq=100, data=b"far")
    assert echo(m) == 1_000
    m.tsval = 1_500
    m.arrives("ACK", seq=1, data=b"near")
    assert echo(m) == 1_500


def test_the_timestamp_of_a_segment_with_an_unbelievable_ack_is_not_kept() -> None:
    m = established()
    m.tsval = 2_000
    m.arrives("ACK", data=b"x", ack=9_999)
    assert echo(m) == 1_000


# --- 4.1: round-trip times ---


def test_what_was_sent_again_is_measured_by_its_timestamp() -> None:
    m = established(config=StackConfig(rto_min=200 * MILLISECOND))
    m.send(b"x" * 100)
    first = m.expect("ACK", data=b"x" * 100)
    assert stamps(m.next_sent(within=2_000)) != stamps(first)
    before = m.connection.info().srtt
    assert before == 10 * MILLISECOND
    m.wait(50)
    m.arrives("ACK", ack=101)
    assert m.connection.info().srtt == before + (50 * MILLISECOND - before) // 8
    assert m.connection.info().rto == m.connection.tcb.rtt.base_rto


@pytest.mark.requirement("MUST-18")
def test_without_them_karn_forbids_it() -> None:
    m = established(tsval=None)
    m.send(b"x" * 100)
    m.sent()
    m.next_sent(within=2_000)
    m.wait(50)
    m.arrives("ACK", ack=101)
    assert m.connection.info().srtt == 10 * MILLISECOND


@pytest.mark.parametrize("tsecr", [0, 1_000_000_000])
def test_an_echo_of_nothing_that_was_sent_is_no_measurement(tsecr: int) -> None:
    m = established()
    m.send(b"x" * 100)
    m.sent()
    m.next_sent(within=2_000)
    m.wait(50)
    m.arrives("ACK", ack=101, options=(stamp(1_001, tsecr),))
    assert m.snd_una == 101
    assert m.connection.info().srtt == 10 * MILLISECOND


def test_an_echo_that_acknowledges_nothing_is_no_measurement() -> None:
    m = established()
    m.wait(60_000)
    m.arrives("ACK", data=b"hello")
    assert m.connection.info().srtt == 10 * MILLISECOND


def test_a_round_trip_within_one_tick_counts_as_one() -> None:
    assert Timestamps(MILLISECOND, 0).elapsed(5, 5 * MILLISECOND) == MILLISECOND
    assert Timestamps(MILLISECOND, 2**32).elapsed(5, 8 * MILLISECOND) == 3 * MILLISECOND


# --- 5.3: PAWS ---


def test_an_old_duplicate_is_answered_and_dropped() -> None:
    m = established()
    m.tsval = 999
    m.arrives("ACK", data=b"old")
    assert stamps(m.expect("ACK", ack=1))[1] == 1_000
    assert m.rcv_nxt == 1
    assert m.counters["TcpExtPAWSEstab"] == 1


@pytest.mark.parametrize(("kernel", "answered"), [(True, False), (False, True)])
def test_an_ack_that_was_overtaken_is_an_old_duplicate_to_the_rfc_and_none_to_the_kernel(kernel: bool, answered: bool) -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig.linux() if kernel else StackConfig(), tsval=1_000, sack=True)
    m.send(b"x" * 7_240)
    assert len(m.sent()) == 5
    m.wait(10)
    m.tsval = 1_001
    m.arrives("ACK", ack=1)
    m.tsval = 999
    m.arrives("ACK", ack=1, options=m.sacked((1_449, 7_241)))
    assert [(sent.seq, len(sent.data)) for sent in m.sent()] == [(7_241, 0) if answered else (1, 1_448)]
    m.arrives("ACK", data=b"y", options=(stamp(1_001, 0),))
    m.wait(500)
    assert stamps(m.sent()[-1])[1] == 1_001, "TS.Recent does not go back"


@pytest.mark.parametrize(
    ("what", "old"),
    [
        ({"ack": 1, "data": b"y"}, 999),  # text
        ({"ack": 2}, 999),  # news
        ({"ack": 1, "window": 60_001}, 999),  # a larger window
        ({"ack": 1, "window": 0}, 999),
        ({"ack": 1, "seq": 2}, 999),  # beyond what has come
        ({"ack": 1}, -300_000),  # older than a retransmission can be
    ],
)
def test_whatever_is_more_than_the_last_ack_again_is_old_to_the_kernel_too(what: dict[str, Any], old: int) -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig.linux(), tsval=1_000, window=60_000)
    m.send(b"x")
    m.sent()
    m.arrives("ACK", **what, options=(stamp(old),))
    m.expect("ACK", seq=2, ack=1)
    assert (m.snd_una, m.counters["TcpExtPAWSEstab"]) == (1, 1)


def test_the_kernel_does_not_answer_an_ack_that_text_has_overtaken() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig.linux(), tsval=1_000)
    m.tsval = 1_001
    m.arrives("ACK", data=b"y")
    m.wait(300)
    m.sent()
    m.arrives("ACK", seq=1, options=(stamp(1_000),))
    m.nothing_sent()
    assert (m.counters["TcpExtPAWSOldAck"], m.counters["TcpExtPAWSEstab"]) == (1, 0)


def test_an_old_ack_acknowledges_nothing() -> None:
    m = established()
    m.send(b"x" * 10)
    m.sent()
    m.tsval = 999
    m.arrives("ACK", ack=11)
    m.expect("ACK", seq=11)
    assert m.snd_una == 1


def test_the_same_timestamp_is_not_old() -> None:
    m = established()
    m.arrives("ACK", data=b"same")
    assert m.receive() == b"same"


def test_the_clock_may_wrap() -> None:
    m = established(tsval=2**32 - 1)
    m.tsval = 3
    m.arrives("ACK", data=b"later")
    assert m.receive() == b"later"
    m.tsval = 2**32 - 1
    m.arrives("ACK", data=b"old")
    assert m.rcv_nxt == 6


def test_a_rst_is_not_checked_and_teaches_nothing() -> None:
    m = established()
    m.arrives("RST", seq=500, options=(stamp(5_000),))  # in the window: a challenge
    assert stamps(m.expect("ACK"))[1] == 1_000
    m.arrives("RST", seq=1, options=(stamp(1),))
    m.expect_state(State.CLOSED)


@pytest.mark.parametrize(("days", "taken"), [(24.1, True), (23.9, False)])
def test_after_24_idle_days_ts_recent_says_nothing(days: float, taken: bool) -> None:
    m = established()
    m.wait(days * DAY_MS)
    m.tsval = 1
    m.arrives("ACK", data=b"hello")
    assert (m.rcv_nxt == 6) is taken
    m.tsval = 2
    m.arrives("ACK", seq=m.rcv_nxt, data=b"again")
    assert (m.rcv_nxt == 11) is taken


def test_old_bare_acks_are_answered_within_the_throttle_only() -> None:
    """Two ends that take each other's ACKs for old would answer each other for ever."""
    m = established(config=StackConfig(challenge_ack_limit=3))
    m.tsval = 1
    for _ in range(50):
        m.arrives("ACK")
    assert len(m.sent()) <= 3


# --- resets (5.2) ---


def test_a_rst_of_ours_has_them() -> None:
    m = established()
    m.wait(90)
    m.abort()
    assert stamps(m.expect("RST", seq=1)) == (100, 1_000)


def test_a_rst_that_answers_echoes_the_segments() -> None:
    m = Machine.in_state(State.SYN_SENT)
    m.arrives("ACK", seq=5, ack=500, options=(stamp(77, 5),))
    assert stamps(m.expect("RST", seq=500)) == (0, 77)
    nobody = reset_for(m.segment("ACK", seq=5, ack=5, options=(stamp(77, 5),)))
    assert nobody is not None
    assert nobody.options[-1] == stamp(0, 77)


def test_a_rst_that_answers_a_segment_without_has_none() -> None:
    m = Machine.in_state(State.SYN_SENT)
    m.arrives("ACK", seq=5, ack=500)
    assert m.expect("RST").timestamps is None


def test_the_echo_can_be_left_out_as_the_kernels_do() -> None:
    m = Machine.in_state(State.SYN_SENT, config=StackConfig(rst_echoes_timestamp=False))
    m.arrives("ACK", seq=5, ack=500, options=(stamp(77, 5),))
    assert m.expect("RST").timestamps is None
    nobody = reset_for(m.segment("ACK", seq=5, ack=5, options=(stamp(77, 5),)), echo_timestamp=False)
    assert nobody is not None
    assert nobody.options == ()


# --- the clock (5.4) ---


def test_the_clock_runs_at_the_configured_pace() -> None:
    m = Machine(config=StackConfig(timestamp_clock=10 * MILLISECOND), start=5 * SECOND)
    m.open_active()
    assert stamps(m.expect("SYN"))[0] == 500


def test_connections_have_different_offsets_and_the_same_one_again() -> None:
    offset = SecretOffset(b"secret")
    assert offset(LOCAL, REMOTE) == offset(LOCAL, REMOTE)
    others = {offset(LOCAL, Endpoint(REMOTE.address, port)) for port in range(50)}
    assert len(others) == 50
    assert SecretOffset(b"another")(LOCAL, REMOTE) != offset(LOCAL, REMOTE)
    assert all(0 <= other < 2**32 for other in others)


def test_the_offset_is_added() -> None:
    m = Machine()
    connection = Connection(LOCAL, config=m.config, isn=lambda *_: 1, timestamp_offset=lambda *_: 2**32 - 1, counters=m.counters)
    connection.open_active(REMOTE, now=3 * MILLISECOND)
    syn = connection.poll_transmit(now=3 * MILLISECOND)
    assert syn is not None
    assert stamp(2, 0) in syn.options


# --- TIME-WAIT ---


def time_wait(*, tsval: int | None = 1_000, config: StackConfig | None = None) -> Machine:
    return Machine.in_state(State.TIME_WAIT, tsval=tsval, record=True, config=config)


def test_its_acks_have_them() -> None:
    m = time_wait()
    m.arrives("FIN,ACK", seq=1, ack=2)
    assert stamps(m.expect("ACK", ack=2)) == (10, 1_000)


def test_an_old_duplicate_is_old_there_too() -> None:
    m = time_wait()
    m.tsval = 1
    m.arrives("ACK", seq=2, ack=2, data=b"x")
    m.expect("ACK", ack=2)
    assert m.counters["TcpExtPAWSTimewait"] == 1


@pytest.mark.requirement("SHLD-4")
@pytest.mark.parametrize(
    ("before", "after", "seq", "reopens"),
    [
        (1_000, 1_001, -50_000, True),  # RFC 6191: a later timestamp
        (1_000, 1_000, 50_000, True),  # the same, and SEQ beyond the FIN
        (1_000, 1_000, 1, False),
        (1_000, 999, 50_000, False),
        (1_000, None, 50_000, True),  # without them SEQ alone
        (1_000, None, 1, False),
        (None, 5, 1, True),  # they are new
        (None, None, 50_000, True),
        (None, None, 1, False),
    ],
)
def test_which_syn_reopens(before: int | None, after: int | None, seq: int, reopens: bool) -> None:
    m = time_wait(tsval=before)
    record = m.connection.time_wait
    assert record is not None
    options = () if after is None else (stamp(after),)
    assert record.reopens(m.segment("SYN", seq=seq, options=options)) is reopens


def test_timestamps_that_would_not_be_used_reopen_nothing() -> None:
    m = time_wait(config=StackConfig(timestamps=False), tsval=None)
    record = m.connection.time_wait
    assert record is not None
    assert not record.reopens(m.segment("SYN", seq=1, options=(stamp(5),)))


def test_the_new_incarnation_begins_with_the_timestamp_of_its_syn() -> None:
    m = time_wait()
    m.reopen()
    m.peer_nxt = 0
    m.tsval = 5_000
    m.arrives("SYN", seq=-50_000, options=m.syn_options())
    assert stamps(m.sent()[-1])[1] == 5_000


def test_text_after_close_is_answered_with_a_rst_that_has_them() -> None:
    m = established()
    m.release()
    m.sent()
    m.arrives("ACK", data=b"too late")
    assert m.expect("RST").timestamps is not None
    assert isinstance(m.error, ConnectionReset)
