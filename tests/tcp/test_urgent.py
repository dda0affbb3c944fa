"""Urgent data in both directions (RFC 9293 3.8.5, 3.10.2, 3.10.3, 3.10.7.4 step 6; RFC 6093)."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.machine import ISS, MASK, Machine
from userstack.config import StackConfig
from userstack.tcp.state import State
from userstack.wire.tcp import URG

RECEIVING = [State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2]


def send(m: Machine, data: bytes, *, urgent: bool = True, more: bool = False) -> int:
    """SEND with the URGENT flag."""
    taken = m.connection.send(data, now=m.now, urgent=urgent, more=more)
    m.pull()
    return taken


def arrives(m: Machine, pointer: int, *, flags: str = "ACK,URG", seq: int | None = None, data: bytes = b"") -> None:
    """A segment of the peer's with that urgent pointer."""
    segment = m.segment(flags, seq=seq, data=data)
    segment.urgent_pointer = pointer
    m.deliver(segment)
    m.pull()


def pointers(m: Machine) -> list[int | None]:
    """The urgent pointers of what was sent since the last look, counted from ISS; None without URG."""
    return [sent.seq + sent.raw.urgent_pointer if sent.raw.flags & URG else None for sent in m.sent()]


def out_of_band(*, config: StackConfig | None = None) -> Machine:
    """ESTABLISHED, as sockets have it: the last urgent octet apart from the stream."""
    m = Machine.in_state(State.ESTABLISHED, config=config, mss=1000)
    m.connection.oob_inline = False
    return m


# --- sending ---


@pytest.mark.requirement("MUST-30")
@pytest.mark.requirement("MUST-62")
@pytest.mark.parametrize("state", [State.ESTABLISHED, State.CLOSE_WAIT])
def test_the_urgent_pointer_is_that_of_the_octet_that_follows(state: State) -> None:
    m = Machine.in_state(state)
    send(m, b"abC")
    assert pointers(m) == [4]
    send(m, b"de", urgent=False)
    m.arrives("ACK", ack=m.sent_nxt)
    assert pointers(m) == [None]


def test_each_urgent_send_moves_the_pointer_and_none_moves_it_back() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    send(m, b"a")
    send(m, b"bc")
    send(m, b"d", urgent=False)
    send(m, b"", urgent=True)
    assert pointers(m)[:2] == [2, 4]
    assert m.connection.tcb.snd_up - ISS == 4


@pytest.mark.requirement("MUST-31")
def test_a_pointer_that_lies_too_far_says_as_much_as_it_can() -> None:
    m = Machine.in_state(State.ESTABLISHED, window=60000, scale=2, mss=1000)
    assert send(m, bytes(100_000)) == 100_000
    first = m.sent()
    while m.snd_una < 100_001:
        m.arrives("ACK", ack=m.sent_nxt)
        first += m.sent()
    for sent in first:
        assert sent.raw.flags & URG
        assert sent.raw.urgent_pointer == min(100_001 - sent.seq, 65535)
    assert first[-1].raw.urgent_pointer == len(first[-1].data)


def test_what_is_sent_again_is_urgent_until_it_is_acknowledged() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    send(m, b"abC")
    m.sent()
    again = m.next_sent(within=2000)
    assert (again.data, again.raw.flags & URG, again.raw.urgent_pointer) == (b"abC", URG, 3)
    m.arrives("ACK", ack=3)
    m.wait(5000)
    again = m.sent()[0]
    assert (again.data, again.raw.flags & URG, again.raw.urgent_pointer) == (b"C", URG, 1)
    m.arrives("ACK", ack=4)
    m.arrives("ACK", data=b"x" * 3000)
    assert pointers(m) == [None]


@pytest.mark.parametrize("held", ["nagle", "cork", "more"])
def test_nothing_holds_urgent_data_back(held: str) -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.connection.cork = held == "cork"
    if held == "nagle":
        send(m, b"outstanding", urgent=False)
        m.sent()
    send(m, b"a", urgent=False, more=held == "more")
    m.nothing_sent()
    send(m, b"b", more=held == "more")
    assert [sent.data for sent in m.sent()] == [b"ab"]
    m.arrives("ACK", ack=m.sent_nxt)
    send(m, b"outstanding", urgent=False)
    m.sent()
    send(m, b"c", urgent=False, more=True)
    m.nothing_sent()


