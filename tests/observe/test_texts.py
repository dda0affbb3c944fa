"""The one-line texts: tcpdump's for packets, tcpstates' for transitions, options by name."""

import pytest

from tests.observe.scenes import CODEC, LOCAL, REMOTE, Scene, build, peer_closes_first
from tests.observe.watching import record
from userstack.observe.options import describe_option, window_scale
from userstack.observe.steps import Move
from userstack.observe.text import PacketText
from userstack.observe.transitions import HEADER, format_move
from userstack.trace import PacketReceived, PacketSent
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import ICMP, IPPacket
from userstack.wire.tcp import Option

LINES = """\
0.001000 IP 10.9.0.1.40000 > 10.9.0.2.7: Flags [S], seq 2147483632, win 64240, options [mss 1460,sackOK,TS val 0 ecr 0,nop,wscale 7], length 0
0.002000 IP 10.9.0.2.7 > 10.9.0.1.40000: Flags [S.], seq 4294967294, ack 2147483633, win 65535, options [mss 1460], length 0
0.003000 IP 10.9.0.1.40000 > 10.9.0.2.7: Flags [.], ack 1, win 64240, length 0
0.004000 IP 10.9.0.1.40000 > 10.9.0.2.7: Flags [P.], seq 1:23, ack 1, win 64240, length 22
0.005000 IP 10.9.0.2.7 > 10.9.0.1.40000: Flags [P.], seq 1:22, ack 23, win 65535, length 21
0.006000 IP 10.9.0.1.40000 > 10.9.0.2.7: Flags [.], ack 22, win 64240, length 0
0.007000 IP 10.9.0.1.40000 > 10.9.0.2.7: Flags [F.], seq 23, ack 22, win 64240, length 0
0.008000 IP 10.9.0.2.7 > 10.9.0.1.40000: Flags [.], ack 24, win 65535, length 0
0.009000 IP 10.9.0.2.7 > 10.9.0.1.40000: Flags [F.], seq 22, ack 24, win 65535, length 0
0.010000 IP 10.9.0.1.40000 > 10.9.0.2.7: Flags [.], ack 23, win 64240, length 0
"""  # noqa: E501

STATES = """\
    TIME(s) LADDR           LPORT RADDR           RPORT OLDSTATE     -> NEWSTATE             MS CAUSE, RULE
   0.000000 10.9.0.2        7     *               *     CLOSED       -> LISTEN                - call OPEN, RFC 9293 3.10.1
   0.001000 10.9.0.2        7     10.9.0.1        40000 LISTEN       -> SYN-RECEIVED          - segment SYN, RFC 9293 3.10.7.2
   0.003000 10.9.0.2        7     10.9.0.1        40000 SYN-RECEIVED -> ESTABLISHED       2.000 segment ACK, RFC 9293 3.10.7.4 step 5
   0.007000 10.9.0.2        7     10.9.0.1        40000 ESTABLISHED  -> CLOSE-WAIT        4.000 segment FIN,ACK, RFC 9293 3.10.7.4 step 8
   0.008000 10.9.0.2        7     10.9.0.1        40000 CLOSE-WAIT   -> LAST-ACK          1.000 call CLOSE, RFC 9293 3.10.4
   0.010000 10.9.0.2        7     10.9.0.1        40000 LAST-ACK     -> CLOSED            2.000 segment ACK, RFC 9293 3.10.7.4 step 5
"""  # noqa: E501


def test_a_connection_as_tcpdump_writes_it() -> None:
    text = PacketText(CODEC)
    events = peer_closes_first().events
    lines = [text.line(event) for event in events if isinstance(event, PacketSent | PacketReceived)]
    assert "".join(f"{line}\n" for line in lines) == LINES


def line_of(packet: bytes) -> str:
    return PacketText(CODEC, start=1_000_000_000).line(PacketReceived(1_500_000_000, packet))


def test_other_packets() -> None:
    def outer(protocol: int, payload: bytes, *, more_fragments: bool = False) -> bytes:
        return CODEC.encode_ip(IPPacket(REMOTE.address, LOCAL.address, protocol, payload, more_fragments=more_fragments))

    ping = CODEC.encode_icmp(IcmpMessage(8, 0, 0x0102_0A00, b"ab"))
    assert line_of(outer(ICMP, ping)) == "0.500000 IP 10.9.0.1 > 10.9.0.2: ICMP echo request, id 258, seq 2560, length 10"
    gone = outer(ICMP, CODEC.encode_icmp(IcmpMessage(3, 3)))
    assert line_of(gone) == "0.500000 IP 10.9.0.1 > 10.9.0.2: ICMP type 3, code 3, length 8"
    assert line_of(outer(17, bytes(8))) == "0.500000 IP 10.9.0.1 > 10.9.0.2: ip-proto-17 8"
    assert "fragment, offset 0, length 16" in line_of(outer(6, bytes(16), more_fragments=True))


def test_broken_packets_are_told_and_do_no_harm() -> None:
    assert line_of(b"\x45junk") == "0.500000 [5 octets are too few for an IP header] length 5"


def test_a_reset_and_urgent_data() -> None:
    scene = Scene()
    packet = build(LOCAL, REMOTE, "RST", (5, 0), b"", (), 0)
    assert line_of(packet).endswith("Flags [R], seq 0, win 0, length 0")
    urgent = build(scene.remote, scene.local, "ACK,URG", (5, 5), b"abc", (), 100, 2)
    assert "Flags [.U], seq 0:3, ack 0, win 100, urg 2, length 3" in line_of(urgent)


def test_transitions_in_the_columns_of_tcpstates() -> None:
    moves = [step for step in record(peer_closes_first().events) if isinstance(step, Move)]
    assert "".join(f"{line}\n" for line in (HEADER, *map(format_move, moves))) == STATES


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (Option(2, b"\x05\xb4"), "mss 1460"),
        (Option(2, b"\x05"), "opt-2 05"),
        (Option(3, b"\x07"), "wscale 7"),
        (Option(4), "sackOK"),
        (Option(5, bytes.fromhex("0000000100000002")), "sack {1:2}"),
        (Option(5, bytes.fromhex("00000001000000020000000300000004")), "sack {1:2}{3:4}"),
        (Option(5), "opt-5"),
        (Option(8, bytes.fromhex("0000000100000002")), "TS val 1 ecr 2"),
        (Option(34), "tfo cookiereq"),
        (Option(34, b"\xab\xcd"), "tfo abcd"),
        (Option(1), "nop"),
        (Option(0), "eol"),
        (Option(19, bytes(2)), "md5 0000"),
        (Option(254, b"\xf9\x89"), "exp f989"),
        (Option(77, b"\x01"), "opt-77 01"),
    ],
)
def test_options(option: Option, text: str) -> None:
    assert describe_option(option) == text


def test_a_shift_above_fourteen_counts_as_fourteen() -> None:
    """RFC 7323 2.3."""
    assert window_scale([Option(1), Option(3, b"\x0f")]) == 14
    assert window_scale([Option(3)]) is None
