"""The language of scripts: every construct, and what is said about everything that is none."""

import contextlib
import time
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from userstack.config import MICROSECOND, MILLISECOND, SECOND
from userstack.drill.errors import NotSupported, ScriptError
from userstack.drill.parser import SHOWN, load, parse
from userstack.drill.script import (
    Action,
    Anything,
    Base,
    Call,
    CodeBlock,
    Command,
    Event,
    Field,
    IcmpSpec,
    IpFields,
    Number,
    Operation,
    OptionSpec,
    PacketEvent,
    Script,
    Sequence,
    Structure,
    Symbol,
    SystemCall,
    TcpSpec,
    Text,
    Value,
    When,
)
from userstack.drill.symbols import LINUX
from userstack.wire.tcp import ACK, AE, CWR, ECE, FIN, PSH, RST, SYN, URG

PATH = Path("a.pkt")
ANY = Anything()


def event(text: str) -> Event:
    (only,) = parse(text, PATH).events
    return only


def action(text: str) -> Action:
    return event(f"+0 {text}").action


def call(text: str) -> SystemCall:
    found = action(text)
    assert isinstance(found, SystemCall)
    return found


def argument(text: str) -> Value:
    (only,) = call(f"f({text}) = 0").arguments
    return only


def packet(text: str) -> PacketEvent:
    found = action(text)
    assert isinstance(found, PacketEvent)
    return found


def tcp(text: str) -> TcpSpec:
    content = packet(text).content
    assert isinstance(content, TcpSpec)
    return content


def options(text: str) -> tuple[OptionSpec, ...] | None:
    return tcp(f"> . 1:1(0) ack 1 <{text}>").options


# --- the script as a whole ---

WHOLE = """
// A comment, `not a command`, "not a string"
# another one
--ip_version=ipv4 --mtu=1500
--tolerance_usecs = 10000
--dry_run
--init_scripts="a b.sh"
--mtu=1400
/* a comment * of
   several lines */
`./defaults.sh
sysctl -q net.ipv4.tcp_sack=0`
`second \\`one\\``

    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3   // behind an event
   +0 < S 0:0(0) /* within */ win 1000
 +0.5 `echo "a"`

`last`
`very last`
"""


def test_a_script_is_options_commands_events_commands() -> None:
    script = parse(WHOLE, PATH)
    assert script.path == PATH
    assert script.options == {
        "ip_version": "ipv4",
        "mtu": "1400",
        "tolerance_usecs": "10000",
        "dry_run": "",
        "init_scripts": "a b.sh",
    }
    assert script.initial == (Command("./defaults.sh\nsysctl -q net.ipv4.tcp_sack=0"), Command("second \\`one\\`"))
    assert [type(one.action) for one in script.events] == [SystemCall, PacketEvent, Command]
    assert script.events[2].action == Command('echo "a"')
    assert script.final == (Command("last"), Command("very last"))


def test_an_event_knows_its_place_and_its_text() -> None:
    events = parse(WHOLE, PATH).events
    assert [str(one.place) for one in events] == ["a.pkt:15:5", "a.pkt:16:4", "a.pkt:17:2"]
    assert events[0].text == "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3"
    assert events[1].text == "+0 < S 0:0(0) /* within */ win 1000"


def test_defines_hold_for_what_follows_and_before_those_of_the_command_line() -> None:
    text = '--define=COOKIE=a1a2\n-D KEY="b1b2"\n-DN=7\n+0 > . 1:1(0) <FO COOKIE,FO KEY,FO OTHER>'
    script = parse(text, PATH, {"KEY": "ffff", "OTHER": "c1c2"})
    assert script.defines == {"COOKIE": "a1a2", "KEY": "b1b2", "N": "7", "OTHER": "c1c2"}
    content = script.events[0].action
    assert isinstance(content, PacketEvent)
    assert isinstance(content.content, TcpSpec)
    assert content.content.options == tuple(OptionSpec(34, data=bytes.fromhex(octets)) for octets in ("a1a2", "b1b2", "c1c2"))


def test_lines_may_end_as_on_windows() -> None:
    script = parse("--mtu=1500\r\n// c\r\n0 close(3) = 0\r\n+0 %{ a = 1\r\nb = 2 }%\r\n", PATH)
    assert script.options == {"mtu": "1500"}
    assert [str(one.place) for one in script.events] == ["a.pkt:3:1", "a.pkt:4:1"]


