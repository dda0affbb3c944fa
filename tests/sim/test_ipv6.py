"""What only IPv6 has, seen on the wire of a virtual host: both families behind one socket, hop limits, fragments, scopes."""

import socket
from dataclasses import replace

import pytest

from tests.sim.nets import IPV4, IPV6, Net
from tests.sim.peer import CODEC, Heard, Peer, read
from tests.support.packets import fragment_header
from tests.support.virtual import VirtualNetwork
from userstack.address import LINK_INDEX, pack_address, to_mapped
from userstack.config import SECOND
from userstack.sim import VirtualHost, VirtualSocket
from userstack.tcp.state import State
from userstack.wire import icmpv6
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import DESTINATION_OPTIONS, ICMPV6, ExtensionHeader, IPPacket
from userstack.wire.tcp import MSS, Option

HERE, THERE = pack_address(IPV6.here), pack_address(IPV6.there)


def make_host() -> VirtualHost:
    return VirtualHost([IPV4.prefix, IPV6.prefix])


def listening(host: VirtualHost, address: str = "::") -> VirtualSocket:
    """A listener on port 80."""
    listener = host.socket(socket.AF_INET6)
    listener.bind((address, 80))
    listener.listen()
    return listener


def accept_from(host: VirtualHost, listener: VirtualSocket, net: Net) -> tuple[VirtualSocket, Peer, Heard]:
    """What the listener accepts from a peer in ``net``, that peer, and the host's SYN,ACK."""
    peer = Peer(host, (net.here, 80))
    (answer,) = peer.say("SYN", seq=1000)
    peer.say("ACK", seq=1001, ack=answer.seq + 1)
    return listener.accept()[0], peer, answer


def speak(host: VirtualHost, message: IcmpMessage, **changes: object) -> list[IPPacket]:
    """Deliver an ICMPv6 message of the peer; what the host sends in answer."""
    packet = IPPacket(THERE, HERE, ICMPV6, CODEC.encode_icmpv6(message, THERE, HERE))
    host.deliver(CODEC.encode_ip(replace(packet, **changes)))  # type: ignore[arg-type]
    return [CODEC.decode_ip(sent) for _, sent in host.take()]


def test_one_listener_speaks_to_each_family_in_its_own() -> None:
    host = make_host()
    listener = listening(host)
    for net in (IPV4, IPV6):
        accepted, peer, answer = accept_from(host, listener, net)
        assert answer.flags == "SYN,ACK"
        assert peer.say("PSH,ACK", seq=1001, ack=answer.seq + 1, data=b"hello") == []
        assert accepted.recv(10) == b"hello"
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN) == socket.AF_INET6


def test_netstat_lists_ipv4_as_ipv4() -> None:
    host = make_host()
    listener = listening(host)
    for net in (IPV4, IPV6):
        accept_from(host, listener, net)
    rows = host.connections()
    assert [row.local for row in rows if row.state is State.LISTEN] == [("::", 80, 0, 0)]
    established = {(row.local, row.remote) for row in rows if row.state is State.ESTABLISHED}
    assert established == {(net.name(net.here, 80), net.name(net.there, 5000)) for net in (IPV4, IPV6)}


def test_hop_limit_and_ttl_of_one_listener_are_two_things() -> None:
    host = make_host()
    listener = listening(host)
    for level, option, value in (
        (socket.IPPROTO_IP, socket.IP_TTL, 9),
        (socket.IPPROTO_IP, socket.IP_TOS, 0x10),
        (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 11),
        (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0x20),
    ):
        listener.setsockopt(level, option, value)
    for net, expected in ((IPV4, (9, 0x10)), (IPV6, (11, 0x20))):
        peer = Peer(host, (net.here, 80))
        host.deliver(peer.packet("SYN", seq=1000))
        ((_, sent),) = host.take()
        packet = CODEC.decode_ip(sent)
        host.deliver(peer.packet("ACK", seq=1001, ack=CODEC.decode_tcp(packet).seq + 1))
        listener.accept()[0].send(b"x")
        packets = [packet, *(CODEC.decode_ip(data) for _, data in host.take())]
        assert [(each.ttl, each.tos) for each in packets] == [expected, expected]


def test_a_hop_limit_of_zero_is_sent_as_it_is() -> None:
    host = make_host()
    s = host.socket(socket.AF_INET6)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 0)
    s.connect_ex((IPV6.silent, 80))
    ((_, sent),) = host.take()
    assert CODEC.decode_ip(sent).ttl == 0


@pytest.mark.parametrize(("net", "mss"), [(IPV4, 1460), (IPV6, 1440)], ids=["ipv4", "ipv6"])
def test_a_mapped_connection_has_the_segments_of_ipv4(net: Net, mss: int) -> None:
    host = make_host()
    s = host.socket(socket.AF_INET6)
    s.connect_ex((f"::ffff:{net.silent}" if net is IPV4 else net.silent, 80))
    ((_, sent),) = host.take()
    packet = CODEC.decode_ip(sent)
    assert len(packet.source) == len(pack_address(net.here))
    assert [option.data for option in CODEC.decode_tcp(packet).options if option.kind == MSS] == [mss.to_bytes(2, "big")]


