"""``userstack nc``: netcat on a stack of its own."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Annotated

import typer

from userstack.api.connection import Connection
from userstack.api.names import scoped_text
from userstack.api.stack import Stack
from userstack.cli.console import make_console
from userstack.cli.exchange import Exchange
from userstack.cli.guard import complain, describe, guarded, run_async
from userstack.cli.opening import check_amount, check_options, default_to_ipv6, open_stack
from userstack.cli.options import DeviceKind, StackOptions, with_stack_options
from userstack.cli.peer import KernelStates
from userstack.cli.stdio import Input, Output
from userstack.cli.target import Target, check_family, parse_target
from userstack.errors import NetworkError, PeerError, SetupError
from userstack.observe.fold import Fold
from userstack.observe.ladder import Ladder
from userstack.observe.recorder import Recorder
from userstack.tcp.state import State
from userstack.trace import Tracer
from userstack.wire.codec import make_codec

NAME = "nc"
Wait = Annotated[
    float | None,
    typer.Option("-w", "--wait", metavar="SECONDS", min=0.001, help="Give up connecting, or idling, after this time."),
]
Via = Annotated[
    list[str] | None,
    typer.Option("-g", "--via", metavar="ADDRESS", help="A router of an IPv4 source route; may be repeated, in their order."),
]
STDIN, STDOUT = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What netcat is asked to do."""

    target: Target
    only_ipv4: bool
    only_ipv6: bool
    listen: bool
    keep: bool
    half_close: bool
    verbose: bool
    scan: bool
    timeout: float | None
    time_wait: bool
    source_port: int
    via: tuple[str, ...]

    def say(self, text: str) -> None:
        """A message for ``-v``."""
        if self.verbose:
            print(text, file=sys.stderr, flush=True)


@with_stack_options
@guarded(NAME)
def nc(
    *,
    target: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ADDRESS] PORT", help="Where to connect, or what to listen on; also as one word, [ADDRESS]:PORT."),
    ] = None,
    only_ipv4: Annotated[bool, typer.Option("-4", help="IPv4 alone.")] = False,
    only_ipv6: Annotated[bool, typer.Option("-6", help="IPv6 alone.")] = False,
    listen: Annotated[bool, typer.Option("-l", "--listen", help="Listen for a connection instead of opening one.")] = False,
    keep: Annotated[bool, typer.Option("-k", "--keep", help="With -l: take the next connection when one is over.")] = False,
    half_close: Annotated[bool, typer.Option("-N", "--half-close", help="Send a FIN when standard input ends.")] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Show connections, segments and transitions, live, on standard error.")
    ] = False,
    scan: Annotated[bool, typer.Option("-z", "--scan", help="Only connect and close; PORT may be a range, as in 20-25.")] = False,
    timeout: Wait = None,
    time_wait: Annotated[
        bool, typer.Option("--time-wait", help="Stay until TIME-WAIT is over, for as long as the stack must remember (2 MSL).")
    ] = False,
    source_port: Annotated[int, typer.Option("-p", "--source-port", min=0, max=65535, metavar="PORT", help="The local port.")] = 0,
    via: Via = None,
    stack: StackOptions,
) -> None:
    """Netcat on a TCP stack of its own: standard input goes to the peer, what the peer sends to standard output.

    Without -N the connection stays open when standard input ends, until the peer closes.

    Exit code 0 when both ends have closed, 1 on an error.

    The kernel has the other end of the device and can be talked to at 10.9.0.1, or with IPv6 at fd3d::1:

        userstack nc -l 8080            and, elsewhere:   nc 10.9.0.2 8080

        userstack nc fd3d::1 9000       after:            nc -6 -l 9000
    """
    check_options(stack)
    if timeout is not None:
        check_amount("--wait", timeout)
    _check_role(listen=listen, keep=keep, routed=bool(via))
    wanted = parse_target(target or [], listen=listen, scan=scan, source_port=source_port)
    check_family(wanted, only_ipv4=only_ipv4, only_ipv6=only_ipv6)
    if (only_ipv6 or wanted.ipv6) and not wanted.mapped:
        stack = default_to_ipv6(stack)
    task = Task(
        target=wanted,
        only_ipv4=only_ipv4,
        only_ipv6=only_ipv6,
        listen=listen,
        keep=keep,
        half_close=half_close,
        verbose=verbose,
        scan=scan,
        timeout=timeout,
        time_wait=time_wait,
        source_port=0 if listen else source_port,
        via=tuple(via or ()),
    )
    raise typer.Exit(run_async(_run(task, stack)))


def _check_role(*, listen: bool, keep: bool, routed: bool) -> None:
    """Refuse what is for the other of listening and connecting."""
    if keep and not listen:
        raise typer.BadParameter("-k is for -l: it takes one connection after another")
    if routed and listen:
        raise typer.BadParameter("-g is for connecting: with -l, --accept-source-route answers by the route of the peer")


