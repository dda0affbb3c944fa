"""From command-line options to a running stack, with whatever watches it and the control socket that ``userstack ss`` asks."""

import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import asdict, replace

import typer

import userstack
from userstack.api.settings import Settings
from userstack.api.stack import Stack
from userstack.cli.options import DeviceKind, StackOptions
from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.errors import SetupError
from userstack.observe.capture import Capture
from userstack.observe.tee import tee
from userstack.packetio.impairment import Impairment
from userstack.trace import Tracer
from userstack.wire.codec import make_codec

DEFAULT_ADDRESS = "10.9.0.2/24"
DEFAULT_ADDRESS_V6 = "fd3d::2/64"
MBIT = 1_000_000
LARGEST = 1_000_000
"""No option takes more of anything: seconds, milliseconds, megabits."""


def check_options(options: StackOptions) -> None:
    """Refuse options that do not go together.

    Raises:
        typer.BadParameter: the text says which.
    """
    for name, value in asdict(options).items():
        if value == "" or (isinstance(value, list) and "" in value):
            raise typer.BadParameter(f"--{name} is empty")
        if isinstance(value, float):
            check_amount(f"--{name}", value)
    if options.device is DeviceKind.ETH:
        if options.interface is None:
            raise typer.BadParameter("--device eth needs --interface NAME, the interface to take over")
        for given, what in ((options.name, "--name"), (options.peer, "--peer")):
            if given:
                raise typer.BadParameter(f"{what} is for devices that are made, not for --device eth")
    elif options.interface is not None:
        raise typer.BadParameter(f"--interface is for --device eth, not for {options.device}")
    if options.gateway and options.device is DeviceKind.TUN:
        raise typer.BadParameter("--gateway is for devices of layer 2: a TUN has only one other end")


def default_to_ipv6(options: StackOptions) -> StackOptions:
    """The same, with an address of IPv6 where none is given and none is the interface's."""
    if options.address or options.device is DeviceKind.ETH:
        return options
    return replace(options, address=[DEFAULT_ADDRESS_V6])


def check_amount(name: str, value: float) -> None:
    """Refuse what is no amount of anything: infinity, "nan", and what no clock can count to.

    Raises:
        typer.BadParameter: ``name``, an option, has such a ``value``.
    """
    if not abs(value) <= LARGEST:
        raise typer.BadParameter(f"{name} is a number up to {LARGEST}, not {value}")


@asynccontextmanager
async def open_stack(options: StackOptions, *watchers: Tracer) -> AsyncIterator[Stack]:
    """The stack that ``options`` ask for, for the length of the context; it answers on a control socket.

    Raises:
        SetupError: the machine is not ready for it.
        InvalidArgument: an option cannot be.
    """
    with ExitStack() as held:
        tracers = list(watchers)
        if options.pcap is not None:
            tracers.append(held.enter_context(open_capture(options.pcap)))
        settings = _settings(options, tee(*tracers) if tracers else None)
        async with _on_device(options, settings) as stack, answering(stack):
            yield stack


@asynccontextmanager
async def answering(stack: Stack) -> AsyncIterator[None]:
    """Let ``userstack ss`` see the stack; where there is no place for its socket, say so and go on without."""
    async with AsyncExitStack() as held:
        try:
            await held.enter_async_context(stack.control())
        except SetupError as error:
            print(f"userstack ss will not see this stack: {error}", file=sys.stderr)
        yield


def open_capture(path: str) -> Capture:
    """A capture of a stack on the machine's monotonic clock.

    Raises:
        SetupError: the file cannot be written.
    """
    return Capture(path, wall=time.time_ns() - time.monotonic_ns(), codec=make_codec("fast"))


def _on_device(options: StackOptions, settings: Settings) -> AbstractAsyncContextManager[Stack]:
    addresses, mtu, netns = options.address or [DEFAULT_ADDRESS], options.mtu, options.netns
    name, peer, gateway = options.name, options.peer, options.gateway
    match options.device:
        case DeviceKind.TUN:
            return userstack.tun(*addresses, name=name, peer=peer, mtu=mtu, netns=netns, **settings)
        case DeviceKind.TAP:
            return userstack.tap(*addresses, name=name, peer=peer, mtu=mtu, netns=netns, gateway=gateway, **settings)
        case DeviceKind.VETH:
            return userstack.veth(*addresses, name=name, peer=peer, mtu=mtu, netns=netns, gateway=gateway, **settings)
        case DeviceKind.ETH:
            assert options.interface is not None
            return userstack.interface(options.interface, *options.address or (), gateway=gateway, netns=netns, **settings)


def _settings(options: StackOptions, trace: Tracer | None) -> Settings:
    isn = options.isn
    return Settings(
        config=_config(options),
        codec=options.codec,
        trace=trace,
        impairment=_impairment(options),
        isn=None if isn is None else lambda local, remote, now: isn,
    )


def _config(options: StackOptions) -> StackConfig:
    plain = StackConfig(min_ttl=options.min_ttl, tos=options.tos, accept_source_route=options.accept_source_route)
    return replace(
        plain,
        msl=plain.msl if options.msl is None else int(options.msl * SECOND),
        default_ttl=plain.default_ttl if options.ttl is None else options.ttl,
    )


def _impairment(options: StackOptions) -> Impairment | None:
    wanted = Impairment(
        loss=options.loss,
        duplicate=options.duplicate,
        reorder=options.reorder,
        corrupt=options.corrupt,
        delay=int(options.delay * MILLISECOND),
        rate=None if options.rate is None else int(options.rate * MBIT),
        seed=options.seed,
    )
    return None if wanted == Impairment(seed=options.seed) else wanted
