"""Ephemeral ports by double hash (RFC 6056 3.3.4): late reuse towards one destination, no telling of what another one gets."""

from collections import Counter

import pytest

from userstack.address import Endpoint, pack_address
from userstack.errors import AddressNotAvailable
from userstack.net.ephemeral import EphemeralPorts

HERE = pack_address("10.9.0.2")
RANGE = (32_768, 60_999)
SIZE = RANGE[1] - RANGE[0] + 1


def remote(number: int, port: int = 80) -> Endpoint:
    return Endpoint(pack_address("10.9.1.0")[:2] + number.to_bytes(2, "big"), port)


def free(_port: int) -> bool:
    return True


def test_no_port_comes_again_before_all_have_been_there() -> None:
    ports = EphemeralPorts(b"secret", (1024, 1123))
    chosen = [ports.choose(HERE, remote(1), free) for _ in range(200)]
    assert sorted(chosen[:100]) == list(range(1024, 1124))
    assert chosen[100:] == chosen[:100]


def test_what_is_not_free_is_passed_over_and_at_last_there_is_none() -> None:
    ports = EphemeralPorts(b"secret", (1024, 1027))
    taken: set[int] = set()
    for _ in range(4):
        taken.add(ports.choose(HERE, remote(1), lambda port: port not in taken))
    assert taken == {1024, 1025, 1026, 1027}
    with pytest.raises(AddressNotAvailable, match="every ephemeral port from 1024 to 1027 is in use"):
        ports.choose(HERE, remote(1), lambda port: port not in taken)


def test_where_the_ports_begin_is_spread_evenly_over_destinations() -> None:
    """Chi-square of 64 bins: 63 on average, with a standard deviation of 11."""
    ports = EphemeralPorts(b"secret", RANGE)
    found = Counter((ports.choose(HERE, remote(number), free) - RANGE[0]) * 64 // SIZE for number in range(6_400))
    assert sum((found[bin_] - 100) ** 2 / 100 for bin_ in range(64)) < 63 + 4 * 11


@pytest.mark.parametrize("changed", ["address", "remote address", "remote port", "secret"])
def test_everything_decides_where_they_begin(changed: str) -> None:
    differences = set()
    for number in range(50):
        one = EphemeralPorts(b"secret", RANGE).choose(HERE, remote(number), free)
        other = EphemeralPorts(b"another" if changed == "secret" else b"secret", RANGE).choose(
            pack_address("10.9.0.3") if changed == "address" else HERE,
            remote(number + 1000 * (changed == "remote address"), 80 + (changed == "remote port")),
            free,
        )
        differences.add((other - one) % SIZE)
    assert len(differences) > 45


def test_an_attackers_own_ports_tell_nothing_of_the_next_one_elsewhere() -> None:
    """It sees where connections to itself come from, and guesses within 100 ports: in 2 000 destinations 14 times by chance."""
    ports = EphemeralPorts(b"secret", RANGE)
    near = 0
    for number in range(2_000):
        seen = ports.choose(HERE, remote(60_000), free)
        hidden = ports.choose(HERE, remote(number), free)
        near += (hidden - seen + 100) % SIZE <= 200
    assert near < 14 + 4 * 4


def test_few_destinations_share_a_counter() -> None:
    """3.3.4: whoever shares one with another sees how often that one is connected to."""
    ports = EphemeralPorts(b"secret", RANGE)
    first = {number: ports.choose(HERE, remote(number), free) for number in range(40)}
    for _ in range(10):
        ports.choose(HERE, remote(50_000), free)
    moved = [
        number for number in first if ports.choose(HERE, remote(number), free) != RANGE[0] + (first[number] + 1 - RANGE[0]) % SIZE
    ]
    assert len(moved) <= 3