def test_a_file_need_not_be_utf_8_and_may_say_that_it_is(tmp_path: Path) -> None:
    path = tmp_path / "latin.pkt"
    path.write_bytes(b'\xef\xbb\xbf// caf\xe9\n0 write(3, "\xe9", 1) = 1\n')
    (only,) = load(path).events
    assert isinstance(only.action, SystemCall)
    assert only.action.arguments[1] == Text(b"\xe9")


# --- times ---


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("0", When(Base.ABSOLUTE, 0)),
        ("0.000", When(Base.ABSOLUTE, 0)),
        ("1", When(Base.ABSOLUTE, SECOND)),
        (".5", When(Base.ABSOLUTE, 500 * MILLISECOND)),
        ("10.000001", When(Base.ABSOLUTE, 10 * SECOND + MICROSECOND)),
        ("+0", When(Base.RELATIVE, 0)),
        ("+.1", When(Base.RELATIVE, 100 * MILLISECOND)),
        ("+0.1", When(Base.RELATIVE, 100 * MILLISECOND)),
        ("+ 0.000000001", When(Base.RELATIVE, 1)),
        ("+0.105", When(Base.RELATIVE, 105 * MILLISECOND)),
        ("+0~+0.2", When(Base.RELATIVE, 0, 200 * MILLISECOND)),
        ("+.1 ~ +.2", When(Base.RELATIVE, 100 * MILLISECOND, 200 * MILLISECOND)),
        ("0.1~0.2", When(Base.ABSOLUTE, 100 * MILLISECOND, 200 * MILLISECOND)),
        ("*", When(Base.ANY)),
    ],
)
def test_times(text: str, when: When) -> None:
    assert event(f"{text} > . 1:1(0) ack 1").when == when


@pytest.mark.parametrize(
    ("text", "when", "end"),
    [
        ("+0...0.2", When(Base.RELATIVE, 0), 200 * MILLISECOND),
        ("+.1....2", When(Base.RELATIVE, 100 * MILLISECOND), 200 * MILLISECOND),
        ("0.1...0.2", When(Base.ABSOLUTE, 100 * MILLISECOND), 200 * MILLISECOND),
        ("+0...0", When(Base.RELATIVE, 0), 0),
        ("1 ... 2", When(Base.ABSOLUTE, SECOND), 2 * SECOND),
    ],
)
def test_blocking_calls(text: str, when: When, end: int) -> None:
    found = event(f"{text} connect(3, ..., ...) = 0")
    assert found.when == when
    assert found.action == SystemCall("connect", (Number(3), ANY, ANY), Number(0), blocking=True, end=end)


def test_a_call_without_an_end_does_not_block() -> None:
    assert call("close(3) = 0") == SystemCall("close", (Number(3),), Number(0))


# --- packets ---


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("S", SYN),
        ("S.", SYN | ACK),
        (".", ACK),
        ("F.", FIN | ACK),
        (".F", FIN | ACK),
        ("FP.", FIN | PSH | ACK),
        ("PF.", FIN | PSH | ACK),
        ("P.U", PSH | ACK | URG),
        ("R", RST),
        ("R.", RST | ACK),
        ("-", 0),
        ("SEW", SYN | ECE | CWR),
        ("SE.", SYN | ECE | ACK),
        ("W.", CWR | ACK),
        ("SEWA", SYN | ECE | CWR | AE),
        ("SEWN", SYN | ECE | CWR | AE),
        ("0.", ACK),
        ("5.", AE | ECE | ACK),
        ("P2.", PSH | CWR | ACK),
        ("7", AE | CWR | ECE),
    ],
)
def test_flags(text: str, flags: int) -> None:
    assert tcp(f"< {text} 1:1(0) ack 1 win 5").flags == flags


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1:1001(1000)", (1, 1001, 1000, False)),
        ("0:0(0)", (0, 0, 0, False)),
        ("123 : 124 ( 1 )", (123, 124, 1, False)),
        ("4294967295:4(5)", (4294967295, 4, 5, False)),
        ("!7:8(1)", (7, 8, 1, True)),
    ],
)
def test_sequence_numbers(text: str, numbers: tuple[int, int, int, bool]) -> None:
    spec = tcp(f"> P. {text} ack 1")
    assert (spec.seq, spec.end, spec.length, spec.absolute_seq) == numbers


