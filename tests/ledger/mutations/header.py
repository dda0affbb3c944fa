"""The header and its options (RFC 9293 3.1, 3.2, 3.7.1)."""

from tests.ledger.mutation import Mutation

FAST = "wire/fast_codec.py"
OPTIONS = "tcp/options.py"
OUTPUT = "tcp/output.py"
NEGOTIATION = "tcp/negotiation.py"
TCB = "tcp/tcb.py"

MUTATIONS = (
    Mutation(
        "MUST-1",
        "the window is taken as signed",
        "tcp/segment.py",
        "segment.window if segment.flags & SYN else segment.window << shift,",
        "(segment.window & 0x7FFF) - (segment.window & 0x8000) << (0 if segment.flags & SYN else shift),",
    ),
    Mutation("MUST-2", "no checksum is sent", FAST, "window, -words % 0xFFFF, urgent_pointer)", "window, 0, urgent_pointer)"),
    Mutation(
        "MUST-3",
        "no checksum is verified",
        FAST,
        "if verify and (pseudo_header_sum(packet.source",
        "if False and (pseudo_header_sum(packet.source",
    ),
    Mutation("MUST-4", "the MSS option is passed over", OPTIONS, "if kind == MSS:", "if kind == 200:"),
    Mutation("MUST-4", "what follows NOP is not read", FAST, "at += 1\n            continue", "at = end\n            continue"),
    Mutation(
        "MUST-4", "EOL does not end the options", FAST, "options.append(_EOL)\n            break", "at += 1\n            continue"
    ),
    Mutation(
        "MUST-5",
        "options are read in SYNs alone",
        FAST,
        "if header > 20 else ((), False)",
        "if header > 20 and bits & 2 else ((), False)",
    ),
    Mutation(
        "MUST-6",
        "an option that is not known ends them",
        FAST,
        "        options.append(option_of((kind, octets[at + 2 : after])))\n",
        "        if kind > 8:\n            break\n        options.append(option_of((kind, octets[at + 2 : after])))\n",
    ),
    Mutation(
        "MUST-7",
        "a length of zero is taken as the octet after",
        FAST,
        "return tuple(options), True",
        "return tuple(options), False",
    ),
    Mutation(
        "MUST-7",
        "an illegal length resets nothing",
        "tcp/arrives.py",
        '    if segment.seq == tcb.rcv_nxt:\n        tcb.send_reset(now)\n        error = ConnectionReset("the peer sent',
        '    if False:\n        tcb.send_reset(now)\n        error = ConnectionReset("the peer sent',
    ),
    Mutation(
        "MUST-14",
        "the MSS is not sent",
        OPTIONS,
        'found[MSS] = option_of((MSS, min(syn.mss, 0xFFFF).to_bytes(2, "big")))',
        'found[MSS] = Option(MSS, b"\\0\\0")',
    ),
    Mutation(
        "MUST-14",
        "the MSS is not kept to",
        NEGOTIATION,
        "tcb.peer_mss = None if peer.mss is None else common(peer.mss)",
        "tcb.peer_mss = 65535",
    ),
    Mutation(
        "MUST-15", "without an option IPv4 has 1460", OPTIONS, "DEFAULT_MSS_IPV4: Final = 536", "DEFAULT_MSS_IPV4: Final = 1460"
    ),
    Mutation(
        "MUST-15", "without an option IPv6 has 1440", OPTIONS, "DEFAULT_MSS_IPV6: Final = 1220", "DEFAULT_MSS_IPV6: Final = 1440"
    ),
    Mutation(
        "MUST-16",
        "the link's limit is not kept to",
        TCB,
        "most = min(offered, self.path_mtu - header_size(address), config.max_segment or 65535)",
        "most = min(offered, self.config.max_segment or 65535)",
    ),
    Mutation(
        "MUST-16",
        "the room of the options is forgotten",
        TCB,
        "return common(max(most - self.lower.option_octets - self.option_octets, 1))",
        "return common(max(most - self.lower.option_octets, 1))",
    ),
    Mutation(
        "MUST-16",
        "the room of IP's options is forgotten",
        TCB,
        "return common(max(most - self.lower.option_octets - self.option_octets, 1))",
        "return common(max(most - self.option_octets, 1))",
    ),
    Mutation(
        "MUST-64",
        "an option between two words is passed over",
        FAST,
        "        options.append(option_of((kind, octets[at + 2 : after])))\n",
        "        if at % 4 == 0:\n            options.append(option_of((kind, octets[at + 2 : after])))\n",
    ),
    Mutation(
        "MUST-65",
        "the MSS is sent with data",
        OUTPUT,
        "segment = _with_ack(tcb, first, flags, options, pieces[0])",
        'segment = _with_ack(tcb, first, flags, (Option(2, b"\\x05\\xb4"), *options), pieces[0])',
    ),
    Mutation(
        "MUST-67",
        "the MSS counts the headers in",
        TCB,
        "self.rcv_mss = common(min(self.mtu - header_size(address), self.config.max_segment or 65535))",
        "self.rcv_mss = common(min(self.mtu, self.config.max_segment or 65535))",
    ),
    Mutation(
        "MUST-68",
        "an option that is not known has no length",
        FAST,
        "        if kind == EOL:\n",
        "        if kind > 8:\n            at += 1\n            continue\n        if kind == EOL:\n",
    ),
    Mutation(
        "MUST-69",
        "the padding is not zero",
        FAST,
        'return octets + b"\\0" * (-len(octets) % 4)',
        'return octets + b"\\xff" * (-len(octets) % 4)',
    ),
    Mutation(
        "SHLD-5",
        "the MSS is not sent",
        OPTIONS,
        'found[MSS] = option_of((MSS, min(syn.mss, 0xFFFF).to_bytes(2, "big")))',
        'found[MSS] = Option(MSS, b"\\0\\0")',
    ),
    Mutation(
        "MAY-3",
        "an MSS that is the default is not told",
        NEGOTIATION,
        "    options = write_syn(syn, tcb.config.option_layout)\n",
        "    options = () if tcb.rcv_mss in (536, 1220) else write_syn(syn, tcb.config.option_layout)\n",
    ),
)
