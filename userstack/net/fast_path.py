"""From the octets of a packet straight to its connection, where nothing but what is expected stands in its headers.

One look at the headers, one look-up by the addresses and ports as they stand there, and ``tcp/prediction``. Whatever is unusual is
left for the long way through ``Host``, which alone judges, answers and counts what is wrong: nothing is decided twice.
"""

import struct
from collections.abc import Callable

from userstack.counters import Counters
from userstack.net import octets
from userstack.net.table import ConnectionTable, Entry
from userstack.tcp import prediction
from userstack.tcp.prediction import Plain
from userstack.wire.checksum import word_sum
from userstack.wire.ip import TCP, Buffer
from userstack.wire.tcp import ACK, NOP, PSH, TIMESTAMPS

_IPV4 = struct.Struct("!BBHxxHBBxx12sIIHH")
"""Version and IHL, type of service, total length, fragment, TTL, protocol, flow; SEQ, ACK, data offset and flags, window."""
_IPV6 = struct.Struct("!IHBB36sIIHH")
"""Version, class and label; payload length, next header, hop limit; then as above."""
_STAMP = struct.Struct("!III")
_STAMP_HEAD = NOP << 24 | NOP << 16 | TIMESTAMPS << 8 | 10
"""How the option stands alone and aligned (RFC 7323 appendix A)."""
_STAMPED = 8
"""The data offset with the timestamps alone."""
_FLAGS = 0x0FFF
_USUAL = frozenset({ACK, ACK | PSH})
_FRAGMENT = 0x3FFF
_LEAST4, _LEAST6 = 40, 60


class FastPath:
    """The short way in. ``confirm`` is told of a remote address that has just proved to hear us."""

    __slots__ = ("_confirm", "_counters", "_table")

    def __init__(self, table: ConnectionTable, counters: Counters, confirm: Callable[[bytes, int], None] | None) -> None:
        self._table = table
        self._counters = counters
        self._confirm = confirm

    def take(self, data: Buffer, now: int, *, vouched: bool) -> bool:
        """Take a packet in; False, and nothing has happened, where it has to go the long way."""
        size = len(data)
        if size >= _LEAST4 and data[0] == 0x45:
            _, tos, length, fragment, ttl, protocol, flow, seq, ack, bits, window = _IPV4.unpack_from(data)
            entry, transport = self._table.flows.get(flow), 20
            if fragment & _FRAGMENT or int.from_bytes(data[:20], "big") % 0xFFFF:
                return False
        elif size >= _LEAST6 and data[0] >> 4 == 6:
            first, length, protocol, ttl, flow, seq, ack, bits, window = _IPV6.unpack_from(data)
            entry, transport = self._table.flows.get(flow), 40
            tos, length = first >> 20 & 0xFF, length + 40
        else:
            return False
        if entry is None or length != size or protocol != TCP or bits & _FLAGS not in _USUAL:
            return False
        tcb = entry.plain_tcb()
        if tcb is None or ttl < tcb.lower.min_ttl:
            return False
        text, stamp = transport + 20, None
        if bits >> 12 == _STAMPED and size >= text + _STAMP.size:
            head, *values = _STAMP.unpack_from(data, text)
            text, stamp = text + _STAMP.size, (values[0], values[1]) if head == _STAMP_HEAD else None
        if text != transport + (bits >> 10 & 0x3C) or (stamp is None) is not (text == transport + 20):
            return False
        if not vouched and (word_sum(data[transport:]) + word_sum(flow[:-4]) + size - transport + TCP) % 0xFFFF:
            return False
        una = tcb.snd_una
        if not prediction.segment_arrives(tcb, Plain(seq, ack, bits & _FLAGS, window, memoryview(data)[text:], stamp), now):
            return False
        self._note(entry, tcb.snd_una > una, now)
        tcb.lower.rcv_tos = tos  # MAY-9
        self._count(transport == 40, tos, size)
        return True

    def _note(self, entry: Entry, acknowledged: bool, now: int) -> None:
        self._table.has_news(entry)
        if acknowledged and self._confirm is not None:
            self._confirm(entry.key[1].address, now)

    def _count(self, version_6: bool, tos: int, size: int) -> None:
        counters = self._counters
        receives, delivers = ("Ip6InReceives", "Ip6InDelivers") if version_6 else ("IpInReceives", "IpInDelivers")
        counters[receives] += 1
        octets.count_in(counters, version_6, tos, size)
        counters[delivers] += 1
        counters["TcpInSegs"] += 1
