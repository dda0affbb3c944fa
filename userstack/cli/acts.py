"""The two acts of the demo, played with a real kernel and a real netcat.

Act 1: the kernel connects, data goes both ways, the kernel closes first. Act 2: we connect, data goes both ways, we half-close, the
kernel answers into the half-closed connection and closes, TIME-WAIT runs out.
"""

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

from userstack.address import Endpoint
from userstack.api.connection import Connection
from userstack.api.stack import Stack
from userstack.cli.doomed import PHASES, Drop
from userstack.cli.ncprocess import NcProcess
from userstack.cli.netcat import Netcat
from userstack.cli.peer import KernelStates
from userstack.cli.screen import Screen
from userstack.cli.waiting import until
from userstack.config import MILLISECOND, SECOND
from userstack.host.diag import tcp_sockets
from userstack.observe.recorder import Recorder
from userstack.observe.steps import Arrow, Move, Phase, Step
from userstack.observe.verdict import Expectation, judge
from userstack.tcp.state import State
from userstack.wire.tcp import SYN

OUR_PORT, KERNEL_PORT = 7777, 9000
MSL = 1 * SECOND
"""Short, so that the demo is; TIME-WAIT takes twice that."""
COUNT = 0.5
"""Seconds between two lines of the countdown."""

UNLIMITED = 1 << 30
"""A slow-start threshold that nothing has lowered yet (RFC 5681 3.1: arbitrarily high)."""

FROM_KERNEL = b"hello, this is nc on the Linux kernel\n"
FROM_US = b"hello, this is userstack\n"
LATE = b"you have closed, and I can still talk\n"


class Ends(NamedTuple):
    """The addresses at both ends, on one network."""

    ours: str
    kernels: str
    prefix: int


IPV4_ENDS = Ends("10.9.0.2", "10.9.0.1", 24)
IPV6_ENDS = Ends("fd3d::2", "fd3d::1", 64)


@dataclass
class Stage:
    """What both acts need, and what they leave for the verdict."""

    ends: Ends
    stack: Stack
    netcat: Netcat
    namespace: str
    kernel: KernelStates
    recorder: Recorder
    screen: Screen
    steps: list[Step]
    drop: Drop | None
    complaints: list[str] = field(default_factory=list)
    final_peer_states: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """A sentence of the narrator, after everything that has happened."""
        self.recorder.flush()
        self.screen.say(text)

    def act(self, number: int, title: str) -> None:
        """Begin an act."""
        self.recorder.flush()
        self.screen.act(number, title)

    def expect(self, what: str, got: bytes, wanted: bytes) -> None:
        """Complain where bytes are not those that were sent."""
        if got != wanted:
            self.complaints.append(f"{what}: {got!r} arrived where {wanted!r} was sent")

    def judge(self, connection: tuple[Endpoint, Endpoint], expected: Expectation, act: int) -> None:
        """Compare what was recorded of a connection with what it had to be."""
        self.recorder.flush()
        peer_at_end = self.kernel(*connection)
        self.final_peer_states.append(peer_at_end)
        found = judge(self.steps, *connection, expected, peer_at_end=peer_at_end)
        self.complaints += [f"act {act}: {complaint}" for complaint in found]


async def play_kernel_connects(stage: Stage) -> None:
    """Act 1."""
    stage.act(1, "the kernel connects to us, and closes first")
    async with await stage.stack.listen(OUR_PORT) as listener:
        with NcProcess(stage.namespace, stage.netcat.connect(stage.ends.ours, OUR_PORT)) as nc:
            stage.say(f"in a network namespace of its own, on the real kernel:  {nc.command}")
            async with await listener.accept() as connection:
                ends = _ends(connection)
                nc.say(FROM_KERNEL)
                stage.expect("from the kernel", await _receive(connection, len(FROM_KERNEL)), FROM_KERNEL)
                await connection.send(FROM_US)
                stage.expect("to the kernel", await nc.hear(len(FROM_US)), FROM_US)
                await _settled(stage, ends)
                _tell_options(stage, ends)
                stage.say("nc reaches the end of its input: it half-closes, the kernel sends a FIN")
                nc.end_input()
                stage.expect("after the kernel's FIN", await connection.recv(), b"")
            await connection.wait_closed()
            await nc.exit_code()
    stage.judge(
        ends,
        Expectation(
            we_open=False,
            we_close_first=False,
            bytes_sent=len(FROM_US),
            bytes_received=len(FROM_KERNEL),
            peer_ends=frozenset({State.TIME_WAIT}),
            lost=_lost(stage.drop, Drop.SYN_ACK),
        ),
        act=1,
    )
    stage.say(f"our TCB is freed; the kernel, which closed first, says it is in {stage.final_peer_states[-1]}")


