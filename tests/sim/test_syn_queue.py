"""A listener's SYN queue under a flood of SYNs whose senders do not exist."""

from tests.sim.nets import Net
from userstack.address import pack_address
from userstack.config import SECOND, StackConfig
from userstack.sim import VirtualHost
from userstack.tcp.state import State
from userstack.wire.codec import make_codec
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.tcp import ACK, SYN, TcpSegment

CODEC = make_codec("fast")


def listening(net: Net, places: int) -> VirtualHost:
    host = VirtualHost([net.prefix], config=StackConfig(syn_backlog=places))
    listener = host.socket(net.family)
    listener.bind((net.here, 80))
    listener.listen(10)
    return host


def answered(net: Net, host: VirtualHost, port: int) -> bool:
    """Whether a SYN from ``port`` is answered with SYN,ACK at once."""
    here, there = pack_address(net.here), pack_address(net.there)
    host.take()
    syn = TcpSegment(port, 80, 7, 0, SYN, 1000)
    host.deliver(CODEC.encode_ip(IPPacket(there, here, TCP, CODEC.encode_tcp(syn, there, here))))
    segments = [CODEC.decode_tcp(CODEC.decode_ip(packet)) for _, packet in host.take()]
    return [(segment.destination_port, segment.flags) for segment in segments] == [(port, SYN | ACK)]


def half_open(host: VirtualHost) -> int:
    return sum(row.state is State.SYN_RECEIVED for row in host.connections())


def test_a_full_queue_drops_the_newcomer_while_all_in_it_are_young(net: Net) -> None:
    host = listening(net, places=3)
    assert all(answered(net, host, 1000 + number) for number in range(3))
    assert not answered(net, host, 2000)
    assert half_open(host) == 3
    assert host.counters["TcpExtListenDrops"] == 1


def test_in_a_full_queue_the_oldest_that_never_answered_makes_place(net: Net) -> None:
    host = listening(net, places=3)
    assert all(answered(net, host, 1000 + number) for number in range(3))
    host.run(until=1 * SECOND)  # the first retransmission of each SYN,ACK
    assert answered(net, host, 2000)
    assert half_open(host) == 3
    assert 1000 not in {row.remote[1] for row in host.connections() if row.remote}
    assert host.counters["TcpExtTCPReqQFullDrop"] == 1


def test_a_flood_takes_no_more_than_the_queue(net: Net) -> None:
    host = listening(net, places=100)
    for number in range(5_000):
        host.run(until=host.now + SECOND // 1000)
        answered(net, host, 1000 + number)
    assert half_open(host) == 100
    host.run(until=host.now + 2 * SECOND)
    assert answered(net, host, 60_000)
