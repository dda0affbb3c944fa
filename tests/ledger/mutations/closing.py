"""Closing and resets (RFC 9293 3.5.3, 3.6)."""

from tests.ledger.mutation import Mutation

ARRIVES = "tcp/arrives.py"
CALLS = "tcp/calls.py"
TEXT = "tcp/text.py"
TIME_WAIT = "tcp/timewait.py"

MUTATIONS = (
    Mutation(
        "MUST-12",
        "a RST is told as the end of the stream",
        ARRIVES,
        "        case _:\n            tcb.die(ConnectionReset(), cause=segment.cause, clause=clause, now=now)",
        "        case _:\n            tcb.die(None, cause=segment.cause, clause=clause, now=now)",
    ),
    Mutation(
        "MUST-12",
        "the end of the stream is told as an abort",
        "sim/transfer.py",
        "        if connection is not None and connection.fin_received:\n            return\n",
        "        if connection is not None and connection.fin_received:\n            raise ConnectionResetError\n",
    ),
    Mutation(
        "MUST-13",
        "one MSL is enough",
        TIME_WAIT,
        "        self.deadline = now + 2 * config.msl",
        "        self.deadline = now + config.msl",
    ),
    Mutation(
        "MUST-13",
        "a FIN that comes again does not restart it",
        TIME_WAIT,
        "self.deadline = now + 2 * self.config.msl",
        "self.deadline += 0 * now",
    ),
    Mutation(
        "SHLD-2",
        "a RST with text is dropped",
        ARRIVES,
        "    if flags & RST:\n        _check_rst(tcb, segment, now)\n",
        "    if flags & RST:\n        if not segment.payload:\n            _check_rst(tcb, segment, now)\n",
    ),
    Mutation(
        "SHLD-3",
        "what was not read is thrown away in silence",
        CALLS,
        "    if not tcb.recvbuf.size:\n        return False\n",
        "    if True:\n        return False\n",
    ),
    Mutation(
        "SHLD-3",
        "what comes after CLOSE is thrown away in silence",
        TEXT,
        "if tcb.deaf and tcb.state is not State.ESTABLISHED:",
        "if False:",
    ),
    Mutation(
        "SHLD-4",
        "a newer timestamp opens nothing",
        TIME_WAIT,
        "return kept is None or kept.is_newer(tsval) or (kept.is_recent(tsval) and above)",
        "return kept is None or (kept.is_recent(tsval) and above)",
    ),
    Mutation("MAY-1", "after CLOSE text is kept", CALLS, "tcb.released = tcb.deaf = True", "tcb.released = True"),
    Mutation(
        "MAY-2",
        "no SYN reopens",
        TIME_WAIT,
        "        if not segment.syn or segment.rst or segment.has_ack or segment.bad_options:\n",
        "        if True:\n",
    ),
    Mutation(
        "MAY-2",
        "the new ISS may lie below the old numbers",
        ARRIVES,
        "tcb.start(max(iss, record.next_iss))",
        "tcb.start(iss)",
    ),
)
