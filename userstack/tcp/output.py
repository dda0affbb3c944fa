"""What may be sent now: the only builder of outgoing segments.

``poll_transmit`` is pulled until it returns None; each call moves the state as if the segment had gone out, so it is called
only when the device can take one (law 4). The order: resets, SYN, what is lost, a window probe, new data and FIN, a bare ACK.
"""

from typing import Final

from userstack.tcp import loss_counts, md5sig, negotiation, retransmission, seq, tlp, train, uto
from userstack.tcp.calls import carry_out_close
from userstack.tcp.chronograph import BUSY, IDLE, RWND_LIMITED, SNDBUF_LIMITED
from userstack.tcp.nagle import worth_sending
from userstack.tcp.owed_reset import OwedReset
from userstack.tcp.rack import RackRecovery
from userstack.tcp.recovery import Lost
from userstack.tcp.sack import BLOCK_OCTETS, HEAD_OCTETS, write_blocks
from userstack.tcp.segment import from_wire
from userstack.tcp.state import State
from userstack.tcp.tcb import Tcb
from userstack.tcp.timestamps import encode
from userstack.tcp.windowscale import MAX_WINDOW, to_field
from userstack.wire.encodable import MAX_OPTIONS
from userstack.wire.ip import Buffer
from userstack.wire.tcp import ACK, ECE, FIN, NOP, PSH, RST, SACK, SYN, TIMESTAMPS, URG, Option, TcpSegment

_SENDS_DATA: Final = frozenset({State.ESTABLISHED, State.FIN_WAIT_1, State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK})
MAX_URGENT_POINTER: Final = 65535
_ACKS: Final = frozenset(set(State) - {State.CLOSED, State.LISTEN, State.SYN_SENT, State.TIME_WAIT})


def poll_transmit(tcb: Tcb, *, now: int) -> TcpSegment | None:
    """The next segment, or None when there is nothing to send now."""
    path = tcb.lower.path
    if path.expires is not None or path.mtu != tcb.path_mtu:
        path.age(now)
        tcb.follow_path()
    retransmitted, texts = tcb.total_retrans, tcb.tally.data_segs_out
    segment = _next(tcb, now)
    if segment is not None:
        count = tcb.tally.data_segs_out - texts or 1
        tcb.segs_out += count
        if tcb.total_retrans == retransmitted:  # RFC 4022: what is only sent again does not count
            tcb.counters["TcpOutSegs"] += count
        if tcb.md5_key is not None and tcb.remote is not None and not md5sig.is_signed(segment):  # TIME-WAIT has signed its own
            md5sig.sign(segment, tcb.local.address, tcb.remote.address, tcb.md5_key)
    else:
        if tcb.state in _SENDS_DATA:
            _wait_for_window(tcb, now)
        _note_what_limits(tcb, now)
    return segment


def _note_what_limits(tcb: Tcb, now: int) -> None:
    """Nothing goes out now: what does the sender wait for?"""
    flight, unsent = tcb.snd_nxt - tcb.snd_una, max(tcb.sendbuf.end - tcb.snd_nxt, 0)
    if not (flight or unsent) or tcb.snd_una <= tcb.iss:
        why = IDLE
    elif tcb.congestion.cwnd <= flight:
        why = BUSY
    elif unsent:
        why = RWND_LIMITED if tcb.snd_wnd - flight < min(unsent, tcb.snd_mss) else BUSY
    else:
        why = BUSY if tcb.sendbuf.room else SNDBUF_LIMITED
    tcb.chronograph.switch(why, now)


def reset_for(segment: TcpSegment, *, echo_timestamp: bool = True) -> TcpSegment | None:
    """RFC 9293 3.10.7.1: the RST for a segment that belongs to no connection; None for a RST."""
    if segment.flags & RST:
        return None
    arrived = from_wire(segment, near_seq=segment.seq, near_ack=segment.ack)
    stamp = (0, arrived.timestamps[0]) if echo_timestamp and arrived.timestamps is not None else None
    return _reset(segment.destination_port, segment.source_port, *arrived.reset, stamp)


