"""Segments as scapy packets for people, and the manners of the scapy codec: quiet, and never guessing."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from tests.support.examples import examples
from tests.support.packets import address_pairs, segments
from tests.wire.captured import ACK, DATA, KERNEL, OURS, SYN
from userstack.errors import InvalidArgument
from userstack.wire.codec import WireError
from userstack.wire.fast_codec import FastCodec
from userstack.wire.ip import TCP as TCP_PROTOCOL
from userstack.wire.ip import IPPacket
from userstack.wire.scapy_codec import ScapyCodec, segment_from_scapy, segment_to_scapy
from userstack.wire.tcp import Option, TcpSegment

FAST = FastCodec()
AO = 29


def test_a_person_sees_names() -> None:
    segment = FAST.decode_tcp(FAST.decode_ip(SYN))
    packet = segment_to_scapy(segment, KERNEL, OURS)
    assert isinstance(packet, IP)
    assert (packet.src, packet.dst) == ("10.66.0.1", "10.66.0.2")
    assert packet[TCP].flags == "S"
    assert packet[TCP].options == [
        ("MSS", 1460),
        ("SAckOK", b""),
        ("Timestamp", (0xDE15F7F6, 0)),
        ("NOP", None),
        ("WScale", 10),
    ]


def test_options_that_scapy_cannot_name_stay_octets() -> None:
    options = (Option(29, b"\x01"), Option(25, b"A"), Option(2, b"\x05\xb4\x00"), Option(5, bytes(4)), Option(19, b"x"))
    packet = segment_to_scapy(TcpSegment(1, 2, 3, options=options), KERNEL, OURS)
    assert packet[TCP].options == [(29, b"\x01"), (25, b"A"), ("MSS", b"\x05\xb4\x00"), (5, bytes(4)), (19, b"x")]


def test_a_changed_field_changes_the_checksum() -> None:
    packet = segment_to_scapy(TcpSegment(1, 2, 3), KERNEL, OURS)
    packet[TCP].window = 4711
    assert FAST.decode_tcp(FAST.decode_ip(bytes(packet))).window == 4711


@settings(deadline=None, max_examples=examples(200))
@given(address_pairs(), segments())
def test_there_and_back(pair: tuple[bytes, bytes], segment: TcpSegment) -> None:
    packet = segment_to_scapy(segment, *pair)
    octets = bytes(packet)
    assert octets[20 if len(pair[0]) == 4 else 40 :] == FAST.encode_tcp(segment, *pair)
    assert segment_from_scapy(packet) == segment
    dissected = type(packet)(octets)
    if any(kind == AO and len(data) == 1 for kind, data in segment.options):
        assert TCP not in dissected  # Scapy gives the whole segment up for this one.
    else:
        assert segment_from_scapy(dissected) == segment


@pytest.mark.parametrize("layer", [IP(), Ether() / IP(), IPv6(), Raw(b"unknown tunnel")])
def test_packets_built_by_hand(layer: Packet) -> None:
    tcp = TCP(sport=5, dport=6, seq=7, flags="SA", options=[("MSS", 1460)]) / b"data"
    expected = TcpSegment(5, 6, 7, flags=0x12, window=8192, options=(Option(2, b"\x05\xb4"),), payload=b"data")
    assert segment_from_scapy(layer / tcp) == expected
    assert segment_from_scapy(tcp) == expected


def test_a_wrong_checksum_is_no_matter() -> None:
    assert segment_from_scapy(IP() / TCP(sport=1, dport=2, chksum=0xBAD)).source_port == 1


def test_padding_of_a_short_frame_is_no_payload() -> None:
    frame = Ether(bytes(12) + b"\x08\x00" + ACK + bytes(20))
    assert segment_from_scapy(frame).payload == b""
    assert segment_from_scapy(Ether(bytes(12) + b"\x08\x00" + DATA + bytes(20))).payload == b"hello, userstack!"


def test_packets_without_tcp() -> None:
    with pytest.raises(InvalidArgument, match="no TCP layer in 'IP / ICMP"):
        segment_from_scapy(IP(dst="10.66.0.1", src="10.66.0.2") / ICMP())


def test_a_wrong_data_offset() -> None:
    with pytest.raises(WireError, match="data offset of 16 octets"):
        segment_from_scapy(IP() / TCP(dataofs=4))


def test_segments_that_cannot_be_shown() -> None:
    with pytest.raises(InvalidArgument, match="window"):
        segment_to_scapy(TcpSegment(1, 2, 3, window=-1), KERNEL, OURS)


def test_a_port_does_not_make_a_payload_into_a_protocol() -> None:
    # With its DNS layer loaded, scapy on its own dissects, and rebuilds, what comes to port 53.
    import scapy.layers.dns  # noqa: F401

    segment = TcpSegment(53, 53, 1, payload=b"\x00\x0anot DNS at all")
    octets = FAST.encode_tcp(segment, KERNEL, OURS)
    assert ScapyCodec().decode_tcp(IPPacket(KERNEL, OURS, TCP_PROTOCOL, octets)) == segment
    assert ScapyCodec().encode_tcp(segment, KERNEL, OURS) == octets


QUIET = """
from tests.support.packets import PacketMill, outcome
from userstack.wire.codec import make_codec
codec, mill = make_codec("scapy"), PacketMill(1)
for _ in range(500):
    outcome(codec, mill.broken())
"""


def test_scapy_says_nothing() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", QUIET], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_fast_codec_loads_no_scapy() -> None:
    code = "import sys, userstack.wire.codec as c; c.make_codec('fast'); sys.exit('scapy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
