"""How a connection gets into each state: the calls and the segments, by name."""

from collections.abc import Callable

from tests.oracle.bench import Bench

FLIGHT = 60
"""Octets in flight or queued, where there are any."""
Script = Callable[[Bench], None]


def passive(bench: Bench) -> None:
    bench.listen()
    bench.says("S")
    bench.says("A")
    bench.accept()


def active(bench: Bench) -> None:
    bench.connect()
    bench.says("SA")


def simultaneous(bench: Bench) -> None:
    bench.connect()
    bench.says("S")


def simultaneous_with_text(bench: Bench) -> None:
    bench.connect()
    bench.says("S", size=30)


def half_open(bench: Bench) -> None:
    bench.listen()
    bench.says("S")


def fill(bench: Bench) -> None:
    """Receive window zero."""
    bench.says("A", size=bench.reference.rcv_wnd)


def fill_and_end(bench: Bench) -> None:
    """Receive window zero, the FIN its last octet."""
    bench.says("FA", size=bench.reference.rcv_wnd - 1)


def send(bench: Bench) -> None:
    bench.send(FLIGHT)


def stall(bench: Bench) -> None:
    """The peer offers nothing any more."""
    bench.says("A", wnd=0)


def shrink(bench: Bench) -> None:
    """The peer takes its window back while text is in flight."""
    bench.says("A", wnd=0, ack=FLIGHT)


def shutdown(bench: Bench) -> None:
    bench.shutdown()


def close(bench: Bench) -> None:
    bench.close()


def fin(bench: Bench) -> None:
    """The peer's FIN, which acknowledges all."""
    bench.says("FA")


def early_fin(bench: Bench) -> None:
    """The peer's FIN, which acknowledges nothing new: both ends close at once."""
    reference = bench.reference
    bench.says("FA", ack=(reference.snd_nxt - reference.snd_una) % 2**32, wnd=reference.snd_wnd)


def ack(bench: Bench) -> None:
    bench.says("A")


def listen_only(bench: Bench) -> None:
    bench.listen()


def gap(bench: Bench) -> None:
    """Text beyond a gap is held."""
    bench.says("A", size=30, skip=20)


def gap_and_fin(bench: Bench) -> None:
    """Text and FIN beyond a gap are held; nothing new is acknowledged."""
    reference = bench.reference
    bench.says("FA", size=30, skip=20, ack=(reference.snd_nxt - reference.snd_una) % 2**32)


def gap_before_fin(bench: Bench) -> None:
    """The FIN beyond a gap is held."""
    bench.says("FA", skip=20)


def reset(bench: Bench) -> None:
    bench.says("R")


def reopen(bench: Bench) -> None:
    """A new SYN finds TIME-WAIT."""
    bench.says("S", skip=5_000)


SCRIPTS: dict[str, tuple[Script, ...]] = {
    "CLOSED": (),
    "CLOSED, after a reset": (active, reset),
    "LISTEN": (listen_only,),
    "SYN-SENT": (Bench.connect,),
    "SYN-RECEIVED": (half_open,),
    "SYN-RECEIVED, simultaneous open": (simultaneous,),
    "SYN-RECEIVED, simultaneous open, text queued": (simultaneous_with_text,),
    "SYN-RECEIVED, from TIME-WAIT": (passive, shutdown, ack, fin, reopen),
    "ESTABLISHED": (passive,),
    "ESTABLISHED, active": (active,),
    "ESTABLISHED, data in flight": (passive, send),
    "ESTABLISHED, data queued, SND.WND zero": (passive, stall, send),
    "ESTABLISHED, data in flight, SND.WND shrunk to zero": (active, send, shrink),
    "ESTABLISHED, RCV.WND zero": (passive, fill),
    "ESTABLISHED, RCV.WND zero, data in flight": (passive, fill, send),
    "ESTABLISHED, RCV.WND zero, SND.WND zero, data queued": (passive, fill, stall, send),
    "ESTABLISHED, text held": (active, gap),
    "ESTABLISHED, FIN held": (passive, gap_before_fin),
    "ESTABLISHED, text and FIN held": (passive, gap_and_fin),
    "FIN-WAIT-1": (active, shutdown),
    "FIN-WAIT-1, SYN not acknowledged": (simultaneous, shutdown),
    "FIN-WAIT-1, data in flight": (passive, send, shutdown),
    "FIN-WAIT-1, data queued, SND.WND zero": (passive, stall, send, shutdown),
    "FIN-WAIT-1, FIN queued, SND.WND zero": (passive, stall, shutdown),
    "FIN-WAIT-1, RCV.WND zero": (passive, fill, shutdown),
    "FIN-WAIT-1, text and FIN held": (passive, shutdown, gap_and_fin),
    "FIN-WAIT-1, socket closed": (passive, close),
    "FIN-WAIT-2": (passive, shutdown, ack),
    "FIN-WAIT-2, RCV.WND zero": (active, fill, shutdown, ack),
    "FIN-WAIT-2, text and FIN held": (passive, shutdown, ack, gap_and_fin),
    "FIN-WAIT-2, socket closed": (passive, close, ack),
    "CLOSE-WAIT": (passive, fin),
    "CLOSE-WAIT, data in flight": (active, fin, send),
    "CLOSE-WAIT, data queued, SND.WND zero": (passive, fin, stall, send),
    "CLOSE-WAIT, data and FIN queued, SND.WND zero": (passive, fin, stall, send, shutdown),
    "CLOSE-WAIT, RCV.WND zero": (passive, fill_and_end),
    "CLOSING": (passive, shutdown, early_fin),
    "CLOSING, data in flight": (active, send, shutdown, early_fin),
    "CLOSING, data queued, SND.WND zero": (passive, stall, send, shutdown, early_fin),
    "LAST-ACK": (passive, fin, shutdown),
    "LAST-ACK, data in flight": (passive, fin, send, shutdown),
    "LAST-ACK, FIN queued, SND.WND zero": (passive, fin, stall, shutdown),
    "LAST-ACK, RCV.WND zero": (active, fill_and_end, shutdown),
    "LAST-ACK, socket closed": (passive, fin, close),
    "TIME-WAIT": (active, shutdown, ack, fin),
    "TIME-WAIT, RCV.WND zero": (active, shutdown, ack, fill_and_end),
    "TIME-WAIT, a listener behind it": (passive, shutdown, ack, fin),
}
