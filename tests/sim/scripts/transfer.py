"""``send``, ``recv`` and ``shutdown`` on an established connection."""

from tests.sim.scripts.registry import SO_ERROR, drained, names, script
from tests.sim.world import SHUT_RD, SHUT_RDWR, SHUT_WR, Sock, World


@script
def transfer(w: World) -> None:
    client, accepted = w.pair()
    w.step("recv nothing there", client.recv, 10)
    w.step("send", client.send, b"hello world")
    w.step("send nothing", client.send, b"")
    w.step("send a memoryview", client.send, memoryview(bytearray(b"!!")))
    w.step("recv none", accepted.recv, 0)
    w.step("recv some", accepted.recv, 5)
    w.step("recv rest", accepted.recv, 100)
    w.step("recv nothing there", accepted.recv, 100)
    w.step("send back", accepted.send, b"abcdefgh")
    buffer = bytearray(5)
    w.step("recv_into", client.recv_into, buffer)
    w.note("buffer", bytes(buffer))
    w.step("recv_into two", client.recv_into, buffer, 2)
    w.note("buffer", bytes(buffer))
    w.step("recv_into rest", client.recv_into, buffer)
    w.step("recv_into nothing there", client.recv_into, buffer)
    w.step("recv_into nothing", client.recv_into, bytearray())


@script
def half_close(w: World) -> None:
    client, accepted = w.pair()
    w.step("send", client.send, b"request")
    w.step("shutdown", client.shutdown, SHUT_WR)
    w.step("send", client.send, b"more")
    w.step("send nothing", client.send, b"")
    w.step("shutdown again", client.shutdown, SHUT_WR)
    w.step("recv", accepted.recv, 100)
    w.step("end", accepted.recv, 100)
    w.step("end stays", accepted.recv, 100)
    w.step("answer", accepted.send, b"answer")
    w.step("recv", client.recv, 100)
    w.step("recv nothing there", client.recv, 100)
    names(w, "client", client)
    names(w, "accepted", accepted)
    w.step("close", accepted.close)
    w.step("end", client.recv, 100)
    w.step("send", client.send, b"x")
    w.step("shutdown at the end", client.shutdown, SHUT_WR)


@script
def both_shut_down(w: World) -> None:
    client, accepted = w.pair()
    w.step("client", client.shutdown, SHUT_WR)
    w.step("accepted", accepted.shutdown, SHUT_WR)
    names(w, "client", client)
    names(w, "accepted", accepted)
    for label, s in (("client", client), ("accepted", accepted)):
        drained(w, label, s)
        w.step(f"{label} shutdown", s.shutdown, SHUT_RDWR)
        w.step(f"{label} SO_ERROR", s.getsockopt, *SO_ERROR)
        w.step(f"{label} connect", s.connect, (w.silent, w.port))
        w.step(f"{label} listen", s.listen, 1)


@script
def shutdown_read(w: World) -> None:
    client, accepted = w.pair()
    w.step("send", accepted.send, b"before")
    w.step("shutdown", client.shutdown, SHUT_RD)
    w.step("recv what was there", client.recv, 100)
    w.step("recv", client.recv, 100)
    w.step("send", accepted.send, b"after")
    w.step("recv what came", client.recv, 100)
    w.step("recv", client.recv, 100)
    w.step("shutdown again", client.shutdown, SHUT_RD)
    w.step("send goes on", client.send, b"x")
    w.step("recv", accepted.recv, 100)


@script
def shutdown_both(w: World) -> None:
    client, accepted = w.pair()
    w.step("shutdown", client.shutdown, SHUT_RDWR)
    w.step("recv", client.recv, 100)
    w.step("send", client.send, b"x")
    w.step("shutdown again", client.shutdown, SHUT_RDWR)
    w.step("peer", accepted.recv, 100)
    w.step("peer sends", accepted.send, b"after")
    w.step("recv what came", client.recv, 100)
    w.step("recv", client.recv, 100)
    w.step("bad how", client.shutdown, 7)


def _took(s: Sock, data: bytes) -> int:
    try:
        return s.send(data)
    except BlockingIOError:
        return 0


@script
def send_until_full(w: World) -> None:
    client, accepted = w.pair()
    block = b"0123456789abcdef" * 4096
    total = 0
    for _ in range(400):
        taken = _took(client, block)
        if not taken:
            break
        total += taken
        w.settle()
    w.step("send when full", client.send, b"x")
    w.step("send much when full", client.send, block)
    received = bytearray()
    for _ in range(10000):
        try:
            received += accepted.recv(65536)
        except BlockingIOError:
            break
        w.settle()
    w.note("all that was taken came", len(received) == total and bytes(received[:65536]) == block)
    w.step("send again", client.send, b"x")
    w.step("recv", accepted.recv, 10)


@script
def send_more_than_fits(w: World) -> None:
    client, _ = w.pair()
    taken = client.send(bytes(32 << 20))
    w.note("a part was taken", 0 < taken < 32 << 20)
    w.settle()
    for _ in range(1000):
        if not _took(client, bytes(1 << 20)):
            break
        w.settle()
    w.step("the next is refused", client.send, bytes(32 << 20))
    w.step("shutdown with all that waiting", client.shutdown, SHUT_WR)
    w.step("send", client.send, b"x")
