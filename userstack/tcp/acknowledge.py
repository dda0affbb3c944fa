"""What an acceptable acknowledgement does to the send side (RFC 9293 3.10.7.4 step 5, RFC 5681, RFC 6298)."""

from userstack.tcp import first_text, retransmission, tlp
from userstack.tcp.delivery import NOTHING_DELIVERED, SYN_DELIVERED
from userstack.tcp.probing import NOT_PROBING
from userstack.tcp.rack import RackRecovery
from userstack.tcp.recovery import Phase
from userstack.tcp.sack import Block, is_duplicate, read_blocks
from userstack.tcp.sack_recovery import SackRecovery
from userstack.tcp.segment import Segment
from userstack.tcp.tcb import Tcb
from userstack.wire.tcp import ECE, SYN


def advance(tcb: Tcb, segment: Segment, now: int) -> None:
    """SND.UNA <- SEG.ACK: what is thereby acknowledged leaves the send buffer, the timers follow (RFC 6298 5.2, 5.3)."""
    ack = segment.ack
    tcb.bytes_acked += tcb.sendbuf.acknowledge(ack)
    tcb.snd_una = ack
    tcb.syn_due = False  # a SYN that its timer has made due again is not sent any more
    _measure(tcb, segment, now)
    tcb.soft_error = None  # whatever it was, it is overcome
    retransmission.restart(tcb, now)
    if not tcb.waiting:
        leave_persist(tcb)


def _measure(tcb: Tcb, segment: Segment, now: int) -> None:
    """A round-trip time: exactly, by the segment that is timed; what was sent again only a timestamp can tell (RFC 7323 4.1)."""
    if tcb.rtt.timing:
        tcb.rtt.acknowledged(segment.ack, now)
    elif tcb.snd_ts_ok and segment.timestamps is not None:
        elapsed = tcb.timestamps.elapsed(segment.timestamps[1], now)
        if elapsed is not None:
            tcb.rtt.sample(elapsed, now)


def begin_data(tcb: Tcb) -> None:
    """The handshake is over: RFC 6298 (5.7) and RFC 5681 3.1 treat a lost SYN as a warning."""
    if tcb.syn_lost:
        tcb.rtt.restart_after_syn_timeout()
    if tcb.syn_lost or not tcb.fast_open.accepted:  # there data has begun already
        tcb.congestion = tcb.begin_congestion()
    if not tcb.fast_open.accepted:
        tcb.recovery.begin(tcb.snd_una)
    if tcb.delivery is NOTHING_DELIVERED:
        tcb.delivery = SYN_DELIVERED
    else:
        tcb.delivery.delivered += 1  # what was sent, or to be sent, with the SYN
    if not tcb.passive:
        tcb.counters.add("TcpExtTCPDelivered")  # as Linux has it: a listener does not look for what its SYN,ACK has become


def resend_early_text(tcb: Tcb, now: int) -> None:
    """RFC 7413 4.2.2: what went with our SYN and was not acknowledged goes out again at once.

    The same for what followed a SYN,ACK that was lost: it has waited as long.
    """
    if not tcb.flight:
        return
    if tcb.fast_open.sent:
        tcb.recovery.sent(tcb.snd_una, tcb.snd_nxt, tcb.flight, now)
    elif not (tcb.fast_open.accepted and tcb.syn_lost):
        return
    tcb.recovery.resend_all(tcb.snd_una, tcb.snd_nxt)


def new_data(tcb: Tcb, segment: Segment, now: int) -> None:
    """SND.UNA < SEG.ACK =< SND.NXT."""
    acked = segment.ack - tcb.text_una
    timer = tcb.timers.retransmission
    keep = tcb.recovery.keeps_timer(segment.ack)
    advance(tcb, segment, now)
    if keep:
        tcb.timers.retransmission = timer
    tcb.delivery.acknowledged(segment.ack)
    if acked:  # RFC 5681 3.1: the acknowledgement of a SYN,ACK does not open the congestion window
        tcb.recovery.on_ack(acked, tcb.snd_una, tcb.snd_nxt, tcb.snd_mss, tcb.congestion, now)
        if 2 * tcb.congestion.cwnd > tcb.sendbuf.limit:  # what is on its way, and as much to follow it
            tcb.sendbuf.limit = max(tcb.sendbuf.limit, min(2 * tcb.congestion.cwnd, tcb.config.send_limit))


def duplicate(tcb: Tcb, segment: Segment) -> None:
    """SEG.ACK = SND.UNA: a duplicate in the sense of RFC 5681 2 only with data outstanding, no text, no FIN, the same window."""
    if tcb.sack_permitted or not tcb.flight or segment.length or segment.window != tcb.snd_wnd or not tcb.snd_wnd:
        return
    if tcb.recovery.on_duplicate(tcb.snd_una, tcb.snd_nxt, tcb.snd_mss, tcb.congestion):
        tcb.counters.add("TcpExtTCPRenoRecovery")
        tcb.ecn.slowed_down(tcb.snd_nxt)


