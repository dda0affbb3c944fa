"""SEGMENT ARRIVES, RFC 9293 3.10.7: one function for each numbered step. Nothing here sends: it records what is owed (law 4).

The functions of the steps return True where processing goes on with the next step.
"""

from typing import Final, assert_never

from userstack.config import MILLISECOND
from userstack.errors import BrokenPipe, ConnectionRefused, ConnectionReset
from userstack.tcp import acknowledge, disordered, fastopen, finwait2, keepalive, negotiation, retransmission, seq, text, urgent
from userstack.tcp.calls import carry_out_close
from userstack.tcp.options import read_syn
from userstack.tcp.receiver_rtt import NOTHING_MEASURED
from userstack.tcp.segment import Segment, from_wire
from userstack.tcp.state import State, move
from userstack.tcp.tcb import Tcb
from userstack.tcp.timewait import TimeWait
from userstack.wire.tcp import ACK, FIN, RST, SYN, TcpSegment

_SOON: Final = 2 * MILLISECOND


def segment_arrives(tcb: Tcb, wire: TcpSegment, *, now: int) -> None:
    """Process one segment that is addressed to this connection."""
    if wire.payload:
        segments = tcb.segments_in(len(wire.payload))
        tcb.segs_in += segments
        tcb.data_segs_in += segments
    else:
        tcb.segs_in += 1
    match tcb.state:
        case State.CLOSED:
            _closed(tcb, from_wire(wire, near_seq=0, near_ack=0), wire.source_port)
        case State.LISTEN:
            _listen(tcb, from_wire(wire, near_seq=wire.seq, near_ack=wire.ack), now)
        case State.SYN_SENT:
            _syn_sent(tcb, from_wire(wire, near_seq=wire.seq, near_ack=tcb.snd_una), now)
        case State.TIME_WAIT:
            if tcb.time_wait is not None:
                tcb.time_wait.on_segment(wire, now=now)
            elif tcb.reopened_from is not None:
                _reopen(tcb, tcb.reopened_from, wire, now)
        case (
            State.SYN_RECEIVED
            | State.ESTABLISHED
            | State.FIN_WAIT_1
            | State.FIN_WAIT_2
            | State.CLOSE_WAIT
            | State.CLOSING
            | State.LAST_ACK
        ):
            segment = from_wire(wire, near_seq=tcb.rcv_nxt, near_ack=tcb.snd_una, shift=tcb.snd_wind_shift)
            _other_states(tcb, segment, now)
        case _:
            assert_never(tcb.state)


def _closed(tcb: Tcb, segment: Segment, port: int) -> None:
    # 3.10.7.1
    if not segment.rst:
        tcb.answer_reset(segment, segment.reset, port)


def _listen(tcb: Tcb, segment: Segment, now: int) -> None:
    # 3.10.7.2. First a RST, second an ACK; the third, security, has no meaning here (A.1.2); a SYN; fourth, anything else.
    flags = segment.flags
    if flags & RST:
        return
    if flags & ACK:
        tcb.answer_reset(segment, segment.reset)
        return
    if not flags & SYN or tcb.remote is None:
        return
    if flags & FIN and tcb.config.drop_synfin:
        return
    if segment.bad_options:
        tcb.counters.add("TcpExtTCPBadOptions")  # MUST-7: there is no connection to reset yet
        return
    tcb.begin(tcb.remote, now)
    _receive_syn(tcb, segment, now)
    move(tcb, State.SYN_RECEIVED, cause=segment.cause, clause="3.10.7.2 step 3", now=now)


def _reopen(tcb: Tcb, record: TimeWait, wire: TcpSegment, now: int) -> None:
    """MAY-2 (3.6.1). Condition (1): the new ISS lies above every sequence number of the old incarnation."""
    segment = from_wire(wire, near_seq=record.rcv_nxt, near_ack=record.snd_nxt)
    iss = seq.unwrap(tcb.isn(record.local, record.remote, now), record.snd_nxt)
    tcb.start(max(iss, record.next_iss))
    _receive_syn(tcb, segment, now)
    move(tcb, State.SYN_RECEIVED, cause=segment.cause, clause="3.6.1", now=now)


