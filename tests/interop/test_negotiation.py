"""What two ends agree on in their SYNs, with the kernel set by its sysctls to take part or not, and text each way to show it works.

Whoever opens: ``active`` where userstack does, ``passive`` where the kernel does.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

import userstack
from tests.interop.families import IPV4
from tests.interop.world import LIMIT, PORT, SHORT, addresses, kernel_alone, kernel_receives_all, receive_all
from tests.support.matrix import ROLES
from tests.support.netns import KernelNamespace
from userstack import Connection, Impairment, Stack, StackConfig
from userstack.config import MILLISECOND
from userstack.counters import Counters
from userstack.host.inside import write_sysctl
from userstack.packetio.device import Device
from userstack.packetio.impaired import ImpairedDevice
from userstack.packetio.wrapped import WrappedDevice
from userstack.tcp.info import ConnectionInfo
from userstack.tcp.windowscale import MAX_SHIFT
from userstack.wire.checksum import internet_checksum

pytestmark = pytest.mark.once

TCP_WINDOW_CLAMP = 10
TS, SACK, WSCALE, ECN = 1, 2, 4, 8
"""TCPI_OPT_* of linux/tcp.h."""
CE = 3
SIZE = 300_000
"""More than any window that is not scaled."""
QUICK = replace(SHORT, rto_min=50 * MILLISECOND)
"""A time-out more or less takes no time."""


@dataclass
class Told:
    """What both ends say of a connection, and the kernel's counters, when ``SIZE`` octets have gone each way."""

    ours: ConnectionInfo
    counters: Counters
    options: int
    """The kernel's tcpi_options."""
    scales: tuple[int, int]
    """The kernel's tcpi_snd_wscale and tcpi_rcv_wscale."""
    nstat: dict[str, int]


def nstat(kernel: KernelNamespace) -> dict[str, int]:
    """The kernel's counters, as /proc/net/netstat has them: two lines each, names and values."""
    lines = kernel.run(["cat", "/proc/net/netstat"]).stdout.decode().splitlines()
    found = {}
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        group, *words = names.split()
        found.update({group.rstrip(":") + word: int(value) for word, value in zip(words, values.split()[1:], strict=True)})
    return found


async def connect(kernel: KernelNamespace, stack: Stack, role: str, clamp: int | None) -> tuple[Connection, socket.socket]:
    """A connection that ``role`` has opened; ``clamp`` bounds the window that the kernel chooses its scale for."""
    loop = asyncio.get_running_loop()
    sock = kernel.socket()
    sock.setblocking(False)
    if clamp is not None:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_WINDOW_CLAMP, clamp)
    if role == "passive":
        async with await stack.listen(PORT) as listener:
            await loop.sock_connect(sock, (IPV4.ours, PORT))
            return await listener.accept(), sock
    sock.bind((IPV4.kernel, 0))
    sock.listen(1)
    ours = await stack.connect(IPV4.kernel, sock.getsockname()[1])
    theirs, _ = await loop.sock_accept(sock)
    return ours, kernel.keep(theirs)


async def exchange(kernel: KernelNamespace, stack: Stack, role: str, clamp: int | None = None) -> Told:
    """``SIZE`` octets each way at once over a new connection, and what is to be told of it."""
    loop = asyncio.get_running_loop()
    ours, theirs = await connect(kernel, stack, role, clamp)
    out, back = b"u" * SIZE, b"k" * SIZE
    async with ours:

        async def we_send() -> None:
            await ours.send(out)
            await ours.shutdown()

        async def kernel_sends() -> None:
            await loop.sock_sendall(theirs, back)
            theirs.shutdown(socket.SHUT_WR)

        _, _, received, taken = await asyncio.gather(we_send(), kernel_sends(), receive_all(ours), kernel_receives_all(theirs))
        assert received == back
        assert taken == out
        raw = theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        told = Told(ours.info(), stack.counters, raw[5], (raw[6] & 15, raw[6] >> 4), nstat(kernel))
    theirs.close()
    return told


async def meet(
    role: str,
    config: StackConfig,
    sysctls: dict[str, str],
    *,
    clamp: int | None = None,
    wrap: Callable[[Device], Device] | None = None,
) -> Told:
    """One exchange in a namespace with these sysctls, over a TUN device, which ``wrap`` may spoil."""
    with kernel_alone() as kernel:
        for name, value in sysctls.items():
            write_sysctl(name, value, namespace=kernel.name)
        tun = kernel.tun(f"{IPV4.kernel}/{IPV4.prefix}")
        with tun if wrap is None else wrap(tun) as device:
            async with asyncio.timeout(LIMIT), userstack.link(device, *addresses(IPV4), config=config) as stack:
                return await exchange(kernel, stack, role, clamp)


def losing(device: Device) -> Device:
    """A link that loses a segment now and then."""
    return ImpairedDevice(device, Impairment(loss=0.02, seed=3))


class CongestedRouter(WrappedDevice):
    """Marks one in ``EVERY`` packets that say they can be marked, each way (RFC 3168 5)."""

    EVERY = 8

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self._passed = 0

    def read(self) -> tuple[bytes, bool] | None:
        arrived = super().read()
        return None if arrived is None else (self._forward(bytes(arrived[0])), arrived[1])

    def write(self, packet: bytes) -> bool:
        return super().write(self._forward(packet))

    def _forward(self, packet: bytes) -> bytes:
        self._passed += 1
        if packet[0] >> 4 != 4 or packet[1] & CE not in (1, 2) or self._passed % self.EVERY:
            return packet
        header = bytearray(packet[: (packet[0] & 15) * 4])
        header[1] |= CE
        header[10:12] = bytes(2)
        header[10:12] = internet_checksum(header).to_bytes(2)
        return bytes(header) + packet[len(header) :]


