"""What watches sees IPv6 as it sees IPv4: texts, ladder, capture, records; and listeners that hear both."""

import io
import json

import pytest
from rich.console import Console

from tests.observe.scenes import CODEC, KERNEL_SYN, Scene, build
from tests.observe.watching import record
from userstack.address import Endpoint, pack_address
from userstack.observe.capture import complete_checksum
from userstack.observe.jsonl import to_record
from userstack.observe.ladder import Ladder
from userstack.observe.steps import UNKNOWN, Arrow, Step
from userstack.observe.text import PacketText
from userstack.observe.transitions import format_move
from userstack.trace import PacketReceived, PacketSent, Transition
from userstack.wire import icmpv6, nd
from userstack.wire.checksum import pseudo_header_sum
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import DESTINATION_OPTIONS, ICMPV6, ExtensionHeader, IPPacket

OURS, THEIRS = pack_address("fd3d::2"), pack_address("fd3d::1")
LOCAL, REMOTE = Endpoint(OURS, 7), Endpoint(THEIRS, 40000)
LONG = Endpoint(pack_address("2001:db8:1234:5678:9abc:def0:1234:5678"), 40000)


def opening(local: Endpoint = LOCAL, remote: Endpoint = REMOTE) -> Scene:
    """A passive open and the beginning of what follows."""
    scene = Scene(local, remote)
    scene.received("SYN", 0, options=KERNEL_SYN)
    scene.moves("LISTEN", "SYN-RECEIVED", "segment SYN", "3.10.7.2")
    scene.sent("SYN,ACK", 0, 1)
    scene.received("PSH,ACK", 1, 1, b"hello\n")
    return scene


def drawn(steps: list[Step], width: int) -> list[str]:
    stream = io.StringIO()
    ladder = Ladder(Console(file=stream, width=width, highlight=False))
    for step in steps:
        ladder(step)
    return stream.getvalue().splitlines()


def line_of(protocol: int, payload: bytes, *, ttl: int = 255) -> str:
    packet = CODEC.encode_ip(IPPacket(THEIRS, OURS, protocol, payload, ttl=ttl))
    return PacketText(CODEC).line(PacketReceived(0, packet)).removeprefix("0.000000 ")


def test_segments_as_tcpdump_writes_them() -> None:
    text = PacketText(CODEC)
    lines = [text.line(event) for event in opening().events if isinstance(event, PacketSent | PacketReceived)]
    assert lines[1:] == [
        "0.002000 IP6 fd3d::2.7 > fd3d::1.40000: Flags [S.], seq 4294967294, ack 2147483633, win 65535, length 0",
        "0.003000 IP6 fd3d::1.40000 > fd3d::2.7: Flags [P.], seq 1:7, ack 1, win 64240, length 6",
    ]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (IcmpMessage(icmpv6.ECHO_REQUEST, 0, 0x0102_0003, b"ab"), "ICMP6, echo request, id 258, seq 3, length 10"),
        (IcmpMessage(icmpv6.ECHO_REPLY, 0, 0x0102_0003), "ICMP6, echo reply, id 258, seq 3, length 8"),
        (IcmpMessage(icmpv6.PACKET_TOO_BIG, 0, 1300), "ICMP6, packet too big, mtu 1300, length 8"),
        (IcmpMessage(icmpv6.DESTINATION_UNREACHABLE, 4), "ICMP6, destination unreachable, code 4, length 8"),
        (IcmpMessage(icmpv6.LISTENER_REPORT_V2, 0), "ICMP6, multicast listener report v2, length 8"),
        (IcmpMessage(77, 5), "ICMP6, type 77, code 5, length 8"),
        (nd.encode(nd.RouterSolicitation()), "ICMP6, router solicitation, length 8"),
        (nd.encode(nd.NeighborSolicitation(OURS, bytes(6))), "ICMP6, neighbor solicitation, who has fd3d::2, length 32"),
        (nd.encode(nd.NeighborAdvertisement(THEIRS)), "ICMP6, neighbor advertisement, tgt is fd3d::1, length 24"),
    ],
)
def test_icmpv6_as_tcpdump_writes_it(message: IcmpMessage, told: str) -> None:
    assert line_of(ICMPV6, CODEC.encode_icmpv6(message, THEIRS, OURS)) == f"IP6 fd3d::1 > fd3d::2: {told}"