async def _run(task: Task, options: StackOptions) -> int:
    with ExitStack() as held:
        kernel = _kernel(held, options) if task.verbose else None
        watchers = [held.enter_context(_ladder(kernel))] if task.verbose else []
        async with open_stack(options, *watchers) as stack:
            if kernel is not None:
                kernel.learn_addresses()
            if task.scan:
                return await _scan(stack, task)
            sink = Output(STDOUT)
            held.callback(sink.close)
            source = Input(STDIN)
            async with _connections(stack, task) as connections:
                async for connection in connections:
                    await _exchange(connection, task, source, sink)
    return 0


def _kernel(held: ExitStack, options: StackOptions) -> KernelStates | None:
    """This machine's kernel, where it is the other end and tells its states."""
    if options.device is not DeviceKind.ETH:
        with suppress(SetupError):
            return held.enter_context(KernelStates(options.netns))
    return None


@contextmanager
def _ladder(kernel: KernelStates | None) -> Iterator[Tracer]:
    """Draws what happens on standard error; the peer's states too where the peer is this machine's kernel."""
    ladder = Ladder(make_console(sys.stderr), peer="peer" if kernel is None else "Linux kernel")
    fold = Fold(ladder)
    defer = asyncio.get_running_loop().call_soon
    recorder = Recorder(fold, codec=make_codec("fast"), start=time.monotonic_ns(), peer_state=kernel, defer=defer)
    try:
        yield recorder
    finally:
        recorder.flush()
        fold.flush()


@asynccontextmanager
async def _connections(stack: Stack, task: Task) -> AsyncIterator[AsyncIterator[Connection]]:
    """The one connection, or with ``-k`` one after another."""
    if not task.listen:
        yield _connect(stack, task)
        return
    address, port = task.target.address or ("0.0.0.0" if task.only_ipv4 else None), task.target.ports[0]  # noqa: S104 # as asked for
    backlog = 128 if task.keep else 1
    listener = await stack.listen(port, address=address, backlog=backlog, reuse_address=True, ipv6_only=task.only_ipv6)
    task.say("Listening on {} {}".format(*listener.getsockname()))

    async def accept() -> AsyncIterator[Connection]:
        while True:
            connection = await listener.accept()
            if not task.keep:
                await listener.close()
            task.say(f"Connection from {_peer(connection, stack)}")
            yield connection
            if not task.keep:
                return

    async with listener:
        yield accept()


def _peer(connection: Connection, stack: Stack) -> str:
    """As netcats write it; it may have been reset already, and then has no peer that ``getpeername`` would tell."""
    remote = connection.info().remote
    return "nobody" if remote is None else f"{scoped_text(remote.address, device=stack.device.name)} {remote.port}"


async def _connect(stack: Stack, task: Task) -> AsyncIterator[Connection]:
    address, (port, *_) = task.target
    assert address is not None
    try:
        connection = await stack.connect(address, port, local_port=task.source_port, timeout=task.timeout, source_route=task.via)
    except (PeerError, NetworkError) as error:  # what the caller got wrong speaks for itself
        complain(NAME, _failure(address, port, error))
        raise typer.Exit(1) from None
    task.say(f"Connection to {address} {port} port [tcp/*] succeeded!")
    yield connection


async def _exchange(connection: Connection, task: Task, source: Input, sink: Output) -> None:
    """One connection; with ``-k`` one that breaks is told and the next is taken."""
    exchange = Exchange(
        connection,
        source,
        sink,
        half_close=task.half_close,
        linger=task.half_close or not task.listen,
        idle=task.timeout,
        deliver=not task.keep,
        time_wait=task.time_wait,
    )
    try:
        await exchange.run()
    except ConnectionError as error:
        if not task.keep:
            raise
        complain(NAME, describe(error))


async def _scan(stack: Stack, task: Task) -> int:
    """``-z``: connect to each port and close; 0 if any was open."""
    address, ports = task.target
    assert address is not None
    opened = 0
    for port in ports:
        try:
            async with await stack.connect(
                address, port, local_port=task.source_port, timeout=task.timeout, source_route=task.via
            ) as connection:
                pass
            await connection.wait_state(State.FIN_WAIT_2, State.TIME_WAIT)
        except (ConnectionRefusedError, TimeoutError) as error:
            if task.verbose or len(ports) == 1:
                complain(NAME, _failure(address, port, error))
        else:
            opened += 1
            task.say(f"Connection to {address} {port} port [tcp/*] succeeded!")
    return 0 if opened else 1


def _failure(address: str, port: int, error: OSError) -> str:
    """In the words of OpenBSD's nc."""
    return f"connect to {address} port {port} (tcp) failed: {describe(error)}"
