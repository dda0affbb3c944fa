"""What is left to a socket whose peer closed or reset."""

from tests.sim.scripts.registry import SO_ERROR, SO_LINGER, drained, names, script
from tests.sim.world import RESET_ON_CLOSE, SHUT_RDWR, SHUT_WR, Sock, World


@script
def peer_closed(w: World) -> None:
    client, accepted = w.pair()
    w.step("close", accepted.close)
    names(w, "client", client)
    w.step("recv", client.recv, 10)
    w.step("recv", client.recv, 10)
    w.step("send into the void", client.send, b"x")
    w.step("recv", client.recv, 10)
    w.step("send", client.send, b"x")
    w.step("send", client.send, b"x")
    w.step("SO_ERROR", client.getsockopt, *SO_ERROR)
    names(w, "client", client)


@script
def peer_closed_then_so_error(w: World) -> None:
    client, accepted = w.pair()
    w.step("close", accepted.close)
    w.step("send into the void", client.send, b"x")
    w.step("SO_ERROR", client.getsockopt, *SO_ERROR)
    w.step("SO_ERROR", client.getsockopt, *SO_ERROR)
    w.step("send", client.send, b"x")
    w.step("recv", client.recv, 10)


@script
def peer_closed_with_data_unread(w: World) -> None:
    client, accepted = w.pair()
    w.step("send", client.send, b"never read")
    w.step("close", accepted.close)
    names(w, "client", client)
    drained(w, "client", client)


def _reset(w: World) -> Sock:
    client, accepted = w.pair()
    accepted.setsockopt(*SO_LINGER, RESET_ON_CLOSE)
    w.step("close with linger 0", accepted.close)
    return client


@script
def reset_seen_by_recv(w: World) -> None:
    s = _reset(w)
    names(w, "reset", s)
    drained(w, "reset", s)
    w.step("SO_ERROR", s.getsockopt, *SO_ERROR)


@script
def reset_seen_by_send(w: World) -> None:
    s = _reset(w)
    w.step("send", s.send, b"x")
    w.step("send", s.send, b"x")
    w.step("recv", s.recv, 10)


@script
def reset_seen_by_so_error(w: World) -> None:
    s = _reset(w)
    w.step("SO_ERROR", s.getsockopt, *SO_ERROR)
    drained(w, "reset", s)


@script
def reset_then_shutdown(w: World) -> None:
    s = _reset(w)
    w.step("shutdown", s.shutdown, SHUT_WR)
    w.step("recv", s.recv, 10)
    w.step("shutdown", s.shutdown, SHUT_RDWR)
    w.step("listen", s.listen, 1)
    w.step("bind", s.bind, (w.here, w.port + 4))
    w.step("accept", s.accept)


@script
def reset_then_connect(w: World) -> None:
    s = _reset(w)
    w.step("connect", s.connect, (w.silent, w.port))
    w.step("connect", s.connect, (w.silent, w.port))
    w.step("recv", s.recv, 10)
    w.step("connect", s.connect, (w.silent, w.port))
    names(w, "after", s)


@script
def reset_with_data_unread(w: World) -> None:
    client, accepted = w.pair()
    w.step("send", accepted.send, b"last words")
    accepted.setsockopt(*SO_LINGER, RESET_ON_CLOSE)
    w.step("close with linger 0", accepted.close)
    w.step("recv", client.recv, 4)
    w.step("recv", client.recv, 100)
    w.step("recv", client.recv, 100)
    w.step("recv", client.recv, 100)


@script
def reset_after_fin(w: World) -> None:
    client, accepted = w.pair()
    w.step("shutdown", accepted.shutdown, SHUT_WR)
    w.step("send", client.send, b"unread")
    w.step("close", accepted.close)
    drained(w, "client", client)


@script
def reset_unasked_connect(w: World) -> None:
    listener = w.listener()
    client = w.connecting((w.there, w.port))
    accepted = w.accept(listener)
    accepted.setsockopt(*SO_LINGER, RESET_ON_CLOSE)
    w.step("close with linger 0", accepted.close)
    w.step("connect", client.connect, (w.there, w.port))
    w.step("connect", client.connect, (w.there, w.port))
