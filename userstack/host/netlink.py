"""The one door to pyroute2's ``IPRoute``: a socket for one piece of work in its namespace, refusals told as ``SetupError``."""

import errno
from collections.abc import Callable, Mapping
from typing import TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from userstack.errors import SetupError
from userstack.host.failures import setup_error
from userstack.host.netns import in_namespace

T = TypeVar("T")


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
