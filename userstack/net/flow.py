"""The name of a connection by the octets that stand in the headers of what comes: source, destination and their ports."""

from userstack.address import Endpoint


def flow_of(local: Endpoint, remote: Endpoint) -> bytes:
    """What stands in the headers of a segment from ``remote``."""
    return remote.address + local.address + (remote.port << 16 | local.port).to_bytes(4, "big")