def selective(tcb: Tcb, segment: Segment, now: int) -> None:
    """What the SACK option and the timestamps tell who recovers by time; it wants to know before SND.UNA moves."""
    recovery = tcb.recovery
    if not isinstance(recovery, RackRecovery):
        return
    stamps = segment.timestamps if tcb.snd_ts_ok else None
    recovery.echoed = None if stamps is None else tcb.timestamps.sent_by(stamps[1], now)
    blocks = read_blocks(segment.options, tcb.snd_una) if segment.options else []
    _count_blocks(
        tcb, blocks, segment.ack, recovery.on_blocks(blocks, max(segment.ack, tcb.snd_una), tcb.snd_nxt, tcb.snd_mss, now)
    )
    if recovery.news:
        tcb.delivery.selectively([block for block in blocks if block[0] >= tcb.snd_una and block[1] <= tcb.snd_nxt])


def conclude(tcb: Tcb, segment: Segment, now: int) -> None:
    """SND.UNA has moved as far as it does; what follows for loss recovery from what was SACKed."""
    recovery = tcb.recovery
    if isinstance(recovery, RackRecovery):
        dsack, duplicate = recovery.dsack, not (recovery.una_moved or recovery.news or segment.length)
        judge(tcb, now)
        tlp.on_ack(tcb, segment.ack, duplicate=duplicate, dsack=dsack)
        if segment.ack == tcb.snd_una and tcb.flight:
            tlp.schedule(tcb, now)
    elif isinstance(recovery, SackRecovery) and segment.options:
        _by_blocks(tcb, recovery, segment)


def _by_blocks(tcb: Tcb, recovery: SackRecovery, segment: Segment) -> None:
    """With news of what is outstanding the segment is a duplicate ACK in the sense of RFC 6675 2."""
    blocks = read_blocks(segment.options, tcb.snd_una)
    if not blocks:
        return
    news, bogus = recovery.on_blocks(blocks, tcb.snd_una, tcb.snd_nxt, tcb.snd_mss)
    _count_blocks(tcb, blocks, segment.ack, bogus)
    if news:
        tcb.delivery.selectively([block for block in blocks if block[0] >= tcb.snd_una and block[1] <= tcb.snd_nxt])
    if news and recovery.on_duplicate(tcb.snd_una, tcb.snd_nxt, tcb.snd_mss, tcb.congestion):
        tcb.counters.add("TcpExtTCPSackRecovery")
        tcb.ecn.slowed_down(tcb.snd_nxt)


def _count_blocks(tcb: Tcb, blocks: list[Block], ack: int, bogus: int) -> None:
    if blocks and is_duplicate(blocks, ack):
        _count_duplicate(tcb, blocks[0], below=blocks[0][0] < ack)
    if bogus:
        tcb.counters.add("TcpExtTCPSACKDiscard", bogus)


def _count_duplicate(tcb: Tcb, block: Block, *, below: bool) -> None:
    """A D-SACK, of what lies below the ACK or above; more segments than were ever sent again it cannot have seen twice."""
    tcb.counters.add("TcpExtTCPDSACKRecv" if below else "TcpExtTCPDSACKOfoRecv")
    segments = -((block[0] - block[1]) // tcb.snd_mss)
    if 0 < segments <= tcb.total_retrans:
        first_text.goes(tcb)
        tcb.tally.dsack_dups += segments
        tcb.delivery.twice(segments)
        tcb.counters.add("TcpExtTCPDSACKRecvSegs", segments)
    else:
        tcb.counters.add("TcpExtTCPDSACKIgnoredDubious")


def judge(tcb: Tcb, now: int) -> None:
    """RFC 8985 6.2: after an ACK, and when the reordering timer comes."""
    recovery = tcb.recovery
    if not isinstance(recovery, RackRecovery):
        return
    if recovery.judge(tcb.snd_una, tcb.snd_nxt, tcb.snd_mss, tcb.congestion, now, more=tcb.unsent > 0):
        tcb.tlp_end = None
        tcb.counters.add("TcpExtTCPSackRecovery")
        tcb.ecn.slowed_down(tcb.snd_nxt)
    tcb.timers.reordering = recovery.deadline


def count_delivered(tcb: Tcb, segment: Segment, now: int) -> None:
    """An ACK has been taken in: how much it has delivered, and at what rate."""
    marked = tcb.ecn.ok and segment.flags & (ECE | SYN) == ECE
    newly = tcb.delivery.sample(now, tcb.rtt.least, marked=marked)
    if newly:
        tcb.counters["TcpExtTCPDelivered"] += newly
        if marked:
            tcb.counters.add("TcpExtTCPDeliveredCE", newly)
    if tcb.tally.rto_since is not None and tcb.recovery.phase(tcb.snd_una) is not Phase.LOSS:
        tcb.tally.recovered(now)


def marked(tcb: Tcb) -> None:
    """RFC 3168 6.1.2: as for a lost segment, but nothing has to be sent again."""
    if not tcb.recovery.fast:
        tcb.congestion.on_recovery(tcb.flight)
    tcb.ecn.slowed_down(tcb.snd_nxt, marked=True)


def leave_persist(tcb: Tcb) -> None:
    """The window has opened, or nothing waits for it any more: probing ends, and what was thrown away is sent again at once."""
    tcb.timers.persist = None
    if tcb.probing is not NOT_PROBING:
        tcb.probing.ended()
    tcb.probe_due = False
    if tcb.snd_nxt > tcb.snd_una > tcb.iss:
        tcb.recovery.resend_all(tcb.snd_una, tcb.snd_nxt)
