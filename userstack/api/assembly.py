"""Puts a stack together: host, link and driver for a device, after the settings."""

import random
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from userstack.api.settings import SECRET_BYTES, Settings
from userstack.api.stack import Stack
from userstack.config import StackConfig
from userstack.errors import InvalidArgument
from userstack.net.host import Host
from userstack.net.interface import Interface
from userstack.net.mtu import check_mtu
from userstack.runtime.clock import Clock, MonotonicClock
from userstack.runtime.device import OffloadDevice, PacketDevice
from userstack.runtime.tracing import guarded
from userstack.wire.codec import make_codec


@asynccontextmanager
async def running(
    device: PacketDevice, interfaces: Sequence[Interface], settings: Settings, *, gateways: Sequence[bytes] = ()
) -> AsyncIterator[Stack]:
    """A stack on ``device`` for the length of the context, from when it may use its addresses.

    Raises:
        InvalidArgument: a setting cannot be.
        AddressInUse: another node on the link has one of the addresses.
    """
    if gateways and device.level == 3:
        raise InvalidArgument(f"the device {device.name} carries IP packets and asks for no next hop: leave out gateway")
    host = make_host(device, interfaces, settings, gateways=gateways)
    async with Stack(host, device, clock=clock_of(settings)) as stack:
        await stack.settle()
        yield stack


def make_host(device: PacketDevice, interfaces: Sequence[Interface], settings: Settings, *, gateways: Sequence[bytes] = ()) -> Host:
    """The host that lives behind ``device``, to be driven on the running loop.

    Raises:
        InvalidArgument: a setting cannot be.
    """
    check_mtu(device.mtu, interfaces)
    secret, choose = _chance(settings)
    trace = settings.get("trace")
    offload = isinstance(device, OffloadDevice) and device.offload
    return Host(
        interfaces,
        config=replace(settings.get("config") or StackConfig(), offload=offload),
        codec=make_codec(settings.get("codec", "fast")),
        secret=secret,
        random=choose,
        mtu=device.mtu,
        mac=hardware_address(device) if device.level == 2 else None,
        gateways=gateways,
        trace=None if trace is None else guarded(trace),
        start=clock_of(settings).now(),
        isn=settings.get("isn"),
    )


def clock_of(settings: Settings) -> Clock:
    """The clock that was asked for."""
    return settings.get("clock") or MonotonicClock()


def hardware_address(device: PacketDevice) -> bytes:
    """The MAC of a device that carries frames.

    Raises:
        InvalidArgument: it has none.
    """
    if device.mac is None:
        raise InvalidArgument(f"the device {device.name} has no hardware address: frames need an Ethernet device")
    return device.mac


def _chance(settings: Settings) -> tuple[bytes, Callable[[int], int]]:
    """The secret of the initial sequence numbers, and what chooses ports."""
    secret, seed = settings.get("secret"), settings.get("seed")
    if seed is None:
        return secret or secrets.token_bytes(SECRET_BYTES), secrets.randbelow
    seeded = random.Random(seed)
    return secret or seeded.randbytes(SECRET_BYTES), seeded.randrange
