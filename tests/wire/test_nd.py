"""Neighbor discovery messages: there and back, as scapy has them, and each validity check of RFC 4861."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrFragment,
)
from scapy.packet import Packet, Raw

from tests.wire.captured import ROUTER_SOLICITATION as CAPTURED
from userstack.address import pack_address
from userstack.errors import InvalidArgument
from userstack.wire import nd
from userstack.wire.codec import WireError
from userstack.wire.ethernet import multicast_mac
from userstack.wire.fast_codec import FastCodec
from userstack.wire.icmp import IcmpMessage
from userstack.wire.icmpv6 import NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION, ROUTER_ADVERTISEMENT, ROUTER_SOLICITATION
from userstack.wire.ip import ICMPV6, IPPacket

CODEC = FastCodec()
MAC = "02:00:00:00:00:01"
MAC_OCTETS = bytes.fromhex("020000000001")
OWN, PEER, ROUTER, ANY = (pack_address(text) for text in ("fd3d::1", "fd3d::2", "fe80::9", "::"))
SOLICITATION = IcmpMessage(NEIGHBOR_SOLICITATION, 0, 0, OWN)
ADVERTISEMENT = IcmpMessage(NEIGHBOR_ADVERTISEMENT, 0, 1 << 30, PEER)
MAC_OPTION = bytes.fromhex("0101") + MAC_OCTETS

macs = st.one_of(st.none(), st.binary(min_size=6, max_size=6))
targets = st.binary(min_size=16, max_size=16).filter(lambda address: address[0] != 0xFF)
words = st.integers(0, 0xFFFFFFFF)
values: st.SearchStrategy[nd.NdMessage] = st.one_of(
    st.builds(nd.NeighborSolicitation, targets, macs),
    st.builds(nd.NeighborAdvertisement, targets, macs, st.booleans(), st.booleans(), st.booleans()),
    st.builds(nd.RouterSolicitation, macs),
    st.builds(
        nd.RouterAdvertisement,
        *(st.integers(0, 255), st.booleans(), st.booleans(), st.integers(0, 0xFFFF), words, words),
        *(macs, st.one_of(st.none(), words)),
    ),
)


def carrying(source: bytes = ROUTER, destination: bytes = OWN) -> IPPacket:
    return IPPacket(source, destination, ICMPV6, b"", ttl=255)


def refused(packet: IPPacket, message: IcmpMessage) -> str:
    with pytest.raises(WireError) as caught:
        nd.decode(packet, message)
    assert caught.value.counter == "Icmp6InErrors"
    return str(caught.value)


@given(values)
def test_there_and_back(value: nd.NdMessage) -> None:
    message = nd.encode(value)
    assert message.type in nd.TYPES
    assert nd.decode(carrying(), message) == value


@pytest.mark.parametrize(
    ("value", "layer"),
    [
        (nd.NeighborSolicitation(OWN), ICMPv6ND_NS(tgt="fd3d::1")),
        (nd.NeighborSolicitation(OWN, MAC_OCTETS), ICMPv6ND_NS(tgt="fd3d::1") / ICMPv6NDOptSrcLLAddr(lladdr=MAC)),
        (
            nd.NeighborAdvertisement(OWN, MAC_OCTETS, solicited=True, override=True),
            ICMPv6ND_NA(tgt="fd3d::1", R=0, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=MAC),
        ),
        (nd.NeighborAdvertisement(OWN, router=True), ICMPv6ND_NA(tgt="fd3d::1", R=1, S=0, O=0)),
        (nd.RouterSolicitation(), ICMPv6ND_RS()),
        (nd.RouterSolicitation(MAC_OCTETS), ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr(lladdr=MAC)),
        (
            nd.RouterAdvertisement(64, True, False, 1800, 30_000, 1_000, MAC_OCTETS, 1400),
            ICMPv6ND_RA(chlim=64, M=1, O=0, prf=0, routerlifetime=1800, reachabletime=30_000, retranstimer=1_000)
            / ICMPv6NDOptSrcLLAddr(lladdr=MAC)
            / ICMPv6NDOptMTU(mtu=1400),
        ),
    ],
)
def test_as_scapy_has_them(value: nd.NdMessage, layer: Packet) -> None:
    octets = bytes(IPv6(src="fe80::9", dst="fd3d::1", hlim=255) / layer)
    packet = CODEC.decode_ip(octets)
    assert nd.decode(packet, CODEC.decode_icmpv6(packet)) == value
    assert CODEC.encode_icmpv6(nd.encode(value), ROUTER, OWN) == octets[40:]


@given(
    st.sampled_from(sorted(nd.TYPES)), words, st.one_of(st.binary(max_size=60), st.binary(max_size=24).map(lambda rest: OWN + rest))
)
def test_whatever_comes_is_a_message_or_no_packet(kind: int, rest: int, payload: bytes) -> None:
    with contextlib.suppress(WireError):
        value = nd.decode(carrying(), IcmpMessage(kind, 0, rest, payload))
        assert nd.decode(carrying(), nd.encode(value)) == value


def test_a_router_solicitation_of_a_kernel() -> None:
    packet = CODEC.decode_ip(CAPTURED)
    assert nd.decode(packet, CODEC.decode_icmpv6(packet)) == nd.RouterSolicitation()


def test_options_that_nobody_asked_for_are_skipped() -> None:
    # RFC 4861 4.6, 9: unknown options are ignored, and here prefixes are.
    options = ICMPv6ND_RA(prf=0) / ICMPv6NDOptPrefixInfo(prefix="fd3d::") / ICMPv6NDOptMTU(mtu=1500)
    packet = CODEC.decode_ip(bytes(IPv6(src="fe80::9", dst="ff02::1", hlim=255) / options))
    value = nd.decode(packet, CODEC.decode_icmpv6(packet))
    assert isinstance(value, nd.RouterAdvertisement)
    assert value.mtu == 1500


def test_of_two_options_of_a_kind_the_first_counts() -> None:
    message = replace(SOLICITATION, payload=OWN + MAC_OPTION + bytes.fromhex("0101") + bytes(6))
    assert nd.decode(carrying(), message) == nd.NeighborSolicitation(OWN, MAC_OCTETS)


@pytest.mark.parametrize("value", [nd.NeighborSolicitation(OWN), nd.NeighborAdvertisement(OWN), nd.RouterSolicitation()])
def test_what_came_through_a_router(value: nd.NdMessage) -> None:
    # RFC 4861 6.1.1, 6.1.2, 7.1.1, 7.1.2.
    assert "hop limit 254" in refused(replace(carrying(), ttl=254), nd.encode(value))
    assert "code 1" in refused(carrying(), replace(nd.encode(value), code=1))


@pytest.mark.parametrize("value", [nd.NeighborSolicitation(OWN), nd.NeighborAdvertisement(OWN), nd.RouterSolicitation()])
def test_what_has_a_fragment_header(value: nd.NdMessage) -> None:
    # RFC 6980 5: it must be ignored, an atomic fragment too (which is decoded as a whole packet).
    octets = bytes(IPv6(src="fe80::9", dst="fd3d::1", hlim=255, nh=44) / IPv6ExtHdrFragment(nh=ICMPV6) / Raw(bytes(24)))
    packet = CODEC.decode_ip(octets)
    assert not packet.is_fragment
    assert "a Fragment header" in refused(packet, nd.encode(value))


@pytest.mark.parametrize("message", [SOLICITATION, ADVERTISEMENT])
def test_targets(message: IcmpMessage) -> None:
    assert "no target" in refused(carrying(), replace(message, payload=OWN[:15]))
    assert "multicast target, ff02::1" in refused(carrying(), replace(message, payload=nd.ALL_NODES))


@pytest.mark.parametrize(
    "options",
    ["0000" + "00" * 6, "0e00", "01", "0102" + "00" * 6, "0100" + "00" * 6, "0101" + "00" * 5, "0e01" + "00" * 6 + "0100"],
)
def test_options_of_a_wrong_length(options: str) -> None:
    # RFC 4861 4.6: "nodes MUST silently discard a ND packet that contains an option with length zero".
    body = bytes.fromhex(options)
    messages = (replace(SOLICITATION, payload=OWN + body), replace(ADVERTISEMENT, payload=OWN + body))
    for message in (
        *messages,
        IcmpMessage(ROUTER_SOLICITATION, 0, 0, body),
        IcmpMessage(ROUTER_ADVERTISEMENT, 0, 0, bytes(8) + body),
    ):
        assert "an option of" in refused(carrying(), message)


def test_link_layer_addresses_of_another_link() -> None:
    long = bytes.fromhex("0102") + bytes(14)
    assert "none of Ethernet" in refused(carrying(), replace(SOLICITATION, payload=OWN + long))
    assert "MTU option" in refused(
        carrying(), IcmpMessage(ROUTER_ADVERTISEMENT, 0, 0, bytes(8) + bytes.fromhex("0502") + bytes(14))
    )


def test_duplicate_address_detection() -> None:
    # RFC 4861 7.1.1: from :: only to the solicited-node group, and without the sender's MAC.
    group = nd.solicited_node(OWN)
    assert nd.decode(carrying(ANY, group), SOLICITATION) == nd.NeighborSolicitation(OWN)
    refused(carrying(ANY, OWN), SOLICITATION)
    refused(carrying(ANY, nd.ALL_NODES), SOLICITATION)
    refused(carrying(ANY, group), replace(SOLICITATION, payload=OWN + MAC_OPTION))
    assert nd.decode(carrying(ANY), IcmpMessage(ROUTER_SOLICITATION, 0)) == nd.RouterSolicitation()
    refused(carrying(ANY), IcmpMessage(ROUTER_SOLICITATION, 0, 0, MAC_OPTION))


def test_a_solicited_advertisement_is_for_one() -> None:
    # RFC 4861 7.1.2.
    refused(carrying(PEER, nd.ALL_NODES), ADVERTISEMENT)
    assert nd.decode(carrying(PEER, nd.ALL_NODES), replace(ADVERTISEMENT, rest=0)) == nd.NeighborAdvertisement(PEER)


def test_routers_speak_from_their_link_local_address() -> None:
    # RFC 4861 6.1.2.
    advertisement = nd.encode(nd.RouterAdvertisement(64))
    assert "fd3d::2, which is not link-local" in refused(carrying(PEER), advertisement)
    assert "15 octets" in refused(carrying(), replace(advertisement, payload=bytes(7)))


@pytest.mark.parametrize(
    ("value", "objection"),
    [
        (nd.NeighborSolicitation(bytes(4)), "target has 4 octets: it takes 16"),
        (nd.NeighborAdvertisement(bytes(15)), "target has 15 octets: it takes 16"),
        (nd.NeighborSolicitation(OWN, bytes(8)), "link-layer address has 8 octets: it takes 6"),
        (nd.RouterAdvertisement(hop_limit=256), "does not fit"),
        (nd.RouterAdvertisement(router_lifetime=-1), "does not fit"),
        (nd.RouterAdvertisement(mtu=1 << 32), "does not fit"),
    ],
)
def test_what_cannot_be_written(value: nd.NdMessage, objection: str) -> None:
    with pytest.raises(InvalidArgument, match=objection):
        nd.encode(value)


def test_multicast_addresses() -> None:
    # RFC 4291 2.7.1 has this example; RFC 2464 7.
    group = nd.solicited_node(pack_address("4037::01:800:200e:8c6c"))
    assert group == pack_address("ff02::1:ff0e:8c6c")
    assert multicast_mac(group) == bytes.fromhex("3333ff0e8c6c")
    assert multicast_mac(nd.ALL_ROUTERS) == bytes.fromhex("333300000002")
