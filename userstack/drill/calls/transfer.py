"""read, readv, recv, recvfrom, recvmsg, write, writev, send, sendto, sendmsg."""

import errno
import socket
from dataclasses import dataclass

from userstack.drill.calls import fastopen
from userstack.drill.calls.context import Attempt, Context, Descriptor, Done, Wait, allowed, arguments, failure, listed
from userstack.drill.compare import Field
from userstack.drill.errors import NotSupported
from userstack.drill.flow import filler
from userstack.drill.script import Anything, Number, Sequence, Structure, Symbol, SystemCall, Text, Value
from userstack.drill.values import BadArgument, describe, is_anything, items
from userstack.sim.transfer import MSG_FASTOPEN

SEND_FLAGS = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL | socket.MSG_MORE | socket.MSG_OOB | MSG_FASTOPEN
RECEIVE_FLAGS = socket.MSG_DONTWAIT | socket.MSG_PEEK | socket.MSG_WAITALL | socket.MSG_TRUNC | socket.MSG_OOB
LARGEST_BUFFER = 1 << 28
"""Octets: what a script writes is made, and kept to be compared with what leaves."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A buffer of a call: its length, and what is or has to be in it, where the script says so."""

    size: int
    text: bytes | None
    null: bool = False
    """It is nowhere: the call fails once it touches it."""


# --- sending ---


def write(context: Context, call: SystemCall) -> Attempt:
    """``write(4, ..., 1000) = 1000``."""
    number, buffer, count = arguments(call, 3)
    return _sending(context, context.socket(number), [_piece(context, buffer, count)], 0)


def writev(context: Context, call: SystemCall) -> Attempt:
    """``writev(4, [{..., 100}, {..., 200}], 2) = 300``."""
    number, vector, count = arguments(call, 3)
    return _sending(context, context.socket(number), _pieces(context, vector, count), 0)


def send(context: Context, call: SystemCall) -> Attempt:
    """``send(4, ..., 1000, 0) = 1000``; ``sendto`` has an address and its length besides, which only MSG_FASTOPEN looks at."""
    number, buffer, count, flags, *name = arguments(call, *((6, 6) if call.name == "sendto" else (4, 4)))
    taken = allowed(context, flags, SEND_FLAGS)
    pieces = [_piece(context, buffer, count)]
    return _sending(context, context.socket(number), pieces, taken, name[0] if name else fastopen.NOWHERE)


def sendmsg(context: Context, call: SystemCall) -> Attempt:
    """``sendmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 1000}], msg_flags=0}, 0) = 1000``."""
    number, header, flags = arguments(call, 3)
    taken = allowed(context, flags, SEND_FLAGS)
    name = header.get("msg_name") if isinstance(header, Structure) else None
    return _sending(context, context.socket(number), _message(context, header), taken, name or fastopen.NOWHERE)


def _sending(context: Context, descriptor: Descriptor, pieces: list[Piece], flags: int, name: Value = fastopen.NOWHERE) -> Attempt:
    """Octets that the script does not give continue the filler, so that what leaves can be told from what does not."""
    flow = descriptor.flow
    data = b""
    for piece in pieces:
        offset = len(data) + (len(flow.written) if flow else 0)
        data += filler(offset, piece.size) if piece.text is None else piece.text[: piece.size].ljust(piece.size, b"\0")
    at_once = not descriptor.blocking or bool(flags & socket.MSG_DONTWAIT)
    null = any(piece.null for piece in pieces)
    if flags & MSG_FASTOPEN:
        return fastopen.sending(
            context, descriptor, data, name, at_once=at_once, rest=lambda more: _writing(descriptor, more, 0, at_once=False)
        )
    writing = _writing(descriptor, data, flags & (socket.MSG_MORE | socket.MSG_OOB), at_once=at_once, null=null)
    return writing if at_once else fastopen.until_connected(descriptor, writing)


def _writing(descriptor: Descriptor, data: bytes, flags: int, *, at_once: bool, null: bool = False) -> Attempt:
    """Write all of it, or, ``at_once``, what there is room for; ``null``: some of it is nowhere."""
    flow = descriptor.flow
    taken = 0

    def attempt() -> Done:
        nonlocal taken
        if null:
            raise failure(errno.EFAULT)
        while True:
            try:
                now = descriptor.socket.send(data[taken:], flags)
            except OSError as error:
                waits = isinstance(error, BlockingIOError) and not at_once
                if flow is not None:
                    flow.writing = waits
                if waits:
                    raise Wait from None
                if taken:
                    return Done(taken)
                raise
            if flow is not None:
                flow.written += data[taken : taken + now]
                flow.writing = False
            taken += now
            if taken == len(data) or at_once:
                return Done(taken)

    return attempt


# --- receiving ---


def read(context: Context, call: SystemCall) -> Attempt:
    """``read(4, ..., 1000) = 1000``; a string instead of ``...`` must be what is read."""
    number, buffer, count = arguments(call, 3)
    return _receiving(context.socket(number), [_piece(context, buffer, count)], 0)


