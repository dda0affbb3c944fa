"""What netcat is asked to talk to, in the words of netcats: an address and a port, or several."""

import re
from typing import NamedTuple

import typer

from userstack.address import is_mapped, pack_address


class Target(NamedTuple):
    """Where to connect, or what to listen on."""

    address: str | None
    """None for every address of the stack."""
    ports: range

    @property
    def ipv6(self) -> bool:
        """Whether the address is one of IPv6."""
        return self.address is not None and ":" in self.address

    @property
    def mapped(self) -> bool:
        """Whether it is an IPv4-mapped one, which is reached over IPv4."""
        try:
            return self.address is not None and is_mapped(pack_address(self.address))
        except ValueError:  # whatever it is, the stack will say
            return False


def parse_target(words: list[str], *, listen: bool, scan: bool, source_port: int) -> Target:
    """Read ``ADDRESS PORT`` or ``[ADDRESS]:PORT``; with -l also ``PORT``, or nothing beside ``-p PORT``.

    Raises:
        typer.BadParameter: it is none of them.
    """
    if listen and scan:
        raise typer.BadParameter("-z connects, -l listens: choose one")
    if listen and not words and source_port:
        return Target(None, range(source_port, source_port + 1))
    if listen and words and source_port:
        raise typer.BadParameter("-l takes its PORT as the last word or by -p: choose one")
    if len(words) == 1:
        words = _split(words[0])
    if not words or len(words) > 2 or (len(words) < 2 and not listen):
        raise typer.BadParameter("a PORT to listen on is missing" if listen else "it takes an ADDRESS and a PORT")
    address = words[0].removeprefix("[").removesuffix("]") if len(words) == 2 else None
    return Target(address, _parse_ports(words[-1], scan=scan))


def check_family(target: Target, *, only_ipv4: bool, only_ipv6: bool) -> None:
    """Refuse an address of the family that -4 or -6 leaves out.

    Raises:
        typer.BadParameter: it is of that family, or both are asked for.
    """
    if only_ipv4 and only_ipv6:
        raise typer.BadParameter("-4 is for IPv4 alone, -6 for IPv6 alone: choose one")
    if target.address is not None and ((only_ipv4 and target.ipv6) or (only_ipv6 and not target.ipv6)):
        raise typer.BadParameter(f"-{4 if only_ipv4 else 6} is for IPv{4 if only_ipv4 else 6}, which {target.address} is not")


def _split(word: str) -> list[str]:
    """``[fd3d::1]:80`` or ``10.9.0.1:80`` as two words; what has more colons, and no brackets, could be an address alone."""
    found = re.fullmatch(r"(\[[^\]]*\]|[^:]+):([^:]*)", word)
    return [word] if found is None else [found[1], found[2]]


def _parse_ports(word: str, *, scan: bool) -> range:
    """One port; with -z also a range of them."""
    pattern = r"([0-9]{1,5})-([0-9]{1,5})|([0-9]{1,5})" if scan else r"()()([0-9]{1,5})"
    found = re.fullmatch(pattern, word)
    first, last = (0, 0) if found is None else (int(found[1] or found[3]), int(found[2] or found[3]))
    if not 0 < first <= last < 65536:
        raise typer.BadParameter(f"{word!r} is no port: a number from 1 to 65535" + (", or two joined by -" if scan else ""))
    return range(first, last + 1)
