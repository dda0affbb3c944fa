"""Socket options that are settings of the connections: read back, in their range, on the wire, inherited."""

import errno
import socket

import pytest

from userstack.config import SECOND, StackConfig
from userstack.sim import VirtualHost
from userstack.wire.fast_codec import FastCodec
from userstack.wire.tcp import TcpSegment

TCP = socket.IPPROTO_TCP


def host() -> VirtualHost:
    return VirtualHost(["10.9.0.2/24"], config=StackConfig.linux())


def sent(virtual: VirtualHost) -> list[tuple[int, TcpSegment]]:
    codec = FastCodec()
    return [(time, codec.decode_tcp(codec.decode_ip(packet))) for time, packet in virtual.take()]


@pytest.mark.parametrize(
    ("level", "option", "before", "value", "after"),
    [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0, 1, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0, 7, 1),
        (TCP, socket.TCP_KEEPIDLE, 7200, 30, 30),
        (TCP, socket.TCP_KEEPINTVL, 75, 5, 5),
        (TCP, socket.TCP_KEEPCNT, 9, 4, 4),
        (TCP, socket.TCP_SYNCNT, 6, 2, 2),
        (TCP, socket.TCP_LINGER2, 60, 10, 10),
        (TCP, socket.TCP_LINGER2, 60, 121, 120),
        (TCP, socket.TCP_LINGER2, 60, -5, -1),
        (TCP, socket.TCP_LINGER2, 60, 0, 60),
        (TCP, socket.TCP_DEFER_ACCEPT, 0, 3, 3),
        (TCP, socket.TCP_DEFER_ACCEPT, 0, 4, 7),
        (TCP, socket.TCP_CORK, 0, 1, 1),
        (TCP, socket.TCP_MAXSEG, 536, 1000, 1000),
        (TCP, socket.TCP_QUICKACK, 1, 1, 1),
    ],
)
def test_what_is_set_is_read(level: int, option: int, before: int, value: int, after: int) -> None:
    s = host().socket()
    assert s.getsockopt(level, option) == before
    s.setsockopt(level, option, value)
    assert s.getsockopt(level, option) == after


@pytest.mark.parametrize(
    ("option", "values"),
    [
        (socket.TCP_KEEPIDLE, (0, -1, 32768)),
        (socket.TCP_KEEPINTVL, (0, 32768)),
        (socket.TCP_KEEPCNT, (0, 128)),
        (socket.TCP_SYNCNT, (0, 128)),
        (socket.TCP_MAXSEG, (1, 87, 32768)),
    ],
)
def test_what_cannot_be_is_refused(option: int, values: tuple[int, ...]) -> None:
    s = host().socket()
    for value in values:
        with pytest.raises(OSError, match="must be") as caught:
            s.setsockopt(TCP, option, value)
        assert caught.value.errno == errno.EINVAL


def test_too_few_octets_are_refused() -> None:
    for option in (socket.TCP_KEEPIDLE, socket.TCP_QUICKACK):
        with pytest.raises(OSError, match="octets") as caught:
            host().socket().setsockopt(TCP, option, b"\1")
        assert caught.value.errno == errno.EINVAL


def test_a_syn_is_repeated_as_often_as_asked_for() -> None:
    virtual = host()
    s = virtual.socket()
    s.setsockopt(TCP, socket.TCP_SYNCNT, 2)
    assert s.connect_ex(("10.9.0.1", 80)) == errno.EINPROGRESS
    virtual.run(until=60 * SECOND)
    assert [time // SECOND for time, _ in sent(virtual)] == [0, 1, 3]
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ETIMEDOUT


def test_the_options_of_a_listener_are_inherited() -> None:
    virtual = host()
    listener = virtual.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(TCP, socket.TCP_KEEPIDLE, 5)
    listener.bind(("10.9.0.2", 80))
    listener.listen()
    client = virtual.socket()
    client.connect_ex(("10.9.0.2", 80))
    s, _ = listener.accept()
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert s.getsockopt(TCP, socket.TCP_KEEPIDLE) == 5


def test_more_to_come_is_waited_for() -> None:
    virtual = host()
    listener = virtual.socket()
    listener.bind(("10.9.0.2", 80))
    listener.listen()
    client = virtual.socket()
    client.connect_ex(("10.9.0.2", 80))
    server, _ = listener.accept()
    client.connect(("10.9.0.2", 80))
    client.send(b"one ", socket.MSG_MORE)
    with pytest.raises(BlockingIOError):
        server.recv(100)
    client.send(b"two")
    assert server.recv(100) == b"one two"
    with pytest.raises(OSError, match="not supported") as caught:
        client.send(b"x", socket.MSG_EOR)
    assert caught.value.errno == errno.EOPNOTSUPP