def readv(context: Context, call: SystemCall) -> Attempt:
    """``readv(4, [{..., 100}, {..., 200}], 2) = 300``."""
    number, vector, count = arguments(call, 3)
    return _receiving(context.socket(number), _pieces(context, vector, count), 0)


def recv(context: Context, call: SystemCall) -> Attempt:
    """``recv(4, ..., 1000, MSG_PEEK) = 1000``; ``recvfrom`` has an address and its length besides."""
    number, buffer, count, flags, *_ = arguments(call, *((6, 6) if call.name == "recvfrom" else (4, 4)))
    taken = allowed(context, flags, RECEIVE_FLAGS)
    return _receiving(context.socket(number), [_piece(context, buffer, count)], taken)


def recvmsg(context: Context, call: SystemCall) -> Attempt:
    """``recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 1000}], msg_flags=0}, 0) = 1000``."""
    number, header, flags = arguments(call, 3)
    taken = allowed(context, flags, RECEIVE_FLAGS)
    pieces = _message(context, header)
    expected = header.get("msg_flags") if isinstance(header, Structure) else None
    differences: tuple[Field, ...] = ()
    told = taken & socket.MSG_OOB
    if expected is not None and not is_anything(expected) and context.reader.number(expected) != told:
        differences = (Field("msg_flags", describe(expected), str(told)),)
    inner = _receiving(context.socket(number), pieces, taken)

    def attempt() -> Done:
        done = inner()
        return Done(done.value, done.differences + differences)

    return attempt


def _receiving(descriptor: Descriptor, pieces: list[Piece], flags: int) -> Attempt:
    size = sum(piece.size for piece in pieces)
    # As in Linux, to read out of band never waits.
    at_once = not descriptor.blocking or bool(flags & (socket.MSG_DONTWAIT | socket.MSG_OOB))
    apart = flags & (socket.MSG_PEEK | socket.MSG_OOB)
    data = b""

    def attempt() -> Done:
        nonlocal data
        null = any(piece.null for piece in pieces)
        while True:
            try:
                part = descriptor.socket.recv(size - len(data), socket.MSG_PEEK if null else apart)
            except OSError as error:
                if isinstance(error, BlockingIOError) and not at_once:
                    raise Wait from None
                if data:
                    break
                raise
            data += part
            if part and null:
                raise failure(errno.EFAULT)
            patient = flags & socket.MSG_WAITALL and not descriptor.socket.sockatmark()
            if not part or len(data) == size or apart or not patient:
                break
        return Done(len(data), _check(descriptor, pieces, data, apart=bool(apart)))

    return attempt


def _check(descriptor: Descriptor, pieces: list[Piece], data: bytes, *, apart: bool) -> tuple[Field, ...]:
    """What was read against the strings of the script and, where it gives none, against what came in.

    ``apart``: it was only looked at, or is no part of the stream.
    """
    flow = descriptor.flow
    offset = 0 if flow is None else flow.read
    found, at = [], 0
    for piece in pieces:
        got = data[at : at + piece.size]
        wanted = got if flow is None or not flow.plain else filler(offset + at, len(got))
        if piece.text is not None:
            wanted = piece.text[: piece.size]
            # A string may be shorter than the buffer, of which nothing more is said then.
            got = got[: len(wanted)]
        if got != wanted:
            found.append(Field("octets read", repr(wanted[:40]), repr(got[:40])))
        at += piece.size
    if flow is not None and not apart:
        flow.read += len(data)
    return tuple(found)


# --- buffers ---


def _piece(context: Context, buffer: Value, count: Value) -> Piece:
    size = context.reader.number(count)
    if not 0 <= size <= LARGEST_BUFFER:
        raise BadArgument(f"a buffer of {size} octets")
    text = buffer.items[0] if isinstance(buffer, Sequence) and len(buffer.items) == 1 else buffer
    null = size > 0 and isinstance(text, Symbol | Number) and not context.reader.number(text)
    return Piece(size, text.value if isinstance(text, Text) else None, null)


def _pieces(context: Context, vector: Value, count: Value) -> list[Piece]:
    """``[{..., 100}, {"abc", 3}]``; members may have the names ``iov_base`` and ``iov_len``."""
    found = []
    for item in listed(context, vector, count):
        if not isinstance(item, Structure) or len(item.fields) != 2:
            raise BadArgument(f"{describe(item)} is no buffer with its length")
        found.append(_piece(context, item.fields[0].value, item.fields[1].value))
    return found


def _message(context: Context, header: Value) -> list[Piece]:
    """The buffers of a message header; control messages there are none.

    Raises:
        NotSupported: the script has some.
    """
    if not isinstance(header, Structure):
        raise BadArgument(f"{describe(header)} is no message header")
    control = header.get("msg_control")
    if control is not None and not is_anything(control) and items(control):
        raise NotSupported("control messages of sendmsg and recvmsg")
    vector = next((one for one in header.fields if one.name == "msg_iov"), None)
    if vector is None:
        raise BadArgument("a message header has a msg_iov")
    return _pieces(context, vector.value, vector.count or Anything())
