"""More than one core: a host whose connections are shared out over processes, each with a stack on its own queue of one device.

The kernel chooses the queue by the hash of the flow, as it does among sockets with SO_REUSEPORT; ``net.sharing`` tells what becomes
of what it gives to the wrong one.
"""

import asyncio
import errno
import operator
import resource
import secrets
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from types import FrameType
from typing import Any, Literal, TypeVar, Unpack

from userstack.api.crew import ENDING, Crew
from userstack.api.ends import kernel_addresses, parse_gateways, parse_interfaces
from userstack.api.place import LinkArguments, Place
from userstack.api.settings import SECRET_BYTES, Settings, check_settings
from userstack.api.stack import Stack
from userstack.config import StackConfig
from userstack.errors import InvalidArgument, SetupError
from userstack.net.mtu import check_mtu
from userstack.net.sharing import Share

T = TypeVar("T")

DESCRIPTORS = 7
"""That each worker takes in the process that starts it: a queue, an inbox with two ends, and pipes."""
SPARE = 64
"""Descriptors for everything else."""


def run(
    main: Callable[[Stack], Coroutine[Any, Any, T]],
    *addresses: str,
    workers: int,
    link: Literal["tun", "veth"] = "tun",
    **arguments: Unpack[LinkArguments],
) -> list[T]:
    """Run ``main(stack)`` in so many ``workers``, processes that are one host; gives what each of them returned.

    Each has a ``Stack`` of its own, on its own queue of one device: a TUN device with several (IFF_MULTI_QUEUE), or packet sockets
    on one end of a veth pair (PACKET_FANOUT_HASH). When all listen on a port, the kernel shares out its connections, as with
    SO_REUSEPORT; when only some do, they get all of them. Connections that a worker opens come from its share of
    ``StackConfig.ephemeral_ports``. Limits, counters and settings are every worker's own; ``userstack ss`` tells of all that serve
    ``Stack.control`` as of one stack. ``stack.worker`` tells which one it is. One whose ``main`` has returned goes on answering
    until all have.

    It blocks, and forks: call it before there are threads or an event loop. SIGINT, SIGTERM and SIGHUP cancel ``main`` in all
    workers, and then have the effect that they had without it.

    Args:
        main: what every worker runs. What it returns has to be what ``pickle`` takes.
        *addresses: the host's, as for ``tun``.
        workers: 1 to 256.
        link: the kind of device.
        **arguments: those of ``userstack.tun``, or of ``userstack.veth``.

    Raises:
        BaseException: what ``main`` raised in a worker, with a note in which; the others are stopped then.
        WorkerEnded: a worker was ended by a signal, or ended its process.
        SetupError: the device cannot be made.
        InvalidArgument: an argument cannot be.
        RuntimeError: an event loop is running.
    """
    _check_no_loop()
    place, settings = _split(arguments)
    config = settings.get("config") or StackConfig()
    _check_workers(workers, config)
    _check_link(link, place)
    own, gateways = parse_interfaces(addresses), parse_gateways(place.get("gateway"))
    kernel = kernel_addresses(own, place.get("peer"))
    check_mtu(place.get("mtu", 1500), own)
    from userstack.api.working import Task, open_device
    from userstack.packetio.mesh import Mesh

    offload = place.get("offload", True) and settings.get("impairment") is None
    with (
        _ended_by_signals(),
        closing(open_device(link, own, kernel, place, offload=offload, queues=workers)) as device,
        closing(Mesh(workers)) as mesh,
        Crew(workers, Task(main, device, mesh, workers, own, gateways, config, settings).work) as crew,
    ):
        return crew.results()
    raise AssertionError  # a signal has had its effect


def _check_no_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("userstack.run() cannot be called from a running event loop")


def _check_workers(workers: int, config: StackConfig) -> None:
    from userstack.host.tuntap import MAX_QUEUES

    if not 1 <= operator.index(workers) <= MAX_QUEUES:
        raise InvalidArgument(f"workers must be 1 to {MAX_QUEUES}, the most queues that a device can have, not {workers}")
    Share(0, workers).ephemeral_ports(config.ephemeral_ports)
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = DESCRIPTORS * workers + SPARE
    if limit != resource.RLIM_INFINITY and needed > limit:
        told = f"{workers} workers need {needed} descriptors, and the limit is {limit}: raise it with: ulimit -n {needed}"
        raise SetupError(told, errno.EMFILE)


def _check_link(link: str, place: Place) -> None:
    if link not in ("tun", "veth"):
        raise InvalidArgument(f"link must be 'tun' or 'veth', not {link!r}")
    if link == "tun" and (place.get("peer_name") is not None or place.get("gateway") is not None):
        raise InvalidArgument("a TUN device has no second name and asks for no next hop: leave out peer_name and gateway")


def _split(arguments: LinkArguments) -> tuple[Place, Settings]:
    """What is told of the device, and the rest.

    The workers have one secret: what one of them has promised, as with a SYN cookie, another one can keep.
    """
    place, settings = Place(), Settings()
    for name, value in arguments.items():
        (place if name in Place.__annotations__ else settings)[name] = value  # type: ignore[literal-required]
    check_settings(settings)
    if settings.get("seed") is None and settings.get("secret") is None:
        settings["secret"] = secrets.token_bytes(SECRET_BYTES)
    return place, settings


class _Ended(BaseException):
    """A signal has come."""


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Leave the block when SIGTERM or SIGHUP comes, and let it have its effect after that; Ctrl-C does so of itself.

    In another thread than the main one signals are somebody else's.
    """
    came: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        if not came:
            came.append(number)
            raise _Ended

    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in ENDING - {signal.SIGINT}:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, end)
    try:
        yield
    except _Ended:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])
        raise SystemExit(128 + came[0])  # the caller's own handler has returned
