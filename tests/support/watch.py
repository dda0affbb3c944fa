"""What must hold of a host at any time, whatever it was sent: of the packets that it sends, and of what it keeps."""

from userstack.config import StackConfig
from userstack.sim import VirtualHost
from userstack.tcp.connection import Connection
from userstack.tcp.tcb import Tcb
from userstack.wire.codec import make_codec
from userstack.wire.ip import ICMP, ICMPV6, TCP
from userstack.wire.tcp import NOP

CODEC = make_codec("fast")
MAX_OPTIONS = 40
ALL_HEADERS = 120
"""IPv4's and TCP's, with all their options: a link that takes less is given them all the same, and an octet of text."""


def check_packet(octets: bytes, mtu: int) -> None:
    """It fits the link, can be read, and its checksums are right."""
    packet = CODEC.decode_ip(octets)
    text = 0
    if packet.protocol == TCP:
        segment = CODEC.decode_tcp(packet)
        text = len(segment.payload)
        assert not segment.bad_options, octets.hex()
        assert sum(1 if kind <= NOP else 2 + len(data) for kind, data in segment.options) <= MAX_OPTIONS, octets.hex()
        kinds = [kind for kind, _ in segment.options if kind > NOP]
        assert len(kinds) == len(set(kinds)), octets.hex()
    elif packet.protocol == ICMP:
        CODEC.decode_icmp(packet)
    else:
        assert packet.protocol == ICMPV6
        CODEC.decode_icmpv6(packet)
    assert len(octets) <= (mtu if text > 1 else max(mtu, ALL_HEADERS + text)), f"{len(octets)} octets, MTU {mtu}: {octets.hex()}"


def check_bounds(host: VirtualHost) -> None:
    """Law 7: every limit of ``StackConfig`` holds, and what is counted is what is there."""
    transport = host._engine.core.transport
    config = transport.config
    assert len(host._engine.core._replies) <= config.transmit_queue
    assert len(transport.paths) <= config.max_paths
    assert len(transport._active._fast_open_cookies._servers) <= config.fast_open_cache
    assert len(transport._active._fast_open_cookies._refused) <= config.fast_open_cache
    entries = transport.table.entries.values()
    assert transport.table.live == sum(entry.record is None for entry in entries)
    # One too many is there until it has sent what it owes.
    assert transport.table._time_waits == sum(entry.record is not None for entry in entries) <= config.time_wait_max + 1
    connections = [entry.connection for entry in entries if entry.connection is not None]
    assert transport._factory._orphans.count == sum(connection.tcb.orphan for connection in connections)
    for listener in transport.listeners.values():
        assert len(listener.accept_queue) <= listener.backlog + 1 + listener.fast_open.limit
        assert set(listener.fast_open.pending) <= set(connections)
        assert listener.young == sum(listener.syn_queue.values())
        assert set(listener.syn_queue) <= set(connections)
    for connection in connections:
        _check_connection(connection, connection.tcb, config)


def _check_connection(connection: Connection, tcb: Tcb, stack: StackConfig) -> None:
    config = connection.config
    # What SO_SNDBUF or SO_RCVBUF has made smaller may hold as much as it did before.
    assert len(tcb.sendbuf) <= max(config.send_buffer, stack.send_buffer)
    held = tcb.recvbuf.size + sum(end - start for start, end in tcb.recvbuf.islands)
    assert held < max(config.receive_buffer, stack.receive_buffer) + (1 << tcb.rcv_wind_shift)  # windows are rounded up
    assert tcb.resets is None or len(tcb.resets._owed) <= 16
    assert len(tcb.recvbuf.islands) <= config.out_of_order_ranges
    assert tcb.reports is None or len(tcb.reports._waiting) <= config.error_reports
    assert tcb.snd_una <= tcb.snd_nxt <= tcb.sendbuf.end + 1
    assert tcb.snd_mss >= 1
    assert tcb.congestion.cwnd >= 1


def check_nothing_left(host: VirtualHost) -> None:
    """Law 9: no connection, no timer, no orphan, no port taken, nothing to send."""
    transport = host._engine.core.transport
    assert host.connections() == []
    assert host.next_deadline() is None
    assert host.take() == []
    assert transport._factory._orphans.count == 0
    assert transport.listeners == {}
    assert transport.ports._uses == {}
    assert not any(entry.queued for entry in transport.table._dirty)
