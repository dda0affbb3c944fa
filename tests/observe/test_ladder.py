"""The ladder as text: golden pictures from fixed events, with and without colour, wide, narrow and without Unicode."""

import io
from collections.abc import Iterable

from rich.console import Console

from tests.observe.scenes import OUR_SYN, Scene, build, peer_closes_first, we_close_first
from tests.observe.watching import record
from userstack.observe.ladder import Ladder
from userstack.observe.steps import Alarm, Arrow, Discard, Folded, Step
from userstack.trace import PacketReceived
from userstack.wire.tcp import Option

WITHOUT_COLOUR = """
            └ CLOSED → LISTEN             call OPEN         RFC 9293 3.10.1

   time ms  userstack                                                                Linux kernel  step
            10.9.0.2:7                                                               10.9.0.1:40000
──────────────────────────────────────────────────────────────────────────────────────────────────────────
     1.000  SYN-RECEIVED ◀─── SYN seq 0 win 64240 <mss 1460 sackOK TS ws 7> ──────── ?             1/3
            └ LISTEN → SYN-RECEIVED       segment SYN       RFC 9293 3.10.7.2
     2.000  SYN-RECEIVED ─── SYN,ACK seq 0 ack 1 win 65535 <mss 1460> ─────────────▶ ?             2/3
     3.000  ESTABLISHED  ◀─── ACK seq 1 ack 1 win 64240 ──────────────────────────── ?             3/3
            └ SYN-RECEIVED → ESTABLISHED  segment ACK       RFC 9293 3.10.7.4 step 5 · after 2.000 ms
     4.000  ESTABLISHED  ◀─── PSH,ACK seq 1 ack 1 len 22 win 64240 ───────────────── ?
            · 'hello from the kernel\\n'
     5.000  ESTABLISHED  ─── PSH,ACK seq 1 ack 23 len 21 win 65535 ────────────────▶ ?
            · 'hello from userstack\\n'
     6.000  ESTABLISHED  ◀─── ACK seq 23 ack 22 win 64240 ────────────────────────── ?
     7.000  CLOSE-WAIT   ◀─── FIN,ACK seq 23 ack 22 win 64240 ────────────────────── ?             1/4
            · the peer closes first
            └ ESTABLISHED → CLOSE-WAIT    segment FIN,ACK   RFC 9293 3.10.7.4 step 8 · after 4.000 ms
     8.000  CLOSE-WAIT   ─── ACK seq 22 ack 24 win 65535 ──────────────────────────▶ ?             2/4
            └ CLOSE-WAIT → LAST-ACK       call CLOSE        RFC 9293 3.10.4 · after 1.000 ms
     9.000  LAST-ACK     ─── FIN,ACK seq 22 ack 24 win 65535 ──────────────────────▶ ?             3/4
    10.000  CLOSED       ◀─── ACK seq 24 ack 23 win 64240 ────────────────────────── ?             4/4
            └ LAST-ACK → CLOSED           segment ACK       RFC 9293 3.10.7.4 step 5 · after 2.000 ms
            · TCB freed at 10.000 ms: 10.9.0.2:7 → 10.9.0.1:40000
"""

LOSS = """
   time ms  userstack                                                                Linux kernel  step
            10.9.0.2:7                                                               10.9.0.1:40000
──────────────────────────────────────────────────────────────────────────────────────────────────────────
     1.000  SYN-SENT     ─── SYN seq 0 win 65535 <mss 1460> ─────────────────✗       LISTEN        1/3
            · lost on the way, on purpose: the peer never saw it
            · retransmission timer fires at 1001.000 ms (RTO 2 s)
  1002.000  SYN-SENT     ─── SYN seq 0 win 65535 <mss 1460> ───────────────────────▶ LISTEN        1/3
            · retransmission: these numbers were sent before
"""

ASCII_LADDER = """
   time ms  userstack                                                                Linux kernel  step
            10.9.0.2:7                                                               10.9.0.1:40000
----------------------------------------------------------------------------------------------------------
     1.000  CLOSED       --- SYN seq 0 win 65535 <mss 1460> -----------------------> ?             1/3
     2.000  CLOSED       <--- SYN,ACK seq 0 ack 1 win 64240 ------------------------ ?             2/3
            ` SYN-SENT -> ESTABLISHED     segment SYN,ACK   RFC 9293 3.10.7.3 step 4
"""


def drawn(steps: Iterable[Step], *, width: int = 106, encoding: str = "utf-8", colour: bool = False) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    console = Console(file=stream, width=width, force_terminal=colour, color_system="truecolor" if colour else None, _environ={})
    ladder = Ladder(console, peer="Linux kernel", show_data=True)
    for step in steps:
        ladder(step)
    stream.flush()
    return raw.getvalue().decode(encoding)


