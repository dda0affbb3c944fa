"""The keyword arguments of ``tun`` and ``veth`` by name, for whoever hands them on."""

from typing import TypedDict

from userstack.api.ends import Texts
from userstack.api.settings import Settings


class Place(TypedDict, total=False):
    """What ``tun`` and ``veth`` can be told of the device; ``peer_name`` and ``gateway`` are for veth alone."""

    name: str | None
    peer_name: str | None
    peer: Texts
    mtu: int
    netns: str | None
    gateway: Texts
    offload: bool


class LinkArguments(Place, Settings, total=False):
    """The keyword arguments of ``tun`` and ``veth``."""