def test_a_bare_segment_leaves_open_what_it_does_not_say() -> None:
    assert packet("> S 0:0(0)") == PacketEvent(False, TcpSpec(SYN, 0, 0, 0))
    assert packet("< S 0:0(0)") == PacketEvent(True, TcpSpec(SYN, 0, 0, 0))


def test_acknowledgement_window_and_urgent_pointer() -> None:
    spec = tcp("> .U 1:1(0) ack 4294967295 win 65535 urg 3")
    assert (spec.ack, spec.window, spec.urgent) == (4294967295, 65535, 3)
    assert tcp("> . 1:1(0) ack 1 win *").window is None
    assert tcp("> . 1:1(0) win 0").window == 0


def test_ports() -> None:
    spec = tcp("< 8080 > 1234 S 0:0(0) win 5")
    assert (spec.source_port, spec.destination_port) == (8080, 1234)
    assert tcp("> 80>65535 S 0:0(0)").destination_port == 65535


def test_payload() -> None:
    assert tcp('> P. 1:4(3) ack 1 <nop,nop,nop,nop> "a\\x00\\n"').payload == b"a\x00\n"
    assert tcp("> P. 1:4(3) ack 1").payload is None


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("[ect0]", IpFields(ecn=2)),
        ("[ect1]", IpFields(ecn=1)),
        ("[ce]", IpFields(ecn=3)),
        ("[noecn]", IpFields(ecn=0)),
        ("[ect01]", IpFields(any_ect=True)),
        ("[tos 0x10]", IpFields(tos=16)),
        ("[tc 3]", IpFields(tos=3)),
        ("[ttl 64]", IpFields(ttl=64)),
        ("[hlim 64]", IpFields(ttl=64)),
        ("(flowlabel 0x12345)", IpFields(flow_label=0x12345)),
        ("[ect0, ttl 64]", IpFields(ecn=2, ttl=64)),
        ("(ect0 tos 4)", IpFields(ecn=2, tos=4)),
    ],
)
def test_ip_fields(text: str, fields: IpFields) -> None:
    assert packet(f"> {text} . 1:1(0) ack 1").ip == fields


MD5 = "000102030405060708090a0b0c0d0e0f"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mss 1460", [OptionSpec(2, (1460,))]),
        ("wscale 7,nop", [OptionSpec(3, (7,)), OptionSpec(1)]),
        ("sackOK,nop,eol", [OptionSpec(4), OptionSpec(1), OptionSpec(0)]),
        ("nop,nop,sack 1:2", [OptionSpec(1), OptionSpec(1), OptionSpec(5, (1, 2))]),
        ("nop,nop,sack 5:6 1:2 3 : 4", [OptionSpec(1), OptionSpec(1), OptionSpec(5, (5, 6, 1, 2, 3, 4))]),
        ("nop, nop, TS val 100 ecr 4294967295", [OptionSpec(1), OptionSpec(1), OptionSpec(8, (100, 4294967295))]),
        ("nop,nop,TS val * ecr ...", [OptionSpec(1), OptionSpec(1), OptionSpec(8, (None, None))]),
        ("FO,nop,nop", [OptionSpec(34, data=b""), OptionSpec(1), OptionSpec(1)]),
        ("FO abcd1234,nop,nop", [OptionSpec(34, data=b"\xab\xcd\x12\x34"), OptionSpec(1), OptionSpec(1)]),
        ("FO 12345678,nop,nop", [OptionSpec(34, data=b"\x12\x34\x56\x78"), OptionSpec(1), OptionSpec(1)]),
        ("FOEXP", [OptionSpec(254, data=b"\xf9\x89")]),
        ("FOEXP aabbccdd", [OptionSpec(254, data=b"\xf9\x89\xaa\xbb\xcc\xdd")]),
        ("exp 0xe2d4", [OptionSpec(254, data=b"\xe2\xd4")]),
        (f"md5 {MD5},nop,nop", [OptionSpec(19, data=bytes(range(16))), OptionSpec(1), OptionSpec(1)]),
        ("99,nop,nop", [OptionSpec(99, data=b""), OptionSpec(1), OptionSpec(1)]),
        ("253 0x0102", [OptionSpec(253, data=b"\x01\x02")]),
        ("253 [0x01, 2]", [OptionSpec(253, data=b"\x01\x02")]),
        ("ECN e0b 1 ceb 2 e1b 3,nop", [OptionSpec(172, data=bytes([0, 0, 1, 0, 0, 2, 0, 0, 3])), OptionSpec(1)]),
        ("ECN e1b 1 ceb 258,nop,nop,nop,nop", [OptionSpec(174, data=bytes([0, 0, 1, 0, 1, 2])), *[OptionSpec(1)] * 4]),
        ("ECN,nop,nop", [OptionSpec(174, data=b""), OptionSpec(1), OptionSpec(1)]),
    ],
)
def test_tcp_options(text: str, expected: list[OptionSpec]) -> None:
    assert options(text) == tuple(expected)


