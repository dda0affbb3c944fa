"""How a host makes its connections: with its ISNs, its paths, and the limits that all of them share."""

from collections.abc import Callable

from userstack.address import Endpoint
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.net.paths import Paths
from userstack.tcp.challenge import ChallengeThrottle
from userstack.tcp.connection import Connection
from userstack.tcp.fastopen import NO_FAST_OPEN, FastOpen
from userstack.tcp.isn import IsnGenerator
from userstack.tcp.orphancount import OrphanCount
from userstack.tcp.tcb import Tcb
from userstack.tcp.timestamps import OffsetGenerator
from userstack.tcp.timewait import TimeWait
from userstack.trace import Tracer


class ConnectionFactory:
    """Makes the connections of one host."""

    __slots__ = ("_challenge", "_config", "_counters", "_orphans", "_trace", "isn", "paths", "quiet_until", "timestamp_offset")

    def __init__(
        self,
        paths: Paths,
        *,
        config: StackConfig,
        counters: Counters,
        isn: IsnGenerator,
        timestamp_offset: OffsetGenerator,
        random: Callable[[int], int],
        trace: Tracer | None,
        start: int,
    ) -> None:
        self.paths = paths
        self.isn = isn
        self.timestamp_offset = timestamp_offset
        self._config = config
        self._counters = counters
        self._trace = trace
        self._challenge = ChallengeThrottle(config.challenge_ack_limit, random)
        self._orphans = OrphanCount(config.max_orphans)
        self.quiet_until = start + config.msl if config.quiet_time else 0

    def make(
        self,
        local: Endpoint,
        remote: Endpoint | None = None,
        *,
        now: int,
        config: StackConfig | None = None,
        isn: IsnGenerator | None = None,
        reopening: TimeWait | None = None,
        listening: bool = False,
        fast_open: FastOpen | None = None,
    ) -> Connection:
        """A fresh connection, in the state that ``Connection`` says; without ``config`` and ``isn`` it gets the host's."""
        path = None if remote is None else self.paths.to(remote.address, now=now)
        tcb = Tcb(
            local,
            remote,
            config=config or self._config,
            isn=isn or self.isn,
            timestamp_offset=self.timestamp_offset,
            counters=self._counters,
            mtu=self.paths.link_mtu(local.address) if path is None else path.link_mtu,
            path=path,
            trace=self._trace,
            challenge=self._challenge,
            orphans=self._orphans,
            quiet_until=self.quiet_until,
            reopening=reopening,
            listening=listening,
            fast_open=fast_open or NO_FAST_OPEN,
            now=now,
        )
        return Connection.of(tcb)
