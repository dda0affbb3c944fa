"""The user calls of RFC 9293 3.10.1 to 3.10.5, and the user timeout of 3.10.8. One function a call, one arm a group of states."""

from typing import Final, assert_never

from userstack.address import Endpoint, is_unspecified
from userstack.errors import (
    AlreadyConnected,
    BrokenPipe,
    ConnectionAborted,
    ConnectionReset,
    ConnectionTimedOut,
    DestinationRequired,
    InvalidArgument,
    NetworkUnreachable,
    NotConnected,
)
from userstack.tcp import finwait2, first_text, orphans
from userstack.tcp import urgent as urgent_data
from userstack.tcp.delivery import UNTOUCHED
from userstack.tcp.state import CAN_RECEIVE_TEXT, State, move
from userstack.tcp.tcb import Tcb
from userstack.wire.ip import Buffer

_SPARE: Final = 16
"""Segments beside what a round trip brings: the first of the next one."""
_UNOPENED: Final = "the connection was never opened (RFC 9293 3.10: connection does not exist)"
_CLOSING: Final = "this end has closed already (RFC 9293 3.10: connection closing)"


def open_passive(tcb: Tcb, *, now: int) -> None:
    """3.10.1, passive."""
    if tcb.state is not State.CLOSED:
        raise AlreadyConnected
    move(tcb, State.LISTEN, cause="call OPEN passive", clause="3.10.1", now=now)


def open_active(tcb: Tcb, remote: Endpoint | None, *, now: int, cause: str = "call OPEN active", clause: str = "3.10.1") -> None:
    """3.10.1, active: from CLOSED, or from LISTEN, which turns from passive to active."""
    if tcb.state not in {State.CLOSED, State.LISTEN}:
        raise AlreadyConnected
    if remote is None:
        raise DestinationRequired
    _check_remote(remote)
    tcb.begin(remote, now)
    tcb.passive = False
    tcb.snd_nxt = tcb.iss + 1
    tcb.syn_due = not tcb.fast_open.deferred
    move(tcb, State.SYN_SENT, cause=cause, clause=clause, now=now)


def _check_remote(remote: Endpoint) -> None:
    # MUST-46
    if not 0 <= remote.port <= 65535:
        raise InvalidArgument(f"a port is 0 to 65535, not {remote.port}")
    multicast = remote.address[0] & 0xF0 == 0xE0 if len(remote.address) == 4 else remote.address[0] == 0xFF
    if multicast or is_unspecified(remote.address) or remote.address == b"\xff\xff\xff\xff":
        raise NetworkUnreachable(f"{remote} is no address of one host (RFC 9293 MUST-46)")


def send(tcb: Tcb, data: Buffer, *, remote: Endpoint | None, now: int, urgent: bool = False) -> int:
    """3.10.2: take octets for sending; how many were taken."""
    match tcb.state:
        case State.CLOSED:
            _raise_dead(tcb)
            raise BrokenPipe if tcb.remote is not None else NotConnected(_UNOPENED)
        case State.LISTEN:
            open_active(tcb, remote, now=now, cause="call SEND", clause="3.10.2")
            return _queue(tcb, data, urgent=urgent)
        case State.SYN_SENT | State.SYN_RECEIVED | State.ESTABLISHED | State.CLOSE_WAIT:
            if tcb.close_requested:
                raise BrokenPipe(_CLOSING)
            return _queue(tcb, data, urgent=urgent)
        case State.FIN_WAIT_1 | State.FIN_WAIT_2 | State.CLOSING | State.LAST_ACK | State.TIME_WAIT:
            raise BrokenPipe(_CLOSING)
        case _:
            assert_never(tcb.state)


def _queue(tcb: Tcb, data: Buffer, *, urgent: bool) -> int:
    if tcb.fast_open.deferred:
        tcb.fast_open.deferred, tcb.syn_due = False, True
    if tcb.delivery in UNTOUCHED:
        first_text.goes(tcb)
    if tcb.unsent < tcb.snd_mss and tcb.flight < tcb.congestion.cwnd:  # and it could have sent more
        tcb.delivery.gave_all()
    taken = tcb.sendbuf.write(data)
    if len(data) and not taken:
        raise BlockingIOError(11, "the send buffer is full")
    tcb.bytes_sent += taken
    if urgent and taken:
        tcb.snd_up = tcb.sendbuf.end  # MUST-62: what follows the urgent data
    return taken


