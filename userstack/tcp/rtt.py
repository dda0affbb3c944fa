"""RFC 6298: the retransmission timeout from round-trip times, with Karn's rule (MUST-18). All in nanoseconds."""

from typing import Final

from userstack.config import SECOND, StackConfig

_LATELY: Final = 300 * SECOND


class RttEstimator:
    """SRTT, RTTVAR and RTO of one connection; one segment is timed at a time."""

    __slots__ = ("_config", "_least_at", "_timed", "backoffs", "base_rto", "least", "rttvar", "srtt")

    def __init__(self, config: StackConfig) -> None:
        self._config = config
        self.srtt: int | None = None
        self.rttvar = 0
        self.base_rto = max(config.rto_initial, config.rto_min)
        self.backoffs = 0
        self._timed: tuple[int, int] | None = None
        """The end of the segment that is timed, and when it went out."""
        self.least = 0
        """The least time measured lately; 0 before there was one."""
        self._least_at = 0

    @property
    def rto(self) -> int:
        """The timeout to use now, back-off included (2.5, 5.5)."""
        return min(self.base_rto << self.backoffs, self._config.rto_max)

    def time(self, end: int, now: int) -> None:
        """A segment that ends at ``end`` goes out for the first time: time it, unless another is being timed."""
        if self._timed is None:
            self._timed = end, now

    def forget_timing(self) -> None:
        """Karn: something was sent again, so the acknowledgement of what is being timed would be ambiguous."""
        self._timed = None

    @property
    def timing(self) -> bool:
        """A segment is being timed."""
        return self._timed is not None

    def acknowledged(self, ack: int, now: int) -> None:
        """SND.UNA moved to ``ack``: a sample, if that covers the timed segment."""
        if self._timed is not None and ack >= self._timed[0]:
            sent_at = self._timed[1]
            self._timed = None
            self.sample(now - sent_at, now)

    def back_off(self) -> None:
        """(5.5): double the timeout; a bound far above ``rto_max`` keeps the shift small."""
        self.backoffs = min(self.backoffs + 1, 32)

    def restart_after_syn_timeout(self) -> None:
        """(5.7): the timer expired awaiting the ACK of a SYN, so data begins with at least three seconds."""
        self.backoffs = 0
        self.base_rto = max(self.base_rto, 3 * SECOND)

    def sample(self, rtt: int, now: int) -> None:
        """A round-trip time was measured."""
        if not self.least or rtt <= self.least or now - self._least_at > _LATELY:
            self.least, self._least_at = rtt, now
        if self.srtt is None:  # (2.2)
            self.srtt, self.rttvar = rtt, rtt // 2
        else:  # (2.3), alpha 1/8 and beta 1/4
            self.rttvar += (abs(self.srtt - rtt) - self.rttvar) // 4
            self.srtt += (rtt - self.srtt) // 8
        rto = self.srtt + max(self._config.clock_granularity, 4 * self.rttvar)
        self.base_rto = min(max(rto, self._config.rto_min) + self._config.rto_slop, self._config.rto_max)
        self.backoffs = 0
