"""What the option lines of a script set: addresses, ports, MTU and how exact times must be."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from userstack.address import pack_address
from userstack.config import MICROSECOND
from userstack.drill.errors import NotSupported, ScriptError
from userstack.net.mtu import LEAST_MTU_V6


class Variant(Enum):
    """``--ip_version``: the family of the sockets and that of the packets."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    MAPPED = "ipv4-mapped-ipv6"
    """AF_INET6 sockets whose peers are IPv4-mapped addresses."""


IGNORED = frozenset(
    {
        *("verbose", "debug", "dry_run", "gateway_ip", "netmask_ip", "persistent_tun_dev", "speed", "so_filename", "so_flags"),
        *("wire_client", "wire_server", "wire_client_dev", "wire_server_dev", "wire_server_ip", "wire_server_port"),
        *("init_scripts", "code_command", "code_format", "code_sockopt", "define"),
    }
)
"""Options that concern the tool's own way of running, of which nothing is left here."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The options as values; times in nanoseconds, sizes in octets."""

    variant: Variant = Variant.IPV4
    local: bytes = b"\xc0\xa8\x00\x01"
    remote: bytes = b"\xc0\x00\x02\x01"
    prefix: int = 16
    mtu: int = 1500
    bind_port: int = 8080
    connect_port: int = 8080
    tolerance: int = 4000 * MICROSECOND
    tolerance_percent: float = 0.0
    timestamp_tick: int = 0
    """How long one tick of the host's timestamps takes; 0: whatever value they have."""
    absolute_echo: bool = False
    """The script's ``ecr`` goes out as it is."""


_LOCAL = {4: ("192.168.0.1", 16), 6: ("fd3d:fa7b:d17d::1", 48)}
_REMOTE = {4: "192.0.2.1", 6: "2001:db8::1"}
_IPV6_ROOM = 20
"""An IPv6 header is so much longer: a script that names no MTU means the segments that 1500 octets carry over IPv4."""


def read_settings(options: Mapping[str, str], variant: Variant | None = None) -> Settings:
    """The settings of a script; ``variant`` replaces the script's own IP version and, where it differs, its addresses.

    Raises:
        ScriptError: a value cannot be.
        NotSupported: an option is not known.
    """
    chosen = _read_variant(options.get("ip_version")) if variant is None else variant
    version = 6 if chosen is Variant.IPV6 else 4
    local, prefix = _LOCAL[version]
    return Settings(
        variant=chosen,
        local=_address(options.get("local_ip"), version) or pack_address(local),
        remote=_address(_host(options.get("remote_ip")), version) or pack_address(_REMOTE[version]),
        prefix=prefix,
        mtu=_mtu(options, chosen, given=variant is not None),
        bind_port=_port(options, "bind_port"),
        connect_port=_port(options, "connect_port"),
        tolerance=int(_number(options, "tolerance_usecs", 4000) * MICROSECOND),
        tolerance_percent=_number(options, "tolerance_percent", 0),
        timestamp_tick=int(_number(options, "tcp_ts_tick_usecs", 0) * MICROSECOND),
        absolute_echo="absolute_ts_ecr" in options,
    )


def check_known(options: Mapping[str, str]) -> None:
    """Refuse options that mean something nobody here knows.

    Raises:
        NotSupported: such an option is there.
    """
    for name in options:
        if name not in IGNORED | _KNOWN:
            raise NotSupported(f"option --{name}")


_KNOWN = frozenset(
    {
        *("ip_version", "local_ip", "remote_ip", "mtu", "bind_port", "connect_port", "tolerance_usecs", "tolerance_percent"),
        *("tcp_ts_tick_usecs", "absolute_ts_ecr"),
    }
)


def _read_variant(text: str | None) -> Variant:
    if text is None:
        return Variant.IPV4
    try:
        return Variant(text)
    except ValueError:
        raise ScriptError(None, f"--ip_version is one of {', '.join(one.value for one in Variant)}, not {text!r}") from None


def _host(text: str | None) -> str | None:
    """``--remote_ip`` may have a prefix, which says nothing here."""
    return None if text is None else text.partition("/")[0]


def _address(text: str | None, version: int) -> bytes | None:
    """The address, where one of that version was given: the script's own is of no use in another variant."""
    if text is None:
        return None
    try:
        packed = pack_address(text)
    except ValueError as error:
        raise ScriptError(None, str(error)) from None
    return packed if len(packed) == (16 if version == 6 else 4) else None


def _mtu(options: Mapping[str, str], variant: Variant, *, given: bool) -> int:
    """The MTU; a script that was written for IPv4 and is run over IPv6 keeps its segments' sizes."""
    mtu = int(_number(options, "mtu", 1500))
    was = _read_variant(options.get("ip_version"))
    if given and was is not variant and variant is Variant.IPV6:
        mtu += _IPV6_ROOM
    if given and was is Variant.IPV6 and variant is not Variant.IPV6:
        mtu -= _IPV6_ROOM
    if variant is Variant.IPV6 and mtu < LEAST_MTU_V6:
        raise NotSupported(f"an MTU of {mtu} over IPv6")
    return mtu


def _port(options: Mapping[str, str], name: str) -> int:
    port = int(_number(options, name, 8080))
    if not 0 < port < 65536:
        raise ScriptError(None, f"--{name} is a port from 1 to 65535, not {port}")
    return port


def _number(options: Mapping[str, str], name: str, default: float) -> float:
    text = options.get(name)
    if text is None:
        return default
    try:
        number = float(int(text, 0)) if text.strip().lower().startswith("0x") else float(text)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ScriptError(None, f"--{name} takes a number, not {text[:40]!r}")
    return number
