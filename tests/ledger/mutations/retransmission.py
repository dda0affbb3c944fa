"""Retransmission, congestion, R1 and R2 (RFC 9293 3.8.1 to 3.8.3)."""

from tests.ledger.mutation import Mutation

CONFIG = "config.py"
RTT = "tcp/rtt.py"
RENO = "tcp/congestion/reno.py"
RETRANSMISSION = "tcp/retransmission.py"
TIMEOUTS = "tcp/timeouts.py"

MUTATIONS = (
    Mutation(
        "MUST-18",
        "Karn's rule is forgotten",
        RTT,
        'acknowledgement of what is being timed would be ambiguous."""\n        self._timed = None\n',
        'acknowledgement of what is being timed would be ambiguous."""\n',
    ),
    Mutation(
        "MUST-18",
        "the variance does not count",
        RTT,
        "rto = self.srtt + max(self._config.clock_granularity, 4 * self.rttvar)",
        "rto = self.srtt",
    ),
    Mutation("MUST-18", "one sample is the whole truth", RTT, "self.srtt += (rtt - self.srtt) // 8", "self.srtt = rtt"),
    Mutation(
        "MUST-19",
        "no exponential back-off",
        RTT,
        "self.backoffs = min(self.backoffs + 1, 32)",
        "self.backoffs = min(self.backoffs, 32)",
    ),
    Mutation(
        "MUST-19",
        "no slow start",
        RENO,
        "self.cwnd += min(acked, self._limit * self._mss)",
        "self.cwnd += acked // 8",
    ),
    Mutation("MUST-19", "no congestion avoidance", RENO, "        if self.cwnd < self.ssthresh:\n", "        if True:\n"),
    Mutation("MUST-19", "a timeout leaves the window", RENO, "        self.cwnd = self._mss\n", "        self.cwnd += 0\n"),
    Mutation(
        "MUST-20",
        "R2 never comes",
        TIMEOUTS,
        "if timers.user_timeout is not None and now >= timers.user_timeout:",
        "if False and timers.user_timeout is not None and now >= timers.user_timeout:",
    ),
    Mutation(
        "MUST-20",
        "R2, looked at as Linux does, never comes",
        RETRANSMISSION,
        "    return now - tcb.retransmitted_since >= patience(tcb)\n",
        "    return False\n",
    ),
    Mutation(
        "MUST-21",
        "R2 cannot be set",
        RETRANSMISSION,
        "    tcb.user_timeout = timeout\n",
        "    tcb.user_timeout = None if timeout else timeout\n",
    ),
    Mutation(
        "MUST-22",
        "a SYN is repeated for ever",
        RETRANSMISSION,
        "        return config.r2_syn if tcb.state is State.SYN_SENT else config.r2_synack\n",
        "        return FOREVER\n",
    ),
    Mutation("MUST-23", "a SYN has as long as data", CONFIG, "r2_syn: int = 180 * SECOND", "r2_syn: int = 100 * SECOND"),
    Mutation("SHLD-8", "a mark is not echoed", "tcp/output.py", "        flags |= ECE\n", "        flags |= 0\n"),
    Mutation(
        "SHLD-8",
        "an echo slows nobody down",
        "tcp/ecn.py",
        "return self.ok and flags & (ECE | SYN) == ECE",
        "return False and flags & (ECE | SYN) == ECE",
    ),
    Mutation(
        "SHLD-9",
        "nobody is told of R1",
        TIMEOUTS,
        "if tcb.retransmits == tcb.config.r1:",
        "if False:",
    ),
    Mutation("SHLD-10", "R1 is one retransmission", CONFIG, "r1: int = 3", "r1: int = 1"),
    Mutation("SHLD-11", "R2 is half a minute", CONFIG, "r2: int = 100 * SECOND", "r2: int = 30 * SECOND"),
)
