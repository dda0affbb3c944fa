"""Header prediction: the two segments that come nearly always, next text in order and the acknowledgement of new data.

What is predicted is taken by the steps of ``arrives`` that matter for it; the others are shown here to have nothing to do. What is
not predicted is left as it is, for ``arrives``. A property test has both take the same traffic, and compares what becomes of it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from userstack.tcp import acknowledge, seq, text
from userstack.tcp.rack import RackRecovery
from userstack.tcp.segment import Segment
from userstack.tcp.state import State
from userstack.tcp.tcb import Tcb
from userstack.wire.ip import Buffer


class Plain(NamedTuple):
    """A segment with no flags but ACK and PSH, and no option but timestamps, as it stands on the wire."""

    seq: int
    ack: int
    flags: int
    window: int
    texts: Sequence[Buffer]
    """The pieces of its text."""
    size: int
    """Octets of text."""
    timestamps: tuple[int, int] | None
    """TSval and TSecr, None where there is no such option."""
    segments: int
    """On the wire, of which this was put together."""


plain_of: Callable[[tuple[int, int, int, int, Sequence[Buffer], int, tuple[int, int] | None, int]], Plain] = partial(
    tuple.__new__, Plain
)
"""Makes one of all of that; see ``wire.tcp.option_of``."""


def is_usual(tcb: Tcb) -> bool:
    """Nothing is under way that a segment could have to do with besides text and acknowledgements."""
    return (
        tcb.state is State.ESTABLISHED
        and tcb.md5_key is None
        and not tcb.recvbuf.has_islands
        and tcb.recvbuf.fin_seq is None
        and tcb.mark is None
        and tcb.timers.persist is None
        and tcb.snd_wnd > 0
        and not tcb.keepalives
        and not tcb.ecn.ok
        and not tcb.uto.enabled
        and tcb.tally.rto_since is None
    )


def may_skip_acks(tcb: Tcb) -> bool:
    """Of several acknowledgements that have come together the last one does as well as all.

    In slow start the number of them counts (RFC 5681 3.1), until the peer's window is what holds us back.
    """
    congestion = tcb.congestion
    return congestion.cwnd >= congestion.ssthresh or congestion.cwnd >= tcb.snd_wnd


def segment_arrives(tcb: Tcb, wire: Plain, now: int) -> bool:
    """Take a segment; False, and nothing has happened, where it is not predicted."""
    first, wire_ack, flags, window, texts, size, stamp, segments = wire
    nxt, una = tcb.rcv_nxt, tcb.snd_una
    if first != seq.wrap(nxt) or not window or not is_usual(tcb) or not _is_recent(tcb, stamp, now):
        return False
    ack = seq.unwrap(wire_ack, una)
    new = ack > una
    if not (new or (size and ack == una)) or ack > tcb.snd_nxt or size > tcb.rcv_adv - nxt:
        return False
    tcb.heard_at = now
    tcb.segs_accepted += 1
    window <<= tcb.snd_wind_shift
    if new or isinstance(tcb.recovery, RackRecovery):
        _acknowledge(tcb, Segment(nxt, ack, flags, window, texts[0] if size else b"", timestamps=stamp), now)
    tcb.probing.answered()
    tcb.more = False
    tcb.ack_received_at = now
    if tcb.snd_wl1 < nxt or (tcb.snd_wl1 == nxt and tcb.snd_wl2 <= ack):
        tcb.snd_wnd, tcb.snd_wl1, tcb.snd_wl2 = window, nxt, ack
        if window > tcb.max_snd_wnd:
            tcb.max_snd_wnd = window
    if stamp is not None and nxt <= tcb.timestamps.last_ack_sent:
        tcb.timestamps.update(stamp[0], nxt, now)
    tcb.segs_in += segments
    if size:
        tcb.data_segs_in += segments
        text.take_in_order(tcb, texts, size, segments, stamp, now)
    else:
        tcb.counters["TcpExtTCPPureAcks"] += segments
    return True


def _is_recent(tcb: Tcb, stamp: tuple[int, int] | None, now: int) -> bool:
    """The segment has timestamps where they were agreed, and is no old duplicate by them (RFC 7323 5.3, R1)."""
    if stamp is None or not tcb.snd_ts_ok:
        return stamp is None and not tcb.snd_ts_ok
    return not tcb.timestamps.is_old(stamp[0], now)


def _acknowledge(tcb: Tcb, segment: Segment, now: int) -> None:
    """Of the fifth step what an acknowledgement of new data has to do, or any segment that loss recovery by time looks at."""
    acknowledge.selective(tcb, segment, now)
    if segment.ack > tcb.snd_una:
        acknowledge.new_data(tcb, segment, now)
    acknowledge.conclude(tcb, segment, now)
    acknowledge.count_delivered(tcb, segment, now)
