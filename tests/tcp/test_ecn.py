"""RFC 3168 6.1: how ECN is agreed, marks echoed, and a window that was marked reduced. Held against a 6.18 kernel."""

import pytest

from tests.support.machine import LOCAL, REMOTE, Machine
from userstack.address import Endpoint, pack_address
from userstack.config import StackConfig
from userstack.sim import VirtualHost
from userstack.tcp.state import State
from userstack.wire.fast_codec import FastCodec
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.tcp import ACK, CWR, ECE, SYN, TcpSegment

ENDS = [(LOCAL, REMOTE), (Endpoint(pack_address("fd09::2"), 8080), Endpoint(pack_address("fd09::1"), 40000))]
ASKING = StackConfig(ecn=1)
MSS = 1_000
ECT, CE = 0b10, 0b11


def agreed(*, sack: bool = False) -> Machine:
    m = Machine(config=ASKING, mss=MSS, sack=sack)
    m.open_active()
    m.expect("SYN,ECE,CWR")
    m.wait(10)
    m.arrives("SYN,ACK,ECE", seq=0, ack=1, options=m.syn_options())
    m.expect("ACK")
    return m


def text(m: Machine, flags: str = "ACK", *, codepoint: int = ECT) -> None:
    segment = m.segment(flags, data=b"x" * 100)
    segment.ecn = codepoint
    m.deliver(segment)
    m.pull()
    m.wait(50)


# --- 6.1.1 ---


@pytest.mark.parametrize(("mode", "flags"), [(0, "SYN"), (1, "SYN,ECE,CWR"), (2, "SYN")])
@pytest.mark.parametrize(("local", "remote"), ENDS)
def test_a_syn_asks_for_it_where_the_configuration_says_so(mode: int, flags: str, local: Endpoint, remote: Endpoint) -> None:
    m = Machine(config=StackConfig(ecn=mode), local=local, remote=remote)
    m.open_active()
    assert m.expect(flags).raw.ecn == 0


@pytest.mark.parametrize(
    ("mode", "syn", "answer"),
    [
        (0, "SYN,ECE,CWR", "SYN,ACK"),
        (1, "SYN,ECE,CWR", "SYN,ACK,ECE"),
        (2, "SYN,ECE,CWR", "SYN,ACK,ECE"),
        (2, "SYN,ECE", "SYN,ACK"),
        (2, "SYN,CWR", "SYN,ACK"),
        (2, "SYN", "SYN,ACK"),
    ],
)
def test_a_syn_ack_agrees_to_what_was_asked(mode: int, syn: str, answer: str) -> None:
    m = Machine(config=StackConfig(ecn=mode))
    m.open_passive()
    m.arrives(syn, seq=0, options=m.syn_options())
    assert m.expect(answer).raw.ecn == 0


@pytest.mark.parametrize(
    ("answer", "agrees"), [("SYN,ACK,ECE", True), ("SYN,ACK", False), ("SYN,ACK,ECE,CWR", False), ("SYN,ACK,CWR", False)]
)
def test_which_answer_agrees(answer: str, agrees: bool) -> None:
    m = Machine(config=ASKING)
    m.open_active()
    m.arrives(answer, seq=0, ack=1, options=m.syn_options())
    m.send(b"x")
    assert (m.sent()[-1].raw.ecn == ECT) is agrees


def test_an_answer_to_what_was_not_asked_means_nothing() -> None:
    m = Machine()
    m.open_active()
    m.arrives("SYN,ACK,ECE", seq=0, ack=1, options=m.syn_options())
    m.send(b"x")
    assert m.sent()[-1].raw.ecn == 0


def test_a_syn_that_was_lost_is_repeated_without() -> None:
    m = Machine(config=ASKING)
    m.open_active()
    m.expect("SYN,ECE,CWR")
    assert m.next_sent(within=2_000).flags == "SYN"
    m.arrives("SYN,ACK,ECE", seq=0, ack=1, options=m.syn_options())
    m.send(b"x")
    assert m.sent()[-1].raw.ecn == 0


# --- 6.1.3: the receiver ---


@pytest.mark.requirement("SHLD-8")
def test_a_mark_is_echoed_until_the_peer_has_slowed_down() -> None:
    m = agreed()
    text(m, codepoint=CE)
    text(m)
    m.send(b"y")
    assert [sent.flags for sent in m.sent()] == ["ACK,ECE"] * 3
    text(m, "ACK,CWR")
    text(m)
    assert [sent.flags for sent in m.sent()] == ["ACK"] * 2


def test_a_mark_is_echoed_at_once() -> None:
    m = agreed()
    segment = m.segment("ACK", data=b"x")
    segment.ecn = CE
    m.deliver(segment)
    m.pull()
    assert m.expect("ACK,ECE").time == m.now


