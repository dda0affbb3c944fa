"""A capture as tshark reads it, with every checksum validated: an observer that shares no line with the stack."""

import subprocess
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

GOOD = "1"
ERROR = 0x800000
"""The severity of what tshark's experts call an error (epan/proto.h, PI_ERROR)."""
SYN, RST = 0x02, 0x04
ECHO_REPLY = frozenset({("0", ""), ("", "129")})
"""The types of ICMP and of ICMPv6."""
MANGLED_ZERO = "0xffff instead of 0x0000"
"""Linux writes a TCP checksum of 0 as 0xffff where it fills one in late (CSUM_MANGLED_0), as UDP must. Every receiver takes it."""

FIELDS = (
    "ip.src",
    "ipv6.src",
    "ip.checksum.status",
    "tcp.checksum.status",
    "icmp.checksum.status",
    "icmpv6.checksum.status",
    "icmp.type",
    "icmpv6.type",
    "tcp.flags",
    "tcp.seq_raw",
    "_ws.malformed",
    "_ws.expert.severity",
    "_ws.expert.message",
)
PREFERENCES = (
    "ip.check_checksum:TRUE",
    "tcp.check_checksum:TRUE",
    # The payload is noise: what it is taken for is no matter of TCP's, and what was lost is told by other tests.
    "tcp.desegment_tcp_streams:FALSE",
    "tcp.analyze_sequence_numbers:FALSE",
)


@dataclass
class Reading:
    """What a capture holds."""

    sent: Counter[str] = field(default_factory=Counter)
    """Packets by source address."""
    echo_replies: Counter[str] = field(default_factory=Counter)
    """Those among them by source address."""
    resets: Counter[str] = field(default_factory=Counter)
    """Segments with RST by source address."""
    syns: dict[str, list[int]] = field(default_factory=dict)
    """The sequence numbers of the SYNs by source address, in order."""
    lowest: dict[str, int] = field(default_factory=dict)
    """The lowest sequence number by source address: below that of the SYN once numbers have wrapped."""
    complaints: list[str] = field(default_factory=list)
    """What is malformed, or has a bad checksum."""

    @property
    def packets(self) -> int:
        """How many there are."""
        return self.sent.total()


def read_capture(path: Path, *, own: Collection[str]) -> Reading:
    """Have tshark read a whole capture of the stack that has the addresses ``own``."""
    command = ["tshark", "-n", "-r", str(path), "-d", "tcp.port==1-65535,data", "-T", "fields", "-E", "separator=|"]
    for preference in PREFERENCES:
        command += ["-o", preference]
    for name in FIELDS:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=110)
    return _read(done.stdout.splitlines(), own)


def _read(lines: Iterable[str], own: Collection[str]) -> Reading:
    reading = Reading()
    for number, line in enumerate(lines, 1):
        four, six, *statuses, icmp, icmpv6, flags, text, malformed, severities, message = line.split("|", len(FIELDS) - 1)
        source, *quoted = (four or six).split(",")
        if quoted:  # an ICMP error: the segment in it is not sent now, and too short for its checksum
            statuses[1], flags, text, severities, message = "", "", "", "", ""
        if (icmp, icmpv6) in ECHO_REPLY:
            reading.echo_replies[source] += 1
        reading.sent[source] += 1
        bits, seq = int(flags or "0", 16), int(text or "0")
        if bits & RST:
            reading.resets[source] += 1
        if bits & SYN:
            reading.syns.setdefault(source, []).append(seq)
        if bits:
            reading.lowest[source] = min(seq, reading.lowest.get(source, seq))
        wrong = any(status not in {"", GOOD} for several in statuses for status in several.split(","))  # its own, and a quote's
        wrong = wrong or bool(malformed) or any(int(severity) >= ERROR for severity in severities.split(",") if severity)
        if wrong and (source in own or MANGLED_ZERO not in message):
            reading.complaints.append(f"packet {number} from {source}: {message or malformed or statuses}")
    return reading
