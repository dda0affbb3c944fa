"""How Linux cuts and probes, in its profile: Minshall's Nagle, segments within half of a window, empty probes, cork, MSG_MORE.

Each pattern was held against a 6.18 kernel.
"""

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.support.machine import Machine
from userstack.config import MILLISECOND, StackConfig
from userstack.tcp.state import State

LINUX = StackConfig.linux()
RTO = 210
"""ms, after one round trip of 10."""


def established(*, window: int = 65_535, mss: int = 1_000, config: StackConfig = LINUX) -> Machine:
    m = Machine.in_state(State.ESTABLISHED, config=config, window=window, mss=mss)
    m.arrives("ACK")
    return m


def pieces(m: Machine) -> list[tuple[int, int]]:
    return [(sent.seq, len(sent.data)) for sent in m.sent()]


# --- Nagle ---


def test_minshall_lets_a_small_segment_follow_full_ones() -> None:
    m = established()
    m.send(b"x" * 1_100)
    assert pieces(m) == [(1, 1_000), (1_001, 100)]
    m.send(b"x" * 50)
    m.nothing_sent()
    m.arrives("ACK", ack=1_001)
    m.nothing_sent()
    m.arrives("ACK")
    assert pieces(m) == [(1_101, 50)]


def test_a_segment_that_sack_blocks_leave_less_room_is_no_small_one() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=LINUX, mss=1_000, sack=True)
    m.arrives("ACK", seq=1_001, data=b"y" * 100)
    m.sent()
    m.send(b"x" * 2_000)
    assert pieces(m) == [(1, 988), (989, 988), (1_977, 24)]


def test_nagle_of_the_rfc_does_not() -> None:
    m = established(config=StackConfig())
    m.send(b"x" * 1_100)
    assert pieces(m) == [(1, 1_000)]


# --- TCP_CORK and MSG_MORE ---


@pytest.mark.parametrize("config", [LINUX, StackConfig()])
def test_a_cork_holds_what_is_not_full(config: StackConfig) -> None:
    m = established(config=config)
    m.connection.cork = True
    assert m.connection.cork
    m.send(b"x" * 2_300)
    assert pieces(m) == [(1, 1_000), (1_001, 1_000)]
    m.arrives("ACK")
    m.wait(150)
    m.nothing_sent()
    m.connection.cork = False
    m.pull()
    assert pieces(m) == [(2_001, 300)]


@pytest.mark.parametrize(("config", "time"), [(LINUX, RTO), (StackConfig(), 200)])
def test_but_not_for_ever(config: StackConfig, time: int) -> None:
    m = established(config=config)
    start = m.now
    m.connection.cork = True
    m.send(b"x" * 300)
    sent = m.next_sent(within=300)
    assert (sent.data, sent.time - start) == (b"x" * 300, time * MILLISECOND)


def test_a_close_pulls_the_cork() -> None:
    m = established()
    m.connection.cork = True
    m.send(b"x" * 300)
    m.close()
    m.expect("FIN,ACK", data=b"x" * 300)


def test_more_announces_another_send() -> None:
    m = established()
    for more in (True, True, False):
        m.connection.send(b"x" * 100, now=m.now, more=more)
        m.pull()
        assert pieces(m) == ([] if more else [(1, 300)])


def test_an_ack_ends_the_wait_for_more() -> None:
    m = established()
    m.connection.send(b"x" * 1_100, now=m.now, more=True)
    m.pull()
    assert pieces(m) == [(1, 1_000)]
    m.arrives("ACK")
    assert pieces(m) == [(1_001, 100)]


# --- small windows ---


@pytest.mark.parametrize(("window", "size"), [(1_200, 600), (2_000, 1_000), (10_000, 1_000), (500, 500), (20, 28)])
def test_no_segment_is_larger_than_half_of_the_largest_window(window: int, size: int) -> None:
    m = Machine.in_state(State.ESTABLISHED, config=LINUX, window=window, mss=1_000)
    m.send(b"x" * 5_000)
    m.wait(1)
    sizes = [len(sent.data) for sent in m.sent()]
    assert sizes[:1] == [min(size, window)]
    assert m.connection.tcb.segment_limit == size


