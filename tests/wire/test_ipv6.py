"""IPv6 extension headers and ICMPv6 by both codecs, rule by rule (RFC 8200 4, RFC 4443)."""

from dataclasses import replace

import pytest

from tests.support.packets import fragment_header
from tests.wire.captured import ROUTER_SOLICITATION
from userstack.errors import InvalidArgument
from userstack.wire.codec import Codec, ParameterProblem, WireError
from userstack.wire.icmp import IcmpMessage
from userstack.wire.icmpv6 import (
    ECHO_REPLY,
    ECHO_REQUEST,
    ERRONEOUS_HEADER_FIELD,
    PACKET_TOO_BIG,
    PARAMETER_PROBLEM,
    UNRECOGNIZED_NEXT_HEADER,
    UNRECOGNIZED_OPTION,
    is_error,
)
from userstack.wire.ip import (
    DESTINATION_OPTIONS,
    FRAGMENT,
    HOP_BY_HOP,
    ICMPV6,
    MAX_EXTENSION_HEADERS,
    NO_NEXT_HEADER,
    ROUTING,
    TCP,
    ExtensionHeader,
    IPPacket,
)

A, B = bytes.fromhex("fd3d") + bytes(13) + b"\x01", bytes.fromhex("fd3d") + bytes(13) + b"\x02"
PADDING = "000104" + "00000000"  # Length field 0, then a PadN of four octets.
ROUTER_ALERT = "0005020000" + "0100"
UDP = 17


def header(kind: int, body: str) -> ExtensionHeader:
    return ExtensionHeader(kind, bytes.fromhex(body))


def octets(first: int, *rest: str, length: int | None = None) -> bytes:
    """A packet whose first Next Header is ``first``, byte for byte."""
    data = bytes.fromhex("".join(rest))
    size = len(data) if length is None else length
    return b"\x60\0\0\0" + size.to_bytes(2, "big") + bytes((first, 64)) + A + B + data


def test_every_header_in_the_recommended_order(codec: Codec) -> None:
    # RFC 8200 4.1; each header begins with the kind of the next.
    written = octets(
        HOP_BY_HOP,
        "3c" + ROUTER_ALERT,
        "2b" + PADDING,
        "2c" + "02000000000000" + "fd3d0000000000000000000000000009",
        "3c" + "00" + "0000" + "01020304",
        "06" + PADDING,
        "aabbcc",
    )
    packet = codec.decode_ip(written)
    assert (packet.protocol, bytes(packet.payload)) == (TCP, b"\xaa\xbb\xcc")
    assert packet.extension_headers == (
        header(HOP_BY_HOP, ROUTER_ALERT),
        header(DESTINATION_OPTIONS, PADDING),
        header(ROUTING, "02000000000000" + "fd3d0000000000000000000000000009"),
        fragment_header(0, False, 0x01020304),
        header(DESTINATION_OPTIONS, PADDING),
    )
    assert [item.size for item in packet.extension_headers] == [8, 8, 24, 8, 8]
    assert written[packet.next_header_offset] == TCP
    assert codec.encode_ip(packet) == written


def test_the_next_header_of_the_fixed_header(codec: Codec) -> None:
    packet = codec.decode_ip(octets(UDP, "00"))
    assert (packet.protocol, packet.next_header_offset) == (UDP, 6)


def test_an_atomic_fragment_is_a_whole_packet(codec: Codec) -> None:
    # RFC 6946 4, RFC 8200 4.5: what follows is processed; the reserved bits are nobody's.
    packet = codec.decode_ip(octets(FRAGMENT, "3c" + "ff" + "0006" + "01020304", "06" + PADDING, "aa"))
    assert not packet.is_fragment
    assert (packet.protocol, packet.identification, bytes(packet.payload)) == (TCP, 0x01020304, b"\xaa")