def _receive_syn(tcb: Tcb, segment: Segment, now: int) -> None:
    """A SYN for the new incarnation, which has its ISS: IRS, RCV.NXT, and what came with the SYN is queued."""
    tcb.passive = True
    tcb.snd_nxt = tcb.sendbuf.start  # ISS + 1, without another object for the same number
    _take_syn(tcb, segment, now)
    tcb.syn_due = True


def _take_syn(tcb: Tcb, segment: Segment, now: int) -> None:
    offered = tcb.rcv_adv - tcb.rcv_nxt  # by our own SYN, where one has gone out
    tcb.irs = segment.seq
    tcb.segs_accepted += 1
    tcb.rcv_nxt = segment.seq + 1
    negotiation.agree(tcb, read_syn(segment.options), now)
    if tcb.uto.enabled:
        tcb.uto.arrived(segment.options, user_timeout=tcb.user_timeout, rto=tcb.rtt.rto)
    tcb.ecn = tcb.ecn.agreed(segment.flags, tcb.config.ecn, tcb.iss)
    tcb.rcv_adv = tcb.rcv_nxt + (tcb.syn_window if tcb.passive else offered)
    # Note: 3.10.7.2 leaves SND.WND to the ACK, but a FIN may have to be sent before that one comes (3.10.4, SYN-RECEIVED).
    _update_send_window(tcb, segment)
    # 3.10.7.2, 3.10.7.3: other text and controls are queued until ESTABLISHED.
    tcb.rcv_up = tcb.rcv_nxt
    if segment.up is not None:
        urgent.take(tcb, segment)
    if segment.payload or segment.flags & FIN:
        behind = Segment(tcb.rcv_nxt, segment.ack, segment.flags & ~SYN, segment.window, segment.payload)
        text.hold(tcb, behind.trimmed(tcb.rcv_nxt, tcb.rcv_adv))
    if tcb.fast_open.accepted:
        _open_early(tcb)


def _open_early(tcb: Tcb) -> None:
    """RFC 7413 4.2.2: the peer's text is the application's at once, and its answer need not wait; what is sent obeys RFC 5681."""
    tcb.congestion = tcb.begin_congestion()
    tcb.recovery.begin(tcb.text_una)
    text.text_in_order(tcb)
    tcb.fast_open.acked = tcb.rcv_nxt > tcb.irs + 1


def _syn_sent(tcb: Tcb, segment: Segment, now: int) -> None:
    # 3.10.7.3, first step. A RST's SEQ cannot be checked against RCV.NXT (RFC 5961 3.2), for nothing was received yet.
    if segment.has_ack and not tcb.iss < segment.ack <= tcb.snd_nxt:
        if not segment.rst:
            tcb.answer_reset(segment, segment.reset)
            if tcb.config.kernel_resets and not tcb.retransmits:
                tcb.timers.retransmission = now + _SOON  # as Linux does: what stood in the way is gone then
        return
    if segment.rst:  # second step
        if segment.has_ack:
            tcb.die(ConnectionRefused(), cause=segment.cause, clause="3.10.7.3 step 2", now=now)
        return
    if not segment.syn:  # fifth step
        return
    if segment.bad_options:
        tcb.counters.add("TcpExtTCPBadOptions")
        return
    if segment.has_ack:
        _syn_sent_acked(tcb, segment, now)
    else:
        _take_syn(tcb, segment, now)
        tcb.timers.retransmission = None
        tcb.rtt.forget_timing()  # SYN and SYN,ACK are one sequence number sent twice
        tcb.syn_due = True
        move(tcb, State.SYN_RECEIVED, cause=segment.cause, clause="3.10.7.3 step 4", now=now)


def _syn_sent_acked(tcb: Tcb, segment: Segment, now: int) -> None:
    _take_syn(tcb, segment, now)
    tcb.ack_now = True
    acknowledge.advance(tcb, segment, now)
    counter = fastopen.answered(tcb, fastopen.read_cookie(segment.options), tcb.peer_mss, tcb.flight, now)
    if counter is not None:
        tcb.counters.add(counter)
    move(tcb, State.ESTABLISHED, cause=segment.cause, clause="3.10.7.3 step 4", now=now)
    _established(tcb, segment, now)


