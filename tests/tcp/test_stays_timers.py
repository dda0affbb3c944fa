"""The ``stay`` rows of transitions.csv that the clock or ICMP drives: RFC 9293 3.10.8, 3.8.3, 3.8.6.1, 3.9.2.2."""

import itertools

import pytest

from tests.support.machine import Machine
from tests.tcp.stays import OPENED, stays
from userstack.errors import ConnectionTimedOut, HostUnreachable, ProtocolError
from userstack.tcp.state import State

LIVE = OPENED[:-1]
"""TIME-WAIT has nothing outstanding, and no user to tell."""
OUTSTANDING = tuple(state for state in LIVE if state is not State.FIN_WAIT_2)


def soft_error(m: Machine) -> OSError | None:
    """What the application is told of, and the connection survives."""
    return m.connection.tcb.soft_error


def with_something_outstanding(state: State) -> Machine:
    """SYN, FIN, or four octets of text."""
    m = Machine.in_state(state)
    if state in (State.ESTABLISHED, State.CLOSE_WAIT):
        m.send(b"lost")
        m.sent()
    return m


@stays("RETRANSMISSION TIMEOUT | something on the retransmission queue", of=OUTSTANDING)
def test_the_front_is_sent_again_and_the_timer_backs_off(state: State, record: bool) -> None:
    m = with_something_outstanding(state)
    sent = [m.next_sent(within=10_000) for _ in range(3)]
    assert {segment.seq for segment in sent} == {m.snd_una}
    gaps = [later.time - earlier.time for earlier, later in itertools.pairwise(sent)]
    assert gaps[1] == 2 * gaps[0]
    m.stayed()


@stays(
    "RETRANSMISSION TIMEOUT | something on the retransmission queue", "retransmission count/time reaches R1", of=(State.FIN_WAIT_2,)
)
def test_in_fin_wait_2_nothing_is_left_that_could_be_sent_again(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    assert m.connection.info().unacked == 0
    m.wait(3_600_000)
    m.nothing_sent()
    m.stayed()
    assert soft_error(m) is None


@stays("retransmission count/time reaches R1", of=OUTSTANDING)
def test_r1_tells_the_application_and_no_more(state: State, record: bool) -> None:
    m = with_something_outstanding(state)
    for _ in range(m.config.r1 - 1):
        m.next_sent(within=10_000)
    assert soft_error(m) is None
    m.next_sent(within=10_000)
    assert isinstance(soft_error(m), ConnectionTimedOut)
    m.stayed()


@stays(
    "persist (zero-window probe) timeout | peer still acks probes",
    of=(State.ESTABLISHED, State.FIN_WAIT_1, State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK),
)
def test_probes_of_a_zero_window_go_on_for_as_long_as_the_peer_answers(state: State, record: bool) -> None:
    m = behind_a_shut_window(state)
    times = []
    for _ in range(12):
        probe = m.next_sent(within=200_000)
        assert probe.end - probe.seq >= 1, "at least one octet, or the FIN"
        times.append(probe.time)
        m.arrives("ACK", ack=1, window=0)
        m.sent()
        m.expect_state(state)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps[1] > gaps[0] * 1.5
    assert max(gaps) == gaps[-1] == m.config.rto_max
    assert times[-1] > m.config.r2, "never aborted for this reason alone"


def behind_a_shut_window(state: State) -> Machine:
    """Text waits, or the FIN; in LAST-ACK the FIN alone, for text would keep the connection in CLOSE-WAIT."""
    m = Machine.in_state(State.CLOSE_WAIT if state in (State.CLOSE_WAIT, State.LAST_ACK) else State.ESTABLISHED)
    m.arrives("ACK", window=0)
    if state is not State.LAST_ACK:
        m.send(b"waiting")
    if state not in (State.ESTABLISHED, State.CLOSE_WAIT):
        m.close()
    if state is State.CLOSING:
        m.arrives("FIN,ACK", ack=1, window=0)
        m.sent()
    m.expect_state(state)
    return m


@stays("ICMP soft error | v4 unreachable 0/1/5, time exceeded, parameter problem; v6 equivalents", of=LIVE)
@pytest.mark.parametrize("error", [HostUnreachable(), ProtocolError()], ids=["unreachable", "parameter problem"])
def test_a_soft_error_is_told_and_does_not_abort(state: State, record: bool, error: OSError) -> None:
    m = with_something_outstanding(state)
    if state is State.FIN_WAIT_2:  # nothing of ours is on its way that the error could be about
        m.icmp(error, hard=False, seq=1)
        m.stayed()
        assert soft_error(m) is None
        return
    m.icmp(error, hard=False, seq=m.snd_una)
    m.stayed()
    assert soft_error(m) is error
