"""The quiet time of RFC 9293 3.4.3: after start no segment that takes a sequence number leaves for one MSL."""

import contextlib

from tests.sim.nets import Net
from userstack.address import pack_address
from userstack.config import SECOND, StackConfig
from userstack.sim import VirtualHost
from userstack.wire.codec import make_codec
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.tcp import ACK, RST, SYN, TcpSegment

CODEC = make_codec("fast")
START = 5 * SECOND
CONFIG = StackConfig(quiet_time=True, msl=30 * SECOND)


def host(net: Net) -> VirtualHost:
    return VirtualHost([net.prefix], config=CONFIG, start=START)


def sent(virtual: VirtualHost) -> list[tuple[int, int]]:
    """The time and the flags of each segment since the last call."""
    return [(time, CODEC.decode_tcp(CODEC.decode_ip(packet)).flags) for time, packet in virtual.take()]


def segment(net: Net, flags: int, *, port: int = 80, ack: int = 0) -> bytes:
    here, there = pack_address(net.here), pack_address(net.there)
    value = TcpSegment(1234, port, 7, ack, flags, 1000)
    return CODEC.encode_ip(IPPacket(there, here, TCP, CODEC.encode_tcp(value, there, here)))


def test_an_active_open_waits_for_one_msl(net: Net) -> None:
    virtual = host(net)
    with contextlib.suppress(BlockingIOError):
        virtual.socket(net.family).connect((net.there, 80))
    virtual.run(until=START + 30 * SECOND - 1)
    assert sent(virtual) == []
    virtual.run(until=START + 31 * SECOND)
    assert sent(virtual) == [(START + 30 * SECOND, SYN), (START + 31 * SECOND, SYN)]


def test_a_passive_open_waits_for_one_msl(net: Net) -> None:
    virtual = host(net)
    listener = virtual.socket(net.family)
    listener.bind((net.here, 80))
    listener.listen()
    virtual.deliver(segment(net, SYN))
    assert sent(virtual) == []
    virtual.run(until=START + 30 * SECOND)
    assert sent(virtual) == [(START + 30 * SECOND, SYN | ACK)]


def test_a_reset_takes_no_sequence_number_and_does_not_wait(net: Net) -> None:
    virtual = host(net)
    virtual.deliver(segment(net, SYN, port=81))
    assert sent(virtual) == [(START, RST | ACK)]


def test_nobody_waits_once_the_host_has_been_up_for_one_msl(net: Net) -> None:
    virtual = host(net)
    virtual.run(until=START + 40 * SECOND)
    with contextlib.suppress(BlockingIOError):
        virtual.socket(net.family).connect((net.there, 80))
    assert sent(virtual) == [(START + 40 * SECOND, SYN)]


def test_without_quiet_time_nobody_waits(net: Net) -> None:
    virtual = VirtualHost([net.prefix], start=START)
    with contextlib.suppress(BlockingIOError):
        virtual.socket(net.family).connect((net.there, 80))
    assert sent(virtual) == [(START, SYN)]
