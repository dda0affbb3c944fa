"""The ``change`` rows of transitions.csv that the clock or the network below drives.

USER TIMEOUT and TIME-WAIT TIMEOUT (RFC 9293 3.10.8), R2 (3.8.3), hard ICMP errors (3.9.2.2).
"""

import pytest

from tests.support.machine import Machine
from userstack.config import SECOND, StackConfig
from userstack.errors import ConnectionRefused, ConnectionTimedOut, HostUnreachable, ProtocolUnreachable
from userstack.tcp.state import State


def put_in_flight(m: Machine) -> None:
    """See to it that something of the machine's is unacknowledged: SYN, data or FIN."""
    if m.state in (State.ESTABLISHED, State.CLOSE_WAIT):
        m.send(b"lost")
        m.expect("ACK", seq=1, data=b"lost")


# --- USER TIMEOUT ---


@pytest.mark.parametrize(
    ("state", "record"),
    [
        pytest.param(State.LISTEN, False, marks=pytest.mark.transition("LISTEN | USER TIMEOUT |  | CLOSED")),
        pytest.param(State.SYN_SENT, False, marks=pytest.mark.transition("SYN-SENT | USER TIMEOUT |  | CLOSED")),
        pytest.param(State.SYN_RECEIVED, False, marks=pytest.mark.transition("SYN-RECEIVED | USER TIMEOUT |  | CLOSED")),
        pytest.param(State.ESTABLISHED, False, marks=pytest.mark.transition("ESTABLISHED | USER TIMEOUT |  | CLOSED")),
        pytest.param(State.FIN_WAIT_1, False, marks=pytest.mark.transition("FIN-WAIT-1 | USER TIMEOUT |  | CLOSED")),
        pytest.param(State.FIN_WAIT_2, False, marks=pytest.mark.transition("FIN-WAIT-2 | USER TIMEOUT |  | CLOSED")),
        pytest.param(State.CLOSE_WAIT, False, marks=pytest.mark.transition("CLOSE-WAIT | USER TIMEOUT |  | CLOSED")),
        pytest.param(State.CLOSING, False, marks=pytest.mark.transition("CLOSING | USER TIMEOUT |  | CLOSED")),
        pytest.param(State.LAST_ACK, False, marks=pytest.mark.transition("LAST-ACK | USER TIMEOUT |  | CLOSED")),
        pytest.param(State.TIME_WAIT, False, marks=pytest.mark.transition("TIME-WAIT | USER TIMEOUT |  | CLOSED")),
        pytest.param(State.TIME_WAIT, True, marks=pytest.mark.transition("TIME-WAIT | USER TIMEOUT |  | CLOSED")),
    ],
)
def test_user_timeout_ends_every_state(state: State, record: bool) -> None:
    m = Machine.in_state(state, record=record)
    m.user_timeout_expires()
    m.sent()
    m.moved(state, State.CLOSED, section="3.10.8")
    assert record or isinstance(m.error, ConnectionTimedOut)
    assert m.subject.next_deadline() is None
    m.wait(600_000)
    m.nothing_sent()


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(State.SYN_SENT, marks=pytest.mark.transition("SYN-SENT | USER TIMEOUT |  | CLOSED")),
        pytest.param(State.SYN_RECEIVED, marks=pytest.mark.transition("SYN-RECEIVED | USER TIMEOUT |  | CLOSED")),
        pytest.param(State.ESTABLISHED, marks=pytest.mark.transition("ESTABLISHED | USER TIMEOUT |  | CLOSED")),
        pytest.param(State.FIN_WAIT_1, marks=pytest.mark.transition("FIN-WAIT-1 | USER TIMEOUT |  | CLOSED")),
        pytest.param(State.CLOSE_WAIT, marks=pytest.mark.transition("CLOSE-WAIT | USER TIMEOUT |  | CLOSED")),
        pytest.param(State.CLOSING, marks=pytest.mark.transition("CLOSING | USER TIMEOUT |  | CLOSED")),
        pytest.param(State.LAST_ACK, marks=pytest.mark.transition("LAST-ACK | USER TIMEOUT |  | CLOSED")),
    ],
)
def test_user_timeout_set_by_the_user_runs_while_something_is_outstanding(state: State) -> None:
    m = Machine.in_state(state)
    m.connection.user_timeout = 5 * SECOND
    put_in_flight(m)
    started = m.now
    m.wait(4_900)
    m.expect_state(state)
    assert len(m.sent()) >= 2
    while m.state is not State.CLOSED and m.now < started + 6 * SECOND:
        m.wait(10)
    assert [(step.old, step.new) for step in m.transitions] == [(state, State.CLOSED)]
    assert m.transitions[-1].clause.removeprefix("RFC 9293 ").startswith("3.10.8")
    assert isinstance(m.error, ConnectionTimedOut)
    with pytest.raises(ConnectionTimedOut):
        m.receive()


