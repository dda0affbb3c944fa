"""What is sent without a connection: resets for what is nobody's (RFC 9293 3.10.7.1), SYN,ACKs with a cookie (RFC 4987 3.6)."""

from collections import deque

from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.net.arrival import Arrival
from userstack.net.outgoing import Outgoing
from userstack.tcp import md5sig
from userstack.tcp.output import reset_for
from userstack.wire.tcp import TcpSegment


class StatelessReplies:
    """The answers that wait for the device; nothing is kept of whom they are for."""

    __slots__ = ("_config", "_counters", "_waiting")

    def __init__(self, config: StackConfig, counters: Counters) -> None:
        self._config = config
        self._counters = counters
        self._waiting: deque[Outgoing] = deque()

    def refuse(self, arrival: Arrival) -> None:
        """RFC 9293 3.10.7.1: answer nobody's segment with a reset, where it may have one; signed, where there is a key."""
        reset = reset_for(arrival.segment, echo_timestamp=self._config.rst_echoes_timestamp)
        if reset is None:
            return
        if arrival.md5_key is not None:
            md5sig.sign(reset, arrival.local.address, arrival.remote.address, arrival.md5_key)
        if self.send(reset, arrival, self._config):
            self._counters.add("TcpOutSegs")
            self._counters.add("TcpOutRsts")

    def send(self, segment: TcpSegment, arrival: Arrival, config: StackConfig) -> bool:
        """Send ``segment`` back the way that ``arrival`` has come, by these settings; False where too many wait for the device."""
        if len(self._waiting) >= self._config.transmit_queue:
            self._counters.add("IpOutDiscards")
            return False
        local, remote = arrival.local.address, arrival.remote.address
        ttl, tos, dont_fragment = config.ttl_for(local), config.tos_for(local), config.path_mtu_discovery
        self._waiting.append(Outgoing(segment, local, remote, ttl, tos, dont_fragment, arrival.route))
        return True

    def poll_transmit(self) -> Outgoing | None:
        """The next of them to send."""
        return self._waiting.popleft() if self._waiting else None
