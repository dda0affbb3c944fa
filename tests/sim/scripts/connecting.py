"""``connect``: begun, pending, done, refused, and addresses that cannot be."""

from tests.sim.scripts.registry import SO_ERROR, names, script
from tests.sim.world import IPV4, IPV6, MAPPED, SHUT_RD, SHUT_WR, World

ODD = {
    IPV4: ("255.255.255.255", "224.0.0.1", "239.1.2.3", "198.51.100.255"),
    IPV6: ("ff02::1", "ff05::2", "ff0e::1:2"),
    MAPPED: ("::ffff:255.255.255.255", "::ffff:224.0.0.1", "::ffff:239.1.2.3", "::ffff:198.51.100.255"),
}
"""Addresses that are no one host's."""


@script
def connect_established(w: World) -> None:
    w.listener()
    s = w.client()
    s.bind((w.here, 0))
    w.step("connect", s.connect, (w.there, w.port))
    w.step("connect", s.connect, (w.there, w.port))
    w.step("connect", s.connect, (w.there, w.port))
    w.step("connect_ex", s.connect_ex, (w.there, w.port))
    w.step("connect elsewhere", s.connect, (w.silent, w.port))
    names(w, "connected", s)


@script
def connect_established_used_without_asking(w: World) -> None:
    w.listener()
    s = w.client()
    s.bind((w.here, 0))
    w.step("connect", s.connect, (w.there, w.port))
    names(w, "connected", s)
    w.step("send", s.send, b"x")
    w.step("recv", s.recv, 1)
    w.step("SO_ERROR", s.getsockopt, *SO_ERROR)
    w.step("connect", s.connect, (w.there, w.port))
    w.step("connect", s.connect, (w.there, w.port))


@script
def connect_pending(w: World) -> None:
    s = w.client()
    w.step("connect", s.connect, (w.silent, w.port))
    w.step("connect", s.connect, (w.silent, w.port))
    w.step("connect elsewhere", s.connect, (w.silent, w.port + 1))
    w.step("connect_ex", s.connect_ex, (w.silent, w.port))
    names(w, "connecting", s)
    w.step("send", s.send, b"x")
    w.step("send nothing", s.send, b"")
    w.step("recv", s.recv, 10)
    w.step("SO_ERROR", s.getsockopt, *SO_ERROR)
    w.step("bind", s.bind, (w.here, 0))
    w.step("close", s.close)


@script
def connect_pending_shutdown_write(w: World) -> None:
    s = w.client()
    w.step("connect", s.connect, (w.silent, w.port))
    w.step("shutdown", s.shutdown, SHUT_WR)
    names(w, "after", s)
    w.step("send", s.send, b"x")
    w.step("recv", s.recv, 10)
    w.step("shutdown", s.shutdown, SHUT_WR)
    w.step("connect", s.connect, (w.silent, w.port))


@script
def connect_pending_shutdown_read(w: World) -> None:
    s = w.client()
    w.step("connect", s.connect, (w.silent, w.port))
    w.step("shutdown", s.shutdown, SHUT_RD)
    w.step("recv", s.recv, 10)
    w.step("connect", s.connect, (w.silent, w.port))


@script
def connect_refused_seen_by_connect(w: World) -> None:
    s = w.client()
    s.bind((w.here, 0))
    w.step("connect", s.connect, (w.there, w.port + 9))
    w.step("connect", s.connect, (w.there, w.port + 9))
    names(w, "after", s)
    w.step("connect anew", s.connect, (w.there, w.port + 9))
    w.step("connect", s.connect, (w.there, w.port + 9))
    w.step("recv", s.recv, 10)
    w.step("send", s.send, b"x")


@script
def connect_refused_seen_by_so_error(w: World) -> None:
    s = w.client()
    s.bind((w.here, 0))
    w.step("connect", s.connect, (w.there, w.port + 9))
    w.step("SO_ERROR", s.getsockopt, *SO_ERROR)
    w.step("SO_ERROR", s.getsockopt, *SO_ERROR)
    w.step("connect", s.connect, (w.there, w.port + 9))
    w.step("connect", s.connect, (w.there, w.port + 9))
    w.step("connect", s.connect, (w.there, w.port + 9))
    w.step("SO_ERROR", s.getsockopt, *SO_ERROR)


@script
def connect_refused_seen_by_recv(w: World) -> None:
    s = w.client()
    s.bind((w.here, 0))
    w.step("connect", s.connect, (w.there, w.port + 9))
    names(w, "refused", s)
    w.step("recv", s.recv, 10)
    w.step("recv", s.recv, 10)
    w.step("send", s.send, b"x")
    w.step("shutdown", s.shutdown, SHUT_WR)
    w.step("listen", s.listen, 1)
    w.step("connect", s.connect, (w.there, w.port + 9))


