"""What is sent without a connection: resets for what is nobody's (RFC 9293 3.10.7.1), SYN,ACKs with a cookie (RFC 4987 3.6)."""

from collections.abc import Callable

from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.net.arrival import Arrival
from userstack.net.outgoing import Outgoing
from userstack.tcp import md5sig
from userstack.tcp.output import reset_for
from userstack.wire.tcp import TcpSegment


class StatelessReplies:
    """Nothing is kept of whom they are for. ``hand_down`` gives an answer to IP, where it waits; False: too many wait already."""

    __slots__ = ("_config", "_counters", "_hand_down")

    def __init__(self, config: StackConfig, counters: Counters, hand_down: Callable[[Outgoing], bool]) -> None:
        self._config = config
        self._counters = counters
        self._hand_down = hand_down

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
        local, remote = arrival.local.address, arrival.remote.address
        ttl, tos, dont_fragment = config.ttl_for(local), config.tos_for(local), config.path_mtu_discovery
        if self._hand_down(Outgoing(segment, local, remote, ttl, tos, dont_fragment, arrival.route)):
            return True
        self._counters.add("IpOutDiscards" if len(local) == 4 else "Ip6OutDiscards")
        return False
