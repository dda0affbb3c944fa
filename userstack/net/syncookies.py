"""SYN cookies (RFC 4987 3.6 and appendix A): what has to be remembered of a SYN goes to the peer and comes back from it.

The SYN,ACK's SEQ is the cookie: F(sockets) + the peer's SEQ + 8 bits of the minute, 3 bits of an index of an MSS, and 21 bits of
F(sockets, the peer's SEQ, minute, index), where F is a keyed hash. What else the SYN offered stands in the low 6 bits of the
timestamp, as Linux has it, where the peer takes part in timestamps; else it is not agreed to. So a SYN that finds the SYN queue
full costs nothing but time, and whoever has heard the SYN,ACK can still finish the handshake.
"""

import hashlib
import struct
from bisect import bisect_right
from typing import Final

from userstack.config import SECOND, StackConfig
from userstack.counters import Counters
from userstack.net.arrival import Arrival
from userstack.tcp import md5sig, seq, uto
from userstack.tcp.options import SynOptions, header_size, write_syn
from userstack.tcp.timestamps import CARRIED, OPTION_OCTETS, encode, read_timestamps
from userstack.tcp.windowscale import MAX_SHIFT, own_shift, syn_window
from userstack.wire.encodable import MAX_OPTIONS
from userstack.wire.tcp import ACK, CWR, ECE, SYN, TIMESTAMPS, TcpSegment

MSS_IPV4: Final = (48, 256, 536, 1300, 1440, 1452, 1460, 8960)
"""What three bits tell of a peer's MSS: Linux's four; what keeps to small ones, to PPPoE and to jumbo frames. Below 48 it gets no
cookie: nobody may send it more than it has asked for (MUST-16)."""
MSS_IPV6: Final = (48, 256, 536, 1220, 1420, 1432, 1440, 8940)

PERIOD: Final = 60 * SECOND
"""One step of the counter: Linux's TCP_SYNCOOKIE_PERIOD."""
MAX_AGE: Final = 2
"""A cookie is good in the step that it was made in and in the next: Linux's MAX_SYNCOOKIE_AGE."""
VALID: Final = MAX_AGE * PERIOD
"""So long after the last cookie of a listener one may come back to it (TCP_SYNCOOKIE_VALID)."""

_OF_SYN: Final = struct.Struct("!IqB")
"""The peer's SEQ, the step, and the index."""
_FLOW_IPV4: Final = 12
_STEPS: Final = 256
_STEP_SHIFT: Final = 24
_INDEX_SHIFT: Final = 21
_INDEX_MASK: Final = 0b111
_MAC_MASK: Final = (1 << 21) - 1
_NO_SCALE: Final = 0b1111
_SACK: Final = 0b010000
_ECN: Final = 0b100000
"""In the timestamp: the peer's window scale, or that there is none; SACK; ECN."""