def _established(tcb: Tcb, segment: Segment, now: int) -> None:
    """What 3.10 defers until ESTABLISHED: our own queued CLOSE, and text and FIN that came with the SYN."""
    _handshake_over(tcb, now)
    carry_out_close(tcb, now=now)
    text.text_in_order(tcb)
    text.take_fin(tcb, segment, now)


def _handshake_over(tcb: Tcb, now: int) -> None:
    """What begins with it, in FIN-WAIT-1 too where that was entered from SYN-RECEIVED."""
    acknowledge.begin_data(tcb)
    acknowledge.resend_early_text(tcb, now)
    tcb.heard_at = now
    tcb.data_received_at = tcb.ack_received_at = now
    if tcb.receiver_rtt is not NOTHING_MEASURED:  # text came with the SYN
        tcb.receiver_rtt.begin(tcb.rcv_nxt, tcb.first_space, now)
    tcb.uto.due = tcb.uto.enabled  # RFC 5482 3: in the first segment without SYN too
    keepalive.arm(tcb)


def _other_states(tcb: Tcb, segment: Segment, now: int) -> None:
    # 3.10.7.4
    flags = segment.flags
    if flags & SYN and _is_syn_ack_of_crossing(tcb, segment):
        segment = segment.trimmed(tcb.rcv_nxt, tcb.rcv_adv)
        flags = segment.flags
    if not (_check_timestamps(tcb, segment, now) and _check_sequence(tcb, segment, now)):
        return
    tcb.heard_at = now
    tcb.segs_accepted += 1
    if tcb.keepalives:
        keepalive.arm(tcb)  # it was answered
    if flags & RST:
        _check_rst(tcb, segment, now)
    elif segment.bad_options:
        _refuse_options(tcb, segment, now)
    elif flags & SYN:
        _refuse_syn(tcb, segment, now)
    elif _check_ack(tcb, segment, now):
        if tcb.snd_ts_ok and segment.timestamps is not None:
            # Note: R3 of RFC 7323 5.3, but after the ACK was believed, so that whoever guesses only SEQ sets nothing.
            tcb.timestamps.update(segment.timestamps[0], segment.seq, now)
        if tcb.uto.enabled and segment.options:
            _take_user_timeout(tcb, segment)
        if segment.up is not None or tcb.mark is not None:
            urgent.process_urgent(tcb, segment)
        _seventh_step_on(tcb, _idealized(tcb, segment), now)


def _take_user_timeout(tcb: Tcb, segment: Segment) -> None:
    """RFC 5482 3.1; it is told on: "whenever it starts using a new user timeout" (3)."""
    if tcb.uto.arrived(segment.options, user_timeout=tcb.user_timeout, rto=tcb.rtt.rto):
        retransmission.watch(tcb)
        keepalive.arm(tcb)


def _idealized(tcb: Tcb, segment: Segment) -> Segment:
    """First step: what lies outside the window, or behind the peer's FIN, is trimmed off."""
    right = tcb.rcv_adv
    if segment.payload:
        text.arrived_again(tcb, segment.seq, tcb.rcv_nxt, "TcpExtTCPDSACKOldSent")
    if tcb.recvbuf.fin_seq is not None:
        right = min(right, tcb.recvbuf.fin_seq)
        tcb.ack_now |= segment.fin  # a repeated FIN, beyond a hole still
    if tcb.rcv_nxt <= segment.seq and segment.end <= right:
        return segment
    return segment.trimmed(tcb.rcv_nxt, right)


def _is_syn_ack_of_crossing(tcb: Tcb, segment: Segment) -> bool:
    # Note: figure 7 lets the SYN,ACK of a simultaneous open establish the connection, though its SEQ, which is IRS, lies left of
    # the window and the letter of the first step would only answer it with an ACK. As in the figure: the old SYN is trimmed off.
    return (
        tcb.state is State.SYN_RECEIVED
        and not tcb.passive
        and segment.syn
        and segment.has_ack
        and not segment.rst
        and segment.seq == tcb.irs
        and tcb.iss < segment.ack <= tcb.snd_nxt
    )


