"""Multicast listener discovery: what a host tells switches and routers of its groups, unasked and asked (RFC 3810)."""

from typing import Any

import pytest

from tests.support.ethernet_wire import CODEC, LINK_LOCAL, PEER_MAC, US6, Wire
from userstack.address import pack_address
from userstack.config import MILLISECOND, SECOND
from userstack.wire.codec import WireError
from userstack.wire.ethernet import IPV6, EthernetFrame, multicast_mac
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import ICMPV6, ExtensionHeader, IPPacket
from userstack.wire.mld import (
    ALL_MLDV2_ROUTERS,
    IS_EXCLUDE,
    ROUTER_ALERT,
    TO_EXCLUDE,
    ListenerQuery,
    decode_query,
    encode_report,
    encode_report_v1,
)
from userstack.wire.nd import ALL_NODES, solicited_node

NOBODY = bytes(16)
ROUTER = pack_address("fe80::1")
GROUP = solicited_node(US6)


def reports(wire: Wire, frames: list[EthernetFrame]) -> list[tuple[bytes, IcmpMessage]]:
    """The reports among ``frames``, and where they come from; each is fit to be sent."""
    found = []
    for frame in frames:
        packet = CODEC.decode_ip(frame.payload)
        message = CODEC.decode_icmpv6(packet)
        if message.type not in (131, 143):
            continue
        assert (packet.ttl, packet.extension_headers) == (1, (ROUTER_ALERT,))
        assert packet.destination == (ALL_MLDV2_ROUTERS if message.type == 143 else bytes(message.payload))
        assert frame.destination == multicast_mac(packet.destination)
        found.append((packet.source, IcmpMessage(message.type, message.code, message.rest, bytes(message.payload))))
    return found


def query(
    *, group: bytes = NOBODY, code: int = 1000, version: int = 2, source: bytes = ROUTER, ttl: int = 1, **fields: Any
) -> tuple[IPPacket, IcmpMessage]:
    """A router's query, in the packet that carries it."""
    message = IcmpMessage(130, 0, code << 16, group + (bytes((2, 125, 0, 0)) if version == 2 else b""))
    destination = ALL_NODES if group == NOBODY else group
    payload = CODEC.encode_icmpv6(message, source, destination)
    return IPPacket(source, destination, ICMPV6, payload, ttl, **{"extension_headers": (ROUTER_ALERT,), **fields}), message


def hear(wire: Wire, packet: IPPacket) -> None:
    octets = wire.hear(CODEC.encode_ip(packet), ethertype=IPV6, source=PEER_MAC, destination=multicast_mac(packet.destination))
    if octets is not None:
        decoded = CODEC.decode_ip(octets)
        wire.link.receive_icmpv6(decoded, CODEC.decode_icmpv6(decoded), now=wire.now)


# --- unasked ---


def test_the_groups_are_reported_twice_at_the_start() -> None:
    """RFC 4861 7.2.1, RFC 3810 6.1; all nodes' group never is."""
    wire = Wire(6, interfaces=["fd3d::2/64", "2001:db8::77/64", "fe80::5/64"])
    groups = sorted(solicited_node(pack_address(text)) for text in ("fd3d::2", "2001:db8::77", "fe80::5"))
    report = (pack_address("fe80::5"), encode_report(TO_EXCLUDE, groups))
    assert reports(wire, wire.announced) == [report]
    assert reports(wire, wire.repeated) == [report]
    wire.wait(100 * SECOND)
    assert wire.sent() == []
    assert wire.counters["Icmp6OutMLDv2Reports"] == 2


def test_addresses_that_share_a_group_need_one_report() -> None:
    assert solicited_node(US6) == solicited_node(LINK_LOCAL)
    assert reports(Wire(6), Wire(6).announced) == [(LINK_LOCAL, encode_report(TO_EXCLUDE, [GROUP]))]


def test_a_group_is_reported_before_its_address_is_asked_about_and_again_from_the_address() -> None:
    """RFC 4862 5.4.2, RFC 3590 3: from :: so that switches let an objection through; from the address so that routers know."""
    wire = Wire(6, dad_transmits=1)
    types = [CODEC.decode_icmpv6(CODEC.decode_ip(frame.payload)).type for frame in wire.announced]
    assert types == [143, 135, 135]
    report = encode_report(TO_EXCLUDE, [GROUP])
    assert reports(wire, wire.announced) == [(NOBODY, report)]
    wire.wait(SECOND)
    assert reports(wire, wire.repeated + wire.sent()) == [(NOBODY, report), (LINK_LOCAL, report), (LINK_LOCAL, report)]


def test_a_stack_without_ipv6_reports_nothing() -> None:
    wire = Wire(4)
    hear(wire, query()[0])
    wire.wait(10 * SECOND)
    assert wire.sent() == wire.repeated == []


