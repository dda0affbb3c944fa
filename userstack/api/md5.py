"""Keys for signatures (RFC 2385) as programs write them: by the text of an address or of a prefix."""

from collections.abc import Mapping

from userstack.address import from_mapped, is_mapped
from userstack.api.names import parse_host
from userstack.errors import InvalidArgument
from userstack.net.md5keys import Md5Keys
from userstack.tcp.md5sig import MAX_KEY


def check_key(key: bytes | None) -> None:
    """Refuse what is no key; None is none.

    Raises:
        InvalidArgument: it has not 1 to 80 octets.
        TypeError: it is no bytes.
    """
    if key is None:
        return
    if not isinstance(key, bytes):
        raise TypeError(f"a key is bytes, as in b'secret', not {type(key).__name__}")
    if not 1 <= len(key) <= MAX_KEY:
        raise InvalidArgument(f"a key has 1 to {MAX_KEY} octets, not {len(key)}")


def keys_of(md5: Mapping[str, bytes], limit: int) -> Md5Keys:
    """The keys of a listener, ``{"10.9.0.1": b"secret", "fd3d::/64": b"other"}``, at most ``limit``.

    Raises:
        OSError: as ``set_key``.
        TypeError: it is no mapping, or as ``set_key``.
    """
    if not isinstance(md5, Mapping):
        raise TypeError(f"md5 is a mapping of peers to keys, as in {{'10.9.0.1': b'secret'}}, not {type(md5).__name__}")
    keys = Md5Keys(limit)
    for peer, key in md5.items():
        set_key(keys, peer, key)
    return keys


def set_key(keys: Md5Keys, peer: str, key: bytes | None) -> None:
    """Set the key of a peer, an address or a prefix, or, with None, delete it.

    Raises:
        InvalidArgument: no such address, prefix or key.
        NoSuchKey: there is none to delete.
        OutOfMemory: there are too many.
        TypeError: the peer is no str, or the key no bytes.
    """
    address, prefix = _parse_peer(peer)
    check_key(key)
    if key is None:
        keys.delete(address, prefix)
    else:
        keys.set(address, key, prefix)


def _parse_peer(peer: str) -> tuple[bytes, int | None]:
    if not isinstance(peer, str):
        raise TypeError(f"a peer is a str, as in '10.9.0.1' or '10.9.0.0/24', not {type(peer).__name__}")
    text, slash, bits = peer.partition("/")
    packed = parse_host(text)
    if not slash:
        return from_mapped(packed), None
    if not (bits.isascii() and bits.isdigit()):
        raise InvalidArgument(f"{peer!r}: behind the slash stands the length of the prefix in bits")
    # A prefix of mapped addresses counts the 96 bits before the IPv4 address, or it is one of IPv6.
    if is_mapped(packed) and int(bits) >= 96:
        return from_mapped(packed), int(bits) - 96
    return packed, int(bits)
