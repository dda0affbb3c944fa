"""userstack's sockets as a ``World``: both ends on one virtual host, or one host each with a link between them."""

from collections.abc import Callable

from tests.sim.world import HERE, OUTSIDE, THERE, Sock, World
from tests.support.virtual import VirtualNetwork
from userstack.config import MILLISECOND
from userstack.sim import VirtualHost

MOMENT = 50 * MILLISECOND
"""Longer than a delayed ACK, shorter than a retransmission."""


class OneHostWorld(World):
    """Both ends on one host: what it sends to itself never reaches the link."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.host = VirtualHost([f"{OUTSIDE}/24", f"{HERE}/32", f"{THERE}/32"])

    def _make(self, server: bool) -> Sock:
        return self.host.socket()

    def _ready(self, accepted: Sock) -> Sock:
        return accepted

    def settle(self) -> None:
        self.host.run(self.host.now + MOMENT)


class TwoHostWorld(World):
    """One host each, a millisecond apart."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.client_host = VirtualHost([f"{OUTSIDE}/24", f"{HERE}/32"], seed=1)
        self.server_host = VirtualHost([f"{THERE}/32"], seed=2)
        hosts = {OUTSIDE: self.client_host, HERE: self.client_host, THERE: self.server_host}
        self.network = VirtualNetwork(hosts)

    def _make(self, server: bool) -> Sock:
        return (self.server_host if server else self.client_host).socket()

    def _ready(self, accepted: Sock) -> Sock:
        return accepted

    def settle(self) -> None:
        self.network.run_for(MOMENT)


WORLDS: dict[str, Callable[[int], World]] = {"one host": OneHostWorld, "two hosts": TwoHostWorld}
