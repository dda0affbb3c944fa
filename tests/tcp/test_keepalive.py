"""Keep-alives (RFC 9293 3.8.4): off unless asked for, only on an idle connection, and no single one decides."""

from dataclasses import replace

import pytest

from tests.support.machine import Machine
from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.errors import ConnectionTimedOut, HostUnreachable
from userstack.tcp.state import State

SHORT = StackConfig(keepalive=True, keepalive_time=10 * SECOND, keepalive_intvl=2 * SECOND, keepalive_probes=3)


def established(config: StackConfig = SHORT, *, tsval: int | None = None) -> Machine:
    return Machine.in_state(State.ESTABLISHED, config=config, tsval=tsval)


@pytest.mark.requirement("MAY-5")
@pytest.mark.requirement("MUST-25")
@pytest.mark.requirement("MUST-28")
def test_they_are_off_by_default_and_two_hours_apart() -> None:
    assert not StackConfig().keepalive
    assert StackConfig().keepalive_time >= 7200 * SECOND
    m = established(StackConfig())
    assert m.connection.next_deadline() is None


@pytest.mark.requirement("MAY-5")
@pytest.mark.requirement("MUST-27")
@pytest.mark.requirement("SHLD-12")
@pytest.mark.parametrize("tsval", [None, 7])
def test_an_idle_connection_is_probed_without_data(tsval: int | None) -> None:
    m = established(tsval=tsval)
    probe = m.next_sent(within=11_000)
    assert (probe.flags, probe.seq, probe.ack, probe.data) == ("ACK", 0, 1, b"")
    assert probe.time == m.now == 10 * SECOND + 10 * MILLISECOND
    assert (probe.timestamps is not None) == (tsval is not None)
    assert m.counters["TcpExtTCPKeepAlive"] == 1


@pytest.mark.parametrize("interval", [2, 75])
def test_a_peer_that_answers_is_left_alone_for_as_long_again(interval: int) -> None:
    m = established(replace(SHORT, keepalive_intvl=interval * SECOND))
    for _ in range(5):
        m.next_sent(within=10_500)
        m.wait(100)
        m.arrives("ACK")
    m.wait(9_900)
    m.nothing_sent()
    m.expect_state(State.ESTABLISHED)


@pytest.mark.requirement("MUST-26")
def test_whatever_the_peer_sends_makes_it_not_idle() -> None:
    m = established()
    m.wait(9_000)
    m.arrives("ACK", data=b"x")
    m.wait(9_500)
    assert [sent.ack for sent in m.sent()] == [2]


@pytest.mark.requirement("MUST-29")
def test_only_so_many_without_an_answer_end_the_connection() -> None:
    m = established()
    m.wait(10_000 + 2_000 + 2_000)
    assert [sent.seq for sent in m.sent()] == [0, 0, 0]
    m.expect_state(State.ESTABLISHED)
    m.wait(2_100)
    m.expect("RST", seq=1)
    m.expect_state(State.CLOSED)
    assert isinstance(m.error, ConnectionTimedOut)


def test_an_earlier_soft_error_says_more() -> None:
    m = established()
    m.send(b"x")
    m.icmp(HostUnreachable(), hard=False, seq=1)
    m.arrives("ACK")
    m.connection.tcb.soft_error = HostUnreachable()
    m.wait(20_000)
    assert isinstance(m.error, HostUnreachable)


def test_the_user_timeout_takes_the_place_of_the_count() -> None:
    m = established()
    m.connection.user_timeout = 13 * SECOND
    m.wait(13_900)
    m.expect_state(State.ESTABLISHED)
    m.wait(200)
    m.expect_state(State.CLOSED)


@pytest.mark.requirement("MUST-26")
def test_what_is_outstanding_is_the_retransmission_timers_business() -> None:
    m = established()
    m.send(b"x")
    m.wait(12_000)
    assert all(sent.seq == 1 for sent in m.sent())
    m.arrives("ACK")
    m.wait(9_000)
    m.nothing_sent()


@pytest.mark.requirement("MUST-24")
def test_a_live_connection_can_be_told_to_watch_and_to_stop() -> None:
    m = established(StackConfig())
    m.wait(60_000)
    m.connection.configure(SHORT)
    assert m.next_sent(within=1).seq == 0
    m.connection.configure(StackConfig())
    m.wait(60_000)
    m.nothing_sent()


@pytest.mark.parametrize("state", [State.SYN_SENT, State.SYN_RECEIVED, State.LISTEN, State.CLOSED])
def test_there_is_nothing_to_watch_before_the_handshake(state: State) -> None:
    m = Machine.in_state(state, passive=True)
    m.connection.configure(SHORT)
    assert m.connection.tcb.timers.keepalive is None


def test_time_wait_has_none() -> None:
    m = Machine.in_state(State.TIME_WAIT, config=SHORT)
    m.wait(50_000)
    m.nothing_sent()


@pytest.mark.requirement("MAY-5")
@pytest.mark.requirement("MAY-6")
def test_one_octet_of_garbage_can_be_asked_for() -> None:
    m = established(replace(SHORT, keepalive_garbage=True))
    probe = m.next_sent(within=11_000)
    assert (probe.flags, probe.seq, probe.data) == ("ACK", 0, b"\0")
    m.arrives("ACK")
    m.wait(9_900)
    m.nothing_sent()
    m.send(b"x")
    m.expect("ACK", seq=1, data=b"x")


@pytest.mark.requirement("MAY-6")
def test_the_octet_is_no_data_for_who_gets_it() -> None:
    m = established(StackConfig())
    m.arrives("ACK", seq=0, data=b"\0")
    m.expect("ACK", seq=1, ack=1)
    assert not m.readable()


@pytest.mark.requirement("MUST-26")
@pytest.mark.parametrize("state", [State.ESTABLISHED, State.CLOSE_WAIT])
def test_before_a_shut_window_the_persist_timer_watches(state: State) -> None:
    m = Machine.in_state(state, config=SHORT)
    m.arrives("ACK", window=0)
    m.send(b"x")
    for _ in range(6):
        probe = m.next_sent(within=61_000)
        assert (probe.seq, probe.data) == (1, b"x")
        m.arrives("ACK", ack=1, window=0)
    assert m.counters["TcpExtTCPKeepAlive"] == 0


@pytest.mark.requirement("MUST-24")
def test_turned_off_in_the_middle_of_probing_nothing_ends() -> None:
    m = established()
    m.wait(12_500)
    assert len(m.sent()) == 2
    m.connection.configure(replace(SHORT, keepalive=False))
    m.wait(3_600_000)
    m.nothing_sent()
    m.expect_state(State.ESTABLISHED)
    m.connection.configure(SHORT)
    assert m.next_sent(within=1).seq == 0


@pytest.mark.parametrize("state", [State.FIN_WAIT_2, State.CLOSE_WAIT])
def test_half_closed_connections_are_watched_too(state: State) -> None:
    m = Machine.in_state(state, config=SHORT)
    m.wait(17_000)
    m.expect_state(State.CLOSED)
