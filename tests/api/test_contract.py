"""One script for the kernel's sockets and for ours: the same exceptions with the same errno, the same bytes.

Each test runs twice on each kind of sockets: of IPv4, of IPv6, and of IPv6 with a peer of IPv4. On ``kernel`` it says what the
kernel does; on ``userstack`` it holds us to it, with the kernel as the peer.
"""

import asyncio
import errno
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from tests.support.netns import kernel_namespace, nothing_left_behind
from tests.support.sockets import IPV4, IPV6, KINDS, MAPPED, KernelSocket, KernelWorld, Kind, StreamSocket, World, world_and_peer

PORT = 7070
Both = tuple[World, KernelWorld]
Ends = tuple[StreamSocket, KernelSocket]


@pytest.fixture(params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    given: Kind = request.param
    return given


@pytest_asyncio.fixture(params=["kernel", "userstack"])
async def both(request: pytest.FixtureRequest, kind: Kind) -> AsyncIterator[Both]:
    with nothing_left_behind(), kernel_namespace() as namespace:
        async with world_and_peer(request.param, kind, namespace) as made:
            yield made


async def accepted(both: Both) -> Ends:
    """The subject accepts, the peer has connected."""
    world, peer = both
    listener = await world.listen(PORT, reuse_address=True)
    other = await peer.connect(peer.peer_address, PORT)
    subject = await listener.accept()
    await listener.close()
    return subject, other


async def connected(both: Both) -> Ends:
    """The subject has connected, the peer accepts."""
    world, peer = both
    listener = await peer.listen(PORT, reuse_address=True)
    subject = await world.connect(world.peer_address, PORT)
    other = await listener.accept()
    await listener.close()
    return subject, other


async def fails(call: Awaitable[object], kind: type[OSError], number: int) -> None:
    with pytest.raises(kind) as caught:
        await call
    assert errno.errorcode[caught.value.errno or 0] == errno.errorcode[number]


async def send_until_it_fails(subject: StreamSocket) -> OSError:
    for _ in range(1000):
        try:
            await subject.send(b"x")
        except OSError as error:
            return error
        await asyncio.sleep(0.001)  # for the answer of a real kernel
    raise AssertionError("it never failed")


async def take_error(subject: StreamSocket) -> int:
    for _ in range(1000):
        number = subject.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            return number
        await asyncio.sleep(0.001)  # for the segment of a real kernel
    raise AssertionError("there never was an error")


async def read_to_the_end(one: StreamSocket) -> bytes:
    parts = []
    while part := await one.recv(65536):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.asyncio
async def test_nobody_listens(both: Both) -> None:
    world, _ = both
    await fails(world.connect(world.peer_address, PORT), ConnectionRefusedError, errno.ECONNREFUSED)


@pytest.mark.asyncio
async def test_nobody_answers(both: Both) -> None:
    world, _ = both
    await fails(world.connect(world.kind.silent, PORT, patience=0.5), TimeoutError, errno.ETIMEDOUT)


@pytest.mark.asyncio
async def test_no_address_of_one_host(both: Both) -> None:
    world, _ = both
    broadcast = {IPV4: ["255.255.255.255"], IPV6: [], MAPPED: ["::ffff:255.255.255.255"]}
    for address in (world.kind.multicast, *broadcast[world.kind]):
        await fails(world.connect(address, PORT), OSError, errno.ENETUNREACH)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [IPV6], indirect=True, ids=str)
async def test_a_link_local_address_without_its_link(both: Both) -> None:
    world, _ = both
    await fails(world.connect("fe80::1", PORT), OSError, errno.EINVAL)
    await fails(world.listen(PORT, address="fe80::1"), OSError, errno.EINVAL)


@pytest.mark.asyncio
@pytest.mark.parametrize("open_by", [accepted, connected])
async def test_data_both_ways_and_the_end(both: Both, open_by: Callable[[Both], Awaitable[Ends]]) -> None:
    subject, peer = await open_by(both)
    data = os.urandom(300_000)
    sending, echoing = asyncio.create_task(subject.send(data)), asyncio.create_task(peer.send(data[::-1]))
    received = asyncio.create_task(read_to_the_end(subject))
    at_peer = b""
    while len(at_peer) < len(data):
        at_peer += await peer.recv(65536)
    await asyncio.gather(sending, echoing)
    await peer.close()
    assert at_peer == data
    assert await received == data[::-1]
    assert await subject.recv(1) == b""
    await subject.close()


