"""SipHash-2-4 against the vectors of its authors: key 00 01 ... 0f, messages of the octets 00 01 ... of every length."""

import pytest

from userstack.net.siphash import siphash

KEY = bytes(range(16))


@pytest.mark.parametrize(
    ("octets", "digest"),
    [
        (0, "310e0edd47db6f72"),
        (1, "fd67dc93c539f874"),
        (2, "5a4fa9d909806c0d"),
        (3, "2d7efbd796666785"),
        (4, "b7877127e09427cf"),
        (8, "6224939a79f5f593"),
        (15, "e545be4961ca29a1"),
    ],
)
def test_the_vectors_hold(octets: int, digest: str) -> None:
    assert siphash(KEY, bytes(range(octets))).hex() == digest


def test_the_key_and_every_octet_count() -> None:
    assert len({siphash(bytes((index,)) * 16, bytes(8)) for index in range(64)}) == 64
    assert len({siphash(KEY, bytes(index) + b"\1" + bytes(31 - index)) for index in range(32)}) == 32
