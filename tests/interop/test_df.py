"""DF and "fragmentation needed" by IP_MTU_DISCOVER: the kernel and userstack answer the same packets alike."""

import errno
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from tests.support.kernel_system import KernelSystem
from tests.support.netns import kernel_namespace, nothing_left_behind
from userstack.address import pack_address
from userstack.config import StackConfig
from userstack.drill.system import System
from userstack.sim import VirtualHost
from userstack.tcp.pmtudisc import PmtuDiscovery
from userstack.wire.codec import make_codec
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import ICMP, TCP, IPPacket
from userstack.wire.tcp import ACK, MSS, SYN, Option, TcpSegment

pytestmark = pytest.mark.once

CODEC = make_codec("fast")
US, PEER, ROUTER = pack_address("192.168.0.1"), pack_address("192.0.2.1"), pack_address("192.0.2.99")
PORT = 8080
IP_MTU_DISCOVER, IP_MTU = 10, 14


class Answer(NamedTuple):
    """What a system has made of a router's message."""

    before: list[tuple[bool, int]]
    """DF and octets of text of what it had sent."""
    after: list[tuple[bool, int]]
    mtu: int
    error: int


def ask(system: System, settle: Callable[[], None], mode: PmtuDiscovery, mtu: int) -> Answer:
    """Open a connection to the system, have it send 1460 octets, and tell it of the path's MTU."""

    def arrives(flags: int, seq: int, ack: int = 0) -> None:
        options = (Option(MSS, (1460).to_bytes(2)),) if flags & SYN else ()
        octets = CODEC.encode_tcp(TcpSegment(5000, PORT, seq, ack, flags, 65535, options=options), PEER, US)
        system.deliver(CODEC.encode_ip(IPPacket(PEER, US, TCP, octets)))
        settle()

    def sent() -> list[tuple[IPPacket, TcpSegment]]:
        packets = [CODEC.decode_ip(packet) for _, packet in system.take()]
        return [(packet, CODEC.decode_tcp(packet)) for packet in packets if packet.version == 4 and packet.protocol == TCP]

    listener = system.socket(socket.AF_INET)
    listener.bind(("192.168.0.1", PORT))
    listener.listen(1)
    arrives(SYN, 100)
    iss = sent()[0][1].seq
    arrives(ACK, 101, iss + 1)
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, int(mode).to_bytes(4, "little"))
    connection.send(bytes(1460))
    settle()
    before = sent()
    message = IcmpMessage(3, 4, mtu, CODEC.encode_ip(before[0][0])[:28])
    system.deliver(CODEC.encode_ip(IPPacket(ROUTER, US, ICMP, CODEC.encode_icmp(message))))
    settle()
    after = sent()
    return Answer(
        [(packet.dont_fragment, len(segment.payload)) for packet, segment in before],
        [(packet.dont_fragment, len(segment.payload)) for packet, segment in after],
        *(int.from_bytes(_octets(connection.getsockopt(level, option, 4)), "little") for level, option in _ASKED),
    )


_ASKED = ((socket.IPPROTO_IP, IP_MTU), (socket.SOL_SOCKET, socket.SO_ERROR))


def _octets(value: int | bytes) -> bytes:
    assert isinstance(value, bytes)
    return value


def asked_of_kernel(mode: PmtuDiscovery, mtu: int) -> Answer:
    with nothing_left_behind(), kernel_namespace() as namespace, ExitStack() as stack:
        return ask(KernelSystem(namespace, stack, ["192.168.0.1/16"], 1500), lambda: time.sleep(0.005), mode, mtu)


@pytest.mark.parametrize("mtu", [1000, 296])
@pytest.mark.parametrize("mode", PmtuDiscovery)
def test_the_kernel_and_userstack_agree(mode: PmtuDiscovery, mtu: int) -> None:
    ours = ask(VirtualHost(["192.168.0.1/16"], config=StackConfig.linux()), lambda: None, mode, mtu)
    assert ours == asked_of_kernel(mode, mtu)
    assert ours.mtu == max(mtu, 552)
    assert ours.error == (errno.EMSGSIZE if mode is PmtuDiscovery.DO and mtu < 552 else 0)
