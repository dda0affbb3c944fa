"""The deadlines that a connection has, in nanoseconds; the host keeps one entry in its wheel, at the earliest.

Every state has a deadline or a reason (law 5): CLOSED is nothing; LISTEN waits for whoever comes; SYN-SENT, SYN-RECEIVED,
FIN-WAIT-1, CLOSING and LAST-ACK have something outstanding, hence ``retransmission`` or ``persist``; ESTABLISHED and CLOSE-WAIT
may be idle as long as the application likes, and have ``keepalive`` else; FIN-WAIT-2 waits as long as the application reads,
and ``fin_wait_2`` once it has gone; TIME-WAIT has a record of its own with the 2 MSL. SYN-SENT has nothing
outstanding as long as its SYN waits for the first SEND (TCP_FASTOPEN_CONNECT): the application is the one who is waited for.
"""


class Timers:
    """``None``: not running."""

    __slots__ = (
        "delayed_ack", "fin_wait_2", "keepalive", "loss_probe", "override",
        "persist", "reordering", "retransmission", "user_timeout",
    )  # fmt: skip

    def __init__(self) -> None:
        self.retransmission: int | None = None
        self.persist: int | None = None
        self.delayed_ack: int | None = None
        self.override: int | None = None
        self.fin_wait_2: int | None = None
        self.keepalive: int | None = None
        self.loss_probe: int | None = None
        self.reordering: int | None = None
        self.user_timeout: int | None = None

    def earliest(self) -> tuple[str, int] | None:
        """The name and the time of the next deadline."""
        best: tuple[str, int] | None = None
        for name, deadline in (
            ("retransmission", self.retransmission),
            ("persist", self.persist),
            ("delayed ACK", self.delayed_ack),
            ("override", self.override),
            ("FIN-WAIT-2", self.fin_wait_2),
            ("user timeout", self.user_timeout),
            ("keep-alive", self.keepalive),
            ("loss probe", self.loss_probe),
            ("reordering", self.reordering),
        ):
            if deadline is not None and (best is None or deadline < best[1]):
                best = (name, deadline)
        return best

    def next(self) -> int | None:
        """The time of the next deadline."""
        first = self.retransmission
        for other in (
            self.persist,
            self.delayed_ack,
            self.override,
            self.fin_wait_2,
            self.user_timeout,
            self.keepalive,
            self.loss_probe,
            self.reordering,
        ):
            if other is not None and (first is None or other < first):
                first = other
        return first

    def pending(self) -> tuple[str, int] | None:
        """The one that Linux would name (``idiag_timer``), by its word in ss: it has one for what is sent, and one beside it."""
        for name, deadlines in (
            ("on", (self.retransmission, self.loss_probe, self.reordering)),
            ("persist", (self.persist, self.override)),
            ("keepalive", (self.keepalive,)),
            ("timewait", (self.fin_wait_2,)),
        ):
            found = [deadline for deadline in deadlines if deadline is not None]
            if found:
                return name, min(found)
        return None

    def stop(self) -> None:
        """Turn every timer off."""
        self.retransmission = self.persist = self.delayed_ack = self.override = None
        self.fin_wait_2 = self.user_timeout = self.keepalive = self.loss_probe = self.reordering = None
