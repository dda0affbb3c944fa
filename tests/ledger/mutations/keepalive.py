"""Keep-alives (RFC 9293 3.8.4)."""

from tests.ledger.mutation import Mutation

CONFIG = "config.py"
KEEPALIVE = "tcp/keepalive.py"

MUTATIONS = (
    Mutation(
        "MUST-24",
        "they cannot be turned on",
        "tcp/settings.py",
        "        self.tcb.recvbuf.limit = config.receive_buffer\n        keepalive.arm(self.tcb)\n",
        "        self.tcb.recvbuf.limit = config.receive_buffer\n",
    ),
    Mutation("MUST-25", "they are on", CONFIG, "keepalive: bool = False", "keepalive: bool = True"),
    Mutation(
        "MUST-26",
        "they go out with data outstanding",
        KEEPALIVE,
        "if tcb.waiting or silence < idle_time(tcb):",
        "if silence < idle_time(tcb):",
    ),
    Mutation(
        "MUST-26",
        "they go out though the peer has just been heard",
        KEEPALIVE,
        "if tcb.waiting or silence < idle_time(tcb):",
        "if tcb.waiting:",
    ),
    Mutation(
        "MUST-27",
        "the interval is what it is",
        KEEPALIVE,
        "return max(tcb.config.keepalive_time, least)",
        "return max(7200 * SECOND, least)",
    ),
    Mutation(
        "MUST-28", "the interval is one hour", CONFIG, "keepalive_time: int = 7200 * SECOND", "keepalive_time: int = 3600 * SECOND"
    ),
    Mutation(
        "MUST-29",
        "one probe without an answer ends it",
        KEEPALIVE,
        "return tcb.keepalives >= tcb.config.keepalive_probes",
        "return tcb.keepalives >= 1",
    ),
    Mutation(
        "SHLD-12",
        "they carry an octet",
        "tcp/output.py",
        'garbage = b"\\0" if tcb.config.keepalive_garbage else b""',
        'garbage = b"\\0"',
    ),
    Mutation("MAY-5", "there are none", KEEPALIVE, "    tcb.keepalive_due = True\n", "    tcb.keepalive_due = False\n"),
    Mutation(
        "MAY-6",
        "the octet that was asked for is left out",
        "tcp/output.py",
        'garbage = b"\\0" if tcb.config.keepalive_garbage else b""',
        'garbage = b""',
    ),
)
