"""The windows and the probes of one that is shut (RFC 9293 3.8.6)."""

from tests.ledger.mutation import Mutation

ARRIVES = "tcp/arrives.py"
OUTPUT = "tcp/output.py"
RETRANSMISSION = "tcp/retransmission.py"
TIMEOUTS = "tcp/timeouts.py"

MUTATIONS = (
    Mutation(
        "MUST-34",
        "the right edge of the peer's window never moves left",
        ARRIVES,
        "    tcb.snd_wnd, tcb.snd_wl1, tcb.snd_wl2 = segment.window, first, segment.ack\n",
        "    edge = max(segment.ack + segment.window, tcb.snd_wl2 + tcb.snd_wnd)\n"
        "    tcb.snd_wnd, tcb.snd_wl1, tcb.snd_wl2 = edge - segment.ack, first, segment.ack\n",
    ),
    Mutation(
        "MUST-35",
        "a window that shuts over what is in flight is not probed",
        OUTPUT,
        "        if tcb.timers.persist is None:  # SHLD-29",
        "        if tcb.timers.persist is None and not tcb.flight:  # SHLD-29",
    ),
    Mutation(
        "MUST-36",
        "nothing is probed",
        TIMEOUTS,
        "    tcb.probe_due = True\n",
        "    tcb.probe_due = False\n",
    ),
    Mutation(
        "MUST-37",
        "probing ends though they are answered",
        ARRIVES,
        "    tcb.probing.answered()\n    tcb.more = False\n",
        "    tcb.more = False\n",
    ),
    Mutation(
        "SHLD-14",
        "the window that was offered shrinks",
        OUTPUT,
        "    if nxt + (window << shift) > before:\n",
        "    if True:\n",
    ),
    Mutation(
        "SHLD-14",
        "the window shrinks with the buffer",
        OUTPUT,
        "    if edge - before < min(tcb.recvbuf.limit // 2, tcb.snd_mss):\n",
        "    if 0 <= edge - before < min(tcb.recvbuf.limit // 2, tcb.snd_mss):\n",
    ),
    Mutation(
        "SHLD-15",
        "new data goes out beyond the window",
        OUTPUT,
        "    usable = min(offered, tcb.recovery.room(",
        "    usable = min(65535, tcb.recovery.room(",
    ),
    Mutation(
        "SHLD-16",
        "nothing is sent again while the window is smaller than what is out",
        OUTPUT,
        "    room = min(lost.room, _resend_edge(tcb) - first)\n",
        "    room = min(lost.room, _resend_edge(tcb) - tcb.snd_nxt)\n",
    ),
    Mutation(
        "SHLD-17",
        "what lies beyond the window times out",
        "tcp/timeouts.py",
        "    if tcb.snd_wnd or not tcb.syn_acked",
        "    if True or not tcb.syn_acked",
    ),
    Mutation(
        "SHLD-29",
        "the first probe goes out at once",
        OUTPUT,
        "            tcb.timers.persist = now + tcb.rtt.rto\n",
        "            tcb.timers.persist = now + 1\n",
    ),
    Mutation(
        "SHLD-30",
        "probes come at an even pace",
        RETRANSMISSION,
        "min(tcb.rtt.rto << tcb.probing.sent, tcb.config.rto_max)",
        "min(tcb.rtt.rto, tcb.config.rto_max)",
    ),
    Mutation(
        "REC-1",
        "the peer's window is kept in 16 bits",
        ARRIVES,
        "    tcb.snd_wnd, tcb.snd_wl1, tcb.snd_wl2 = segment.window, first, segment.ack\n",
        "    tcb.snd_wnd, tcb.snd_wl1, tcb.snd_wl2 = segment.window & 0xFFFF, first, segment.ack\n",
    ),
    Mutation(
        "MAY-7",
        "what lies beyond a window that has shut is not sent again",
        OUTPUT,
        "    if not tcb.snd_wnd and not tcb.config.empty_probes:\n",
        "    if not tcb.snd_wnd:\n",
    ),
    Mutation(
        "MAY-8",
        "a probe of our shut window gets no answer",
        ARRIVES,
        "        if not window and segment.length and not segment.flags & (RST | SYN):\n            tcb.ack_now = True",
        "        if not window and segment.length and not segment.flags & (RST | SYN):\n            tcb.ack_now |= False",
    ),
)