def test_acknowledgments_and_probes_of_a_zero_window_announce() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", window=0)
    send(m, b"abC")
    m.nothing_sent()
    m.arrives("ACK", data=b"x" * 3000, window=0)
    ack = m.expect("ACK,URG", seq=1, ack=3001)
    assert ack.raw.urgent_pointer == 3
    first = m.next_sent(within=2000)
    (second,) = m.sent()
    assert [(sent.seq, sent.data, sent.raw.urgent_pointer) for sent in (first, second)] == [(1, b"", 3), (1, b"a", 3)]
    assert m.counters["TcpExtTCPWinProbe"] == 2
    m.arrives("ACK", ack=1)
    assert pointers(m) == [4]


def test_linux_probes_left_of_the_window_so_that_it_needs_another_probe() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig.linux())
    m.arrives("ACK", window=0)
    send(m, b"abC")
    first = m.next_sent(within=2000)
    (second,) = m.sent()
    assert [(sent.seq, sent.data, sent.raw.urgent_pointer) for sent in (first, second)] == [(1, b"", 3), (0, b"", 4)]
    assert m.counters["TcpExtTCPWinProbe"] == 2
    m.arrives("ACK", ack=1)
    assert pointers(m) == [4]


def test_what_was_urgent_before_established_is_sent_as_urgent() -> None:
    m = Machine.in_state(State.SYN_SENT)
    send(m, b"abC")
    m.arrives("SYN,ACK", seq=0, ack=1, options=m.syn_options())
    assert pointers(m)[-1] == 4


def test_a_keep_alive_after_urgent_data_has_no_urgent_pointer() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(keepalive=True))
    send(m, b"abC")
    m.arrives("ACK", ack=4)
    m.sent()
    probe = m.next_sent(within=7_200_001)
    assert (probe.seq, probe.raw.flags & URG) == (3, 0)


def test_a_syn_and_a_reset_have_no_urgent_pointer() -> None:
    m = Machine.in_state(State.LISTEN)
    m.connection.send(b"x", now=m.now, remote=m.remote, urgent=True)
    m.pull()
    syn = m.expect("SYN", seq=0)
    assert not syn.raw.urgent_pointer
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", window=0)
    send(m, b"x")
    m.abort()
    assert pointers(m) == [None]


def test_the_fin_behind_urgent_data_goes_with_it() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", window=0)
    send(m, b"abC")
    m.close()
    m.arrives("ACK")
    sent = m.expect("FIN,ACK,URG", seq=1, data=b"abC")
    assert sent.raw.urgent_pointer == 3
    m.arrives("ACK", ack=4)
    m.wait(5000)
    assert set(pointers(m)) == {None}


# --- receiving ---


@pytest.mark.requirement("MUST-30")
@pytest.mark.requirement("MUST-33")
@pytest.mark.requirement("MUST-62")
@pytest.mark.parametrize("state", RECEIVING)
def test_how_much_urgent_data_remains(state: State) -> None:
    m = Machine.in_state(state)
    assert m.connection.urgent_remaining == 0
    arrives(m, 5, data=b"abc")
    assert m.connection.urgent_remaining == 5
    assert m.receive(2) == b"ab"
    assert m.connection.info().urgent_unread == 3
    assert m.receive() == b"c"
    assert m.connection.urgent_remaining == 2
    m.arrives("ACK", data=b"dEfg")
    assert (m.receive(), m.connection.urgent_remaining, m.connection.at_mark) == (b"d", 1, True)
    assert (m.receive(), m.connection.urgent_remaining, m.connection.at_mark) == (b"Efg", 0, False)


