"""Zero windows are probed (RFC 9293 3.8.6.1)."""

import itertools

import pytest

from tests.support.machine import Machine
from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.errors import ConnectionTimedOut
from userstack.tcp.state import State


def stalled(*, config: StackConfig | None = None) -> Machine:
    """ESTABLISHED, the peer's window closed, data waiting."""
    m = Machine.in_state(State.ESTABLISHED, config=config, mss=1000)
    m.arrives("ACK", window=0)
    m.send(b"0123456789")
    m.nothing_sent()
    return m


def all_that_follows(m: Machine, *, window: int) -> bytes:
    """What is sent from SND.UNA on, each flight acknowledged at once; no time passes."""
    got, first = b"", m.snd_una
    while sent := m.sent():
        for segment in sent:
            assert segment.seq <= first + len(got), "a gap"
            got += segment.data[first + len(got) - segment.seq :]
        m.arrives("ACK", ack=sent[-1].end, window=window)
    return got


@pytest.mark.requirement("MUST-36")
@pytest.mark.requirement("SHLD-29")
def test_first_probe_after_one_rto_carries_new_data() -> None:
    m = stalled()
    start = m.now
    probe = m.next_sent(within=2_000)
    assert probe.time - start == pytest.approx(m.connection.info().rto, rel=1.01)
    assert probe.time - start >= 1 * SECOND - 1 * MILLISECOND
    assert probe.seq == 1
    assert probe.data == b"0"


@pytest.mark.requirement("SHLD-30")
def test_probes_back_off_exponentially_up_to_the_ceiling() -> None:
    m = stalled()
    times = [m.now]
    for _ in range(10):
        probe = m.next_sent(within=61_000)
        assert probe.seq == 1
        assert len(probe.data) >= 1
        times.append(probe.time)
        m.arrives("ACK", ack=1, window=0)
    gaps = [round((later - earlier) / SECOND) for earlier, later in itertools.pairwise(times)]
    assert gaps == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


@pytest.mark.requirement("MUST-37")
@pytest.mark.requirement("SHLD-17")
@pytest.mark.parametrize("state", [State.ESTABLISHED, State.FIN_WAIT_1, State.CLOSE_WAIT, State.LAST_ACK, State.CLOSING])
def test_connection_stays_open_while_probes_are_acknowledged(state: State) -> None:
    m = Machine.in_state(State.CLOSE_WAIT if state in (State.CLOSE_WAIT, State.LAST_ACK) else State.ESTABLISHED, mss=1000)
    m.arrives("ACK", window=0)
    m.send(b"waiting")
    if state in (State.FIN_WAIT_1, State.LAST_ACK, State.CLOSING):
        m.close()
    if state is State.CLOSING:
        m.arrives("FIN,ACK", ack=1, window=0)
    held = m.state
    m.sent()
    while m.now < 6 * 3600 * SECOND:
        assert m.next_sent(within=61_000).seq == 1
        m.sent()
        m.arrives("ACK", ack=1, window=0)
    m.expect_state(held)
    assert m.error is None
    m.arrives("ACK", ack=1, window=1_000)
    assert all_that_follows(m, window=1_000) == b"waiting"


def test_probes_that_nobody_answers_end_the_connection() -> None:
    """Design law 5, and RFC 9293 3.8.6.1: open only "as long as the receiving TCP peer continues to send acknowledgments"."""
    m = stalled()
    m.wait(600_000)
    m.expect_state(State.CLOSED)
    assert isinstance(m.error, ConnectionTimedOut)


def test_open_window_lets_all_go() -> None:
    m = stalled()
    m.next_sent(within=2_000)
    m.arrives("ACK", ack=1, window=0)
    m.arrives("ACK", ack=1, window=5_000)
    assert all_that_follows(m, window=5_000) == b"0123456789"
    m.wait(10_000)
    m.nothing_sent()


def test_open_window_lets_all_go_in_segments_as_large_as_possible() -> None:
    """SHLD-28: the octet of the probe is no segment of its own; RFC 9293 3.8.6: "may repackage segments"."""
    m = stalled()
    m.next_sent(within=2_000)
    m.arrives("ACK", ack=1, window=5_000)
    m.expect("ACK", seq=1, data=b"0123456789")


def test_peer_that_takes_the_probe_but_stays_closed() -> None:
    """The octet of the probe is acknowledged, the window is still 0: the next probe carries the next octet."""
    m = stalled()
    for octet in range(5):
        probe = m.next_sent(within=61_000)
        assert (probe.seq, probe.data) == (1 + octet, b"0123456789"[octet : octet + 1])
        m.arrives("ACK", ack=2 + octet, window=0)
        m.nothing_sent()
    m.arrives("ACK", ack=6, window=100)
    m.expect("ACK", seq=6, data=b"56789")


def test_peer_that_takes_the_probe_and_opens() -> None:
    m = stalled()
    m.next_sent(within=2_000)
    m.arrives("ACK", ack=2, window=5_000)
    m.expect("ACK", seq=2, data=b"123456789")


def test_probing_stops_when_the_window_opens() -> None:
    m = stalled()
    m.next_sent(within=2_000)
    m.arrives("ACK", ack=2, window=5_000)
    m.sent()
    m.arrives("ACK", ack=11, window=0)
    m.wait(3_600_000)
    m.nothing_sent()
    assert m.connection.next_deadline() is None


def test_window_closed_from_the_handshake_on() -> None:
    m = Machine.in_state(State.ESTABLISHED, window=0)
    m.send(b"x" * 2000)
    m.nothing_sent()
    assert len(m.next_sent(within=2_000).data) >= 1
    m.arrives("ACK", ack=1, window=4_000)
    assert all_that_follows(m, window=4_000) == b"x" * 2000


def test_fin_waits_behind_a_closed_window_without_data() -> None:
    """Nothing but the FIN is left: it occupies sequence space too, so it may go as the probe, and must go when the window opens."""
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", window=0)
    m.close()
    m.expect_state(State.FIN_WAIT_1)
    if not m.outbox:
        m.next_sent(within=2_000)
    m.sent()
    assert m.log[-1].flags == "FIN,ACK"
    m.arrives("ACK", ack=2, window=0)
    m.expect_state(State.FIN_WAIT_2)


def test_lost_window_update_is_survived() -> None:
    """What probing is for: the update was lost; the answer to the probe tells of the window again."""
    m = stalled()
    m.next_sent(within=2_000)
    m.arrives("ACK", ack=1, window=1_000)
    assert all_that_follows(m, window=1_000) == b"0123456789"


def test_receiver_answers_probes_at_a_zero_window() -> None:
    """RFC 9293 3.8.6.1: "it must still send an acknowledgment showing its next expected sequence number and current window"."""
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(receive_buffer=1000), mss=500)
    m.arrives("ACK", data=b"x" * 1000)
    m.wait(50)
    m.sent()
    for _ in range(5):
        m.arrives("ACK", seq=1001, data=b"p")
        m.peer_nxt = 1001
        assert m.expect("ACK", seq=1, ack=1001).window == 0
        m.wait(1_000)
    assert m.receive() == b"x" * 1000
    assert m.expect("ACK", seq=1, ack=1001).window == 1000
