"""What is counted of one connection beside its variables, for TCP_INFO (RFC 4898 has most of it). Times in ns."""

from typing import Final


class Tally:
    """Plain numbers that the data path raises; nothing decides by them."""

    __slots__ = (
        "data_segs_out",
        "dsack_dups",
        "octets_out",
        "ofo_segs",
        "rto_recoveries",
        "rto_resend",
        "rto_since",
        "rto_time",
        "timeouts",
    )

    def __init__(self) -> None:
        self.data_segs_out = 0
        """Segments with text, those sent again too."""
        self.octets_out = 0
        """Text that went out, each time."""
        self.dsack_dups = 0
        """Segments that the peer has reported by D-SACK to have had before."""
        self.ofo_segs = 0
        """Segments that came beyond a hole."""
        self.timeouts = self.rto_recoveries = self.rto_time = 0
        """Timeouts; how often the first of a row of them; the time until all that was outstanding then was acknowledged."""
        self.rto_since: int | None = None
        self.rto_resend = False
        """The retransmission that a timeout itself asks for is still to come."""

    def timed_out(self, now: int, *, first: bool) -> None:
        """The retransmission timer has expired; ``first``: nothing was acknowledged since an earlier one."""
        self.timeouts += 1
        self.rto_resend = True
        if first:
            self.rto_recoveries += 1
            if self.rto_since is None:
                self.rto_since = now

    def recovered(self, now: int) -> None:
        """What a timeout had left to repair is repaired."""
        if self.rto_since is not None:
            self.rto_time += now - self.rto_since
            self.rto_since = None

    def time_in_rto(self, now: int) -> int:
        """All of it, a recovery that goes on included."""
        return self.rto_time if self.rto_since is None else self.rto_time + now - self.rto_since


NOTHING_TALLIED: Final = Tally()
"""That of every connection of which there is nothing to count; see ``first_text``."""
