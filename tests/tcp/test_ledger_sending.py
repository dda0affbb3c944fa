"""What RFC 9293 asks of the sender's patience: what is held back goes out in time, and together (3.8.6.2.1, 3.9.1.2)."""

import pytest

from tests.support.machine import Machine
from userstack.config import MILLISECOND, StackConfig
from userstack.tcp.state import State


@pytest.mark.requirement("MUST-60")
def test_what_the_window_is_too_small_for_goes_out_after_the_override_timeout() -> None:
    """Less than half of the largest window and nothing outstanding: only the override timer (4) can let it go."""
    m = Machine.in_state(State.ESTABLISHED, window=1_000, mss=1_000, config=StackConfig(override_timeout=200 * MILLISECOND))
    m.send(b"x" * 1_000)
    m.sent()
    m.arrives("ACK", window=100)
    m.send(b"y" * 1_000)
    m.nothing_sent()
    held = m.next_sent(within=1_000)
    assert held.data == b"y" * 100


@pytest.mark.requirement("MUST-34")
def test_a_usable_window_may_be_negative_and_recovers() -> None:
    m = Machine.in_state(State.ESTABLISHED, window=4_000, mss=1_000)
    m.send(b"x" * 8_000)
    m.sent()
    m.arrives("ACK", ack=1_001, window=1_000)
    info = m.connection.info()
    assert (info.snd_wnd, info.unacked) == (1_000, 3_000)
    m.nothing_sent()
    m.arrives("ACK", ack=1_001, window=5_000)
    assert [(segment.seq, len(segment.data)) for segment in m.sent()] == [(4_001, 1_000), (5_001, 1_000)]


@pytest.mark.requirement("SHLD-27")
@pytest.mark.requirement("MAY-16")
def test_what_many_sends_bring_goes_out_in_the_largest_segments() -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=1_000)
    m.send(b"first")
    m.sent()
    for _ in range(25):
        m.connection.send(b"x" * 100, now=m.now)
    m.arrives("ACK", ack=6)
    sent = m.sent()
    m.arrives("ACK", ack=m.sent_nxt)
    sent += m.sent()
    assert [len(segment.data) for segment in sent] == [1_000, 1_000, 500]
    assert [bool(segment.raw.flags & 0x08) for segment in sent] == [False, False, True]


@pytest.mark.requirement("MAY-3")
@pytest.mark.parametrize("passive", [False, True], ids=["active", "passive"])
def test_the_mss_is_told_even_where_it_is_the_default(passive: bool) -> None:
    m = Machine(mtu=576)
    if passive:
        m.open_passive()
        m.arrives("SYN", seq=0)
        assert m.expect("SYN,ACK").mss == 536
    else:
        m.open_active()
        assert m.expect("SYN").mss == 536


@pytest.mark.requirement("MUST-58")
def test_every_second_segment_is_acknowledged_and_not_each() -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=1_000)
    acks = []
    for _ in range(6):
        m.arrives("ACK", data=b"x" * 1_000)
        acks += [segment.ack for segment in m.sent()]
    assert acks == [2_001, 4_001, 6_001]