def _check_timestamps(tcb: Tcb, segment: Segment, now: int) -> bool:
    """R1 of RFC 7323 5.3, before the first step: an old duplicate is as unacceptable as what lies outside the window."""
    if not tcb.snd_ts_ok or segment.flags & RST:
        return True
    if segment.timestamps is None:
        if not tcb.config.tolerate_missing_ts:  # RFC 7323 3.2
            tcb.counters.add("TcpExtTCPMissingTimestamp")
        return tcb.config.tolerate_missing_ts
    if not tcb.timestamps.is_old(segment.timestamps[0], now):
        return True
    verdict = disordered.judge(tcb, segment) if tcb.config.disordered_acks else disordered.Verdict.OLD
    if verdict is not disordered.Verdict.OLD:
        if verdict is disordered.Verdict.DROP:
            tcb.counters.add("TcpExtPAWSOldAck")
        return verdict is disordered.Verdict.BELIEVE
    tcb.counters.add("TcpExtPAWSEstab")
    _answer_unacceptable(tcb, segment, now, skipped="TcpExtTCPACKSkippedPAWS")
    return False


def _check_sequence(tcb: Tcb, segment: Segment, now: int) -> bool:
    """First step: what is not acceptable is answered with an ACK, unless it is a RST."""
    window = tcb.rcv_adv - tcb.rcv_nxt
    acceptable = segment.is_acceptable(tcb.rcv_nxt, window)
    if acceptable:
        # A probe of a zero window: its text is cut off, and answered. A SYN is not: the fourth step has a challenge ACK for it.
        if not window and segment.length and not segment.flags & (RST | SYN):
            tcb.ack_now = True
            tcb.counters.add("TcpExtTCPZeroWindowDrop")
    elif not segment.rst:
        if segment.seq > tcb.rcv_adv:
            tcb.counters.add("TcpExtBeyondWindow")
        _answer_unacceptable(tcb, segment, now)
    return acceptable


def _answer_unacceptable(tcb: Tcb, segment: Segment, now: int, *, skipped: str = "TcpExtTCPACKSkippedSeq") -> None:
    if segment.syn:
        _answer_syn_again(tcb, segment, now)
    elif segment.length:
        tcb.ack_now = True
        if segment.seq < tcb.rcv_nxt:
            tcb.counters.add("TcpExtDelayedACKLost")  # the peer has sent it again: our ACK was late, or lost
        text.arrived_again(tcb, segment.seq, min(segment.end, tcb.rcv_nxt), "TcpExtTCPDSACKOldSent")
    else:
        # Note: two ends that lost track of each other would answer bare ACKs with bare ACKs for ever, so those pass the throttle.
        tcb.send_challenge_ack(now, "", skipped=skipped)


def _challenge_syn(tcb: Tcb, now: int) -> None:
    """RFC 5961 4."""
    tcb.counters.add("TcpExtTCPSYNChallenge")
    if tcb.state is State.ESTABLISHED:
        tcb.counters.add("TcpInErrs")
    tcb.send_challenge_ack(now)


def _answer_syn_again(tcb: Tcb, segment: Segment, now: int) -> None:
    """A SYN that begins left of the window."""
    again = tcb.passive and not tcb.syn_acked and segment.seq == tcb.irs  # SYN-RECEIVED, or FIN-WAIT-1 from there
    if again and tcb.config.repeat_synack:
        tcb.syn_due = True
        return
    _challenge_syn(tcb, now)  # RFC 5961 4: "irrespective of the sequence number"


def _check_rst(tcb: Tcb, segment: Segment, now: int) -> None:
    """Second step, with RFC 5961 3: only at RCV.NXT exactly; elsewhere in the window a challenge ACK."""
    if segment.seq != tcb.rcv_nxt and not tcb.config.insecure_rst:
        tcb.send_challenge_ack(now)
        return
    clause = "3.10.7.4 step 2"
    match tcb.state:
        case State.SYN_RECEIVED if tcb.embryonic:
            tcb.counters.add("TcpExtEmbryonicRsts")
            _back_to_origin(tcb, segment, clause=clause, now=now)
        case State.SYN_RECEIVED if not tcb.passive:
            tcb.die(ConnectionRefused(), cause=segment.cause, clause=clause, now=now)
        case State.CLOSE_WAIT:
            # Note: as Linux says it: the peer has closed in order before, so what is broken is only our way.
            tcb.die(BrokenPipe("the peer has closed and then reset the connection"), cause=segment.cause, clause=clause, now=now)
        case State.CLOSING | State.LAST_ACK:
            tcb.die(None, cause=segment.cause, clause=clause, now=now)
        case _:
            tcb.die(ConnectionReset(), cause=segment.cause, clause=clause, now=now)


