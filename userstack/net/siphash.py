"""SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash that nobody without the key can compute, quick for short messages."""

from struct import unpack
from typing import Final

_MASK: Final = (1 << 64) - 1
_BEGIN: Final = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
_WORD: Final = 8
State = tuple[int, int, int, int]


def siphash(key: bytes, message: bytes) -> bytes:
    """The eight octets, the least significant first, for a ``key`` of sixteen."""
    low, high = unpack("<QQ", key)
    state: State = (low ^ _BEGIN[0], high ^ _BEGIN[1], low ^ _BEGIN[2], high ^ _BEGIN[3])
    whole = len(message) // _WORD * _WORD
    last = message[whole:].ljust(_WORD - 1, b"\0") + bytes((len(message) & 0xFF,))
    for (word,) in (unpack("<Q", part) for part in (*(message[at : at + _WORD] for at in range(0, whole, _WORD)), last)):
        a, b, c, d = _round(_round((state[0], state[1], state[2], state[3] ^ word)))
        state = (a ^ word, b, c, d)
    a, b, c, d = state
    state = (a, b, c ^ 0xFF, d)
    for _ in range(4):
        state = _round(state)
    a, b, c, d = state
    return (a ^ b ^ c ^ d).to_bytes(_WORD, "little")


def _round(state: State) -> State:
    """SipRound: addition, rotation, exclusive or."""
    a, b, c, d = state
    a, c = (a + b) & _MASK, (c + d) & _MASK
    b, d = _rotated(b, 13) ^ a, _rotated(d, 16) ^ c
    a, c = (_rotated(a, 32) + d) & _MASK, (c + b) & _MASK
    d, b = _rotated(d, 21) ^ a, _rotated(b, 17) ^ c
    return a, b, _rotated(c, 32), d


def _rotated(word: int, bits: int) -> int:
    return (word << bits | word >> 64 - bits) & _MASK
