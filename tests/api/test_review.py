"""What a review of runtime, api and host found: each test states what a program may expect and does not get."""

import asyncio
import gc
import resource
import socket
import struct
import subprocess
import weakref
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP

import userstack
from tests.support.netns import DEVICE_PREFIX, KernelNamespace, kernel_namespace, nothing_left_behind
from tests.support.stacks import FIRST, SECOND, connect, turns, two_connections, two_stacks, two_stacks_and_wire, virtual_loop
from tests.support.virtual_time import virtual_time
from userstack import SetupError, StackConfig
from userstack.config import SECOND as ONE_SECOND
from userstack.errors import InvalidArgument
from userstack.host.addresses import add_address, list_addresses
from userstack.host.links import create_veth, remove_link, set_link, unique_device_name
from userstack.host.takeover import addresses_taken
from userstack.packetio.memory import memory_pair
from userstack.trace import Event, PacketSent

OURS = "10.77.0.2/24"


def ip(namespace: KernelNamespace, *arguments: str) -> str:
    """What the ``ip`` command says in a namespace."""
    done: subprocess.CompletedProcess[bytes] = namespace.run(["ip", *arguments])
    assert done.returncode == 0, done.stderr
    return str(done.stdout.decode())


def veth_in(namespace: KernelNamespace) -> str:
    """A device that is up, with its other end, in a namespace."""
    name, other = unique_device_name(DEVICE_PREFIX), unique_device_name(DEVICE_PREFIX)
    create_veth(name, other, namespace=namespace.name)
    for device in (name, other):
        set_link(device, namespace=namespace.name, up=True)
    return name


@pytest.mark.parametrize(
    "setup",
    [
        ["addr add 10.77.0.2/32 dev DEV", "route add default via 172.31.1.1 dev DEV onlink"],
        ["addr add 10.77.0.2/24 dev DEV", "route add 10.8.0.0/16 via 10.77.0.1 dev DEV mtu 1400"],
        ["addr add 10.77.0.2/24 dev DEV", "route add 10.8.0.0/16 via 10.77.0.1 dev DEV tos 0x10"],
        ["addr add 10.77.0.2/24 dev DEV", "route add 10.8.0.0/16 nexthop via 10.77.0.1 dev DEV nexthop via 10.77.0.3 dev DEV"],
        ["addr add 10.77.0.2 peer 10.77.0.9/32 dev DEV"],
        ["addr add 10.77.0.2/24 dev DEV noprefixroute"],
        ["addr add 10.77.0.2/24 dev DEV metric 100"],
        ["addr add 10.77.0.2/24 dev DEV label DEV:1"],
    ],
    ids=["onlink", "route mtu", "tos", "multipath", "point to point", "noprefixroute", "metric", "label"],
)
def test_what_is_taken_from_a_device_is_given_back_exactly(setup: list[str]) -> None:
    """The law of host/takeover.py; an onlink default route is how many hosters give a machine its network."""
    with nothing_left_behind(), kernel_namespace() as machine:
        name = veth_in(machine)
        for line in setup:
            ip(machine, *line.replace("DEV", name).split())
        before = ip(machine, "-4", "addr", "show", name), ip(machine, "route")
        with addresses_taken(name, namespace=machine.name):
            assert not [
                entry for entry in list_addresses(namespace=machine.name) if entry.device == name and ":" not in entry.address
            ]
        assert (ip(machine, "-4", "addr", "show", name), ip(machine, "route")) == before


@pytest.mark.asyncio
async def test_an_interface_without_an_address_can_be_given_one() -> None:
    """That is the mend that the error itself names."""
    with nothing_left_behind(), kernel_namespace() as machine:
        async with userstack.interface(veth_in(machine), OURS, netns=machine.name) as stack:
            assert [str(one) for one in stack.host.interfaces] == [OURS]