@pytest.mark.requirement("MUST-31")
def test_urgent_data_of_any_length_is_urgent_to_its_end() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    length, got = 300_000, 0
    while got < length:
        arrives(m, min(length - got, 65535), data=bytes(min(1000, length - got)))
        assert 0 < m.connection.urgent_remaining <= 65535
        while m.connection.has_text:
            got += len(m.receive())
    assert (got, m.connection.urgent_remaining) == (length, 0)


@pytest.mark.requirement("MUST-32")
def test_the_end_of_urgent_data_moves_with_every_announcement_and_never_back() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    ends = [m.connection.urgent_end]
    for pointer in (3, 10, 4, 10, 0, 11):
        arrives(m, pointer)
        ends.append(m.connection.urgent_end)
    assert [end - ends[0] for end in ends] == [0, 3, 10, 10, 10, 10, 11]


@pytest.mark.requirement("MUST-66")
def test_urg_counts_at_a_zero_window() -> None:
    m = out_of_band(config=StackConfig(receive_buffer=1000))
    m.arrives("ACK", data=bytes(1000))
    assert m.connection.info().rcv_wnd == 0
    arrives(m, 3)
    assert m.connection.urgent_remaining == 1003
    arrives(m, 4, data=b"abcD")
    assert m.connection.urgent_remaining == 1004
    with pytest.raises(BlockingIOError):
        m.connection.receive_urgent()
    assert len(m.receive()) == 1000
    arrives(m, 4, seq=m.rcv_nxt, data=b"abcD")
    assert m.connection.receive_urgent() == b"D"
    assert m.receive() == b"abc"


@pytest.mark.parametrize("state", [State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK, State.TIME_WAIT])
def test_after_the_fin_urg_is_ignored(state: State) -> None:
    m = Machine.in_state(state)
    end = m.connection.urgent_end
    arrives(m, 5)
    assert (m.connection.urgent_end, m.connection.urgent_remaining) == (end, 0)


def test_nothing_is_urgent_behind_a_fin() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    arrives(m, 9, flags="ACK,URG,FIN", seq=3, data=b"cd")
    assert m.connection.urgent_remaining == 4
    m.arrives("ACK", seq=1, data=b"ab")
    assert m.connection.urgent_remaining == 4
    assert m.receive() == b"abcd"
    assert (m.connection.urgent_remaining, m.connection.eof) == (0, True)


def test_text_that_has_been_received_becomes_urgent_but_gets_no_mark() -> None:
    m = out_of_band()
    m.arrives("ACK", data=b"abcd")
    arrives(m, 2, seq=3, data=b"cde")
    assert (m.connection.urgent_remaining, m.connection.urgent_waits) == (4, False)
    assert m.receive() == b"abcde"


def test_an_old_segment_says_nothing() -> None:
    m = out_of_band()
    m.arrives("ACK", data=b"abcd")
    assert m.receive() == b"abcd"
    end = m.connection.urgent_end
    arrives(m, 9, seq=1, data=b"ab")
    assert (m.connection.urgent_end, m.connection.urgent_remaining) == (end, 0)


@pytest.mark.parametrize("passive", [True, False])
def test_urg_that_comes_with_the_syn_waits_for_established(passive: bool) -> None:
    m = Machine.in_state(State.LISTEN if passive else State.SYN_SENT)
    segment = m.segment("SYN,URG" if passive else "SYN,ACK,URG", seq=0, data=b"aBc", options=m.syn_options())
    segment.urgent_pointer = 3  # counted from the SYN
    m.deliver(segment)
    m.pull()
    m.connection.oob_inline = False
    if passive:
        m.arrives("ACK", seq=4, ack=1)
    assert m.connection.urgent_remaining == 2
    assert m.connection.receive_urgent() == b"B"
    assert (m.receive(), m.receive()) == (b"a", b"c")


def test_the_syn_ack_of_a_simultaneous_open_may_bring_urgent_data() -> None:
    m = Machine.in_state(State.SYN_RECEIVED)
    arrives(m, 3, flags="SYN,ACK,URG", seq=0, data=b"aBc")
    m.expect_state(State.ESTABLISHED)
    assert m.connection.urgent_remaining == 2


