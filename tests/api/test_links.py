"""The ways to have a stack: each carries data to and from the real kernel, and leaves the machine as it was."""

import asyncio
import errno
import gc
import itertools
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing, contextmanager
from typing import Any

import pytest

import userstack
from tests.interop.waiting import becomes
from tests.support.confined import without_capabilities
from tests.support.netns import DEVICE_PREFIX, KernelNamespace, kernel_namespace, nothing_left_behind
from tests.support.sockets import KernelWorld
from tests.support.stacks import FIRST, SECOND, connect, read_all, virtual_loop
from tests.support.virtual_time import virtual_time
from userstack import Impairment, Settings, SetupError, Stack, StackConfig, State
from userstack.host.addresses import add_address, add_route, list_addresses
from userstack.host.inside import read_sysctl, write_sysctl
from userstack.host.links import create_veth, list_devices, set_link, unique_device_name, wait_until_running
from userstack.packetio.impaired import ImpairedDevice
from userstack.packetio.memory import memory_pair
from userstack.trace import Event, PacketSent, Transition

Way = Callable[..., AbstractAsyncContextManager[Stack]]
KERNEL, OURS = "10.77.0.1", "10.77.0.2"


def addresses(namespace: KernelNamespace) -> list[str]:
    """The kernel's IPv4 addresses; those of IPv6 come when the kernel has made sure of them."""
    return [entry.address for entry in list_addresses(namespace=namespace.name) if ":" not in entry.address]


@contextmanager
def clean_namespace() -> Iterator[KernelNamespace]:
    with nothing_left_behind(), kernel_namespace() as namespace:
        before = list_devices(namespace=namespace.name), addresses(namespace)
        yield namespace
        assert (list_devices(namespace=namespace.name), addresses(namespace)) == before


async def talk_both_ways(stack: Stack, namespace: KernelNamespace, ours: str = OURS, kernels: str = KERNEL) -> None:
    """The kernel connects to us, we connect to the kernel; each asks and gets its answer."""
    kernel = KernelWorld(namespace, kernels, ours)
    async with await stack.listen(80, reuse_address=True) as listener:
        theirs = await kernel.connect(ours, 80)
        async with await listener.accept() as connection:
            await theirs.send(b"question" * 1000)
            await theirs.shutdown(socket.SHUT_WR)
            assert await read_all(connection) == b"question" * 1000
            await connection.send(b"answer")
        assert await theirs.recv(100) == b"answer"
        await theirs.close()
    listening = await kernel.listen(90, reuse_address=True)
    async with await stack.connect(kernels, 90) as connection:
        accepted = await listening.accept()
        await connection.send(b"ours")
        assert await accepted.recv(100) == b"ours"
        await accepted.close()
        assert await connection.recv() == b""
    await listening.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("codec", ["fast", "scapy"])
@pytest.mark.parametrize("way", [userstack.tun, userstack.tap, userstack.veth])
async def test_the_kernel_is_reached_and_reaches_us(way: Way, codec: str) -> None:
    with clean_namespace() as namespace:
        async with way(f"{OURS}/24", name=unique_device_name(DEVICE_PREFIX), netns=namespace.name, codec=codec) as stack:
            await talk_both_ways(stack, namespace)


@pytest.mark.asyncio
async def test_an_interface_is_taken_over_and_given_back() -> None:
    ours, theirs = unique_device_name(DEVICE_PREFIX), unique_device_name(DEVICE_PREFIX)
    with nothing_left_behind(), kernel_namespace() as machine, kernel_namespace() as outside:
        create_veth(ours, theirs, namespace=machine.name, peer_namespace=outside.name)
        for device, namespace, address in ((ours, machine, f"{OURS}/24"), (theirs, outside, f"{KERNEL}/24")):
            add_address(device, address, namespace=namespace.name)
            set_link(device, namespace=namespace.name, up=True)
        add_route("default", device=ours, gateway=KERNEL, namespace=machine.name)
        add_address("lo", "198.51.100.1/32", namespace=outside.name)
        before = machine.run(["ip", "route"]).stdout, addresses(machine)
        async with userstack.interface(ours, netns=machine.name) as stack:
            assert f"{OURS}/24" not in addresses(machine)
            assert [str(one) for one in stack.host.interfaces] == [f"{OURS}/24"]
            await talk_both_ways(stack, outside)
            await talk_both_ways(stack, outside, kernels="198.51.100.1")  # through the gateway
        assert (machine.run(["ip", "route"]).stdout, addresses(machine)) == before


