"""Octets, ECN marks and ICMP messages by type, as nstat has them; and a TIME-WAIT whose place is taken."""

import socket
import struct

import pytest

from userstack.address import pack_address
from userstack.sim import VirtualHost
from userstack.sim.virtual_socket import VirtualSocket
from userstack.wire.fast_codec import FastCodec
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import ICMP, IPPacket

CODEC = FastCodec()
OURS, PEER = "10.0.0.1", "10.0.0.2"
MARKS = ("NoECT", "ECT1", "ECT0", "CE")


def echo(number: int, *, tos: int = 0) -> bytes:
    payload = CODEC.encode_icmp(IcmpMessage(number, 0, 0, b"12345678"))
    return CODEC.encode_ip(IPPacket(pack_address(PEER), pack_address(OURS), ICMP, payload, tos=tos))


@pytest.mark.parametrize("mark", range(4))
def test_octets_and_marks(mark: int) -> None:
    host = VirtualHost([f"{OURS}/24"])
    packet = echo(8, tos=mark)
    host.deliver(packet)
    assert host.counters["IpExtInOctets"] == host.counters["IpExtOutOctets"] == len(packet)
    assert [host.counters[f"IpExtIn{name}Pkts"] for name in MARKS] == [int(index == mark) for index in range(4)]
    assert (host.counters["IcmpInEchos"], host.counters["IcmpOutMsgs"], host.counters["IcmpOutEchoReps"]) == (1, 1, 1)


def test_octets_of_ipv6() -> None:
    host = VirtualHost(["fd3d::1/64"])
    host.socket(socket.AF_INET6).connect_ex(("fd3d::2", 80))
    sent = host.take()[0][1]
    assert host.counters["Ip6OutOctets"] == len(sent)
    host.deliver(sent[:8] + sent[24:40] + sent[8:24] + sent[40:])
    assert (host.counters["Ip6InOctets"], host.counters["Ip6InNoECTPkts"]) == (len(sent), 1)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(0, "IcmpInEchoReps"), (5, "IcmpInRedirects"), (13, "IcmpInTimestamps"), (14, "IcmpInTimestampReps"), (42, "IcmpMsgInType42")],
)
def test_icmp_messages_count_by_their_type(kind: int, name: str) -> None:
    host = VirtualHost([f"{OURS}/24"])
    host.deliver(echo(kind))
    assert (host.counters[name], host.counters["IcmpInMsgs"]) == (1, 1)


def test_a_time_wait_that_makes_place_is_counted() -> None:
    host = VirtualHost([f"{OURS}/24"])
    listener = host.socket()
    listener.bind((OURS, 80))
    listener.listen()
    first = reusable(host)
    first.connect_ex((OURS, 80))
    server, _ = listener.accept()
    first.close()
    server.close()
    host.run(host.now + 1_000_000)
    assert host.counters["TcpExtTW"] == 1
    reusable(host).connect_ex((OURS, 80))
    assert host.counters["TcpExtTWRecycled"] == 1


def reusable(host: VirtualHost) -> VirtualSocket:
    sock = host.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, struct.pack("i", 1))
    sock.bind((OURS, 4000))
    return sock
