"""``setsockopt`` and ``getsockopt`` of what is IP's: path MTU discovery, the least TTL, source routes."""

import socket

from tests.sim.scripts.registry import script
from tests.sim.world import Sock, World

IP_OPTIONS, IP_MTU_DISCOVER, IP_MTU, IP_MINTTL = 4, 10, 14, 21
IPV6_MTU_DISCOVER, IPV6_MTU, IPV6_MINHOPCOUNT = 23, 24, 73
LOOSE = bytes.fromhex("830b040a0101010a010102")  # through 10.1.1.1 and 10.1.1.2
STRICT = bytes.fromhex("8907040a010101")


@script
def options_of_ip(w: World) -> None:
    s = w.client()
    modes = (*range(6), 6, -1, b"", b"\1", b"\2\0\0", 1)
    for name, level, option, values in (
        ("IP_MTU_DISCOVER", socket.IPPROTO_IP, IP_MTU_DISCOVER, modes),
        ("IP_MINTTL", socket.IPPROTO_IP, IP_MINTTL, (1, 255, 256, -1, b"", b"\5", 0)),
        ("IPV6_MTU_DISCOVER", socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, modes),
        ("IPV6_MINHOPCOUNT", socket.IPPROTO_IPV6, IPV6_MINHOPCOUNT, (1, 255, 256, -1, b"", b"\5", 0)),
    ):
        w.step(f"get {name} at first", s.getsockopt, level, option)
        for value in values:
            w.step(f"set {name} {value!r}", s.setsockopt, level, option, value)
            w.step(f"get {name}", s.getsockopt, level, option)
    w.step("set IP_MTU", s.setsockopt, socket.IPPROTO_IP, IP_MTU, 1000)
    w.step("get IP_MTU", s.getsockopt, socket.IPPROTO_IP, IP_MTU)
    w.step("get IPV6_MTU", s.getsockopt, socket.IPPROTO_IPV6, IPV6_MTU)


@script
def options_source_route(w: World) -> None:
    s = w.client()
    w.step("none", s.getsockopt, socket.IPPROTO_IP, IP_OPTIONS, 40)
    w.step("none, as an int", s.getsockopt, socket.IPPROTO_IP, IP_OPTIONS)
    for value in (
        LOOSE,
        b"\1" + LOOSE,
        LOOSE + b"\0",
        STRICT,
        b"",
        STRICT[:-1],  # its length runs past the end
        bytes.fromhex("830304"),  # no hop
        bytes.fromhex("8306040a0101"),  # half an address
        bytes.fromhex("830708") + LOOSE[3:7],  # a pointer that is not at the first
        bytes.fromhex("830700") + LOOSE[3:7],
        STRICT + b"\1" + STRICT,  # two
        bytes.fromhex("832704") + LOOSE[3:7] * 9,
        bytes.fromhex("832b04") + LOOSE[3:7] * 10,
        b"\1" * 4,
        b"\1" * 44,
        b"",
    ):
        w.step(f"set {value.hex()}", s.setsockopt, socket.IPPROTO_IP, IP_OPTIONS, value)
        w.step("get", s.getsockopt, socket.IPPROTO_IP, IP_OPTIONS, 40)
        w.step("get some", s.getsockopt, socket.IPPROTO_IP, IP_OPTIONS, 3)


@script
def options_of_ip_inherited(w: World) -> None:
    listener = w.listener()
    w.step("IP_MINTTL", listener.setsockopt, socket.IPPROTO_IP, IP_MINTTL, 10)
    w.step("IP_MTU_DISCOVER", listener.setsockopt, socket.IPPROTO_IP, IP_MTU_DISCOVER, 0)
    w.step("IPV6_MTU_DISCOVER", listener.setsockopt, socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, 3)
    w.step("IPV6_MINHOPCOUNT", listener.setsockopt, socket.IPPROTO_IPV6, IPV6_MINHOPCOUNT, 12)
    w.step("IP_OPTIONS", listener.setsockopt, socket.IPPROTO_IP, IP_OPTIONS, LOOSE)
    client, accepted = w.pair(listener)
    for name, s in (("listener", listener), ("accepted", accepted), ("client", client)):
        w.step(f"{name} IP_OPTIONS", s.getsockopt, socket.IPPROTO_IP, IP_OPTIONS, 40)
        for option in (IP_MINTTL, IP_MTU_DISCOVER):
            w.step(f"{name} IP {option}", s.getsockopt, socket.IPPROTO_IP, option)
        for option in (IPV6_MINHOPCOUNT, IPV6_MTU_DISCOVER):
            w.step(f"{name} IPv6 {option}", s.getsockopt, socket.IPPROTO_IPV6, option)
        w.step(f"{name} IP_MTU", has_mtu, s, socket.IPPROTO_IP, IP_MTU)
        w.step(f"{name} IPV6_MTU", has_mtu, s, socket.IPPROTO_IPV6, IPV6_MTU)


def has_mtu(s: Sock, level: int, option: int) -> bool:
    """The path has an MTU; the kernel's loopback has another one than a virtual link."""
    value = s.getsockopt(level, option)
    return isinstance(value, int) and value >= 1500
