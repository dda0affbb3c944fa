"""Connections that their program has closed: less patience, and only so many of them (Linux; RFC 9293 3.8.6.1, MAY-1)."""

import pytest

from tests.support.machine import Machine
from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.errors import HostUnreachable
from userstack.tcp.orphancount import OrphanCount
from userstack.tcp.state import State

LINUX = StackConfig.linux()
NO_PATIENCE = StackConfig(orphan_retries=3)


def shut(config: StackConfig | None = None) -> Machine:
    """The program has closed with data that a peer with a window of zero has no room for."""
    m = Machine.in_state(State.ESTABLISHED, config=config, mss=1000)
    m.arrives("ACK", window=0)
    m.send(b"0123456789")
    m.release()
    m.sent()
    return m


def probed(m: Machine, *, answering: bool, limit: int = 3_600_000) -> float:
    """Let the peer keep its window shut; after how many seconds the connection is given up."""
    started = m.now
    while m.state is not State.CLOSED and m.now < started + limit * MILLISECOND:
        deadline = m.connection.next_deadline()
        assert deadline is not None, "nothing will ever end this connection"
        m.wait((deadline - m.now) / MILLISECOND)
        if m.sent() and answering:
            m.arrives("ACK", ack=1, window=0)
    return (m.now - started) / SECOND


@pytest.mark.requirement("MUST-37")
@pytest.mark.parametrize(("config", "most"), [(None, 130), (NO_PATIENCE, 130), (LINUX, 340)], ids=["default", "three", "linux"])
@pytest.mark.parametrize("answering", [True, False], ids=["answering", "silent"])
def test_a_peer_that_holds_its_window_shut_does_not_keep_an_orphan_for_ever(
    config: StackConfig | None, most: int, answering: bool
) -> None:
    """MUST-37 is "subject to the implementation's resource management concerns"; an orphan is nobody's."""
    m = shut(config)
    m.expect_state(State.FIN_WAIT_1)
    assert 10 < probed(m, answering=answering) <= most
    m.expect_state(State.CLOSED)
    assert m.counters["TcpExtTCPAbortOnTimeout"] == 1
    assert m.connection.tcb.orphans.count == 0
    assert m.connection.next_deadline() is None


@pytest.mark.parametrize("retries", [1, 2, 5])
def test_so_many_probes_without_an_answer_end_it(retries: int) -> None:
    m = shut(StackConfig(orphan_retries=retries))
    assert probed(m, answering=False) == 2 ** (retries + 1) - 1
    assert len([sent for sent in m.log if sent.data == b"0"]) == retries


def test_the_same_connection_with_its_program_stays() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=NO_PATIENCE, mss=1000)
    m.arrives("ACK", window=0)
    m.send(b"0123456789")
    m.close()
    m.sent()
    probed(m, answering=True)
    m.expect_state(State.FIN_WAIT_1)


@pytest.mark.parametrize("config", [None, LINUX], ids=["default", "linux"])
def test_an_orphan_whose_data_nobody_acknowledges_ends(config: StackConfig | None) -> None:
    m = Machine.in_state(State.ESTABLISHED, config=config)
    m.send(b"lost")
    m.release()
    m.wait(110_000)
    m.expect_state(State.CLOSED)
    assert m.connection.tcb.orphans.count == 0


def test_freebsd_has_no_less_patience_than_twelve_retransmissions_from_its_least_rto_on() -> None:
    """Counted as Linux's eight are, from 30 ms on, one whose RTO is 3 s would be given up after two."""
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig.freebsd(), rtt=900)
    m.send(b"text")
    m.release()
    m.wait(80_000)
    m.expect_state(State.FIN_WAIT_1)
    assert len([sent for sent in m.log if sent.data == b"text"]) == 5
    m.wait(120_000)
    m.expect_state(State.CLOSED)


def test_what_the_network_says_counts_against_an_orphan_whose_back_off_is_at_its_ceiling() -> None:
    m = shut(StackConfig(orphan_retries=50))
    m.connection.tcb.soft_error = HostUnreachable()
    assert probed(m, answering=False) <= 130


@pytest.mark.parametrize("state", [State.SYN_RECEIVED, State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSE_WAIT])
def test_one_too_many_is_reset_when_it_is_closed(state: State) -> None:
    m = Machine.in_state(state, config=StackConfig(max_orphans=1))
    m.connection.tcb.orphans.count = 1
    m.release()
    sent = m.sent()
    m.expect_state(State.CLOSED)
    assert sent[-1].flags == "RST"
    assert m.counters["TcpExtTCPAbortOnMemory"] == 1
    assert m.connection.tcb.orphans.count == 1


def test_as_many_as_are_allowed_are_kept() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(max_orphans=1))
    m.release()
    m.expect_state(State.FIN_WAIT_1)
    assert m.connection.info().orphan
    assert m.connection.tcb.orphans.count == 1
    m.release()
    assert m.connection.tcb.orphans.count == 1