@pytest.mark.asyncio
async def test_both_families_of_an_interface_are_taken_over_and_given_back() -> None:
    """IPv6's default route goes by the link-local address of the router, as routers advertise it."""
    ours, theirs = unique_device_name(DEVICE_PREFIX), unique_device_name(DEVICE_PREFIX)
    with nothing_left_behind(), kernel_namespace() as machine, kernel_namespace() as outside:
        for place, what in itertools.product((machine, outside), ("all", "default")):
            write_sysctl(f"net/ipv6/conf/{what}/accept_dad", "0", namespace=place.name)
        create_veth(ours, theirs, namespace=machine.name, peer_namespace=outside.name)
        for device, namespace, four, six in ((ours, machine, OURS, "fd77::2"), (theirs, outside, KERNEL, "fd77::1")):
            add_address(device, f"{four}/24", namespace=namespace.name)
            add_address(device, f"{six}/64", namespace=namespace.name)
            set_link(device, namespace=namespace.name, up=True)
        add_address(theirs, "fe80::1/64", namespace=outside.name)
        wait_until_running(ours, namespace=machine.name)
        add_route("default", device=ours, gateway=KERNEL, namespace=machine.name)
        add_route("default", device=ours, gateway="fe80::1", namespace=machine.name)
        add_address("lo", "2001:db8::1/128", namespace=outside.name)
        local = ["ip", "-6", "route", "show", "table", "local"]
        await becomes(lambda: machine.run(local).stdout.count(b"local f") == 2, "the kernel has made its routes")
        commands = (["ip", "route"], ["ip", "-6", "route", "show", "table", "all"], ["ip", "address", "show", "dev", ours])
        before = [machine.run(command).stdout for command in commands]
        async with userstack.interface(ours, netns=machine.name) as stack:
            assert [str(one) for one in stack.host.interfaces][:2] == [f"{OURS}/24", "fd77::2/64"]
            await talk_both_ways(stack, outside)
            await talk_both_ways(stack, outside, "fd77::2", "fd77::1")
            await talk_both_ways(stack, outside, "fd77::2", "2001:db8::1")  # through the gateway
        assert [machine.run(command).stdout for command in commands] == before


@pytest.mark.asyncio
async def test_of_an_interface_whose_ipv6_is_the_kernels_own_link_local_address_only_ipv4_is_taken() -> None:
    ours, theirs = unique_device_name(DEVICE_PREFIX), unique_device_name(DEVICE_PREFIX)
    with nothing_left_behind(), kernel_namespace() as machine, kernel_namespace() as outside:
        create_veth(ours, theirs, namespace=machine.name, peer_namespace=outside.name)
        for device, namespace, address in ((ours, machine, OURS), (theirs, outside, KERNEL)):
            add_address(device, f"{address}/24", namespace=namespace.name)
            set_link(device, namespace=namespace.name, up=True)
        async with userstack.interface(ours, netns=machine.name) as stack:
            assert [str(one) for one in stack.host.interfaces] == [f"{OURS}/24"]
            assert read_sysctl(f"net/ipv6/conf/{ours}/disable_ipv6", namespace=machine.name) == "0"
        async with userstack.interface(ours, "fd77::2/64", netns=machine.name) as stack:
            assert f"{OURS}/24" in addresses(machine)
            assert read_sysctl(f"net/ipv6/conf/{ours}/disable_ipv6", namespace=machine.name) == "1"


@pytest.mark.asyncio
async def test_an_interface_is_given_back_after_an_error() -> None:
    name = unique_device_name(DEVICE_PREFIX)
    with nothing_left_behind(), kernel_namespace() as machine:
        other = unique_device_name(DEVICE_PREFIX)
        create_veth(name, other, namespace=machine.name)
        for device in (name, other):
            set_link(device, namespace=machine.name, up=True)
        add_address(name, f"{OURS}/24", namespace=machine.name)
        with pytest.raises(OSError, match="no codec"):
            await userstack.interface(name, netns=machine.name, codec="none").__aenter__()
        assert addresses(machine) == ["127.0.0.1/8", f"{OURS}/24"]


@pytest.mark.asyncio
@pytest.mark.parametrize("way", [userstack.tun, userstack.tap, userstack.veth])
async def test_a_device_that_is_removed_is_told_to_who_waits_and_who_comes(way: Way) -> None:
    with nothing_left_behind(), kernel_namespace() as namespace:
        name = unique_device_name(DEVICE_PREFIX)
        async with way(f"{OURS}/24", name=name, netns=namespace.name) as stack:
            kernel = KernelWorld(namespace, KERNEL, OURS)
            listener = await stack.listen(80)
            theirs = await kernel.connect(OURS, 80)
            connection = await listener.accept()
            waiting = asyncio.create_task(listener.accept())
            await asyncio.sleep(0)
            assert namespace.run(["ip", "link", "del", name]).returncode == 0
            for call in (waiting, connection.recv(), connection.send(b"x"), stack.connect(KERNEL, 80), stack.listen(81)):
                with pytest.raises(userstack.NetworkError, match=f"{name} is gone"):
                    await call
            await connection.close()
            await theirs.close()


