"""What RFC 9293 3.10 with RFC 5961 says that one connection must do: written from their text alone, to hold a stack against it.

Nothing of userstack is imported here. Where the RFCs contradict themselves or leave a choice, the choice and its reason stand
beside the rule, marked "Choice".
"""

import errno
from copy import copy

from tests.oracle.tcb import NO_TCB, Tcb
from tests.oracle.values import MODULO, Reaction, Segment, Sent, before, between

SYNCHRONIZED = ("ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK")
MAY_RECEIVE = ("ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2")


class Reference(Tcb):
    """A TCP endpoint of one connection: the calls of 3.10.1 to 3.10.5, and SEGMENT ARRIVES (3.10.7)."""

    # --- events ---

    def arrives(self, segment: Segment, now: int) -> Reaction:
        """SEGMENT ARRIVES (3.10.7)."""
        self._begin(now)
        match self.state:
            case "CLOSED":
                self._closed(segment)
            case "LISTEN":
                self._listen(segment)
            case "SYN-SENT":
                self._syn_sent(segment)
            case _:
                self._other_states(segment)
        return self._end()

    def open_passive(self) -> None:
        """OPEN, passive (3.10.1)."""
        self.listening = True
        self.state = "LISTEN"

    def open_active(self, now: int) -> Reaction:
        """OPEN, active (3.10.1): <SEQ=ISS><CTL=SYN>."""
        self._begin(now)
        self._choose_iss()
        self.state = "SYN-SENT"
        self.reaction.segments.append(Sent("S", self.iss, wnd=self.buffer))
        return self._end()

    def send(self, data: bytes, now: int) -> Reaction:
        """SEND (3.10.2), where the state allows it."""
        self._begin(now)
        self.queue += data
        return self._end()

    def close(self, now: int) -> Reaction:
        """CLOSE (3.10.4): the FIN follows what is queued. FIN-WAIT-1 is entered "in any case", LAST-ACK when the queue is empty."""
        self._begin(now)
        self.closing = True
        if self.state in ("SYN-RECEIVED", "ESTABLISHED"):
            self.state = "FIN-WAIT-1"
        return self._end()

    def give_up(self, now: int) -> Reaction:
        """close() of a socket: CLOSE, and no more RECEIVE (MAY-1). Data that nobody will read makes it a reset (SHLD-3)."""
        if self.state == "SYN-SENT":  # CLOSE (3.10.4): "Delete the TCB"
            return self.abort(now)
        if self.readable and self.state in SYNCHRONIZED:
            self._begin(now)
            self._send_rst(self._acceptable_seq())
            self._delete(0)
            return self._end()
        reaction = self.close(now)
        self.abandoned = True
        return reaction

    def abort(self, now: int) -> Reaction:
        """ABORT (3.10.5): <SEQ=SND.NXT><CTL=RST> in five states, and CLOSED.

        Choice: 3.5.2 and note 3 of figure 5 would have the sender of a RST enter TIME-WAIT; 3.10.5 is the more detailed text.
        """
        self._begin(now)
        if self.state in ("SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT"):
            self._send_rst(self._acceptable_seq())
        self._delete(0)
        return self._end()

    def receive(self, now: int) -> tuple[bytes | int, Reaction]:
        """RECEIVE (3.10.3) of all there is: text, ``b""`` at the end of the stream, or an errno; and the window update owed."""
        self._begin(now)
        result: bytes | int = b""
        if self.readable:
            result, self.readable = self.readable, b""
            if self.state in MAY_RECEIVE and self.widen_window():
                self._acknowledge()
        elif not self.fin_received:
            result, self.error = self.error, 0
            if not result:
                result = b"" if self.state in NO_TCB else errno.EAGAIN
        return result, self._end()

    def passes(self, now: int) -> None:
        """Time: the TIME-WAIT timeout (3.10.8)."""
        if self.state == "TIME-WAIT" and now >= self.time_wait_end:
            self._delete(0)

    # --- 3.10.7.1 to 3.10.7.3 ---

    def _closed(self, segment: Segment) -> None:
        """3.10.7.1: an incoming RST is discarded; anything else causes a RST."""
        if "R" not in segment.ctl:
            self._refuse(segment)

    def _listen(self, segment: Segment) -> None:
        """3.10.7.2."""
        if "R" in segment.ctl:  # First: "should be ignored"
            return
        if "A" in segment.ctl:  # Second: "Any acknowledgment is bad"
            self._send_rst(segment.ack)
            return
        if "S" not in segment.ctl:  # Fourth: "Drop the segment and return"
            return
        self._begin_connection(segment)  # Third

    def _syn_sent(self, segment: Segment) -> None:
        """3.10.7.3."""
        acceptable = "A" in segment.ctl and segment.ack == self.snd_nxt  # SND.UNA < SEG.ACK =< SND.NXT; no data rides on our SYN
        if "A" in segment.ctl and not acceptable:  # First
            if "R" not in segment.ctl:
                self._send_rst(segment.ack)
            return
        if "R" in segment.ctl:  # Second
            # Choice: 9293 would have SEG.SEQ equal RCV.NXT first; there is no RCV.NXT before a SYN came. RFC 5961 3.2: "the RST
            # is acceptable if the ACK field acknowledges the SYN".
            if acceptable:
                self._delete(errno.ECONNREFUSED)
            return
        if "S" not in segment.ctl:  # Fifth
            return
        self._synchronize(segment)  # Fourth
        if not acceptable:
            self._enter_syn_received(segment)
            return
        self.snd_una = segment.ack
        self.state = "ESTABLISHED"
        self._set_send_window(segment)  # RFC 1122 4.2.2.20 (c); RFC 9293 names it beside SYN-RECEIVED only
        self._acknowledge()
        self._take_text_and_fin(segment._replace(ctl=segment.ctl.replace("S", ""), seq=self.rcv_nxt))

    # --- 3.10.7.4, step by step ---

    def _other_states(self, segment: Segment) -> None:
        segment = self._trim_syn_of_figure_7(segment)
        if "R" in segment.ctl:
            self._second_rst(segment)
        elif "S" in segment.ctl and self._fourth_syn(segment):
            pass
        elif self._first_sequence_number(segment) and self._fifth_ack(new := self._trim(segment)):
            self._sixth_urg(segment)
            self._take_text_and_fin(new)

    def _trim_syn_of_figure_7(self, segment: Segment) -> Segment:
        """Choice: the SYN,ACK of a simultaneous open repeats the SYN that was taken. Figure 7 goes to ESTABLISHED with it, while
        step 1 finds it unacceptable. Trimmed of the SYN ("only the new parts are processed") it is the ACK that the figure sees.
        """
        repeated = self.state == "SYN-RECEIVED" and not self.passive and segment.seq == self.irs and "S" in segment.ctl
        if repeated and "R" not in segment.ctl and "A" in segment.ctl and segment.ack == self.snd_nxt:
            return segment._replace(ctl=segment.ctl.replace("S", ""), seq=self.rcv_nxt)
        return segment

    def _first_sequence_number(self, segment: Segment) -> bool:
        """Table 6; what is unacceptable is answered with an ACK and dropped. The RST has been seen to already."""
        if self.rcv_wnd == 0:
            acceptable = segment.length == 0 and segment.seq == self.rcv_nxt
        elif segment.length == 0:
            acceptable = self._in_window(segment.seq)
        else:
            acceptable = self._in_window(segment.seq) or self._in_window((segment.end - 1) % MODULO)
        if acceptable:
            return True
        # "If the RCV.WND is zero ... special allowance should be made to accept valid ACKs": the text and the FIN, which lie beyond
        # the window, are trimmed off, and what is left begins at RCV.NXT.
        at_edge = self.rcv_wnd == 0 and segment.seq == self.rcv_nxt
        if at_edge and self._ack_is_in_range(segment) and self._fifth_ack(segment):
            self._sixth_urg(segment)  # MUST-66
        if self.state == "TIME-WAIT" and "F" in segment.ctl and segment.end == self.rcv_nxt:
            # Choice: steps 5 and 8 restart the timeout for a retransmitted FIN, which step 1 would drop before they see it.
            self._restart_time_wait()
        # Choice: RFC 5961 7 throttles what answers RST and SYN. Two ends that find each other's bare ACK unacceptable would answer
        # for ever; so that goes through the throttle as well. A segment with text or FIN is a retransmission that wants its ACK.
        self._acknowledge(challenge=segment.length == 0)
        return False

    def _trim(self, segment: Segment) -> Segment:
        """The "idealized segment that begins at RCV.NXT": what was received before is cut off, a SYN first of all."""
        old = (self.rcv_nxt - segment.seq) % MODULO
        if not 0 < old <= segment.length:
            return segment
        syn = "S" in segment.ctl
        return segment._replace(ctl=segment.ctl.replace("S", ""), seq=self.rcv_nxt, data=segment.data[old - syn :])

    def _second_rst(self, segment: Segment) -> None:
        """RFC 5961 3.2, the three checks that RFC 9293 repeats."""
        if self.state == "TIME-WAIT" and self.ignore_rst_in_time_wait:
            return  # RFC 1337 3, F1: "Ignore RST segments in TIME-WAIT state"
        if segment.seq != self.rcv_nxt:
            if self._in_window(segment.seq):
                self._acknowledge(challenge=True)
            return
        match self.state:
            case "SYN-RECEIVED" if self.passive:
                self._return_to_listen()
            case "SYN-RECEIVED":
                self._delete(errno.ECONNREFUSED)
            case "CLOSE-WAIT":
                self._delete(errno.EPIPE)  # "connection reset": the number is the kernel's for a stream that had ended
            case "CLOSING" | "LAST-ACK" | "TIME-WAIT":
                # Choice: 3.5.3 would have the user advised "in any other state"; 3.10.7.4, the more detailed text, does not here.
                self._delete(0)
            case _:
                self._delete(errno.ECONNRESET)

    def _fourth_syn(self, segment: Segment) -> bool:
        """RFC 5961 4.2: a challenge ACK "irrespective of the sequence number"; True where the segment is done with."""
        if self.state == "SYN-RECEIVED" and self.passive:
            if self._in_window(segment.seq):
                self._return_to_listen()
            else:  # "If the SYN is not in the window ... an ACK would have been sent in the first step", whatever follows the SYN
                self._acknowledge(challenge=True)
            return True
        if self.state == "TIME-WAIT" and self._may_reopen(segment):
            previous = copy(self)
            self._begin_connection(segment)
            self.previous = previous
            return True
        self._acknowledge(challenge=True)
        return True

    def _may_reopen(self, segment: Segment) -> bool:
        """MAY-2. RFC 6191 2: without timestamps a SYN above the FIN's sequence number is of a new incarnation."""
        return self.listening and "A" not in segment.ctl and not before(segment.seq, self.rcv_nxt)

    def _ack_is_in_range(self, segment: Segment) -> bool:
        """RFC 5961 5.2: (SND.UNA - MAX.SND.WND) =< SEG.ACK =< SND.NXT."""
        return "A" in segment.ctl and between((self.snd_una - self.max_snd_wnd) % MODULO, segment.ack, self.snd_nxt)

    def _fifth_ack(self, segment: Segment) -> bool:
        """True where processing goes on to the text."""
        if "A" not in segment.ctl:  # "if the ACK bit is off, drop the segment"
            return False
        if self.state == "SYN-RECEIVED":
            # Choice: SYN-RECEIVED is no synchronized state, so its own rule comes before the range of RFC 5961 5.2: 3.5.2 group 2.
            if segment.ack != self.snd_nxt:
                self._send_rst(segment.ack)
                return False
            self.state, self.previous = "ESTABLISHED", None
            self.snd_una = segment.ack
            self._set_send_window(segment)
            self._process_what_was_queued()
            return True
        if not self._ack_is_in_range(segment):  # "discarded and an ACK sent back"
            self._acknowledge(challenge=True)
            return False
        if self.state == "TIME-WAIT":
            # "The only thing that can arrive in this state is a retransmission of the remote FIN. Acknowledge it, and restart".
            # Choice: what takes no sequence number is no retransmission; two ends in TIME-WAIT that answered it would never stop.
            # Text without a FIN is acknowledged, and does not make TIME-WAIT longer.
            if segment.length:
                self._acknowledge()
            return True
        self._advance_and_update(segment)
        return self._fin_acknowledged()

    def _process_what_was_queued(self) -> None:
        """Text and FIN that came with the SYN; "it must also acknowledge the receipt of the data" (step 7)."""
        if self._deliver():
            self._acknowledge(delayed=not self.fin_received)

    def _advance_and_update(self, segment: Segment) -> None:
        """ESTABLISHED's part of step 5: SND.UNA, and the window by SND.WL1 and SND.WL2."""
        if before(segment.ack, self.snd_una):
            return  # "can be ignored"
        if self._syn_in_flight() and segment.ack != self.iss:  # FIN-WAIT-1 from SYN-RECEIVED: what ESTABLISHED would have done
            self._process_what_was_queued()
        self.snd_una = segment.ack
        newer = before(self.snd_wl1, segment.seq)
        if newer or (self.snd_wl1 == segment.seq and not before(segment.ack, self.snd_wl2)):
            self._set_send_window(segment)

    def _fin_acknowledged(self) -> bool:
        """What the states add to ESTABLISHED's part of step 5; False where the segment goes no further."""
        if self.fin_sent is None or self.snd_una != self.fin_sent:
            return self.state != "CLOSING"  # "otherwise, ignore the segment"
        match self.state:
            case "FIN-WAIT-1":
                self.state = "FIN-WAIT-2"
            case "CLOSING":
                self._enter_time_wait()
            case "LAST-ACK":
                self._delete(0)
                return False
        return True

    def _sixth_urg(self, segment: Segment) -> None:
        """RCV.UP <- max(RCV.UP, SEG.UP). Its text is delivered in line, as all text."""
        up = (segment.seq + segment.urg) % MODULO
        if "U" in segment.ctl and self.state in MAY_RECEIVE and (self.rcv_up is None or before(self.rcv_up, up)):
            self.rcv_up = up

    def urgent(self) -> int:
        """What of the urgent data the user has not read (3.8.5). Choice: none lies behind a FIN, whatever the pointer says."""
        read = (self.rcv_nxt - len(self.readable) - self.fin_received) % MODULO
        end = read if self.rcv_up is None else self.rcv_up
        fin = (self.rcv_nxt - 1) % MODULO if self.fin_received else self.held_fin
        if fin is not None and before(fin, end):
            end = fin
        return (end - read) % MODULO if before(read, end) else 0

    def _take_text_and_fin(self, segment: Segment) -> None:
        """Steps 7 and 8."""
        if self.state not in MAY_RECEIVE:
            self._ignore_after_fin(segment)
            return
        if self.abandoned and segment.data and before(self.rcv_nxt, (segment.seq + len(segment.data)) % MODULO):
            # SHLD-3: "if new data is received after CLOSE is called" of a half-duplex close, a RST shows that it was lost.
            self._send_rst(self._acceptable_seq())
            self._delete(0)
            return
        gap = before(self.rcv_nxt, segment.seq)
        fills = bool(self.held) or self.held_fin is not None
        if segment.length:
            self._hold(segment)
            self._deliver()
            # RFC 5681 4.2: what is out of order, or fills a gap, is acknowledged at once; so is a FIN (step 8). The rest may wait.
            self._acknowledge(delayed=not (gap or fills or self.fin_received))

    def _deliver(self) -> bool:
        """Advance RCV.NXT over all that has no gap before it. "The total of RCV.NXT and RCV.WND should not be reduced"."""
        begin = self.rcv_nxt
        text = bytearray()
        while self.rcv_nxt in self.held:
            text.append(self.held.pop(self.rcv_nxt))
            self.rcv_nxt = (self.rcv_nxt + 1) % MODULO
        self.readable += bytes(text)
        if self.held_fin == self.rcv_nxt:
            self._eighth_fin()
        self.rcv_wnd -= (self.rcv_nxt - begin) % MODULO
        return self.rcv_nxt != begin

    def _eighth_fin(self) -> None:
        """The FIN is in order."""
        self.held_fin = None
        self.fin_received = True
        self.rcv_nxt = (self.rcv_nxt + 1) % MODULO
        match self.state:
            case "ESTABLISHED":
                self.state = "CLOSE-WAIT"
            case "FIN-WAIT-1":  # had our FIN been ACKed, this would be FIN-WAIT-2 by now
                self.state = "CLOSING"
            case "FIN-WAIT-2":
                self._enter_time_wait()

    def _ignore_after_fin(self, segment: Segment) -> None:
        """Text and FIN after the FIN: "This should not occur since a FIN has been received". RCV.NXT has nowhere left to go."""
        if "F" in segment.ctl:  # "send an acknowledgment for the FIN"
            self._acknowledge()
            if self.state == "TIME-WAIT":  # "Restart the 2 MSL time-wait timeout"
                self._restart_time_wait()
