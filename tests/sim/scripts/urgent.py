"""Urgent data: MSG_OOB, SO_OOBINLINE, the mark, and what ``poll`` tells of them."""

from socket import MSG_OOB, MSG_PEEK, SO_OOBINLINE, SOL_SOCKET

from tests.sim.scripts.registry import SO_LINGER, script
from tests.sim.world import RESET_ON_CLOSE, SHUT_RD, SHUT_RDWR, SHUT_WR, Sock, World


def look(w: World, label: str, s: Sock) -> None:
    """Record what can be known without reading."""
    w.step(f"{label}: peek", s.recv, 100, MSG_PEEK)
    w.step(f"{label}: peek out of band", s.recv, 1, MSG_OOB | MSG_PEEK)
    w.note(f"{label}: at the mark", w.at_mark(s))
    w.note(f"{label}: events", w.events(s))


def read_over_the_mark(w: World, s: Sock, size: int) -> None:
    """All up to the mark, and then up to ``size`` octets beyond it."""
    w.step("recv", s.recv, 100)
    look(w, "at the mark", s)
    w.step("recv", s.recv, size)
    look(w, "past the mark", s)


@script
def urgent_nothing_there(w: World) -> None:
    fresh = w.client()
    w.step("fresh: recv out of band", fresh.recv, 1, MSG_OOB)
    w.step("fresh: send urgent", fresh.send, b"x", MSG_OOB)
    w.step("fresh: recv none", fresh.recv, 0, MSG_OOB)
    listener = w.listener()
    w.step("listener: recv out of band", listener.recv, 1, MSG_OOB)
    client, accepted = w.pair(listener)
    look(w, "established", accepted)
    w.step("send nothing urgent", client.send, b"", MSG_OOB)
    look(w, "after nothing", accepted)


@script
def urgent_out_of_band(w: World) -> None:
    client, accepted = w.pair()
    w.step("send", client.send, b"ab")
    w.step("send urgent", client.send, b"cD", MSG_OOB)
    w.step("send", client.send, b"ef")
    look(w, "arrived", accepted)
    w.step("recv out of band", accepted.recv, 10, MSG_OOB)
    look(w, "urgent octet read", accepted)
    read_over_the_mark(w, accepted, 1)
    w.step("recv", accepted.recv, 100)


@script
def urgent_passed_by(w: World) -> None:
    client, accepted = w.pair()
    w.step("send urgent", client.send, b"abC", MSG_OOB)
    read_over_the_mark(w, accepted, 100)
    w.step("send", client.send, b"de")
    w.step("recv", accepted.recv, 100)


@script
def urgent_read_an_octet_at_a_time(w: World) -> None:
    client, accepted = w.pair()
    w.step("send urgent", client.send, b"aB", MSG_OOB)
    w.step("send", client.send, b"cd")
    buffer = bytearray(3)
    for turn in range(5):
        w.step(f"recv_into {turn}", accepted.recv_into, buffer, 1)
        w.note("buffer", bytes(buffer))
        w.note("at the mark", w.at_mark(accepted))


@script
def urgent_in_line(w: World) -> None:
    client, accepted = w.pair()
    for value in (1, 0, 7, -1):
        w.step(f"set {value}", accepted.setsockopt, SOL_SOCKET, SO_OOBINLINE, value)
        w.step("get", accepted.getsockopt, SOL_SOCKET, SO_OOBINLINE)
    w.step("too short", accepted.setsockopt, SOL_SOCKET, SO_OOBINLINE, b"\1")
    w.step("send urgent", client.send, b"abC", MSG_OOB)
    w.step("send", client.send, b"de")
    look(w, "arrived", accepted)
    read_over_the_mark(w, accepted, 1)
    w.step("recv", accepted.recv, 100)


@script
def urgent_twice(w: World) -> None:
    client, accepted = w.pair()
    w.step("send urgent", client.send, b"abC", MSG_OOB)
    w.step("send urgent", client.send, b"deF", MSG_OOB)
    look(w, "arrived", accepted)
    w.step("recv", accepted.recv, 100)
    look(w, "at the mark", accepted)
    w.step("send urgent", client.send, b"G", MSG_OOB)
    look(w, "another", accepted)
    w.step("recv", accepted.recv, 100)
    w.step("recv out of band", accepted.recv, 1, MSG_OOB)


@script
def urgent_read_and_again(w: World) -> None:
    client, accepted = w.pair()
    w.step("send urgent", client.send, b"abC", MSG_OOB)
    w.step("recv out of band", accepted.recv, 1, MSG_OOB)
    w.step("send urgent", client.send, b"D", MSG_OOB)
    look(w, "arrived", accepted)
    w.step("recv", accepted.recv, 100)
    w.step("recv", accepted.recv, 100)
    look(w, "read", accepted)


@script
def urgent_and_the_end(w: World) -> None:
    client, accepted = w.pair()
    w.step("send urgent", client.send, b"abC", MSG_OOB)
    w.step("shutdown", client.shutdown, SHUT_WR)
    w.step("send urgent", client.send, b"D", MSG_OOB)
    look(w, "arrived", accepted)
    read_over_the_mark(w, accepted, 100)
    w.step("recv out of band", accepted.recv, 1, MSG_OOB)


@script
def urgent_and_both_closed(w: World) -> None:
    client, accepted = w.pair()
    w.step("send urgent", client.send, b"abC", MSG_OOB)
    w.step("shutdown", client.shutdown, SHUT_WR)
    w.step("shutdown", accepted.shutdown, SHUT_RDWR)
    look(w, "closed", accepted)
    w.step("recv out of band", accepted.recv, 1, MSG_OOB)
    w.step("recv", accepted.recv, 100)
    w.step("recv", accepted.recv, 100)


@script
def urgent_and_a_reset(w: World) -> None:
    client, accepted = w.pair()
    w.step("send urgent", client.send, b"abC", MSG_OOB)
    client.setsockopt(*SO_LINGER, RESET_ON_CLOSE)
    w.step("close with linger 0", client.close)
    look(w, "reset", accepted)
    w.step("recv out of band", accepted.recv, 1, MSG_OOB)
    w.step("recv", accepted.recv, 100)
    w.step("recv", accepted.recv, 100)
    w.step("send urgent", accepted.send, b"x", MSG_OOB)


@script
def urgent_and_shutdown_of_reading(w: World) -> None:
    client, accepted = w.pair()
    w.step("shutdown", accepted.shutdown, SHUT_RD)
    look(w, "before", accepted)
    w.step("send urgent", client.send, b"abC", MSG_OOB)
    look(w, "arrived", accepted)
    w.step("recv out of band", accepted.recv, 1, MSG_OOB)
    w.step("recv", accepted.recv, 100)
    w.step("recv", accepted.recv, 100)


@script
def urgent_left_unread_resets(w: World) -> None:
    client, accepted = w.pair()
    w.step("send urgent", client.send, b"C", MSG_OOB)
    w.step("recv out of band", accepted.recv, 1, MSG_OOB)
    w.step("close", accepted.close)
    w.step("recv", client.recv, 1)


@script
def urgent_while_connecting(w: World) -> None:
    s = w.client()
    w.step("connect", s.connect, (w.silent, w.port))
    w.step("send urgent", s.send, b"x", MSG_OOB)
    w.step("recv out of band", s.recv, 1, MSG_OOB)
    w.step("close", s.close)
    w.step("closed: recv out of band", s.recv, 1, MSG_OOB)
