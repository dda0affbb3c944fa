"""IPv6 as programs see it: names, both families on one listener, links, options; and addresses that others have."""

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest

import userstack
from tests.support.stacks import read_all, virtual_loop
from tests.support.virtual_time import virtual_time
from userstack import Connection, Settings, Stack, StackConfig
from userstack.api.ends import kernel_addresses, parse_gateways, parse_interfaces
from userstack.api.errors import NoSuchOption
from userstack.packetio.memory import memory_pair

FIRST, SECOND = ("10.0.0.1", "fd3d::1"), ("10.0.0.2", "fd3d::2")
ANY_HOPS, TRAFFIC_CLASS = (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS), (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)


@asynccontextmanager
async def two_stacks(*, level: int = 3, dad_transmits: int = 0) -> AsyncIterator[tuple[Stack, Stack]]:
    """Both families at both ends."""
    settings: Settings = {"clock": virtual_loop().clock, "seed": 1, "config": StackConfig(dad_transmits=dad_transmits)}
    first, second = ([f"{four}/24", f"{six}/64"] for four, six in (FIRST, SECOND))
    async with userstack.memory(first, second, level=level, **settings) as stacks:
        yield stacks


async def refused(stack: Stack, address: str, number: int, words: str = ".") -> None:
    with pytest.raises(OSError, match=words) as caught:
        await stack.connect(address, 80)
    assert caught.value.errno == number
    assert "\n" not in str(caught.value)


@virtual_time
@pytest.mark.parametrize("level", [2, 3])
async def test_data_goes_both_ways(level: int) -> None:
    async with two_stacks(level=level) as (first, second):
        listener = await second.listen(80)
        client = await first.connect("fd3d::2", 80)
        server = await listener.accept()
        for one, other in ((client, server), (server, client)):
            await one.send(b"six" * 10_000)
            await one.shutdown()
            assert await read_all(other) == b"six" * 10_000


@virtual_time
async def test_a_socket_of_ipv6_names_flow_label_and_scope_too() -> None:
    async with two_stacks() as (first, second):
        listener = await second.listen(80, address="fd3d::2")
        client = await first.connect("fd3d::2", 80)
        server = await listener.accept()
        port = client.getsockname()[1]
        assert listener.getsockname() == client.getpeername() == server.getsockname() == ("fd3d::2", 80, 0, 0)
        assert client.getsockname() == server.getpeername() == ("fd3d::1", port, 0, 0)


@virtual_time
async def test_a_listener_hears_every_address_of_both_families() -> None:
    async with two_stacks() as (first, second):
        listener = await second.listen(80)
        assert listener.getsockname() == ("::", 80, 0, 0)
        for address, ours, theirs in (("fd3d::2", "fd3d::2", "fd3d::1"), ("10.0.0.2", "::ffff:10.0.0.2", "::ffff:10.0.0.1")):
            async with await first.connect(address, 80) as client, await listener.accept() as server:
                assert server.getsockname() == (ours, 80, 0, 0)
                assert server.getpeername() == (theirs, client.getsockname()[1], 0, 0)


@virtual_time
@pytest.mark.parametrize(
    ("address", "only", "name", "heard", "deaf"),
    [
        (None, True, "::", "fd3d::2", "10.0.0.2"),
        ("::", True, "::", "fd3d::2", "10.0.0.2"),
        ("0.0.0.0", False, "0.0.0.0", "10.0.0.2", "fd3d::2"),
        ("10.0.0.2", False, "10.0.0.2", "10.0.0.2", "fd3d::2"),
        ("::ffff:10.0.0.2", False, "::ffff:10.0.0.2", "10.0.0.2", "fd3d::2"),
    ],
)
async def test_a_listener_for_one_family(address: str | None, only: bool, name: str, heard: str, deaf: str) -> None:
    async with two_stacks() as (first, second), await second.listen(80, address=address, ipv6_only=only) as listener:
        with pytest.raises(ConnectionRefusedError):
            await first.connect(deaf, 80)
        assert listener.getsockname()[0] == name
        async with await first.connect(heard, 80), await listener.accept() as server:
            assert server.getpeername()[0].endswith(FIRST["." not in heard])


@virtual_time
async def test_one_listener_for_each_family() -> None:
    async with two_stacks() as (first, second):
        six = await second.listen(80, address="::", ipv6_only=True)
        four = await second.listen(80, address="0.0.0.0")
        for listener, address in ((six, "fd3d::2"), (four, "10.0.0.2")):
            async with await first.connect(address, 80) as client, await listener.accept() as server:
                assert server.getpeername() == client.getsockname()


@virtual_time
async def test_a_listener_of_both_families_and_one_more_are_one_too_many() -> None:
    async with two_stacks() as (_, second), await second.listen(80):
        for address in ("0.0.0.0", "10.0.0.2", "fd3d::2"):
            with pytest.raises(OSError, match="in use") as caught:
                await second.listen(80, address=address)
            assert caught.value.errno == errno.EADDRINUSE


