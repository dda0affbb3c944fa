"""The packets of a script from their words; what contradicts itself is refused."""

from lark import Token, v_args

from userstack.drill import literals
from userstack.drill.option_rules import U8, U16, U32, OptionRules, at_most, check_options
from userstack.drill.script import IcmpSpec, IpFields, OptionSpec, PacketEvent, TcpSpec
from userstack.drill.wrong import Wrong
from userstack.wire.tcp import ACK, AE, CWR, ECE, FIN, PSH, RST, SYN, URG

FLAG_LETTERS = {"F": FIN, "S": SYN, "R": RST, "P": PSH, ".": ACK, "U": URG, "E": ECE, "W": CWR, "A": AE, "N": AE}
ACE = (0, ECE, CWR, CWR | ECE, AE, AE | ECE, AE | CWR, AE | CWR | ECE)
"""A digit among the flags is the three bits of AccECN's counter (RFC 9768 3.2.2.1)."""
NO_FLAGS = "-"
ANY_FLAGS = -1
ECN_BITS = {"noecn": 0, "ect1": 1, "ect0": 2, "ce": 3}
IP_NUMBERS = {
    "tos": ("tos", U8),
    "tc": ("tos", U8),
    "ttl": ("ttl", U8),
    "hlim": ("ttl", U8),
    "flowlabel": ("flow_label", 0xFFFFF),
}
"""The field of each name, and its highest number."""

Head = tuple[bool, IpFields]
"""Whether the packet comes in, and what stands in brackets."""
Numbers = tuple[int | None, int | None, int | None]
"""Acknowledgement, window, urgent pointer."""
Options = tuple[Token, tuple[OptionSpec, ...] | None]


@v_args(inline=True)
class PacketRules(OptionRules):
    """A method for each rule about packets."""

    def head(self, arrow: Token, ip: list[Token | tuple[Token, Token]] | None) -> Head:
        """``<``, ``> [ect0]``."""
        inbound = arrow == "<"
        return inbound, _ip_fields(ip or [], inbound)

    def ip(self, *words: Token | tuple[Token, Token]) -> list[Token | tuple[Token, Token]]:
        """``[ect0, ttl 64]``."""
        return list(words)

    def ip_number(self, name: Token, number: Token) -> tuple[Token, Token]:
        """``tos 0x10``."""
        return name, number

    def packet(
        self,
        head: Head,
        ports: Token | None,
        flags: Token,
        sequence: Token,
        numbers: Numbers,
        options: Options | None,
        payload: Token | None,
    ) -> PacketEvent:
        """``< P. 1:1001(1000) ack 1 win 257 <nop,nop,TS val 1 ecr 2>``."""
        inbound, ip = head
        opening, listed = options or (flags, ())
        if listed is not None:
            check_options(listed, opening, inbound)
        elif inbound:
            raise Wrong(opening, "<...> is any options, and a packet that comes in needs its own")
        start, end, length, absolute = _sequence(sequence)
        source, destination = _ports(ports)
        ack, window, urgent = numbers
        return PacketEvent(
            inbound,
            TcpSpec(
                _flags(flags),
                start,
                end,
                length,
                ack,
                window,
                urgent,
                listed,
                _payload(payload, length),
                absolute,
                source,
                destination,
            ),
            ip,
        )

    def numbers(self, ack: Token | None, window: Token | None, urgent: Token | None) -> Numbers:
        """``ack 1 win 257 urg 3``."""
        return (
            None if ack is None else at_most(U32, ack, "an acknowledgement"),
            None if window is None or window.type == "STAR" else at_most(U16, window, "a window"),
            None if urgent is None else at_most(U16, urgent, "an urgent pointer"),
        )

    def icmp(self, head: Head, _: Token, name: Token, code: Token | None, mtu: Token | None, quoted: TcpSpec | None) -> PacketEvent:
        """``< icmp unreachable frag_needed mtu 1200 [1:1461(1460)]``."""
        inbound, ip = head
        limit = None if mtu is None else at_most(U32, mtu, "an MTU")
        return PacketEvent(inbound, IcmpSpec(str(name), None if code is None else str(code), limit, quoted), ip)

    def quoted(self, ports: Token | None, flags: Token | None, sequence: Token, ack: Token | None) -> TcpSpec:
        """``1:1461(1460)``, the segment that an ICMP message quotes."""
        start, end, length, absolute = _sequence(sequence)
        source, destination = _ports(ports)
        return TcpSpec(
            ANY_FLAGS if flags is None else _flags(flags),
            start,
            end,
            length,
            ack=None if ack is None else at_most(U32, ack, "an acknowledgement"),
            options=None,
            absolute_seq=absolute,
            source_port=source,
            destination_port=destination,
        )


def text_octets(word: Token) -> bytes:
    """The octets of a string in quotes.

    Raises:
        Wrong: an escape that C has not.
    """
    try:
        return literals.string(word)
    except ValueError as error:
        raise Wrong(word, str(error)) from None


def _ip_fields(words: list[Token | tuple[Token, Token]], inbound: bool) -> IpFields:
    ecn: int | None = None
    any_ect = False
    numbers: dict[str, int] = {}
    for word in words:
        if isinstance(word, tuple):
            name, value = word
            field, limit = IP_NUMBERS[name]
            numbers[field] = at_most(limit, value, name)
        elif word in ECN_BITS:
            ecn = ECN_BITS[word]
        elif inbound:
            raise Wrong(word, "ect01 leaves a choice, which only a packet that goes out has")
        else:
            any_ect = True
    return IpFields(ecn, any_ect, numbers.get("tos"), numbers.get("ttl"), numbers.get("flow_label"))


def _flags(word: Token) -> int:
    """``S.``, ``FP.``, ``SEW``, ``-``, ``5.``."""
    bits = 0
    for letter in word.removeprefix(NO_FLAGS):
        if letter in "01234567":
            bits |= ACE[int(letter)]
        elif letter in FLAG_LETTERS:
            bits |= FLAG_LETTERS[letter]
        else:
            raise Wrong(word, f"{letter!r} is no TCP flag: they are F S R P . U E W A, - for none, and 0 to 7 for AccECN's counter")
    return bits


def _ports(word: Token | None) -> tuple[int | None, int | None]:
    """``8080 > 1234``."""
    if word is None:
        return None, None
    source, destination = (int(part) for part in word.split(">"))
    if max(source, destination) > U16:
        raise Wrong(word, f"a port is at most {U16}")
    return source, destination


def _sequence(word: Token) -> tuple[int, int, int, bool]:
    """``1:1001(1000)``: start, end, length; whether the numbers are absolute (``!1:1001(1000)``)."""
    text = "".join(word.split())
    start, end, length = (int(part) for part in text.lstrip("!").rstrip(")").replace("(", ":").split(":"))
    if max(start, end) > U32:
        raise Wrong(word, f"a sequence number is at most {U32}")
    if length > U16:
        raise Wrong(word, f"a packet carries at most {U16} octets")
    if (end - start - length) & U32:
        raise Wrong(word, f"from {start} to {end} there are {(end - start) & U32} octets, not {length}")
    return start, end, length, text.startswith("!")


def _payload(word: Token | None, length: int) -> bytes | None:
    if word is None:
        return None
    data = text_octets(word)
    if len(data) != length:
        raise Wrong(word, f"the payload has {len(data)} octets, and the parentheses say {length}")
    return data