def test_a_marked_segment_of_a_peer_that_has_slowed_down_is_echoed_again() -> None:
    m = agreed()
    text(m, "ACK,CWR", codepoint=CE)
    assert m.sent()[-1].flags == "ACK,ECE"


def test_without_agreement_marks_mean_nothing() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    text(m, codepoint=CE)
    assert m.sent()[-1].flags == "ACK"


# --- 6.1.2, 6.1.5: the sender ---


@pytest.mark.requirement("SHLD-8")
def test_new_data_may_be_marked_and_nothing_else() -> None:
    m = agreed()
    m.send(b"x" * 2_000)
    assert [sent.raw.ecn for sent in m.sent()] == [ECT, ECT]
    assert m.next_sent(within=3_000).raw.ecn == 0  # again
    m.arrives("ACK")
    text(m)
    m.close()
    assert [sent.raw.ecn for sent in m.sent()] == [0, 0]


@pytest.mark.requirement("SHLD-8")
@pytest.mark.parametrize("sack", [False, True])
def test_an_echo_halves_the_window_once_for_each_window(sack: bool) -> None:
    m = agreed(sack=sack)
    m.send(b"x" * (20 * MSS))
    assert len(m.sent()) == 10
    m.arrives("ACK,ECE", ack=1 + MSS)
    assert m.connection.info().ssthresh == 4_500
    for number in range(2, 10):
        m.arrives("ACK,ECE", ack=1 + number * MSS)
    assert m.connection.info().ssthresh == 4_500
    new = [sent for sent in m.sent() if sent.seq >= 1 + 10 * MSS]
    assert ["CWR" in sent.flags for sent in new] == [True] + [False] * (len(new) - 1)
    assert m.connection.info().total_retrans == 0
    m.arrives("ACK,ECE", ack=m.sent_nxt)
    assert m.connection.info().ssthresh < 4_500


def test_a_loss_says_so_too() -> None:
    m = agreed()
    m.send(b"x" * MSS)
    m.sent()
    m.next_sent(within=3_000)
    m.arrives("ACK")
    m.send(b"y" * 100)
    assert m.expect("ACK,CWR", data=b"y" * 100).raw.ecn == ECT


@pytest.mark.requirement("SHLD-8")
def test_a_window_probe_is_not_marked_and_does_not_say_that_the_window_was_reduced() -> None:
    """6.1.6: nobody would notice its loss; what it must not say the first text in the open window says."""
    m = agreed()
    m.send(b"x" * MSS)
    m.sent()
    m.arrives("ACK,ECE", ack=1 + MSS, window=0)
    m.send(b"hello")
    m.wait(4_000)
    probes = m.sent()
    assert len(probes) > 1
    assert {(sent.flags, sent.data, sent.raw.ecn) for sent in probes} == {("ACK", b"h", 0)}
    m.arrives("ACK", ack=2 + MSS)
    assert m.expect("ACK,CWR", data=b"ello").raw.ecn == ECT


def test_an_echo_that_was_not_agreed_means_nothing() -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=MSS)
    m.send(b"x" * (10 * MSS))
    m.sent()
    m.arrives("ACK,ECE", ack=1 + MSS)
    assert m.connection.info().ssthresh > 1 << 20


# --- the IP header ---


@pytest.mark.parametrize(("ours", "theirs"), [("10.9.0.2", "10.9.0.1"), ("fd09::2", "fd09::1")])
def test_the_codepoint_stands_in_the_ip_header(ours: str, theirs: str) -> None:
    six = ":" in ours
    host = VirtualHost([f"{ours}/64" if six else f"{ours}/24"], config=StackConfig(dad_transmits=0, tos=0x20))
    codec = FastCodec()
    listener = host.socket(10 if six else 2)
    listener.bind((ours, 80))
    listener.listen()
    here, there = pack_address(ours), pack_address(theirs)

    def say(segment: TcpSegment, tos: int = 0) -> None:
        host.deliver(codec.encode_ip(IPPacket(there, here, TCP, codec.encode_tcp(segment, there, here), tos=tos)))

    say(TcpSegment(5_000, 80, 100, flags=SYN | ECE | CWR))
    answer = codec.decode_tcp(codec.decode_ip(host.take()[-1][1]))
    say(TcpSegment(5_000, 80, 101, answer.seq + 1 & 0xFFFFFFFF, ACK, 60_000))
    server, _ = listener.accept()
    server.send(b"data")
    assert codec.decode_ip(host.take()[-1][1]).tos == 0x20 | ECT
    say(TcpSegment(5_000, 80, 101, answer.seq + 5 & 0xFFFFFFFF, ACK, 60_000, payload=b"x"), tos=CE)
    echo = codec.decode_ip(host.take()[-1][1])
    assert echo.tos == 0x20
    assert codec.decode_tcp(echo).flags == ACK | ECE