@pytest.mark.parametrize("state", [State.ESTABLISHED, State.FIN_WAIT_2, State.CLOSE_WAIT])
def test_user_timeout_does_not_run_while_nothing_is_outstanding(state: State) -> None:
    m = Machine.in_state(state)
    m.connection.user_timeout = 5 * SECOND
    m.wait(3_600_000)
    m.stayed()
    m.nothing_sent()


# --- R2 ---


@pytest.mark.requirement("MUST-20")
@pytest.mark.requirement("SHLD-11")
@pytest.mark.parametrize(
    "state",
    [
        pytest.param(
            State.ESTABLISHED,
            marks=pytest.mark.transition("ESTABLISHED | retransmissions of data or FIN reach R2 |  | CLOSED"),
        ),
        pytest.param(
            State.FIN_WAIT_1,
            marks=pytest.mark.transition("FIN-WAIT-1 | retransmissions of data or FIN reach R2 |  | CLOSED"),
        ),
        pytest.param(
            State.CLOSE_WAIT,
            marks=pytest.mark.transition("CLOSE-WAIT | retransmissions of data or FIN reach R2 |  | CLOSED"),
        ),
        pytest.param(
            State.CLOSING,
            marks=pytest.mark.transition("CLOSING | retransmissions of data or FIN reach R2 |  | CLOSED"),
        ),
        pytest.param(
            State.LAST_ACK,
            marks=pytest.mark.transition("LAST-ACK | retransmissions of data or FIN reach R2 |  | CLOSED"),
        ),
    ],
)
def test_data_or_fin_is_given_up_at_r2(state: State) -> None:
    m = Machine.in_state(state)
    put_in_flight(m)
    m.wait(99_999)
    m.stayed()
    assert [segment.time // SECOND for segment in m.sent()] == [1, 3, 7, 15, 31, 63]
    m.wait(61_000)
    assert [(step.old, step.new) for step in m.transitions] == [(state, State.CLOSED)]
    assert m.transitions[-1].clause.removeprefix("RFC 9293 ").startswith("3.8.3")
    assert isinstance(m.error, ConnectionTimedOut)
    assert m.connection.next_deadline() is None


@pytest.mark.requirement("MUST-22")
@pytest.mark.requirement("MUST-23")
@pytest.mark.parametrize(
    ("state", "passive"),
    [
        pytest.param(
            State.SYN_SENT,
            False,
            marks=pytest.mark.transition("SYN-SENT | retransmissions of SYN reach R2 | R2 for SYN at least 3 min | CLOSED"),
        ),
        pytest.param(
            State.SYN_RECEIVED,
            False,
            marks=pytest.mark.transition("SYN-RECEIVED | retransmissions of SYN reach R2 | R2 for SYN at least 3 min | CLOSED"),
        ),
        pytest.param(
            State.SYN_RECEIVED,
            True,
            marks=pytest.mark.transition("SYN-RECEIVED | retransmissions of SYN reach R2 | R2 for SYN at least 3 min | CLOSED"),
        ),
    ],
)
def test_syn_is_given_up_at_r2(state: State, passive: bool) -> None:
    m = Machine.in_state(state, passive=passive)
    m.wait(179_999)
    m.stayed()
    assert [segment.time // SECOND for segment in m.sent()] == [1, 3, 7, 15, 31, 63, 123]
    m.wait(61_000)
    assert [(step.old, step.new) for step in m.transitions] == [(state, State.CLOSED)]
    assert m.transitions[-1].clause.removeprefix("RFC 9293 ").startswith("3.8.3")
    assert isinstance(m.error, ConnectionTimedOut)


@pytest.mark.requirement("MUST-21")
def test_r2_is_a_setting() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(r2=10 * SECOND))
    put_in_flight(m)
    m.wait(9_999)
    m.stayed()
    m.wait(6_000)
    m.expect_state(State.CLOSED)


def test_an_answer_before_r2_starts_the_count_anew() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    put_in_flight(m)
    m.wait(90_000)
    m.arrives("ACK", ack=5)
    m.sent()
    m.send(b"more")
    m.wait(90_000)
    m.stayed()


# --- TIME-WAIT TIMEOUT ---


@pytest.mark.requirement("MUST-13")
@pytest.mark.parametrize("record", [False, True], ids=["connection", "record"])
@pytest.mark.parametrize("msl", [1, 30, 120])
@pytest.mark.transition("TIME-WAIT | TIME-WAIT TIMEOUT | 2*MSL elapsed | CLOSED")
def test_time_wait_ends_after_two_msl(record: bool, msl: int) -> None:
    m = Machine.in_state(State.TIME_WAIT, record=record, config=StackConfig(msl=msl * SECOND))
    m.wait(2 * msl * 1000 - 1)
    m.stayed()
    m.wait(1)
    m.nothing_sent()
    m.moved(State.TIME_WAIT, State.CLOSED, section="3.10.8")
    assert m.error is None
    assert m.subject.next_deadline() is None


# --- ICMP ---


@pytest.mark.requirement("MUST-54")
@pytest.mark.requirement("SHLD-26")
@pytest.mark.parametrize("error", [ProtocolUnreachable(), ConnectionRefused()], ids=["protocol", "port"])
@pytest.mark.parametrize(
    "state",
    [
        pytest.param(
            State.SYN_SENT,
            marks=pytest.mark.transition("SYN-SENT | ICMP hard error | v4 unreachable 2-4 (code 4 only without PMTUD) | CLOSED"),
        ),
        pytest.param(
            State.SYN_RECEIVED,
            marks=pytest.mark.transition(
                "SYN-RECEIVED | ICMP hard error | v4 unreachable 2-4 (code 4 only without PMTUD) | CLOSED"
            ),
        ),
        pytest.param(
            State.ESTABLISHED,
            marks=pytest.mark.transition("ESTABLISHED | ICMP hard error | v4 unreachable 2-4 (code 4 only without PMTUD) | CLOSED"),
        ),
        pytest.param(
            State.FIN_WAIT_1,
            marks=pytest.mark.transition("FIN-WAIT-1 | ICMP hard error | v4 unreachable 2-4 (code 4 only without PMTUD) | CLOSED"),
        ),
        pytest.param(
            State.FIN_WAIT_2,
            marks=pytest.mark.transition("FIN-WAIT-2 | ICMP hard error | v4 unreachable 2-4 (code 4 only without PMTUD) | CLOSED"),
        ),
        pytest.param(
            State.CLOSE_WAIT,
            marks=pytest.mark.transition("CLOSE-WAIT | ICMP hard error | v4 unreachable 2-4 (code 4 only without PMTUD) | CLOSED"),
        ),
        pytest.param(
            State.CLOSING,
            marks=pytest.mark.transition("CLOSING | ICMP hard error | v4 unreachable 2-4 (code 4 only without PMTUD) | CLOSED"),
        ),
        pytest.param(
            State.LAST_ACK,
            marks=pytest.mark.transition("LAST-ACK | ICMP hard error | v4 unreachable 2-4 (code 4 only without PMTUD) | CLOSED"),
        ),
    ],
)
def test_hard_icmp_error_aborts(state: State, error: OSError) -> None:
    """SHLD-26 to the letter in the synchronized states is a setting (see ``tests/tcp/test_icmp.py``)."""
    m = Machine.in_state(state, config=StackConfig(icmp_ends_synchronized=state not in {State.SYN_SENT, State.SYN_RECEIVED}))
    put_in_flight(m)
    m.icmp(error, hard=True, seq=m.snd_una)
    m.moved(state, State.CLOSED, section="3.9.2.2")
    assert type(m.error) is type(error)
    assert m.connection.next_deadline() is None
    m.sent()
    m.wait(200_000)
    m.nothing_sent()


@pytest.mark.parametrize("state", [State.SYN_SENT, State.ESTABLISHED, State.FIN_WAIT_1])
@pytest.mark.parametrize("seq", [-1, 100], ids=["before", "beyond"])
def test_hard_icmp_error_about_nothing_in_flight_is_ignored(state: State, seq: int) -> None:
    m = Machine.in_state(state)
    put_in_flight(m)
    m.icmp(ProtocolUnreachable(), hard=True, seq=seq)
    m.stayed()
    assert m.error is None


@pytest.mark.requirement("MUST-56")
@pytest.mark.parametrize(
    "state",
    [
        State.SYN_SENT,
        State.SYN_RECEIVED,
        State.ESTABLISHED,
        State.FIN_WAIT_1,
        State.FIN_WAIT_2,
        State.CLOSE_WAIT,
        State.CLOSING,
        State.LAST_ACK,
    ],
)
def test_soft_icmp_error_does_not_abort(state: State) -> None:
    m = Machine.in_state(state)
    put_in_flight(m)
    m.icmp(HostUnreachable(), hard=False, seq=m.snd_una)
    m.stayed()
    m.nothing_sent()
    m.wait(1_000)
    m.expect_state(state)


def test_soft_error_is_what_a_connection_that_times_out_tells() -> None:
    """SHLD-25: the application learns that the network had said why."""
    m = Machine.in_state(State.SYN_SENT)
    m.icmp(HostUnreachable(), hard=False, seq=0)
    m.wait(300_000)
    m.expect_state(State.CLOSED)
    assert isinstance(m.error, HostUnreachable | ConnectionTimedOut)


def test_soft_error_is_forgotten_when_the_peer_is_heard_again() -> None:
    """What went wrong an hour ago and was repaired is not why the connection dies now."""
    m = Machine.in_state(State.ESTABLISHED)
    put_in_flight(m)
    m.icmp(HostUnreachable(), hard=False, seq=1)
    m.arrives("ACK", ack=5)
    m.wait(3_600_000)
    m.send(b"lost")
    m.wait(300_000)
    m.expect_state(State.CLOSED)
    assert isinstance(m.error, ConnectionTimedOut)
