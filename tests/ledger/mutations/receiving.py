"""What is received and how it is acknowledged (RFC 9293 3.8.6.2.2, 3.8.6.3, 3.10.7.4)."""

from tests.ledger.mutation import Mutation

ARRIVES = "tcp/arrives.py"
DELAYED_ACK = "tcp/delayed_ack.py"
OUTPUT = "tcp/output.py"
TEXT = "tcp/text.py"

MUTATIONS = (
    Mutation(
        "MUST-39",
        "every octet that is read opens the window",
        OUTPUT,
        "    if edge - before < min(tcb.recvbuf.limit // 2, tcb.snd_mss):\n        edge = before\n",
        "",
    ),
    Mutation(
        "MUST-40",
        "an ACK may wait for a second",
        TEXT,
        "tcb.timers.delayed_ack = delayed_ack.deadline(tcb.rtt.srtt, now)",
        "tcb.timers.delayed_ack = now + 1_000_000_000",
    ),
    Mutation(
        "MUST-58",
        "each segment is acknowledged",
        DELAYED_ACK,
        "            return self._segments >= 2\n",
        "            return self._segments >= 1\n",
    ),
    Mutation(
        "MUST-66",
        "at zero window nothing is processed",
        "tcp/segment.py",
        "if self.seq == rcv_nxt or rcv_nxt <= self.seq < rcv_nxt + rcv_wnd:",
        "if rcv_nxt <= self.seq < rcv_nxt + rcv_wnd:",
    ),
    Mutation("SHLD-18", "no ACK is delayed", DELAYED_ACK, "            return self._segments >= 2\n", "            return True\n"),
    Mutation(
        "SHLD-19",
        "the third segment is acknowledged",
        DELAYED_ACK,
        "            return self._segments >= 2\n",
        "            return self._segments >= 3\n",
    ),
    Mutation(
        "SHLD-31",
        "what is out of order is thrown away",
        TEXT,
        "        if not tcb.recvbuf.hold(segment.seq, segment.payload):\n",
        "        if True:\n",
    ),
    Mutation(
        "MAY-12",
        "an ACK of long ago is believed",
        ARRIVES,
        "if not tcb.snd_una - tcb.max_snd_wnd <= segment.ack <= tcb.snd_nxt:",
        "if not segment.ack <= tcb.snd_nxt:",
    ),
    Mutation(
        "MAY-13",
        "the ACK of what is out of order waits",
        TEXT,
        "        hold(tcb, segment)\n        tcb.ack_now = True  # RFC 5681 4.2",
        "        hold(tcb, segment)\n        tcb.ack_now = False  # RFC 5681 4.2",
    ),
    Mutation("MUST-59", "each segment is answered before the next is read", "runtime/driver.py", "= 128, 1 << 20", "= 1, 1 << 20"),
)
