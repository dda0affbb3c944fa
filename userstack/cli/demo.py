"""``userstack demo``: a handshake and a close with a real Linux kernel, live."""

import asyncio
import sys
import time
from contextlib import ExitStack, closing
from enum import StrEnum
from typing import Annotated

import typer

import userstack
from userstack.cli import acts
from userstack.cli.acts import IPV4_ENDS, IPV6_ENDS, KERNEL_PORT, MSL, Ends, Stage
from userstack.cli.doomed import STORIES, Doomed, Drop
from userstack.cli.guard import guarded, run_async
from userstack.cli.leaks import Baseline, Leaks, stack_leaks
from userstack.cli.netcat import Netcat, find_netcat
from userstack.cli.opening import answering, open_capture
from userstack.cli.options import CodecName
from userstack.cli.peer import KernelStates
from userstack.cli.screen import JsonScreen, Screen, TerminalScreen
from userstack.config import StackConfig
from userstack.errors import ConnectionTimedOut
from userstack.host.links import unique_device_name
from userstack.host.netns import temporary_namespace
from userstack.observe.recorder import Recorder
from userstack.observe.steps import UNKNOWN, Step
from userstack.observe.tee import tee
from userstack.packetio.device import Device
from userstack.packetio.droponce import DropOnce
from userstack.packetio.tun import TapDevice, TunDevice
from userstack.packetio.veth import VethPair
from userstack.trace import Tracer
from userstack.wire.codec import make_codec

PATIENCE = 30.0
"""Seconds that the whole demo may take; it takes a tenth of that, or a fifth where something is lost."""


class DemoDevice(StrEnum):
    """What stands between the stack and the kernel."""

    TUN = "tun"
    TAP = "tap"
    VETH = "veth"


@guarded("demo")
def demo(
    *,
    device: Annotated[DemoDevice, typer.Option(help="What stands between the stack and the kernel.")] = DemoDevice.TUN,
    ipv6: Annotated[bool, typer.Option("--ipv6", help="Speak IPv6.")] = False,
    drop: Annotated[Drop | None, typer.Option(help="Lose this segment of ours once, and watch how it is made good.")] = None,
    pcap: Annotated[str | None, typer.Option(metavar="FILE", help="Write every packet to a pcapng file.")] = None,
    codec: Annotated[CodecName, typer.Option(help="Read and build packets by struct, or by scapy's layers.")] = CodecName.FAST,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines, the last one a summary.")] = False,
) -> None:
    """Watch a three-way handshake and a four-way close with the real Linux kernel and the real nc.

    It happens in a network namespace of its own, which is removed afterwards; the host's network is not touched. Beside each
    segment stand the states of both ends, the kernel's as the kernel itself tells it.

    Exit code 0 only if segments, transitions and both ends' final states are what RFC 9293 says, and nothing is left behind.
    """
    screen: Screen = JsonScreen(sys.stdout) if as_json else TerminalScreen(sys.stdout)
    raise typer.Exit(run_async(_Performance(screen, device, IPV6_ENDS if ipv6 else IPV4_ENDS, drop, pcap, codec).run()))


class _Performance:
    """One run of the demo."""

    def __init__(
        self, screen: Screen, device: DemoDevice, ends: Ends, drop: Drop | None, pcap: str | None, codec: CodecName
    ) -> None:
        self._screen = screen
        self._kind = device
        self._ends = ends
        self._drop = drop
        self._pcap = pcap
        self._codec = codec
        self._steps: list[Step] = []

    async def run(self) -> int:
        """Play both acts, look at what is left, and say what was wrong. Gives the exit code."""
        netcat = find_netcat()
        baseline = Baseline()
        with temporary_namespace("userstack-demo") as namespace:
            wire = self._make_device(namespace)
            with closing(wire):
                stage, leaks = await self._play(wire, namespace, netcat)
        leaks |= baseline.compare(devices=[wire.name], namespaces=[namespace])
        self._summarize(stage, leaks)
        return 1 if stage.complaints or any(leaks.values()) else 0

    async def _play(self, device: Device, namespace: str, netcat: Netcat) -> tuple[Stage, Leaks]:
        with ExitStack() as held:
            kernel = held.enter_context(KernelStates(namespace))
            kernel.learn_addresses()
            recorder = Recorder(
                self._record,
                codec=make_codec("fast"),
                start=time.monotonic_ns(),
                peer_state=kernel,
                defer=asyncio.get_running_loop().call_soon,
            )
            watchers: list[Tracer] = [recorder]
            if self._pcap is not None:
                watchers.append(held.enter_context(open_capture(self._pcap)))
            wire = self._lossy(device, recorder)
            own = f"{self._ends.ours}/{self._ends.prefix}"
            config = StackConfig(msl=MSL, rfc1337=True)  # on a busy machine the kernel may answer a repeated ACK of ours with a RST
            async with userstack.link(wire, own, codec=self._codec, config=config, trace=tee(*watchers)) as stack, answering(stack):
                stage = Stage(self._ends, stack, netcat, namespace, kernel, recorder, self._screen, self._steps, self._drop)
                await self._play_acts(stage)
                recorder.flush()
                return stage, stack_leaks(stack)

    async def _play_acts(self, stage: Stage) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                self._screen.prologue(device=f"{stage.stack.device.name} ({self._kind})", namespace=stage.namespace)
                if self._drop is not None:
                    stage.say(STORIES[self._drop])
                await acts.play_kernel_connects(stage)
                await acts.play_we_connect(stage)
        except TimeoutError as error:
            raise ConnectionTimedOut(f"the demo did not come to its end within {PATIENCE:.0f} s") from error

    def _record(self, step: Step) -> None:
        self._steps.append(step)
        self._screen(step)

    def _make_device(self, namespace: str) -> Device:
        kernel_addresses, name = [f"{self._ends.kernels}/{self._ends.prefix}"], unique_device_name("usd")
        match self._kind:
            case DemoDevice.TUN:
                return TunDevice(name, namespace=namespace, kernel_addresses=kernel_addresses)
            case DemoDevice.TAP:
                return TapDevice(name, namespace=namespace, kernel_addresses=kernel_addresses)
            case DemoDevice.VETH:
                return VethPair(name, unique_device_name("usk"), namespace=namespace, peer_addresses=kernel_addresses)

    def _lossy(self, device: Device, recorder: Recorder) -> Device:
        if self._drop is None:
            return device
        doomed = Doomed(self._drop, port=KERNEL_PORT, level=device.level, codec=make_codec("fast"))
        return DropOnce(device, doomed, lambda data, direction: recorder.lost(doomed.packet(data)))

    def _summarize(self, stage: Stage, leaks: Leaks) -> None:
        ours, peer = acts.states_seen(self._steps)
        peer = [state for state in dict.fromkeys([*peer, *stage.final_peer_states]) if state != UNKNOWN]
        self._screen.summary(complaints=stage.complaints, states=ours, peer_states=peer, leaks=leaks)
