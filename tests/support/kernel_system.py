"""The Linux kernel as the system under test of packetdrill scripts: a TUN device in a namespace, real sockets, the real clock.

What a script says of TCP, and not of userstack's own choices, must hold here too.
"""

import fcntl
import os
import select
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import cast

from tests.support.netns import DEVICE_PREFIX, KernelNamespace, kernel_namespace
from userstack.address import Endpoint
from userstack.config import MICROSECOND, MILLISECOND, StackConfig
from userstack.counters import Counters
from userstack.drill.hooks import Hooks
from userstack.drill.outcome import Outcome
from userstack.drill.run import run_script
from userstack.drill.script import Script
from userstack.drill.settings import Variant
from userstack.drill.shell import Setting
from userstack.drill.system import Address, DrillSocket
from userstack.host.inside import write_sysctl
from userstack.host.links import unique_device_name
from userstack.host.tuntap import open_tuntap
from userstack.sim.socket_options import LINGER
from userstack.tcp import linux_info
from userstack.tcp.connection import Connection
from userstack.tcp.info import ConnectionInfo
from userstack.tcp.state import State

TOLERANCE = 20 * MILLISECOND
"""Of a real clock on a machine that does other work too; below the 40 ms of a delayed acknowledgement."""
TOLERANCE_PERCENT = 20
"""Of a long wait: the kernel's timer wheel lets one of 64 ticks and more (a quarter of a second at 250 Hz) end an eighth late,
and the machine's other work comes on top."""
GLANCE = 1 * MILLISECOND
"""How often calls that sleep are tried again."""
LARGEST_PACKET = 65535
SIOCINQ, SIOCOUTQ, SIOCATMARK = 0x541B, 0x5411, 0x8905
STATES: dict[int, State] = {number: state for state, number in linux_info.STATES.items()}
STATES[12] = State.SYN_RECEIVED
PHASES = {number: phase for phase, number in linux_info.PHASES.items()}


class KernelSocket:
    """A socket of the kernel, not blocking; ``stack`` closes what the script leaves open."""

    def __init__(self, sock: socket.socket, stack: ExitStack) -> None:
        sock.setblocking(False)
        self._sock = stack.enter_context(sock)
        self._stack = stack
        self._closing: threading.Thread | None = None

    def bind(self, address: tuple[str, int]) -> None:
        self._sock.bind(address)

    def listen(self, backlog: int = 128) -> None:
        self._sock.listen(backlog)

    def accept(self) -> "tuple[DrillSocket, Address]":
        sock, address = self._sock.accept()
        return KernelSocket(sock, self._stack), address

    def connect(self, address: tuple[str, int]) -> None:
        self._sock.connect(address)

    def send(self, data: bytes, flags: int = 0) -> int:
        return self._sock.send(data, flags | socket.MSG_NOSIGNAL)

    def sendto(self, data: bytes, flags: int, address: tuple[str, int] | None) -> int:
        if address is None:
            return self._sock.send(data, flags | socket.MSG_NOSIGNAL)
        return self._sock.sendto(data, flags | socket.MSG_NOSIGNAL, address)

    def recv(self, size: int, flags: int = 0) -> bytes:
        return self._sock.recv(size, flags)

    def sockatmark(self) -> bool:
        return fcntl.ioctl(self._sock, SIOCATMARK, bytes(4)) != bytes(4)

    def shutdown(self, how: int) -> None:
        self._sock.shutdown(how)

    def close(self) -> None:
        """With SO_LINGER the kernel's call sleeps: beside the script, which asks ``info`` when it is over."""
        on, seconds = LINGER.unpack(self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER.size))
        if not (on and seconds):
            self._sock.close()
            return
        self._closing = threading.Thread(target=self._sock.close)
        self._closing.start()
        self._stack.callback(self._closing.join)

    def getsockname(self) -> Address:
        return cast("Address", self._sock.getsockname())

    def getpeername(self) -> Address:
        return cast("Address", self._sock.getpeername())

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        self._sock.setsockopt(level, option, value)

    def getsockopt(self, level: int, option: int, length: int) -> int | bytes:
        return self._sock.getsockopt(level, option, length)

    def poll(self) -> int:
        poller = select.poll()
        poller.register(self._sock, 0xFFFF)
        return next((events for _, events in poller.poll(0)), 0)

    def queued(self) -> tuple[int, int]:
        unread, unacked = (fcntl.ioctl(self._sock, what, bytes(4)) for what in (SIOCINQ, SIOCOUTQ))
        return int.from_bytes(unread, "little"), int.from_bytes(unacked, "little")

    def info(self) -> ConnectionInfo:
        """TCP_INFO in the units of ours: nanoseconds and octets; while close() sleeps, that something is still to be done."""
        if self._closing is not None:
            return replace(nothing_told(), state=State.FIN_WAIT_1 if self._closing.is_alive() else State.CLOSED)
        return read_info(self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, linux_info.SIZE))


