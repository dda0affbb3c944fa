"""SEGMENT ARRIVES, RFC 9293 3.10.7.4: the seventh and the eighth step, text and FIN, and the TIME-WAIT that a FIN leads to."""

from collections.abc import Sequence

from userstack.errors import ConnectionReset
from userstack.tcp import first_text
from userstack.tcp.chronograph import IDLE
from userstack.tcp.delayed_ack import NOTHING_ARRIVED
from userstack.tcp.segment import Segment
from userstack.tcp.state import CAN_RECEIVE_TEXT, State, move
from userstack.tcp.tcb import Tcb
from userstack.tcp.timewait import TimeWait
from userstack.tcp.windowscale import to_field
from userstack.wire.ip import Buffer


def process_text(tcb: Tcb, segment: Segment, now: int) -> bool:
    """Seventh step."""
    if not segment.payload or tcb.state not in CAN_RECEIVE_TEXT:
        return True
    if tcb.deaf and tcb.state is not State.ESTABLISHED:
        # SHLD-3, RFC 2525 2.17: nobody will read it, so say that it was lost.
        tcb.counters.add("TcpExtTCPAbortOnData")
        if tcb.config.kernel_resets:
            tcb.answer_reset(segment, segment.reset)
        else:
            tcb.send_reset(now)
        tcb.die(ConnectionReset("data came after close"), cause=f"{segment.cause} with text after CLOSE", clause="3.6.1", now=now)
        return False
    if tcb.delayed_ack is NOTHING_ARRIVED:
        first_text.comes(tcb)
    if tcb.ecn.text_arrived(segment.flags, segment.ecn):
        tcb.delayed_ack.hurry(tcb.rcv_wnd)
        tcb.ack_now = True
    if segment.seq > tcb.rcv_nxt:
        first_text.tally(tcb).ofo_segs += tcb.segments_in(len(segment.payload))
        hold(tcb, segment)
        tcb.ack_now = True  # RFC 5681 4.2: at once above a gap (MAY-13)
        return True
    filled_gap = tcb.recvbuf.has_islands or tcb.recvbuf.fin_seq is not None
    if filled_gap:
        _overlaps_islands(tcb, segment)
    size = len(segment.payload)
    take_in_order(tcb, (segment.payload,), size, tcb.segments_in(size), segment.timestamps, now)
    if filled_gap:
        text_in_order(tcb)
        tcb.ack_now = True  # RFC 5681 4.2: a gap that is filled, in part even
    return True


def take_in_order(tcb: Tcb, texts: Sequence[Buffer], size: int, segments: int, stamp: tuple[int, int] | None, now: int) -> None:
    """The text at RCV.NXT in its pieces, of so many segments on the wire, and the timestamps that it came with."""
    if tcb.delayed_ack is NOTHING_ARRIVED:
        first_text.comes(tcb)
    tcb.recvbuf.extend(texts, size)
    tcb.bytes_received += size
    tcb.rcv_nxt += size
    _measure(tcb, size, stamp, now)
    delayed_ack = tcb.delayed_ack
    if delayed_ack.arrived(size, segments, tcb.rcv_adv - tcb.rcv_nxt, tcb.rtt.rto, now) or size >= 2 * tcb.rcv_mss:
        tcb.ack_now = True
    elif not tcb.ack_now and tcb.timers.delayed_ack is None:
        tcb.timers.delayed_ack = delayed_ack.deadline(tcb.rtt.srtt, now)


def _measure(tcb: Tcb, size: int, stamp: tuple[int, int] | None, now: int) -> None:
    """What the peer's pace tells."""
    tcb.data_received_at = now
    receiver = tcb.receiver_rtt
    receiver.window_passed(tcb.rcv_nxt, tcb.rcv_adv - tcb.rcv_nxt, now)
    if stamp is not None and tcb.snd_ts_ok and receiver.is_news(stamp[1]):
        elapsed = tcb.timestamps.elapsed(stamp[1], now)
        if elapsed is not None and size >= tcb.delayed_ack.segment:
            receiver.echoed(elapsed, all_read=tcb.recvbuf.size == size)


def text_in_order(tcb: Tcb) -> None:
    """What was held beyond a hole that is no more, or came with the SYN; who delivers it must acknowledge it too (seventh step)."""
    before = tcb.rcv_nxt
    tcb.rcv_nxt = tcb.recvbuf.advance(before)
    tcb.bytes_received += tcb.rcv_nxt - before
    tcb.ack_now |= tcb.rcv_nxt > before