@virtual_time
async def test_a_mapped_address_is_ipv4_by_its_other_name() -> None:
    async with two_stacks() as (first, second):
        listener = await second.listen(80, address="0.0.0.0")
        async with await first.connect("::ffff:10.0.0.2", 80, local_port=5555) as client, await listener.accept() as server:
            assert client.getpeername() == ("::ffff:10.0.0.2", 80, 0, 0)
            assert client.getsockname() == ("::ffff:10.0.0.1", 5555, 0, 0)
            assert server.getpeername() == ("10.0.0.1", 5555)


@virtual_time
async def test_the_local_end_can_be_chosen() -> None:
    async with two_stacks() as (first, second):
        await second.listen(80)
        client = await first.connect("fd3d::2", 80, local_address="fd3d::1", local_port=5555)
        assert client.getsockname() == ("fd3d::1", 5555, 0, 0)
        other = await first.connect("fd3d::2", 80, local_port=5556)
        assert other.getsockname() == ("fd3d::1", 5556, 0, 0)
        with pytest.raises(OSError, match="not of one family") as caught:
            await first.connect("fd3d::2", 80, local_address="10.0.0.1")
        assert caught.value.errno == errno.EINVAL


@virtual_time
async def test_a_stack_of_one_family_does_not_reach_the_other() -> None:
    settings: Settings = {"clock": virtual_loop().clock}
    async with userstack.memory("fd3d::1/64", "fd3d::2/64", **settings) as (first, second):
        await refused(first, "10.0.0.2", errno.ENETUNREACH)
        await refused(first, "::ffff:10.0.0.2", errno.ENETUNREACH)
        listener = await second.listen(80)
        assert listener.getsockname() == ("::", 80, 0, 0)
    async with userstack.memory("10.0.0.1/24", "10.0.0.2/24", **settings) as (first, second):
        await refused(first, "fd3d::2", errno.ENETUNREACH)
        listener = await second.listen(80)
        assert listener.getsockname() == ("0.0.0.0", 80)


@asynccontextmanager
async def by_link_local() -> AsyncIterator[tuple[Stack, Stack, Connection, Connection]]:
    """Connected by their link-local addresses, fe80::1 and fe80::2."""
    clock = virtual_loop().clock
    async with userstack.memory("fe80::1/64", "fe80::2/64", clock=clock) as (first, second):
        listener = await second.listen(80)
        client = await first.connect(f"fe80::2%{first.device.name}", 80)
        yield first, second, client, await listener.accept()


@virtual_time
async def test_a_link_local_address_is_named_with_its_link() -> None:
    async with by_link_local() as (first, second, client, server):
        assert client.getpeername() == server.getsockname() == ("fe80::2", 80, 0, 1)
        assert client.getsockname() == server.getpeername()
        again = await first.connect("fe80::2%1", 80, local_address=f"fe80::1%{first.device.name}")
        assert again.getsockname()[0] == "fe80::1"
        async with await second.listen(81, address="fe80::2%1") as listener:
            assert listener.getsockname() == ("fe80::2", 81, 0, 1)


@virtual_time
async def test_a_link_that_is_missing_or_another_is_told() -> None:
    async with by_link_local() as (first, second, _, _):
        name = first.device.name
        await refused(first, "fe80::2", errno.EINVAL, f"on some link: say on which, as in fe80::2%{name}")
        await refused(first, f"fe80::2%{second.device.name}", errno.EINVAL, f"not this stack's, which is {name}")
        await refused(first, "fe80::2%2", errno.EINVAL, "not this stack's")
        await refused(first, "fe80::2%", errno.EINVAL, "not this stack's")
        await refused(first, f"fd3d::2%{name}", errno.EINVAL, "leave out what begins with %")
        await refused(first, f"10.0.0.2%{name}", errno.EINVAL, "leave out what begins with %")
        with pytest.raises(OSError, match="say on which"):
            await first.listen(80, address="fe80::1")


@virtual_time
@pytest.mark.parametrize("address", ["ff02::1", "::1", "fd3d::2::", "[fd3d::2]", "fd3d::2/64"])
async def test_what_cannot_be_connected_to(address: str) -> None:
    async with two_stacks() as (first, _):
        number = errno.ENETUNREACH if address in {"ff02::1", "::1"} else errno.EINVAL
        await refused(first, address, number)


@virtual_time
async def test_options_are_those_of_the_family_that_carries_the_connection() -> None:
    async with two_stacks() as (first, second):
        listener = await second.listen(80)
        for address, own, others in (
            ("fd3d::2", (ANY_HOPS, TRAFFIC_CLASS), ((socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IP, socket.IP_TOS))),
            ("10.0.0.2", ((socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IP, socket.IP_TOS)), (ANY_HOPS, TRAFFIC_CLASS)),
        ):
            async with await first.connect(address, 80) as client, await listener.accept():
                for (level, option), value, read in zip(own, (5, 0xBB), (5, 0xB8), strict=True):
                    client.setsockopt(level, option, value)
                    assert client.getsockopt(level, option) == read
                for level, option in others:
                    with pytest.raises(NoSuchOption):
                        client.setsockopt(level, option, 1)
                    with pytest.raises(NoSuchOption):
                        client.getsockopt(level, option)


