"""What is sent and when: Nagle, silly windows, PSH (RFC 9293 3.7.4, 3.8.6.2.1, 3.9.1.2)."""

from tests.ledger.mutation import Mutation

NAGLE = "tcp/nagle.py"
OUTPUT = "tcp/output.py"

MUTATIONS = (
    Mutation(
        "MUST-17",
        "Nagle cannot be turned off",
        NAGLE,
        "idle = tcb.nodelay or tcb.urgent or not _holds(tcb)",
        "idle = tcb.urgent or not _holds(tcb)",
    ),
    Mutation(
        "MUST-38",
        "whatever fits is sent",
        NAGLE,
        "    if size >= tcb.segment_limit:  # (1)\n",
        "    if size > 0:  # (1)\n",
    ),
    Mutation(
        "MUST-60",
        "what is held waits for ever",
        OUTPUT,
        "    elif tcb.snd_nxt == tcb.snd_una and tcb.timers.override is None:\n",
        "    elif False:\n",
    ),
    Mutation("MUST-61", "no PSH", OUTPUT, "flags = PSH if size and end", "flags = 0 if size and end"),
    Mutation("SHLD-7", "no Nagle", NAGLE, "idle = tcb.nodelay or tcb.urgent or not _holds(tcb)", "idle = True"),
    Mutation(
        "SHLD-27",
        "each SEND is a segment of its own",
        OUTPUT,
        "size = min(size, count * full)",
        "size = min(size, count * full, 100)",
    ),
    Mutation(
        "SHLD-28",
        "segments are half as large as they could be",
        OUTPUT,
        "full = min(tcb.snd_mss - others, tcb.segment_limit)",
        "full = min(tcb.snd_mss - others, tcb.segment_limit) // 2",
    ),
    Mutation(
        "MAY-16",
        "what SEND brings is not put together",
        OUTPUT,
        "size = min(size, count * full)",
        "size = min(size, count * full, 100)",
    ),
    Mutation("MAY-15", "a SEND cannot say that it is not pushed", NAGLE, "held = (tcb.cork or tcb.more)", "held = tcb.cork"),
)