async def play_we_connect(stage: Stage) -> None:
    """Act 2."""
    stage.act(2, "we connect to the kernel, and close first")
    with NcProcess(stage.namespace, stage.netcat.listen(KERNEL_PORT, ipv6=stage.ends is IPV6_ENDS)) as nc:
        stage.say(f"in the same namespace:  {nc.command}")
        await _listening(stage.namespace)
        async with await stage.stack.connect(stage.ends.kernels, KERNEL_PORT) as connection:
            ends = _ends(connection)
            await connection.send(FROM_US)
            stage.expect("to the kernel", await nc.hear(len(FROM_US)), FROM_US)
            nc.say(FROM_KERNEL)
            stage.expect("from the kernel", await _receive(connection, len(FROM_KERNEL)), FROM_KERNEL)
            await _settled(stage, ends)
            _tell_options(stage, ends)
            _tell_status(stage, connection)
            await _half_close(stage, connection, nc)
        await _time_wait(stage, connection)
        await nc.exit_code()
    await until(lambda: not stage.stack.connections())
    stage.judge(
        ends,
        Expectation(
            we_open=True,
            we_close_first=True,
            bytes_sent=len(FROM_US),
            bytes_received=len(FROM_KERNEL + LATE),
            peer_ends=frozenset({State.CLOSED}),
            lost=_lost(stage.drop, Drop.SYN, Drop.FIN, Drop.LAST_ACK),
        ),
        act=2,
    )
    stage.say(f"our TCB is freed; the kernel's socket is {stage.final_peer_states[-1]}: it has none any more")


async def _half_close(stage: Stage, connection: Connection, nc: NcProcess) -> None:
    """Our FIN goes out while netcat stands still, so that the kernel alone answers and the half-closed connection can be seen."""
    await nc.pause()
    stage.say("nc is stopped for a moment, so that its kernel answers alone; we shut down our direction: a FIN")
    await connection.shutdown()
    await connection.wait_state(State.FIN_WAIT_2)
    stage.say("half-closed: we have said all, the kernel has not; nc goes on, says one thing more, and closes")
    nc.say(LATE)
    nc.end_input()
    nc.resume()
    stage.expect("into the half-closed connection", await _receive(connection, len(LATE)), LATE)
    stage.expect("after the kernel's FIN", await connection.recv(), b"")


def _tell_options(stage: Stage, ends: tuple[Endpoint, Endpoint]) -> None:
    """What each SYN offered; only what both name is used."""
    stage.recorder.flush()
    offers = {True: "none", False: "none"}
    for step in stage.steps:
        if isinstance(step, Arrow) and (step.local, step.remote) == ends and step.flags & SYN:
            offers[step.sent] = ", ".join(option.partition(" val ")[0] for option in step.options if option != "nop")
    stage.say(f"options: we name {offers[True]}; the kernel names {offers[False]}; in use is what both name")


def _tell_status(stage: Stage, connection: Connection) -> None:
    """RFC 9293 3.10.6, STATUS, in the words of ss -ti."""
    info = connection.info()
    rtt = "none yet" if info.srtt is None else f"{info.srtt / MILLISECOND:.3f} ms"
    threshold = "none yet" if info.ssthresh >= UNLIMITED else info.ssthresh
    stage.say(
        f"STATUS: cwnd {info.cwnd}, ssthresh {threshold}, rto {info.rto // MILLISECOND} ms, srtt {rtt}, "
        f"mss {info.snd_mss}, acked {info.bytes_acked}, received {info.bytes_received}"
    )


async def _time_wait(stage: Stage, connection: Connection) -> None:
    """Count 2 MSL down, as long as the connection takes, repeated FINs included."""
    stage.say(f"TIME-WAIT lasts 2 MSL (RFC 9293 3.6.1); MSL is {MSL // SECOND} s here, 30 s by default")
    local, remote = connection.info().local, connection.info().remote
    while (left := _time_left(stage.stack, local, remote)) is not None:
        stage.recorder.flush()
        stage.screen.countdown(left)
        await asyncio.sleep(min(COUNT, left) + 0.01)


def _time_left(stack: Stack, local: Endpoint, remote: Endpoint | None) -> float | None:
    """Seconds of TIME-WAIT; None where it is over."""
    for row in stack.connections():
        if (row.local, row.remote, row.state) == (local, remote, State.TIME_WAIT) and row.expires is not None:
            return max(row.expires - stack.now(), 0) / SECOND
    return None


async def _listening(namespace: str) -> None:
    """Wait until netcat listens, which is asked of the kernel: a connection that only tries would end netcat."""

    def listens() -> bool:
        return any(sock.state is State.LISTEN and sock.local.port == KERNEL_PORT for sock in tcp_sockets(namespace=namespace))

    await until(listens)


async def _settled(stage: Stage, ends: tuple[Endpoint, Endpoint]) -> None:
    """Wait until both ends have acknowledged everything, so that the close does not mingle with the data."""

    def idle() -> bool:
        rows = [row for row in stage.stack.connections() if (row.local, row.remote) == ends]
        peers = [sock for sock in tcp_sockets(namespace=stage.namespace) if (sock.remote, sock.local) == ends]
        return not any(row.send_q for row in rows) and not any(sock.send_queue for sock in peers)

    await until(idle)


async def _receive(connection: Connection, size: int) -> bytes:
    got = b""
    while len(got) < size and (data := await connection.recv(size - len(got))):
        got += data
    return got


def _ends(connection: Connection) -> tuple[Endpoint, Endpoint]:
    info = connection.info()
    assert info.remote is not None
    return info.local, info.remote


def _lost(drop: Drop | None, *here: Drop) -> Phase | None:
    return PHASES[drop] if drop in here else None


def states_seen(steps: list[Step]) -> tuple[list[str], list[str]]:
    """The states of both ends in the order in which they were first seen: ours from the transitions too."""
    ours: dict[str, None] = {}
    peer: dict[str, None] = {}
    for step in steps:
        if isinstance(step, Move):
            ours.update(dict.fromkeys((step.old, step.new)))
        elif isinstance(step, Arrow):
            ours[step.ours] = None
            peer[step.peer] = None
    return list(ours), list(peer)