def receive(tcb: Tcb, limit: int, *, now: int) -> bytes:
    """3.10.3: octets in order, ``b""`` at the end of the stream."""
    if limit < 0:
        raise InvalidArgument(f"the number of octets to receive must not be below 0, but is {limit}")
    waiting = tcb.recvbuf.size
    data = read(tcb, limit, now)
    if data or (waiting and not limit):
        return data
    match tcb.state:
        case State.LISTEN | State.SYN_SENT | State.SYN_RECEIVED | State.ESTABLISHED | State.FIN_WAIT_1 | State.FIN_WAIT_2:
            raise BlockingIOError(11, "nothing has been received yet")
        case State.CLOSED:
            _raise_dead(tcb)
            if tcb.remote is None:
                raise NotConnected(_UNOPENED)
            return b""
        case State.CLOSE_WAIT | State.CLOSING | State.LAST_ACK | State.TIME_WAIT:
            return b""  # "connection closing", as sockets say it
        case _:
            assert_never(tcb.state)


def read(tcb: Tcb, limit: int, now: int) -> bytes:
    """The octets of a RECEIVE; ``b""`` where none wait, or only one that is out of band: that one is passed by."""
    if not tcb.recvbuf.size:
        return b""
    data = urgent_data.read(tcb, limit)
    _was_read(tcb, now)
    return data


def read_into(tcb: Tcb, buffer: memoryview, now: int) -> int:
    """The same into ``buffer``, where there is no mark; the number of octets."""
    size = tcb.recvbuf.read_into(buffer)
    _was_read(tcb, now)
    return size


def _was_read(tcb: Tcb, now: int) -> None:
    if tcb.receiver_rtt.read(tcb.rcv_nxt - tcb.recvbuf.size, now):
        _grow_buffer(tcb)
    _window_opened(tcb)


def _grow_buffer(tcb: Tcb) -> None:
    """Dynamic right-sizing (Fisk and Feng), as in Linux: the peer may send twice as much as is read in a round trip."""
    wanted = 2 * tcb.receiver_rtt.space + _SPARE * tcb.rcv_mss
    if wanted > tcb.recvbuf.limit:
        tcb.recvbuf.limit = max(tcb.recvbuf.limit, min(wanted, tcb.config.receive_limit))


def _raise_dead(tcb: Tcb) -> None:
    """What killed the connection is told once, as the kernel's sockets do; afterwards it is just closed."""
    if tcb.error is not None:
        error, tcb.error = tcb.error, None
        try:
            raise error
        finally:
            del error  # its traceback holds this frame: no cycle may keep the connection alive


