"""Whatever arrives, in whatever state: no exception, a legal state, an answer that ends (RFC 9293 3.10.7 is total)."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.machine import Machine
from userstack.tcp.state import TRANSITIONS, State
from userstack.wire.tcp import Option, TcpSegment

NEAR = st.sampled_from([-70_000, -1461, -2, -1, 0, 1, 2, 3, 10, 1460, 65_534, 65_535, 65_536, 1 << 30, 1 << 31])
SEGMENTS = st.builds(
    lambda seq, ack, flags, window, urgent, payload, bad, options: (seq, ack, flags, window, urgent, payload, bad, options),
    NEAR,
    NEAR,
    st.integers(0, 0x1FF),
    st.sampled_from([0, 1, 100, 65_535]),
    st.sampled_from([0, 1, 65_535]),
    st.sampled_from([b"", b"x", b"x" * 1460]),
    st.booleans(),
    st.lists(st.builds(Option, st.sampled_from([0, 1, 2, 3, 4, 5, 8, 253]), st.binary(max_size=10)), max_size=3),
)
Raw = tuple[int, int, int, int, int, bytes, bool, list[Option]]


@settings(max_examples=examples(400), deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(state=st.sampled_from(State), passive=st.booleans(), compact=st.booleans(), segments=st.lists(SEGMENTS, max_size=6))
def test_any_segments_in_any_state(state: State, passive: bool, compact: bool, segments: list[Raw]) -> None:
    m = Machine.in_state(state, passive=passive, record=compact and state is State.TIME_WAIT)
    for seq, ack, flags, window, urgent, payload, bad, options in segments:
        m.deliver(
            TcpSegment(
                source_port=40_000,
                destination_port=8080,
                seq=(m.irs + m.peer_nxt + seq) % 2**32,
                ack=(m.iss + m.sent_nxt + ack) % 2**32,
                flags=flags,
                window=window,
                urgent_pointer=urgent,
                options=tuple(options),
                payload=payload,
                bad_options=bad,
            )
        )
        m.pull()
        assert len(m.sent()) <= 12
        m.wait(100)
    m.wait(300_000)
    for step in m.transitions:
        assert step.new in TRANSITIONS[State(step.old)]
    assert all(0 <= sent.raw.seq < 2**32 and 0 <= sent.raw.ack < 2**32 and 0 <= sent.raw.window < 2**16 for sent in m.log)
    assert all(sent.raw.urgent_pointer == 0 for sent in m.log)
