"""The TCB of the oracle: the variables of RFC 9293 3.3.1 by their names, and what every event may do with them.

Nothing of userstack is imported here. Sequence numbers are what stands on the wire, compared as section 3.4 says: modulo 2**32.
Only what a receiver of segments must do is modelled: no congestion control, no retransmission, no Nagle.
"""

from dataclasses import dataclass, field

from tests.oracle.values import MODULO, Reaction, Segment, Sent, between

NO_TCB = ("CLOSED", "LISTEN")
MAY_TRANSMIT = ("ESTABLISHED", "FIN-WAIT-1", "CLOSE-WAIT", "CLOSING", "LAST-ACK")


@dataclass
class Tcb:
    """The variables of 3.3.1, the two queues, and what the user has been told."""

    buffer: int
    """RCV.BUFF: all of the window is offered at first, and its right edge is kept until the user reads (3.8.6.2.2)."""
    mss: int
    """Eff.snd.MSS."""
    next_iss: int = field(default=0, compare=False)
    """The initial send sequence number of the next connection (3.4.1): the stack's own, since it is to be unpredictable."""
    msl: int = 30 * 10**9
    """Nanoseconds."""
    listening: bool = False
    """A passive OPEN stands behind the connection: it answers where there is none, and takes a new SYN in TIME-WAIT."""
    ignore_rst_in_time_wait: bool = False
    """RFC 1337 3, fix F1."""
    state: str = "CLOSED"
    passive: bool = False
    """How SYN-RECEIVED was reached (MUST-11)."""
    snd_una: int = 0
    snd_nxt: int = 0
    snd_wnd: int = 0
    snd_wl1: int = 0
    snd_wl2: int = 0
    max_snd_wnd: int = 0
    rcv_nxt: int = 0
    rcv_wnd: int = 0
    rcv_up: int | None = None
    """None: nothing urgent was ever received."""
    iss: int = 0
    irs: int = 0
    queue: bytes = b""
    """What SEND has taken and has not been sent."""
    closing: bool = False
    """The user has called CLOSE: a FIN follows the queue."""
    fin_sent: int | None = None
    """The sequence number after our FIN."""
    held: dict[int, int] = field(default_factory=dict)
    """Octets beyond RCV.NXT by sequence number (SHLD-31)."""
    held_fin: int | None = None
    """The sequence number of a FIN that came too early."""
    readable: bytes = b""
    fin_received: bool = False
    error: int = 0
    """The errno that the user is told, once. The RFC names only the event; the number is that of a kernel's socket."""
    accepted: bool = False
    """The user of the passive OPEN has the connection."""
    abandoned: bool = False
    """The user has given the connection up for both directions: what arrives now cannot be delivered."""
    time_wait_end: int = 0
    previous: "Tcb | None" = None
    """The connection in TIME-WAIT that a new SYN has reopened (MAY-2)."""
    now: int = field(default=0, compare=False)
    reaction: Reaction = field(default_factory=Reaction, compare=False)
    acknowledge: bool = field(default=False, compare=False)
    """An acknowledgment is owed to the event that is being processed."""

    # --- sending ---

    def _transmit(self) -> None:
        """What the send window lets out (3.8.6.2.1, without Nagle): text in segments of the MSS, the FIN with or after the last."""
        while self.queue and (size := min(len(self.queue), self.mss, self._usable_window())) > 0:
            if size < min(self.mss, len(self.queue)) and 2 * size < self.max_snd_wnd:
                return  # "at least a fraction Fs of the maximum window"
            self._send_text(size, fin=self.closing and size == len(self.queue) < self._usable_window())
        if self.closing and self.fin_sent is None and not self.queue and (self._usable_window() > 0 or self._syn_in_flight()):
            self._send_text(0, fin=True)

    def probes(self, sent: Sent) -> bool:
        """A zero-window probe with "at least one octet of new data" (3.8.6.1), or with the FIN: whether it is one."""
        fin = "F" in sent.ctl
        new = sent.seq == self.snd_nxt and self.queue.startswith(sent.data) and (sent.data or fin)
        if self.snd_wnd or not new or (fin and not (self.closing and self.fin_sent is None and len(self.queue) == len(sent.data))):
            return False
        self._begin(self.now)
        self._send_text(len(sent.data), fin=fin)
        return True

    def pieces(self, sent: Sent) -> list[Sent]:
        """A segment that repeats what is in flight and goes on with new text, as the two that it could have been."""
        old = (self.snd_nxt - sent.seq) % MODULO
        if not 0 < old < len(sent.data) + ("F" in sent.ctl):
            return [sent]
        return [sent._replace(ctl="A", data=sent.data[:old]), sent._replace(seq=self.snd_nxt, data=sent.data[old:])]

    def repeats(self, sent: Sent) -> bool:
        """A retransmission: it lies in what was in flight, and acknowledges what was received so far."""
        length = len(sent.data) + ("S" in sent.ctl) + ("F" in sent.ctl)
        if not length or not (
            between(self.snd_una, sent.seq, sent.seq + length) and between(sent.seq, sent.seq + length, self.snd_nxt)
        ):
            return False
        fin = "F" not in sent.ctl or (sent.seq + length) % MODULO == self.fin_sent
        return fin and "R" not in sent.ctl and ("A" not in sent.ctl or sent.ack == self.rcv_nxt)

    def _usable_window(self) -> int:
        """U = SND.UNA + SND.WND - SND.NXT; below zero where the peer has shrunk its window."""
        return self.snd_wnd - (self.snd_nxt - self.snd_una) % MODULO

    def _syn_in_flight(self) -> bool:
        """CLOSE in SYN-RECEIVED: "form a FIN segment and send it" (3.10.4); no acknowledgment has come yet that a window is of."""
        return self.snd_una == self.iss

    def _send_text(self, size: int, *, fin: bool) -> None:
        self.widen_window()
        data, self.queue = self.queue[:size], self.queue[size:]
        self.reaction.segments.append(Sent("FA" if fin else "A", self.snd_nxt, self.rcv_nxt, data, self.rcv_wnd))
        self.snd_nxt = (self.snd_nxt + size + fin) % MODULO
        if fin:
            self.fin_sent = self.snd_nxt

    def _acceptable_seq(self) -> int:
        """SND.NXT, for what carries no text.

        Choice: where the peer has shrunk its window, SND.NXT lies beyond it, and the peer's step 1 and 2 would drop what comes from
        there, an ACK as well as a RST: it is sent from the right edge of the window, the nearest place that the peer takes.
        """
        if self._syn_in_flight():
            return self.snd_nxt
        return (self.snd_nxt + min(self._usable_window(), 0)) % MODULO

    def _refuse(self, segment: Segment) -> None:
        """3.5.2 group 1."""
        if "A" in segment.ctl:
            self._send_rst(segment.ack)
        else:
            self.reaction.segments.append(Sent("RA", 0, segment.end))

    def _send_rst(self, seq: int) -> None:
        """<SEQ=seq><CTL=RST>."""
        self.reaction.segments.append(Sent("R", seq))

    def _acknowledge(self, *, delayed: bool = False, challenge: bool = False) -> None:
        """Owe <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>."""
        if self.state not in NO_TCB:
            self.acknowledge, self.reaction.delayed, self.reaction.challenge = True, delayed, challenge

    # --- the TCB ---

    def timers(self) -> set[str]:
        """The timer that must run, so that nothing stays as it is for ever: one of those named, "" where none has to."""
        in_flight, waiting = self.snd_nxt != self.snd_una, bool(self.queue) or (self.closing and self.fin_sent is None)
        match self.state:
            case "SYN-SENT" | "SYN-RECEIVED":
                return {"retransmission"}
            case "TIME-WAIT":
                return {"TIME-WAIT"}
            case "FIN-WAIT-2" if self.abandoned:
                return {"FIN-WAIT-2"}
            case _ if in_flight:  # a shrunk window is probed "in the standard way" (MUST-35)
                return {"retransmission"} if self.snd_wnd else {"retransmission", "persist"}
            case _:
                return {"persist"} if waiting else {""}

    def _begin(self, now: int) -> None:
        self.now = now
        self.reaction = Reaction()
        self.acknowledge = False

    def _end(self) -> Reaction:
        """All of an event has been processed: only now is anything sent (MUST-59)."""
        if self.state in MAY_TRANSMIT:
            self._transmit()
        if self.state == "CLOSE-WAIT" and self.closing and not self.queue:  # "until all preceding SENDs have been segmentized"
            self.state = "LAST-ACK"
        if self.acknowledge and self.state not in NO_TCB:
            self.widen_window()
            self.reaction.ack = Sent("A", self._acceptable_seq(), self.rcv_nxt, wnd=self.rcv_wnd)
        return self.reaction

    def _choose_iss(self) -> None:
        """SND.NXT is set to ISS+1 and SND.UNA to ISS."""
        self.iss = self.snd_una = self.next_iss
        self.snd_nxt = (self.iss + 1) % MODULO

    def _begin_connection(self, segment: Segment) -> None:
        """LISTEN takes a SYN (3.10.7.2, third)."""
        self._forget()
        self.passive = True
        self._choose_iss()
        self._synchronize(segment)
        self._enter_syn_received(segment)

    def _synchronize(self, segment: Segment) -> None:
        """RCV.NXT is SEG.SEQ+1, IRS is SEG.SEQ."""
        self.irs = segment.seq
        self.rcv_nxt = (segment.seq + 1) % MODULO
        self.rcv_wnd = self.buffer

    def _enter_syn_received(self, segment: Segment) -> None:
        """<SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>; "any other control or text should be queued for processing later"."""
        self.state = "SYN-RECEIVED"
        self._set_send_window(segment)
        self._hold(segment._replace(seq=self.rcv_nxt))
        self.reaction.segments.append(Sent("SA", self.iss, self.rcv_nxt, wnd=self.rcv_wnd))

    def _in_window(self, seq: int) -> bool:
        """RCV.NXT =< SEQ < RCV.NXT+RCV.WND."""
        return (seq - self.rcv_nxt) % MODULO < self.rcv_wnd

    def _hold(self, segment: Segment) -> None:
        """Keep the part in the window: "trimming off any portions that lie outside the window (including SYN and FIN)"."""
        for place, octet in enumerate(segment.data):
            seq = (segment.seq + place) % MODULO
            if self._in_window(seq):
                self.held.setdefault(seq, octet)
        fin = (segment.seq + len(segment.data)) % MODULO
        if "F" in segment.ctl and self._in_window(fin):
            self.held_fin = fin

    def _set_send_window(self, segment: Segment) -> None:
        self.snd_wnd, self.snd_wl1, self.snd_wl2 = segment.wnd, segment.seq, segment.ack
        self.max_snd_wnd = max(self.max_snd_wnd, segment.wnd)

    def widen_window(self) -> bool:
        """3.8.6.2.2: the right edge moves when that is worth a segment or half of the buffer; whether it moved."""
        if self.state == "TIME-WAIT":  # the user may read on, but nothing more can come
            return False
        room = self.buffer - len(self.readable)
        if room - self.rcv_wnd < min(self.buffer // 2, self.mss):
            return False
        self.rcv_wnd = room
        return True

    def _enter_time_wait(self) -> None:
        self.state = "TIME-WAIT"
        self._restart_time_wait()

    def _restart_time_wait(self) -> None:
        self.time_wait_end = self.now + 2 * self.msl

    def _return_to_listen(self) -> None:
        """Back to LISTEN; or to TIME-WAIT, "if the SYN turns out to be an old duplicate" that had reopened it (MAY-2)."""
        if self.previous is None:
            self._delete(0)
        else:
            self.__dict__.update({**self.previous.__dict__, "reaction": self.reaction})

    def _delete(self, error: int) -> None:
        """The TCB is gone. "All segment queues should be flushed"."""
        self.state = "LISTEN" if self.listening else "CLOSED"
        self.error = error
        self.queue = b""

    def _forget(self) -> None:
        """A new connection: nothing of the one before is left."""
        self.queue = self.readable = b""
        self.closing = self.fin_received = self.accepted = self.abandoned = False
        self.fin_sent = self.held_fin = self.previous = self.rcv_up = None
        self.held = {}
        self.error = self.max_snd_wnd = 0