def test_a_new_incarnation_knows_nothing_urgent() -> None:
    m = Machine.in_state(State.LISTEN)
    arrives(m, 3, flags="SYN,URG", seq=0, data=b"aBc")
    m.arrives("RST", seq=1)
    m.expect_state(State.LISTEN)
    m.arrives("SYN", seq=0, options=m.syn_options())
    m.arrives("ACK", seq=1, ack=1, data=b"abc")
    assert (m.connection.urgent_remaining, m.connection.urgent_waits) == (0, False)
    assert m.receive() == b"abc"


def test_tcp_stdurg_takes_the_pointer_as_that_of_the_last_octet() -> None:
    m = out_of_band(config=StackConfig(stdurg=True))
    arrives(m, 2, data=b"abCd")
    assert m.connection.urgent_remaining == 3
    assert m.connection.receive_urgent() == b"C"
    send(m, b"abC")
    assert pointers(m)[-1] == 4, "what is sent is right in any case"


def test_an_octet_that_waits_alone_is_no_text() -> None:
    m = out_of_band()
    arrives(m, 1, data=b"A")
    assert (m.connection.readable, m.connection.has_text, m.connection.unread, m.connection.at_mark) == (False, False, 0, True)
    assert m.connection.receive_urgent(peek=True) == b"A"
    with pytest.raises(BlockingIOError):
        m.receive()
    with pytest.raises(OSError, match="no urgent octet"):
        m.connection.receive_urgent()
    m.arrives("FIN,ACK")
    assert (m.connection.eof, m.receive()) == (True, b"")


def test_looking_past_the_octet_gives_as_much_as_reading() -> None:
    m = out_of_band()
    arrives(m, 1, data=b"Abc")
    assert (m.connection.peek(1), m.connection.peek(9)) == (b"b", b"bc")
    assert m.connection.read(1, now=m.now) == b"b"
    assert (m.connection.peek(1), m.connection.at_mark) == (b"c", False)


def test_passing_the_octet_by_makes_room() -> None:
    m = out_of_band(config=StackConfig(receive_buffer=1000))
    arrives(m, 1, data=b"A" + bytes(999))
    assert len(m.receive()) == 999
    assert m.connection.info().unread == 0
    assert m.sent()[-1].window == 1000


STREAM = bytes(range(1, 101))


@settings(deadline=None, max_examples=examples(60))
@given(
    end=st.integers(1, 100),
    cuts=st.sets(st.integers(1, 99), max_size=8),
    seed=st.integers(0, 1 << 16),
    appetite=st.integers(1, 30),
    inline=st.booleans(),
    irs=st.sampled_from([0, MASK - 3, MASK - 40, MASK - 99]),
)
def test_no_order_of_arrival_moves_the_mark(end: int, cuts: set[int], seed: int, appetite: int, inline: bool, irs: int) -> None:
    """One sender's segments in any order, some twice: the stream less the urgent octet, or with it, and that octet once."""
    m = Machine.in_state(State.ESTABLISHED, irs=irs)
    m.connection.oob_inline = inline
    draw = random.Random(seed)
    edges = [0, *sorted(cuts), 100]
    pieces = list(itertools.pairwise(edges))
    arriving = pieces + draw.sample(pieces, len(pieces) // 2)
    draw.shuffle(arriving)
    got, apart = b"", b""
    for first, last in arriving:
        urgent = first < end
        arrives(m, end - first if urgent else 0, flags="ACK,URG" if urgent else "ACK", seq=1 + first, data=STREAM[first:last])
        if not apart and m.connection.urgent_waits and not inline:
            apart = m.connection.receive_urgent()
        while draw.random() < 0.7 and m.connection.has_text:
            got += m.connection.read(appetite, now=m.now)
    while m.connection.has_text:
        got += m.connection.read(appetite, now=m.now)
    octet = STREAM[end - 1 : end]
    assert (got, apart) == ((STREAM, b"") if inline else (STREAM.replace(octet, b""), octet))
