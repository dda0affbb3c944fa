"""Which step of the handshake or the close a segment is, in every order that RFC 9293's figures show."""

from tests.observe.scenes import Scene, peer_closes_first, we_close_first
from tests.observe.watching import arrows
from userstack.observe.steps import Arrow, Mark, Phase


def phases(scene: Scene) -> list[Phase | None]:
    return [arrow.phase for arrow in arrows(scene)]


def notes(scene: Scene) -> list[str]:
    return [arrow.note for arrow in arrows(scene) if arrow.note]


def established(*, we_open: bool = True) -> Scene:
    scene = Scene()
    first, second = (scene.sent, scene.received) if we_open else (scene.received, scene.sent)
    first("SYN", 0)
    second("SYN,ACK", 0, 1)
    first("ACK", 1, 1)
    return scene


def last(scene: Scene) -> Arrow:
    return arrows(scene)[-1]


def test_a_close_by_the_peer_in_four_segments() -> None:
    assert [phase for phase in phases(peer_closes_first()) if phase] == ["1/3", "2/3", "3/3", "1/4", "2/4", "3/4", "4/4"]
    assert notes(peer_closes_first()) == ["the peer closes first"]


def test_a_close_by_us_in_four_segments() -> None:
    assert [phase for phase in phases(we_close_first()) if phase] == ["1/3", "2/3", "3/3", "1/4", "2/4", "3/4", "4/4"]
    assert notes(we_close_first()) == ["we close first"]


def test_a_merged_fin_is_said_plainly() -> None:
    scene = we_close_first(merged=True)
    assert [phase for phase in phases(scene) if phase][3:] == ["1/4", "2+3/4", "4/4"]
    assert "the peer's kernel merges ACK (2/4) and FIN (3/4): three segments close, not four" in notes(scene)


def test_a_simultaneous_close() -> None:
    """RFC 9293 3.6, figure 13."""
    scene = established()
    scene.sent("FIN,ACK", 1, 1)
    scene.received("FIN,ACK", 1, 1)
    scene.sent("ACK", 2, 2)
    scene.received("ACK", 2, 2)
    assert phases(scene)[3:] == ["1/4", "3/4", "4/4", "2/4"]
    assert "both ends close at once: a simultaneous close" in notes(scene)


def test_a_simultaneous_open() -> None:
    """RFC 9293 3.5, figure 7."""
    scene = Scene()
    scene.sent("SYN", 0)
    scene.received("SYN", 0)
    scene.sent("SYN,ACK", 0, 1)
    scene.received("SYN,ACK", 0, 1)
    assert phases(scene) == ["1/3", "crossed", "crossed", "crossed"]
    assert notes(scene) == ["both ends open at once: a simultaneous open"]


def test_repeated_segments_keep_their_step() -> None:
    scene = Scene()
    scene.received("SYN", 0)
    scene.sent("SYN,ACK", 0, 1)
    scene.received("SYN", 0)
    scene.sent("SYN,ACK", 0, 1)
    scene.received("ACK", 1, 1)
    assert phases(scene) == ["1/3", "2/3", "1/3", "2/3", "3/3"]


def test_a_repeated_fin_and_its_repeated_acknowledgement() -> None:
    """RFC 9293 3.6.1: TIME-WAIT acknowledges a FIN that comes again."""
    scene = we_close_first()
    del scene.events[-2:]  # it is still in TIME-WAIT
    scene.received("FIN,ACK", 6, 7)
    assert (last(scene).phase, last(scene).marks, last(scene).note) == ("3/4", (Mark.RETRANSMISSION,), "the peer repeats its FIN")
    scene.sent("ACK", 7, 7)
    assert (last(scene).phase, last(scene).marks) == ("4/4", (Mark.ACKED_AGAIN,))
    scene.sent("ACK", 7, 7)
    assert (last(scene).phase, last(scene).marks) == (None, ())


def test_a_repeated_fin_of_ours() -> None:
    scene = established()
    scene.sent("FIN,ACK", 1, 1)
    scene.sent("FIN,ACK", 1, 1)
    assert (last(scene).phase, last(scene).note) == ("1/4", "we repeat our FIN")


def test_data_of_a_half_open_connection_is_no_step() -> None:
    scene = established()
    scene.sent("FIN,ACK", 1, 1)
    scene.received("ACK", 1, 2)
    scene.received("PSH,ACK", 1, 2, b"late")
    scene.sent("ACK", 2, 5)
    assert phases(scene)[3:] == ["1/4", "2/4", None, None]


def test_the_third_step_may_carry_data() -> None:
    scene = Scene()
    scene.received("SYN", 0)
    scene.sent("SYN,ACK", 0, 1)
    scene.received("PSH,ACK", 1, 1, b"quick")
    assert last(scene).phase == "3/3"


def test_a_merged_fin_of_ours_says_so() -> None:
    scene = established(we_open=False)
    scene.received("FIN,ACK", 1, 1)
    scene.sent("FIN,ACK", 1, 2)
    assert last(scene).note == "we merge ACK (2/4) and FIN (3/4): three segments close, not four"


def test_a_reset_is_named() -> None:
    scene = established()
    scene.received("RST", 1)
    assert (last(scene).phase, last(scene).note) == (None, "the peer resets the connection")
    scene = established()
    scene.sent("RST", 1)
    assert last(scene).note == "we reset the connection"


def test_a_refusal_is_told_from_a_reset() -> None:
    scene = Scene()
    scene.sent("SYN", 0)
    scene.received("RST,ACK", 0, 1)
    assert last(scene).note == "the peer refuses the connection"
    scene = Scene()
    scene.received("SYN", 0)
    scene.sent("RST,ACK", 0, 1)
    assert last(scene).note == "we refuse the connection"


def test_the_listening_ends_answer_to_a_repeated_syn_completes_nothing() -> None:
    scene = Scene()
    scene.received("SYN", 0)
    scene.sent("SYN,ACK", 0, 1)
    scene.received("SYN", 0)
    scene.sent("ACK", 1, 1)  # RFC 9293 3.10.7.4 step 1: it is not acceptable in SYN-RECEIVED
    scene.sent("SYN,ACK", 0, 1)
    scene.received("ACK", 1, 1)
    assert phases(scene) == ["1/3", "2/3", "1/3", None, "2/3", "3/3"]


def test_a_fin_that_completes_the_handshake_is_a_fin() -> None:
    scene = Scene()
    scene.received("SYN", 0)
    scene.sent("SYN,ACK", 0, 1)
    scene.received("FIN,ACK", 1, 1)  # the ACK before it was lost
    scene.sent("ACK", 1, 2)
    assert phases(scene) == ["1/3", "2/3", "1/4", "2/4"]


def test_the_close_of_a_connection_that_was_joined_in_its_middle() -> None:
    scene = Scene()
    scene.received("PSH,ACK", 100, 200, b"abc")
    scene.received("FIN,ACK", 103, 200)
    scene.sent("ACK", 200, 104)
    assert phases(scene) == [None, "1/4", "2/4"]
