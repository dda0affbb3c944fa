"""userstack's sockets as a ``World``: both ends on one virtual host, or one host each with a link between them."""

from collections.abc import Callable
from typing import cast

from tests.sim.world import EVENTS, IPV4, IPV6, LOCAL_HERE, LOCAL_THERE, Names, Sock, World
from tests.support.virtual import VirtualNetwork
from userstack.address import LINK_INDEX
from userstack.config import MILLISECOND
from userstack.sim import VirtualHost
from userstack.sim.virtual_socket import VirtualSocket

MOMENT = 50 * MILLISECOND
"""Longer than a delayed ACK, shorter than a retransmission."""
CLIENT = [f"{IPV4.outside}/24", f"{IPV4.here}/32", f"{IPV6.outside}/64", f"{IPV6.here}/128", f"{LOCAL_HERE}/64"]
SERVER = [f"{IPV4.there}/32", f"{IPV6.there}/128", f"{LOCAL_THERE}/64"]


class VirtualWorld(World):
    """What both have in common."""

    def at_mark(self, sock: Sock) -> bool:
        return cast("VirtualSocket", sock).sockatmark()

    def events(self, sock: Sock) -> int:
        return cast("VirtualSocket", sock).poll() & EVENTS


class OneHostWorld(VirtualWorld):
    """Both ends on one host: what it sends to itself never reaches the link."""

    link = LINK_INDEX

    def __init__(self, port: int, names: Names) -> None:
        super().__init__(port, names)
        self.host = VirtualHost(CLIENT + SERVER)

    def _make(self, server: bool, family: int) -> Sock:
        return self.host.socket(family)

    def _ready(self, accepted: Sock) -> Sock:
        return accepted

    def settle(self) -> None:
        self.host.run(self.host.now + MOMENT)


class TwoHostWorld(VirtualWorld):
    """One host each, a millisecond apart."""

    link = LINK_INDEX

    def __init__(self, port: int, names: Names) -> None:
        super().__init__(port, names)
        self.client_host = VirtualHost(CLIENT, seed=1)
        self.server_host = VirtualHost(SERVER, seed=2)
        hosts = [(CLIENT, self.client_host), (SERVER, self.server_host)]
        self.network = VirtualNetwork({text.partition("/")[0]: host for addresses, host in hosts for text in addresses})

    def _make(self, server: bool, family: int) -> Sock:
        return (self.server_host if server else self.client_host).socket(family)

    def _ready(self, accepted: Sock) -> Sock:
        return accepted

    def settle(self) -> None:
        self.network.run_for(MOMENT)


WORLDS: dict[str, Callable[[int, Names], World]] = {"one host": OneHostWorld, "two hosts": TwoHostWorld}
