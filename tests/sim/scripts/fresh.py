"""Sockets that nothing was done with yet, and closed ones."""

from tests.sim.scripts.registry import SO_ERROR, SO_REUSEADDR, names, script
from tests.sim.world import SHUT_RD, SHUT_RDWR, SHUT_WR, World


@script
def fresh(w: World) -> None:
    s = w.client()
    names(w, "fresh", s)
    w.step("recv", s.recv, 10)
    w.step("recv nothing", s.recv, 0)
    w.step("send", s.send, b"x")
    w.step("send nothing", s.send, b"")
    w.step("accept", s.accept)
    for how in (SHUT_RD, SHUT_WR, SHUT_RDWR, 3, -1):
        w.step(f"shutdown({how})", s.shutdown, how)
    w.step("SO_ERROR", s.getsockopt, *SO_ERROR)
    w.step("recv", s.recv, 10)
    w.step("connect", s.connect, (w.silent, w.port))


@script
def fresh_after_shutdown_recv(w: World) -> None:
    s = w.client()
    w.step("shutdown", s.shutdown, SHUT_RDWR)
    w.step("recv", s.recv, 10)
    w.step("send", s.send, b"x")
    w.step("bind", s.bind, (w.here, w.port))
    w.step("listen", s.listen, 1)


@script
def closed(w: World) -> None:
    s = w.client()
    s.close()
    w.step("bind", s.bind, (w.there, w.port))
    w.step("listen", s.listen, 1)
    w.step("accept", s.accept)
    w.step("connect", s.connect, (w.there, w.port))
    w.step("connect_ex", s.connect_ex, (w.there, w.port))
    w.step("send", s.send, b"x")
    w.step("recv", s.recv, 1)
    w.step("recv_into", s.recv_into, bytearray(4))
    w.step("shutdown", s.shutdown, SHUT_RDWR)
    w.step("setsockopt", s.setsockopt, *SO_REUSEADDR, 1)
    w.step("getsockopt", s.getsockopt, *SO_REUSEADDR)
    names(w, "closed", s)
    w.step("close", s.close)