def _back_to_origin(tcb: Tcb, segment: Segment, *, clause: str, now: int) -> None:
    """A passive open came to nothing: back to LISTEN, or to the TIME-WAIT that the SYN had reopened (MAY-2)."""
    tcb.flush()
    if tcb.reopened_from is None:
        move(tcb, State.LISTEN, cause=segment.cause, clause=clause, now=now)
    else:
        tcb.time_wait = tcb.reopened_from
        move(tcb, State.TIME_WAIT, cause=segment.cause, clause="3.6.1", now=now)


def _refuse_options(tcb: Tcb, segment: Segment, now: int) -> None:
    """MUST-7: an illegal option length resets the connection, but only from where a RST itself would be believed (RFC 5961 3)."""
    tcb.counters.add("TcpExtTCPBadOptions")
    if segment.seq == tcb.rcv_nxt:
        tcb.send_reset(now)
        error = ConnectionReset("the peer sent an option of illegal length")
        tcb.die(error, cause=f"{segment.cause} with an option of illegal length", clause="3.1", now=now)


def _refuse_syn(tcb: Tcb, segment: Segment, now: int) -> None:
    """Fourth step, with RFC 5961 4."""
    clause = "3.10.7.4 step 4"
    if segment.seq < tcb.rcv_nxt:
        # Only what follows the SYN is in the window: it is one that comes again with its text, and no error.
        _answer_syn_again(tcb, segment, now)
    elif tcb.embryonic:
        tcb.counters.add("TcpExtEmbryonicRsts")
        _back_to_origin(tcb, segment, clause=clause, now=now)
    elif tcb.config.insecure_syn:
        tcb.answer_reset(segment, segment.reset)
        tcb.die(ConnectionReset(), cause=segment.cause, clause=clause, now=now)
    else:
        _challenge_syn(tcb, now)


def _check_ack(tcb: Tcb, segment: Segment, now: int) -> bool:
    """Fifth step."""
    if not segment.flags & ACK:
        return False
    if tcb.state is State.SYN_RECEIVED:
        return _check_ack_of_syn(tcb, segment, now)
    # RFC 5961 5 (MAY-12), and "acks something not yet sent".
    if not tcb.snd_una - tcb.max_snd_wnd <= segment.ack <= tcb.snd_nxt:
        tcb.send_challenge_ack(now)
        return False
    tcb.probing.answered()
    tcb.more = False
    _count_ack(tcb, segment, now)
    acknowledge.selective(tcb, segment, now)
    had_syn_acked = tcb.snd_una > tcb.iss
    if segment.ack > tcb.snd_una:
        acknowledge.new_data(tcb, segment, now)
        if not had_syn_acked:  # FIN-WAIT-1, entered from SYN-RECEIVED: what is deferred until ESTABLISHED
            _handshake_over(tcb, now)
            text.text_in_order(tcb)
    elif segment.ack == tcb.snd_una:
        acknowledge.duplicate(tcb, segment)
    acknowledge.conclude(tcb, segment, now)
    acknowledge.count_delivered(tcb, segment, now)
    if tcb.ecn.asks_to_slow_down(segment.flags, tcb.snd_una):
        acknowledge.marked(tcb)
    if segment.ack >= tcb.snd_una:
        _update_send_window(tcb, segment)
    if tcb.timers.persist is not None:
        retransmission.restart_persist(tcb, now)
    return _check_ack_of_fin(tcb, segment, now)


