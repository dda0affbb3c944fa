"""Puts a stack together: host, link and driver for a device, after the settings."""

import random
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from userstack.api.guards import parse_endpoint
from userstack.api.settings import SECRET_BYTES, Settings
from userstack.api.stack import Stack
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.errors import InvalidArgument
from userstack.net.ethernet import EthernetLink
from userstack.net.host import Host
from userstack.net.interface import Interface
from userstack.net.mtu import check_mtu
from userstack.runtime.clock import Clock, MonotonicClock
from userstack.runtime.device import PacketDevice
from userstack.runtime.tracing import guarded
from userstack.wire.codec import Codec, make_codec


@asynccontextmanager
async def running(
    device: PacketDevice, interfaces: Sequence[Interface], settings: Settings, *, gateway: str | None = None
) -> AsyncIterator[Stack]:
    """A stack on ``device`` for the length of the context.

    Raises:
        InvalidArgument: a setting cannot be.
    """
    if gateway is not None and device.level == 3:
        raise InvalidArgument(f"the device {device.name} carries IP packets and asks for no next hop: leave out gateway")
    hop = None if gateway is None else parse_endpoint(gateway, 0).address
    host = make_host(device, interfaces, settings, gateway=hop)
    async with Stack(host, device, clock=clock_of(settings)) as stack:
        yield stack


def make_host(device: PacketDevice, interfaces: Sequence[Interface], settings: Settings, *, gateway: bytes | None = None) -> Host:
    """The host that lives behind ``device``, to be driven on the running loop.

    Raises:
        InvalidArgument: a setting cannot be.
    """
    if not interfaces:
        raise InvalidArgument("a stack needs at least one address, as in 10.9.0.2/24")
    check_mtu(device.mtu, interfaces)
    secret, choose = _chance(settings)
    config = settings.get("config") or StackConfig()
    trace = settings.get("trace")
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
        trace=None if trace is None else guarded(trace),
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
    mac = hardware_address(device)
    if len(interfaces) > 1:
        raise InvalidArgument(f"a device that carries frames takes one address, not {len(interfaces)}")
    check_on_frames(interfaces[0])
    return EthernetLink(mac, interfaces[0], gateway=gateway, config=config, codec=codec, counters=counters)


def hardware_address(device: PacketDevice) -> bytes:
    """The MAC of a device that carries frames.

    Raises:
        InvalidArgument: it has none.
    """
    if device.mac is None:
        raise InvalidArgument(f"the device {device.name} has no hardware address: frames need an Ethernet device")
    return device.mac


def check_on_frames(own: Interface) -> None:
    """Refuse an address that cannot be had on a device that carries frames.

    Raises:
        InvalidArgument: it is one of IPv6.
    """
    if len(own.address) == 16:
        raise InvalidArgument(f"{own} needs a device that carries IP packets, such as TUN: this stack does no ND on frames")


def _chance(settings: Settings) -> tuple[bytes, Callable[[int], int]]:
    """The secret of the initial sequence numbers, and what chooses ports."""
    secret, seed = settings.get("secret"), settings.get("seed")
    if seed is None:
        return secret or secrets.token_bytes(SECRET_BYTES), secrets.randbelow
    seeded = random.Random(seed)
    return secret or seeded.randbytes(SECRET_BYTES), seeded.randrange