@pytest.mark.parametrize(("offset", "more"), [(0, True), (1, True), (1, False), (0x1FFE, False)])
def test_a_fragment_ends_the_walk(codec: Codec, offset: int, more: bool) -> None:
    # What follows the Fragment header of a later fragment is no header, whatever Next Header says.
    fragment = IPPacket(
        *(A, B, DESTINATION_OPTIONS, b"12345678"),
        more_fragments=more,
        fragment_offset=offset,
        identification=0xFFFFFFFF,
        extension_headers=(fragment_header(offset, more, 0xFFFFFFFF),),
    )
    written = codec.encode_ip(fragment)
    assert written[40:48] == bytes((60, 0)) + (offset << 3 | more).to_bytes(2, "big") + b"\xff" * 4
    assert codec.decode_ip(written) == fragment
    assert fragment.is_fragment


def test_no_next_header_ends_the_walk(codec: Codec) -> None:
    # RFC 8200 4.7: octets that follow are ignored, not judged.
    packet = codec.decode_ip(octets(DESTINATION_OPTIONS, "3b" + PADDING, "2cffff"))
    assert packet.protocol == NO_NEXT_HEADER
    assert codec.decode_ip(octets(NO_NEXT_HEADER)).protocol == NO_NEXT_HEADER


def test_padding_of_the_link_is_no_header(codec: Codec) -> None:
    written = octets(DESTINATION_OPTIONS, "06" + PADDING)
    assert codec.decode_ip(written + bytes(6)) == codec.decode_ip(written)
    with pytest.raises(WireError):
        codec.decode_ip(octets(DESTINATION_OPTIONS, "06" + PADDING, length=7))


@pytest.mark.parametrize("options", ["000000000000", "010400000000", "3e0400000000", "1e00" + "00" + "0101ff", "3f04ffffffff"])
def test_options_that_are_skipped(codec: Codec, options: str) -> None:
    # RFC 8200 4.2: padding of both kinds, and unknown options whose action is 00.
    for kind in (HOP_BY_HOP, DESTINATION_OPTIONS):
        assert codec.decode_ip(octets(kind, "06" + "00" + options)).protocol == TCP


@pytest.mark.parametrize(
    ("written", "code", "pointer", "multicast"),
    [
        (octets(HOP_BY_HOP, "06008004" + "00000000"), UNRECOGNIZED_OPTION, 42, True),
        (octets(DESTINATION_OPTIONS, "0600c004" + "00000000"), UNRECOGNIZED_OPTION, 42, False),
        (octets(DESTINATION_OPTIONS, "0600" + "00" + "0100" + "c201" + "00"), UNRECOGNIZED_OPTION, 45, False),
        (octets(DESTINATION_OPTIONS, "3c" + PADDING, "0600" + "8504" + "00000000"), UNRECOGNIZED_OPTION, 50, True),
        (octets(HOP_BY_HOP, "00" + PADDING, "06" + PADDING), UNRECOGNIZED_NEXT_HEADER, 40, False),
        (octets(DESTINATION_OPTIONS, "3c" + PADDING, "00" + PADDING, "06" + PADDING), UNRECOGNIZED_NEXT_HEADER, 48, False),
        (octets(ROUTING, "060000010000" + "0000"), ERRONEOUS_HEADER_FIELD, 42, False),
        (octets(DESTINATION_OPTIONS, "2b" + PADDING, "0602fd01" + "00" * 20), ERRONEOUS_HEADER_FIELD, 50, False),
        (octets(FRAGMENT, "06000001" + "00000007", "00" * 9), ERRONEOUS_HEADER_FIELD, 4, False),
        (octets(FRAGMENT, "0600fff8" + "00000007", "00" * 8), ERRONEOUS_HEADER_FIELD, 42, False),
        (octets(HOP_BY_HOP, "2c" + PADDING, "0600fff0" + "00000007", "00" * 8), ERRONEOUS_HEADER_FIELD, 50, False),
        (octets(DESTINATION_OPTIONS, "06" + "01" + PADDING[2:]), ERRONEOUS_HEADER_FIELD, 41, False),
        (octets(ROUTING, "06ff0000" + "00000000"), ERRONEOUS_HEADER_FIELD, 41, False),
        (octets(DESTINATION_OPTIONS, "0600" + "0000000000" + "05"), ERRONEOUS_HEADER_FIELD, 47, False),
        (octets(HOP_BY_HOP, "0600" + "0105" + "00000000"), ERRONEOUS_HEADER_FIELD, 43, False),
        (octets(DESTINATION_OPTIONS, "3c" + PADDING, "0600" + "8005" + "00000000"), ERRONEOUS_HEADER_FIELD, 51, False),
    ],
    ids=[
        "option-10",
        "option-11",
        "option-11-after-padding",
        "option-in-second-header",
        "hop-by-hop-twice",
        "late-hop-by-hop",
        "routing-type-0",
        "routing-unknown",
        "fragment-length",
        "fragment-too-far",
        "fragment-too-far-with-what-precedes",
        "long-header",
        "long-routing",
        "option-without-length",
        "padding-past-header",
        "option-past-header",
    ],
)
def test_what_is_answered(codec: Codec, written: bytes, code: int, pointer: int, multicast: bool) -> None:
    with pytest.raises(ParameterProblem) as caught:
        codec.decode_ip(written)
    assert caught.value.counter == "Ip6InHdrErrors"
    assert (caught.value.code, caught.value.pointer, caught.value.multicast) == (code, pointer, multicast)