def test_any_options_and_none() -> None:
    assert options("...") is None
    assert options("") == ()
    assert tcp("> . 1:1(0) ack 1").options == ()


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("icmp source_quench", IcmpSpec("source_quench", None)),
        ("icmp unreachable host_unreachable", IcmpSpec("unreachable", "host_unreachable")),
        (
            "icmp unreachable frag_needed mtu 1200 [1:1461(1460)]",
            IcmpSpec("unreachable", "frag_needed", 1200, TcpSpec(-1, 1, 1461, 1460, options=None)),
        ),
        (
            "icmpv6 packet_too_big mtu 1280 [80 > 81 S. 0:0(0) ack 1]",
            IcmpSpec(
                "packet_too_big",
                None,
                1280,
                TcpSpec(SYN | ACK, 0, 0, 0, 1, options=None, source_port=80, destination_port=81),
            ),
        ),
    ],
)
def test_icmp(text: str, content: IcmpSpec) -> None:
    assert packet(f"< [ect0] {text}") == PacketEvent(True, content, IpFields(ecn=2))
    assert packet(f"> {text}") == PacketEvent(False, content)


def test_after_the_type_of_an_icmp_message_the_next_event_may_begin_with_its_time() -> None:
    events = parse("0 < icmp source_quench\n0.1 close(3) = 0", PATH).events
    assert [one.when.start for one in events] == [0, 100 * MILLISECOND]


# --- calls ---


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", Number(0)),
        ("-1", Number(-1)),
        ("0x2F", Number(0x2F)),
        ("010", Number(10)),
        ("0.5", Number(0.5)),
        ("-.5", Number(-0.5)),
        ("...", ANY),
        ("SOCK_STREAM", Symbol("SOCK_STREAM")),
        ("NULL", Symbol("NULL")),
        ('""', Text(b"")),
        (r'"a\"b\\c\n\t\r\0\x41\101"', Text(b'a"b\\c\n\t\r\x00AA')),
        ('"é"', Text("é".encode())),
        ('"ab"...', Text(b"ab")),
        ("[1]", Sequence((Number(1),))),
        ("[]", Sequence(())),
        ("[1, [2, 3]]", Sequence((Number(1), Sequence((Number(2), Number(3)))))),
        ("{}", Structure(())),
        ("{..., 1000}", Structure((Field(None, ANY), Field(None, Number(1000))))),
        ("{fd=3, events=POLLIN}", Structure((Field("fd", Number(3)), Field("events", Symbol("POLLIN"))))),
        ("{onoff = 1, linger = 0}", Structure((Field("onoff", Number(1)), Field("linger", Number(0))))),
        ("{msg_iov(1)=[...]}", Structure((Field("msg_iov", Sequence((ANY,)), Number(1)),))),
        ("{msg_name(...)=..., ...}", Structure((Field("msg_name", ANY, ANY), Field(None, ANY)))),
        ("{htons(1), 2}", Structure((Field(None, Call("htons", (Number(1),))), Field(None, Number(2))))),
        ("htons(8080)", Call("htons", (Number(8080),))),
        ('inet_addr("192.0.2.1")', Call("inet_addr", (Text(b"192.0.2.1"),))),
        ("sizeof(int)", Call("sizeof", (Symbol("int"),))),
        ("f()", Call("f", ())),
        ("A|B", Operation("|", (Symbol("A"), Symbol("B")))),
        ("A | B | 1", Operation("|", (Operation("|", (Symbol("A"), Symbol("B"))), Number(1)))),
        ("~A", Operation("~", (Symbol("A"),))),
        ("1 << 3", Operation("<<", (Number(1), Number(3)))),
        (
            "1|2&3<<4",
            Operation("|", (Number(1), Operation("&", (Number(2), Operation("<<", (Number(3), Number(4))))))),
        ),
        ("(1|2)&3", Operation("&", (Operation("|", (Number(1), Number(2))), Number(3)))),
    ],
)
def test_values(text: str, value: Value) -> None:
    assert argument(text) == value


