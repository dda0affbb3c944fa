"""The rows of transitions.csv where a timer comes and the state stays: RETRANSMISSION TIMEOUT (RFC 9293 3.10.8) and R1 (3.8.3)."""

import pytest

from tests.support.machine import Machine
from userstack.config import SECOND
from userstack.errors import ConnectionTimedOut
from userstack.tcp.state import State

OUTSTANDING = {
    State.SYN_SENT: ("SYN", 0),
    State.SYN_RECEIVED: ("SYN,ACK", 0),
    State.ESTABLISHED: ("ACK", 1),
    State.FIN_WAIT_1: ("FIN,ACK", 1),
    State.CLOSE_WAIT: ("ACK", 1),
    State.CLOSING: ("FIN,ACK", 1),
    State.LAST_ACK: ("FIN,ACK", 1),
}
"""What waits to be acknowledged. In FIN-WAIT-2 and TIME-WAIT all has been, in CLOSED and LISTEN nothing was sent."""


def waiting_in(state: State) -> Machine:
    m = Machine.in_state(state)
    if state in (State.ESTABLISHED, State.CLOSE_WAIT):
        m.send(b"data")
        m.sent()
    return m


@pytest.mark.requirement("MUST-20")
@pytest.mark.requirement("MUST-22")
@pytest.mark.parametrize("state", OUTSTANDING)
def test_the_front_of_the_queue_is_sent_again_and_the_timer_backs_off(state: State) -> None:
    m = waiting_in(state)
    flags, seq = OUTSTANDING[state]
    again = m.next_sent(within=1_001)
    assert (again.flags, again.seq) == (flags, seq)
    assert m.connection.info().rto == 2 * SECOND
    assert m.next_sent(within=2_001).seq == seq
    m.stayed()


@pytest.mark.requirement("SHLD-9")
@pytest.mark.requirement("MUST-22")
@pytest.mark.parametrize("state", OUTSTANDING)
def test_from_r1_on_the_application_can_ask_and_the_connection_stays(state: State) -> None:
    m = waiting_in(state)
    told = []
    for wait in (1_001, 2_001, 4_001):
        m.wait(wait)
        told.append(type(m.connection.soft_error))
    assert told == [type(None), type(None), ConnectionTimedOut]
    m.stayed()


@pytest.mark.parametrize("state", [State.CLOSED, State.LISTEN, State.FIN_WAIT_2])
def test_where_nothing_is_outstanding_no_timer_runs(state: State) -> None:
    m = Machine.in_state(state)
    assert m.subject.next_deadline() is None
    m.wait(86_400_000)
    m.stayed()


def test_a_user_timeout_that_expires_in_closed_is_nothing() -> None:
    m = Machine.in_state(State.CLOSED)
    m.user_timeout_expires()
    m.stayed()
    assert m.error is None
