"""What the kernel's TCP thinks: the states of its connections, asked for through sock_diag (sock_diag(7)) and never assumed.

Messages are pyroute2's. The socket is a plain one: it belongs to the namespace that it was made in, answers within the call, and so
serves from inside a running event loop, in tens of microseconds.
"""

import errno
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from pyroute2.netlink import NETLINK_SOCK_DIAG, NLM_F_DUMP, NLM_F_REQUEST
from pyroute2.netlink.diag import SOCK_DIAG_BY_FAMILY, SS_ALL, inet_diag_msg, inet_diag_req

from userstack.address import Endpoint, from_mapped, is_unspecified, pack_address
from userstack.errors import SetupError
from userstack.host.failures import setup_error
from userstack.host.inside import open_socket
from userstack.host.netlink import answers
from userstack.tcp.state import State

NO_COOKIE = 0xFFFFFFFF_FFFFFFFF
"""INET_DIAG_NOCOOKIE: any socket of the 4-tuple, not a particular incarnation."""

STATES = {
    1: State.ESTABLISHED,
    2: State.SYN_SENT,
    3: State.SYN_RECEIVED,
    4: State.FIN_WAIT_1,
    5: State.FIN_WAIT_2,
    6: State.TIME_WAIT,
    7: State.CLOSED,
    8: State.CLOSE_WAIT,
    9: State.LAST_ACK,
    10: State.LISTEN,
    11: State.CLOSING,
    12: State.SYN_RECEIVED,
}
"""The kernel's numbers (include/net/tcp_states.h); 12 is a request socket, of which only the SYN is known yet."""


@dataclass(frozen=True, slots=True)
class KernelSocket:
    """One TCP socket, request or TIME-WAIT record of the kernel."""

    local: Endpoint
    remote: Endpoint | None
    """None for a listener."""
    state: State
    receive_queue: int
    """Bytes that the program has not read; of a listener: connections not yet accepted."""
    send_queue: int
    """Bytes not yet acknowledged; of a listener: its backlog."""


class KernelTcp:
    """The kernel's TCP in one namespace.

    Args:
        namespace: which; None for the caller's own.

    Raises:
        SetupError: this kernel tells nothing, or there is no such namespace.
    """

    def __init__(self, namespace: str | None = None) -> None:
        self._sequence = 0
        self._socket = open_socket(namespace, socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG)
        try:
            self._socket.bind((0, 0))
            self.sockets()  # or a kernel without sock_diag would look like one without the connection: both say ENOENT
        except BaseException:
            self._socket.close()
            raise

    def state(self, local: Endpoint, remote: Endpoint, *, interface: int = 0) -> State:
        """The state in which a segment from ``remote`` to ``local`` finds the kernel: LISTEN when only a listener would take it.

        Args:
            local: the kernel's end.
            remote: the other end.
            interface: the number of the kernel's device that the segment comes in through, without which no connection between
                link-local addresses is found; 0 is any.

        Raises:
            SetupError: the kernel does not answer.
        """
        for sock in self._ask(local, remote, interface):
            return sock.state
        return State.CLOSED

    def sockets(self) -> list[KernelSocket]:
        """Every TCP socket, request and TIME-WAIT record of the namespace, IPv4's and IPv6's.

        Raises:
            SetupError: the kernel does not answer.
        """
        return [*self._dump(socket.AF_INET), *self._dump(socket.AF_INET6)]

    def close(self) -> None:
        """Give the descriptor back; may be called twice."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _ask(self, local: Endpoint, remote: Endpoint, interface: int) -> Iterator[KernelSocket]:
        request = inet_diag_req()
        request["sdiag_family"] = socket.AF_INET if len(local.address) == 4 else socket.AF_INET6
        request["idiag_sport"], request["idiag_dport"] = local.port, remote.port
        request["idiag_src"], request["idiag_dst"] = _words(local.address), _words(remote.address)
        request["idiag_if"] = interface
        try:
            yield from self._exchange(request, NLM_F_REQUEST)
        except SetupError as error:
            if error.errno != errno.ENOENT:
                raise

    def _dump(self, family: int) -> Iterator[KernelSocket]:
        request = inet_diag_req()
        request["sdiag_family"] = family
        request["idiag_src"] = request["idiag_dst"] = (0, 0, 0, 0)
        return self._exchange(request, NLM_F_REQUEST | NLM_F_DUMP)

    def _exchange(self, request: inet_diag_req, flags: int) -> Iterator[KernelSocket]:
        self._sequence += 1
        request["sdiag_protocol"] = socket.IPPROTO_TCP
        request["idiag_states"] = SS_ALL | 1 << 12
        request["idiag_cookie"] = NO_COOKIE
        request["header"].update({"type": SOCK_DIAG_BY_FAMILY, "flags": flags, "sequence_number": self._sequence, "pid": 0})
        request.encode()
        try:
            self._socket.send(request.data)
            for kind, message in answers(self._socket, self._sequence):
                if kind == SOCK_DIAG_BY_FAMILY:
                    yield _kernel_socket(message)
        except OSError as error:
            mends = {errno.ENOENT: "this kernel does not tell its TCP states: load it with modprobe tcp_diag"}
            raise setup_error("ask the kernel for its TCP states", error, mends) from error


def tcp_state(local: Endpoint, remote: Endpoint, *, namespace: str | None = None) -> State:
    """``KernelTcp.state`` for a single question.

    Raises:
        SetupError: this kernel tells nothing, or there is no such namespace.
    """
    with KernelTcp(namespace) as kernel:
        return kernel.state(local, remote)


def tcp_sockets(*, namespace: str | None = None) -> list[KernelSocket]:
    """``KernelTcp.sockets`` for a single question.

    Raises:
        SetupError: this kernel tells nothing, or there is no such namespace.
    """
    with KernelTcp(namespace) as kernel:
        return kernel.sockets()


def _words(address: bytes) -> tuple[int, ...]:
    return struct.unpack(">4I", address.ljust(16, b"\0"))


def _kernel_socket(message: bytes) -> KernelSocket:
    answer = inet_diag_msg(message)
    answer.decode()
    remote = Endpoint(_plain_address(answer["idiag_dst"]), answer["idiag_dport"])
    return KernelSocket(
        local=Endpoint(_plain_address(answer["idiag_src"]), answer["idiag_sport"]),
        remote=None if remote.port == 0 and is_unspecified(remote.address) else remote,
        state=STATES[answer["idiag_state"]],
        receive_queue=answer["idiag_rqueue"],
        send_queue=answer["idiag_wqueue"],
    )


def _plain_address(text: str) -> bytes:
    """A socket of both families carries IPv4 in IPv6 addresses (RFC 4291 2.5.5.2)."""
    return from_mapped(pack_address(text))
