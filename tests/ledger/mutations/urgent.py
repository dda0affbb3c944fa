"""Urgent data (RFC 9293 3.8.5)."""

from tests.ledger.mutation import Mutation

OUTPUT = "tcp/output.py"
URGENT = "tcp/urgent.py"

MUTATIONS = (
    Mutation("MUST-30", "URG is not sent", OUTPUT, "segment.flags |= URG", "segment.flags |= 0"),
    Mutation(
        "MUST-31",
        "what lies too far for the pointer wraps",
        OUTPUT,
        "min(tcb.snd_up - number, MAX_URGENT_POINTER)",
        "(tcb.snd_up - number) & MAX_URGENT_POINTER",
    ),
    Mutation(
        "MUST-32",
        "an advance of the pointer is not told",
        URGENT,
        "tcb.rcv_up = max(tcb.rcv_up, up)",
        "tcb.rcv_up = tcb.rcv_up if remaining(tcb) else max(tcb.rcv_up, up)",
    ),
    Mutation(
        "MUST-32",
        "the mark does not move on",
        URGENT,
        "(mark is not None and place <= mark.place)",
        "mark is not None",
    ),
    Mutation("MUST-32", "poll tells nothing", "sim/readiness.py", "events |= POLLPRI", "events |= 0"),
    Mutation(
        "MUST-33",
        "what has come does not count as remaining",
        URGENT,
        "min(tcb.rcv_up, fin)) - consumed(tcb), 0)",
        "min(tcb.rcv_up, fin)) - tcb.rcv_nxt, 0)",
    ),
    Mutation(
        "MUST-33",
        "the mark is told to nobody",
        URGENT,
        "return tcb.mark is not None and tcb.mark.place == consumed(tcb)",
        "return False",
    ),
    Mutation(
        "MUST-62",
        "the pointer is that of the last urgent octet",
        "tcp/calls.py",
        "tcb.snd_up = tcb.sendbuf.end",
        "tcb.snd_up = tcb.sendbuf.end - 1",
    ),
    Mutation(
        "MUST-66",
        "URG does not count at a zero window",
        "tcp/arrives.py",
        "            urgent.process_urgent(tcb, segment)",
        "            if tcb.rcv_wnd:\n                urgent.process_urgent(tcb, segment)",
    ),
)
