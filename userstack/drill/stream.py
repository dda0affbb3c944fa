"""One outbound TCP line against the packets that answer it.

The octets of a line may leave in more than one packet, and those of more lines in one: how a stream is cut is not TCP's promise,
and scripts show what their system hands to a network card that does the cutting. So a line claims its stretch of the stream from
as many packets as carry it; of a packet that carries more, the rest stays for the next line. PSH is compared where a packet and a
line are the same stretch, and at the end of what was written. Strictly, they always are the same stretch.
"""

from dataclasses import replace

from userstack.drill import compare
from userstack.drill.compare import Field
from userstack.drill.flow import MODULUS, Flow, Sent, signed
from userstack.drill.script import IpFields, TcpSpec
from userstack.drill.settings import Settings
from userstack.wire.tcp import CWR, FIN, PSH, RST, SYN, URG, TcpSegment


class Claim:
    """What one line has got so far."""

    __slots__ = ("_at", "_exact", "_flow", "_ip", "_pushes", "_settings", "complete", "differences", "spec", "taken")

    def __init__(self, flow: Flow, spec: TcpSpec, ip: IpFields, settings: Settings, *, strict: bool, pushes: bool = False) -> None:
        self._flow = flow
        self.spec = spec
        self._ip = ip
        self._settings = settings
        self._pushes = pushes and not strict
        self._exact = strict or spec.flags < 0 or not spec.length or bool(spec.flags & (SYN | RST | URG))
        self._at = spec.seq % MODULUS
        """The number of the next octet."""
        self.complete = False
        self.differences: list[Field] = []
        self.taken: list[Sent] = []

    def missing(self) -> str:
        """What has not come of the line, as the end of a sentence."""
        if not self.taken:
            return "none was sent"
        end = (self.spec.seq + self.spec.length) % MODULUS
        return "its FIN was not sent" if self._at == end else f"{self._at}:{end} of it was not sent"

    def offer(self, sent: Sent) -> Sent | None:
        """The next packet of the connection; what of it is not this line's, or None. Look at ``differences`` afterwards."""
        compare.learn(self._flow, self.spec, sent.segment)
        rest = None
        if not self._exact and not self.taken and self._is_whole(sent.segment):
            self._exact = True
        if self._exact:
            self._take_whole(sent)
        else:
            sent, rest = self._cut(sent)
            self._take_part(sent)
        self.differences += compare.differing_ip(self._ip, sent.ip)
        if not self.differences:
            self.differences += compare.differing_text(self._flow, self.spec, sent)
        self.taken.append(sent)
        return rest

    def _is_whole(self, segment: TcpSegment) -> bool:
        """The packet is the very stretch of the line; a FIN that comes apart from its text is not."""
        same_fin = (self.spec.flags ^ segment.flags) & FIN == 0
        return len(segment.payload) == self.spec.length and same_fin

    def _got(self, sent: Sent) -> TcpSpec:
        return compare.to_spec(self._flow, sent, absolute=self.spec.absolute_seq)

    def _take_whole(self, sent: Sent) -> None:
        got = self._got(sent)
        self.differences += compare.differing_numbers(self.spec, got)
        pushed = self._pushes and sent.segment.payload and self.spec.flags & PSH and not self._at_the_end(sent)
        self.differences += compare.differing(self.spec, got, self._settings, PSH if pushed or not sent.whole else 0)
        self.complete = True

    def _at_the_end(self, sent: Sent) -> bool:
        """The packet ends with the last octet that was written: it must be pushed (RFC 9293 3.9.1.2, MUST-61)."""
        end = self._flow.outbound_offset(self._flow.script_seq(sent.segment.seq) + len(sent.segment.payload))
        return bool(sent.whole and sent.segment.payload and end == len(self._flow.written) and not self._flow.writing)

    def _take_part(self, sent: Sent) -> None:
        """A stretch of the line's text: the numbers go on where the last one ended, all else is as the line says."""
        got = self._got(sent)
        end = (self.spec.seq + self.spec.length) % MODULUS
        last = (got.seq + got.length) % MODULUS == end
        ignored = (0 if last and self._at_the_end(sent) else PSH) | FIN | (CWR if self.taken else 0)
        if got.seq != self._at or (not got.length and not got.flags & FIN):
            self.differences += compare.differing_numbers(self.spec, got) or [Field("seq", str(self._at), str(got.seq))]
        self.differences += compare.differing(self.spec, got, self._settings, ignored)
        self._at = (self._at + got.length) % MODULUS
        fin_due = self.spec.flags & FIN and not got.flags & FIN
        if got.flags & FIN and not (last and self.spec.flags & FIN):
            self.differences.append(Field("flags", "no FIN yet", "FIN"))
        self.complete = last and not fin_due

    def _cut(self, sent: Sent) -> tuple[Sent, Sent | None]:
        """The packet up to the end of the line, and the rest of it, which has its FIN."""
        segment = sent.segment
        end = self.spec.seq + self.spec.length
        room = signed(end - self._flow.script_seq(segment.seq))
        fin_beyond = segment.flags & FIN and not self.spec.flags & FIN and room == len(segment.payload)
        if not (0 < room < len(segment.payload) or fin_beyond):
            return sent, None
        front = replace(segment, payload=segment.payload[:room], flags=segment.flags & ~(FIN | PSH))
        seq = (segment.seq + room) % MODULUS
        back = replace(segment, seq=seq, payload=segment.payload[room:], flags=segment.flags & ~CWR)
        return replace(sent, segment=front, whole=False), replace(sent, segment=back, whole=False)
