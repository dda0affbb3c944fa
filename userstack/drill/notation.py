"""Packets in the script's language, for what is shown to a person."""

from userstack.drill.script import IcmpSpec, IpFields, OptionSpec, PacketEvent, TcpSpec
from userstack.wire.tcp import (
    ACK,
    AE,
    CWR,
    ECE,
    EOL,
    EXPERIMENT,
    FAST_OPEN,
    FIN,
    MD5,
    MSS,
    NOP,
    PSH,
    RST,
    SACK,
    SACK_PERMITTED,
    SYN,
    TIMESTAMPS,
    URG,
    WINDOW_SCALE,
)

_LETTERS = ((SYN, "S"), (FIN, "F"), (RST, "R"), (PSH, "P"), (URG, "U"), (ECE, "E"), (CWR, "W"), (AE, "A"), (ACK, "."))
_NAMES = {EOL: "eol", NOP: "nop", MSS: "mss", WINDOW_SCALE: "wscale", SACK_PERMITTED: "sackOK", FAST_OPEN: "FO", MD5: "md5"}
_ECN = {0: "noecn", 1: "ect1", 2: "ect0", 3: "ce"}


def format_packet(event: PacketEvent) -> str:
    """The packet as a line of a script has it, without its time and its direction."""
    ip = format_ip(event.ip)
    content = event.content
    body = format_tcp(content) if isinstance(content, TcpSpec) else format_icmp(content)
    return f"{ip} {body}" if ip else body


def format_flags(flags: int) -> str:
    """``S.``; ``-`` where no flag is set and ``*`` for any."""
    if flags < 0:
        return "*"
    return "".join(letter for bit, letter in _LETTERS if flags & bit) or "-"


def format_tcp(spec: TcpSpec) -> str:
    """``P. 1:1001(1000) ack 1 win 257 <nop,nop,TS val 1 ecr 2>``."""
    parts = [format_flags(spec.flags), f"{spec.seq}:{spec.end}({spec.length})"]
    if spec.ack is not None:
        parts.append(f"ack {spec.ack}")
    if spec.window is not None:
        parts.append(f"win {spec.window}")
    if spec.urgent:
        parts.append(f"urg {spec.urgent}")
    if spec.options is None:
        parts.append("<...>")
    elif spec.options:
        parts.append(format_options(spec.options))
    return " ".join(parts)


def format_options(options: tuple[OptionSpec, ...]) -> str:
    """``<mss 1460,sackOK>``."""
    return f"<{','.join(_format_option(option) for option in options)}>"


def format_icmp(spec: IcmpSpec) -> str:
    """``icmp unreachable frag_needed mtu 1200 [1:1001(1000)]``."""
    parts = ["icmp", spec.type_name, *([spec.code_name] if spec.code_name else [])]
    if spec.mtu is not None:
        parts.append(f"mtu {spec.mtu}")
    if spec.quoted is not None:
        parts.append(f"[{spec.quoted.seq}:{spec.quoted.end}({spec.quoted.length})]")
    return " ".join(parts)


def format_ip(fields: IpFields) -> str:
    """``[ce,ttl 3]``; empty where nothing is said."""
    parts = ["ect01"] if fields.any_ect else []
    if fields.ecn is not None:
        parts.append(_ECN[fields.ecn])
    if fields.tos is not None:
        parts.append(f"tos {fields.tos:#04x}")
    if fields.ttl is not None:
        parts.append(f"ttl {fields.ttl}")
    if fields.flow_label is not None:
        parts.append(f"flowlabel {fields.flow_label:#x}")
    return f"[{','.join(parts)}]" if parts else ""


def _format_option(option: OptionSpec) -> str:
    values = ["..." if value is None else str(value) for value in option.values]
    match option.kind:
        case _ if option.data is not None:
            name = _NAMES.get(option.kind, "exp" if option.kind == EXPERIMENT else f"kind {option.kind}")
            return f"{name} 0x{option.data.hex()}"
        case _ if option.kind == TIMESTAMPS and len(values) == 2:
            return f"TS val {values[0]} ecr {values[1]}"
        case _ if option.kind == SACK:
            return "sack " + " ".join(":".join(values[at : at + 2]) for at in range(0, len(values), 2))
        case _:
            return " ".join([_NAMES.get(option.kind, f"kind {option.kind}"), *values])
