"""The one door to pyroute2's ``IPRoute``: a socket for one piece of work in its namespace, refusals told as ``SetupError``.

Where a message's own bytes matter, a plain netlink socket does, whose ``answers`` are taken apart here.
"""

import errno
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from userstack.errors import SetupError
from userstack.host.failures import setup_error
from userstack.host.netns import in_namespace

T = TypeVar("T")

HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence number, port."""
LAST = frozenset({2, 3})
"""NLMSG_ERROR, with the number 0 when all is well, and NLMSG_DONE."""
NLM_F_MULTI = 2


def with_routes(namespace: str | None, doing: str, work: Callable[[IPRoute], T], mends: Mapping[int, str] | None = None) -> T:
    """Run ``work`` with a route netlink socket of ``namespace``.

    Args:
        namespace: where; None for the caller's own.
        doing: what is being done, for the error: it follows "cannot".
        work: gets the socket, which is closed after it.
        mends: advice by errno for what is likely to go wrong here.

    Raises:
        SetupError: the kernel refused.
    """

    def run() -> T:
        with IPRoute() as routes:
            return work(routes)

    try:
        return in_namespace(namespace, run)
    except SetupError:
        raise
    except (OSError, NetlinkError) as error:
        raise setup_error(doing, error, mends) from error


def index_of(routes: IPRoute, device: str) -> int:
    """The interface index of a device.

    Raises:
        SetupError: there is none of that name.
    """
    found = routes.link_lookup(ifname=device)
    if not found:
        raise SetupError(f"there is no device {device} here; see which there are with: ip link", errno.ENODEV)
    return int(found[0])


def answers(sock: socket.socket, sequence: int) -> Iterator[tuple[int, bytes]]:
    """What the kernel answers to the request of a sequence number: type and bytes of each message, up to the last (netlink(7)).

    Args:
        sock: a blocking netlink socket.
        sequence: of the request; what is left of another's answer is passed over.

    Raises:
        OSError: the kernel refused, with its errno.
    """
    while True:
        data = sock.recv(65536)
        offset = 0
        while offset < len(data):
            length, kind, flags, number, _ = HEADER.unpack_from(data, offset)
            message = data[offset : offset + length]
            offset += (length + 3) & ~3
            if number != sequence:
                continue
            last = kind in LAST or not flags & NLM_F_MULTI
            refused = -int.from_bytes(message[16:20], sys.byteorder, signed=True) if kind in LAST else 0
            if refused:
                raise OSError(refused, os.strerror(refused))
            yield kind, message
            if last:
                return