def both_roles(feature: str) -> pytest.MarkDecorator:
    """The test has a ``role``, and each of the two shows that in the matrix."""
    return pytest.mark.parametrize("role", [pytest.param(role, marks=pytest.mark.matrix(feature, role)) for role in ROLES])


@pytest.mark.parametrize(
    ("scale", "role"),
    [
        pytest.param(scale, role, marks=pytest.mark.matrix(f"window scale {scale}", role))
        for scale in range(MAX_SHIFT + 1)
        for role in ROLES
    ],
)
@pytest.mark.asyncio
async def test_window_scale(role: str, scale: int) -> None:
    largest = 1 << 15 + scale
    sysctls = {"net.ipv4.tcp_rmem": f"4096 {min(largest, 1 << 20)} {largest}"}
    told = await meet(role, replace(SHORT, window_scale=scale), sysctls, clamp=largest)
    assert told.options & WSCALE
    assert told.scales == (scale, scale)
    assert (told.ours.snd_wscale, told.ours.rcv_wscale) == (scale, scale)


@both_roles("no window scale: the kernel's is off")
@pytest.mark.asyncio
async def test_without_the_kernels_window_scale(role: str) -> None:
    told = await meet(role, SHORT, {"net.ipv4.tcp_window_scaling": "0"})
    assert not told.options & WSCALE
    assert (told.ours.snd_wscale, told.ours.rcv_wscale) == (None, None)


@both_roles("no window scale: ours is off")
@pytest.mark.asyncio
async def test_without_our_window_scale(role: str) -> None:
    told = await meet(role, replace(SHORT, window_scaling=False), {})
    assert not told.options & WSCALE
    assert (told.ours.snd_wscale, told.ours.rcv_wscale) == (None, None)


@both_roles("timestamps")
@pytest.mark.asyncio
async def test_timestamps(role: str) -> None:
    told = await meet(role, SHORT, {"net.ipv4.tcp_timestamps": "1"})
    assert told.options & TS
    assert told.ours.timestamps
    assert told.ours.snd_mss == IPV4.mss - 12


@both_roles("no timestamps: the kernel's are off")
@pytest.mark.asyncio
async def test_without_the_kernels_timestamps(role: str) -> None:
    told = await meet(role, SHORT, {"net.ipv4.tcp_timestamps": "0"})
    assert not told.options & TS
    assert not told.ours.timestamps
    assert told.ours.snd_mss == IPV4.mss


@both_roles("no timestamps: ours are off")
@pytest.mark.asyncio
async def test_without_our_timestamps(role: str) -> None:
    told = await meet(role, replace(SHORT, timestamps=False), {})
    assert not told.options & TS
    assert not told.ours.timestamps
    assert told.ours.snd_mss == IPV4.mss


@both_roles("SACK")
@pytest.mark.asyncio
async def test_losses_are_repaired_by_sack_at_both_ends(role: str) -> None:
    told = await meet(role, QUICK, {"net.ipv4.tcp_sack": "1"}, wrap=losing)
    assert told.options & SACK
    assert told.ours.sack_permitted
    assert told.counters["TcpExtTCPSackRecovery"] > 0
    assert told.nstat["TcpExtTCPSackRecovery"] > 0


@both_roles("no SACK: the kernel's is off")
@pytest.mark.asyncio
async def test_losses_are_repaired_without_the_kernels_sack(role: str) -> None:
    without_sack(await meet(role, QUICK, {"net.ipv4.tcp_sack": "0"}, wrap=losing))


@both_roles("no SACK: ours is off")
@pytest.mark.asyncio
async def test_losses_are_repaired_without_our_sack(role: str) -> None:
    without_sack(await meet(role, replace(QUICK, sack=False), {}, wrap=losing))


def without_sack(told: Told) -> None:
    assert not told.options & SACK
    assert not told.ours.sack_permitted
    assert told.counters["TcpRetransSegs"] > 0
    assert told.nstat["TcpExtTCPSackRecovery"] == 0


@both_roles("ECN")
@pytest.mark.asyncio
async def test_marks_slow_both_ends_down_and_nothing_is_lost(role: str) -> None:
    told = await meet(role, replace(SHORT, ecn=1), {"net.ipv4.tcp_ecn": "1"}, wrap=CongestedRouter)
    assert told.options & ECN
    assert told.ours.ecn
    assert told.nstat["TcpExtTCPDeliveredCE"] > 0, "the kernel has heard from us of its marks"
    assert told.nstat["IpExtInCEPkts"] > 0
    assert told.ours.ssthresh < SIZE, "we have heard from the kernel of ours, and halved the window"
    assert told.ours.total_retrans == 0


@both_roles("no ECN: the kernel's is off")
@pytest.mark.asyncio
async def test_without_the_kernels_ecn(role: str) -> None:
    without_ecn(await meet(role, replace(SHORT, ecn=1), {"net.ipv4.tcp_ecn": "0"}, wrap=CongestedRouter))


@both_roles("no ECN: ours is off")
@pytest.mark.asyncio
async def test_without_our_ecn(role: str) -> None:
    without_ecn(await meet(role, replace(SHORT, ecn=0), {"net.ipv4.tcp_ecn": "1"}, wrap=CongestedRouter))


def without_ecn(told: Told) -> None:
    assert not told.options & ECN
    assert not told.ours.ecn
    assert told.nstat["IpExtInCEPkts"] == 0, "a router marks only what says that it can be marked"
