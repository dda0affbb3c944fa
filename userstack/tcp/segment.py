"""The arriving segment as the core sees it: the SEG.* variables of RFC 9293 3.3.1, with unwrapped sequence numbers."""

from dataclasses import dataclass

from userstack.tcp import seq
from userstack.tcp.timestamps import read_timestamps
from userstack.wire.ip import Buffer
from userstack.wire.tcp import ACK, FIN, RST, SYN, URG, Option, TcpSegment, flag_names


@dataclass(slots=True, init=False)
class Segment:
    """SEG.SEQ, SEG.ACK, SEG.WND, which is scaled already, and the rest. ``seq`` is the number of the SYN, or of the first octet."""

    seq: int
    ack: int
    flags: int
    window: int
    payload: Buffer
    options: tuple[Option, ...]
    bad_options: bool
    timestamps: tuple[int, int] | None
    """SEG.TSval and SEG.TSecr, 32 bits each."""
    ecn: int
    """The ECN field of its IP header."""
    up: int | None
    """SEG.UP, counted from SEG.SEQ as a sequence number; None: without the URG bit."""

    def __init__(  # noqa: PLR0917 # the fields, written out for mypyc as those of TcpSegment
        self,
        seq: int,
        ack: int,
        flags: int,
        window: int,
        payload: Buffer,
        options: tuple[Option, ...] = (),
        bad_options: bool = False,
        timestamps: tuple[int, int] | None = None,
        ecn: int = 0,
        up: int | None = None,
    ) -> None:
        self.seq = seq
        self.ack = ack
        self.flags = flags
        self.window = window
        self.payload = payload
        self.options = options
        self.bad_options = bad_options
        self.timestamps = timestamps
        self.ecn = ecn
        self.up = up

    @property
    def length(self) -> int:
        """SEG.LEN: octets of text, plus one for SYN and one for FIN."""
        return len(self.payload) + bool(self.flags & SYN) + bool(self.flags & FIN)

    @property
    def end(self) -> int:
        """The sequence number after the last one that the segment takes."""
        return self.seq + self.length

    @property
    def syn(self) -> bool:
        """The SYN bit."""
        return bool(self.flags & SYN)

    @property
    def fin(self) -> bool:
        """The FIN bit."""
        return bool(self.flags & FIN)

    @property
    def rst(self) -> bool:
        """The RST bit."""
        return bool(self.flags & RST)

    @property
    def has_ack(self) -> bool:
        """The ACK bit."""
        return bool(self.flags & ACK)

    @property
    def cause(self) -> str:
        """How a transition that this segment makes names it: ``segment SYN,ACK``."""
        return f"segment {flag_names(self.flags)}"

    @property
    def reset(self) -> tuple[int, int | None]:
        """SEQ and ACK (None: no ACK bit) of the RST that the sender of this segment will accept (RFC 9293 3.10.7.1)."""
        return (self.ack, None) if self.has_ack else (0, self.end)

    def is_acceptable(self, rcv_nxt: int, rcv_wnd: int) -> bool:
        """Table 6 of RFC 9293 3.10.7.4. What begins at RCV.NXT is acceptable at zero window too, without its text (MUST-66).

        A RST counts as empty: data that it may carry (SHLD-2) is nothing to the window.
        """
        if self.seq == rcv_nxt or rcv_nxt <= self.seq < rcv_nxt + rcv_wnd:
            return True
        last = self.end - 1
        return not self.rst and self.length > 0 and rcv_nxt <= last < rcv_nxt + rcv_wnd

    def trimmed(self, left: int, right: int) -> "Segment":
        """The part from ``left`` up to ``right`` (RFC 9293 3.10.7.4 step 1): SYN, text and FIN outside are cut off."""
        first, flags, payload = self.seq, self.flags, self.payload
        if first < left and flags & SYN:
            first, flags = first + 1, flags & ~SYN
        if first < left:
            payload = payload[left - first :]
            first = left
        room = right - first - bool(flags & SYN)
        if len(payload) > room:
            payload = payload[: max(room, 0)]
            flags &= ~FIN
        elif len(payload) == room:
            flags &= ~FIN
        return Segment(
            first, self.ack, flags, self.window, payload, self.options, self.bad_options, self.timestamps, self.ecn, self.up
        )


def from_wire(segment: TcpSegment, *, near_seq: int, near_ack: int, shift: int = 0) -> Segment:
    """Unwrap SEG.SEQ near RCV.NXT and SEG.ACK near SND.UNA; scale SEG.WND by ``shift``, but never that of a SYN (RFC 7323 2.2)."""
    first = seq.unwrap(segment.seq, near_seq)
    return Segment(
        first,
        seq.unwrap(segment.ack, near_ack),
        segment.flags,
        segment.window if segment.flags & SYN else segment.window << shift,
        segment.payload,
        segment.options,
        segment.bad_options,
        read_timestamps(segment.options) if segment.options else None,
        segment.ecn,
        first + segment.urgent_pointer if segment.flags & URG else None,
    )