@pytest.mark.asyncio
async def test_names(both: Both) -> None:
    world, _ = both
    named = world.kind.socket_name
    subject, peer = await accepted(both)
    assert subject.getsockname() == named(world.address, PORT)
    assert subject.getpeername() == named(world.peer_address, peer.getsockname()[1])
    await subject.close()
    subject, peer = await connected(both)
    assert subject.getpeername() == named(world.peer_address, PORT)
    assert subject.getsockname() == named(world.address, peer.getpeername()[1])
    await subject.close()


@pytest.mark.asyncio
async def test_the_name_of_a_listener(both: Both) -> None:
    world, _ = both
    for address, name in ((None, "0.0.0.0" if world.kind is IPV4 else "::"), (world.address, world.address)):
        listener = await world.listen(PORT, address=address)
        assert listener.getsockname() == world.kind.socket_name(name, PORT)
        await listener.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [MAPPED], indirect=True, ids=str)
async def test_a_listener_of_both_families_leaves_nothing_of_its_port(both: Both) -> None:
    world, _ = both
    listener = await world.listen(PORT)
    for address in ("0.0.0.0", world.address.removeprefix("::ffff:"), world.address, "::"):
        await fails(world.listen(PORT, address=address), OSError, errno.EADDRINUSE)
    await fails(world.listen(PORT, address="::", ipv6_only=True), OSError, errno.EADDRINUSE)
    await listener.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [MAPPED], indirect=True, ids=str)
async def test_a_listener_of_ipv6_alone_leaves_ipv4_to_others(both: Both) -> None:
    world, peer = both
    six = await world.listen(PORT, ipv6_only=True)
    await fails(peer.connect(peer.peer_address, PORT), ConnectionRefusedError, errno.ECONNREFUSED)
    four = await world.listen(PORT, address="0.0.0.0")
    await fails(world.listen(PORT), OSError, errno.EADDRINUSE)
    await peer.connect(peer.peer_address, PORT)
    subject = await four.accept()
    assert subject.getpeername() == IPV4.socket_name(world.peer_address.removeprefix("::ffff:"), subject.getpeername()[1])
    await subject.close()
    await six.close()
    await four.close()


@pytest.mark.asyncio
async def test_reset_while_reading(both: Both) -> None:
    subject, peer = await accepted(both)
    reading = asyncio.create_task(subject.recv(1))
    await asyncio.sleep(0)
    await peer.abort()
    await fails(reading, ConnectionResetError, errno.ECONNRESET)
    assert await subject.recv(1) == b""
    await fails(subject.send(b"x"), BrokenPipeError, errno.EPIPE)
    await subject.close()


@pytest.mark.asyncio
async def test_reset_while_writing(both: Both) -> None:
    subject, peer = await accepted(both)
    await peer.abort()
    error = await send_until_it_fails(subject)
    assert (type(error).__mro__[-4:], error.errno) == (ConnectionResetError.__mro__[-4:], errno.ECONNRESET)
    await fails(subject.send(b"x"), BrokenPipeError, errno.EPIPE)
    assert await subject.recv(1) == b""
    await subject.close()


@pytest.mark.asyncio
async def test_data_before_a_reset_can_still_be_read(both: Both) -> None:
    subject, peer = await accepted(both)
    await peer.send(b"before")
    assert await subject.recv(3) == b"bef"
    await peer.abort()
    assert await take_error(subject) == errno.ECONNRESET
    assert await subject.recv(10) == b"ore"
    assert await subject.recv(10) == b""
    await subject.close()


@pytest.mark.asyncio
async def test_the_error_is_told_once_by_so_error(both: Both) -> None:
    subject, peer = await accepted(both)
    assert subject.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    await peer.abort()
    assert await take_error(subject) == errno.ECONNRESET
    assert subject.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    assert await subject.recv(1) == b""
    await subject.close()


@pytest.mark.asyncio
async def test_writing_to_who_has_gone(both: Both) -> None:
    subject, peer = await accepted(both)
    await peer.close()
    assert await subject.recv(1) == b""
    error = await send_until_it_fails(subject)
    assert isinstance(error, BrokenPipeError)
    assert error.errno == errno.EPIPE
    assert await subject.recv(1) == b""
    await subject.close()


