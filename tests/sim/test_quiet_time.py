"""The quiet time of RFC 9293 3.4.3: after start no segment that takes a sequence number leaves for one MSL."""

import contextlib

from userstack.address import pack_address
from userstack.config import SECOND, StackConfig
from userstack.sim import VirtualHost
from userstack.wire.codec import make_codec
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.tcp import ACK, RST, SYN, TcpSegment

CODEC = make_codec("fast")
HERE, THERE = pack_address("192.0.2.1"), pack_address("192.0.2.2")
START = 5 * SECOND
CONFIG = StackConfig(quiet_time=True, msl=30 * SECOND)


def host() -> VirtualHost:
    return VirtualHost(["192.0.2.1/24"], config=CONFIG, start=START)


def sent(virtual: VirtualHost) -> list[tuple[int, int]]:
    """The time and the flags of each segment since the last call."""
    return [(time, CODEC.decode_tcp(CODEC.decode_ip(packet)).flags) for time, packet in virtual.take()]


def segment(flags: int, *, port: int = 80, ack: int = 0) -> bytes:
    value = TcpSegment(1234, port, 7, ack, flags, 1000)
    return CODEC.encode_ip(IPPacket(THERE, HERE, TCP, CODEC.encode_tcp(value, THERE, HERE)))


def test_an_active_open_waits_for_one_msl() -> None:
    virtual = host()
    with contextlib.suppress(BlockingIOError):
        virtual.socket().connect(("192.0.2.2", 80))
    virtual.run(until=START + 30 * SECOND - 1)
    assert sent(virtual) == []
    virtual.run(until=START + 31 * SECOND)
    assert sent(virtual) == [(START + 30 * SECOND, SYN), (START + 31 * SECOND, SYN)]


def test_a_passive_open_waits_for_one_msl() -> None:
    virtual = host()
    listener = virtual.socket()
    listener.bind(("192.0.2.1", 80))
    listener.listen()
    virtual.deliver(segment(SYN))
    assert sent(virtual) == []
    virtual.run(until=START + 30 * SECOND)
    assert sent(virtual) == [(START + 30 * SECOND, SYN | ACK)]


def test_a_reset_takes_no_sequence_number_and_does_not_wait() -> None:
    virtual = host()
    virtual.deliver(segment(SYN, port=81))
    assert sent(virtual) == [(START, RST | ACK)]


def test_nobody_waits_once_the_host_has_been_up_for_one_msl() -> None:
    virtual = host()
    virtual.run(until=START + 40 * SECOND)
    with contextlib.suppress(BlockingIOError):
        virtual.socket().connect(("192.0.2.2", 80))
    assert sent(virtual) == [(START + 40 * SECOND, SYN)]


def test_without_quiet_time_nobody_waits() -> None:
    virtual = VirtualHost(["192.0.2.1/24"], start=START)
    with contextlib.suppress(BlockingIOError):
        virtual.socket().connect(("192.0.2.2", 80))
    assert sent(virtual) == [(START, SYN)]
