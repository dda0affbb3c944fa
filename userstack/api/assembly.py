"""Puts a stack together: host, link and driver for a device, after the settings."""

import random
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from userstack.api.guards import parse_endpoint
from userstack.api.settings import Settings
from userstack.api.stack import Stack
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.errors import InvalidArgument
from userstack.net.ethernet import EthernetLink
from userstack.net.host import Host
from userstack.net.interface import Interface
from userstack.runtime.clock import Clock, MonotonicClock
from userstack.runtime.device import PacketDevice
from userstack.wire.codec import Codec, make_codec

SECRET_BYTES = 16
"""The least that keeps initial sequence numbers from being guessed (RFC 6528)."""
SMALLEST_MTU = 68
"""RFC 791 3.2: every link carries that much."""


@asynccontextmanager
async def running(
    device: PacketDevice, interfaces: Sequence[Interface], settings: Settings, *, gateway: str | None = None
) -> AsyncIterator[Stack]:
    """A stack on ``device`` for the length of the context.

    Raises:
        InvalidArgument: a setting cannot be.
    """
    hop = None if gateway is None else parse_endpoint(gateway, 0).address
    host = make_host(device, interfaces, settings, gateway=hop)
    async with Stack(host, device, clock=clock_of(settings)) as stack:
        yield stack


def make_host(device: PacketDevice, interfaces: Sequence[Interface], settings: Settings, *, gateway: bytes | None = None) -> Host:
    """The host that lives behind ``device``.

    Raises:
        InvalidArgument: a setting cannot be.
    """
    if not interfaces:
        raise InvalidArgument("a stack needs at least one address, as in 10.9.0.2/24")
    if device.mtu < SMALLEST_MTU:
        raise InvalidArgument(f"the MTU must be at least {SMALLEST_MTU} (RFC 791), not {device.mtu}")
    secret, choose = _chance(settings)
    config = settings.get("config") or StackConfig()
    codec = make_codec(settings.get("codec", "fast"))
    counters = Counters()
    return Host(
        interfaces,
        config=config,
        codec=codec,
        secret=secret,
        random=choose,
        mtu=device.mtu,
        link=_make_link(device, interfaces, gateway=gateway, config=config, codec=codec, counters=counters),
        trace=settings.get("trace"),
        start=clock_of(settings).now(),
        isn=settings.get("isn"),
        counters=counters,
    )


def clock_of(settings: Settings) -> Clock:
    """The clock that was asked for."""
    return settings.get("clock") or MonotonicClock()


def _make_link(
    device: PacketDevice,
    interfaces: Sequence[Interface],
    *,
    gateway: bytes | None,
    config: StackConfig,
    codec: Codec,
    counters: Counters,
) -> EthernetLink | None:
    if device.level == 3:
        return None
    if device.mac is None:
        raise InvalidArgument(f"the device {device.name} carries frames and has no hardware address")
    if len(interfaces) > 1:
        raise InvalidArgument(f"a device that carries frames takes one address, not {len(interfaces)}")
    if len(interfaces[0].address) == 16:
        raise InvalidArgument(
            f"{interfaces[0]} needs a device that carries IP packets, such as TUN: this stack does no ND on frames"
        )
    return EthernetLink(device.mac, interfaces[0], gateway=gateway, config=config, codec=codec, counters=counters)


def _chance(settings: Settings) -> tuple[bytes, Callable[[int], int]]:
    """The secret of the initial sequence numbers, and what chooses ports."""
    secret, seed = settings.get("secret"), settings.get("seed")
    if secret is not None and len(secret) < SECRET_BYTES:
        raise InvalidArgument(f"secret must be at least {SECRET_BYTES} bytes, not {len(secret)}")
    if seed is None:
        return secret or secrets.token_bytes(SECRET_BYTES), secrets.randbelow
    seeded = random.Random(seed)
    return secret or seeded.randbytes(SECRET_BYTES), seeded.randrange
