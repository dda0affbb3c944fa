"""What is known of the paths to other hosts: one ``Path`` for each, shared by its connections, remembered for a while."""

from collections import OrderedDict
from typing import Final
from weakref import ref

from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.net.mtu import LEAST_MTU_V6
from userstack.tcp.path import Path

_FEW: Final = 64


class Paths:
    """Bounded: a path of which nothing was learned lives as long as its connections, the others are remembered beyond them."""

    def __init__(self, link_mtu: int, *, config: StackConfig, counters: Counters) -> None:
        self._link_mtu = link_mtu
        self._config = config
        self._counters = counters
        self._live: dict[bytes, ref[Path]] = {}
        """The dead among them are swept out whenever there are ``_sweep_at``."""
        self._sweep_at = _FEW
        self._learned: OrderedDict[bytes, Path] = OrderedDict()
        """Those with an MTU of their own, the one that was learned longest ago first."""

    def to(self, destination: bytes, *, now: int) -> Path:
        """The path to a packed address: what was learned and has not expired, else the link's MTU."""
        known = self._live.get(destination)
        path = None if known is None else known()
        if path is None:
            if len(self._live) >= self._sweep_at:
                self._live = {address: one for address, one in self._live.items() if one() is not None}
                self._sweep_at = max(2 * len(self._live), _FEW)
            path = Path(self.link_mtu(destination))
            self._live[destination] = ref(path)
        elif path.expires is not None:
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