@pytest.mark.asyncio
async def test_the_error_of_the_block_outlives_an_interface_that_cannot_be_given_back() -> None:
    """A device that is removed is a NetworkError to the program; nothing can or need be given back to it."""
    with nothing_left_behind(), kernel_namespace() as machine:
        name = veth_in(machine)
        add_address(name, OURS, namespace=machine.name)

        async def lose_the_device() -> None:
            async with userstack.interface(name, netns=machine.name) as stack, await stack.listen(80) as listener:
                waiting = asyncio.create_task(listener.accept())
                await asyncio.sleep(0)
                remove_link(name, namespace=machine.name)
                await waiting

        with pytest.raises(userstack.NetworkError, match=f"{name} is gone"):
            await lose_the_device()


@pytest.mark.asyncio
async def test_an_address_that_the_kernel_has_is_refused() -> None:
    """The kernel delivers what is for its own address to itself: a stack that shares it never hears a packet."""
    with nothing_left_behind(), kernel_namespace() as machine:
        add_address("lo", "10.77.0.2/32", namespace=machine.name)
        with pytest.raises(SetupError, match=r"10\.77\.0\.2 is taken by the device lo"):
            async with userstack.tun(OURS, netns=machine.name):
                pass


@pytest.mark.asyncio
@pytest.mark.parametrize("mtu", [20, 100_000])
async def test_an_mtu_that_cannot_be_is_told_with_what_could_be(mtu: int) -> None:
    """Not "cannot make the veth pair ...: invalid argument", which names neither the value nor a mend."""
    with nothing_left_behind(), kernel_namespace() as machine:
        for way in (userstack.tun, userstack.tap, userstack.veth):
            with pytest.raises(InvalidArgument, match=f"MTU.*{mtu}"):
                async with way(OURS, netns=machine.name, mtu=mtu):
                    pass


@virtual_time
async def test_an_mtu_beyond_what_ip_can_say_is_refused() -> None:
    """IPv4's total length has 16 bits; with more, building the first long segment fails and the connection hangs."""
    with pytest.raises(InvalidArgument, match="MTU"):
        async with two_stacks(mtu=100_000):
            pass


@virtual_time
async def test_a_setting_that_does_not_exist_is_refused() -> None:
    """A misspelt keyword must not pass in silence: ``imparment=...`` would test a perfect link."""
    misspelt: dict[str, Any] = {"imparment": None}
    with pytest.raises(TypeError, match="imparment"):
        async with userstack.memory(f"{FIRST}/24", f"{SECOND}/24", **misspelt):
            pass


@pytest.mark.parametrize(
    ("name", "value"),
    [("tos", 300), ("syn_backlog", -1), ("max_connections", 0), ("fin_timeout", -1), ("transmit_queue", 0), ("neighbor_queue", 0)],
)
def test_a_setting_that_cannot_be_is_refused(name: str, value: int) -> None:
    """Raises InvalidArgument, says the class, where a value cannot be; with tos=300 every connect hangs for ever."""
    values: dict[str, Any] = {name: value}
    with pytest.raises(InvalidArgument, match=name):
        StackConfig(**values)


@virtual_time
async def test_two_families_in_one_connection_are_refused_at_once() -> None:
    """The kernel: EINVAL or EAFNOSUPPORT. Here the SYN cannot be built, and connect never returns."""
    clock = virtual_loop().clock
    one, other = memory_pair()
    with closing(one), closing(other):
        async with userstack.link(one, f"{FIRST}/24", "fd00::1/64", clock=clock) as stack:
            with pytest.raises(OSError, match="famil"):
                await stack.connect("fd00::2", 80, local_address=FIRST, timeout=5)


@virtual_time
@pytest.mark.parametrize("port", [80.5, "80", None])
async def test_a_port_that_is_no_int_is_a_type_error(port: Any) -> None:
    """As of the kernel's sockets; 80.5 is listened on, and fails somewhere in the core as an AttributeError."""
    async with two_stacks() as (first, _):
        with pytest.raises(TypeError):
            await first.listen(port)


