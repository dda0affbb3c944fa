"""A packet of the system beside the line that expects it, in the script's numbers: every field that differs, by name."""

from dataclasses import dataclass

from userstack.drill import options
from userstack.drill.flow import MODULUS, Flow, Sent
from userstack.drill.notation import format_flags, format_options
from userstack.drill.script import IpFields, OptionSpec, TcpSpec
from userstack.drill.settings import Settings
from userstack.wire.ip import IPPacket
from userstack.wire.tcp import ACK, SYN, TIMESTAMPS, TcpSegment

ECN_BITS = 0x03
_ECT = (1, 2)


@dataclass(frozen=True, slots=True)
class Field:
    """One field that differs."""

    name: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.name}: expected {self.expected}, got {self.got}"


def learn(flow: Flow, spec: TcpSpec, segment: TcpSegment) -> None:
    """Take from an outbound packet what the numbers of the script are on the wire: of a SYN the ISN, of timestamps their value."""
    if segment.flags & SYN:
        flow.learn_syn(segment.seq, spec.seq if spec.flags >= 0 and spec.flags & SYN else 0)
    script, live = _tsval(spec.options or ()), _tsval(tuple(options.decode(option) for option in segment.options))
    if script is not None and live is not None:
        flow.timestamps.learn(script, live)


def to_spec(flow: Flow, sent: Sent, *, absolute: bool = False) -> TcpSpec:
    """The segment in the script's numbers."""
    segment = sent.segment
    seq = segment.seq if absolute else flow.script_seq(segment.seq)
    length = len(segment.payload)
    seen = options.mapped(
        tuple(options.decode(option) for option in segment.options),
        {TIMESTAMPS: lambda value, place: value if place else flow.timestamps.to_script(value)},
    )
    return TcpSpec(
        flags=segment.flags,
        seq=seq,
        end=(seq + length) % MODULUS,
        length=length,
        ack=segment.ack if segment.flags & ACK or segment.ack else None,
        window=segment.window,
        urgent=segment.urgent_pointer or None,
        options=seen + options.padding(sent.ip.payload, segment.options),
    )


def differing(expected: TcpSpec, got: TcpSpec, settings: Settings, ignored_flags: int = 0) -> list[Field]:
    """The fields of the header in which ``got`` is not what the line says; numbers of the stream and text are judged elsewhere."""
    found = []
    if expected.flags >= 0 and (expected.flags ^ got.flags) & ~ignored_flags:
        found.append(Field("flags", format_flags(expected.flags), format_flags(got.flags)))
    if (expected.ack or 0) % MODULUS != (got.ack or 0):
        found.append(Field("ack", *("none" if spec.ack is None else str(spec.ack) for spec in (expected, got))))
    if expected.window is not None and expected.window != got.window:
        found.append(Field("win", str(expected.window), str(got.window)))
    if (expected.urgent or 0) != (got.urgent or 0):
        found.append(Field("urg", str(expected.urgent or 0), str(got.urgent or 0)))
    if expected.options is not None and not _same_options(expected.options, got.options or (), settings):
        found.append(Field("options", format_options(expected.options), format_options(got.options or ())))
    return found


def differing_numbers(expected: TcpSpec, got: TcpSpec) -> list[Field]:
    """Where ``got`` does not stand in the stream where the line says."""
    want, have = (f"{spec.seq % MODULUS}:{(spec.seq + spec.length) % MODULUS}({spec.length})" for spec in (expected, got))
    return [] if want == have else [Field("seq", want, have)]


def differing_text(flow: Flow, expected: TcpSpec, sent: Sent) -> list[Field]:
    """Where the octets are not those that the line gives, or that were written."""
    payload = bytes(sent.segment.payload)
    seq = sent.segment.seq if expected.absolute_seq else flow.script_seq(sent.segment.seq)
    if expected.payload is not None:
        first = (seq - expected.seq) % MODULUS
        wanted = expected.payload[first : first + len(payload)]
    else:
        first = flow.outbound_offset(seq + bool(sent.segment.flags & SYN))
        if first < 0 or flow.local_origin is None:
            return []
        wanted = bytes(flow.written[first : first + len(payload)])
    if wanted == payload:
        return []
    at = next((at for at, (one, other) in enumerate(zip(wanted, payload, strict=False)) if one != other), len(wanted))
    where = f"from octet {(seq + at) % MODULUS} on"
    return [Field(f"text {where}", _octets(wanted[at:]), _octets(payload[at:]))]


def differing_ip(expected: IpFields, got: IPPacket) -> list[Field]:
    """Where the IP header is not what the line says."""
    found = []
    ecn = got.tos & ECN_BITS
    if expected.any_ect and ecn not in _ECT:
        found.append(Field("ECN", "ect0 or ect1", str(ecn)))
    if expected.ecn is not None and expected.ecn != ecn:
        found.append(Field("ECN", str(expected.ecn), str(ecn)))
    kept = 0xFF if expected.ecn is None and not expected.any_ect else ~ECN_BITS
    if expected.tos is not None and (expected.tos ^ got.tos) & kept:
        found.append(Field("TOS", f"{expected.tos:#04x}", f"{got.tos:#04x}"))
    if expected.ttl is not None and expected.ttl != got.ttl:
        found.append(Field("TTL", str(expected.ttl), str(got.ttl)))
    return found


def ip_fields(packet: IPPacket, expected: IpFields) -> IpFields:
    """The fields of the packet that the line names, for the line beside it."""
    return IpFields(
        ecn=packet.tos & ECN_BITS if expected.ecn is not None or expected.any_ect else None,
        tos=packet.tos if expected.tos is not None else None,
        ttl=packet.ttl if expected.ttl is not None else None,
    )


def _tsval(specs: tuple[OptionSpec, ...]) -> int | None:
    for spec in specs:
        if spec.kind == TIMESTAMPS and len(spec.values) == 2:
            return spec.values[0]
    return None


def _same_options(expected: tuple[OptionSpec, ...], got: tuple[OptionSpec, ...], settings: Settings) -> bool:
    """The same options; TSval may be off by what the tolerance is in ticks, and by anything where the ticks are not known."""
    want, have = _tsval(expected), _tsval(got)
    if want is not None and have is not None:
        apart = abs((have - want + MODULUS // 2) % MODULUS - MODULUS // 2)
        if apart * settings.timestamp_tick > settings.tolerance:
            return False
        got = options.mapped(got, {TIMESTAMPS: lambda value, place: value if place else want})
    return options.matches(expected, got)


def _octets(text: bytes) -> str:
    """The first few octets, for a message."""
    return (text[:8].hex(" ") + (" ..." if len(text) > 8 else "")) if text else "nothing"
