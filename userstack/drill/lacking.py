"""What the system does that a script was written for, and userstack does not: where a script comes to that, it is skipped.

Law: that is no excuse for anything else. A field, an option or a value that no loss recovery decides is compared as ever.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from userstack.config import MILLISECOND
from userstack.drill.flow import Flow, Sent
from userstack.drill.script import TcpSpec
from userstack.drill.shell import Setting
from userstack.wire.tcp import FIN

DECIDED = frozenset({"seq", "time"})
"""Of a packet, what loss recovery decides: which it is, and when it goes."""
TOLD = frozenset(
    f"tcpi_{name}"
    for name in ("ca_state", "snd_cwnd", "snd_ssthresh", "unacked", "sacked", "lost", "retrans", "retransmits", "backoff", "rto")
) | {"tcpi_total_retrans", "tcpi_bytes_retrans", "tcpi_bytes_sent", "tcpi_notsent_bytes"}
"""What it decides of TCP_INFO."""
_LEAST_WAIT = 10 * MILLISECOND
"""A tail loss probe waits for two round-trip times, and longer than this even where they take none."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """One system, as a script has set it up; each field is something that it does."""

    system: str = ""
    recovery: bool = False
    """Repairs losses in its own way: RACK, PRR, CUBIC, F-RTO, undoing."""
    pushes: bool = False
    """Sets PSH in the middle of a stream too: at every half of the window, and at the end of what it hands to a card to be cut."""
    tail_probes: bool = False
    """Sends tail loss probes (RFC 8985 7), where SACK was agreed."""

    def of_packet(self, flow: Flow, spec: TcpSpec, fields: Iterable[str], got: Sent | None, now: int) -> str | None:
        """Why the system would send that packet where userstack sends ``got`` or, until ``now``, nothing."""
        if not DECIDED & set(fields) or spec.flags < 0 or not _could_be(flow, spec):
            return None
        again = got.again if got is not None else _would_be_again(flow, spec, now)
        if again and self.tail_probes and flow.outstanding.selective:
            return f"tail loss probes, as {self.system} sends them"
        return self._of_recovery(flow)

    def of_code(self, flow: Flow, fields: Iterable[str]) -> str | None:
        """Why the system would tell other values in these fields of TCP_INFO."""
        return self._of_recovery(flow) if TOLD & set(fields) else None

    def _of_recovery(self, flow: Flow) -> str | None:
        return f"loss recovery as {self.system} has it" if self.recovery and flow.outstanding.disturbed else None


NOTHING = Lacking()


def lacking(profile: str, settings: Iterable[Setting]) -> Lacking:
    """What the system of that profile does, set up by a script, and userstack does not."""
    values = {setting.name: setting.value for setting in settings}
    if profile == "linux":
        return Lacking(
            "Linux",
            recovery=True,
            pushes=True,
            tail_probes=values.get("net.ipv4.tcp_early_retrans") != "0",
        )
    if profile == "freebsd":
        return Lacking("FreeBSD", recovery=True)
    return NOTHING


def _could_be(flow: Flow, spec: TcpSpec) -> bool:
    """No loss recovery sends what was not written, or what was sent in other pieces."""
    if not spec.length and not spec.flags & FIN:
        return True
    taken = spec.length + bool(spec.flags & FIN)
    in_pieces = flow.outstanding.could_be(flow.local_seq(spec.seq), flow.local_seq(spec.seq + taken))
    return in_pieces and flow.outbound_offset(spec.seq + spec.length) <= len(flow.written)


def _would_be_again(flow: Flow, spec: TcpSpec, now: int) -> bool:
    """The packet would be the same again after a while, such as a probe waits."""
    taken = spec.length + bool(spec.flags & FIN)
    sent = bool(taken) and flow.outstanding.was_sent(flow.local_seq(spec.seq) + taken)
    return sent and now - flow.outstanding.sent_at >= _LEAST_WAIT