def nothing_told() -> ConnectionInfo:
    """Of a connection that was never opened."""
    return Connection(Endpoint(bytes(4), 0), config=StackConfig(), isn=lambda *_: 0, counters=Counters()).info()


def read_info(raw: bytes) -> ConnectionInfo:
    """``struct tcp_info`` of a kernel as ours: what ``linux_info.values`` makes of it is what the kernel has told."""
    told = {name.removeprefix("tcpi_"): value for name, value in linux_info.unpack(raw).items()}
    bits, mss = told["options"], told["snd_mss"] or 1
    scaled = bits & linux_info.OPT_WSCALE
    return replace(
        nothing_told(),
        state=STATES[told["state"]],
        remote=Endpoint(bytes(4), 1),
        phase=PHASES[told["ca_state"]],
        timestamps=bool(bits & linux_info.OPT_TIMESTAMPS),
        sack_permitted=bool(bits & linux_info.OPT_SACK),
        ecn=bool(bits & linux_info.OPT_ECN),
        ecn_seen=bool(bits & linux_info.OPT_ECN_SEEN),
        syn_data=bool(bits & linux_info.OPT_SYN_DATA),
        snd_wscale=told["snd_wscale"] if scaled else None,
        rcv_wscale=told["rcv_wscale"] if scaled else None,
        rate_app_limited=bool(told["delivery_rate_app_limited"]),
        retransmits=told["retransmits"],
        acks_expected=told["probes"],
        backoffs=told["backoff"],
        probes=0,
        rto=told["rto"] * MICROSECOND,
        ato=told["ato"] * MICROSECOND,
        snd_mss=mss,
        rcv_mss_seen=told["rcv_mss"],
        rcv_mss=told["advmss"] + 12 * bool(bits & linux_info.OPT_TIMESTAMPS),
        path_mtu=told["pmtu"],
        segs_unacked=told["unacked"],
        segs_sacked=told["sacked"],
        segs_lost=told["lost"],
        segs_retrans=told["retrans"],
        unacked=told["unacked"] * mss,
        last_data_sent=told["last_data_sent"] * MILLISECOND,
        last_data_received=told["last_data_recv"] * MILLISECOND,
        last_ack_received=told["last_ack_recv"] * MILLISECOND,
        rcv_ssthresh=told["rcv_ssthresh"],
        srtt=told["rtt"] * MICROSECOND,
        rttvar=told["rttvar"] * MICROSECOND,
        ssthresh=1 << 30 if told["snd_ssthresh"] == 0x7FFFFFFF else told["snd_ssthresh"] * mss,
        cwnd=told["snd_cwnd"] * mss,
        reordering=told["reordering"],
        reord_seen=told["reord_seen"],
        rcv_rtt=told["rcv_rtt"] * MICROSECOND,
        rcv_space=told["rcv_space"],
        min_rtt=None if told["min_rtt"] == 0xFFFFFFFF else told["min_rtt"] * MICROSECOND,
        total_retrans=told["total_retrans"],
        thru_acked=told["bytes_acked"],
        thru_received=told["bytes_received"],
        bytes_acked=told["bytes_acked"],
        bytes_received=told["bytes_received"],
        octets_out=told["bytes_sent"],
        synacks_sent=0,
        bytes_retrans=told["bytes_retrans"],
        unsent=told["notsent_bytes"],
        segs_out=told["segs_out"],
        segs_in=told["segs_in"],
        data_segs_in=told["data_segs_in"],
        data_segs_out=told["data_segs_out"],
        delivery_rate=told["delivery_rate"],
        busy_time=told["busy_time"] * MICROSECOND,
        rwnd_limited=told["rwnd_limited"] * MICROSECOND,
        sndbuf_limited=told["sndbuf_limited"] * MICROSECOND,
        delivered=told["delivered"],
        delivered_ce=told["delivered_ce"],
        dsack_dups=told["dsack_dups"],
        ofo_segs=told["rcv_ooopack"],
        snd_wnd=told["snd_wnd"],
        rcv_wnd_offered=told["rcv_wnd"],
        timeouts=told["total_rto"],
        timeout_recoveries=told["total_rto_recoveries"],
        timeout_time=told["total_rto_time"] * MILLISECOND,
    )


