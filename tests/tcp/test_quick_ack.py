"""Acknowledging as Linux does (held against a 6.18 kernel): quick ACKs, a delay that adapts, answers that carry ACKs."""

from tests.support.machine import Machine
from userstack.config import MILLISECOND, StackConfig
from userstack.tcp.delayed_ack import DelayedAck
from userstack.tcp.state import State

LINUX = StackConfig.linux()


def established() -> Machine:
    return Machine.in_state(State.ESTABLISHED, config=LINUX, passive=True)


def waits(m: Machine, size: int, *, pause: float = 300, flags: str = "ACK", read: bool = True) -> float:
    """A segment arrives and, unless told otherwise, is read at once: after how many ms it is acknowledged."""
    start = m.now
    m.arrives(flags, data=b"x" * size)
    if read:
        m.receive()
    m.wait(pause)
    sent = m.sent()
    if not read:
        m.receive()
        m.sent()
    assert len(sent) == 1
    return (sent[0].time - start) / MILLISECOND


def spent() -> Machine:
    """A machine that has used its quick ACKs up, full segments being of 1000 octets."""
    m = established()
    for _ in range(17):
        m.arrives("ACK", data=b"x" * 1_000)
        m.receive()
        m.wait(5)
    m.wait(100)
    assert len(m.sent()) == 17
    return m


def test_the_first_sixteen_segments_are_acknowledged_at_once() -> None:
    m = established()
    delays = [waits(m, 1_000, pause=50) for _ in range(18)]
    assert delays == [0] * 16 + [40, 40]


def test_then_a_lone_segment_waits_and_two_full_ones_do_not() -> None:
    m = spent()
    assert waits(m, 900, read=False, pause=100) == 40
    m.arrives("ACK", data=b"x" * 1_000)
    m.receive()
    m.nothing_sent()
    m.arrives("ACK", data=b"x" * 1_000)
    assert len(m.sent()) == 1


def test_two_small_segments_wait() -> None:
    m = spent()
    m.arrives("ACK", data=b"x" * 100)
    m.arrives("ACK", data=b"x" * 100)
    m.nothing_sent()
    m.wait(50)
    assert len(m.sent()) == 1


def test_an_application_that_has_read_a_small_segment_has_nothing_to_wait_for() -> None:
    m = spent()
    assert waits(m, 100) == 0


def test_an_answer_carries_the_ack_and_the_next_ones_wait_for_answers() -> None:
    m = spent()
    for _ in range(3):
        m.arrives("ACK", data=b"x" * 100)
        m.receive()
        m.sent()
        m.wait(10)
        m.send(b"y" * 100)
        m.sent()
        m.wait(10)
        m.arrives("ACK")
    m.arrives("ACK", data=b"x" * 100)
    m.receive()
    m.nothing_sent()
    m.wait(50)
    assert len(m.sent()) == 1
    assert waits(m, 100) == 0  # no answer came: no longer interactive


def test_trouble_brings_quick_acks_back() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=LINUX, sack=True)
    for _ in range(20):
        m.arrives("ACK", data=b"x" * 1_000)
        m.wait(60)
    m.sent()
    assert waits(m, 300, read=False) == 40
    m.arrives("ACK", seq=1, data=b"x" * 1_000)
    m.sent()
    assert [waits(m, 300, read=False, pause=50) for _ in range(5)] == [0] * 5


def test_a_long_silence_brings_quick_acks_back() -> None:
    m = spent()
    m.wait(1_000)
    assert [waits(m, 300, read=False, pause=60) for _ in range(3)] == [0] * 3


def test_tcp_quickack() -> None:
    acks = DelayedAck(LINUX)
    values = [acks.quick]
    acks.set_quick(False)
    assert [*values, acks.quick] == [True, False]
    assert not acks.arrived(100, 1, 65_535, 10**9, 0)
    acks.set_quick(True)
    assert acks.arrived(100, 1, 65_535, 10**9, 0)


def test_the_delay_never_reaches_half_a_second() -> None:
    acks = DelayedAck(LINUX)
    acks.arrived(100, 1, 65_535, 10**9, 0)
    for _ in range(10):
        acks.expired(10**9)
    assert acks.deadline(None, 0) < 500 * MILLISECOND
    assert acks.deadline(50 * MILLISECOND, 0) == 50 * MILLISECOND
    acks.set_quick(False)
    assert acks.deadline(None, 0) == 200 * MILLISECOND