class SynCookies:
    """Makes cookies and checks them; keeps nothing but its key, within the state of a hash that has taken nothing else in.

    A SYN's ``flow`` is its name as ``net.flow`` has it.
    """

    __slots__ = ("_keyed",)

    def __init__(self, secret: bytes) -> None:
        self._keyed = hashlib.blake2s(digest_size=4, key=secret[:32], person=b"cookie")

    def make(self, flow: bytes, irs: int, mss: int, now: int) -> int | None:
        """The ISS, 32 bits, of the answer to a SYN with SEQ ``irs`` and that MSS; None: no cookie can say such an MSS."""
        index = bisect_right(MSS_IPV4 if len(flow) == _FLOW_IPV4 else MSS_IPV6, mss) - 1
        if index < 0:
            return None
        step = now // PERIOD
        mask, mac = self._hash(flow, irs, step, index)
        return mask + irs + (step % _STEPS << _STEP_SHIFT | index << _INDEX_SHIFT | mac) & seq.MASK

    def check(self, cookie: int, flow: bytes, irs: int, now: int) -> int | None:
        """The MSS that ``cookie`` stands for; None: it was not made for this peer's SYN, or is too old."""
        mask, _ = self._hash(flow, 0, 0, 0)
        plain = seq.wrap(cookie - mask - irs)
        age = (now // PERIOD - (plain >> _STEP_SHIFT)) % _STEPS
        index = plain >> _INDEX_SHIFT & _INDEX_MASK
        if age >= MAX_AGE or plain & _MAC_MASK != self._hash(flow, irs, now // PERIOD - age, index)[1]:
            return None
        return (MSS_IPV4 if len(flow) == _FLOW_IPV4 else MSS_IPV6)[index]

    def _hash(self, flow: bytes, irs: int, step: int, index: int) -> tuple[int, int]:
        """F of the sockets, and F of all. One state gives both: no flow has the length of another with what follows it here."""
        state = self._keyed.copy()
        state.update(flow)
        mask = state.digest()
        # The peer's SEQ and the index are in it: a cookie is good for no other. Linux lets one pass that is an octet or two off.
        state.update(_OF_SYN.pack(irs & seq.MASK, step, index))
        return int.from_bytes(mask, "big"), int.from_bytes(state.digest(), "big") & _MAC_MASK


def synack(
    arrival: Arrival, offered: SynOptions, cookie: int, *, config: StackConfig, counters: Counters, mtu: int, ahead: int
) -> TcpSegment:
    """The answer to a SYN that nothing is kept of; what it agrees to, beside an MSS, stands in its timestamp.

    ``mtu`` is the link's, ``ahead`` what the timestamp clock is ahead between the two sockets.
    """
    local, remote, syn, _, key, now = arrival
    agreed = SynOptions(mss=min(mtu - header_size(local.address), config.max_segment or 65535))
    flags = SYN | ACK
    # Beside a signature there are no timestamps where there is SACK (see ``negotiation``).
    if config.timestamps and offered.timestamps and not (key is not None and config.sack and offered.sack_permitted):
        bits = _NO_SCALE
        if config.window_scaling and offered.window_scale is not None:
            bits = min(offered.window_scale, MAX_SHIFT)
            if offered.window_scale > MAX_SHIFT:
                counters.add("TcpExtTCPBadWindowScale")
            agreed.window_scale = own_shift(config)
        if config.sack and offered.sack_permitted:
            agreed.sack_permitted, bits = True, bits | _SACK
        if config.ecn and syn.flags & (ECE | CWR) == ECE | CWR:
            flags, bits = flags | ECE, bits | _ECN
        agreed.timestamps = carrying(bits, now // config.timestamp_clock) + ahead, offered.timestamps[0]
    options = write_syn(agreed, config.option_layout)
    if config.uto:
        room = MAX_OPTIONS - (0 if key is None else md5sig.OPTION_OCTETS)
        options = uto.added(options, uto.UserTimeoutOption(config).write(None), room)
    window = syn_window(config, (agreed.mss or 0) - (OPTION_OCTETS if agreed.timestamps else 0))
    answer = TcpSegment(local.port, remote.port, cookie, seq.wrap(syn.seq + 1), flags, window, options=options)
    return answer if key is None else md5sig.sign(answer, local.address, remote.address, key)


def carrying(bits: int, ticks: int) -> int:
    """The latest time up to ``ticks`` whose lowest six bits say ``bits``."""
    return ticks - (ticks - bits & CARRIED)


def remembered_syn(ack: TcpSegment, mss: int, *, offset: int | None) -> TcpSegment:
    """The SYN of the peer that sends ``ack``, the third segment of a handshake, as far as it can be known.

    ``offset`` is what our timestamp clock is ahead on this connection; None: we have not agreed to timestamps.
    """
    stamps = read_timestamps(ack.options) if offset is not None else None
    options, flags = SynOptions(mss=mss), SYN
    if stamps is not None and offset is not None:
        bits = stamps[1] - offset & CARRIED
        scale = bits & _NO_SCALE
        options.timestamps = (stamps[0], 0)
        options.window_scale = scale if scale != _NO_SCALE else None
        options.sack_permitted = bool(bits & _SACK)
        flags |= ECE | CWR if bits & _ECN else 0
    number = seq.wrap(ack.seq - 1)
    return TcpSegment(ack.source_port, ack.destination_port, number, 0, flags, ack.window, options=write_syn(options, "linux"))


def without_echo(ack: TcpSegment) -> TcpSegment:
    """Set its TSecr to 0: what the segment echoes held options and not the time, so that no round trip is measured by it."""
    stamps = read_timestamps(ack.options)
    if stamps is not None:
        plain = encode(stamps[0], 0)
        ack.options = tuple([plain if option.kind == TIMESTAMPS else option for option in ack.options])
    return ack
