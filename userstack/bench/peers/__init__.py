"""Other stacks, under the names that the ratios know: ``lwip``, ``gvisor``, ``pasta``, ``slirp4netns``, ``pytcp``."""

from userstack.bench.contender import Contender

PEERS: dict[str, Contender] = {}
