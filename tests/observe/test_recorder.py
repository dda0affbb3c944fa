"""When an arrow is complete: with the transitions that it made, and with the peer's state after it and not before."""

from collections.abc import Callable

from tests.observe.scenes import CODEC, IRS, ISS, LOCAL, OUR_SYN, REMOTE, Scene, peer_closes_first, we_close_first
from tests.observe.watching import record
from userstack.address import Endpoint
from userstack.observe.recorder import Recorder
from userstack.observe.steps import UNKNOWN, Alarm, Arrow, Discard, Move, Release, Step
from userstack.trace import Event, PacketDropped, PacketReceived, PacketSent, TimerFired
from userstack.wire.ip import ICMP, IPPacket
from userstack.wire.tcp import ACK, SYN


def test_our_state_beside_an_arrow_is_the_one_after_it() -> None:
    steps = record(peer_closes_first().events)
    states = [step.ours for step in steps if isinstance(step, Arrow)]
    assert states == [
        "SYN-RECEIVED",
        "SYN-RECEIVED",
        *["ESTABLISHED"] * 4,
        "CLOSE-WAIT",
        "CLOSE-WAIT",
        "LAST-ACK",
        "CLOSED",
    ]


def test_a_transition_stands_below_the_segment_that_made_it() -> None:
    kinds = [type(step) for step in record(peer_closes_first().events)]
    assert kinds == [
        Move,
        Arrow,
        Move,
        Arrow,
        Arrow,
        Move,
        Arrow,
        Arrow,
        Arrow,
        Arrow,
        Move,
        Arrow,
        Move,
        Arrow,
        Arrow,
        Move,
        Release,
    ]


def test_the_arrow_has_everything_that_stood_on_the_wire() -> None:
    arrow = next(step for step in record(we_close_first().events) if isinstance(step, Arrow) and not step.sent)
    assert (arrow.local, arrow.remote, arrow.time, arrow.flags) == (LOCAL, REMOTE, 2_000_000, SYN | ACK)
    assert (arrow.seq, arrow.ack, arrow.wire_seq, arrow.wire_ack) == (0, 1, IRS, ISS + 1)
    assert (arrow.length, arrow.window, arrow.options, arrow.preview) == (0, 64240, ("mss 1460",), b"")


def test_time_in_the_old_state_is_known_only_where_it_was_seen() -> None:
    moves = [step for step in record(we_close_first().events) if isinstance(step, Move)]
    assert [(move.new, move.spent) for move in moves] == [
        ("SYN-SENT", None),
        ("ESTABLISHED", 2_000_000),
        ("FIN-WAIT-1", 4_000_000),
        ("FIN-WAIT-2", 2_000_000),
        ("TIME-WAIT", 1_000_000),
        ("CLOSED", 2_001_000_000),
    ]


def test_the_clause_always_names_the_rfc() -> None:
    scene = Scene()
    scene.moves("CLOSED", "SYN-SENT", "call OPEN", "3.10.1")
    scene.moves("SYN-SENT", "CLOSED", "call ABORT", "RFC 9293 3.10.5")
    assert [step.clause for step in record(scene.events) if isinstance(step, Move)] == ["RFC 9293 3.10.1", "RFC 9293 3.10.5"]


class Kernel:
    """Stands for the peer's kernel: its state is what it was last given."""

    def __init__(self) -> None:
        self.state = "LISTEN"
        self.asked: list[tuple[Endpoint, Endpoint, str | None]] = []

    def __call__(self, local: Endpoint, remote: Endpoint, leaving: str | None) -> str:
        self.asked.append((local, remote, leaving))
        return self.state


def test_the_peer_is_asked_about_our_segment_only_after_it_was_handed_over() -> None:
    steps: list[Step] = []
    later: list[Callable[[], None]] = []
    kernel = Kernel()
    recorder = Recorder(steps.append, codec=CODEC, peer_state=kernel, defer=later.append)
    scene = Scene()
    scene.sent("SYN", 0, options=OUR_SYN)
    recorder(scene.events[0])
    assert (steps, kernel.asked) == ([], [])
    kernel.state = "SYN-RECEIVED"  # the device had the packet, the kernel has dealt with it
    later.pop()()
    assert [step.peer for step in steps if isinstance(step, Arrow)] == ["SYN-RECEIVED"]
    assert kernel.asked == [(LOCAL, REMOTE, None)]


def test_the_peer_is_asked_about_its_own_segment_at_once() -> None:
    steps: list[Step] = []
    kernel = Kernel()
    kernel.state = "FIN-WAIT-1"
    recorder = Recorder(steps.append, codec=CODEC, peer_state=kernel)
    scene = Scene()
    scene.received("FIN,ACK", 1, 1)
    recorder(scene.events[0])
    kernel.state = "FIN-WAIT-2"  # our answer has changed it since
    recorder.flush()
    assert [step.peer for step in steps if isinstance(step, Arrow)] == ["FIN-WAIT-1"]