def test_by_default_a_segment_may_fill_the_window() -> None:
    m = established(window=1_200, config=StackConfig())
    m.send(b"x" * 5_000)
    assert pieces(m) == [(1, 1_000)]


# --- zero windows ---


def test_a_zero_window_is_probed_by_an_empty_segment_before_snd_una() -> None:
    m = established()
    m.arrives("ACK", window=0)
    m.send(b"x" * 100)
    times = []
    for _ in range(3):
        probe = m.next_sent(within=2_000)
        assert (probe.flags, probe.seq, probe.data) == ("ACK", 0, b"")
        times.append(probe.time)
    assert [after - before for before, after in pairwise(times)] == [2 * RTO * MILLISECOND, 4 * RTO * MILLISECOND]
    assert m.snd_nxt == 1


def test_an_answer_begins_the_wait_anew() -> None:
    m = established()
    m.arrives("ACK", window=0)
    m.send(b"x" * 100)
    for _ in range(2):
        m.next_sent(within=2_000)
    m.arrives("ACK", window=0)
    start = m.now
    assert m.next_sent(within=2_000).time - start == 4 * RTO * MILLISECOND


def test_what_is_outstanding_is_sent_again_into_the_zero_window() -> None:
    m = established()
    m.send(b"x" * 2_000)
    m.sent()
    m.arrives("ACK", ack=1_001, window=0)
    again = m.next_sent(within=1_000)
    assert (again.seq, len(again.data)) == (1_001, 1_000)


def test_a_fin_waits_for_the_window() -> None:
    m = established()
    m.arrives("ACK", window=0)
    m.close()
    assert m.next_sent(within=1_000).flags == "ACK"
    m.arrives("ACK", window=1_000)
    m.expect("FIN,ACK", seq=1)


@pytest.mark.parametrize("config", [LINUX, StackConfig()])
def test_nothing_new_is_sent_beyond_the_window_by_a_retransmission(config: StackConfig) -> None:
    """RFC 7323 2.4 allows what was in the window when it was sent, and nothing else."""
    m = Machine.in_state(State.ESTABLISHED, config=replace(config, nagle=False), window=4, scale=7, mss=1_000)
    m.arrives("ACK")
    m.send(b"x" * 2_000)
    assert sum(size for _, size in pieces(m)) == 512
    m.next_sent(within=3_000)
    assert max(sent.end for sent in m.log) == 513


# --- TCP_MAXSEG ---


def test_a_smaller_mss_can_be_asked_for() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(max_segment=700, nagle=False), mss=1_000)
    assert m.log[0].mss == 700
    m.send(b"x" * 1_500)
    assert pieces(m) == [(1, 700), (701, 700), (1_401, 100)]


# --- TCP_DEFER_ACCEPT ---


def test_a_connection_that_brings_no_data_is_put_off() -> None:
    m = Machine.in_state(State.SYN_RECEIVED, passive=True, config=replace(LINUX, defer_accept=2))
    m.arrives("ACK", seq=1, ack=1)
    m.expect_state(State.SYN_RECEIVED)
    m.nothing_sent()
    m.wait(1_500)
    m.nothing_sent()  # the ACK was heard: no SYN,ACK is repeated yet
    m.next_sent(within=2_000)
    m.arrives("ACK", seq=1, ack=1)
    m.expect_state(State.ESTABLISHED)


def test_data_ends_the_deferral() -> None:
    m = Machine.in_state(State.SYN_RECEIVED, passive=True, config=replace(LINUX, defer_accept=2))
    m.arrives("ACK", seq=1, ack=1, data=b"hello")
    m.expect_state(State.ESTABLISHED)
    assert m.receive() == b"hello"