@pytest.mark.parametrize(
    "written",
    [
        octets(DESTINATION_OPTIONS),
        octets(DESTINATION_OPTIONS, "06" + PADDING[:-2]),
        octets(FRAGMENT, "06000000" + "000000"),
        octets(DESTINATION_OPTIONS, "3c" + PADDING),
        octets(HOP_BY_HOP, "0600" + "4004" + "00000000"),
        octets(DESTINATION_OPTIONS, "0600" + "7f00" + "00000000"),
        octets(DESTINATION_OPTIONS, "0600" + "4000" + "8000" + "0000"),
    ],
    ids=[
        *("no-header", "short-header", "short-fragment", "nothing-after"),
        *("hop-by-hop-discard", "destination-discard", "the-first-option-decides"),
    ],
)
def test_what_is_dropped_in_silence(codec: Codec, written: bytes) -> None:
    with pytest.raises(WireError) as caught:
        codec.decode_ip(written)
    assert not isinstance(caught.value, ParameterProblem)
    assert caught.value.counter == "Ip6InHdrErrors"


def test_too_many_headers(codec: Codec) -> None:
    most = IPPacket(A, B, TCP, b"", extension_headers=(header(DESTINATION_OPTIONS, PADDING),) * MAX_EXTENSION_HEADERS)
    assert codec.decode_ip(codec.encode_ip(most)) == most
    with pytest.raises(WireError) as caught:
        codec.decode_ip(codec.encode_ip(replace(most, extension_headers=(*most.extension_headers, fragment_header(0, False, 1)))))
    assert caught.value.counter == "Ip6InExtHdrLimit"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extension_headers": (header(51, PADDING),)}, "IPv6 extension header 51: write it as the packet's protocol and payload"),
        (
            {"extension_headers": (header(ROUTING, "01" + "00" * 6),)},
            "IPv6 extension header 43 of 8 octets: its length field makes it 16",
        ),
        ({"extension_headers": (header(ROUTING, ""),)}, "IPv6 extension header 43 of 1 octets: its length field makes it 8"),
        (
            {"extension_headers": (header(FRAGMENT, "01" + "00" * 14),)},
            "IPv6 extension header 44 of 16 octets: its length field makes it 8",
        ),
        (
            {"extension_headers": (fragment_header(1, True, 1),)},
            "IPv6 packet whose fragment offset and flag are not those of its Fragment header",
        ),
        (
            {"extension_headers": (fragment_header(1, True, 1),), "fragment_offset": 1},
            "IPv6 packet whose fragment offset and flag are not those of its Fragment header",
        ),
        (
            {"extension_headers": (header(DESTINATION_OPTIONS, PADDING),), "payload": bytes(65528)},
            "IP packet with a payload of 65528 octets: the length field ends at 65535",
        ),
    ],
)
def test_headers_that_cannot_be_written(codec: Codec, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        codec.encode_ip(replace(IPPacket(A, B, TCP, b""), **changes))  # type: ignore[arg-type]
    assert caught.value.strerror == message


def test_extension_headers_of_ipv4(codec: Codec) -> None:
    with pytest.raises(InvalidArgument, match="IPv4 packet with extension headers"):
        codec.encode_ip(IPPacket(bytes(4), bytes(4), TCP, b"", extension_headers=(header(ROUTING, PADDING),)))


def test_ping(codec: Codec) -> None:
    # RFC 4443 2.3 by hand: addresses, length 9, next header 58, type 128, identifier 1, number 2, "x" as 7800.
    message = IcmpMessage(ECHO_REQUEST, 0, 0x00010002, b"x")
    written = codec.encode_icmpv6(message, A, B)
    total = 2 * 0xFD3D + 1 + 2 + 9 + 58 + 0x8000 + 1 + 2 + 0x7800
    total = (total & 0xFFFF) + (total >> 16)
    assert written == bytes.fromhex("8000") + (0xFFFF - total).to_bytes(2, "big") + bytes.fromhex("0001000278")
    assert codec.decode_icmpv6(IPPacket(A, B, ICMPV6, written)) == message


def test_the_router_solicitation_of_a_kernel(codec: Codec) -> None:
    packet = codec.decode_ip(ROUTER_SOLICITATION)
    message = codec.decode_icmpv6(packet)
    assert message == IcmpMessage(133, 0)
    assert codec.encode_icmpv6(message, packet.source, packet.destination) == ROUTER_SOLICITATION[40:]


def test_broken_messages(codec: Codec) -> None:
    written = codec.encode_icmpv6(IcmpMessage(PACKET_TOO_BIG, 0, 1280, b"quote"), A, B)
    broken = {
        written[:7]: "Icmp6InErrors",
        b"": "Icmp6InErrors",
        written[:-1] + b"?": "Icmp6InCsumErrors",
        written[:2] + bytes(2) + written[4:]: "Icmp6InCsumErrors",
    }
    for data, counter in broken.items():
        with pytest.raises(WireError) as caught:
            codec.decode_icmpv6(IPPacket(A, B, ICMPV6, data))
        assert caught.value.counter == counter
    # RFC 4443 2.3: the pseudo header is in the sum, so that a message that went astray is found.
    with pytest.raises(WireError, match="checksum"):
        codec.decode_icmpv6(IPPacket(A, A, ICMPV6, written))


@pytest.mark.parametrize(
    ("message", "source", "destination", "objection"),
    [
        (IcmpMessage(256, 0), A, B, "ICMP type 256 is out of range: 0 to 255"),
        (IcmpMessage(1, 0, -1), A, B, "ICMP rest -1 is out of range: 0 to 4294967295"),
        (IcmpMessage(1, 0), bytes(4), bytes(4), "ICMPv6 between IPv4 addresses: its pseudo header takes 16 octets of each"),
        (IcmpMessage(1, 0), A, bytes(4), "addresses of 16 and 4 octets"),
    ],
)
def test_messages_that_cannot_be_written(
    codec: Codec, message: IcmpMessage, source: bytes, destination: bytes, objection: str
) -> None:
    with pytest.raises(InvalidArgument, match=objection):
        codec.encode_icmpv6(message, source, destination)


def test_errors_and_information() -> None:
    # RFC 4443 2.1: by the highest bit of the type, so that unknown errors are known as errors.
    assert is_error(PARAMETER_PROBLEM)
    assert is_error(127)
    assert not is_error(ECHO_REQUEST)
    assert not is_error(ECHO_REPLY)