def test_a_mapped_address_on_the_wire_is_nobody_s() -> None:
    # RFC 4942 2.2: it would let IPv6 pass for IPv4.
    host = make_host()
    listening(host)
    syn = CODEC.decode_ip(Peer(host, (IPV6.here, 80)).packet("SYN", seq=1))
    for changed in (replace(syn, source=to_mapped(pack_address(IPV4.there))), replace(syn, destination=to_mapped(HERE[-4:]))):
        host.deliver(CODEC.encode_ip(changed))
    assert host.take() == []
    assert host.counters["Ip6InAddrErrors"] == 2


# --- what stands before TCP ---


def test_an_atomic_fragment_is_taken_and_a_real_one_is_counted() -> None:
    host = make_host()
    listening(host)
    syn = CODEC.decode_ip(Peer(host, (IPV6.here, 80)).packet("SYN", seq=1))
    padding = ExtensionHeader(DESTINATION_OPTIONS, bytes.fromhex("00010400000000"))
    part = replace(syn, more_fragments=True, payload=bytes(syn.payload)[:16], extension_headers=(fragment_header(0, True, 9),))
    host.deliver(CODEC.encode_ip(part))
    assert (host.take(), host.counters["Ip6ReasmFails"]) == ([], 1)
    host.deliver(CODEC.encode_ip(replace(syn, extension_headers=(padding, fragment_header(0, False, 9), padding))))
    assert [read(sent).flags for sent in host.take()] == ["SYN,ACK"]


def test_ping_is_answered() -> None:
    host = make_host()
    (reply,) = speak(host, IcmpMessage(icmpv6.ECHO_REQUEST, 0, 0x00010002, b"ping"))
    assert CODEC.decode_icmpv6(reply) == IcmpMessage(icmpv6.ECHO_REPLY, 0, 0x00010002, b"ping")


def test_an_unknown_option_is_answered_with_its_place() -> None:
    host = make_host()
    unknown = ExtensionHeader(DESTINATION_OPTIONS, bytes.fromhex("00010080020000"))
    (reply,) = speak(host, IcmpMessage(icmpv6.ECHO_REQUEST, 0), extension_headers=(unknown,))
    problem = CODEC.decode_icmpv6(reply)
    assert (problem.type, problem.code, problem.rest) == (icmpv6.PARAMETER_PROBLEM, icmpv6.UNRECOGNIZED_OPTION, 44)


@pytest.mark.parametrize(("named", "largest"), [(1400, 1400), (1280, 1280), (1279, 1500)])
def test_packet_too_big_is_believed_down_to_1280(named: int, largest: int) -> None:
    # RFC 8201 4: what reports less than every link carries is discarded.
    host = make_host()
    s = host.socket(socket.AF_INET6)
    s.bind((IPV6.here, 4321))
    s.connect_ex((IPV6.there, 5000))
    peer = Peer(host, (IPV6.here, 4321))
    (syn,) = peer.hear()
    handshake = CODEC.decode_ip(peer.packet("SYN,ACK", seq=9000, ack=syn.seq + 1))
    segment = replace(CODEC.decode_tcp(handshake), options=(Option(MSS, (1440).to_bytes(2, "big")),))
    host.deliver(CODEC.encode_ip(replace(handshake, payload=CODEC.encode_tcp(segment, THERE, HERE))))
    s.send(bytes(5000))
    sent = [packet for _, packet in host.take()]
    assert max(map(len, sent)) == 1500
    speak(host, IcmpMessage(icmpv6.PACKET_TOO_BIG, 0, named, sent[1][:1232]))
    host.run(host.now + 3 * SECOND)
    again = [len(packet) for _, packet in host.take()]
    assert max(again) == largest


# --- scopes ---


def test_two_hosts_talk_over_link_local_addresses() -> None:
    client_host, server_host = VirtualHost(["fe80::1/64"]), VirtualHost(["fe80::2/64"], seed=1)
    network = VirtualNetwork({"fe80::1": client_host, "fe80::2": server_host})
    listener = listening(server_host)
    client = client_host.socket(socket.AF_INET6)
    client.connect_ex(("fe80::2", 80, 0, LINK_INDEX))
    network.run_for(SECOND)
    accepted, address = listener.accept()
    assert address == client.getsockname()
    assert address[::3] == ("fe80::1", LINK_INDEX)
    client.send(b"near")
    network.run_for(SECOND)
    assert accepted.recv(10) == b"near"
    assert [row.remote for row in client_host.connections()] == [("fe80::2", 80, 0, LINK_INDEX)]
