"""ICMP errors by state and sequence number (RFC 9293 3.9.2.2, RFC 5461, RFC 5927), and their reports (3.9.1.8)."""

import pytest

from tests.support.machine import Machine
from userstack.config import StackConfig
from userstack.errors import ConnectionRefused, ConnectionTimedOut, HostUnreachable, ProtocolUnreachable
from userstack.tcp.report import Reason
from userstack.tcp.state import State

OPENING = [State.SYN_SENT, State.SYN_RECEIVED]
SYNCHRONIZED = [State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK]


@pytest.mark.requirement("SHLD-26")
@pytest.mark.parametrize("state", OPENING)
def test_a_hard_error_ends_an_opening(state: State) -> None:
    m = Machine.in_state(state)
    m.icmp(ConnectionRefused(), hard=True, seq=m.snd_una)
    m.moved(state, State.CLOSED, section="3.9.2.2")
    assert isinstance(m.error, ConnectionRefused)


@pytest.mark.requirement("SHLD-25")
@pytest.mark.parametrize("state", SYNCHRONIZED)
def test_a_hard_error_is_a_soft_one_for_a_connection_that_stands(state: State) -> None:
    """RFC 5927 5.2, RFC 5461 2.2: as in all kernels. SHLD-26 in these states is ``icmp_ends_synchronized``."""
    m = Machine.in_state(state)
    m.icmp(ProtocolUnreachable(), hard=True, seq=m.snd_una)
    m.stayed()
    assert m.error is None
    assert isinstance(m.connection.soft_error, ProtocolUnreachable)


@pytest.mark.requirement("MUST-56")
@pytest.mark.parametrize("as_linux", [False, True])
@pytest.mark.parametrize("state", OPENING)
def test_a_soft_error_ends_an_opening_only_in_the_profile_of_linux(state: State, as_linux: bool) -> None:
    m = Machine.in_state(state, config=StackConfig(icmp_ends_opening=as_linux))
    m.icmp(HostUnreachable(), hard=False, seq=m.snd_una)
    m.expect_state(State.CLOSED if as_linux else state)
    assert isinstance(m.error if as_linux else m.connection.soft_error, HostUnreachable)


@pytest.mark.parametrize("state", SYNCHRONIZED)
def test_a_soft_error_never_ends_a_connection_that_stands(state: State) -> None:
    m = Machine.in_state(state, config=StackConfig(icmp_ends_opening=True, icmp_ends_synchronized=True))
    m.icmp(HostUnreachable(), hard=False, seq=m.snd_una)
    m.stayed()


@pytest.mark.parametrize("state", [State.SYN_SENT, State.ESTABLISHED])
@pytest.mark.parametrize("offset", [-1, 1, 100])
def test_an_error_about_what_is_not_outstanding_is_counted_and_nothing_else(state: State, offset: int) -> None:
    """RFC 5927 4.1: SND.UNA =< SEG.SEQ < SND.NXT."""
    m = Machine.in_state(state)
    edge = m.snd_una if offset < 0 else m.connection.tcb.snd_nxt - m.iss - (state is State.SYN_SENT)
    m.icmp(HostUnreachable(), hard=False, seq=edge + offset)
    m.stayed()
    assert m.connection.soft_error is None
    assert m.counters["TcpExtOutOfWindowIcmps"] == 1


@pytest.mark.requirement("MUST-47")
@pytest.mark.requirement("SHLD-25")
def test_soft_errors_are_reported_to_who_asks() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.connection.reports.want(True)
    m.send(b"lost")
    m.icmp(HostUnreachable(), hard=False, seq=1)
    m.icmp(ConnectionRefused(), hard=True, seq=1)
    reports = [m.connection.reports.take() for _ in range(2)]
    assert [(type(report.error), report.reason, report.time) for report in reports if report is not None] == [
        (HostUnreachable, Reason.ICMP, m.now),
        (ConnectionRefused, Reason.ICMP, m.now),
    ]
    assert m.connection.reports.take() is None


@pytest.mark.requirement("MUST-47")
@pytest.mark.requirement("SHLD-9")
def test_excessive_retransmissions_are_reported_once() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(r1=2))
    m.connection.reports.want(True)
    m.send(b"lost")
    m.wait(20_000)
    report = m.connection.reports.take()
    assert report is not None
    assert (report.reason, type(report.error)) == (Reason.RETRANSMISSIONS, ConnectionTimedOut)
    assert len(m.connection.reports) == 0
    assert m.connection.tcb.retransmits > 2


@pytest.mark.requirement("SHLD-20")
def test_nobody_is_told_who_has_not_asked_or_asks_no_more() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"lost")
    m.icmp(HostUnreachable(), hard=False, seq=1)
    assert len(m.connection.reports) == 0
    m.connection.reports.want(True)
    m.icmp(HostUnreachable(), hard=False, seq=1)
    assert len(m.connection.reports) == 1
    m.connection.reports.want(False)
    m.icmp(HostUnreachable(), hard=False, seq=1)
    assert len(m.connection.reports) == 0


def test_reports_that_nobody_reads_are_bounded() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(error_reports=3))
    m.connection.reports.want(True)
    m.send(b"lost")
    for _ in range(5):
        m.icmp(HostUnreachable(), hard=False, seq=1)
    assert len(m.connection.reports) == 3
    assert m.counters["TcpExtErrorReportsDropped"] == 2
