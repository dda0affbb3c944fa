"""The keys of one socket for signatures (RFC 2385), by peer: a single address or a prefix, as TCP_MD5SIG_EXT of Linux has it."""

from userstack.errors import InvalidArgument, NoSuchKey, OutOfMemory
from userstack.tcp.md5sig import MAX_KEY


class Md5Keys:
    """Which key goes for which peer; the longest prefix wins. Addresses are packed, those of IPv4 never mapped."""

    __slots__ = ("_limit", "keys")

    def __init__(self, limit: int) -> None:
        self.keys: dict[tuple[bytes, int], bytes] = {}
        """By address and prefix."""
        self._limit = limit

    def set(self, address: bytes, key: bytes, prefix: int | None = None) -> None:
        """Add a key, or change it; ``prefix`` in bits, None for the one address.

        Raises:
            InvalidArgument: the prefix is longer than the address, or the key empty or longer than 80 octets.
            OutOfMemory: ``StackConfig.md5_keys`` was reached.
        """
        if not 1 <= len(key) <= MAX_KEY:
            raise InvalidArgument(f"a key has 1 to {MAX_KEY} octets, not {len(key)}")
        name = address, _check_prefix(address, prefix)
        if name not in self.keys and len(self.keys) >= self._limit:
            raise OutOfMemory(f"md5_keys ({self._limit}) was reached")
        self.keys[name] = key

    def delete(self, address: bytes, prefix: int | None = None) -> None:
        """Take a key away.

        Raises:
            InvalidArgument: the prefix is longer than the address.
            NoSuchKey: there is none of that address and prefix.
        """
        name = address, _check_prefix(address, prefix)
        if name not in self.keys:
            raise NoSuchKey("there is no key for this peer")
        del self.keys[name]

    def find(self, address: bytes) -> bytes | None:
        """The key for a peer, or None. Of prefixes of one length the one that was added last wins, as in Linux."""
        best, found = -1, None
        for (network, prefix), key in self.keys.items():
            if prefix >= best and _covers(network, prefix, address):
                best, found = prefix, key
        return found


def _check_prefix(address: bytes, prefix: int | None) -> int:
    bits = 8 * len(address)
    if prefix is not None and not 0 <= prefix <= bits:
        raise InvalidArgument(f"a prefix of this address has 0 to {bits} bits, not {prefix}")
    return bits if prefix is None else prefix


def _covers(network: bytes, prefix: int, address: bytes) -> bool:
    if len(network) != len(address):
        return False
    shift = 8 * len(network) - prefix
    return int.from_bytes(network, "big") >> shift == int.from_bytes(address, "big") >> shift
