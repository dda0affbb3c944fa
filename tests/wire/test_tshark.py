"""What the fast codec writes, read by tshark with every checksum validated: an observer that shares nothing with it."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from userstack.wire import icmpv6, nd
from userstack.wire.arp import REQUEST, ArpPacket
from userstack.wire.codec import Codec
from userstack.wire.ethernet import ARP, BROADCAST, IPV4, IPV6, EthernetFrame
from userstack.wire.icmp import ECHO_REPLY, ECHO_REQUEST, IcmpMessage
from userstack.wire.ip import DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ICMP, ICMPV6, TCP, ExtensionHeader, IPPacket
from userstack.wire.tcp import ACK, MSS, PSH, SACK, SACK_PERMITTED, SYN, TIMESTAMPS, WINDOW_SCALE, Option, TcpSegment

MAC = bytes.fromhex("020000000001")
A4, B4 = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
A6, B6 = bytes.fromhex("fd3d") + bytes(13) + b"\x01", bytes.fromhex("fd3d") + bytes(13) + b"\x02"
HANDSHAKE = (
    Option(MSS, b"\x05\xb4"),
    Option(SACK_PERMITTED),
    Option(TIMESTAMPS, bytes.fromhex("0000000100000002")),
    Option(WINDOW_SCALE, b"\x0a"),
)
CARRIED = (
    TcpSegment(4000, 4001, 2**32 - 5, 0, SYN, 65535, options=HANDSHAKE),
    TcpSegment(4000, 4001, 7, 9, ACK, 100, options=(Option(SACK, bytes.fromhex("0000001000000020")),)),
    TcpSegment(4000, 4001, 7, 9, ACK | PSH, 100, payload=b"odd"),
    TcpSegment(4000, 4001, 10, 9, ACK, 100, payload=bytes(range(200)) * 7),
)
LINK_LOCAL = bytes.fromhex("fe80") + bytes(13) + b"\x01"
DISCOVERY = (
    nd.NeighborSolicitation(B6, MAC),
    nd.NeighborAdvertisement(LINK_LOCAL, MAC, solicited=True, override=True),
    nd.RouterSolicitation(MAC),
    nd.RouterAdvertisement(64, False, False, 1800, 30_000, 1_000, MAC, 1400),
)
HEADERS = (
    ExtensionHeader(HOP_BY_HOP, bytes.fromhex("00050200000100")),
    ExtensionHeader(FRAGMENT, bytes.fromhex("00000000000007")),
    ExtensionHeader(DESTINATION_OPTIONS, bytes.fromhex("00010400000000")),
)
STATUS = ("ip.checksum.status", "tcp.checksum.status", "icmp.checksum.status", "icmpv6.checksum.status")
GOOD = "1"


def framed(codec: Codec, ethertype: int, packet: IPPacket) -> bytes:
    return codec.encode_ethernet(EthernetFrame(MAC, MAC, ethertype, codec.encode_ip(packet)))


def sample(codec: Codec) -> list[bytes]:
    """Frames of every kind that the stack sends."""
    found = []
    for ethertype, source, destination in ((IPV4, A4, B4), (IPV6, A6, B6)):
        segments = [codec.encode_tcp(segment, source, destination) for segment in CARRIED]
        found += [framed(codec, ethertype, IPPacket(source, destination, TCP, segment)) for segment in segments]
    pings = [IcmpMessage(kind, 0, 0x00010002, b"ping!") for kind in (icmpv6.ECHO_REQUEST, icmpv6.ECHO_REPLY)]
    spoken = (*pings, *(nd.encode(value) for value in DISCOVERY))
    for message in spoken:
        carried = IPPacket(LINK_LOCAL, B6, ICMPV6, codec.encode_icmpv6(message, LINK_LOCAL, B6), ttl=nd.HOP_LIMIT)
        found += [framed(codec, IPV6, carried), framed(codec, IPV6, replace(carried, extension_headers=HEADERS))]
    messages = [codec.encode_icmp(IcmpMessage(kind, 0, 0x00010002, b"ping!")) for kind in (ECHO_REQUEST, ECHO_REPLY)]
    found += [framed(codec, IPV4, IPPacket(A4, B4, ICMP, message)) for message in messages]
    question = codec.encode_arp(ArpPacket(REQUEST, MAC, A4, bytes(6), B4))
    return [*found, codec.encode_ethernet(EthernetFrame(BROADCAST, MAC, ARP, question))]


def read(frames: list[bytes], path: Path) -> list[dict[str, str]]:
    """Every frame as tshark sees it: the fields of ``STATUS``, and what its experts complain about."""
    wrpcap(str(path), [Ether(frame) for frame in frames])
    fields = (*STATUS, "_ws.malformed", "_ws.expert.message")
    checks = [argument for name in ("ip", "tcp") for argument in ("-o", f"{name}.check_checksum:TRUE")]
    command = ["tshark", "-r", str(path), *checks, "-T", "fields", "-E", "separator=|"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [dict(zip(fields, line.split("|"), strict=True)) for line in done.stdout.splitlines()]


def complaints(seen: dict[str, str]) -> bool:
    wrong = any(seen[field] not in ("", GOOD) for field in STATUS)
    return wrong or bool(seen["_ws.malformed"]) or "ogus" in seen["_ws.expert.message"] or "alid" in seen["_ws.expert.message"]


def test_tshark_finds_nothing_wrong(codec: Codec, tmp_path: Path) -> None:
    seen = read(sample(codec), tmp_path / "sample.pcap")
    assert not [row for row in seen if complaints(row)]
    assert [sum(row[field] == GOOD for row in seen) for field in STATUS] == [6, 8, 2, 12]


@pytest.mark.parametrize(("frame", "at"), [(0, 14 + 8), (3, -1), (5, 14 + 40 + 4), (8, -1), (20, -1)])
def test_tshark_finds_what_is_wrong(codec: Codec, tmp_path: Path, frame: int, at: int) -> None:
    frames = [bytearray(octets) for octets in sample(codec)]
    frames[frame][at] ^= 0x10
    seen = read([bytes(octets) for octets in frames], tmp_path / "broken.pcap")
    assert [number for number, row in enumerate(seen) if complaints(row)] == [frame]
