"""The part of ``ConnectionInfo`` that is measured rather than held in a variable of RFC 9293."""

from functools import partial

from userstack.config import SECOND
from userstack.tcp.chronograph import RWND_LIMITED, SNDBUF_LIMITED
from userstack.tcp.info import ConnectionInfo
from userstack.tcp.rack import RackRecovery
from userstack.tcp.receiver_rtt import NOTHING_MEASURED
from userstack.tcp.recovery import Phase
from userstack.tcp.scoreboard import DUP_THRESH
from userstack.tcp.tcb import Tcb
from userstack.tcp.windowscale import MAX_WINDOW


def last_event(tcb: Tcb) -> int:
    """When something was last sent or received."""
    return max(tcb.data_sent_at, tcb.heard_at, tcb.data_received_at or 0, tcb.ack_received_at or 0)


def phase(tcb: Tcb) -> Phase:
    """Where loss recovery stands; a window reduced for a mark is a phase of its own while nothing is lost."""
    found = tcb.recovery.phase(tcb.snd_una)
    return Phase.CWR if found in (Phase.OPEN, Phase.DISORDER) and tcb.ecn.reducing(tcb.snd_una) else found


def of(tcb: Tcb, now: int) -> partial[ConnectionInfo]:
    """``ConnectionInfo`` with those fields filled in, as they are at that time."""
    tally, delivery, chronograph = tcb.tally, tcb.delivery, tcb.chronograph
    lost, again = tcb.recovery.lost(tcb.snd_mss)
    recovery = tcb.recovery
    reordering = (recovery.reordering.degree, recovery.reordering.seen) if isinstance(recovery, RackRecovery) else (DUP_THRESH, 0)
    pending = tcb.timers.pending()
    return partial(
        ConnectionInfo,
        pending_timer="" if pending is None else pending[0],
        pending_expires=None if pending is None else pending[1],
        congestion=tcb.congestion.name,
        ecn_seen=tcb.ecn.seen,
        segs_unacked=_outstanding(tcb),
        # Without SACK each duplicate ACK is taken for a segment that has arrived.
        segs_sacked=delivery.sacked if tcb.sack_permitted else min(tcb.recovery.duplicates, delivery.outstanding),
        segs_lost=lost,
        segs_retrans=again,
        acks_expected=tcb.probing.unanswered,
        ato=tcb.delayed_ack.ato,
        rcv_mss_seen=min(tcb.delayed_ack.segment, tcb.advertised_mss),
        last_data_sent=_ago(tcb.data_sent_at or tcb.data_received_at, now),
        last_data_received=_ago(tcb.data_received_at, now),
        last_ack_received=_ago(tcb.ack_received_at, now),
        rcv_ssthresh=min(tcb.recvbuf.limit, MAX_WINDOW << tcb.rcv_wind_shift),
        rcv_wnd_offered=tcb.offered_window,
        reordering=reordering[0],
        reord_seen=reordering[1],
        rcv_rtt=tcb.receiver_rtt.rtt,
        rcv_space=_receive_space(tcb),
        min_rtt=None if tcb.rtt.srtt is None else tcb.rtt.least,
        thru_acked=max(tcb.snd_una - tcb.iss - tcb.passive, 0),
        thru_received=max(tcb.rcv_nxt - tcb.irs - 1, 0),
        octets_out=tally.octets_out,
        synacks_sent=tcb.syns_sent if tcb.passive else 0,
        data_segs_in=tcb.data_segs_in,
        data_segs_out=tally.data_segs_out,
        delivered=delivery.delivered,
        delivered_ce=delivery.delivered_ce,
        delivery_rate=delivery.rate_delivered * tcb.snd_mss * SECOND // delivery.rate_interval if delivery.rate_interval else 0,
        rate_app_limited=delivery.rate_app_limited,
        busy_time=chronograph.busy(now),
        rwnd_limited=chronograph.spent(RWND_LIMITED, now),
        sndbuf_limited=chronograph.spent(SNDBUF_LIMITED, now),
        dsack_dups=tally.dsack_dups,
        ofo_segs=tally.ofo_segs,
        timeouts=tally.timeouts,
        timeout_recoveries=tally.rto_recoveries,
        timeout_time=tally.time_in_rto(now),
    )


def _receive_space(tcb: Tcb) -> int:
    begun = tcb.receiver_rtt is NOTHING_MEASURED and tcb.data_received_at is not None
    return tcb.first_space if begun else tcb.receiver_rtt.space


def _outstanding(tcb: Tcb) -> int:
    return tcb.delivery.outstanding + (tcb.flight > 0 and not tcb.syn_acked)


def _ago(then: int | None, now: int) -> int | None:
    return None if then is None else max(now - then, 0)
