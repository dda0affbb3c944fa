"""``listen`` and ``accept``."""

from tests.sim.scripts.registry import SO_ERROR, SO_LINGER, drained, names, script
from tests.sim.world import RESET_ON_CLOSE, SHUT_RD, SHUT_RDWR, SHUT_WR, World


@script
def listen_unbound(w: World) -> None:
    s = w.server()
    w.step("listen", s.listen, 1)
    names(w, "listening", s)
    w.step("listen again", s.listen, 7)
    w.step("bind", s.bind, (w.there, w.port))


@script
def listening(w: World) -> None:
    s = w.listener()
    names(w, "listening", s)
    w.step("accept", s.accept)
    w.step("connect_ex", s.connect_ex, (w.silent, w.port))
    w.step("connect", s.connect, (w.silent, w.port))
    w.step("recv", s.recv, 10)
    w.step("send", s.send, b"x")
    w.step("shutdown WR", s.shutdown, SHUT_WR)
    w.step("send", s.send, b"x")
    w.step("accept", s.accept)
    w.step("listen", s.listen, 2)
    w.step("SO_ERROR", s.getsockopt, *SO_ERROR)


@script
def listening_shutdown_read(w: World) -> None:
    s = w.listener()
    client = w.connecting((w.there, w.port))
    w.step("shutdown RD", s.shutdown, SHUT_RD)
    w.step("accept", s.accept)
    names(w, "after", s)
    w.step("client", client.recv, 10)
    w.step("recv", s.recv, 10)
    w.step("listen", s.listen, 2)
    w.step("accept", s.accept)


@script
def listening_shutdown_both_then_connect(w: World) -> None:
    s = w.server()
    s.bind((w.there, w.port))
    s.listen(1)
    w.step("shutdown RDWR", s.shutdown, SHUT_RDWR)
    w.step("shutdown RDWR", s.shutdown, SHUT_RDWR)
    names(w, "after", s)
    w.step("connect", s.connect, (w.foreign, w.port))


@script
def listener_closed_with_a_connection_waiting(w: World) -> None:
    s = w.listener()
    client = w.connecting((w.there, w.port))
    w.step("connected", client.connect, (w.there, w.port))
    w.step("close", s.close)
    drained(w, "client", client)


@script
def listen_bound_without_port_reuse(w: World) -> None:
    s = w.server()
    w.step("bind", s.bind, (w.there, 0))
    w.step("listen", s.listen)
    names(w, "listening", s)


@script
def listen_connected(w: World) -> None:
    client, accepted = w.pair()
    w.step("client", client.listen, 1)
    w.step("accepted", accepted.listen, 1)
    w.step("accept", client.accept)
    w.step("bind", client.bind, (w.here, w.port))


@script
def listen_connecting(w: World) -> None:
    s = w.connecting((w.silent, w.port))
    w.step("listen", s.listen, 1)
    w.step("accept", s.accept)
    w.step("bind", s.bind, (w.here, w.port))


@script
def accept_order_and_names(w: World) -> None:
    listener = w.listener()
    first = w.client()
    first.bind((w.here, w.port + 1))
    second = w.client()
    second.bind((w.here, w.port + 2))
    for s in (first, second):
        w.step("connect", s.connect, (w.there, w.port))
    for _ in range(2):
        accepted = w.accept(listener)
        names(w, "accepted", accepted)
    w.step("no more", listener.accept)
    w.step("accept on accepted", accepted.accept)
    w.step("connect on accepted", accepted.connect, (w.here, w.port))


@script
def accept_gives_the_address(w: World) -> None:
    listener = w.listener()
    client = w.client()
    client.bind((w.here, w.port + 1))
    client.connect_ex((w.there, w.port))
    w.settle()
    accepted, address = listener.accept()
    w.note("address", address)
    accepted.close()


@script
def accepted_after_the_client_closed(w: World) -> None:
    listener = w.listener()
    client = w.connecting((w.there, w.port))
    w.step("send", client.send, b"parting words")
    w.step("close", client.close)
    accepted = w.accept(listener)
    w.step("recv", accepted.recv, 100)
    w.step("recv", accepted.recv, 100)
    names(w, "accepted", accepted)


@script
def accepted_after_the_client_reset(w: World) -> None:
    listener = w.listener()
    client = w.connecting((w.there, w.port))
    client.setsockopt(*SO_LINGER, RESET_ON_CLOSE)
    w.step("close", client.close)
    accepted = w.accept(listener)
    names(w, "accepted", accepted)
    drained(w, "accepted", accepted)