def _next(tcb: Tcb, now: int) -> TcpSegment | None:
    if tcb.resets:
        return _owed_reset(tcb, tcb.resets.take())
    if tcb.time_wait is not None:
        return tcb.time_wait.poll_transmit(now=now)
    if tcb.syn_due:
        return _syn(tcb, now) if now >= tcb.quiet_until else None  # RFC 9293 3.4.3
    if (tcb.state in _SENDS_DATA and tcb.syn_acked) or tcb.early:
        segment = _text_due(tcb, now)
        if segment is not None:
            return segment
    elif tcb.state is State.FIN_WAIT_1 and not tcb.fin_sent:
        return _send(tcb, tcb.snd_nxt, 0, now)  # 3.10.4: CLOSE in SYN-RECEIVED sends its FIN at once
    if tcb.keepalive_due:
        tcb.keepalive_due = False
        garbage = b"\0" if tcb.config.keepalive_garbage else b""  # SHLD-12: without data, unless asked for (MAY-6)
        return _with_ack(tcb, tcb.snd_una - 1, 0, _options(tcb, now), garbage)
    if tcb.ack_now and tcb.state in _ACKS:
        return _with_ack(tcb, tcb.acceptable_seq, 0, _options(tcb, now))
    return None


def _text_due(tcb: Tcb, now: int) -> TcpSegment | None:
    """A segment that takes sequence space, or a window probe."""
    if tcb.tlp_due:
        segment = _tail_probe(tcb, now)
        if segment is not None:
            return segment
    recovery = tcb.recovery
    lost = recovery.next_lost(tcb.snd_una, tcb.snd_nxt, tcb.snd_mss, tcb.congestion.cwnd)
    if lost is not None:
        segment = _counted_again(tcb, lost, now)
        if segment is not None:
            return segment
    if tcb.probe_due:
        segment = _probe(tcb, now)
        if segment is not None:
            return segment
    if lost is None and (tcb.close_requested or tcb.sendbuf.end > tcb.snd_nxt):
        segment = _fresh(tcb, now)
        if segment is not None:
            return segment
    if recovery.fast:
        doubtful = recovery.next_doubtful(tcb.snd_una, tcb.snd_nxt, tcb.snd_mss, tcb.congestion.cwnd)
        if doubtful is not None:
            return _counted_again(tcb, doubtful, now)
    return None


def _owed_reset(tcb: Tcb, owed: OwedReset) -> TcpSegment:
    tcb.counters.add("TcpOutRsts")
    remote = 0 if tcb.remote is None else tcb.remote.port
    return _reset(tcb.local.port, remote if owed.port is None else owed.port, owed.seq, owed.ack, owed.timestamps, owed.window)


def _reset(
    source: int, destination: int, number: int, ack: int | None, stamp: tuple[int, int] | None, window: int = 0
) -> TcpSegment:
    flags = RST if ack is None else RST | ACK
    options = () if stamp is None else (Option(NOP), Option(NOP), encode(*stamp))
    return TcpSegment(source, destination, seq.wrap(number), seq.wrap(ack or 0), flags, window, options=options)


def _syn(tcb: Tcb, now: int) -> TcpSegment:
    """SYN, or SYN,ACK once the peer's SYN is here, for the first time or again."""
    tcb.syn_due = False
    tcb.syns_sent += 1
    if tcb.syns_sent == 1:
        tcb.rtt.time(tcb.iss + 1, now)
    elif tcb.syn_lost or tcb.passive:  # a SYN that came again makes the SYN,ACK ambiguous too (Karn)
        _count_retransmission(tcb, 0)
        tcb.counters.add("TcpExtTCPSynRetrans")
    else:
        tcb.rtt.forget_timing()
    retransmission.arm(tcb, now)
    options = negotiation.offer(tcb, now)
    window = min(tcb.rcv_wnd, MAX_WINDOW)  # RFC 7323 2.2: not scaled
    if tcb.state is State.SYN_SENT:
        flags = SYN | tcb.ecn.syn_flags(answer=False, first=tcb.syns_sent == 1)
        return _segment(tcb, tcb.iss, 0, flags, window, options, _syn_text(tcb))
    _ack_goes_out(tcb)
    flags = SYN | ACK | tcb.ecn.syn_flags(answer=True, first=tcb.syns_sent == 1)
    return _segment(tcb, tcb.iss, tcb.rcv_nxt, flags, window, options)