@pytest.mark.asyncio
async def test_after_the_end_there_is_no_peer(both: Both) -> None:
    subject, peer = await accepted(both)
    await peer.abort()
    await fails(subject.recv(1), ConnectionResetError, errno.ECONNRESET)
    await fails(subject.shutdown(socket.SHUT_WR), OSError, errno.ENOTCONN)
    await fails(subject.shutdown(socket.SHUT_RD), OSError, errno.ENOTCONN)
    with pytest.raises(OSError, match="not connected") as caught:
        subject.getpeername()
    assert caught.value.errno == errno.ENOTCONN
    assert subject.getsockname()[1] == PORT
    await subject.close()


@pytest.mark.asyncio
async def test_half_close_by_us(both: Both) -> None:
    subject, peer = await accepted(both)
    await subject.send(b"question")
    await subject.shutdown(socket.SHUT_WR)
    await fails(subject.send(b"x"), BrokenPipeError, errno.EPIPE)
    await subject.shutdown(socket.SHUT_WR)
    assert await read_to_the_end(peer) == b"question"
    await peer.send(b"answer")
    await peer.close()
    assert await read_to_the_end(subject) == b"answer"
    assert await subject.recv(1) == b""
    await subject.close()


@pytest.mark.asyncio
async def test_half_close_by_the_peer(both: Both) -> None:
    subject, peer = await connected(both)
    await peer.send(b"question")
    await peer.shutdown(socket.SHUT_WR)
    assert await read_to_the_end(subject) == b"question"
    assert await subject.recv(1) == b""
    await subject.send(b"answer")
    await subject.close()
    assert await read_to_the_end(peer) == b"answer"


@pytest.mark.asyncio
async def test_in_time_wait_there_is_no_peer_either(both: Both) -> None:
    subject, peer = await accepted(both)
    await subject.shutdown(socket.SHUT_WR)
    assert await peer.recv(1) == b""
    await peer.close()
    assert await subject.recv(1) == b""
    with pytest.raises(OSError, match="not connected") as caught:
        subject.getpeername()
    assert caught.value.errno == errno.ENOTCONN
    await fails(subject.shutdown(socket.SHUT_WR), OSError, errno.ENOTCONN)
    await fails(subject.send(b"x"), BrokenPipeError, errno.EPIPE)
    await subject.close()


@pytest.mark.asyncio
async def test_shut_reading(both: Both) -> None:
    subject, peer = await accepted(both)
    await peer.send(b"early")
    assert await subject.recv(1) == b"e"
    await subject.shutdown(socket.SHUT_RD)
    assert await subject.recv(10) == b"arly"
    assert await subject.recv(10) == b""
    await subject.send(b"still writing")
    assert await peer.recv(100) == b"still writing"
    await subject.close()


@pytest.mark.asyncio
async def test_shut_both_ways_and_data_comes(both: Both) -> None:
    subject, peer = await accepted(both)
    await subject.shutdown(socket.SHUT_RDWR)
    assert await subject.recv(1) == b""
    assert await peer.recv(1) == b""
    error = await send_until_it_fails(peer)
    assert error.errno == errno.EPIPE
    assert await take_error(subject) == errno.ECONNRESET
    assert await subject.recv(1) == b""
    await subject.close()


@pytest.mark.asyncio
async def test_after_close_the_descriptor_is_bad(both: Both) -> None:
    subject, _ = await accepted(both)
    await subject.close()
    await subject.close()
    for call in (subject.recv(1), subject.send(b"x"), subject.shutdown(socket.SHUT_WR)):
        await fails(call, OSError, errno.EBADF)
    with pytest.raises(OSError, match=r".") as caught:
        subject.getsockname()
    assert caught.value.errno == errno.EBADF


@pytest.mark.asyncio
async def test_after_close_the_listener_is_bad(both: Both) -> None:
    world, peer = both
    listener = await world.listen(PORT)
    await listener.close()
    await fails(listener.accept(), OSError, errno.EBADF)
    await fails(peer.connect(peer.peer_address, PORT), ConnectionRefusedError, errno.ECONNREFUSED)


@pytest.mark.asyncio
async def test_linger_0_resets(both: Both) -> None:
    subject, peer = await accepted(both)
    subject.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await subject.close()
    await fails(peer.recv(1), ConnectionResetError, errno.ECONNRESET)