@pytest.mark.parametrize(
    ("text", "result", "errno"),
    [
        ("f() = 3", Number(3), None),
        ("f() = ...", ANY, None),
        ("f() = -1 EAGAIN (Resource temporarily unavailable)", Number(-1), "EAGAIN"),
        ("f() = -1 EPIPE", Number(-1), "EPIPE"),
        ("f()=-1 EINVAL (Invalid (and\nmore))", Number(-1), "EINVAL"),
        ("f() = 0x2 (flags O_RDWR)", Number(2), None),
        ("f() = O_RDWR|O_NONBLOCK (flags)", Operation("|", (Symbol("O_RDWR"), Symbol("O_NONBLOCK"))), None),
    ],
)
def test_results(text: str, result: Value, errno: str | None) -> None:
    found = call(text)
    assert (found.result, found.errno) == (result, errno)


def test_a_call_over_several_lines() -> None:
    found = call(
        """recvmsg(3, {msg_name(...)=...,
                       msg_iov(2)=[{..., 1000}, // the first
                                   {..., 24}],
                       msg_flags=0,
                       msg_control=[{cmsg_level=SOL_TCP,
                                     cmsg_type=TCP_CM_INQ,
                                     cmsg_data=9000}]}, MSG_PEEK|MSG_DONTWAIT) = 1024"""
    )
    message = found.arguments[1]
    assert isinstance(message, Structure)
    assert [field.name for field in message.fields] == ["msg_name", "msg_iov", "msg_flags", "msg_control"]
    assert [field.count for field in message.fields] == [ANY, Number(2), None, None]
    control = message.get("msg_control")
    assert isinstance(control, Sequence)
    assert control.items[0] == Structure(
        (Field("cmsg_level", Symbol("SOL_TCP")), Field("cmsg_type", Symbol("TCP_CM_INQ")), Field("cmsg_data", Number(9000)))
    )
    assert message.get("nothing") is None


# --- code blocks ---


@pytest.mark.parametrize(
    ("block", "source"),
    [
        ("%{ assert x == 1, x }%", "assert x == 1, x"),
        ("%{}%", ""),
        ("%{\nassert x\nassert y\n}%", "assert x\nassert y"),
        ("%{\n   if x:\n     y = {1: {2}}\n   z = 1\n}%", "if x:\n  y = {1: {2}}\nz = 1"),
        ("%{ assert x\n      assert y }%", "assert x\nassert y"),
        ("%{ assert x\nassert y }%", "assert x\nassert y"),
        ("%{ if x:\n    y = 1\n}%", "if x:\n    y = 1"),
        ("%{ if x:\n        y = 1\n}%", "if x:\n  y = 1"),
        ("%{ if x:\ny = 1\nz = 1\n}%", "if x:\n    y = 1\n    z = 1"),
    ],
)
def test_code_blocks_lose_the_indentation_in_common(block: str, source: str) -> None:
    assert action(block) == CodeBlock(source)


def test_code_that_is_no_python_is_left_as_it_stands() -> None:
    assert action("%{ if x\n      y ( }%") == CodeBlock("if x\ny (")


# --- what is not TCP's ---


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("< udp (1000)", "UDP packets"),
        ("> [ect0] udplite (1000)", "UDP-Lite packets"),
        ("< sctp: INIT[flgs=0, tag=1, a_rwnd=1500, os=1, is=1, tsn=1, ...]", "SCTP packets"),
        ("< gre: ipv4 192.0.2.1 > 192.0.2.2: . 1:1(0) ack 1 win 5", "GRE packets"),
        ("> mpls (label 0, tc 0, [S], ttl 0): . 1:1(0) ack 1", "MPLS packets"),
        ("> ipv4 192.0.2.1 > 192.0.2.2: . 1:1(0) ack 1", "packets in IPv4 packets"),
        ("> ipv6 ::1 > ::2: . 1:1(0) ack 1", "packets in IPv6 packets"),
        ("> raw (40)", "raw IP packets"),
        ("< S 0:0(0) win 65535 <mss 1460> / udp(9899 > 9899)", "TCP in UDP packets"),
        ("< icmp unreachable port_unreachable [udp (8)]", "UDP packets"),
        ("> S 0:0(0) <mss 1460, mp_capable v1 flags[flag_h] nokey>", "the options of MPTCP"),
        ("> . 1:1(0) ack 1 <dss dack4=3 nocs, nop, nop>", "the options of MPTCP"),
        ("> S 0:0(0) <TARR 3,nop>", "the TCP option TARR"),
        ("> S 0:0(0) <FO TFO_COOKIE>", "the octets of TFO_COOKIE, which no -D defines"),
    ],
)
def test_what_is_not_ours_is_told_apart_from_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(NotSupported) as caught:
        parse(f"0 close(3) = 0\n +0 {text}\n+0 this is not read any more = {{\n" if "udp" in text else f"\n +0 {text}\n", PATH)
    assert caught.value.reason == reason
    assert caught.value.place is not None
    assert caught.value.place.line == 2


