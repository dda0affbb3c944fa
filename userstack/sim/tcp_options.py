"""Options of a socket that are settings of its connections: which field of ``StackConfig`` each is, in which unit and range."""

import socket
from dataclasses import replace
from typing import Any, NamedTuple

from userstack.config import SECOND, StackConfig
from userstack.errors import InvalidArgument

TCP_DEFER_ACCEPT_MOST = 255
FIN_TIMEOUT_MOST = 120
"""Seconds that TCP_LINGER2 can ask for; more is as much."""
MAXSEG_LEAST, MAXSEG_MOST = 88, 32767


class Setting(NamedTuple):
    """An option whose number, times ``unit``, is a field."""

    field: str
    unit: int
    least: int
    most: int


SETTINGS = {
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): Setting("keepalive_time", SECOND, 1, 32767),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): Setting("keepalive_intvl", SECOND, 1, 32767),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): Setting("keepalive_probes", 1, 1, 127),
}


_OTHERS = {
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    *(
        (socket.IPPROTO_TCP, option)
        for option in (socket.TCP_MAXSEG, socket.TCP_SYNCNT, socket.TCP_LINGER2, socket.TCP_DEFER_ACCEPT)
    ),
}


def is_setting(level: int, option: int) -> bool:
    """The option is one of these."""
    return (level, option) in SETTINGS or (level, option) in _OTHERS


def get_setting(config: StackConfig, level: int, option: int) -> int:
    """The number of an option."""
    if (level, option) in SETTINGS:
        setting = SETTINGS[level, option]
        return int(getattr(config, setting.field)) // setting.unit
    match option:
        case socket.SO_KEEPALIVE if level == socket.SOL_SOCKET:
            return config.keepalive
        case socket.TCP_SYNCNT:
            return _retries_in(config.r2_syn, config)
        case socket.TCP_LINGER2:
            return config.fin_timeout // SECOND if config.fin_timeout else -1
        case socket.TCP_DEFER_ACCEPT:
            return _time_of(config.defer_accept - 1, config) // SECOND if config.defer_accept else 0
        case _:
            return config.max_segment or 0


def set_setting(config: StackConfig, level: int, option: int, value: int, *, default: StackConfig) -> StackConfig:
    """``config`` with the option set; ``default`` are the stack's own settings.

    Raises:
        InvalidArgument: the value cannot be.
    """
    if (level, option) in SETTINGS:
        setting = SETTINGS[level, option]
        _check(value, setting.least, setting.most)
        changed: dict[str, Any] = {setting.field: value * setting.unit}
        return replace(config, **changed)
    match option:
        case socket.SO_KEEPALIVE if level == socket.SOL_SOCKET:
            return replace(config, keepalive=value != 0)
        case socket.TCP_SYNCNT:
            _check(value, 1, 127)
            return replace(config, r2_syn=_time_of(value, config))
        case socket.TCP_LINGER2:
            return replace(config, fin_timeout=_fin_timeout(value, default))
        case socket.TCP_DEFER_ACCEPT:
            return replace(config, defer_accept=_retries_in(value * SECOND, config) + 1 if value > 0 else 0)
        case _:
            if value:
                _check(value, MAXSEG_LEAST, MAXSEG_MOST)
            return replace(config, max_segment=value or None)


def _fin_timeout(seconds: int, default: StackConfig) -> int:
    """TCP_LINGER2: below 0 there is no FIN-WAIT-2 for a socket that was closed, 0 is the stack's own."""
    if seconds < 0:
        return 0
    return min(seconds, FIN_TIMEOUT_MOST) * SECOND or default.fin_timeout


def _time_of(retries: int, config: StackConfig) -> int:
    """How long a SYN and so many repetitions of it take, each given twice the time of the one before."""
    return sum(min(config.rto_initial << attempt, config.rto_max) for attempt in range(retries + 1))


def _retries_in(time: int, config: StackConfig) -> int:
    """How many repetitions it takes until ``time`` has passed."""
    retries = 0
    while retries < TCP_DEFER_ACCEPT_MOST and _time_of(retries, config) < time:
        retries += 1
    return retries


def _check(value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidArgument(f"the option must be {least} to {most}, not {value}")