def hold(tcb: Tcb, segment: Segment) -> None:
    """SHLD-31: keep text and FIN beyond a hole."""
    if segment.payload:
        _overlaps_islands(tcb, segment)
        if not tcb.recvbuf.hold(segment.seq, segment.payload):
            tcb.counters.add("TcpExtTCPOFODrop")
            return
        first_text.comes(tcb)
        tcb.sack_report.arrived(segment.seq, tcb.recvbuf.islands)
        if segment.seq > tcb.rcv_nxt:
            tcb.counters.add("TcpExtTCPOFOQueue")
    if segment.fin:
        tcb.recvbuf.note_fin(segment.end - 1)


def _overlaps_islands(tcb: Tcb, segment: Segment) -> None:
    again = tcb.recvbuf.islands.overlap(segment.seq, segment.seq + len(segment.payload))
    if again is not None:
        arrived_again(tcb, *again, "TcpExtTCPDSACKOfoSent")
        if again == (segment.seq, segment.seq + len(segment.payload)):
            tcb.counters.add("TcpExtTCPOFOMerge")


def arrived_again(tcb: Tcb, first: int, end: int, counter: str) -> None:
    """RFC 2883: what was here before is reported, if there is any of it."""
    if first < end and tcb.sack_permitted and tcb.config.dsack:
        tcb.counters.add(counter)
        first_text.comes(tcb)
        tcb.sack_report.arrived_again(first, end)
        tcb.delayed_ack.hurry(tcb.rcv_wnd)


def process_fin(tcb: Tcb, segment: Segment, now: int) -> None:
    """Eighth step; the FIN counts once RCV.NXT has reached it."""
    if tcb.state not in CAN_RECEIVE_TEXT:
        return
    if segment.fin:
        tcb.ack_now = True
        tcb.recvbuf.note_fin(segment.end - 1)
    take_fin(tcb, segment, now)


def take_fin(tcb: Tcb, segment: Segment, now: int) -> None:
    """RCV.NXT may have reached the FIN."""
    if tcb.recvbuf.fin_seq != tcb.rcv_nxt:
        return
    tcb.rcv_nxt += 1
    tcb.rcv_adv = max(tcb.rcv_adv, tcb.rcv_nxt)
    tcb.ack_now = True
    cause, clause = segment.cause, "3.10.7.4 step 8"
    if tcb.state is State.ESTABLISHED:
        move(tcb, State.CLOSE_WAIT, cause=cause, clause=clause, now=now)
    elif tcb.fin_acked:
        enter_time_wait(tcb, cause=cause, clause=clause, now=now)
    else:
        move(tcb, State.CLOSING, cause=cause, clause=clause, now=now)


def enter_time_wait(tcb: Tcb, *, cause: str, clause: str, now: int) -> None:
    """Start the 2 MSL, turn the other timers off, and hand over to the record."""
    move(tcb, State.TIME_WAIT, cause=cause, clause=clause, now=now)
    tcb.counters.add("TcpExtTW")
    tcb.time_wait = _time_wait_of(tcb, now=now)
    tcb.flush()
    tcb.chronograph.switch(IDLE, now)


def _time_wait_of(tcb: Tcb, *, now: int) -> TimeWait:
    """The record of a connection that has just entered TIME-WAIT."""
    if tcb.remote is None:
        raise RuntimeError("a connection without a peer cannot be in TIME-WAIT")
    record = TimeWait(
        tcb.local,
        tcb.remote,
        oldest_ack=tcb.snd_una - tcb.max_snd_wnd,
        snd_nxt=tcb.snd_nxt,
        rcv_nxt=tcb.rcv_nxt,
        rcv_wnd=tcb.rcv_wnd,
        window=to_field(tcb.rcv_wnd, tcb.recvbuf.free, tcb.rcv_wind_shift),
        timestamps=tcb.timestamps if tcb.snd_ts_ok else None,
        config=tcb.config,
        counters=tcb.counters,
        trace=tcb.trace,
        throttle=tcb.challenge,
        now=now,
        ttl=tcb.ttl,
        tos=tcb.tos,
        lower=tcb.lower,
        md5_key=tcb.md5_key,
    )
    record.ack_now = tcb.ack_now
    return record
