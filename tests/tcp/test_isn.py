"""Initial sequence numbers (RFC 6528, RFC 9293 3.4.1): a clock, and a function of the sockets that only the secret can compute."""

import random
from collections import Counter
from itertools import pairwise

import pytest

from tests.sim.nets import IPV4
from tests.support.clients import Client
from userstack.address import Endpoint, pack_address
from userstack.config import MICROSECOND, SECOND
from userstack.sim import VirtualHost
from userstack.tcp.isn import SecretIsn

MASK = 0xFFFFFFFF
SECRET = b"a secret of the host"
SERVER = Endpoint(pack_address("10.9.0.2"), 80)
ATTACKER, VICTIM = pack_address("10.9.0.66"), pack_address("10.9.0.7")
MOST = 255 + 4 * 23
"""Chi-square of 256 equal bins: 255 on average, with a standard deviation of 23."""


def chi_square(octets: list[int]) -> float:
    """How far so many octets are from an equal spread over their 256 values."""
    expected = len(octets) / 256
    found = Counter(octets)
    return sum((found[value] - expected) ** 2 / expected for value in range(256))


def by_port(isn: SecretIsn, address: bytes, now: int = 0, ports: range = range(1024, 1024 + 16_384)) -> list[int]:
    """The ISNs of the server's connections from each port of one host."""
    return [isn(SERVER, Endpoint(address, port), now) for port in ports]


def seq_of(packet: bytes) -> int:
    """SEG.SEQ of a TCP segment in an IPv4 packet without options."""
    return int.from_bytes(packet[24:28], "big")


@pytest.mark.requirement("MUST-8")
@pytest.mark.parametrize("now", [0, 10**9 + 3, 4 * MICROSECOND * (2**32 - 1), 10**18])
def test_the_clock_has_32_bits_and_a_step_every_four_microseconds(now: int) -> None:
    isn, remote = SecretIsn(SECRET), Endpoint(VICTIM, 1)
    begin = now - now % (4 * MICROSECOND)
    first = isn(SERVER, remote, begin)
    assert isn(SERVER, remote, begin + 4 * MICROSECOND - 1) == first
    assert isn(SERVER, remote, begin + 4 * MICROSECOND) == first + 1 & MASK
    assert isn(SERVER, remote, begin + SECOND) == first + 250_000 & MASK
    assert isn(SERVER, remote, begin + 4 * MICROSECOND * 2**32) == first


@pytest.mark.requirement("SHLD-1")
@pytest.mark.parametrize("other", range(4))
def test_each_part_of_the_sockets_decides_and_the_clock_is_added(other: int) -> None:
    """ISN = M + F(localip, localport, remoteip, remoteport, secretkey)."""
    isn, remote = SecretIsn(SECRET), Endpoint(VICTIM, 1)
    changed = [
        (SERVER._replace(port=81), remote),
        (SERVER._replace(address=ATTACKER), remote),
        (SERVER, remote._replace(port=2)),
        (SERVER, remote._replace(address=ATTACKER)),
    ][other]
    offsets = {isn(*changed, now) - isn(SERVER, remote, now) & MASK for now in range(0, 10**10, 10**8)}
    assert len(offsets) == 1
    assert offsets != {0}


def test_the_same_sockets_get_numbers_that_grow() -> None:
    """RFC 6528 3: what one incarnation sends at less than 250 kB a second lies below what the next begins with."""
    isn, remote = SecretIsn(SECRET), Endpoint(VICTIM, 1)
    numbers = [isn(SERVER, remote, now) for now in range(0, 3600 * SECOND, 60 * SECOND)]
    assert all(later - earlier & MASK == 15_000_000 for earlier, later in pairwise(numbers))


@pytest.mark.requirement("MUST-9")
@pytest.mark.parametrize("shift", [0, 8, 16, 24])
def test_ports_that_follow_each_other_tell_nothing_of_the_next_number(shift: int) -> None:
    """The numbers, and the differences of neighbours, are spread as chance would have it, in each of their octets."""
    numbers = by_port(SecretIsn(SECRET), ATTACKER)
    assert chi_square([number >> shift & 0xFF for number in numbers]) < MOST
    assert chi_square([later - earlier >> shift & 0xFF for earlier, later in pairwise(numbers)]) < MOST
    assert chi_square([(later ^ earlier) >> shift & 0xFF for earlier, later in pairwise(numbers)]) < MOST


@pytest.mark.requirement("MUST-9")
@pytest.mark.parametrize("shift", [0, 8, 16, 24])
def test_an_attackers_own_connections_tell_nothing_of_another_hosts(shift: int) -> None:
    isn = SecretIsn(SECRET)
    own, others = by_port(isn, ATTACKER), by_port(isn, VICTIM)
    assert chi_square([theirs - mine >> shift & 0xFF for mine, theirs in zip(own, others, strict=True)]) < MOST


@pytest.mark.requirement("MUST-9")
def test_no_guess_from_what_was_seen_comes_near() -> None:
    """The attacker sees its own numbers, and guesses another's within 64 KiB: 1 in 65 536, or 0.25 times in 16 384, by chance."""
    isn = SecretIsn(SECRET)
    own, others = by_port(isn, ATTACKER), by_port(isn, VICTIM)
    offset = others[0] - own[0]  # one connection of the victim's is even known
    guesses = {
        "the same": own,
        "the same distance": [number + offset for number in own],
        "the next port": [*own[1:], own[0]],
        "a straight line": [others[0] + (own[1] - own[0]) * step for step in range(len(own))],
        "the clock alone": [others[0]] * len(own),
    }
    for guess in guesses.values():
        near = sum((theirs - guessed + 32_768) & MASK < 65_536 for theirs, guessed in list(zip(others, guess, strict=True))[1:])
        assert near <= 3


@pytest.mark.requirement("MUST-9")
def test_whoever_has_not_the_secret_computes_other_numbers() -> None:
    numbers = by_port(SecretIsn(SECRET), VICTIM)
    chance = random.Random(1)
    for wrong in (b"", SECRET + b"!", SECRET[:-1], chance.randbytes(32)):
        hits = sum(mine == theirs for mine, theirs in zip(by_port(SecretIsn(wrong), VICTIM), numbers, strict=True))
        assert hits == 0


def test_each_start_has_a_secret_of_its_own() -> None:
    def first_iss(seed: int) -> int:
        host = VirtualHost([IPV4.prefix], seed=seed)
        listener = host.socket(IPV4.family)
        listener.bind((IPV4.here, 80))
        listener.listen(1)
        answer = Client(host, IPV4, 5000).syn()
        assert answer is not None
        return answer.seq

    assert len({first_iss(seed) for seed in range(50)}) == 50
    assert first_iss(1) == first_iss(1)


@pytest.mark.requirement("MUST-8")
@pytest.mark.requirement("SHLD-1")
def test_our_syns_are_numbered_so() -> None:
    """Two pairs of sockets, each opened twice, ten seconds apart."""
    host = VirtualHost([IPV4.prefix], seed=3)
    sockets = []
    for _ in range(2):
        for port in (6000, 6001):
            s = host.socket(IPV4.family)
            s.bind((IPV4.here, port))
            assert s.connect_ex((IPV4.there, 80)) != 0
            sockets.append((port, host.now, seq_of(host.take()[0][1])))
            s.close()
        host.run(until=host.now + 10 * SECOND)
    first, second = sockets[:2], sockets[2:]
    assert [later[2] - earlier[2] & MASK for earlier, later in zip(first, second, strict=True)] == [2_500_000] * 2
    assert first[1][2] - first[0][2] & MASK not in range(1_000_000)
