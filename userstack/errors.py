"""Errors by whose fault they are; each is also the ``OSError`` subclass, with the errno, that the kernel's sockets give.

``CallerError``: the program asked for what cannot be. ``PeerError``: the other end refused or reset. ``NetworkError``: what lies
between did not carry it. ``SetupError``: the machine is not ready; its text names the mend.
"""

import errno
import os


class UserstackError(OSError):
    """The root of every error that userstack raises on purpose."""

    def __reduce__(self) -> tuple[object, ...]:
        # OSError's own would call the class with the errno and the text, which the constructors here do not take.
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[UserstackError], arguments: tuple[object, ...], attributes: dict[str, object]) -> UserstackError:
    """The same error, come from another process."""
    error = kind.__new__(kind, *arguments)
    OSError.__init__(error, *arguments)
    error.__dict__.update(attributes)
    return error


class CallerError(UserstackError):
    """The program's fault."""


class PeerError(UserstackError):
    """The other end's doing."""


class NetworkError(UserstackError):
    """The network's doing."""


class SetupError(CallerError):
    """The machine is not ready: a privilege, a device or a tool is missing. The text is one line and names the mend."""

    def __init__(self, message: str, number: int = errno.EPERM) -> None:
        super().__init__(number, message)

    def __str__(self) -> str:
        return str(self.strerror)


class _Numbered(UserstackError):
    """An error whose class fixes its errno."""

    number = 0

    def __init__(self, message: str | None = None) -> None:
        super().__init__(self.number, message or os.strerror(self.number))


class ConnectionRefused(_Numbered, PeerError, ConnectionRefusedError):
    """RFC 9293 3.10.7.3: a RST answered our SYN."""

    number = errno.ECONNREFUSED


class ConnectionReset(_Numbered, PeerError, ConnectionResetError):
    """RFC 9293 3.10.7.4 step 2: the peer aborted the connection (MUST-12: told apart from a FIN)."""

    number = errno.ECONNRESET


class ConnectionAborted(_Numbered, CallerError, ConnectionAbortedError):
    """RFC 9293 3.10.4 "closing": this end closed before the connection was established."""

    number = errno.ECONNABORTED


class ConnectionTimedOut(_Numbered, NetworkError, TimeoutError):
    """RFC 9293 3.10.8 and 3.8.3: the user timeout passed, or R2 was reached."""

    number = errno.ETIMEDOUT


class BrokenPipe(_Numbered, CallerError, BrokenPipeError):
    """RFC 9293 3.10.2 "connection closing": SEND after this end has closed, or after the connection died."""

    number = errno.EPIPE


class NotConnected(_Numbered, CallerError):
    """RFC 9293 3.10: "connection does not exist"."""

    number = errno.ENOTCONN


class AlreadyConnected(_Numbered, CallerError):
    """RFC 9293 3.10.1: "connection already exists"."""

    number = errno.EISCONN


class DestinationRequired(_Numbered, CallerError):
    """RFC 9293 3.10.1: "remote socket unspecified"."""

    number = errno.EDESTADDRREQ


class AddressInUse(_Numbered, CallerError):
    """The port, or the pair of sockets, is taken; TIME-WAIT counts unless SO_REUSEADDR is set."""

    number = errno.EADDRINUSE


class AddressNotAvailable(_Numbered, CallerError):
    """The local address is not this host's, or no ephemeral port is free."""

    number = errno.EADDRNOTAVAIL


class InvalidArgument(_Numbered, CallerError):
    """A value that cannot be."""

    number = errno.EINVAL


class NoBufferSpace(_Numbered, CallerError):
    """RFC 9293 3.10: "insufficient resources": a limit of the configuration was reached."""

    number = errno.ENOBUFS


class OutOfMemory(_Numbered, CallerError):
    """A limit of the configuration was reached that is one of memory in Linux."""

    number = errno.ENOMEM


class NoSuchKey(_Numbered, CallerError, FileNotFoundError):
    """A key for signatures (RFC 2385) that was never set."""

    number = errno.ENOENT


class NetworkUnreachable(_Numbered, NetworkError):
    """ICMP says so, this host has no route, or MUST-46: the remote address is broadcast or multicast."""

    number = errno.ENETUNREACH


class HostUnreachable(_Numbered, NetworkError):
    """ICMP says so, or no neighbour answered."""

    number = errno.EHOSTUNREACH


class WorkerEnded(_Numbered, CallerError, ChildProcessError):
    """A worker process is gone without a word: a signal ended it, or the program within it did."""

    number = errno.ECHILD


class ProtocolUnreachable(_Numbered, NetworkError):
    """ICMP destination unreachable, code 2."""

    number = errno.ENOPROTOOPT


class ProtocolError(_Numbered, NetworkError):
    """ICMP parameter problem: somebody on the way found fault with a header of ours."""

    number = errno.EPROTO


class PermissionDenied(_Numbered, NetworkError, PermissionError):
    """ICMPv6 destination unreachable, codes 1, 5 and 6: somebody on the way does not let it pass."""

    number = errno.EACCES


class MessageTooLong(_Numbered, NetworkError):
    """ICMP destination unreachable, code 4, without path MTU discovery."""

    number = errno.EMSGSIZE
