"""What a worker of ``userstack.run`` does in its process: a stack on its queue, ``main`` on that, and the end that it is told."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from userstack.address import format_address
from userstack.api.assembly import clock_of, make_host
from userstack.api.crew import FAILED, RETURNED, portable, release_signals
from userstack.api.place import Place
from userstack.api.settings import Settings
from userstack.api.stack import Stack
from userstack.api.worker import Worker
from userstack.config import StackConfig
from userstack.host.addresses import require_free_address
from userstack.host.links import unique_device_name
from userstack.net.interface import Interface
from userstack.net.sharing import Share, Sharing
from userstack.packetio.device import Device
from userstack.packetio.impaired import ImpairedDevice
from userstack.packetio.mesh import Mesh
from userstack.packetio.shared import SharedDevice
from userstack.packetio.tun import TunDevice
from userstack.packetio.veth import VethPair
from userstack.runtime.siblings import Siblings

STOPPING = (signal.SIGTERM, signal.SIGHUP)
"""What somebody may send to a worker alone. Ctrl-C comes to all processes of a terminal, and is the parent's."""


def open_device(
    link: str, own: Sequence[Interface], kernel: Sequence[str], place: Place, *, offload: bool, queues: int
) -> TunDevice | VethPair:
    """The device of all workers.

    Raises:
        SetupError: it cannot be made, or the kernel has one of the host's ``own`` addresses.
    """
    netns, mtu, name = place.get("netns"), place.get("mtu", 1500), place.get("name")
    for interface in own:
        require_free_address(format_address(interface.address), namespace=netns)
    if link == "tun":
        return TunDevice(name or "userstack%d", namespace=netns, kernel_addresses=kernel, mtu=mtu, offload=offload, queues=queues)
    names = (name or unique_device_name("us"), place.get("peer_name") or unique_device_name("usk"))
    return VethPair(*names, namespace=netns, peer_addresses=kernel, mtu=mtu, offload=offload, queues=queues)


@dataclass(frozen=True)
class Task:
    """What all workers have in common; made before the fork."""

    main: Callable[[Stack], Coroutine[Any, Any, Any]]
    device: TunDevice | VethPair
    mesh: Mesh
    count: int
    own: Sequence[Interface]
    gateways: Sequence[bytes]
    config: StackConfig
    """With the ephemeral ports of all."""
    settings: Settings

    def work(self, number: int, pipe: Connection) -> None:
        """Be the worker of that number; ``pipe`` leads to the parent (see ``api.crew``)."""
        parent = os.getppid()
        signal.signal(signal.SIGINT, _ignore)
        life = _Life(pipe)
        try:
            asyncio.run(life.spend(self, Worker(number, self.count, parent)))
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and life.stopped:
                life.end_as_told()
                return
            with suppress(OSError):  # the parent has gone
                pipe.send((FAILED, portable(error, number)))


class _Life:
    """Between the start of a worker's loop and its end, which comes once."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._all_returned = asyncio.Event()
        self._signal: signal.Signals | None = None
        self._task: asyncio.Task[Any] | None = None

    @property
    def stopped(self) -> bool:
        """``main`` was cancelled, by a signal or because the parent wants it."""
        return self._task is None

    async def spend(self, task: Task, worker: Worker) -> None:
        """Run ``main``, tell what it returned, and have the stack answer until all workers have returned."""
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup does
                loop.add_signal_handler(number, self._on_signal, number)
        loop.add_reader(self._pipe.fileno(), self._on_word)
        release_signals()
        try:
            async with _stack(task, worker) as stack:
                result = await task.main(stack)
                self._pipe.send((RETURNED, result))
                await self._all_returned.wait()
        finally:
            loop.remove_reader(self._pipe.fileno())

    def end_as_told(self) -> None:
        """After it was cancelled: by the signal, so that the parent sees which it was; else because the parent wants it."""
        if self._signal is not None:
            signal.signal(self._signal, signal.SIG_DFL)
            signal.raise_signal(self._signal)

    def _on_word(self) -> None:
        try:
            self._pipe.recv()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            self._stop()
        else:
            self._all_returned.set()

    def _on_signal(self, number: signal.Signals) -> None:
        if self._signal is None:
            self._signal = number
            self._stop()

    def _stop(self) -> None:
        """Once: a second cancellation would break into the putting in order of things."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()


@asynccontextmanager
async def _stack(task: Task, worker: Worker) -> AsyncIterator[Stack]:
    share = Share(worker.number, worker.workers)
    settings: Settings = {
        **task.settings,
        "config": replace(task.config, ephemeral_ports=share.ephemeral_ports(task.config.ephemeral_ports)),
    }
    task.device.take_queue(worker.number)
    task.mesh.take(worker.number)
    with closing(task.mesh), closing(task.device), closing(SharedDevice(_wire(task.device, settings))) as device:
        host = make_host(device, task.own, settings, gateways=task.gateways)
        stack = Stack(host, device, clock=clock_of(settings))
        stack.worker = worker
        sharing = Sharing(share, host, task.config.ephemeral_ports)
        with closing(Siblings(task.mesh, sharing, deliver=stack.deliver, counters=host.counters)) as siblings:
            device.elsewhere = siblings.elsewhere
            async with stack:
                await stack.settle()
                yield stack


def _wire(device: Device, settings: Settings) -> Device:
    impairment = settings.get("impairment")
    return device if impairment is None else ImpairedDevice(device, impairment, clock_of(settings).now)


def _ignore(*_: object) -> None:
    """Unlike SIG_IGN it is not handed down to programs that a worker starts."""