@script
def connect_refused_seen_by_send(w: World) -> None:
    s = w.client()
    s.bind((w.here, 0))
    w.step("connect", s.connect, (w.there, w.port + 9))
    w.step("send", s.send, b"x")
    w.step("send", s.send, b"x")
    w.step("recv", s.recv, 10)
    w.step("connect_ex", s.connect_ex, (w.there, w.port + 9))


@script
def connect_refused_then_a_listener(w: World) -> None:
    s = w.client()
    s.bind((w.here, w.port + 1))
    w.step("connect", s.connect, (w.there, w.port))
    w.step("connect", s.connect, (w.there, w.port))
    w.listener()
    names(w, "between", s)
    w.step("connect", s.connect, (w.there, w.port))
    w.step("connect", s.connect, (w.there, w.port))
    names(w, "connected", s)


@script
def connect_refused_then_listen(w: World) -> None:
    s = w.client()
    s.bind((w.here, w.port + 1))
    w.step("connect", s.connect, (w.there, w.port))
    w.step("connect", s.connect, (w.there, w.port))
    w.step("listen", s.listen, 1)
    names(w, "listening", s)


@script
def connect_refused_unbound_then_names(w: World) -> None:
    s = w.client()
    w.step("connect", s.connect, (w.here, w.port + 9))
    w.step("SO_ERROR", s.getsockopt, *SO_ERROR)
    w.step("getpeername", s.getpeername)
    w.step("connect", s.connect, (w.here, w.port + 9))
    names(w, "given up", s)
    w.step("bind", s.bind, (w.here, w.port))
    names(w, "bound", s)


@script
def connect_to_odd_addresses(w: World) -> None:
    for address in ODD[w.names]:
        s = w.client()
        w.step(f"connect {address}", s.connect, (address, w.port))
        names(w, address, s)
        w.step(f"connect_ex {address}", s.connect_ex, (address, w.port))
        w.step("listen", s.listen, 1)


@script
def connect_to_port_0(w: World) -> None:
    s = w.client()
    s.bind((w.here, 0))
    w.step("connect", s.connect, (w.there, 0))
    w.step("connect", s.connect, (w.there, 0))
    w.step("getpeername", s.getpeername)


@script
def connect_to_port_0_of_nobody(w: World) -> None:
    s = w.client()
    w.step("connect", s.connect, (w.silent, 0))
    w.step("connect", s.connect, (w.silent, 0))
    names(w, "connecting", s)


@script
def connect_to_the_unspecified_address(w: World) -> None:
    listener = w.client()
    listener.bind((w.any, w.port + 3))
    listener.listen(1)
    s = w.client()
    s.bind((w.here, 0))
    w.step("connect", s.connect, (w.any, w.port + 3))
    w.step("connect", s.connect, (w.any, w.port + 3))
    names(w, "connected", s)
    names(w, "accepted", w.accept(listener))


@script
def connect_to_nobody_from_bound(w: World) -> None:
    s = w.client()
    s.bind((w.here, w.port))
    w.step("connect", s.connect, (ODD[w.names][0], w.port))
    names(w, "after", s)
    w.step("bind", s.bind, (w.here, w.port))


@script
def connect_to_oneself(w: World) -> None:
    listener = w.client()
    listener.bind((w.here, w.port))
    listener.listen(1)
    s = w.client()
    s.bind((w.here, 0))
    w.step("connect", s.connect, (w.here, w.port))
    w.step("connect", s.connect, (w.here, w.port))
    accepted = w.accept(listener)
    w.step("send", s.send, b"to myself")
    w.step("recv", accepted.recv, 100)
    w.step("getpeername", accepted.getpeername)


@script
def connect_a_socket_to_itself(w: World) -> None:
    s = w.client()
    s.bind((w.here, w.port))
    w.step("connect", s.connect, (w.here, w.port))
    w.step("connect", s.connect, (w.here, w.port))
    names(w, "connected", s)
    w.step("send", s.send, b"echo")
    w.step("recv", s.recv, 100)
    w.step("shutdown", s.shutdown, SHUT_WR)
    w.step("recv", s.recv, 100)


@script
def connect_into_a_full_accept_queue(w: World) -> None:
    w.listener(backlog=0)
    for turn in range(4):
        s = w.connecting((w.there, w.port))
        w.step(f"connect {turn}", s.connect, (w.there, w.port))


@script
def shut_down_before_it_connects(w: World) -> None:
    s = w.client()
    w.step("shutdown", s.shutdown, SHUT_WR)
    w.step("connect", s.connect, (w.silent, w.port))
    w.step("send", s.send, b"x")
    w.step("recv", s.recv, 10)
    w.step("shutdown", s.shutdown, SHUT_WR)
