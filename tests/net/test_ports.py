"""Which uses of a port get along, each pair judged by the real kernel too."""

import errno
import itertools
import random
import socket
from contextlib import ExitStack

import pytest

from userstack.address import Endpoint, pack_address
from userstack.errors import AddressInUse
from userstack.net.ports import Kind, PortTable

PLACES = [
    ("0.0.0.0", False),
    ("127.0.0.1", False),
    ("127.0.0.2", False),
    ("::", False),
    ("::", True),
    ("::1", False),
    ("::1", True),
]


def kernel_refuses(first: tuple[str, bool], second: tuple[str, bool], *, reuse: bool, listening: bool) -> bool:
    """Whether the kernel's sockets cannot be bound to both places."""
    with ExitStack() as sockets:

        def bound(place: tuple[str, bool], port: int) -> socket.socket:
            address, v6only = place
            six = ":" in address
            s = sockets.enter_context(socket.socket(socket.AF_INET6 if six else socket.AF_INET))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
            if six:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
            s.bind((address, port))
            return s

        one = bound(first, 0)
        if listening:
            one.listen(1)
        try:
            bound(second, one.getsockname()[1])
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return True
        return False


def refuses(first: tuple[str, bool], second: tuple[str, bool], *, reuse: bool, listening: bool) -> bool:
    ports = PortTable((40000, 50000), random.Random(0).randrange)
    one = ports.bind(Endpoint(pack_address(first[0]), 80), reuse_address=reuse, v6only=first[1])
    if listening:
        ports.change(one, Kind.LISTENING)
    try:
        ports.bind(Endpoint(pack_address(second[0]), 80), reuse_address=reuse, v6only=second[1])
    except AddressInUse:
        return True
    return False


@pytest.mark.parametrize(("reuse", "listening"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize(("first", "second"), list(itertools.product(PLACES, PLACES)))
def test_two_binds_conflict_where_the_kernels_do(
    first: tuple[str, bool], second: tuple[str, bool], reuse: bool, listening: bool
) -> None:
    assert refuses(first, second, reuse=reuse, listening=listening) == kernel_refuses(
        first, second, reuse=reuse, listening=listening
    )


@pytest.mark.parametrize(
    ("place", "both"),
    [("::", True), ("0.0.0.0", False), ("fd3d::1", False), ("10.9.0.2", False)],
)
def test_the_ipv6_wildcard_alone_is_for_both_families(place: str, both: bool) -> None:
    ports = PortTable((40000, 50000), random.Random(0).randrange)
    local = Endpoint(pack_address(place), 0)
    assert ports.bind(local, reuse_address=False).both_families is both
    assert ports.bind(local, reuse_address=False, v6only=True).both_families is False


def test_a_port_that_is_chosen_is_free_in_both_families() -> None:
    ports = PortTable((40000, 40003), random.Random(0).randrange)
    places = [pack_address(text) for text in ("0.0.0.0", "fd3d::1", "::", "10.9.0.2")]
    chosen = [ports.bind(Endpoint(place, 0), reuse_address=True, v6only=True).local.port for place in places]
    assert sorted(chosen) == [40000, 40001, 40002, 40003]