@virtual_time
async def test_a_device_that_is_closed_is_told_in_one_line() -> None:
    """Not ``ValueError: Invalid file descriptor: -1`` out of asyncio."""
    one, other = memory_pair()
    one.close()
    other.close()
    with pytest.raises(userstack.UserstackError, match="closed"):
        async with userstack.link(one, f"{FIRST}/24"):
            pass


@virtual_time
async def test_a_device_serves_one_stack() -> None:
    """A second stack takes the reader of the first away without a word, and at its end leaves nobody reading."""
    clock = virtual_loop().clock
    one, other = memory_pair()
    with closing(one), closing(other):
        async with userstack.link(one, f"{FIRST}/24", clock=clock), userstack.link(other, f"{SECOND}/24", clock=clock):
            with pytest.raises(userstack.CallerError):
                async with userstack.link(one, "10.0.0.3/24", clock=clock):
                    pass


@virtual_time
async def test_closing_a_stack_twice_at_once_waits_for_the_end() -> None:
    """The second close returns while the first drains: the device is then closed under a driver that still reads it."""
    clock = virtual_loop().clock
    one, other = memory_pair()
    descriptor = one.fileno()
    with closing(other):
        async with userstack.link(other, f"{SECOND}/24", clock=clock) as second, await second.listen(80) as listener:
            with closing(one):
                async with userstack.link(one, f"{FIRST}/24", clock=clock) as first:
                    client = await first.connect(SECOND, 80)
                    server = await listener.accept()
                    await client.send(bytes(200_000))
                    await client.close()
                    ending = asyncio.create_task(first.close())
                    await turns(1)
                still_read = descriptor in virtual_loop().watched
            await ending
            await server.close()
            assert not still_read


@virtual_time
async def test_a_connection_that_nobody_holds_and_that_is_over_is_not_kept() -> None:
    """A handler that died without closing, a peer that reset: the stack keeps such a connection until its own end."""
    async with two_stacks() as (first, second), await second.listen(80) as listener:
        client = await first.connect(SECOND, 80)
        with pytest.warns(ResourceWarning, match="unclosed <Connection"):
            trace = weakref.ref(await listener.accept())
        client.abort()
        await turns()
        gc.collect()
        assert trace() is None


@virtual_time
async def test_recv_into_a_buffer_that_cannot_be_written_loses_nothing() -> None:
    """The TypeError comes after the bytes were taken out of the stream."""
    async with two_connections() as (client, server):
        await client.send(b"precious")
        await turns()
        read_only: Any = b"12345678"
        with pytest.raises(TypeError):
            await server.recv_into(read_only)
        async with asyncio.timeout(5):
            assert await server.recv() == b"precious"


@virtual_time
async def test_a_receive_of_nothing_does_not_wait() -> None:
    """As loop.sock_recv(sock, 0), StreamReader.read(0) and this project's own VirtualSocket.recv(0)."""
    async with two_connections() as (client, _):
        async with asyncio.timeout(5):
            assert await client.recv(0) == b""
            assert await client.recv_into(bytearray()) == 0


@virtual_time
async def test_tcp_nodelay_sends_what_nagle_held_back() -> None:
    """tcp(7): "setting this option forces an explicit flush of pending output"."""
    async with two_stacks_and_wire() as (first, second, (_, theirs)):
        client, _ = await connect(first, second)
        theirs.cut = True
        await client.send(b"a")
        await turns()
        await client.send(b"b")
        await turns()
        assert client.info().unsent == 1
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await turns()
        assert client.info().unsent == 0


@virtual_time
async def test_a_shorter_user_timeout_counts_from_now_on() -> None:
    """setsockopt does not touch the connection: the new deadline waits for the old one, here for 23 s."""
    async with two_stacks_and_wire() as (first, second, (ours, _)):
        client, _ = await connect(first, second)
        ours.cut = True
        await client.send(b"x")
        await asyncio.sleep(40)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000)
        expires = client.info().timer_expires
        assert expires is not None
        assert expires <= 40 * ONE_SECOND
        with pytest.raises(TimeoutError):
            await client.recv()
        assert virtual_loop().time() < 41


