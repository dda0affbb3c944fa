"""Settings that cannot be are refused when they are made, by name."""

from typing import Any

import pytest

from userstack.config import SECOND, StackConfig
from userstack.errors import InvalidArgument


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tos", 300),
        ("syn_backlog", 0),
        ("max_connections", -1),
        ("msl", 1.5),
        ("msl", 0),
        ("delayed_ack", SECOND // 2),
        ("override_timeout", 2 * SECOND),
        ("default_ttl", 256),
        ("hop_limit", 256),
        ("traffic_class", -1),
        ("rto_min", 61 * SECOND),
        ("ephemeral_ports", (2000, 1000)),
        ("window_scale", 15),
        ("window_scale", -1),
        ("timestamp_clock", 58),
        ("timestamp_clock", SECOND + 1),
        ("option_layout", "windows"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(name: str, value: object) -> None:
    values: dict[str, Any] = {name: value}
    with pytest.raises(InvalidArgument, match=name):
        StackConfig(**values)


def test_ipv6_follows_ipv4_unless_it_is_told_otherwise() -> None:
    both, own = StackConfig(default_ttl=33, tos=8), StackConfig(default_ttl=33, tos=8, hop_limit=0, traffic_class=4)
    assert [(both.ttl_for(address), both.tos_for(address)) for address in (bytes(4), bytes(16))] == [(33, 8), (33, 8)]
    assert [(own.ttl_for(address), own.tos_for(address)) for address in (bytes(4), bytes(16))] == [(33, 8), (0, 4)]


def test_the_defaults_are_the_rfcs() -> None:
    config = StackConfig()
    assert (config.rto_initial, config.rto_min) == (SECOND, SECOND)
    assert config.r2 >= 100 * SECOND
    assert config.r2_syn >= 180 * SECOND
    assert config.delayed_ack < SECOND // 2
