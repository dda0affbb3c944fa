"""The Internet checksum against RFC 1071's own example, known headers, and a sum taken word by word."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from userstack.wire.checksum import (
    finish,
    internet_checksum,
    is_valid,
    pseudo_header_sum,
    verify_checksum,
    word_sum,
)

RFC1071_OCTETS = bytes.fromhex("0001f203f4f5f6f7")
HEADER = bytes.fromhex("45000073000040004011b861c0a80001c0a800c7")


def words_one_by_one(octets: bytes) -> int:
    """RFC 1071 4.1, literally."""
    total = 0
    for at in range(0, len(octets), 2):
        total += int.from_bytes(octets[at : at + 2].ljust(2, b"\0"), "big")
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def test_rfc1071_example() -> None:
    # RFC 1071 3: the sum is ddf2.
    assert internet_checksum(RFC1071_OCTETS) == 0xFFFF - 0xDDF2


def test_known_ipv4_header() -> None:
    assert internet_checksum(HEADER[:10], b"\0\0", HEADER[12:]) == 0xB861
    assert verify_checksum(HEADER)


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"", 0xFFFF),
        (b"\0", 0xFFFF),
        (bytes(5000), 0xFFFF),
        (b"\xff\xff", 0),
        (b"\xff" * 5000, 0),
        (b"\xff\xfe\x00\x01", 0),
        (b"\x01", 0xFEFF),
        (b"\x00\x01", 0xFFFE),
        (b"\x80\x00" * 2, 0xFFFE),
    ],
)
def test_the_two_zeros_stay_apart(octets: bytes, expected: int) -> None:
    # RFC 1071 has two zeros: only a sum of nothing but zeros is +0, and its complement FFFF.
    assert internet_checksum(octets) == expected


@given(st.lists(st.binary(max_size=9), max_size=6))
def test_buffers_count_as_one(buffers: list[bytes]) -> None:
    assert internet_checksum(*buffers) == words_one_by_one(b"".join(buffers))


@pytest.mark.parametrize("size", [1, 2, 383, 384, 385, 386, 767, 768, 769, 1459, 1460, 1535, 1536, 1537, 3073, 65160, 65535])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_every_length_and_kind_of_buffer(size: int, kind: type[bytes | bytearray | memoryview]) -> None:
    octets = random.Random(size).randbytes(size)
    assert internet_checksum(kind(octets)) == words_one_by_one(octets)
    assert internet_checksum(kind(b"\xff" * size)) == words_one_by_one(b"\xff" * size)


@given(st.binary(min_size=2, max_size=3000), st.integers(0, 7), st.data())
def test_a_flipped_bit_is_found(octets: bytes, bit: int, data: st.DataObject) -> None:
    even = octets[: len(octets) & ~1]
    sealed = internet_checksum(even).to_bytes(2, "big") + even
    assert verify_checksum(sealed)
    at = data.draw(st.integers(0, len(sealed) - 1))
    flipped = sealed[:at] + bytes((sealed[at] ^ 1 << bit,)) + sealed[at + 1 :]
    assert not verify_checksum(flipped)


def test_zeros_only_are_no_valid_checksum() -> None:
    assert not verify_checksum(bytes(20))
    assert not is_valid(0)
    assert is_valid(0xFFFF)


@pytest.mark.parametrize("size", [4, 16])
def test_pseudo_header(size: int) -> None:
    source, destination = random.Random(1).randbytes(size), random.Random(2).randbytes(size)
    length = 70_000 if size == 16 else 1480
    if size == 4:
        octets = source + destination + bytes((0, 6)) + length.to_bytes(2, "big")
    else:
        octets = source + destination + length.to_bytes(4, "big") + bytes((0, 0, 0, 6))
    assert finish(pseudo_header_sum(source, destination, 6, length)) == words_one_by_one(octets)
    segment = random.Random(3).randbytes(99)
    assert finish(pseudo_header_sum(source, destination, 6, length) + word_sum(segment)) == words_one_by_one(octets + segment)