def _syn_text(tcb: Tcb) -> bytes:
    """RFC 7413 4.2.2: the first SYN carries text; where it is not answered the next ones, which have to get through, do not."""
    fast_open = tcb.fast_open
    if tcb.syns_sent > 1 or not fast_open.room:
        return b""
    payload = tcb.sendbuf.read(tcb.iss + 1, min(fast_open.room, len(tcb.sendbuf)))
    fast_open.sent = len(payload)
    tcb.snd_nxt += len(payload)
    return payload


def _counted_again(tcb: Tcb, lost: Lost, now: int) -> TcpSegment | None:
    """The same as ``_again``, as loss recovery does it."""
    segment = _again(tcb, lost, now)
    if segment is not None:
        loss_counts.resent(tcb)
    return segment


def _again(tcb: Tcb, lost: Lost, now: int) -> TcpSegment | None:
    """A part once more, as far as both windows reach (SHLD-16)."""
    if not tcb.snd_wnd and not tcb.config.empty_probes:
        return None
    first = lost.first
    room = min(lost.room, _resend_edge(tcb) - first)
    size = min(tcb.segment_limit, tcb.sendbuf.end - first, room)
    if lost.exact or lost.end < tcb.snd_nxt:  # otherwise new data may fill the segment up (SHLD-28)
        size = min(size, lost.end - first)
    if size < 0 or (size == 0 and room < 1):
        return None
    segment = _send(tcb, first, size, now, most=lost.end if lost.exact else None)
    tcb.recovery.resent(lost, first + _taken(segment), now)
    if lost.exact and first == tcb.snd_una:
        tcb.timers.retransmission = now + tcb.rtt.rto  # as Linux does: it waits for this one now
    return segment


def _tail_probe(tcb: Tcb, now: int) -> TcpSegment | None:
    """RFC 8985 7.3: one new segment whatever the congestion window says, else the last one again."""
    tcb.tlp_due = False
    recovery = tcb.recovery
    last = recovery.last() if isinstance(recovery, RackRecovery) else None
    if last is None:
        return None
    tcb.counters.add("TcpExtTCPLossProbes")
    size = min(tcb.unsent, tcb.segment_limit, tcb.snd_una + tcb.snd_wnd - tcb.snd_nxt)
    lost = Lost(last.start, last.end, tcb.snd_mss, exact=True)
    segment = _send(tcb, tcb.snd_nxt, size, now) if size > 0 else _again(tcb, lost, now)
    tcb.tlp_again, tcb.tlp_end = size <= 0, tcb.snd_nxt
    tcb.timers.loss_probe = None
    return segment


def _resend_edge(tcb: Tcb) -> int:
    """How far what was sent may be sent again. Into a window that has shut Linux sends, so that the peer says where it stands."""
    edge = tcb.snd_una + tcb.snd_wnd
    if not tcb.snd_wnd:
        return tcb.snd_nxt
    # RFC 7323 2.4: scaling may have rounded the window down below what was in it when it was sent.
    return max(edge, min(tcb.snd_nxt, edge + (1 << tcb.snd_wind_shift) - 1))


def _probe(tcb: Tcb, now: int) -> TcpSegment | None:
    """Zero-window probe (RFC 9293 3.8.6.1): the first octet that is not acknowledged, or the next new one, or the FIN."""
    if tcb.urgent_probe_due:
        # As in Linux: a peer may drop the other one, left of the window or with text beyond it, and never look at its URG.
        tcb.urgent_probe_due = False
        tcb.counters.add("TcpExtTCPWinProbe")
        return _with_ack(tcb, tcb.snd_una, 0, _options(tcb, now))
    tcb.probe_due = False
    if tcb.config.empty_probes:
        tcb.counters.add("TcpExtTCPWinProbe")
        return _with_ack(tcb, tcb.snd_una - 1, 0, _options(tcb, now))
    first = tcb.snd_una if tcb.flight else tcb.snd_nxt
    tcb.counters.add("TcpExtTCPWinProbe")
    return _send(tcb, first, min(1, tcb.sendbuf.end - first), now)


