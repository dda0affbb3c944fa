"""Urgent data (RFC 9293 3.8.5, RFC 6093): where it ends in what is received, and the octet that sockets read out of band.

    ----------|=============|u|----------
           read up to     mark  RCV.UP

RCV.UP is the octet that follows the urgent data, which may be of any length (MUST-31, MUST-62). BSD's sockets, and Linux's, make
more of its last octet, the mark: reading stops before it, and unless the program wants it in line, as the RFCs mean it, it is taken
out of the stream and read apart from it. There is one mark: where a later one comes, the octet of the earlier is ordinary text
again (RFC 6093 3.3). New programs should not use any of it (SHLD-13).
"""

from userstack.errors import InvalidArgument, NotConnected
from userstack.tcp.mark import UrgentMark
from userstack.tcp.segment import Segment
from userstack.tcp.state import CAN_RECEIVE_TEXT, State
from userstack.tcp.tcb import Tcb


def process_urgent(tcb: Tcb, segment: Segment) -> None:
    """Sixth step, of the segment as it came: its URG counts at a zero window too (MUST-66), which leaves nothing of its text."""
    if tcb.state in CAN_RECEIVE_TEXT:
        take(tcb, segment)


def take(tcb: Tcb, segment: Segment) -> None:
    """RCV.UP <- max(RCV.UP, SEG.UP), and the mark; its octet, wherever in the sequence space it comes."""
    if segment.up is not None:
        up = segment.up + tcb.config.stdurg
        tcb.rcv_up = max(tcb.rcv_up, up)
        _set_mark(tcb, max(up - 1, segment.seq))  # as Linux has it: a pointer of 0 means the first octet
    mark = tcb.mark
    if mark is not None and mark.octet is None:
        offset = mark.place - segment.seq - segment.syn
        if 0 <= offset < len(segment.payload) and mark.place < tcb.rcv_adv:
            mark.octet = segment.payload[offset]


def _set_mark(tcb: Tcb, place: int) -> None:
    """Only forward, and, as in Linux, never where text has been received already."""
    mark = tcb.mark
    if place < tcb.rcv_nxt or (mark is not None and place <= mark.place):
        return
    if not tcb.oob_inline and at_mark(tcb):
        tcb.recvbuf.read(1)  # it was out of band for whoever has come so far, and does not turn into text under him
    tcb.mark = UrgentMark(place)


def consumed(tcb: Tcb) -> int:
    """The sequence number of the next octet that the application reads."""
    fin = tcb.recvbuf.fin_seq
    return (tcb.rcv_nxt if fin is None else min(tcb.rcv_nxt, fin)) - tcb.recvbuf.size


def remaining(tcb: Tcb) -> int:
    """MUST-33: octets up to RCV.UP that the application has not read, be they here or on their way; none lies behind a FIN."""
    fin = tcb.recvbuf.fin_seq
    return max((tcb.rcv_up if fin is None else min(tcb.rcv_up, fin)) - consumed(tcb), 0)


def at_mark(tcb: Tcb) -> bool:
    """The next octet to read is the mark's (``sockatmark``)."""
    return tcb.mark is not None and tcb.mark.place == consumed(tcb)


def has_text(tcb: Tcb) -> bool:
    """There is something to read that is not out of band."""
    return tcb.recvbuf.size > (not tcb.oob_inline and at_mark(tcb))


def unread(tcb: Tcb) -> int:
    """Octets that can be read, where the mark is out of band up to it (SIOCINQ)."""
    mark = tcb.mark
    if mark is None or tcb.oob_inline or not consumed(tcb) <= mark.place < tcb.rcv_nxt:
        return tcb.recvbuf.size
    return mark.place - consumed(tcb)


def read(tcb: Tcb, limit: int) -> bytes:
    """Up to ``limit`` octets, not across the mark; from the mark on, without its octet where that is out of band."""
    mark = tcb.mark
    if mark is None or not limit:
        return tcb.recvbuf.read(limit)
    if not tcb.oob_inline and at_mark(tcb):
        tcb.recvbuf.read(1)
    data = tcb.recvbuf.read(_up_to_mark(tcb, limit))
    if consumed(tcb) > mark.place:
        tcb.mark = None
    return data


def peek(tcb: Tcb, limit: int) -> bytes:
    """What ``read`` would give, and all stays where it is."""
    if not tcb.oob_inline and at_mark(tcb):
        return tcb.recvbuf.peek(limit + 1)[1:]
    return tcb.recvbuf.peek(_up_to_mark(tcb, limit))


def _up_to_mark(tcb: Tcb, limit: int) -> int:
    mark, here = tcb.mark, consumed(tcb)
    return limit if mark is None or mark.place <= here else min(limit, mark.place - here)


def read_octet(tcb: Tcb, *, peek: bool) -> bytes:
    """The octet out of band; ``b""`` where it can come no more.

    Raises:
        InvalidArgument: there is none, it has been read, or it is in line.
        NotConnected: the connection is gone, and was not closed by the peer.
        BlockingIOError: it was announced and is not here yet.
    """
    mark = tcb.mark
    if mark is None or tcb.oob_inline or mark.was_read:
        raise InvalidArgument("there is no urgent octet out of band")
    if tcb.state is State.CLOSED and tcb.recvbuf.fin_seq is None:
        raise NotConnected
    if mark.octet is not None:
        mark.was_read = not peek
        return bytes((mark.octet,))
    if tcb.state in CAN_RECEIVE_TEXT:
        raise BlockingIOError(11, "the urgent octet has not been received yet")
    return b""