@pytest.mark.parametrize("timer", ["persist", "retransmission"])
def test_one_too_many_is_reset_when_its_timer_comes(timer: str) -> None:
    m = shut() if timer == "persist" else Machine.in_state(State.ESTABLISHED)
    if timer == "retransmission":
        m.send(b"lost")
        m.release()
        m.sent()
    m.connection.tcb.orphans.most = 0
    m.wait(1_100)
    m.expect("RST")
    m.expect_state(State.CLOSED)
    assert m.counters["TcpExtTCPAbortOnMemory"] == 1


def test_one_that_is_silent_for_long_or_in_trouble_counts_as_more() -> None:
    assert not OrphanCount(4).too_many(0)
    count = OrphanCount(4)
    count.count = 2
    assert [count.too_many(penalty) for penalty in (0, 1, 2)] == [False, False, True]
    m = shut(StackConfig(max_orphans=1, rto_max=60 * SECOND))
    m.connection.tcb.soft_error = HostUnreachable()
    m.wait(1_100)
    assert m.counters["TcpExtTCPAbortOnMemory"] == 1


def test_r1_is_nothing_that_the_network_has_said() -> None:
    """Linux's sk_err_soft, which counts against an orphan, is set by ICMP alone."""
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(max_orphans=1))
    m.send(b"lost")
    m.release()
    m.wait(20_000)
    m.expect_state(State.FIN_WAIT_1)
    assert m.connection.soft_error is not None
    assert m.counters["TcpExtTCPAbortOnMemory"] == 0


@pytest.mark.parametrize("end", ["time-wait", "reset", "fin-wait-2", "last-ack", "abort"])
def test_whatever_ends_it_it_is_no_more_counted(end: str) -> None:
    m = Machine.in_state(State.CLOSE_WAIT if end == "last-ack" else State.ESTABLISHED)
    m.release()
    assert m.connection.tcb.orphans.count == 1
    match end:
        case "time-wait":
            m.arrives("FIN,ACK", ack=2)
            m.expect_state(State.TIME_WAIT)
        case "reset":
            m.arrives("RST")
        case "fin-wait-2":
            m.arrives("ACK", ack=2)
            m.wait(60_001)
        case "last-ack":
            m.arrives("ACK", ack=2)
        case _:
            m.abort()
    assert m.connection.tcb.orphans.count == 0
    assert not m.connection.info().orphan


# --- FIN-WAIT-2 ---


def test_an_orphan_waits_for_the_fin_as_long_as_was_set() -> None:
    m = Machine.in_state(State.FIN_WAIT_2, config=StackConfig(fin_timeout=90 * SECOND))
    m.release()
    m.wait(89_999)
    m.expect_state(State.FIN_WAIT_2)
    m.wait(2)
    m.expect_state(State.CLOSED)
    m.nothing_sent()


def test_the_wait_begins_when_the_fin_is_acknowledged() -> None:
    m = Machine.in_state(State.FIN_WAIT_1, config=StackConfig(fin_timeout=9 * SECOND))
    m.release()
    m.wait(900)
    m.arrives("ACK", ack=2)
    m.wait(8_999)
    m.expect_state(State.FIN_WAIT_2)
    m.wait(2)
    m.expect_state(State.CLOSED)


@pytest.mark.requirement("MAY-1")
def test_a_program_that_still_reads_waits_for_ever() -> None:
    m = Machine.in_state(State.FIN_WAIT_2)
    m.wait(86_400_000)
    m.expect_state(State.FIN_WAIT_2)
    assert m.connection.next_deadline() is None
    m.arrives("ACK", data=b"late")
    assert m.receive() == b"late"


def test_the_wait_is_never_shorter_than_the_fin_may_take() -> None:
    m = Machine.in_state(State.FIN_WAIT_2, config=StackConfig(fin_timeout=1))
    m.release()
    m.wait(3_499)
    m.expect_state(State.FIN_WAIT_2)
    m.wait(2)
    m.expect_state(State.CLOSED)


def test_no_wait_at_all_is_a_reset() -> None:
    m = Machine.in_state(State.FIN_WAIT_2, config=StackConfig(fin_timeout=0))
    m.release()
    m.expect("RST", seq=2)
    m.expect_state(State.CLOSED)
    assert m.counters["TcpExtTCPAbortOnLinger"] == 1


def test_no_wait_at_all_is_a_reset_when_the_fin_is_acknowledged_too() -> None:
    m = Machine.in_state(State.FIN_WAIT_1, config=StackConfig(fin_timeout=0))
    m.release()
    m.arrives("ACK", ack=2)
    m.expect("RST", seq=2)
    m.expect_state(State.CLOSED)
    assert m.counters["TcpExtTCPAbortOnData"] == 1