def lossy() -> tuple[Scene, bytes]:
    scene = Scene()
    scene.moves("CLOSED", "SYN-SENT", "call OPEN", "3.10.1")
    lost = scene.sent("SYN", 0, options=OUR_SYN)
    return scene, lost


def test_a_whole_connection() -> None:
    assert "\n" + drawn(record(peer_closes_first().events)) == WITHOUT_COLOUR


def test_colour_only_adds_to_the_words() -> None:
    coloured = drawn(record(peer_closes_first().events), colour=True)
    assert "\x1b[" in coloured
    assert _without_escapes(coloured) == WITHOUT_COLOUR[1:]


def _without_escapes(text: str) -> str:
    pieces = text.split("\x1b[")
    return pieces[0] + "".join(piece.partition("m")[2] for piece in pieces[1:])


def test_a_loss_and_its_repair() -> None:
    scene, lost = lossy()
    steps = record(scene.events[1:], lambda local, remote, leaving: "LISTEN", lose=[lost])
    arrow = next(step for step in steps if isinstance(step, Arrow))
    assert arrow.lost
    again = Scene(now=1_001_000_000)
    again.sent("SYN", 0, options=OUR_SYN)
    repeated = record([scene.events[0], scene.events[1], again.events[0]], lambda local, remote, leaving: "LISTEN", lose=[])[-1]
    alarm = Alarm(time=1_001_000_000, local=arrow.local, remote=arrow.remote, timer="retransmission", detail="RTO 2 s")
    first = record(scene.events, lambda local, remote, leaving: "LISTEN", lose=[lost])[1]
    assert drawn([first, alarm, repeated]) == LOSS


def test_without_unicode_it_is_drawn_in_ascii() -> None:
    scene = Scene()
    scene.sent("SYN", 0, options=OUR_SYN)
    scene.received("SYN,ACK", 0, 1)
    steps = record(scene.events)
    scene.events.clear()
    scene.moves("SYN-SENT", "ESTABLISHED", "segment SYN,ACK", "3.10.7.3 step 4")
    assert drawn([*steps, *record(scene.events)], encoding="ascii") == ASCII_LADDER


def test_every_line_fits_and_ends_line_up_at_any_width() -> None:
    for width in (40, 100, 106, 110, 200):
        lines = drawn(record(we_close_first(merged=True).events), width=width).splitlines()
        shafts = [line for line in lines if "───" in line and "seq" in line]
        assert len({line.index(" ?") for line in shafts}) == 1
        assert max(map(len, lines)) == min(max(width, 100), 110)


def test_words_that_do_not_fit_are_cut() -> None:
    scene = Scene()
    scene.sent("SYN,ACK", 2**31 - 5, 2**31 - 6, b"x" * 1000, options=tuple(Option(253, bytes(2)) for _ in range(8)))
    picture = drawn(record(scene.events))
    assert "..." in picture
    assert max(map(len, picture.splitlines())) <= 106


def test_an_urgent_pointer_is_told() -> None:
    scene = Scene()
    urgent = build(scene.remote, scene.local, "ACK,URG", (5, 5), b"abc", (), 100, 2)
    assert " ACK,URG seq 0 ack 0 len 3 win 100 urg 2 " in drawn(record([PacketReceived(0, urgent)]))


def test_a_segment_lost_on_its_way_to_us_points_nowhere() -> None:
    scene = Scene()
    lost = scene.received("ACK", 0, 0)
    assert "     ✗─── ACK" in drawn(record(scene.events, lose=[lost]))


def test_another_connection_gets_a_head_of_its_own() -> None:
    scene = Scene()
    scene.sent("SYN", 0)
    scene.remote = scene.remote._replace(port=40001)
    scene.sent("SYN", 0)
    picture = drawn(record(scene.events))
    assert picture.count("time ms") == 2
    assert "10.9.0.1:40001" in picture


def test_long_data_is_cut_and_its_length_told() -> None:
    scene = Scene()
    scene.sent("ACK", 0, 0, b"y" * 1000)
    assert f"'{'y' * 48}' ... (1000 bytes)" in drawn(record(scene.events))


def test_counts_and_drops() -> None:
    scene = Scene()
    folded = Folded(
        time=1,
        local=scene.local,
        remote=scene.remote,
        segments_sent=3,
        segments_received=2,
        bytes_sent=300,
        bytes_received=0,
    )
    picture = drawn([folded, Discard(time=2, counter="TcpInCsumErrors", length=40)])
    assert "... and 5 more plain segments: 3 sent with 300 bytes, 2 received with 0 bytes" in picture
    assert "dropped 40 bytes that came in: TcpInCsumErrors" in picture
