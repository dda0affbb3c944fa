"""getsockopt(TCP_INFO): the kernel's struct, as long as the caller wants it, of every kind of socket."""

import socket
import struct

import pytest

from tests.support.netns import kernel_namespace
from userstack.sim import VirtualHost
from userstack.tcp import linux_info

OF_THIS_MOMENT = {"tcpi_last_data_sent", "tcpi_last_data_recv", "tcpi_last_ack_recv"}
"""What Linux tells in jiffies since its start where nothing has happened yet."""


def ask(sock: object, size: int = 1024) -> bytes:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)  # type: ignore[attr-defined, no-any-return]


def test_it_is_cut_off_at_the_length_that_was_asked_for() -> None:
    sock = VirtualHost(["10.0.0.1/24"]).socket()
    whole = ask(sock)
    assert len(whole) == linux_info.SIZE == 280
    assert [ask(sock, size) for size in (1, 8, 104, 279)] == [whole[:size] for size in (1, 8, 104, 279)]
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO) == struct.unpack("=i", whole[:4])[0]
    with pytest.raises(OSError, match="Protocol not available"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)


def test_what_it_packs_it_reads() -> None:
    sock = VirtualHost(["10.0.0.1/24"]).socket()
    assert linux_info.unpack(ask(sock)) == {
        name: min(value, 0xFFFFFFFFFFFFFFFF) for name, value in linux_info.values(sock.info()).items()
    }
    assert linux_info.unpack(ask(sock, 8))["tcpi_rto"] == 0


@pytest.mark.parametrize("listening", [False, True])
def test_the_kernel_tells_the_same_of_a_socket_without_a_connection(listening: bool) -> None:
    ours = VirtualHost(["10.0.0.1/24"]).socket()
    with kernel_namespace() as namespace, namespace.socket(socket.AF_INET) as theirs:
        for sock in (ours, theirs):
            if listening:
                sock.bind(("0.0.0.0", 0))
                sock.listen(7)
        raw = ask(theirs)
        told, expected = linux_info.unpack(ask(ours)), linux_info.unpack(raw)
    assert len(raw) == linux_info.SIZE
    compared = told.keys() - OF_THIS_MOMENT
    assert {name: told[name] for name in compared} == {name: expected[name] for name in compared}
    assert told["tcpi_state"] == (10 if listening else 7)
