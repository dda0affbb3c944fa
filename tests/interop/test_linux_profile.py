"""``StackConfig.linux()`` beside the kernel itself: the same peer says the same to both, and what they answer is compared."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from tests.support.kernel_system import KernelSystem
from tests.support.netns import kernel_namespace, nothing_left_behind
from userstack.address import pack_address
from userstack.config import MILLISECOND, StackConfig
from userstack.drill.system import DrillSocket, System
from userstack.host.inside import write_sysctl
from userstack.sim import VirtualHost
from userstack.tcp.windowscale import shift_for
from userstack.wire import tcp
from userstack.wire.fast_codec import FastCodec
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.tcp import ACK, CWR, ECE, FIN, PSH, RST, SYN, Option, TcpSegment, flag_names

CODEC = FastCodec()
OURS, THEIRS = pack_address("192.168.7.1"), pack_address("192.0.2.1")
PORT, PEER_PORT = 8080, 40_000
IRS = 1_000
MOMENT = 5 * MILLISECOND
"""In which the kernel has answered."""
SYSCTLS = {"net.ipv4.tcp_rmem": "4096 131072 6291456", "net.ipv4.tcp_ecn": "2", "net.ipv4.tcp_congestion_control": "reno"}

MSS = Option(tcp.MSS, struct.pack("!H", 1_460))
SCALE = Option(tcp.WINDOW_SCALE, b"\x07")
SACK = Option(tcp.SACK_PERMITTED)
STAMPS = Option(tcp.TIMESTAMPS, struct.pack("!II", 77, 0))

Scenario = Callable[["Talk"], None]


class Talk:
    """The peer of one of both systems, and what it hears: everything but what chance or the clock decides."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.heard: list[str] = []
        self._iss: int | None = None
        self._clock = 0

    def say(self, flags: int, *, seq: int = 1, ack: int = 1, data: bytes = b"", options: tuple[Option, ...] = ()) -> None:
        """A segment; numbers count from the initial ones."""
        number = (self._iss or 0) + ack & 0xFFFFFFFF if flags & ACK else 0
        segment = TcpSegment(PEER_PORT, PORT, IRS + seq, number, flags, 65_535, 0, options, data)
        self.system.deliver(CODEC.encode_ip(IPPacket(THEIRS, OURS, TCP, CODEC.encode_tcp(segment, THEIRS, OURS))))
        self.listen()

    def echo(self) -> tuple[Option, ...]:
        """Timestamps for a segment, as RFC 7323 A aligns them."""
        return Option(tcp.NOP), Option(tcp.NOP), Option(tcp.TIMESTAMPS, struct.pack("!II", 78, self._clock))

    def listen(self) -> None:
        until = self.system.now + MOMENT
        while self.system.now < until:
            self.system.run(until)
        for _, packet in self.system.take():
            found = CODEC.decode_ip(packet)
            if found.protocol == TCP:
                self.heard.append(self._describe(CODEC.decode_tcp(found, verify=False), found))

    def _describe(self, segment: TcpSegment, packet: IPPacket) -> str:
        if self._iss is None:
            self._iss = segment.seq
        seq = segment.seq - self._iss & 0xFFFFFFFF
        ack = segment.ack - IRS & 0xFFFFFFFF if segment.flags & ACK else None
        options = ",".join(self._option(option) for option in segment.options)
        flags = flag_names(segment.flags & ~PSH)
        return f"{flags} {seq} +{len(segment.payload)} ack {ack} win {segment.window} ttl {packet.ttl} tos {packet.tos} <{options}>"

    def _option(self, option: Option) -> str:
        if option.kind != tcp.TIMESTAMPS:
            return f"{option.kind}:{option.data.hex()}"
        self._clock, echoed = struct.unpack("!II", option.data)
        return f"{option.kind} ecr {echoed}"

    def socket(self) -> DrillSocket:
        sock = self.system.socket(socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, struct.pack("i", 1))
        sock.bind(("192.168.7.1", PORT))
        return sock

    def accepted(self, *options: Option) -> DrillSocket:
        listener = self.socket()
        listener.listen(5)
        self.say(SYN, seq=0, options=(MSS, *options))
        self.say(ACK, options=self.echo() if STAMPS in options else ())
        return listener.accept()[0]