# --- asked ---


@pytest.mark.parametrize("group", [NOBODY, GROUP])
def test_a_query_is_answered_within_its_delay(group: bytes) -> None:
    wire = Wire(6)
    hear(wire, query(group=group, code=1000)[0])
    assert wire.sent() == []
    wire.wait(500 * MILLISECOND)  # chance gives half here
    assert reports(wire, wire.sent()) == [(LINK_LOCAL, encode_report(IS_EXCLUDE, [GROUP]))]
    wire.wait(100 * SECOND)
    assert wire.sent() == []


def test_several_queries_have_one_answer_at_the_earliest_of_their_times() -> None:
    wire = Wire(6)
    hear(wire, query(code=10_000)[0])
    hear(wire, query(group=GROUP, code=200)[0])
    hear(wire, query(code=10_000)[0])
    wire.wait(100 * MILLISECOND)
    assert len(reports(wire, wire.sent())) == 1
    wire.wait(100 * SECOND)
    assert wire.sent() == []


def test_a_query_for_a_group_of_others_is_not_answered() -> None:
    """Two groups may share a MAC address."""
    wire = Wire(6)
    twin = bytes.fromhex("ff0e0000000000000000000000010000")[:12] + GROUP[12:]
    assert multicast_mac(twin) == multicast_mac(GROUP)
    hear(wire, query(group=twin)[0])
    wire.wait(100 * SECOND)
    assert wire.sent() == []


def test_a_router_of_the_first_version_is_answered_in_it() -> None:
    """RFC 3810 8.2.1."""
    wire = Wire(6, interfaces=["fd3d::2/64", "fe80::5/64"])
    hear(wire, query(version=1)[0])
    wire.wait(SECOND)
    groups = sorted([GROUP, solicited_node(pack_address("fe80::5"))])
    assert [message for _, message in reports(wire, wire.sent())] == [encode_report_v1(group) for group in groups]
    assert wire.counters["Icmp6OutGroupMembResponses"] == 2
    hear(wire, query()[0])
    wire.wait(SECOND)
    assert [message.type for _, message in reports(wire, wire.sent())] == [143]


@pytest.mark.parametrize(
    "changes",
    [
        {"ttl": 2},
        {"source": pack_address("fd3d::1")},
        {"extension_headers": ()},
        {"extension_headers": (ExtensionHeader(0, bytes.fromhex("00010400000000")),)},
        {"extension_headers": (ExtensionHeader(60, bytes.fromhex("00050200000100")),)},
    ],
    ids=["hop-limit", "source", "no-header", "no-alert", "wrong-header"],
)
def test_a_query_that_may_be_from_beyond_the_link_is_not_answered(changes: dict[str, Any]) -> None:
    """RFC 3810 5.1.14, 6.2."""
    wire = Wire(6)
    with pytest.raises(WireError) as refusal:
        hear(wire, query(**changes)[0])
    assert refusal.value.counter == "Icmp6InErrors"
    wire.wait(100 * SECOND)
    assert wire.sent() == []


# --- on the wire ---


@pytest.mark.parametrize(
    ("code", "delay"), [(0, 0), (1000, 1000), (0x7FFF, 0x7FFF), (0x8000, 0x8000), (0x8001, 0x8008), (0xFFFF, 0x1FFF << 10)]
)
def test_a_long_delay_is_a_floating_point_number(code: int, delay: int) -> None:
    """RFC 3810 5.1.3."""
    assert decode_query(*query(code=code)) == ListenerQuery(NOBODY, delay, 2)
    assert decode_query(*query(code=code, version=1)) == ListenerQuery(NOBODY, code, 1)


@pytest.mark.parametrize("size", [0, 15, 17, 19])
def test_a_query_of_no_versions_size_is_refused(size: int) -> None:
    packet, message = query()
    message.payload = bytes(message.payload)[:size]
    with pytest.raises(WireError, match=f"listener query of {size} octets"):
        decode_query(packet, message)


def test_a_report_has_a_record_for_each_group() -> None:
    """RFC 3810 5.2, octet by octet."""
    assert encode_report(TO_EXCLUDE, [GROUP, ALL_MLDV2_ROUTERS]) == IcmpMessage(
        143, 0, 2, bytes.fromhex("04000000") + GROUP + bytes.fromhex("04000000") + ALL_MLDV2_ROUTERS
    )
    assert encode_report_v1(GROUP) == IcmpMessage(131, 0, 0, GROUP)


def test_the_alert_may_stand_behind_padding() -> None:
    padded = ExtensionHeader(0, bytes.fromhex("01" + "00" + "0100" + "05020000" + "01050000000000"))
    assert decode_query(*query(extension_headers=(padded,))).version == 2
