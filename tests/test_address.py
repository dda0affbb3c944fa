import pytest

from userstack.address import (
    Endpoint,
    format_address,
    from_mapped,
    is_link_local,
    is_mapped,
    is_unspecified,
    pack_address,
    to_mapped,
)


@pytest.mark.parametrize("text", ["10.9.0.2", "0.0.0.0", "fd3d::1", "::", "::1", "::ffff:10.9.0.2", "fe80::1:0:0:5"])
def test_text_comes_back(text: str) -> None:
    assert format_address(pack_address(text)) == text


def test_an_endpoint_reads_as_in_a_url() -> None:
    assert str(Endpoint(pack_address("10.9.0.2"), 80)) == "10.9.0.2:80"
    assert str(Endpoint(pack_address("fd3d::1"), 80)) == "[fd3d::1]:80"
    assert str(Endpoint(pack_address("::ffff:10.9.0.2"), 80)) == "[::ffff:10.9.0.2]:80"


def test_ipv4_inside_ipv6_and_out_again() -> None:
    four, six = pack_address("10.9.0.2"), pack_address("::ffff:10.9.0.2")
    assert (to_mapped(four), from_mapped(six)) == (six, four)
    other = pack_address("fd3d::1")
    assert (to_mapped(other), from_mapped(other), from_mapped(four)) == (other, other, four)
    assert [is_mapped(address) for address in (four, six, other, pack_address("::10.9.0.2"))] == [False, True, False, False]


@pytest.mark.parametrize(
    ("text", "expected"), [("fe80::1", True), ("febf::1", True), ("fec0::1", False), ("ff02::1", False), ("169.254.0.1", False)]
)
def test_link_local(text: str, expected: bool) -> None:
    assert is_link_local(pack_address(text)) == expected


def test_the_wildcards() -> None:
    assert [is_unspecified(pack_address(text)) for text in ("0.0.0.0", "::", "::ffff:0.0.0.0", "fd3d::1")] == [
        True,
        True,
        False,
        False,
    ]
