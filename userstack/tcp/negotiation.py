"""What the two SYNs settle: each end says in its own what it could do, and what both have said holds for the connection.

MSS, window scaling (RFC 7323 2), timestamps (RFC 7323 3), SACK (RFC 2018 2), Fast Open (RFC 7413) and the user timeout (RFC 5482).
"""

from dataclasses import replace

from userstack.tcp import first_text, uto
from userstack.tcp.nothing_sent import NOTHING_SENT
from userstack.tcp.options import SynOptions, write_syn
from userstack.tcp.state import State
from userstack.tcp.tcb import Tcb, common
from userstack.tcp.windowscale import MAX_SHIFT, own_shift
from userstack.wire.encodable import MAX_OPTIONS, option_octets
from userstack.wire.tcp import Option


def offer(tcb: Tcb, now: int) -> tuple[Option, ...]:
    """The options of our SYN, or SYN,ACK: of those that take two, what is still possible (RFC 7323 2.2, 3.2).

    Where a signature leaves no room for all of them a Fast Open cookie gives way, as in Linux, and then the user timeout.
    """
    shift = own_shift(tcb.config) if tcb.state is State.SYN_SENT else tcb.rcv_wind_shift
    syn = SynOptions(
        mss=tcb.rcv_mss,  # SHLD-5, MAY-3; MUST-65: here and nowhere else
        window_scale=shift if tcb.window_scaling else None,
        timestamps=(tcb.timestamps.value(now), tcb.timestamps.recent or 0)
        if tcb.snd_ts_ok and _has_room_for_timestamps(tcb)
        else None,
        sack_permitted=tcb.sack_permitted,
        # RFC 7413 4.2.1, 4.2.2: what is sent again for want of an answer has it no more.
        fast_open=tcb.fast_open.cookie if tcb.syns_sent == 1 else None,
    )
    room = MAX_OPTIONS - tcb.signature_octets
    options = write_syn(syn, tcb.config.option_layout)
    if syn.fast_open is not None and option_octets(options) > room:
        tcb.fast_open.leave_out()
        options = write_syn(replace(syn, fast_open=None), tcb.config.option_layout)
    if tcb.uto.enabled:
        options = uto.added(options, tcb.uto.write(tcb.user_timeout), room)  # RFC 5482 3
    return options


def agree(tcb: Tcb, peer: SynOptions, now: int) -> None:
    """The peer's SYN is here: what each option will be is settled by it and by what our own SYN says."""
    tcb.peer_mss = None if peer.mss is None else common(peer.mss)
    tcb.window_scaling = tcb.window_scaling and peer.window_scale is not None
    if tcb.window_scaling and peer.window_scale is not None:
        tcb.rcv_wind_shift, tcb.snd_wind_shift = own_shift(tcb.config), min(peer.window_scale, MAX_SHIFT)
        if peer.window_scale > MAX_SHIFT:  # RFC 7323 2.3: "SHOULD log the error but MUST use 14"
            tcb.counters.add("TcpExtTCPBadWindowScale")
    tcb.sack_permitted = tcb.sack_permitted and peer.sack_permitted
    tcb.snd_ts_ok = tcb.snd_ts_ok and peer.timestamps is not None and _has_room_for_timestamps(tcb)
    if peer.timestamps is not None:
        tcb.timestamps.begin(peer.timestamps[0], now)
    tcb.timestamps.last_ack_sent = tcb.rcv_nxt
    if tcb.recovery is not NOTHING_SENT:
        tcb.recovery = first_text.recovery(tcb, sack=tcb.sack_permitted)
    tcb.update_mss()


def _has_room_for_timestamps(tcb: Tcb) -> bool:
    """RFC 2385 4.3: beside a signature there is no room for every option.

    Note: as in Linux our SYN goes without timestamps, and our SYN,ACK has them only where there is no SACK: of its blocks none
    would fit.
    """
    return tcb.md5_key is None or (tcb.passive and not tcb.sack_permitted)