def _window_opened(tcb: Tcb) -> None:
    """3.8.6.2.2: tell the peer, once there is a worthwhile amount of new room, or an ACK waits that need not.

    Note: as in FreeBSD two segments of it are worth an ACK where the peer has not much left, else only a quarter of the buffer.
    """
    if tcb.ack_now or tcb.state not in CAN_RECEIVE_TEXT:
        return
    if tcb.timers.delayed_ack is not None and tcb.delayed_ack.read(empty=not tcb.recvbuf.size):
        tcb.ack_now = True
    gained, limit, segment = tcb.rcv_edge - tcb.rcv_adv, tcb.recvbuf.limit, tcb.rcv_mss
    scarce = limit <= 8 * segment or tcb.rcv_wnd <= limit // 8
    if gained >= min(2 * segment if scarce else max(2 * segment, limit // 4), limit // 2):
        tcb.ack_now = True


def close(tcb: Tcb, *, now: int) -> None:
    """3.10.4: this end has no more to send."""
    cause, clause = "call CLOSE", "3.10.4"
    match tcb.state:
        case State.CLOSED:
            raise NotConnected(_UNOPENED) if tcb.remote is None else NotConnected
        case State.LISTEN | State.SYN_SENT:
            tcb.die(ConnectionAborted("closed before it was established"), cause=cause, clause=clause, now=now)
        case State.SYN_RECEIVED | State.ESTABLISHED | State.CLOSE_WAIT:
            tcb.close_requested = True
            first_text.goes(tcb)
            carry_out_close(tcb, now=now)
        case State.FIN_WAIT_1 | State.FIN_WAIT_2:
            pass  # "ok" is acceptable, as long as there is no second FIN
        case State.CLOSING | State.LAST_ACK | State.TIME_WAIT:
            if tcb.time_wait is not None and tcb.time_wait.state is State.CLOSED:
                raise NotConnected
            raise BrokenPipe(_CLOSING)
        case _:
            assert_never(tcb.state)


def carry_out_close(tcb: Tcb, *, now: int) -> None:
    """Move on for a CLOSE that was called, if what was sent before it allows; called again when that changes (3.10.4)."""
    if not tcb.close_requested:
        return
    cause, clause = "call CLOSE", "3.10.4"
    if tcb.state is State.ESTABLISHED or (tcb.state is State.SYN_RECEIVED and (tcb.early or not len(tcb.sendbuf))):
        move(tcb, State.FIN_WAIT_1, cause=cause, clause=clause, now=now)
    elif tcb.state is State.CLOSE_WAIT and not tcb.unsent:
        move(tcb, State.LAST_ACK, cause=cause, clause=clause, now=now)


def release(tcb: Tcb, *, now: int) -> None:
    """The BSD ``close``: CLOSE, and nobody reads any more (MAY-1). Unread data makes it a RST (SHLD-3, RFC 2525 2.17)."""
    tcb.released = tcb.deaf = True
    match tcb.state:
        case State.CLOSED | State.TIME_WAIT:
            pass
        case State.LISTEN | State.SYN_SENT:
            close(tcb, now=now)
        case State.CLOSING | State.LAST_ACK:
            _reset_unread(tcb, now)
        case State.SYN_RECEIVED | State.ESTABLISHED | State.FIN_WAIT_1 | State.FIN_WAIT_2 | State.CLOSE_WAIT:
            if not _reset_unread(tcb, now):
                close(tcb, now=now)
            finwait2.closed_in_it(tcb, now)
        case _:
            assert_never(tcb.state)
    orphans.begin(tcb, now)


def _reset_unread(tcb: Tcb, now: int) -> bool:
    if not tcb.recvbuf.size:
        return False
    tcb.counters.add("TcpExtTCPAbortOnClose")
    tcb.send_reset(now)
    tcb.die(None, cause="call CLOSE with unread data", clause="3.6.1", now=now)
    return True


def abort(tcb: Tcb, *, now: int, accepted: bool = True) -> None:
    """3.10.5."""
    match tcb.state:
        case State.CLOSED:
            raise NotConnected
        case State.TIME_WAIT:
            if tcb.time_wait is None or tcb.time_wait.state is State.CLOSED:
                raise NotConnected
            tcb.time_wait.abort(now=now)
            return
        case State.SYN_RECEIVED | State.ESTABLISHED | State.FIN_WAIT_1 | State.FIN_WAIT_2 | State.CLOSE_WAIT:
            # Note: 3.5.2 would have the sender of a RST in TIME-WAIT, 3.10.5 in CLOSED: as every stack does, the latter.
            if accepted:
                tcb.counters.add("TcpExtTCPAbortOnData")
            tcb.send_reset(now)
        case State.LISTEN | State.SYN_SENT | State.CLOSING | State.LAST_ACK:
            pass
        case _:
            assert_never(tcb.state)
    tcb.die(ConnectionReset("aborted by this end"), cause="call ABORT", clause="3.10.5", now=now)


def user_timeout(tcb: Tcb, *, now: int) -> None:
    """3.10.8, USER TIMEOUT: any state, flush, tell the user, CLOSED."""
    if tcb.state is State.CLOSED:
        return
    if tcb.time_wait is not None:
        if tcb.time_wait.state is State.TIME_WAIT:
            tcb.error = ConnectionTimedOut()
            tcb.time_wait.user_timeout_expired(now=now)
        return
    tcb.die(ConnectionTimedOut(), cause="user timeout", clause="3.10.8", now=now)
