"""What is known of the paths to other hosts: one ``Path`` for each, shared by its connections, remembered for a while."""

from collections import OrderedDict
from weakref import WeakValueDictionary

from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.net.mtu import LEAST_MTU_V6
from userstack.tcp.path import Path


class Paths:
    """Bounded: a path of which nothing was learned lives as long as its connections, the others are remembered beyond them."""

    def __init__(self, link_mtu: int, *, config: StackConfig, counters: Counters) -> None:
        self._link_mtu = link_mtu
        self._config = config
        self._counters = counters
        self._live: WeakValueDictionary[bytes, Path] = WeakValueDictionary()
        self._learned: OrderedDict[bytes, Path] = OrderedDict()
        """Those with an MTU of their own, the one that was learned longest ago first."""

    def to(self, destination: bytes, *, now: int) -> Path:
        """The path to a packed address: what was learned and has not expired, else the link's MTU."""
        path = self._live.get(destination)
        if path is None:
            path = self._live[destination] = Path(self.link_mtu(destination))
        path.age(now)
        return path

    def link_mtu(self, address: bytes) -> int:
        """RFC 8201 4: who does not discover path MTUs sends no IPv6 packet that is larger than every link takes."""
        return self._link_mtu if len(address) == 4 or self._config.path_mtu_discovery else min(self._link_mtu, LEAST_MTU_V6)

    def keep(self, destination: bytes, path: Path) -> None:
        """Remember a path beyond its connections, if something was learned of it."""
        if path.expires is None:
            return
        self._learned[destination] = path
        self._learned.move_to_end(destination)
        if len(self._learned) > self._config.max_paths:
            self._learned.popitem(last=False)
            self._counters.add("IpPathMtuEvicted")

    def __len__(self) -> int:
        return len(self._learned)
