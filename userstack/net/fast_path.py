"""From the octets of a packet straight to its connection, where nothing but what is expected stands in its headers.

One look at the headers, one look-up by the addresses and ports as they stand there, and ``tcp/prediction``; a bare ACK or FIN that
is not predicted goes to SEGMENT ARRIVES. Whatever is unusual is left for the long way through ``Host``, which alone judges, answers
and counts what is wrong: nothing is decided twice. What comes in one batch and belongs together is taken as one (net/gro.py).
"""

import struct
from collections.abc import Callable
from typing import Final

from userstack.counters import Counters
from userstack.net import octets
from userstack.net.gro import Bundle
from userstack.net.table import Entry
from userstack.net.transport import Transport
from userstack.tcp import prediction
from userstack.tcp.prediction import Plain, plain_of
from userstack.tcp.tcb import Tcb
from userstack.tcp.timestamps import OPTION_OCTETS
from userstack.wire.checksum import word_sum
from userstack.wire.fast_codec import decode_options
from userstack.wire.ip import TCP, Buffer
from userstack.wire.tcp import ACK, FIN, NOP, PSH, TIMESTAMPS, TcpSegment

_Ipv4 = tuple[int, int, int, int, int, int, bytes, int, int, int, int]
_Ipv6 = tuple[int, int, int, int, bytes, int, int, int, int]
_unpack_ipv4: Final[Callable[[Buffer], _Ipv4]] = struct.Struct("!BBHxxHBBxx12sIIHH").unpack_from
"""Version and IHL, type of service, total length, fragment, TTL, protocol, flow; SEQ, ACK, data offset and flags, window."""
_unpack_ipv6: Final[Callable[[Buffer], _Ipv6]] = struct.Struct("!IHBB36sIIHH").unpack_from
"""Version, class and label; payload length, next header, hop limit; then as above."""
_unpack_stamps: Final[Callable[[Buffer, int], tuple[int, int, int]]] = struct.Struct("!III").unpack_from
_unpack_tcp: Final[Callable[[Buffer, int], tuple[int, int, int, int, int, int]]] = struct.Struct("!HHIIHH").unpack_from
_STAMP_HEAD: Final = NOP << 24 | NOP << 16 | TIMESTAMPS << 8 | 10
"""How the option stands alone and aligned (RFC 7323 appendix A)."""
_STAMPED: Final = 8
"""The data offset with the timestamps alone."""
_FLAGS: Final = 0x0FFF
_PREDICTED: Final = frozenset({ACK, ACK | PSH})
_USUAL: Final = frozenset({ACK, ACK | PSH, ACK | FIN, ACK | PSH | FIN})
_FRAGMENT: Final = 0x3FFF
_LEAST4: Final = 40
_LEAST6: Final = 60