# --- what is wrong ---

WRONG = [
    ("", 1, 1, "expected an option like --ip_version=ipv4, a command in backquotes or a time"),
    ("// nothing\n`a`\n", 2, 4, "a time like 0.1, +0.1 or *, not the end of the script"),
    ("close(3) = 0", 1, 1, "a time like 0.1, +0.1 or *, not 'close'"),
    ("0 close(3) = 0\n+x close(3) = 0", 2, 1, "a time like 0.1, +0.1 or *, an errno like EAGAIN, a note in parentheses, "),
    ("-1 close(3) = 0", 1, 1, "not '-'"),
    ("0", 1, 2, "a packet (< or >)"),
    ("0 socket(..., SOCK_STREAM IPPROTO_TCP) = 3", 1, 27, "expected an operator, '(', ')' or ',', not 'IPPROTO_TCP'"),
    ("0 close(3", 1, 10, "not the end of the script"),
    ("0 close(3)\n+0 close(4) = 0", 2, 1, "expected '=', not '+'"),
    ("0 close(3) = ", 1, 13, "expected ..., a number or a name, not the end of the script"),
    ("0 close(3) == 0", 1, 13, "expected ..., a number or a name, not '='"),
    ("0 close(3,) = 0", 1, 11, "expected a value, not ')'"),
    ("0 close(3) = -1 eagain", 1, 17, "an errno like EAGAIN"),
    ("0 f([1, 2) = 0", 1, 10, "']'"),
    ("0 f({fd=}) = 0", 1, 9, "a value"),
    ('0 write(3, "abc, 2) = 2', 1, 12, "this string has no end"),
    ('0 write(3, "a\\q", 2) = 2', 1, 12, "C knows no escape \\q"),
    ('0 write(3, "a\\777", 2) = 2', 1, 12, "\\777 is no octet"),
    ("0 `abc", 1, 3, "this command has no end"),
    ("0 %{ abc", 1, 3, "this code block has no end (}%)"),
    ("/* abc", 1, 1, "this comment has no end (*/)"),
    ("* close(3) = 0", 1, 1, "only a packet that goes out can have a range of times or *"),
    ("+0~+1 close(3) = 0", 1, 1, "only a packet that goes out can have a range of times or *"),
    ("+0~+1 < . 1:1(0) ack 1 win 5", 1, 1, "only a packet that goes out can have a range of times or *"),
    ("* %{ x }%", 1, 1, "only a packet that goes out can have a range of times or *"),
    ("+0~1 > . 1:1(0) ack 1", 1, 1, "both ends of a range"),
    ("+1~+0 > . 1:1(0) ack 1", 1, 1, "the range ends before it begins"),
    ("0.2...0.1 close(3) = 0", 1, 4, "the call ends before it begins"),
    ("+0... close(3) = 0", 1, 3, "expected"),
    ("+0...1 > . 1:1(0)", 1, 8, "expected a name, not '>'"),
    ("+0 X 0:0(0)", 1, 6, "expected '(', not '0'"),
    ("+0 > X 0:0(0)", 1, 6, "'X' is no TCP flag"),
    ("+0 > 8. 0:0(0)", 1, 6, "'8' is no TCP flag"),
    ("+0 > S", 1, 7, "sequence numbers like 1:1001(1000), not the end of the script"),
    ("+0 > S 0:0(0 ack 1", 1, 8, "sequence numbers like 1:1001(1000), not '0'"),
    ("+0 > P. 1:1001(999) ack 1", 1, 9, "from 1 to 1001 there are 1000 octets, not 999"),
    ("+0 > P. 1:65537(65536) ack 1", 1, 9, "a packet carries at most 65535 octets"),
    ("+0 > P. 1:4294967296(0) ack 1", 1, 9, "a sequence number is at most 4294967295"),
    ("+0 > . 1:1(0) ack x", 1, 19, "a number that is not negative, not 'x'"),
    ("+0 > . 1:1(0) ack -1", 1, 19, "a number that is not negative, not '-'"),
    ("+0 > . 1:1(0) ack 4294967296", 1, 19, "an acknowledgement is at most 4294967295"),
    ("+0 > . 1:1(0) win 65536", 1, 19, "a window is at most 65535"),
    ("+0 > . 1:1(0) urg 65536", 1, 19, "an urgent pointer is at most 65535"),
    ("+0 > . 1:1(0) win 5 ack 1", 1, 21, "not 'ack'"),
    ("+0 > 65536 > 1 . 1:1(0)", 1, 6, "a port is at most 65535"),
    ('+0 > P. 1:3(2) ack 1 "abc"', 1, 22, "the payload has 3 octets, and the parentheses say 2"),
    ("+0 > [ect2] . 1:1(0)", 1, 7, "expected ect0, ect1, ect01, ce or noecn or tos, ttl or flowlabel"),
    ("+0 > [ttl 256] . 1:1(0)", 1, 11, "ttl is at most 255"),
    ("+0 < [ect01] . 1:1(0) ack 1 win 5", 1, 7, "ect01 leaves a choice"),
    ("+0 > . 1:1(0) <mss 1460", 1, 24, "expected ',' or '>', not the end of the script"),
    ("+0 > . 1:1(0) <mss 1460 nop>", 1, 25, "expected ',' or '>', not 'nop'"),
    ("+0 > . 1:1(0) <mss>", 1, 19, "a number that is not negative, *"),
    ("+0 > . 1:1(0) <foo 3>", 1, 16, "expected a TCP option (mss, wscale"),
    ("+0 > . 1:1(0) <udp 3>", 1, 16, "a TCP option (mss, wscale"),
    ("+0 > . 1:1(0) <mss 65536>", 1, 20, "an MSS is at most 65535"),
    ("+0 > . 1:1(0) <nop,wscale 256>", 1, 27, "a window scale is at most 255"),
    ("+0 > . 1:1(0) <nop,nop,TS val 4294967296 ecr 0>", 1, 31, "a timestamp is at most 4294967295"),
    ("+0 > . 1:1(0) <nop,nop,sack>", 1, 28, "a block like 1001:2001, not '>'"),
    ("+0 > . 1:1(0) <nop,nop,sack 1:4294967296>", 1, 29, "a sequence number is at most 4294967295"),
    ("+0 > . 1:1(0) <FO abc>", 1, 19, "two hexadecimal digits each"),
    ("+0 > . 1:1(0) <99 [1, 256]>", 1, 19, "numbers from 0 to 255"),
    ("+0 > . 1:1(0) <256 00>", 1, 16, "the kind of an option is at most 255"),
    ("+0 > . 1:1(0) <ECN ceb 1 e0b 1>", 1, 20, "in the order e0b ceb e1b or e1b ceb e0b"),
    ("+0 > . 1:1(0) <sackOK>", 1, 15, "the options take 2 octets, which nop or eol must pad to a multiple of 4"),
    ("+0 > . 1:1(0) <nop,nop,sack 1:2 3:4 5:6 7:8 9:10>", 1, 15, "the options take 44 octets"),
    ("+0 < . 1:1(0) win 5 <...>", 1, 21, "a packet that comes in needs its own"),
    ("+0 < . 1:1(0) win 5 <mss *>", 1, 21, "an option of a packet that comes in needs its numbers"),
    ("+0 < icmp", 1, 10, "a name of ICMP"),
    ("+0 < icmp unreachable mtu", 1, 26, "a number that is not negative"),
    ("+0 < icmp unreachable [1:1(0)", 1, 30, "']'"),
    ("--ip_version=ipv4\n--mtu\n\tx", 3, 2, "not 'x'"),
    ("0 close(3) = 0\n--mtu=1500", 2, 1, "not '-'"),
]


