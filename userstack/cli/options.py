"""The options by which every command is told what stack to run: device, addresses, behaviour, impairments, what to record."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Annotated, get_type_hints

import typer

_DEVICE = "Device and addresses"
_BEHAVIOUR = "Behaviour"
_LINK = "A bad link (every chance is a share from 0 to 1, for each direction)"


class DeviceKind(StrEnum):
    """What carries the packets."""

    TUN = "tun"
    TAP = "tap"
    VETH = "veth"
    ETH = "eth"


class CodecName(StrEnum):
    """What reads and builds the packets."""

    FAST = "fast"
    SCAPY = "scapy"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """What stack to run. The annotations are the command line's."""

    device: Annotated[
        DeviceKind,
        typer.Option(
            help="tun: IP packets. tap: Ethernet frames. veth: a pair with the kernel. eth: an interface that exists.",
            rich_help_panel=_DEVICE,
        ),
    ] = DeviceKind.TUN
    interface: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="For --device eth: the interface to take over from the kernel.", rich_help_panel=_DEVICE),
    ] = None
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What to call the device that is made.", rich_help_panel=_DEVICE)
    ] = None
    address: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A/P",
            help="The stack's own address, 10.9.0.2/24 or fd3d::2/64 by default (eth: the interface's); may be repeated.",
            rich_help_panel=_DEVICE,
        ),
    ] = None
    peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A",
            help="The kernel's address at the other end: the first of each network by default.",
            rich_help_panel=_DEVICE,
        ),
    ] = None
    gateway: Annotated[
        list[str] | None,
        typer.Option(metavar="A", help="Where to send what is for other networks; one for a family.", rich_help_panel=_DEVICE),
    ] = None
    mtu: Annotated[int, typer.Option(min=68, max=65535, help="The largest IP packet, in bytes.", rich_help_panel=_DEVICE)] = 1500
    netns: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Put the kernel's end into this network namespace.", rich_help_panel=_DEVICE),
    ] = None
    codec: Annotated[
        CodecName, typer.Option(help="Read and build packets by struct (fast) or by scapy's layers.", rich_help_panel=_BEHAVIOUR)
    ] = CodecName.FAST
    msl: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="Maximum segment lifetime: TIME-WAIT is twice that. 30 by default.", rich_help_panel=_BEHAVIOUR
        ),
    ] = None
    isn: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=0xFFFFFFFF,
            help="Begin every connection at this sequence number, for teaching and tests.",
            rich_help_panel=_BEHAVIOUR,
        ),
    ] = None
    ttl: Annotated[
        int | None,
        typer.Option("-M", "--ttl", min=1, max=255, help="TTL, or hop limit, of packets.", rich_help_panel=_BEHAVIOUR),
    ] = None
    min_ttl: Annotated[
        int,
        typer.Option(
            "-m",
            "--min-ttl",
            min=0,
            max=255,
            help="Drop what comes with less: 255 means next door.",
            rich_help_panel=_BEHAVIOUR,
        ),
    ] = 0
    tos: Annotated[
        int, typer.Option("-T", "--tos", min=0, max=255, help="Type of service, or traffic class.", rich_help_panel=_BEHAVIOUR)
    ] = 0
    accept_source_route: Annotated[
        bool, typer.Option("--accept-source-route", help="Answer by the route that packets have come.", rich_help_panel=_BEHAVIOUR)
    ] = False
    pcap: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write every packet to a pcapng file.", rich_help_panel=_BEHAVIOUR)
    ] = None
    loss: Annotated[float, typer.Option(help="Lose packets.", rich_help_panel=_LINK)] = 0.0
    duplicate: Annotated[float, typer.Option(help="Let packets arrive twice.", rich_help_panel=_LINK)] = 0.0
    reorder: Annotated[float, typer.Option(help="Hold packets back so that others overtake them.", rich_help_panel=_LINK)] = 0.0
    corrupt: Annotated[float, typer.Option(help="Flip one bit of packets.", rich_help_panel=_LINK)] = 0.0
    delay: Annotated[float, typer.Option(metavar="MS", min=0, help="Time on the way, in milliseconds.", rich_help_panel=_LINK)] = (
        0.0
    )
    rate: Annotated[
        float | None,
        typer.Option(metavar="MBIT", min=0.001, help="Megabits per second that the link carries.", rich_help_panel=_LINK),
    ] = None
    seed: Annotated[
        int, typer.Option(help="Where the link's chance starts from: the same seed is the same luck.", rich_help_panel=_LINK)
    ] = 0


def with_stack_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command``, which takes a ``stack: StackOptions``, one command-line option for each field instead."""
    names = [field.name for field in fields(StackOptions)]

    def run(**given: object) -> None:
        stack = StackOptions(**{name: given.pop(name) for name in names})  # type: ignore[arg-type] # typer has seen to the types
        command(stack=stack, **given)

    own = [parameter for parameter in inspect.signature(command, eval_str=True).parameters.values() if parameter.name != "stack"]
    hints = get_type_hints(StackOptions, include_extras=True)
    shared = [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name])
        for field in fields(StackOptions)
    ]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + shared
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # it is where inspect looks
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run