def _fresh(tcb: Tcb, now: int) -> TcpSegment | None:
    """New data, and the FIN when it is its turn; never before all that is lost."""
    unsent = tcb.sendbuf.end - tcb.snd_nxt
    if unsent < 0:  # the FIN is out
        return None
    una, nxt = tcb.text_una, tcb.snd_nxt
    offered = una + tcb.snd_wnd - nxt
    if nxt == tcb.snd_una and offered > 0 and unsent and _was_idle(tcb, now):
        tcb.congestion.on_idle()
    usable = min(offered, tcb.recovery.room(una, nxt, tcb.snd_mss, tcb.congestion.cwnd))
    if unsent:
        size = min(unsent, usable)
        return _send(tcb, nxt, size, now) if size >= tcb.snd_mss or worth_sending(tcb, unsent, usable) else None
    if offered > 0:
        return _send(tcb, tcb.snd_nxt, 0, now)
    return None


def _was_idle(tcb: Tcb, now: int) -> bool:
    """RFC 5681 4.1: nothing is outstanding, nor was anything sent for more than one RTO."""
    return tcb.config.slow_start_after_idle and now - tcb.data_sent_at > tcb.rtt.rto


def _wait_for_window(tcb: Tcb, now: int) -> None:
    """Nothing may go out now: if something waits for the peer's window alone, a timer has to watch over it (law 5)."""
    if tcb.snd_una <= tcb.iss or not tcb.waiting:
        return
    if not tcb.snd_wnd:
        if tcb.config.empty_probes and tcb.flight:
            return  # the retransmission timer watches
        retransmission.stop(tcb)
        tcb.timers.override, tcb.override_due = None, False
        if tcb.timers.persist is None:  # SHLD-29: after one retransmission timeout
            tcb.timers.persist = now + tcb.rtt.rto
    elif tcb.snd_nxt == tcb.snd_una and tcb.timers.override is None:
        # Note: Linux has one timer for this and for the zero window.
        tcb.timers.override = now + (tcb.rtt.rto if tcb.config.empty_probes else tcb.config.override_timeout)


def _send(tcb: Tcb, first: int, size: int, now: int, most: int | None = None) -> TcpSegment:
    """At most ``size`` octets from ``first`` on, and the FIN if it is asked for, stands right behind them and before ``most``."""
    options = _options(tcb, now)
    others = _octets_of_others(options)
    full = min(tcb.snd_mss - others, tcb.segment_limit)
    count = train.count(tcb, first, size, full) if size > full and not others else 1
    size = min(size, count * full)
    end = first + size
    pieces = _text(tcb, first, size, count)
    flags = PSH if size and end == tcb.sendbuf.end and not tcb.more else 0  # MUST-61
    # A FIN takes sequence space too: behind data it goes along only where the window has room for it.
    fits = not size or end < tcb.snd_una + tcb.snd_wnd
    if tcb.close_requested and end == tcb.sendbuf.end and fits and (most is None or end < most):
        flags |= FIN
        end += 1
    codepoint = 0
    if first < tcb.snd_nxt:
        _count_retransmission(tcb, size)
        tcb.delivery.resent(first, end, now)
    else:
        each = full if count > 1 else end - first
        tcb.rtt.time(end, now)
        tcb.recovery.sent(first, end, each, now)
        tcb.delivery.sent(first, end, each, now)
        tcb.counters["TcpExtTCPOrigDataSent"] += count
        if size and tcb.snd_wnd:  # RFC 3168 6.1.6: a window probe has neither ECT nor CWR
            cwr, codepoint = tcb.ecn.new_data()
            flags |= cwr
    tcb.snd_nxt = max(tcb.snd_nxt, end)
    segment = _with_ack(tcb, first, flags, options, pieces[0])
    segment.more = pieces[1:]
    segment.gso_size = full if count > 1 else 0
    segment.ecn = codepoint
    tcb.timers.override = None
    if size:
        tcb.data_sent_at = now
        tcb.tally.data_segs_out += count
        tcb.tally.octets_out += size
        if size < full:
            tcb.small_sent_end = end
        tcb.delayed_ack.answered(now)
    if tcb.snd_wnd or not tcb.syn_acked or tcb.config.empty_probes:
        retransmission.arm(tcb, now)
    if tcb.config.rack and tcb.syn_acked:
        tlp.schedule(tcb, now)
    if tcb.close_requested:
        carry_out_close(tcb, now=now)
    return segment


def _text(tcb: Tcb, first: int, size: int, count: int) -> tuple[Buffer, ...]:
    """In one piece, unless it is for several segments: then it is worth more not to copy it."""
    if count > 1:
        return tuple(tcb.sendbuf.pieces(first, size))
    return (tcb.sendbuf.read(first, size) if size else b"",)


