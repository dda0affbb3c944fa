"""TCP options octet by octet: RFC 9293 3.2, MUST-7 (an illegal length is survived) and MUST-68."""

import pytest

from tests.wire.captured import KERNEL, OURS
from userstack.errors import InvalidArgument
from userstack.wire.checksum import finish, pseudo_header_sum, word_sum
from userstack.wire.codec import Codec
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.tcp import EOL, MSS, NOP, SACK, SACK_PERMITTED, TIMESTAMPS, Option, TcpSegment

MSS_1460 = Option(MSS, b"\x05\xb4")


def segment_with(octets: bytes, payload: bytes = b"data") -> IPPacket:
    """A TCP segment that carries these option octets."""
    head = bytes.fromhex("0001 0002 00000003 00000004") + bytes(((20 + len(octets)) << 2, 0x10)) + bytes.fromhex("ffff 0000 0000")
    segment = head + octets + payload
    checksum = finish(pseudo_header_sum(KERNEL, OURS, TCP, len(segment)) + word_sum(segment))
    return IPPacket(KERNEL, OURS, TCP, segment[:16] + checksum.to_bytes(2, "big") + segment[18:])


@pytest.mark.parametrize(
    ("octets", "options"),
    [
        ("", ()),
        ("020405b4", (MSS_1460,)),
        ("01010101", (Option(NOP),) * 4),
        ("00000000", (Option(EOL),)),
        ("01 00 0204", (Option(NOP), Option(EOL))),
        ("020405b4 04 02 00 ff", (MSS_1460, Option(SACK_PERMITTED), Option(EOL))),
        ("0101080a 00000001 00000002", (Option(NOP), Option(NOP), Option(TIMESTAMPS, bytes.fromhex("0000000100000002")))),
        ("0101050a 00000001 00000002", (Option(NOP), Option(NOP), Option(SACK, bytes.fromhex("0000000100000002")))),
        # Known kinds with a length that no RFC gives them are kept as they are: what they mean is not the codec's to say.
        ("0207 0102030405 01", (Option(MSS, bytes.fromhex("0102030405")), Option(NOP))),
        ("0202 0101", (Option(MSS), Option(NOP), Option(NOP))),
        ("0503ff 01", (Option(SACK, b"\xff"), Option(NOP))),
        ("0804abcd", (Option(TIMESTAMPS, b"\xab\xcd"),)),
        ("0302 0406 01020304", (Option(3), Option(SACK_PERMITTED, b"\x01\x02\x03\x04"))),
        # Kinds that scapy treats in a way of its own: AO with one octet, Mood, MD5 of a wrong size, TFO.
        ("1d03ff 1903 41 1302", (Option(29, b"\xff"), Option(25, b"A"), Option(19))),
        ("1302 2202 0f02 0e02", (Option(19), Option(34), Option(15), Option(14))),
        # Unknown ones.
        ("fe04f989 ff02 fd02", (Option(254, b"\xf9\x89"), Option(255), Option(253))),
        ("ff28" + "ab" * 38, (Option(255, b"\xab" * 38),)),
    ],
)
@pytest.mark.requirement("MUST-4")
@pytest.mark.requirement("MUST-5")
@pytest.mark.requirement("MUST-6")
@pytest.mark.requirement("MUST-64")
@pytest.mark.requirement("MUST-68")
def test_options(codec: Codec, octets: str, options: tuple[Option, ...]) -> None:
    segment = codec.decode_tcp(segment_with(bytes.fromhex(octets)))
    assert segment.options == options
    assert not segment.bad_options
    assert segment.payload == b"data"


@pytest.mark.parametrize(
    ("octets", "before"),
    [
        ("0200 0000", ()),
        ("0201 0000", ()),
        ("0206 05b4", ()),
        ("02ff 0000", ()),
        ("01010102", (Option(NOP),) * 3),
        ("020405b4 01 05 0a 00", (MSS_1460, Option(NOP))),
        ("020405b4 08 00 01 01", (MSS_1460,)),
        ("ff01 0000", ()),
    ],
)
@pytest.mark.requirement("MUST-7")
def test_illegal_length_ends_the_options(codec: Codec, octets: str, before: tuple[Option, ...]) -> None:
    segment = codec.decode_tcp(segment_with(bytes.fromhex(octets)))
    assert segment.options == before
    assert segment.bad_options
    assert segment.payload == b"data"


@pytest.mark.parametrize(
    ("options", "octets"),
    [
        ((), ""),
        ((MSS_1460,), "020405b4"),
        ((Option(SACK_PERMITTED),), "04020000"),
        ((Option(NOP), Option(3, b"\x0a")), "0103030a"),
        ((Option(NOP), Option(EOL)), "01000000"),
        ((Option(EOL), MSS_1460), "00020405 b4000000"),
        ((Option(MSS, bytes(3)),), "0205000000000000"),
        ((Option(29, b"\xff"), Option(25, b"A")), "1d03ff1903410000"),
        ((Option(254, bytes(38)),), "fe28" + "00" * 38),
        ((Option(NOP),) * 40, "01" * 40),
    ],
)
@pytest.mark.requirement("MUST-69")
def test_options_are_written_in_order_and_padded(codec: Codec, options: tuple[Option, ...], octets: str) -> None:
    written = codec.encode_tcp(TcpSegment(1, 2, 3, options=options, payload=b"data"), KERNEL, OURS)
    assert written[20:-4] == bytes.fromhex(octets)
    assert (written[12] >> 4) * 4 == 20 + len(bytes.fromhex(octets))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((Option(254, bytes(39)),), "TCP options of 41 octets: the header has room for 40; leave some out"),
        ((Option(254, bytes(300)),), "TCP options of 302 octets: the header has room for 40; leave some out"),
        ((Option(NOP),) * 41, "TCP options of 41 octets: the header has room for 40; leave some out"),
        ((Option(256),), "TCP option kind 256 is out of range: 0 to 255"),
        ((Option(-1),), "TCP option kind -1 is out of range: 0 to 255"),
        ((Option(NOP, b"x"),), "TCP option kind 1 with 1 octets of data: EOL and NOP have none"),
        ((Option(EOL, b"xy"),), "TCP option kind 0 with 2 octets of data: EOL and NOP have none"),
    ],
)
def test_options_that_cannot_be_written(codec: Codec, options: tuple[Option, ...], message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        codec.encode_tcp(TcpSegment(1, 2, 3, options=options), KERNEL, OURS)
    assert caught.value.strerror == message
