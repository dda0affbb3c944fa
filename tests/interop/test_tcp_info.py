"""TCP_INFO of a real exchange: both ends of one connection, and the kernel in our place. ``-rP`` prints the fields side by side."""

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.interop.families import IPV4
from tests.interop.waiting import becomes
from tests.interop.world import SHORT, World, connected, facing_kernel, kernel_alone
from tests.support.netns import KernelNamespace, kernel_namespace
from userstack import Connection, StackConfig
from userstack.cli.infoline import format_line
from userstack.host.inside import write_sysctl
from userstack.tcp import linux_info

pytestmark = pytest.mark.once

ASKED, ANSWERED = 1_000, 60_000
TRIES = 3
"""A sender that is late cuts what it sends otherwise; what is not true differs every time."""
CONFIG = replace(StackConfig.linux(), msl=SHORT.msl, dad_transmits=0)
ROLES = [
    pytest.param("accepted", marks=pytest.mark.matrix("TCP_INFO", "passive")),
    pytest.param("opened", marks=pytest.mark.matrix("TCP_INFO", "active")),
]
MIRRORED = {
    "tcpi_bytes_sent": "tcpi_bytes_received",
    "tcpi_data_segs_out": "tcpi_data_segs_in",
    "tcpi_snd_wscale": "tcpi_rcv_wscale",
    "tcpi_snd_wnd": "tcpi_rcv_wnd",
}
"""What one end tells of what it sends, and the other of what it gets."""
SAME = """
    state ca_state retransmits probes backoff options snd_mss unacked sacked lost retrans pmtu advmss reordering
    total_retrans notsent_bytes bytes_retrans dsack_dups reord_seen rcv_ooopack delivered_ce fackets last_ack_sent
    rehash total_rto total_rto_recoveries total_rto_time fastopen_client_fail snd_ssthresh received_ce accecn_fail_mode
"""
"""Of one quiet connection both ends tell the same, whoever they are."""
IN_OUR_PLACE = """
    snd_wscale bytes_sent bytes_acked bytes_received data_segs_out data_segs_in delivered
    rcv_mss
"""
"""A kernel in our place tells this too."""
OF_A_LATER_SS = re.compile(r" rcv_wnd:\d+")
OF_THE_MOMENT = re.compile(r"(lastsnd|lastrcv|lastack):\d+ ?")


def told_by(connection: Connection | socket.socket) -> dict[str, int]:
    return linux_info.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, linux_info.SIZE))


async def exchange(ours: Connection, theirs: socket.socket, *, we_ask: bool) -> None:
    """A question and an answer; then everything is acknowledged, also what waits for the delayed ACK's timer."""
    loop = asyncio.get_running_loop()
    if we_ask:
        await ours.send(bytes(ASKED))
        assert await asyncio.to_thread(kernel_reads, theirs, ASKED)
        await loop.sock_sendall(theirs, bytes(ANSWERED))
        await read(ours, ANSWERED)
    else:
        await loop.sock_sendall(theirs, bytes(ASKED))
        await read(ours, ASKED)
        await ours.send(bytes(ANSWERED))
        assert await asyncio.to_thread(kernel_reads, theirs, ANSWERED)
    await all_is_acknowledged(ours, theirs)


async def all_is_acknowledged(*ends: Connection | socket.socket) -> None:
    await becomes(lambda: not any(told_by(end)["tcpi_unacked"] for end in ends), "all is acknowledged")


async def read(ours: Connection, size: int) -> None:
    while size > 0:
        size -= len(await ours.recv())


def kernel_reads(sock: socket.socket, size: int) -> bool:
    sock.settimeout(10)
    while size > 0:
        size -= len(sock.recv(1 << 16))
    return size == 0


def print_beside(title: str, ours: dict[str, int], theirs: dict[str, int]) -> None:
    print(f"{title:34} {'ours':>20} {'the kernel':>20}")
    for name, value in ours.items():
        print(f"{name:34} {value:>20} {theirs[name]:>20}")


def check_measures(told: dict[str, int]) -> None:
    """What depends on the clock and the path is within what a link of this machine allows."""
    assert 200_000 <= told["tcpi_rto"] <= 400_000
    assert 0 < told["tcpi_min_rtt"] <= told["tcpi_rtt"] * 8 < 1_600_000
    assert 10 <= told["tcpi_snd_cwnd"] <= 100
    assert told["tcpi_rwnd_limited"] + told["tcpi_sndbuf_limited"] <= told["tcpi_busy_time"] < 5_000_000
    assert told["tcpi_delivery_rate"] > 0
    assert told["tcpi_ato"] >= 40_000
    assert told["tcpi_rcv_space"] > 0
    assert told["tcpi_last_ack_recv"] < 5_000


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.asyncio
async def test_both_ends_tell_the_same(role: str, tmp_path: Path) -> None:
    for attempt in range(TRIES):
        async with facing_kernel("veth", tmp_path, config=CONFIG) as world:
            usual(world.kernel)
            async with connected(world, role) as (ours, theirs):
                await exchange(ours, theirs, we_ask=role == "opened")
                await quiet(ours, theirs)
                told, expected = told_by(ours), told_by(theirs)
                if attempt < TRIES - 1 and told["tcpi_total_retrans"] + expected["tcpi_total_retrans"]:
                    continue  # an end that was late has been probed, which only the one that did it tells
                print_beside(role, told, expected)
                check_both(role, told, expected)
                await check_line_of_ss(world, theirs)
                break


