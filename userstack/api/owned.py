"""Devices that a stack owns. Apart from ``links``, so that scapy is imported only where a device of ``packetio`` is asked for."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing

from userstack.api.assembly import clock_of, running
from userstack.api.settings import Settings
from userstack.api.stack import Stack
from userstack.net.interface import Interface
from userstack.packetio.device import Device
from userstack.packetio.impaired import ImpairedDevice


@asynccontextmanager
async def owning(
    device: Device, own: Sequence[Interface], settings: Settings, *, gateways: Sequence[bytes] = ()
) -> AsyncIterator[Stack]:
    """A stack whose device is closed, and thereby removed, after it.

    Raises:
        InvalidArgument: a setting cannot be.
        AddressInUse: another node on the link has one of the addresses.
    """
    with closing(device), closing(_wire(device, settings)) as wire:
        async with running(wire, own, settings, gateways=gateways) as stack:
            yield stack


def _wire(device: Device, settings: Settings) -> Device:
    impairment = settings.get("impairment")
    return device if impairment is None else ImpairedDevice(device, impairment, clock_of(settings).now)