def test_the_peer_is_told_which_state_our_segment_takes_it_out_of() -> None:
    """A kernel that is still in it has only not come to the segment yet; one that need not move is asked once."""
    kernel = Kernel()
    kernel.state = "ESTABLISHED"
    scene = Scene()
    scene.received("SYN", 0)
    scene.sent("SYN,ACK", 0, 1)
    scene.received("ACK", 1, 1)
    scene.sent("PSH,ACK", 1, 1, b"data")
    scene.sent("FIN,ACK", 5, 1)
    lost = scene.sent("FIN,ACK", 5, 1, b"changed, so that it is another packet")
    record(scene.events, kernel, lose=[lost])
    assert [leaving for _, _, leaving in kernel.asked] == [None, "ESTABLISHED", None, None, "ESTABLISHED", None]


def test_without_anybody_to_ask_the_peer_state_is_unknown() -> None:
    assert {step.peer for step in record(we_close_first().events) if isinstance(step, Arrow)} == {UNKNOWN}


def test_a_lost_segment_is_marked_and_only_that_one() -> None:
    scene = Scene()
    lost = scene.sent("SYN", 0)
    scene.now += 1
    scene.sent("SYN,ACK", 0, 1)
    assert [step.lost for step in record(scene.events, lose=[lost]) if isinstance(step, Arrow)] == [True, False]


def test_a_loss_of_something_else_marks_nothing() -> None:
    steps: list[Step] = []
    recorder = Recorder(steps.append, codec=CODEC)
    recorder.lost(b"before anything")
    scene = Scene()
    scene.sent("SYN", 0)
    recorder(scene.events[0])
    recorder.lost(b"another packet")
    recorder.flush()
    assert [step.lost for step in steps if isinstance(step, Arrow)] == [False]


def test_what_a_call_does_after_a_segment_is_not_that_segments_doing() -> None:
    scene = Scene()
    scene.received("FIN,ACK", 1, 1)
    scene.moves("ESTABLISHED", "CLOSE-WAIT", "segment FIN,ACK", "3.10.7.4")
    scene.moves("CLOSE-WAIT", "LAST-ACK", "call CLOSE", "3.10.4")
    arrow = next(step for step in record(scene.events) if isinstance(step, Arrow))
    assert arrow.ours == "CLOSE-WAIT"


def test_the_state_of_a_listener_stands_in_for_a_connection_that_is_not_there_yet() -> None:
    scene = Scene()
    scene.moves("CLOSED", "LISTEN", "call OPEN", "3.10.1", listener=True)
    scene.received("ACK", 1, 1)  # for nobody: only the listener is there
    scene.moves("LISTEN", "CLOSED", "call CLOSE", "3.10.4", listener=True)
    scene.sent("RST", 1)
    assert [step.ours for step in record(scene.events) if isinstance(step, Arrow)] == ["LISTEN", "CLOSED"]


def test_a_wildcard_listener_counts_too() -> None:
    scene = Scene()
    scene.local = Endpoint(bytes(4), LOCAL.port)
    scene.moves("CLOSED", "LISTEN", "call OPEN", "3.10.1", listener=True)
    scene.local = LOCAL
    scene.received("ACK", 1, 1)
    assert [step.ours for step in record(scene.events) if isinstance(step, Arrow)] == ["LISTEN"]


def test_other_packets_make_no_arrow_and_broken_ones_no_harm() -> None:
    ping = CODEC.encode_ip(IPPacket(REMOTE.address, LOCAL.address, ICMP, b"\x08\0\0\0\0\0\0\0"))
    fragment = CODEC.encode_ip(IPPacket(REMOTE.address, LOCAL.address, 6, bytes(8), more_fragments=True))
    events: list[Event] = [PacketReceived(1, ping), PacketReceived(2, fragment), PacketReceived(3, b"junk"), PacketSent(4, b"")]
    assert record(events) == []


def test_drops_and_timers_are_told_in_their_place() -> None:
    scene = Scene()
    packet = scene.received("ACK", 1, 1)
    events: list[Event] = [
        *scene.events,
        PacketDropped(5, packet, "TcpInCsumErrors"),
        TimerFired(6, LOCAL, REMOTE, "retransmission", "RTO 2 s"),
    ]
    steps = record(events)
    assert [type(step) for step in steps] == [Arrow, Discard, Alarm]
    assert steps[1:] == [
        Discard(time=5, counter="TcpInCsumErrors", length=40),
        Alarm(time=6, local=LOCAL, remote=REMOTE, timer="retransmission", detail="RTO 2 s"),
    ]


def test_a_drop_is_told_unless_it_cannot_have_been_a_segment() -> None:
    ping = CODEC.encode_ip(IPPacket(REMOTE.address, LOCAL.address, ICMP, bytes(8)))
    steps = record([PacketDropped(1, ping, "IpInUnknownProtos"), PacketDropped(2, b"junk", "IpInHdrErrors")])
    assert steps == [Discard(time=2, counter="IpInHdrErrors", length=4)]


def test_times_count_from_the_start() -> None:
    steps: list[Step] = []
    recorder = Recorder(steps.append, codec=CODEC, start=1_000_000)
    for event in peer_closes_first().events[1:]:
        recorder(event)
    assert steps[0].time == 0
