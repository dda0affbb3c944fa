"""``setsockopt`` and ``getsockopt``."""

import socket
import struct

from tests.sim.scripts.registry import SO_LINGER, SO_REUSEADDR, script
from tests.sim.world import World


@script
def options_defaults(w: World) -> None:
    s = w.client()
    for level, option in (
        (socket.SOL_SOCKET, socket.SO_TYPE),
        (socket.SOL_SOCKET, socket.SO_PROTOCOL),
        (socket.SOL_SOCKET, socket.SO_DOMAIN),
        (socket.SOL_SOCKET, socket.SO_ACCEPTCONN),
        (socket.SOL_SOCKET, socket.SO_REUSEADDR),
        (socket.SOL_SOCKET, socket.SO_ERROR),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY),
        (socket.IPPROTO_TCP, socket.TCP_MAXSEG),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        (socket.IPPROTO_IP, socket.IP_TTL),
        (socket.IPPROTO_IP, socket.IP_TOS),
        (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY),
        (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS),
        (socket.IPPROTO_IPV6, socket.IPV6_TCLASS),
    ):
        w.step(f"getsockopt {level} {option}", s.getsockopt, level, option)
    w.step("SO_LINGER", s.getsockopt, *SO_LINGER, 8)
    w.step("SO_LINGER as a number", s.getsockopt, *SO_LINGER)
    w.step("SO_REUSEADDR as octets", s.getsockopt, *SO_REUSEADDR, 4)
    w.step("SO_REUSEADDR as one octet", s.getsockopt, *SO_REUSEADDR, 1)
    w.step("SO_REUSEADDR as many octets", s.getsockopt, *SO_REUSEADDR, 64)
    w.step("negative length", s.getsockopt, *SO_REUSEADDR, -1)
    w.step("absurd length", s.getsockopt, *SO_REUSEADDR, 4096)


@script
def options_settable(w: World) -> None:
    s = w.client()
    for name, level, option, values in (
        ("SO_REUSEADDR", *SO_REUSEADDR, (1, 7, 0, -1, struct.pack("i", 1), b"\1\0\0", b"", struct.pack("q", 0))),
        ("TCP_NODELAY", socket.IPPROTO_TCP, socket.TCP_NODELAY, (1, 5, 0, -1, struct.pack("i", 1), b"\1")),
        ("TCP_USER_TIMEOUT", socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, (5000, 0, -1, 1)),
        ("IP_TTL", socket.IPPROTO_IP, socket.IP_TTL, (1, 255, 64, 0, 256, -2, -1)),
        ("IP_TOS", socket.IPPROTO_IP, socket.IP_TOS, (0x10, 0xFC, 0xFF, 0, 256, -1, b"\x08", b"")),
        ("IPV6_V6ONLY", socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, (1, 0, 7, -1, b"\1", b"", struct.pack("q", 0))),
        ("IPV6_UNICAST_HOPS", socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, (1, 255, 64, 0, 256, -2, -1, b"\x08", b"")),
        ("IPV6_TCLASS", socket.IPPROTO_IPV6, socket.IPV6_TCLASS, (0x10, 0xFC, 0xFF, 0, 256, -2, 0x28, -1, b"\x08", b"")),
    ):
        for value in values:
            w.step(f"set {name} {value!r}", s.setsockopt, level, option, value)
            w.step(f"get {name}", s.getsockopt, level, option)


@script
def options_read_only_and_unknown(w: World) -> None:
    s = w.client()
    for option in (socket.SO_ERROR, socket.SO_TYPE, socket.SO_ACCEPTCONN, socket.SO_PROTOCOL, socket.SO_DOMAIN):
        w.step(f"set SO {option}", s.setsockopt, socket.SOL_SOCKET, option, 1)
    for level, option in (
        (socket.SOL_SOCKET, 9999),
        (socket.IPPROTO_TCP, 9999),
        (socket.IPPROTO_IP, 9999),
        (socket.IPPROTO_IPV6, 9999),
        (7777, 1),
    ):
        w.step(f"set {level} {option}", s.setsockopt, level, option, 1)
        w.step(f"get {level} {option}", s.getsockopt, level, option)
    w.step("text", s.setsockopt, *SO_REUSEADDR, "yes")
    w.step("too large", s.setsockopt, *SO_REUSEADDR, 2**40)


@script
def options_linger(w: World) -> None:
    s = w.client()
    for value in (struct.pack("ii", 1, 5), struct.pack("ii", 0, 5), struct.pack("ii", 7, 0), b"\1\0\0\0", 1):
        w.step(f"set {value!r}", s.setsockopt, *SO_LINGER, value)
        w.step("get", s.getsockopt, *SO_LINGER, 8)


@script
def options_buffers(w: World) -> None:
    s = w.client()
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        for value in (20000, 100000):
            w.step(f"set {option} {value}", s.setsockopt, socket.SOL_SOCKET, option, value)
            w.step(f"get {option}", s.getsockopt, socket.SOL_SOCKET, option)


@script
def options_of_listener_and_accepted(w: World) -> None:
    listener = w.listener()
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 33)
    w.step("IPV6_UNICAST_HOPS", listener.setsockopt, socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 44)
    w.step("IPV6_TCLASS", listener.setsockopt, socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0x40)
    w.step("IPV6_V6ONLY", listener.setsockopt, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.setsockopt(*SO_LINGER, struct.pack("ii", 1, 3))
    client, accepted = w.pair(listener)
    for name, s in (("listener", listener), ("accepted", accepted), ("client", client)):
        w.step(f"{name} SO_ACCEPTCONN", s.getsockopt, socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        w.step(f"{name} SO_REUSEADDR", s.getsockopt, *SO_REUSEADDR)
        w.step(f"{name} TCP_NODELAY", s.getsockopt, socket.IPPROTO_TCP, socket.TCP_NODELAY)
        w.step(f"{name} IP_TTL", s.getsockopt, socket.IPPROTO_IP, socket.IP_TTL)
        w.step(f"{name} SO_LINGER", s.getsockopt, *SO_LINGER, 8)
        for option in (socket.IPV6_UNICAST_HOPS, socket.IPV6_TCLASS, socket.IPV6_V6ONLY):
            w.step(f"{name} IPv6 {option}", s.getsockopt, socket.IPPROTO_IPV6, option)


@script
def options_of_connected(w: World) -> None:
    client, _ = w.pair()
    for level, option, value in (
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 7000),
        (socket.IPPROTO_IP, socket.IP_TTL, 9),
        (socket.IPPROTO_IP, socket.IP_TOS, 0x20),
        (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 9),
        (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0x20),
        (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0),
    ):
        w.step(f"set {level} {option}", client.setsockopt, level, option, value)
        w.step(f"get {level} {option}", client.getsockopt, level, option)
    w.step("send", client.send, b"x")
