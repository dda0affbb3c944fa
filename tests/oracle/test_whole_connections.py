"""Whole connections: random segments, calls and waits, the stack and the oracle side by side through all of it."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.oracle.bench import WINDOW, Bench, octets
from tests.oracle.combinations import contradicts
from tests.oracle.prototypes import SCRIPTS
from tests.oracle.stack import BUFFER, FAMILIES, Family
from tests.oracle.tcb import NO_TCB
from tests.oracle.values import MODULO, Segment
from userstack.config import MILLISECOND, SECOND

pytestmark = pytest.mark.once

MOST_TEXT = 400
"""Octets queued or in flight: less than a segment, so that neither the congestion window nor segmentation has a say."""
MOST_WAITING = 40 * SECOND
"""Below every time after which a connection is given up."""
CONTROLS = st.sampled_from(["A", "A", "A", "A", "FA", "FA", "S", "SA", "R", "RA", "F", "SF", "SFA", "", "SFRAPUEC", "AU"])
OFFSETS = st.sampled_from([-BUFFER, -20, -2, -1, 0, 0, 0, 0, 1, 5, 30, BUFFER - 1, BUFFER, BUFFER + 1, MODULO // 2])
POINTERS = st.sampled_from([0, 1, 10, BUFFER, 65535])
WINDOWS = st.sampled_from([WINDOW, WINDOW, WINDOW, 0])


class WholeConnections(RuleBasedStateMachine):
    """One pair of sockets; connections follow one another where a listener takes them."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(FAMILIES[0])
        self.waited = 0

    @initialize(family=st.sampled_from(FAMILIES), place=st.sampled_from(sorted(SCRIPTS)))
    def begin(self, family: Family, place: str) -> None:
        self.bench = Bench(family, retransmits=True)
        for step in SCRIPTS[place]:
            step(self.bench)

    # --- what the peer does ---

    @rule(ctl=CONTROLS, seq=OFFSETS, ack=OFFSETS, size=st.sampled_from([0, 0, 1, 10, 40, BUFFER]), wnd=WINDOWS, urg=POINTERS)
    def anything_arrives(self, ctl: str, seq: int, ack: int, size: int, wnd: int, urg: int) -> None:
        reference = self.bench.reference
        seq = (reference.rcv_nxt + seq) % MODULO
        text = octets(seq + ("S" in ctl), size)
        self.deliver(Segment(ctl, seq, (reference.snd_una + ack) % MODULO, wnd, text, urg))

    @rule(
        ctl=st.sampled_from(["A", "A", "A", "A", "A", "FA", "S"]),
        size=st.integers(0, 60),
        skip=st.integers(0, 5),
        wnd=WINDOWS,
    )
    def the_expected_arrives(self, ctl: str, size: int, skip: int, wnd: int) -> None:
        """The next segment in order, or nearly, that acknowledges all: so that connections get on."""
        reference = self.bench.reference
        if reference.state == "SYN-SENT" and ctl == "A":
            ctl = "SA"
        if reference.state == "LISTEN" and ctl == "A":
            ctl = "S"
        seq = (reference.rcv_nxt + (skip if skip > 3 else 0)) % MODULO
        ack = reference.snd_nxt if "A" in ctl else 0
        self.deliver(Segment(ctl, seq, ack, wnd, octets(seq + ("S" in ctl), size)))

    def deliver(self, segment: Segment) -> None:
        if contradicts(segment, self.bench.reference):
            return
        self.bench.arrives(segment)
        if self.bench.reference.state == "LISTEN":
            self.bench.receive()
        self.bench.let_go()
        self.bench.accept()

    # --- what the user does ---

    @precondition(lambda self: self.bench.may_send())
    @rule(size=st.integers(1, 100))
    def send(self, size: int) -> None:
        reference = self.bench.reference
        if (reference.snd_nxt - reference.snd_una) % MODULO + len(reference.queue) + size <= MOST_TEXT:
            self.bench.send(size)

    @rule()
    def receive(self) -> None:
        self.bench.receive()

    @precondition(lambda self: self.bench.may_close())
    @rule()
    def shutdown(self) -> None:
        self.bench.shutdown()

    @precondition(lambda self: self.bench.stack.socket is not None and not self.bench.has_queued_text())
    @rule()
    def close(self) -> None:
        self.bench.close()
        self.bench.let_go()

    # --- time ---

    @rule(duration=st.sampled_from([100 * MILLISECOND, 1 * SECOND, 3 * SECOND]))
    def wait(self, duration: int) -> None:
        self.waited += duration
        if self.waited <= MOST_WAITING:
            self.bench.wait(duration)

    @precondition(lambda self: self.bench.reference.state == "TIME-WAIT")
    @rule()
    def wait_out(self) -> None:
        self.bench.wait_out()
        self.bench.let_go()

    @invariant()
    def they_agree(self) -> None:
        assert self.bench.differences == []

    def teardown(self) -> None:
        """A reset ends what is left; nothing stays behind."""
        reference = self.bench.reference
        if reference.state not in (*NO_TCB, "SYN-SENT"):
            for _ in range(2):  # a SYN that had reopened TIME-WAIT leaves that again
                self.bench.arrives(Segment("R", reference.rcv_nxt))
            assert self.bench.differences == []


TestWholeConnections = WholeConnections.TestCase
TestWholeConnections.settings = settings(
    max_examples=300, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
