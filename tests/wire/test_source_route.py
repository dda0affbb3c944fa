"""Source routes of IPv4 on the wire, as given and as recorded (RFC 791 3.1, RFC 1122 3.2.1.8 (c))."""

import pytest

from userstack.address import pack_address
from userstack.errors import InvalidArgument
from userstack.wire.codec import ParameterProblem
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.ip_options import split_ip_options
from userstack.wire.source_route import SourceRoute, destination_of, parse_as_option, read_recorded

S, D = pack_address("10.9.0.1"), pack_address("10.9.9.9")
G1, G2, G3 = (pack_address(f"10.1.1.{number}") for number in (1, 2, 3))


def option(kind: int, pointer: int, *addresses: bytes) -> bytes:
    data = b"".join(addresses)
    return bytes((kind, 3 + len(data), pointer)) + data + b"\0"


@pytest.mark.requirement("MUST-51")
@pytest.mark.parametrize(("strict", "kind"), [(False, 131), (True, 137)])
def test_the_first_hop_is_the_destination_field_and_the_destination_the_last_of_the_option(strict: bool, kind: int) -> None:
    """RFC 1122 3.2.1.8 (c): form (A), without the source."""
    packet = SourceRoute((G1, G2, G3), strict).lead(IPPacket(S, D, TCP, b""))
    assert packet.destination == G1
    assert packet.options == option(kind, 4, G2, G3, D)
    assert destination_of(packet.destination, packet.options) == D


def test_one_router_leaves_only_the_destination_in_the_option() -> None:
    packet = SourceRoute((G1,)).lead(IPPacket(S, D, TCP, b""))
    assert (packet.destination, packet.options) == (G1, option(131, 4, D))
    assert SourceRoute((G1,)).octets == len(packet.options) == 8


@pytest.mark.parametrize("hops", [(), (G1,) * 10, (bytes(16),)])
def test_what_the_header_has_no_room_for_is_no_route(hops: tuple[bytes, ...]) -> None:
    with pytest.raises(InvalidArgument):
        SourceRoute(hops)


@pytest.mark.requirement("MUST-53")
@pytest.mark.parametrize(("kind", "strict"), [(131, False), (137, True)])
@pytest.mark.parametrize(
    ("recorded", "back"),
    [((G1, G2, G3), (G3, G2, G1)), ((S, G1, G2), (G2, G1)), ((G1,), (G1,)), ((S,), None), ((), None)],
    ids=["three", "with the source", "one", "the source alone", "none"],
)
def test_a_completed_route_leads_back(kind: int, strict: bool, recorded: tuple[bytes, ...], back: tuple[bytes, ...] | None) -> None:
    found = read_recorded(option(kind, 4 + 4 * len(recorded), *recorded))
    assert found is not None
    assert found.completed
    assert found.back(S) == (None if back is None else SourceRoute(back, strict))


def test_a_route_that_is_not_completed_says_where_it_leads() -> None:
    found = read_recorded(b"\x01" + option(131, 8, G1, G2, D))
    assert found is not None
    assert not found.completed
    assert (found.passed, found.left) == ((G1,), (G2, D))


@pytest.mark.requirement("MUST-50")
@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x01" * 40,
        bytes(40),
        bytes.fromhex("9404 0000"),  # router alert
        bytes.fromhex("0707 04 00000000 00"),  # record route
        bytes.fromhex("4408 0500 00000000"),  # timestamp
        bytes.fromhex("820b 000000000000000000 00"),  # security
        bytes.fromhex("8804 1234"),  # stream identifier
        bytes.fromhex("5e03 ff 01 ff02 00 02"),  # nobody's, and what stands after END
    ],
)
def test_options_that_are_not_understood_say_nothing(octets: bytes) -> None:
    assert read_recorded(octets) is None


@pytest.mark.parametrize(
    ("octets", "pointer"),
    [
        (b"\x94", 20),  # its length is missing
        (b"\x01\x01\x94\x00", 22),
        (b"\x94\x01\x00\x00", 20),
        (b"\x94\x05\x00\x00", 20),  # it runs past the header
        (bytes.fromhex("8306 04 0a0101 0000"), 21),  # half an address
        (bytes.fromhex("8302 0000"), 21),  # no pointer
        (bytes.fromhex("8307 00 0a010101 00"), 22),
        (bytes.fromhex("8307 05 0a010101 00"), 22),  # between two octets of an address
        (option(131, 8, G1)[:-1] + option(137, 8, G1), 27),  # RFC 1122 3.2.1.8 (c): at most one
    ],
)
def test_an_option_that_is_wrong_is_pointed_at(octets: bytes, pointer: int) -> None:
    with pytest.raises(ParameterProblem) as caught:
        read_recorded(octets)
    assert (caught.value.pointer, caught.value.code, caught.value.counter) == (pointer, 0, "IpInHdrErrors")


def test_options_have_their_places() -> None:
    assert split_ip_options(bytes.fromhex("01 9404 abcd 01 00 99")) == [(0x94, bytes.fromhex("abcd"), 21)]


def test_the_octets_of_a_socket_option_name_all_hops_and_not_the_destination() -> None:
    route = SourceRoute((G1, G2), strict=True)
    assert route.as_option == option(137, 4, G1, G2)
    assert parse_as_option(route.as_option) == route
    assert parse_as_option(b"\x01" + route.as_option[:-1]) == route
    assert parse_as_option(b"") is parse_as_option(b"\x01\x00\x00\x00") is None


TWICE = option(131, 4, G1)[:-1] + option(131, 4, G1)


@pytest.mark.parametrize("octets", [option(131, 8, G1), option(131, 4), TWICE, b"\x07\x07\x04\x00\x00\x00\x00", b"\x83"])
def test_what_is_no_source_route_is_refused(octets: bytes) -> None:
    with pytest.raises(InvalidArgument):
        parse_as_option(octets)


def test_wrong_options_leave_the_destination_field_what_it_is() -> None:
    assert destination_of(G1, b"\x83\x00\x00\x00") == G1
    assert destination_of(D, option(131, 8, G1)) == D  # completed
