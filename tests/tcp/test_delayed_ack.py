"""When an ACK is sent (RFC 9293 3.8.6.3; RFC 5681 4.2)."""

import pytest

from tests.support.machine import Machine
from userstack.config import MILLISECOND, StackConfig
from userstack.errors import InvalidArgument
from userstack.tcp.state import State


@pytest.mark.requirement("SHLD-18")
@pytest.mark.requirement("MUST-40")
@pytest.mark.parametrize("delay", [40, 200, 499])
def test_ack_of_a_lone_segment_waits_less_than_half_a_second(delay: int) -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(delayed_ack=delay * MILLISECOND))
    m.arrives("ACK", data=b"lone")
    m.nothing_sent()
    arrived = m.now
    assert m.next_sent(within=499).ack == 5
    assert m.now - arrived == delay * MILLISECOND


@pytest.mark.requirement("MUST-40")
def test_half_a_second_cannot_be_configured() -> None:
    with pytest.raises(InvalidArgument):
        StackConfig(delayed_ack=500 * MILLISECOND)


def test_no_delay_can_be_configured() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(delayed_ack=0))
    m.arrives("ACK", data=b"lone")
    m.wait(0)
    m.expect("ACK", seq=1, ack=5)


@pytest.mark.requirement("SHLD-19")
def test_every_second_full_segment_is_acknowledged_at_once() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    for segment in range(1, 11):
        m.arrives("ACK", data=b"x" * 1460)
        assert len(m.sent()) == (segment + 1) % 2


@pytest.mark.requirement("SHLD-19")
def test_two_segments_worth_of_small_ones_is_acknowledged_at_once() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    for _ in range(29):
        m.arrives("ACK", data=b"x" * 100)
    m.arrives("ACK", data=b"x" * 100)
    assert m.sent()[0].ack is not None


def test_delay_counts_from_the_first_segment_that_waits() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", data=b"a")
    start = m.now
    for _ in range(3):
        m.wait(10)
        m.arrives("ACK", data=b"b")
    m.sent()
    m.wait(start / MILLISECOND + 40 - m.now / MILLISECOND)
    m.wait(0)
    assert m.log[-1].ack == 5
    assert m.now - start <= 40 * MILLISECOND


def test_ack_rides_on_data() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", data=b"question")
    m.send(b"answer")
    m.expect("ACK", seq=1, ack=9, data=b"answer")
    m.arrives("ACK")
    m.wait(500)
    m.nothing_sent()
    assert m.connection.next_deadline() is None


def test_fin_is_acknowledged_at_once() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("FIN,ACK")
    m.expect("ACK", seq=1, ack=2)


@pytest.mark.requirement("MAY-13")
def test_every_out_of_order_segment_is_answered_at_once() -> None:
    """RFC 5681 3.2: "an immediate duplicate ACK when an out-of-order segment arrives"."""
    m = Machine.in_state(State.ESTABLISHED)
    for island in range(5):
        m.arrives("ACK", seq=101 + 200 * island, data=b"x" * 100)
        m.expect("ACK", seq=1, ack=1)
        m.nothing_sent()


def test_segment_that_fills_part_of_a_gap_is_acknowledged_at_once() -> None:
    """RFC 5681 4.2: "fills in all or part of a gap"."""
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", seq=201, data=b"x" * 100)
    m.sent()
    m.arrives("ACK", seq=1, data=b"x" * 100)
    m.expect("ACK", seq=1, ack=101)
    m.arrives("ACK", seq=101, data=b"x" * 100)
    m.expect("ACK", seq=1, ack=301)


def test_repeated_text_is_answered_at_once() -> None:
    """The peer missed our ACK: step 1 answers."""
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", data=b"x" * 100)
    m.wait(50)
    m.sent()
    m.arrives("ACK", seq=1, data=b"x" * 100)
    m.expect("ACK", seq=1, ack=101)