def _count_ack(tcb: Tcb, segment: Segment, now: int) -> None:
    """For TCP_INFO and the counters: an ACK that is neither old nor of what was never sent."""
    if segment.ack >= tcb.snd_una:
        tcb.ack_received_at = now
    if not segment.length:
        tcb.counters["TcpExtTCPPureAcks"] += 1


def _check_ack_of_syn(tcb: Tcb, segment: Segment, now: int) -> bool:
    # Note: the range of RFC 5961 5 is for synchronized states; here 3.5.2, second group, asks for a RST.
    if not tcb.snd_una < segment.ack <= tcb.snd_nxt:
        tcb.answer_reset(segment, segment.reset)
        return False
    bare = not segment.length
    if bare and tcb.retransmits < tcb.config.defer_accept and tcb.embryonic:
        tcb.deferred = True
        tcb.counters.add("TcpExtTCPDeferAcceptDrop")
        return False
    tcb.probing.answered()
    if bare:
        tcb.counters["TcpExtTCPPureAcks"] += 1
    if tcb.early:
        acknowledge.selective(tcb, segment, now)
        acknowledge.new_data(tcb, segment, now)
        acknowledge.conclude(tcb, segment, now)
    else:
        acknowledge.advance(tcb, segment, now)
    _set_send_window(tcb, segment.seq, segment)
    tcb.reopened_from = None
    move(tcb, State.ESTABLISHED, cause=segment.cause, clause="3.10.7.4 step 5", now=now)
    _established(tcb, segment, now)
    return True


def completes_handshake(tcb: Tcb, wire: TcpSegment) -> bool:
    """Whether a segment is the ACK by which a passive open would be established, or a FIN would close it at once."""
    if tcb.state is not State.SYN_RECEIVED or wire.flags & (ACK | RST | SYN) != ACK:
        return False
    segment = from_wire(wire, near_seq=tcb.rcv_nxt, near_ack=tcb.snd_una)
    deferred = not segment.length and tcb.retransmits < tcb.config.defer_accept
    return segment.ack == tcb.snd_nxt and not deferred and segment.is_acceptable(tcb.rcv_nxt, tcb.rcv_wnd)


def _check_ack_of_fin(tcb: Tcb, segment: Segment, now: int) -> bool:
    clause = "3.10.7.4 step 5"
    match tcb.state:
        case State.CLOSING:
            if tcb.fin_acked:
                tcb.ack_now |= segment.fin  # eighth step: whatever FIN this is, it is acknowledged
                text.enter_time_wait(tcb, cause=segment.cause, clause=clause, now=now)
            return False
        case State.LAST_ACK if tcb.fin_acked:
            tcb.die(None, cause=segment.cause, clause=clause, now=now)
            return False
        case _:
            return True


def _update_send_window(tcb: Tcb, segment: Segment) -> None:
    """Fifth step: SND.WL1 and SND.WL2 keep an old segment from setting the window. A SYN sets it always."""
    syn = segment.flags & SYN
    first = segment.seq if syn else max(segment.seq, tcb.rcv_nxt)  # of the idealized segment
    if not (syn or tcb.snd_wl1 < first or (tcb.snd_wl1 == first and tcb.snd_wl2 <= segment.ack)):
        return
    _set_send_window(tcb, first, segment)


def _set_send_window(tcb: Tcb, first: int, segment: Segment) -> None:
    was_shut = tcb.snd_wnd == 0
    tcb.snd_wnd, tcb.snd_wl1, tcb.snd_wl2 = segment.window, first, segment.ack
    tcb.max_snd_wnd = max(tcb.max_snd_wnd, segment.window)
    if was_shut and segment.window:
        acknowledge.leave_persist(tcb)


def _seventh_step_on(tcb: Tcb, segment: Segment, now: int) -> None:
    if text.process_text(tcb, segment, now):
        text.process_fin(tcb, segment, now)
    if tcb.state is State.FIN_WAIT_1 and tcb.fin_acked:
        # Fifth step; done last, so that a FIN in the same segment leads straight to TIME-WAIT (figure 5, note 2).
        move(tcb, State.FIN_WAIT_2, cause=segment.cause, clause="3.10.7.4 step 5", now=now)
        if tcb.released:
            finwait2.entered_by_orphan(tcb, segment, now)
