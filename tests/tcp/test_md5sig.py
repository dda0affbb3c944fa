"""The signature of RFC 2385: what it covers, as scapy computes it too, and what a segment that arrives is dropped for."""

from dataclasses import replace

import pytest
from scapy.layers.inet import IP, TCP, calc_tcp_md5_hash
from scapy.layers.inet6 import IPv6

from userstack.address import pack_address
from userstack.tcp import md5sig
from userstack.wire.codec import Codec, make_codec
from userstack.wire.ip import TCP as PROTOCOL
from userstack.wire.ip import IPPacket
from userstack.wire.tcp import ACK, EOL, MD5, MSS, NOP, PSH, RST, SYN, URG, Option, TcpSegment

KEY = b"between routers"
FAMILIES = pytest.mark.parametrize(("here", "there"), [("10.9.0.2", "10.9.0.1"), ("fd3d::2", "fd3d::1")], ids=["ipv4", "ipv6"])
CODECS = pytest.mark.parametrize("codec", [make_codec("fast"), make_codec("scapy")], ids=["fast", "scapy"])
SEGMENTS = [
    TcpSegment(179, 40000, 1, 0, SYN, 64240, options=(Option(MSS, b"\x05\xb4"),)),
    TcpSegment(179, 40000, 2**32 - 1, 77, ACK | PSH, 512, payload=b"odd octets here"),
    TcpSegment(179, 40000, 5, 6, ACK | URG, 0, 9, options=(Option(NOP), Option(99, b"abc")), payload=b"x" * 700, reserved=5),
    TcpSegment(179, 40000, 0, 6, RST | ACK),
]


def with_signature(segment: TcpSegment, here: str, there: str) -> TcpSegment:
    return md5sig.sign(replace(segment), pack_address(here), pack_address(there), KEY)


def through(codec: Codec, segment: TcpSegment, here: str, there: str) -> TcpSegment:
    """What arrives of it."""
    source, destination = pack_address(here), pack_address(there)
    return codec.decode_tcp(IPPacket(source, destination, PROTOCOL, codec.encode_tcp(segment, source, destination)))


@FAMILIES
@CODECS
@pytest.mark.parametrize("segment", SEGMENTS)
def test_the_digest_is_the_one_that_scapy_computes_of_the_octets(segment: TcpSegment, codec: Codec, here: str, there: str) -> None:
    signed = with_signature(segment, here, there)
    octets = codec.encode_tcp(signed, pack_address(here), pack_address(there))
    layer = (IPv6 if ":" in here else IP)(src=here, dst=there) / TCP(octets)
    assert signed.options[2] == Option(MD5, calc_tcp_md5_hash(layer[TCP], KEY))
    assert signed.options[3:] == segment.options


@FAMILIES
@CODECS
@pytest.mark.parametrize("segment", SEGMENTS)
def test_what_is_signed_passes_at_the_other_end_and_nothing_else_does(
    segment: TcpSegment, codec: Codec, here: str, there: str
) -> None:
    source, destination = pack_address(here), pack_address(there)
    arrived = through(codec, with_signature(segment, here, there), here, there)
    assert md5sig.failure(arrived, source, destination, KEY) is None
    assert md5sig.failure(arrived, source, destination, KEY + b"!") == "TcpExtTCPMD5Failure"
    assert md5sig.failure(arrived, destination, source, KEY) == "TcpExtTCPMD5Failure"
    assert md5sig.failure(arrived, source, destination, None) == "TcpExtTCPMD5Unexpected"
    plain = through(codec, segment, here, there)
    assert md5sig.failure(plain, source, destination, KEY) == "TcpExtTCPMD5NotFound"
    assert md5sig.failure(plain, source, destination, None) is None


@pytest.mark.parametrize(
    "change",
    [
        {"source_port": 180},
        {"destination_port": 40001},
        {"seq": 3},
        {"ack": 78},
        {"flags": ACK},
        {"window": 513},
        {"urgent_pointer": 1},
        {"payload": b"odd octets herE"},
        {"payload": b"odd octets here!"},
        {"reserved": 1},
    ],
    ids=str,
)
def test_every_field_of_the_header_and_every_octet_of_text_counts(change: dict[str, object]) -> None:
    here, there = pack_address("10.9.0.2"), pack_address("10.9.0.1")
    signed = with_signature(SEGMENTS[1], "10.9.0.2", "10.9.0.1")
    assert md5sig.failure(replace(signed, **change), here, there, KEY) == "TcpExtTCPMD5Failure"  # type: ignore[arg-type]


def test_other_options_do_not_count_but_by_their_length() -> None:
    here, there = pack_address("10.9.0.2"), pack_address("10.9.0.1")
    signed = with_signature(SEGMENTS[0], "10.9.0.2", "10.9.0.1")
    other = replace(signed, options=(*signed.options[:3], Option(MSS, b"\x02\x18")))
    assert md5sig.failure(other, here, there, KEY) is None
    longer = replace(signed, options=(*signed.options, Option(NOP)))
    assert md5sig.failure(longer, here, there, KEY) == "TcpExtTCPMD5Failure"


@CODECS
def test_of_a_header_that_is_longer_than_its_options_all_of_it_counts(codec: Codec) -> None:
    here, there = pack_address("10.9.0.2"), pack_address("10.9.0.1")
    segment = TcpSegment(179, 40000, 1, 2, ACK, 9, payload=b"text", header=52)
    digest = md5sig.digest(segment, here, there, KEY)
    octets = bytearray(codec.encode_tcp(replace(segment, options=(Option(MD5, digest), *(Option(NOP),) * 14)), here, there))
    octets[38:52] = b"\0garbage behin"
    arrived = codec.decode_tcp(IPPacket(here, there, PROTOCOL, bytes(octets)), verify=False)
    assert (arrived.header, arrived.options) == (52, (Option(MD5, digest), Option(EOL)))
    assert md5sig.failure(arrived, here, there, KEY) is None


@pytest.mark.parametrize("data", [b"", bytes(15), bytes(17)], ids=len)
def test_a_signature_of_another_length_is_none(data: bytes) -> None:
    here, there = pack_address("10.9.0.2"), pack_address("10.9.0.1")
    segment = TcpSegment(179, 40000, 1, 2, ACK, 9, options=(Option(MD5, data),))
    assert md5sig.failure(segment, here, there, KEY) == "TcpExtTCPMD5Failure"
    assert md5sig.failure(segment, here, there, None) == "TcpExtTCPMD5Unexpected"


def test_two_signatures_are_none() -> None:
    here, there = pack_address("10.9.0.2"), pack_address("10.9.0.1")
    segment = TcpSegment(179, 40000, 1, 2, ACK, 9, options=(Option(MD5, bytes(16)),) * 2)
    right = Option(MD5, md5sig.digest(segment, here, there, KEY))
    assert md5sig.failure(replace(segment, options=(right, right)), here, there, KEY) == "TcpExtTCPMD5Failure"
