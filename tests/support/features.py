"""Random settings: every feature on and off beside every other, limits so small that they are hit, and what sockets can ask for."""

import random
import socket
from dataclasses import fields, replace
from typing import Any

from tests.support.md5 import TCP_MD5SIG, tcp_md5sig
from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.sim import VirtualSocket
from userstack.sim.fast_open_options import TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_KEY, TCP_FASTOPEN_NO_COOKIE

PROFILES = (StackConfig, StackConfig.linux, StackConfig.freebsd)
SWITCHES = tuple(field.name for field in fields(StackConfig) if type(field.default) is bool and field.name != "quiet_time")
FAST_OPEN_BITS = (0, 1, 2, 3, 7, 0x203, 0x403, 0x603, 0x607)
KEYS = (None, b"k" * 16, b"new key of 16 oct" + b"o" * 15)

FEATURES: dict[str, tuple[object, ...]] = {
    "fast_open": FAST_OPEN_BITS,
    "fast_open_key": KEYS,
    "fast_open_backoff": (0, 1 * SECOND, 60 * SECOND),
    "fast_open_blackhole_timeout": (0, 1 * SECOND),
    "syncookies": (0, 1, 2),
    "ecn": (0, 1, 2),
    "window_scale": (None, 0, 2, 14),
    "option_layout": ("linux", "freebsd"),
    "tw_reuse": (0, 1, 2),
    "defer_accept": (0, 0, 0, 2),
    "timestamp_clock": (1 * MILLISECOND, 1 * SECOND),
    "delayed_ack": (0, 40 * MILLISECOND),
    "quick_acks": (0, 2, 16),
    "uto_advertise": (None, 150 * SECOND),
    "abc_limit": (1, 2, 65535),
    "invalid_ratelimit": (0, 500 * MILLISECOND),
    "tos": (0, 0x10),
}
"""What changes how a connection speaks, and must not change what arrives."""
LIMITS: dict[str, tuple[object, ...]] = {
    "receive_buffer": (1, 100, 3000, 64 << 10),
    "send_buffer": (1, 100, 3000, 64 << 10),
    "max_segment": (None, None, 1, 88, 536),
    "min_snd_mss": (1, 48, 536),
    "min_path_mtu": (68, 552),
    "initial_window": (1, 10),
    "out_of_order_ranges": (0, 1, 3, 256),
    "sack_ranges": (1, 2, 512),
}
"""Small numbers that one connection has to live with."""
SCARCITY: dict[str, tuple[object, ...]] = {
    "max_connections": (2, 6, 65536),
    "max_orphans": (0, 1, 2, 8192),
    "orphan_retries": (0, 1, 3),
    "syn_backlog": (1, 4, 1024),
    "somaxconn": (0, 1, 4096),
    "time_wait_max": (0, 1, 65536),
    "challenge_ack_limit": (0, 2, 100),
    "md5_keys": (1, 2, 256),
    "fast_open_cache": (0, 1, 1024),
    "max_paths": (1, 1024),
    "error_reports": (1, 2, 64),
    "transmit_queue": (1, 2, 1024),
    "fin_timeout": (0, 1 * SECOND, 60 * SECOND),
    "min_ttl": (0, 0, 0, 64),
}
"""Small numbers that end connections, or keep them from beginning."""


def draw_config(pick: random.Random, *tables: dict[str, tuple[object, ...]], fixed: dict[str, object]) -> StackConfig:
    """A profile with some of the switches turned and some of the numbers of ``tables`` drawn; ``fixed`` holds in any case."""
    base = pick.choice(PROFILES)()
    share = pick.choice((0.1, 0.5))
    changes: dict[str, Any] = {name: not getattr(base, name) for name in SWITCHES if pick.random() < share / 2}
    for table in tables:
        share = pick.choice((0.0, 0.2, 0.5))
        changes.update({name: pick.choice(values) for name, values in table.items() if pick.random() < share})
    changes.update(fixed)
    return replace(base, **changes)


def set_key(sock: VirtualSocket, peer: str, key: bytes) -> None:
    """Sign with ``key`` whatever goes to ``peer`` (TCP_MD5SIG); an empty one takes the key away."""
    sock.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, tcp_md5sig(peer, key))


SOCKET_OPTIONS: tuple[tuple[int, int, tuple[int | bytes, ...]], ...] = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, (0, 1)),
    (socket.SOL_SOCKET, socket.SO_OOBINLINE, (0, 1)),
    (socket.SOL_SOCKET, socket.SO_REUSEADDR, (0, 1)),
    (socket.SOL_SOCKET, socket.SO_LINGER, (bytes(8), b"\1\0\0\0\0\0\0\0", b"\1\0\0\0\5\0\0\0")),
    (socket.SOL_SOCKET, socket.SO_SNDBUF, (1, 10_000)),
    (socket.SOL_SOCKET, socket.SO_RCVBUF, (1, 10_000)),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, (0, 1)),
    (socket.IPPROTO_TCP, socket.TCP_CORK, (0, 1)),
    (socket.IPPROTO_TCP, socket.TCP_QUICKACK, (0, 1)),
    (socket.IPPROTO_TCP, socket.TCP_MAXSEG, (0, 88, 500, 32767)),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, (1, 5)),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, (1, 3)),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, (1, 9)),
    (socket.IPPROTO_TCP, socket.TCP_SYNCNT, (1, 6)),
    (socket.IPPROTO_TCP, socket.TCP_LINGER2, (-1, 0, 1)),
    (socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, (0, 2)),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, (0, 1, 2000)),
    (socket.IPPROTO_TCP, TCP_FASTOPEN, (0, 1, 5)),
    (socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, (0, 1)),
    (socket.IPPROTO_TCP, TCP_FASTOPEN_KEY, (bytes(16), bytes(32))),
    (socket.IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, (0, 1)),
    (socket.IPPROTO_IP, socket.IP_TTL, (1, 64, -1)),
    (socket.IPPROTO_IP, socket.IP_TOS, (0, 0x28)),
    (socket.IPPROTO_IP, 10, (0, 1, 2, 3, 4, 5)),
    (socket.IPPROTO_IP, 21, (0, 1, 65)),
    (socket.IPPROTO_IP, socket.IP_OPTIONS, (b"", b"\x83\x07\x04\xc0\xa8\x08\x08", b"\x89\x0b\x04\xc0\xa8\x08\x08\xc0\xa8\x08\x09")),
    (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, (1, 64, -1)),
    (socket.IPPROTO_IPV6, 23, (0, 1, 2, 3, 4, 5)),
    (socket.IPPROTO_IPV6, 73, (0, 1, 65)),
)
"""What programs may ask for at any time: level, option, values. 10 and 23: path MTU discovery; 21 and 73: the least TTL."""