@pytest.mark.parametrize(("text", "line", "column", "words"), WRONG, ids=[one[0].replace("\n", "/") or "empty" for one in WRONG])
def test_errors_say_where_and_what_was_expected(text: str, line: int, column: int, words: str) -> None:
    with pytest.raises(ScriptError) as caught:
        parse(text, PATH)
    first, *below = str(caught.value).split("\n")
    assert first.startswith(f"a.pkt:{line}:{column}: ")
    assert words in first
    source = text.split("\n")[line - 1]
    if source:
        assert below == [f"  {source}", f"  {''.join(char if char == chr(9) else ' ' for char in source[: column - 1])}^"]


def test_values_nested_without_end_are_an_error_like_others() -> None:
    with pytest.raises(ScriptError, match="nested too deeply"):
        parse(f"0 f({'[' * 10_000}{']' * 10_000}) = 0", PATH)


WORDS = (
    *("0", "+0", "+.1", "*", "~", "...", "0.2", "<", ">", "[", "]", "(", ")", "{", "}", ",", "=", "|", "&", "~", "<<", "/", "//"),
    *("/*", "*/", "#", '"', "`", "%{", "}%", "\n", "\t", "\\", "\0", "é", "-1", "0x1F", "65536", "1:1(0)", "1:11(10)", "--a=b"),
    *("S", ".", "P.", "-", "F.", "ack", "win", "urg", "1", "mss", "nop", "eol", "sackOK", "sack", "TS", "val", "ecr", "FO", "md5"),
    *("exp", "ECN", "99", "<...>", "udp", "sctp", "icmp", "unreachable", "mtu", "ect0", "ttl", "socket", "EAGAIN", "-D", "X=1"),
)


