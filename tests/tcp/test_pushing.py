"""What waits for more and what goes: MSG_MORE, TCP_CORK, PSH (RFC 9293 3.9.1.2), and the MSS that silly windows are measured by."""

import pytest

from tests.support.machine import Machine
from userstack.config import MILLISECOND, StackConfig
from userstack.tcp.state import State

PSH = 0x08


def established(config: StackConfig | None = None, *, mss: int = 1000, window: int = 65535, tsval: int | None = None) -> Machine:
    return Machine.in_state(State.ESTABLISHED, config=config, mss=mss, window=window, tsval=tsval)


def sizes(m: Machine) -> list[int]:
    return [len(segment.data) for segment in m.sent()]


def send_more(m: Machine, octets: int) -> None:
    """SEND without a push: another one follows."""
    m.connection.send(b"m" * octets, now=m.now, more=True)
    m.pull()


# --- SEND with and without a push ---


@pytest.mark.requirement("MAY-15")
@pytest.mark.requirement("MAY-16")
def test_what_is_not_pushed_waits_for_more() -> None:
    m = established()
    send_more(m, 100)
    send_more(m, 100)
    m.nothing_sent()
    m.send(b"x" * 100)
    assert [(len(sent.data), bool(sent.raw.flags & PSH)) for sent in m.sent()] == [(300, True)]


@pytest.mark.requirement("SHLD-28")
@pytest.mark.requirement("MAY-16")
def test_a_full_segment_does_not_wait_for_more_and_has_no_push() -> None:
    m = established()
    send_more(m, 2_100)
    assert [(len(sent.data), bool(sent.raw.flags & PSH)) for sent in m.sent()] == [(1000, False), (1000, False)]


@pytest.mark.requirement("MUST-60")
@pytest.mark.parametrize("config", [None, StackConfig.linux()], ids=["default", "linux"])
def test_what_nobody_pushes_goes_all_the_same_after_a_fifth_of_a_second(config: StackConfig | None) -> None:
    m = established(config)
    started = m.now
    send_more(m, 100)
    sent = m.next_sent(within=300)
    assert len(sent.data) == 100
    assert 200 * MILLISECOND <= sent.time - started <= 210 * MILLISECOND


@pytest.mark.requirement("SHLD-27")
@pytest.mark.requirement("MUST-61")
def test_pushes_that_wait_together_become_one_segment_and_one_bit() -> None:
    m = established()
    m.send(b"a")
    m.sent()
    for _ in range(5):
        m.send(b"b" * 300)
    assert [(len(sent.data), bool(sent.raw.flags & PSH)) for sent in m.sent()] == [(1000, False)]
    m.arrives("ACK")
    assert [(len(sent.data), bool(sent.raw.flags & PSH)) for sent in m.sent()] == [(500, True)]


# --- the cork ---


@pytest.mark.parametrize("config", [None, StackConfig.linux()], ids=["default", "linux"])
def test_a_cork_holds_for_a_fifth_of_a_second_at_most(config: StackConfig | None) -> None:
    m = established(config)
    m.connection.cork = True
    started = m.now
    m.send(b"x" * 100)
    m.nothing_sent()
    sent = m.next_sent(within=300)
    assert 200 * MILLISECOND <= sent.time - started <= 210 * MILLISECOND


def test_pulling_the_cork_lets_go_what_it_held() -> None:
    m = established()
    m.connection.cork = True
    m.send(b"x" * 1_100)
    assert sizes(m) == [1000]
    m.arrives("ACK")
    m.nothing_sent()
    m.connection.cork = False
    m.pull()
    assert sizes(m) == [100]


def test_close_lets_go_what_the_cork_held() -> None:
    m = established()
    m.connection.cork = True
    m.send(b"x" * 100)
    m.close()
    m.expect("FIN,ACK", seq=1, data=b"x" * 100)


@pytest.mark.requirement("MUST-17")
def test_nodelay_lets_go_what_the_cork_held_once() -> None:
    """tcp(7): it "forces an explicit flush of pending output, even if TCP_CORK is currently set"."""
    m = established()
    m.connection.cork = True
    m.send(b"x" * 100)
    m.connection.nodelay = True
    m.pull()
    assert sizes(m) == [100]
    m.arrives("ACK")
    m.send(b"y" * 100)
    m.nothing_sent()


# --- the effective MSS ---


@pytest.mark.requirement("MUST-16")
@pytest.mark.requirement("MUST-38")
@pytest.mark.requirement("SHLD-7")
def test_a_segment_is_full_by_what_the_options_leave_of_the_mss() -> None:
    """Measured by the MSS option itself, 988 octets beside timestamps would be "small" and wait for an ACK for ever."""
    m = established(tsval=1)
    m.send(b"a")
    m.sent()
    m.send(b"b" * 987)
    m.nothing_sent()
    m.send(b"b")
    assert sizes(m) == [988]


@pytest.mark.requirement("MUST-38")
def test_rule_1_of_the_window_goes_by_the_effective_mss_too() -> None:
    m = established(tsval=1, window=4_000)
    m.send(b"x" * 20_000)
    assert sizes(m) == [988] * 4
    m.arrives("ACK", window=987)
    m.nothing_sent()
    m.arrives("ACK", window=988)
    assert sizes(m) == [988]


@pytest.mark.requirement("MUST-39")
def test_the_receiver_opens_its_window_by_the_effective_mss() -> None:
    """3.8.6.2.2: "the receiver must use its own Eff.snd.MSS"."""
    m = established(StackConfig(receive_buffer=4_000), tsval=1)
    for _ in range(4):
        m.arrives("ACK", data=b"x" * 1_000)
        m.wait(50)
    assert m.sent()[-1].window == 0
    m.receive(987)
    m.arrives("ACK", seq=4_001, data=b"p")
    m.peer_nxt = 4_001
    assert m.sent()[-1].window == 0
    m.receive(1)
    m.arrives("ACK", seq=4_001, data=b"p")
    m.peer_nxt = 4_001
    assert m.sent()[-1].window == 988


@pytest.mark.requirement("MUST-39")
def test_a_small_buffer_opens_by_its_half() -> None:
    """3.8.6.2.2: min(Fr * RCV.BUFF, Eff.snd.MSS) with Fr = 1/2."""
    m = established(StackConfig(receive_buffer=600))
    m.arrives("ACK", data=b"x" * 600)
    m.wait(50)
    assert m.sent()[-1].window == 0
    m.receive(299)
    m.nothing_sent()
    m.receive(1)
    assert [sent.window for sent in m.sent()] == [300]


@pytest.mark.requirement("MUST-35")
@pytest.mark.requirement("MUST-34")
@pytest.mark.parametrize("window", [0, 1_000])
def test_a_window_that_shrinks_below_what_was_sent_is_borne(window: int) -> None:
    m = established(window=4_000)
    m.send(b"x" * 6_000)
    m.sent()
    m.arrives("ACK", ack=1, window=window)
    m.nothing_sent()
    again = m.next_sent(within=1_100)
    assert (again.seq, len(again.data)) == (1, 1_000 if window else 1)


@pytest.mark.requirement("MAY-7")
def test_linux_sends_again_into_a_window_that_has_shut() -> None:
    m = established(StackConfig.linux(), window=4_000)
    m.send(b"x" * 2_000)
    m.sent()
    m.arrives("ACK", ack=1, window=0)
    again = m.next_sent(within=1_100)
    assert (again.seq, len(again.data)) == (1, 1_000)
