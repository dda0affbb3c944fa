"""The state of the other end, where that is this machine's kernel: asked for, never concluded."""

import time
from types import TracebackType
from typing import Self

from userstack.address import Endpoint, pack_address
from userstack.errors import SetupError
from userstack.host.addresses import list_addresses
from userstack.host.diag import KernelTcp
from userstack.observe.steps import UNKNOWN

PATIENCE = 0.02
"""Seconds that the kernel may take to come to a segment; the loop stands still for it, which is rare and short."""
LOOK = 0.0002
"""Seconds between two looks."""


class KernelStates:
    """A ``PeerState``: the kernel's states in one namespace, of connections whose other end is an address of that kernel.

    Args:
        namespace: where the kernel's end lives; None for the caller's own.

    Raises:
        SetupError: this kernel tells nothing, or there is no such namespace.
    """

    def __init__(self, namespace: str | None) -> None:
        self._namespace = namespace
        self._interfaces: dict[bytes, int] = {}
        """The numbers of the devices that have its addresses."""
        self._kernel = KernelTcp(namespace)

    def learn_addresses(self) -> None:
        """See which addresses the kernel has; to be called once the device is there, because its end has one too.

        Raises:
            SetupError: the namespace is not there any more.
        """
        entries = list_addresses(namespace=self._namespace)
        self._interfaces = {pack_address(entry.address.partition("/")[0]): entry.index for entry in entries}

    def __call__(self, local: Endpoint, remote: Endpoint, leaving: str | None = None) -> str:
        """The kernel's state of the connection between our ``local`` and its ``remote``.

        While a program is inside a call on the socket, the kernel puts segments aside: so where the state is still the one that it
        is ``leaving``, it is asked again, up to ``PATIENCE``.
        """
        interface = self._interfaces.get(remote.address)
        if interface is None:
            return UNKNOWN  # it is somebody else's: no socket of this kernel would not mean CLOSED
        try:
            deadline = time.monotonic() + PATIENCE
            while (state := self._kernel.state(remote, local, interface=interface)) == leaving and time.monotonic() < deadline:
                time.sleep(LOOK)
        except SetupError:
            return UNKNOWN
        return state

    def close(self) -> None:
        """Give the descriptor back; may be called twice."""
        self._kernel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