@given(st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join))
def test_nothing_else_ever_comes_of_any_text(text: str) -> None:
    with contextlib.suppress(ScriptError, NotSupported):
        parse(text, PATH)


@given(st.data())
def test_nor_of_a_script_with_a_piece_cut_out(data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(WHOLE)))
    end = data.draw(st.integers(begin, len(WHOLE)))
    with contextlib.suppress(ScriptError, NotSupported):
        parse(WHOLE[:begin] + WHOLE[end:], PATH)


# --- constants, data, speed ---


def test_constants_of_linux_and_freebsd() -> None:
    assert LINUX["SOCK_STREAM"] == 1
    assert LINUX["SOL_TCP"] == LINUX["IPPROTO_TCP"] == 6
    assert LINUX["O_NONBLOCK"] == 0o4000
    assert LINUX["TCPS_ESTABLISHED"] == LINUX["TCP_ESTABLISHED"]
    assert LINUX["TCP_NOPUSH"] == LINUX["TCP_CORK"]
    assert "NONSENSE" not in LINUX


def test_what_only_freebsd_has_is_never_taken_for_something_of_linux() -> None:
    """FreeBSD's TCP_KEEPINIT has a number that is another option of Linux."""
    foreign = {name: number for name, number in LINUX.items() if number >= 1 << 40}
    assert {"TCP_KEEPINIT", "TCP_FUNCTION_BLK", "SO_NOSIGPIPE", "EVFILT_READ"} <= foreign.keys()
    assert len(set(foreign.values())) == len(foreign)


def test_the_grammar_is_part_of_the_package() -> None:
    assert resources.files("userstack.drill").joinpath("grammar.lark").is_file()


def test_a_hundred_lines_are_read_at_once() -> None:
    """Hundreds of scripts are read in one go; the bound is far above what it takes, and far below what a slow grammar would."""
    lines = ["0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3", "+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0"]
    lines += ["+.1 < . 1:1(0) ack 1 win 257 <nop,nop,TS val 200 ecr 700,nop,nop,sack 1001:2001 3001:4001>"] * 49
    lines += ["+0 > P. 1:1001(1000) ack 1 <nop,nop,TS val 200 ecr 700>"] * 49
    text = "\n".join(lines)
    script: Script = parse(text, PATH)
    taken = []
    for _ in range(3):  # for the machine may do other work too
        begin = time.process_time()
        parse(text, PATH)
        taken.append(time.process_time() - begin)
    assert min(taken) < 0.1
    assert len(script.events) == 100


def test_of_a_line_without_end_the_part_is_shown_that_matters() -> None:
    with pytest.raises(ScriptError) as caught:
        parse("+0 close(3) = 0 \x1b[2J" + "x" * 5000 + "\n", Path("long.pkt"))
    _, line, caret = caught.value.message.split("\n")
    assert len(line) <= 2 + SHOWN
    assert line.startswith("  +0 close(3) = 0 \ufffd[2Jxxx")
    assert caret == " " * 18 + "^"
    with pytest.raises(ScriptError) as caught:
        parse("+0 close(3) = 0 /*" + "x" * 5000 + "*/ y\n", Path("long.pkt"))
    _, line, caret = caught.value.message.split("\n")
    assert line[len(caret) - 1] == "y"