@pytest.mark.asyncio
async def test_unread_data_resets(both: Both) -> None:
    subject, peer = await accepted(both)
    await peer.send(b"xy")
    assert await subject.recv(1) == b"x"
    await subject.close()
    await fails(peer.recv(1), ConnectionResetError, errno.ECONNRESET)


@pytest.mark.asyncio
async def test_lingering_ends_in_time_and_what_was_sent_arrives_all_the_same(both: Both) -> None:
    subject, peer = await accepted(both)
    data = bytes(4_000_000)
    sending = asyncio.create_task(subject.send(data))
    await asyncio.sleep(0.2)  # by now the peer, who does not read, has closed its window
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    subject.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1))
    started = time.monotonic()
    await subject.close()
    assert 0.9 < time.monotonic() - started < 3
    assert len(await read_to_the_end(peer)) > 100_000  # up to the FIN: no reset


@pytest.mark.asyncio
async def test_lingering_ends_with_the_acknowledgement(both: Both) -> None:
    subject, peer = await accepted(both)
    subject.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 30))
    await subject.send(b"x")
    started = time.monotonic()
    await subject.close()
    assert time.monotonic() - started < 5
    assert await read_to_the_end(peer) == b"x"


@pytest.mark.asyncio
@pytest.mark.parametrize("reuse_address", [False, True])
async def test_a_port_is_listened_on_once(both: Both, reuse_address: bool) -> None:
    world, _ = both
    listener = await world.listen(PORT, reuse_address=reuse_address)
    await fails(world.listen(PORT, reuse_address=reuse_address), OSError, errno.EADDRINUSE)
    await fails(world.listen(PORT, address=world.address, reuse_address=reuse_address), OSError, errno.EADDRINUSE)
    await fails(world.connect(world.peer_address, PORT, local_port=PORT), OSError, errno.EADDRINUSE)
    await listener.close()


@pytest.mark.asyncio
async def test_an_address_that_is_somebody_elses(both: Both) -> None:
    world, _ = both
    await fails(world.listen(PORT, address=world.kind.foreign), OSError, errno.EADDRNOTAVAIL)


@pytest.mark.asyncio
async def test_a_listeners_port_in_time_wait(both: Both) -> None:
    world, _ = both
    subject, peer = await accepted(both)
    await subject.close()
    assert await peer.recv(1) == b""
    await peer.close()
    await fails(world.listen(PORT), OSError, errno.EADDRINUSE)
    await (await world.listen(PORT, reuse_address=True)).close()


@pytest.mark.asyncio
async def test_a_clients_port_in_time_wait(both: Both) -> None:
    world, peer = both
    listeners = [await peer.listen(PORT), await peer.listen(PORT + 1)]
    subject = await world.connect(world.peer_address, PORT, local_port=5555, reuse_address=True)
    other = await listeners[0].accept()
    await subject.close()
    assert await other.recv(1) == b""
    await other.close()
    await fails(world.connect(world.peer_address, PORT + 1, local_port=5555), OSError, errno.EADDRINUSE)
    again = await world.connect(world.peer_address, PORT + 1, local_port=5555, reuse_address=True)
    assert again.getsockname()[1] == 5555
    await again.close()


@pytest.mark.asyncio
async def test_options(both: Both) -> None:
    subject, _ = await accepted(both)
    six = both[0].kind is IPV6
    hops = (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if six else (socket.IPPROTO_IP, socket.IP_TTL)
    service = (socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if six else (socket.IPPROTO_IP, socket.IP_TOS)
    for level, option, value, read in (
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1, 1),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 0, 0),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1234, 1234),
        (*hops, 5, 5),
        (*hops, -1, 64),
        (*service, 0xBB, 0xB8),
        (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5), 1),
        (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0), 0),
    ):
        subject.setsockopt(level, option, value)
        assert subject.getsockopt(level, option) == read
    assert subject.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
    for level, option, value, number in (
        (*hops, -2 if six else 0, errno.EINVAL),
        (*hops, 256, errno.EINVAL),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, -1, errno.EINVAL),
        (socket.IPPROTO_TCP, 9999, 1, errno.ENOPROTOOPT),
        (socket.SOL_SOCKET, 9999, 1, errno.ENOPROTOOPT),
        (socket.SOL_SOCKET, socket.SO_TYPE, 1, errno.ENOPROTOOPT),
    ):
        with pytest.raises(OSError, match=r".") as caught:
            subject.setsockopt(level, option, value)
        assert caught.value.errno == number
    await subject.close()
