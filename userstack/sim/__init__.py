"""Virtual time: a whole host without device, event loop or clock, driven by whoever made it."""

from userstack.sim.virtual_host import Row, VirtualHost
from userstack.sim.virtual_socket import VirtualSocket

__all__ = ["Row", "VirtualHost", "VirtualSocket"]