@contextmanager
def ahead_of_others() -> Iterator[None]:
    """What counts milliseconds on a real clock does not wait for the tests beside it, where this process may say so."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)


class KernelSystem:
    """The kernel behind a TUN device that has the script's local addresses; everybody else is on its other side, the test's."""

    def __init__(self, namespace: KernelNamespace, stack: ExitStack, addresses: list[str], mtu: int) -> None:
        self._namespace = namespace
        self._stack = stack
        self._sent: list[tuple[int, bytes]] = []
        self._tun, name = open_tuntap(unique_device_name(DEVICE_PREFIX), level=3, namespace=namespace.name)
        stack.callback(os.close, self._tun)
        for address in addresses:
            self._ip("address", "add", address, "dev", name, *(("nodad",) if ":" in address else ()))
        self._ip("link", "set", name, "mtu", str(mtu), "up")
        for address in addresses:
            self._ip("-6" if ":" in address else "-4", "route", "add", "default", "dev", name)
        stack.enter_context(ahead_of_others())

    @property
    def now(self) -> int:
        return time.monotonic_ns()

    def deliver(self, packet: bytes) -> None:
        os.write(self._tun, packet)

    def take(self) -> list[tuple[int, bytes]]:
        self._drain()
        sent, self._sent = self._sent, []
        return sent

    def run(self, until: int) -> None:
        """Let time pass; a packet ends the wait, so that it is seen when it is sent."""
        poller = select.poll()
        poller.register(self._tun, select.POLLIN)
        if poller.poll(max(until - self.now, 0) / MILLISECOND):
            self._drain()

    def next_deadline(self) -> int:
        return self.now + GLANCE

    def socket(self, family: int) -> DrillSocket:
        return KernelSocket(self._namespace.socket(family), self._stack)

    def _drain(self) -> None:
        while True:
            try:
                packet = os.read(self._tun, LARGEST_PACKET)
            except BlockingIOError:
                return
            self._sent.append((self.now, packet))

    def _ip(self, *arguments: str) -> None:
        done = self._namespace.run(["ip", *arguments])
        assert done.returncode == 0, (arguments, done.stderr)


def run_on_kernel(
    script: Script, settings: Iterable[Setting] = (), hooks: Hooks | None = None, variant: Variant | None = None
) -> Outcome:
    """Run a script on the kernel, with its sysctls set and a tolerance of at least ``TOLERANCE`` and ``TOLERANCE_PERCENT``.

    Raises:
        SetupError: this kernel has no such sysctl.
    """
    with kernel_namespace() as namespace, ExitStack() as stack:
        for setting in settings:
            write_sysctl(setting.name, setting.value, namespace=namespace.name)
        least = {"tolerance_usecs": TOLERANCE / MICROSECOND, "tolerance_percent": TOLERANCE_PERCENT}
        own = {name: float(script.options.get(name, 0)) for name in least}
        options = script.options | {name: str(max(own[name], value)) for name, value in least.items()}
        return run_script(
            replace(script, options=options),
            make_system=lambda addresses, mtu, _: KernelSystem(namespace, stack, addresses, mtu),
            hooks=hooks,
            variant=variant,
        )