@pytest.mark.asyncio
async def test_what_the_machine_refuses_is_one_line_with_the_mend_and_leaves_nothing() -> None:
    with clean_namespace() as namespace:
        for way in (
            userstack.tun(f"{OURS}/24", netns="nowhere-at-all"),
            userstack.tun(f"{OURS}/24", name="a-name-that-is-too-long", netns=namespace.name),
            userstack.interface("nothing0", netns=namespace.name),
            userstack.interface("lo", "10.0.0.1", netns=namespace.name),
        ):
            with pytest.raises(userstack.CallerError) as caught:
                await way.__aenter__()
            assert "\n" not in str(caught.value)


def test_without_privileges_there_is_one_line_with_the_mend() -> None:
    async def attempt() -> None:
        async with userstack.tun(f"{OURS}/24"):
            pass

    with pytest.raises(SetupError, match="sudo"):
        without_capabilities(lambda: asyncio.run(attempt()))


@virtual_time
@pytest.mark.parametrize(
    ("address", "peer", "told"),
    [
        ("10.9.0.2", None, "no prefix"),
        ("10.9.0.2/33", None, "prefix"),
        ("ten.nine", None, "no IP address"),
        ("10.9.0.0/24", None, "network's own"),
        ("10.9.0.2/32", None, "shorter prefix"),
        ("10.9.0.2/24", "10.9.1.1", "another address of the network"),
        ("10.9.0.2/24", "10.9.0.2", "another address of the network"),
        ("10.9.0.2/24", "10.9.0.255", "broadcast"),
    ],
)
async def test_addresses_are_checked_before_anything_is_made(address: str, peer: str | None, told: str) -> None:
    for way in (userstack.tun, userstack.tap, userstack.veth):
        with pytest.raises(userstack.CallerError, match=told) as caught:
            await way(address, peer=peer).__aenter__()
        assert caught.value.errno == errno.EINVAL