def _taken(segment: TcpSegment) -> int:
    return len(segment.payload) + bool(segment.flags & FIN)


def _count_retransmission(tcb: Tcb, size: int) -> None:
    tcb.rtt.forget_timing()
    tcb.bytes_retrans += size
    tcb.total_retrans += 1
    tcb.counters.add("TcpRetransSegs")


def _options(tcb: Tcb, now: int) -> tuple[Option, ...]:
    """The timestamps, the user timeout where it is due, and what there is to tell by SACK."""
    options = tcb.timestamps.padded(now) if tcb.snd_ts_ok else ()
    told = 0
    if tcb.uto.due:
        options += (tcb.uto.write(tcb.user_timeout),)
        told = uto.OPTION_OCTETS
    report = tcb.sack_report
    if not tcb.sack_permitted or not (tcb.recvbuf.has_islands or report.duplicate):
        return options
    most = max(min(MAX_OPTIONS - tcb.option_octets, tcb.snd_mss - 1) - told - HEAD_OCTETS, 0) // BLOCK_OCTETS
    blocks = report.blocks(tcb.recvbuf.islands, most)
    report.duplicate = None
    return options + write_blocks(blocks) if blocks else options


def _octets_of_others(options: tuple[Option, ...]) -> int:
    """What of Eff.snd.MSS the options take that not every segment has: SACK and user timeout (RFC 6691)."""
    if not options or options[-1].kind == TIMESTAMPS:
        return 0
    octets = HEAD_OCTETS + len(options[-1].data) if options[-1].kind == SACK else 0
    return octets + uto.OPTION_OCTETS * any(kind == uto.USER_TIMEOUT for kind, _ in options)


def _with_ack(tcb: Tcb, number: int, flags: int, options: tuple[Option, ...], payload: Buffer = b"") -> TcpSegment:
    """Every segment from SYN-RECEIVED on carries <ACK=RCV.NXT> and the window."""
    window = _offer_window(tcb)
    if tcb.ecn.echo:
        flags |= ECE
    _ack_goes_out(tcb)
    segment = _segment(tcb, number, tcb.rcv_nxt, flags | ACK, window, options, payload)
    if tcb.snd_up > tcb.snd_una and number < tcb.snd_up:
        # 3.8.5: in all segments, those without text too. What lies farther than the field can say is told by those that follow.
        segment.flags |= URG
        segment.urgent_pointer = min(tcb.snd_up - number, MAX_URGENT_POINTER)
    return segment


def _ack_goes_out(tcb: Tcb) -> None:
    """What was owed is thereby paid."""
    tcb.ack_now = False
    tcb.timers.delayed_ack = None
    tcb.delayed_ack.acknowledged()
    tcb.timestamps.last_ack_sent = tcb.rcv_nxt


def _offer_window(tcb: Tcb) -> int:
    """The window field. Receiver's silly window avoidance (3.8.6.2.2): the edge moves by a worthwhile amount or not at all."""
    free, shift, nxt, before = tcb.recvbuf.free, tcb.rcv_wind_shift, tcb.rcv_nxt, tcb.rcv_adv
    edge = nxt + min(free, MAX_WINDOW << shift)
    if edge - before < min(tcb.recvbuf.limit // 2, tcb.snd_mss):
        edge = before
    window = to_field(edge - nxt, free, shift)
    if nxt + (window << shift) > before:
        tcb.rcv_adv = nxt + (window << shift)
    if not window and tcb.timestamps.last_ack_sent < before:
        tcb.counters.add("TcpExtTCPToZeroWindowAdv")
    elif window and tcb.timestamps.last_ack_sent == before:
        tcb.counters.add("TcpExtTCPFromZeroWindowAdv")
    return window


def _segment(
    tcb: Tcb, number: int, ack: int, flags: int, window: int, options: tuple[Option, ...] = (), payload: Buffer = b""
) -> TcpSegment:
    if tcb.remote is None:
        raise RuntimeError("a segment cannot be sent without a remote socket")
    return TcpSegment(tcb.local.port, tcb.remote.port, seq.wrap(number), seq.wrap(ack), flags, window, 0, options, payload)