class FastPath:
    """The short way in. ``confirm`` is told of a remote address that has just proved to hear us.

    ``long_way`` takes what was bundled and is not predicted in the end: a packet, the time, and that its checksum is right.
    ``drop`` is told of what is thrown away: the name of its counter, the packet, the time.
    """

    __slots__ = ("_bundle", "_confirm", "_counters", "_drop", "_long_way", "_table", "_transport")

    def __init__(
        self,
        transport: Transport,
        counters: Counters,
        confirm: Callable[[bytes, int], None] | None,
        long_way: Callable[[Buffer, int, bool], None],
        drop: Callable[[str, Buffer, int], None],
    ) -> None:
        self._transport = transport
        self._table = transport.table
        self._counters = counters
        self._confirm = confirm
        self._long_way = long_way
        self._drop = drop
        self._bundle: Bundle | None = None
        """What waits for ``settle``, or for a packet that does not belong to it."""

    @property
    def holds(self) -> bool:
        """Something waits for ``settle``."""
        return self._bundle is not None

    def take(self, data: Buffer, now: int, *, vouched: bool, more: bool) -> bool:
        """Take a packet in; False, and nothing has happened, where it has to go the long way.

        With ``more`` it may be held, for what follows to be taken together with it; the caller then owes ``settle``.
        """
        if self._bundle is not None:
            if self._bundle.add(data, vouched=vouched):
                return True
            self.settle(now)
        size = len(data)
        if size >= _LEAST4 and data[0] == 0x45:
            _, tos, length, fragment, ttl, protocol, flow, seq, ack, bits, window = _unpack_ipv4(data)
            transport = 20
        elif size >= _LEAST6 and data[0] >> 4 == 6:
            first, length, protocol, ttl, flow, seq, ack, bits, window = _unpack_ipv6(data)
            tos, length, fragment, transport = first >> 20 & 0xFF, length + 40, 0, 40
        else:
            return False
        entry, flags = self._table.flows.get(flow), bits & _FLAGS
        if entry is None or flags not in _USUAL or length != size or protocol != TCP or fragment & _FRAGMENT:
            return False
        tcb = entry.plain_tcb
        text, stamp = transport + 20, None
        if bits >> 12 == _STAMPED and size >= text + OPTION_OCTETS:
            head, value, echo = _unpack_stamps(data, text)
            text, stamp = text + OPTION_OCTETS, (value, echo) if head == _STAMP_HEAD else None
        if (
            (tcb is not None and ttl < tcb.lower.min_ttl)
            or text != transport + (bits >> 10 & 0x3C)
            or (stamp is None) is not (text == transport + 20)
            or (transport == 20 and int.from_bytes(data[:20], "big") % 0xFFFF)
            or (not vouched and (word_sum(data[transport:]) + word_sum(flow[:-4]) + size - transport + TCP) % 0xFFFF)
        ):
            return False
        text_size = size - text
        if tcb is not None and flags in _PREDICTED:
            if more and (text_size > tcb.snd_mss if vouched and text_size else text_size or prediction.may_skip_acks(tcb)):
                self._bundle = Bundle(entry, data, transport, text, vouched=vouched)
                return True
            texts = (memoryview(data)[text:],) if text_size else ()
            plain = plain_of((seq, ack, flags, window, texts, text_size, stamp, tcb.segments_in(text_size)))
            if self._arrive(entry, tcb, plain, tos, 1, size, now):
                return True
        if not text_size:
            self._hand_up(entry, data, transport, tos, ttl, now)
        return not text_size

    def settle(self, now: int) -> None:
        """Take in what is held."""
        bundle, self._bundle = self._bundle, None
        if bundle is None:
            return
        entry, tcb = bundle.entry, bundle.entry.plain_tcb
        if tcb is not None:
            segment = bundle.segment(tcb.segments_in)
            if self._arrive(entry, tcb, segment, bundle.tos, bundle.count, bundle.octets, now):
                return
        for packet in bundle.packets:
            self._long_way(packet, now, True)

    def _arrive(self, entry: Entry, tcb: Tcb, segment: Plain, tos: int, packets: int, size: int, now: int) -> bool:
        una = tcb.snd_una
        if not prediction.segment_arrives(tcb, segment, now):
            return False
        self._table.has_news(entry)
        if tcb.snd_una > una and self._confirm is not None:
            self._confirm(entry.key[1].address, now)
        tcb.lower.rcv_tos = tos  # MAY-9
        octets.count_delivered(self._counters, len(entry.key[0].address) == 16, tos, packets, size)
        return True

    def _hand_up(self, entry: Entry, data: Buffer, transport: int, tos: int, ttl: int, now: int) -> None:
        """To SEGMENT ARRIVES: a packet without text."""
        source_port, destination_port, seq, ack, bits, window = _unpack_tcp(data, transport)
        text = transport + (bits >> 10 & 0x3C)
        options, _ = decode_options(bytes(data[transport + 20 : text]))
        segment = TcpSegment(
            source_port, destination_port, seq, ack, bits & _FLAGS, window, 0, options, b"", 0, False, tos & 3, text - transport
        )
        octets.count_delivered(self._counters, transport == 40, tos, 1, len(data))
        dropped = self._transport.to_entry(entry, segment, ttl, tos, None, now)
        if dropped is not None:
            self._drop(dropped, data, now)