@virtual_time
@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"codec": "slow"}, "no codec 'slow'"),
        ({"secret": b"short"}, "at least 16 bytes"),
        ({"mtu": 67}, "at least 68"),
        ({"mtu": 65536}, "at most 65535"),
        ({"level": 4}, "level is 3"),
    ],
)
async def test_settings_are_checked(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(userstack.CallerError, match=told):
        await userstack.memory(f"{FIRST}/24", f"{SECOND}/24", **settings).__aenter__()


@virtual_time
async def test_what_is_wrong_with_a_setting_is_told_before_the_machine_is_asked() -> None:
    """No namespace of that name: whatever asked the kernel first would say so."""
    nowhere = "nowhere-at-all"
    for way in (userstack.tun, userstack.tap, userstack.veth):
        with pytest.raises(userstack.CallerError, match="no codec"):
            await way(f"{OURS}/24", netns=nowhere, codec="none").__aenter__()
        with pytest.raises(userstack.CallerError, match=r"at least 1280.*not 600"):
            await way("fd00::2/64", netns=nowhere, mtu=600).__aenter__()
    wrong: list[dict[str, Any]] = [
        {"codec": "none"},
        {"secret": b"short"},
        {"gateway": "here"},
        {"gateway": ["10.0.0.1", "10.0.0.2"]},
    ]
    for arguments in wrong:
        with pytest.raises(userstack.CallerError) as caught:
            await userstack.interface("nothing0", netns=nowhere, **arguments).__aenter__()
        assert caught.value.errno == errno.EINVAL
    misspelt: dict[str, Any] = {"sed": 1}
    for named in (userstack.tun, userstack.tap, userstack.veth, userstack.interface):
        with pytest.raises(TypeError, match="there is no setting sed"):
            await named(f"{OURS}/24", netns=nowhere, **misspelt).__aenter__()
    device, other = memory_pair()
    with closing(device), closing(other), pytest.raises(TypeError, match="there is no setting sed"):
        await userstack.link(device, f"{OURS}/24", **misspelt).__aenter__()


@virtual_time
async def test_two_ends_of_one_address_are_refused() -> None:
    with pytest.raises(userstack.CallerError, match=FIRST):
        await userstack.memory(f"{FIRST}/24", f"{FIRST}/16").__aenter__()


@virtual_time
async def test_a_gateway_on_a_device_without_next_hops_is_refused() -> None:
    device, other = memory_pair(3)
    with closing(device), closing(other), pytest.raises(userstack.CallerError, match="gateway"):
        await userstack.link(device, f"{FIRST}/24", gateway=SECOND).__aenter__()


@pytest.mark.asyncio
async def test_a_device_goes_where_its_impairment_cannot_be() -> None:
    wrong: Any = {"loss": 0.5}
    with clean_namespace() as namespace:
        with pytest.raises(userstack.CallerError, match="impairment"):
            await userstack.tun(f"{OURS}/24", netns=namespace.name, impairment=wrong).__aenter__()
        gc.collect()


@virtual_time
async def test_a_link_needs_an_address_and_its_impairment_is_the_callers() -> None:
    device, other = memory_pair(2)
    with closing(device), closing(other):
        with pytest.raises(userstack.CallerError, match=r"at least one address, as in 10\.9\.0\.2/24 or fd3d::2/64"):
            await userstack.link(device).__aenter__()
        with pytest.raises(userstack.CallerError, match="ImpairedDevice"):
            await userstack.link(device, f"{FIRST}/24", impairment=Impairment(loss=0.5)).__aenter__()


@virtual_time
async def test_several_addresses_on_frames() -> None:
    settings: Settings = {"clock": virtual_loop().clock, "config": StackConfig(dad_transmits=0)}
    one, other = (
        (f"{FIRST}/24", "192.0.2.1/24", "fd3d::1/64", "fd3e::1/64"),
        (f"{SECOND}/24", "192.0.2.2/24", "fd3d::2/64", "fd3e::2/64"),
    )
    async with userstack.memory(one, other, level=2, **settings) as (first, second):
        listener = await second.listen(80)
        for ours, theirs in zip(one, other, strict=True):
            async with await first.connect(theirs.partition("/")[0], 80) as client, await listener.accept():
                assert client.getsockname()[0] == ours.partition("/")[0]


@virtual_time
async def test_a_link_may_have_several_addresses_and_an_impaired_device() -> None:
    clock = virtual_loop().clock
    settings: Settings = {"clock": clock, "seed": 3}
    one, other = memory_pair()
    with closing(ImpairedDevice(one, Impairment(delay=50_000_000), clock.now)) as slow, closing(other):
        async with (
            userstack.link(slow, f"{FIRST}/24", "192.0.2.1/24", **settings) as first,
            userstack.link(other, f"{SECOND}/24", **settings) as second,
        ):
            ends = await connect(first, second)
            assert virtual_loop().time() == pytest.approx(0.15)  # SYN, SYN,ACK, ACK
            assert [end.state for end in ends] == [State.ESTABLISHED] * 2
            listener = await second.listen(81)
            client = await first.connect(SECOND, 81, local_address="192.0.2.1")
            async with await listener.accept() as accepted:
                assert accepted.getpeername() == client.getsockname()
            assert client.getsockname()[0] == "192.0.2.1"


@virtual_time
async def test_a_seed_makes_a_run_repeatable_and_a_trace_tells_it() -> None:
    async def run(seed: int | None) -> list[Event]:
        events: list[Event] = []
        settings: Settings = {"trace": events.append, "clock": virtual_loop().clock, "seed": seed}
        async with userstack.memory(f"{FIRST}/24", f"{SECOND}/24", **settings) as (first, second):
            client, server = await connect(first, second)
            await client.send(b"hello")
            assert await server.recv() == b"hello"
        return events

    def packets(events: list[Event]) -> list[bytes]:
        return [event.packet for event in events if isinstance(event, PacketSent)]

    first, again, other, unseeded = [await run(seed) for seed in (1, 1, 2, None)]
    assert packets(first) == packets(again)
    assert packets(first) != packets(other)
    assert packets(first) != packets(unseeded)
    moves = [(event.old, event.new) for event in first if isinstance(event, Transition)]
    assert (State.SYN_SENT, State.ESTABLISHED) in moves


@virtual_time
async def test_quiet_time_begins_with_the_stack() -> None:
    # RFC 9293 3.4.3: no sequence number is assigned for one MSL after the start.
    await asyncio.sleep(1000)
    settings: Settings = {"clock": virtual_loop().clock, "config": StackConfig(quiet_time=True, msl=5_000_000_000)}
    async with userstack.memory(f"{FIRST}/24", f"{SECOND}/24", **settings) as (first, second):
        ends = await connect(first, second)
        assert [end.state for end in ends] == [State.ESTABLISHED] * 2
        assert 1005 <= virtual_loop().time() < 1011


@virtual_time
async def test_the_isn_can_be_forced_and_wraps() -> None:
    settings: Settings = {"clock": virtual_loop().clock, "isn": lambda *_: 0xFFFFFFF0, "config": StackConfig()}
    async with userstack.memory(f"{FIRST}/24", f"{SECOND}/24", **settings) as (first, second):
        client, server = await connect(first, second)
        await client.send(bytes(1000))
        await client.close()
        assert await read_all(server) == bytes(1000)