@contextmanager
def kernel() -> Iterator[System]:
    with nothing_left_behind(), kernel_namespace() as namespace, ExitStack() as stack:
        for name, value in SYSCTLS.items():
            write_sysctl(name, value, namespace=namespace.name)
        system = KernelSystem(namespace, stack, ["192.168.7.1/24"], 1500)
        yield system


def same(scenario: Scenario) -> None:
    """Both say the same."""
    with kernel() as system:
        theirs = Talk(system)
        scenario(theirs)
    # The scale goes by the largest buffer that this machine would give; the rest of the profile does not depend on it.
    largest = max(6 << 20, int(Path("/proc/sys/net/core/rmem_max").read_text()))
    ours = Talk(VirtualHost(["192.168.7.1/24"], config=replace(StackConfig.linux(), window_scale=shift_for(largest))))
    scenario(ours)
    assert ours.heard == theirs.heard
    assert ours.heard


SETS = [chosen for size in range(4) for chosen in combinations((SCALE, SACK, STAMPS), size)]
IDS = ["+".join(flag for flag, option in (("ws", SCALE), ("sack", SACK), ("ts", STAMPS)) if option in chosen) for chosen in SETS]


@pytest.mark.parametrize("options", SETS, ids=IDS)
def test_the_answer_to_a_syn(options: tuple[Option, ...]) -> None:
    def scenario(talk: Talk) -> None:
        talk.socket().listen(5)
        talk.say(SYN, seq=0, options=(MSS, *options))

    same(scenario)


@pytest.mark.parametrize("options", SETS, ids=IDS)
def test_a_syn_and_the_third_ack(options: tuple[Option, ...]) -> None:
    def scenario(talk: Talk) -> None:
        with pytest.raises(BlockingIOError):
            talk.socket().connect(("192.0.2.1", PEER_PORT))
        talk.listen()
        talk.say(SYN | ACK, seq=0, options=(MSS, *options))

    same(scenario)


@pytest.mark.parametrize("flags", [SYN | ECE | CWR, SYN | ECE, SYN | CWR])
def test_ecn(flags: int) -> None:
    def scenario(talk: Talk) -> None:
        listener = talk.socket()
        listener.listen(5)
        talk.say(flags, seq=0, options=(MSS,))
        talk.say(ACK)
        listener.accept()[0].send(b"hello")
        talk.listen()

    same(scenario)


@pytest.mark.parametrize("options", SETS, ids=IDS)
def test_data_is_cut_the_same(options: tuple[Option, ...]) -> None:
    def scenario(talk: Talk) -> None:
        talk.accepted(*options).send(b"x" * 4_000)
        talk.listen()

    same(scenario)


def test_the_first_segments_are_acknowledged_at_once_and_holes_reported() -> None:
    def scenario(talk: Talk) -> None:
        talk.accepted(SACK)
        talk.say(ACK, data=b"x" * 10)
        talk.say(ACK, seq=31, data=b"x" * 10)
        talk.say(ACK, seq=51, data=b"x" * 10)
        talk.say(ACK, seq=31, data=b"x" * 10)
        talk.say(ACK, seq=11, data=b"x" * 20)
        talk.say(ACK, seq=1, data=b"x" * 10)

    same(scenario)


def test_resets() -> None:
    def unread(talk: Talk) -> None:
        sock = talk.accepted(STAMPS)
        talk.say(ACK, data=b"unread", options=talk.echo())
        sock.close()
        talk.listen()

    def lingering(talk: Talk) -> None:
        sock = talk.accepted()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        talk.listen()

    def late(talk: Talk) -> None:
        talk.accepted().close()
        talk.listen()
        talk.say(ACK, ack=2, data=b"late")

    def nobody(talk: Talk) -> None:
        talk.say(SYN, seq=0, options=(MSS, STAMPS))
        talk.say(ACK, seq=5, ack=9, options=(STAMPS,))
        talk.say(FIN | ACK, seq=5, ack=9, data=b"x")
        talk.say(RST, seq=5)

    for scenario in (unread, lingering, late, nobody):
        same(scenario)