@virtual_time
@pytest.mark.parametrize("seconds", [0.5, float("inf")])
async def test_a_linger_time_is_read_back_as_one_that_lingers(seconds: float) -> None:
    """Half a second reads as (1, 0), which set again would reset; infinity is an OverflowError."""
    async with two_connections() as (client, _):
        client.set_linger(seconds)
        on, least = struct.unpack("ii", client.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))
        assert on == 1
        assert least >= 1


@virtual_time
async def test_a_bug_in_one_connection_does_not_hold_up_the_others() -> None:
    """The driver: "one packet or timer is lost to it, the other connections go on"; they wait for the next event."""
    failing: list[bool] = []

    def tracer(event: Event) -> None:
        if failing and isinstance(event, PacketSent):
            failing.clear()
            raise ZeroDivisionError

    clock = virtual_loop().clock
    told: list[object] = []
    virtual_loop().set_exception_handler(lambda _, context: told.append(context))
    one, other = memory_pair()
    with closing(one), closing(other):
        async with (
            userstack.link(one, f"{FIRST}/24", clock=clock, trace=tracer) as first,
            userstack.link(other, f"{SECOND}/24", clock=clock) as second,
        ):
            unlucky, _ = await connect(first, second, 80)
            lucky, their_end = await connect(first, second, 81)
            await turns()
            failing.append(True)
            await unlucky.send(b"lost once")
            await lucky.send(b"at once")
            await turns()
            assert their_end.info().unread == len(b"at once")
            assert told


@virtual_time
async def test_a_flood_of_syns_does_not_shut_a_listener_for_three_minutes() -> None:
    """1024 forged SYNs take every place; once their SYN,ACKs had to be repeated they make place for a real client."""
    one, other = memory_pair()
    with closing(one), closing(other):
        async with userstack.link(one, f"{FIRST}/8", clock=virtual_loop().clock) as stack, await stack.listen(80):
            for number in range(1024):
                source = f"10.1.{number >> 8}.{number & 255 or 1}"
                other.write(bytes(IP(src=source, dst=FIRST) / TCP(sport=1000 + (number & 1), dport=80, flags="S")))
                await turns(2)
                while other.read():
                    pass
            await asyncio.sleep(2)
            while other.read():
                pass
            other.write(bytes(IP(src="10.2.0.1", dst=FIRST) / TCP(sport=5000, dport=80, flags="S")))
            await turns(4)
            answers = []
            while (read := other.read()) is not None:
                answers.append(IP(read[0]))
            assert [str(answer[TCP].flags) for answer in answers if answer.dst == "10.2.0.1"] == ["SA"]


@virtual_time
async def test_the_control_socket_does_not_spin_when_descriptors_run_out(tmp_path: Path) -> None:
    """asyncio's own servers pause for a second on EMFILE; here the loop turns without an end, at 100 % of a CPU."""
    async with two_stacks() as (first, _):
        others = set(virtual_loop().watched)
        async with first.control(tmp_path) as path:
            listening = virtual_loop().watched - others
            with closing(socket.socket(socket.AF_UNIX)) as client:
                client.setblocking(False)
                with closing(socket.socket()) as spare:
                    lowest = spare.fileno()
                limits = resource.getrlimit(resource.RLIMIT_NOFILE)
                resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
                try:
                    client.connect(str(path))
                    await turns()
                    assert not listening & virtual_loop().watched  # a loop that spins would stop the virtual clock for good
                    await asyncio.sleep(30)
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                await asyncio.sleep(2)
                client.send(b'{"command": "info"}\n')
                await turns()
                assert b'"ok": true' in client.recv(4096)