@virtual_time
@pytest.mark.parametrize(("name", "value"), [(ANY_HOPS, -2), (ANY_HOPS, 256), (TRAFFIC_CLASS, -2), (TRAFFIC_CLASS, 256)])
async def test_an_option_that_cannot_be(name: tuple[int, int], value: int) -> None:
    async with two_stacks() as (first, second):
        await second.listen(80)
        client = await first.connect("fd3d::2", 80)
        with pytest.raises(OSError, match="-1 for the default") as caught:
            client.setsockopt(*name, value)
        assert caught.value.errno == errno.EINVAL
        client.setsockopt(*name, -1)
        assert client.getsockopt(*name) == (64 if name == ANY_HOPS else 0)


@virtual_time
async def test_a_stack_on_frames_opens_when_it_may_use_its_addresses() -> None:
    """RFC 4862 5.4: it asks once, and waits for RetransTimer, a second; without IPv6 there is nothing to ask."""
    before = virtual_loop().time()
    async with userstack.memory("10.0.0.1/24", "10.0.0.2/24", level=2, clock=virtual_loop().clock):
        assert virtual_loop().time() == before
    async with two_stacks(level=2, dad_transmits=1) as (first, second):
        assert 1 <= virtual_loop().time() - before < 5
        assert [address.tentative for address in (first.host.addresses, second.host.addresses)] == [set(), set()]


@virtual_time
async def test_an_address_that_another_node_has_is_refused() -> None:
    settings: Settings = {"clock": virtual_loop().clock, "seed": 1}
    one, other = memory_pair(2)
    with closing(one), closing(other):
        async with userstack.link(one, "fd3d::1/64", **settings):
            with pytest.raises(OSError, match=f"another node on the link of {other.name} has fd3d::1: choose another") as caught:
                await userstack.link(other, "fd3d::1/64", **settings).__aenter__()
            assert caught.value.errno == errno.EADDRINUSE
            async with userstack.link(other, "fd3d::2/64", **settings):
                pass


@pytest.mark.parametrize(
    ("addresses", "peer", "kernels"),
    [
        (["10.9.0.2/24", "fd3d::2/64"], None, ["10.9.0.1/24", "fd3d::1/64"]),
        (["10.9.0.1/24", "fd3d::1/64"], None, ["10.9.0.2/24", "fd3d::2/64"]),
        (["10.9.0.1/24", "10.9.0.2/24"], None, ["10.9.0.3/24"]),
        (["10.9.0.2/24", "fd3d::2/64"], "fd3d::9", ["fd3d::9/64", "10.9.0.1/24"]),
        (["10.9.0.2/24", "fd3d::2/64"], ["10.9.0.9", "fd3d::9/64"], ["10.9.0.9/24", "fd3d::9/64"]),
        (["fd3d::1/127"], None, ["fd3d::/127"]),
        (["fd3d::/127"], None, ["fd3d::1/127"]),
    ],
)
def test_the_kernel_has_an_address_in_each_network(addresses: list[str], peer: str | list[str] | None, kernels: list[str]) -> None:
    assert kernel_addresses(parse_interfaces(addresses), peer) == kernels


@pytest.mark.parametrize(
    ("addresses", "peer", "told"),
    [
        ([], None, "at least one address"),
        (["fd3d::1/64", "fd3d:0::1/64"], None, "fd3d::1 is there twice"),
        (["fd3d::1/128"], None, "no other address for the kernel: take a shorter prefix, as in /64"),
        (["fd3d::1/64"], "fd3d::1", "must be another address of the network of fd3d::1/64"),
        (["fd3d::1/64"], "fd3e::1", "must be another address of the network of fd3d::1/64"),
        (["10.9.0.2/24", "fd3d::1/64"], "10.9.0.255", "broadcast"),
        (["fd3d::1/64"], "here", "no IP address"),
    ],
)
def test_ends_that_cannot_be(addresses: list[str], peer: str | None, told: str) -> None:
    with pytest.raises(userstack.CallerError, match=told):
        kernel_addresses(parse_interfaces(addresses), peer)


def test_one_gateway_for_a_family() -> None:
    assert parse_gateways(None) == []
    assert [len(hop) for hop in parse_gateways(["10.9.0.1", "fe80::1"])] == [4, 16]
    with pytest.raises(userstack.CallerError, match="one gateway for a family, not fd3d::1, fe80::1"):
        parse_gateways(["fd3d::1", "fe80::1"])