def test_what_is_broken_is_told_and_does_no_harm() -> None:
    solicitation = CODEC.encode_icmpv6(nd.encode(nd.NeighborSolicitation(OURS)), THEIRS, OURS)
    assert "[neighbor discovery with hop limit 64" in line_of(ICMPV6, solicitation, ttl=64)
    assert line_of(ICMPV6, b"\x80\x00\x12\x34").startswith("[")
    assert line_of(17, bytes(8)) == "IP6 fd3d::1 > fd3d::2: ip-proto-17 8"


def test_the_ladder_names_the_ends() -> None:
    lines = drawn(record(opening().events), 110)
    assert lines[2] == f"{'':12}{'[fd3d::2]:7':77}[fd3d::1]:40000"


@pytest.mark.parametrize("width", [100, 110])
def test_the_longest_addresses_stay_on_the_picture(width: int) -> None:
    lines = drawn(record(opening(LONG, LONG._replace(port=40001)).events), width)
    assert lines[2:4] == [f"{'':12}{LONG}", f"{LONG._replace(port=40001)!s:>{width}}"]
    assert max(map(len, lines)) == width


def test_records_have_brackets() -> None:
    [first, *_] = [step for step in record(opening().events) if isinstance(step, Arrow)]
    told = json.loads(json.dumps(to_record(first)))
    assert (told["local"], told["remote"]) == ("[fd3d::2]:7", "[fd3d::1]:40000")


def test_the_log_of_transitions() -> None:
    [move] = [step for step in record(opening().events) if not isinstance(step, Arrow)]
    assert "fd3d::2         7     fd3d::1         40000 LISTEN       -> SYN-RECEIVED" in format_move(move)  # type: ignore[arg-type]


def test_a_listener_of_both_families_stands_beside_ipv4_only_once_it_has_answered() -> None:
    """Whether a listener on :: hears IPv4 is no matter of the trace: so its state is not guessed."""
    local, remote = Endpoint(pack_address("10.9.0.2"), 7), Endpoint(pack_address("10.9.0.1"), 40000)
    listens = Transition(0, Endpoint(bytes(16), 7), None, "CLOSED", "LISTEN", "call OPEN", "3.10.1")
    steps = record([listens, *opening(local, remote).events])
    assert [step.ours for step in steps if isinstance(step, Arrow)] == ["SYN-RECEIVED"] * 3
    stray = PacketReceived(1, build(remote, local, "RST", (5, 0), b"", (), 0))
    assert [step.ours for step in record([listens, stray]) if isinstance(step, Arrow)] == [UNKNOWN]
    six = PacketReceived(1, build(REMOTE, LOCAL, "RST", (5, 0), b"", (), 0))
    assert [step.ours for step in record([listens, six]) if isinstance(step, Arrow)] == ["LISTEN"]


@pytest.mark.parametrize("headers", [(), (ExtensionHeader(DESTINATION_OPTIONS, bytes.fromhex("00010400000000")),)])
def test_a_checksum_that_the_kernel_left_to_its_device_is_completed(headers: tuple[ExtensionHeader, ...]) -> None:
    whole = CODEC.decode_ip(build(REMOTE, LOCAL, "SYN", (5, 0), b"", (), 100))
    whole.extension_headers = headers
    packet = CODEC.encode_ip(whole)
    total = pseudo_header_sum(THEIRS, OURS, 6, len(whole.payload))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    place = len(packet) - len(whole.payload) + 16
    partial = packet[:place] + total.to_bytes(2, "big") + packet[place + 2 :]
    assert partial != packet
    assert complete_checksum(partial, CODEC) == packet
    assert complete_checksum(packet, CODEC) == packet