def check_both(role: str, told: dict[str, int], expected: dict[str, int]) -> None:
    assert {name: told[f"tcpi_{name}"] for name in SAME.split()} == {name: expected[f"tcpi_{name}"] for name in SAME.split()}
    for name, mirror in MIRRORED.items():
        assert (name, told[name], told[mirror]) == (name, expected[mirror], expected[name])
    # The client's SYN counts as acknowledged at its end.
    assert (told["tcpi_bytes_acked"], expected["tcpi_bytes_acked"]) == (
        told["tcpi_bytes_sent"] + (role == "opened"),
        expected["tcpi_bytes_sent"] + (role == "accepted"),
    )
    # A kernel's listener sends the SYN,ACK without counting it, and so do we for its sake.
    assert told["tcpi_segs_out"] + (role == "accepted") == expected["tcpi_segs_in"]
    check_measures(told)
    check_measures(expected)


async def quiet(ours: Connection, theirs: socket.socket) -> None:
    """Wait for the last ACKs: neither end has got anything for a while."""
    before = None
    while (now := (told_by(ours)["tcpi_segs_in"], told_by(theirs)["tcpi_segs_in"])) != before:
        before = now
        await asyncio.sleep(0.2)


async def check_line_of_ss(world: World, theirs: socket.socket) -> None:
    """What ss prints of the kernel's socket is what we print of its TCP_INFO."""
    done = await world.run("ss", "-tinoH", "state", "established", "src", f"{theirs.getsockname()[0]}:{theirs.getsockname()[1]}")
    printed = done.out.decode().splitlines()[1].strip()
    congestion = theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
    ours = format_line(told_by(theirs), congestion)
    assert OF_THE_MOMENT.sub("", OF_A_LATER_SS.sub("", printed)) == OF_THE_MOMENT.sub("", OF_A_LATER_SS.sub("", ours))


@contextmanager
def two_kernels() -> Iterator[tuple[KernelNamespace, KernelNamespace]]:
    """Two namespaces and a veth pair between them: the second has the address that is ours otherwise."""
    with kernel_alone() as first, kernel_namespace() as second, ExitStack() as stack:
        a, b = "usti0", "usti1"
        run(first, "ip", "link", "add", a, "type", "veth", "peer", "name", b, "netns", second.name)
        stack.callback(run, first, "ip", "link", "del", a)
        for namespace, device, address in ((first, a, IPV4.kernel), (second, b, IPV4.ours)):
            run(namespace, "ip", "address", "add", f"{address}/{IPV4.prefix}", "dev", device)
            run(namespace, "ip", "link", "set", device, "up")
            usual(namespace)
        yield first, second


def usual(namespace: KernelNamespace) -> None:
    """What a kernel has by default on a machine of ordinary size."""
    write_sysctl("net.ipv4.tcp_rmem", "4096 131072 6291456", namespace=namespace.name)


def run(namespace: KernelNamespace, *arguments: str) -> None:
    done = namespace.run(arguments)
    assert done.returncode == 0, done.stderr


def of_two_kernels(*, second_asks: bool) -> dict[str, int]:
    """The same exchange without us: what the second kernel tells of its end."""
    with two_kernels() as (first, second):
        listening, opening = (first, second) if second_asks else (second, first)
        with listening.socket() as listener, opening.socket() as client:
            listener.bind((IPV4.kernel if second_asks else IPV4.ours, 0))
            listener.listen()
            client.settimeout(10)
            client.connect(listener.getsockname())
            server, _ = listener.accept()
            with server:
                client.sendall(bytes(ASKED))
                assert kernel_reads(server, ASKED)
                server.sendall(bytes(ANSWERED))
                assert kernel_reads(client, ANSWERED)
                asyncio.run(all_is_acknowledged(server, client))
                return told_by(client if second_asks else server)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.asyncio
async def test_the_kernel_in_our_place_tells_the_same(role: str, tmp_path: Path) -> None:
    compared = [f"tcpi_{name}" for name in (SAME + IN_OUR_PLACE).split()]
    for attempt in range(TRIES):
        expected = await asyncio.to_thread(of_two_kernels, second_asks=role == "opened")
        told = await of_us(role, tmp_path)
        if attempt == TRIES - 1 or all(told[name] == expected[name] for name in compared):
            break
    print_beside(f"{role}, two kernels", told, expected)
    assert {name: told[name] for name in compared} == {name: expected[name] for name in compared}
    check_measures(told)
    check_measures(expected)


async def of_us(role: str, tmp_path: Path) -> dict[str, int]:
    """The exchange with us in the place of the second kernel: what we tell of our end."""
    async with facing_kernel("veth", tmp_path, config=CONFIG) as world:
        usual(world.kernel)
        async with connected(world, role) as (ours, theirs):
            await exchange(ours, theirs, we_ask=role == "opened")
            return told_by(ours)
