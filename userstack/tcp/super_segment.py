"""Several segments that go down as one, for a device that cuts them (TSO): the same on the wire, at the price of one.

What each of them has to say for itself keeps a segment alone: a signature, an urgent pointer; and a FIN, which follows the last.
"""

from userstack.tcp.options import header_size
from userstack.tcp.tcb import Tcb
from userstack.wire.encodable import MAX_OPTIONS
from userstack.wire.offload import LARGEST_PACKET
from userstack.wire.tcp import TcpSegment


def count(tcb: Tcb, first: int, size: int, full: int) -> int:
    """How many full segments of the ``size`` octets from ``first`` on may go as one."""
    if not tcb.config.offload or tcb.md5_key is not None or tcb.lower.route is not None or tcb.urgent:
        return 1
    most = min(size, LARGEST_PACKET - header_size(tcb.address) - MAX_OPTIONS) // full
    if tcb.close_requested and first + most * full == tcb.sendbuf.end:
        most -= 1
    return max(most, 1)


def count_of(segment: TcpSegment) -> int:
    """How many segments it is on the wire."""
    if not segment.gso_size:
        return 1
    return -(-(len(segment.payload) + sum(map(len, segment.more))) // segment.gso_size)
