"""R1 and R2 (RFC 9293 3.8.3), the user timeout, and what a window of zero has to do with them."""

import pytest

from tests.support.machine import Machine
from userstack.config import FOREVER, MILLISECOND, SECOND, StackConfig
from userstack.errors import ConnectionTimedOut
from userstack.tcp.state import State

LINUX = StackConfig.linux()
LASTING = StackConfig(r2=FOREVER)
DAY = 86_400_000


def in_flight(config: StackConfig | None = None) -> Machine:
    m = Machine.in_state(State.ESTABLISHED, config=config)
    m.send(b"lost")
    m.expect("ACK", seq=1, data=b"lost")
    return m


def closed_after(m: Machine, *, limit: int = 2_000_000) -> float:
    """Milliseconds until the connection is given up."""
    started = m.now
    while m.state is not State.CLOSED:
        deadline = m.connection.next_deadline()
        assert deadline is not None
        assert deadline < started + limit * MILLISECOND
        m.wait((deadline - m.now) / MILLISECOND)
    return (m.now - started) / MILLISECOND


# --- R1 ---


@pytest.mark.requirement("MUST-20")
@pytest.mark.requirement("SHLD-9")
@pytest.mark.requirement("SHLD-10")
@pytest.mark.parametrize("state", [State.SYN_SENT, State.ESTABLISHED])
def test_the_application_can_learn_of_the_trouble_from_r1_on(state: State) -> None:
    assert StackConfig().r1 >= 3
    m = in_flight() if state is State.ESTABLISHED else Machine.in_state(state)
    m.wait(6_900)
    assert m.connection.info().retransmits == 2
    before = m.connection.soft_error
    m.wait(200)
    assert m.connection.info().retransmits == 3
    assert (before, type(m.connection.soft_error)) == (None, ConnectionTimedOut)
    m.expect_state(state)


def test_the_trouble_is_forgotten_once_it_is_over() -> None:
    m = in_flight()
    m.wait(7_100)
    m.arrives("ACK", ack=5)
    assert m.connection.soft_error is None


# --- R2 ---


@pytest.mark.requirement("MUST-21")
@pytest.mark.parametrize("by_call", [True, False], ids=["call", "setting"])
def test_r2_can_be_infinite(by_call: bool) -> None:
    m = in_flight(None if by_call else LASTING)
    if by_call:
        m.connection.user_timeout = FOREVER
    m.wait(DAY)
    m.expect_state(State.ESTABLISHED)
    assert len(m.sent()) > 1_400
    m.arrives("ACK", ack=5)
    assert m.connection.next_deadline() is None


@pytest.mark.requirement("MUST-21")
def test_r2_of_one_connection_can_change_while_it_waits() -> None:
    m = in_flight()
    m.connection.user_timeout = FOREVER
    m.wait(DAY)
    m.connection.user_timeout = None
    m.wait(1)
    m.expect_state(State.CLOSED)


@pytest.mark.parametrize(("config", "given_up"), [(LASTING, 63_000), (StackConfig(orphan_retries=4), 31_000)])
def test_an_orphan_has_its_own_r2_even_where_that_of_others_is_infinite(config: StackConfig, given_up: int) -> None:
    """As in Linux: after 8 timeouts, or once the RTO is at its ceiling of 60 s."""
    m = in_flight(config)
    m.connection.user_timeout = FOREVER
    m.release()
    assert closed_after(m) == given_up


@pytest.mark.parametrize(("retries", "given_up"), [(1, 1_750), (2, 1_750), (3, 3_750)])
def test_linux_gives_up_when_a_retransmission_is_due_after_r2(retries: int, given_up: int) -> None:
    """Held against a 6.18 kernel with tcp_retries2: the time of R2 counts from the first retransmission on."""
    config = StackConfig(
        rto_min=200 * MILLISECOND,
        clock_granularity=200 * MILLISECOND,
        give_up_as_linux=True,
        r2=sum(200 * MILLISECOND << attempt for attempt in range(retries + 1)),
    )
    m = Machine.in_state(State.ESTABLISHED, config=config, rtt=50)
    m.send(b"lost")
    assert m.connection.info().rto == 250 * MILLISECOND
    assert closed_after(m) == given_up
    assert m.counters["TcpExtTCPAbortOnTimeout"] == 1


def test_the_user_timeout_of_linux_counts_from_the_first_retransmission() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=LINUX, rtt=50)
    m.connection.user_timeout = 1 * SECOND
    m.send(b"lost")
    assert closed_after(m) == 1_250


# --- a window that has shut ---


@pytest.mark.requirement("SHLD-17")
@pytest.mark.requirement("MUST-37")
@pytest.mark.parametrize("config", [None, LINUX], ids=["default", "linux"])
def test_whoever_answers_is_not_given_up_for_what_lies_beyond_its_window(config: StackConfig | None) -> None:
    """The window shrank to nothing after the text was sent (MUST-34), and every repetition is answered."""
    m = in_flight(config)
    m.arrives("ACK", ack=1, window=0)
    m.sent()
    while m.now < 3 * 3600 * SECOND:
        m.next_sent(within=121_000)
        m.sent()
        m.arrives("ACK", ack=1, window=0)
    m.expect_state(State.ESTABLISHED)
    m.arrives("ACK", ack=1, window=1_000)
    m.wait(1_000)
    assert m.sent()[0].data == b"lost"


@pytest.mark.parametrize("config", [None, LINUX], ids=["default", "linux"])
def test_a_peer_with_a_shut_window_that_falls_silent_is_given_up(config: StackConfig | None) -> None:
    m = in_flight(config)
    m.arrives("ACK", ack=1, window=0)
    closed_after(m)
    assert isinstance(m.error, ConnectionTimedOut)


@pytest.mark.parametrize("answering", [True, False], ids=["answering", "silent"])
def test_the_user_timeout_ends_the_probing_of_a_shut_window(answering: bool) -> None:
    """As in Linux, whose TCP_USER_TIMEOUT counts from the first probe on: what was written is not through."""
    m = Machine.in_state(State.ESTABLISHED)
    m.connection.user_timeout = 5 * SECOND
    m.arrives("ACK", window=0)
    m.send(b"waiting")
    started = m.now
    while m.state is not State.CLOSED:
        deadline = m.connection.next_deadline()
        assert deadline is not None
        m.wait((deadline - m.now) / MILLISECOND)
        if m.sent() and answering:
            m.arrives("ACK", ack=1, window=0)
    assert m.now - started == 6 * SECOND
    assert isinstance(m.error, ConnectionTimedOut)


def test_a_window_that_opens_in_between_starts_the_user_timeout_anew() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.connection.user_timeout = 5 * SECOND
    m.arrives("ACK", window=0)
    m.send(b"waiting")
    m.wait(4_000)
    m.arrives("ACK", ack=1, window=3)
    m.wait(1_000)
    m.arrives("ACK", ack=4, window=0)
    m.wait(4_000)
    m.expect_state(State.ESTABLISHED)


@pytest.mark.requirement("MAY-8")
def test_our_own_window_may_stay_shut_for_as_long_as_nobody_reads() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(receive_buffer=1000), mss=500)
    m.arrives("ACK", data=b"x" * 1000)
    m.wait(50)
    assert m.sent()[-1].window == 0
    for _ in range(24):
        m.wait(3_600_000)
        m.arrives("ACK", seq=1001, data=b"p")
        m.peer_nxt = 1001
        assert m.expect("ACK", seq=1, ack=1001).window == 0
    m.expect_state(State.ESTABLISHED)
    assert m.receive() == b"x" * 1000
