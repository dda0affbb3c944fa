"""The sysctls of scripts: what each means here, and that nothing is passed over in silence."""

import pytest

from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.drill.errors import NotSupported
from userstack.drill.shell import Setting
from userstack.drill.sysctls import TABLE, apply, check_live, profile_of

LINUX = """tcp_sack tcp_dsack tcp_timestamps tcp_window_scaling tcp_ecn tcp_fastopen tcp_fastopen_key tcp_frto tcp_recovery
 tcp_early_retrans tcp_reordering tcp_congestion_control tcp_slow_start_after_idle tcp_rmem tcp_wmem tcp_syncookies tcp_syn_retries
 tcp_synack_retries tcp_notsent_lowat tcp_min_tso_segs tcp_mtu_probing tcp_keepalive_time tcp_keepalive_intvl tcp_keepalive_probes
 tcp_fin_timeout tcp_abort_on_overflow ip_no_pmtu_disc"""
FREEBSD = """rfc1323 sack.enable ecn.enable blackhole recvspace sendspace hostcache.purgenow insecure_rst insecure_syn drop_synfin
 syncookies syncookies_only rexmit_initial rexmit_slop rexmit_drop_options delacktime keepinit keepidle keepintvl keepcnt
 fastopen.server_enable fastopen.client_enable icmp_may_rst mssdflt pmtud_blackhole_detection"""


@pytest.mark.parametrize(
    "name",
    [
        *(f"net.ipv4.{name}" for name in LINUX.split()),
        *(f"net.inet.tcp.{name}" for name in FREEBSD.split()),
        "kern.ipc.maxsockbuf",
    ],
)
def test_the_names_that_scripts_use_are_known(name: str) -> None:
    assert name in TABLE


def made(name: str, value: str) -> StackConfig:
    return apply([Setting(name, value)], StackConfig())


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("net.ipv4.tcp_sack", "0", "sack", False),
        ("net.ipv4.tcp_sack", "1", "sack", True),
        ("net.ipv4.tcp_dsack", "0", "dsack", False),
        ("net.ipv4.tcp_min_snd_mss", "88", "min_snd_mss", 88),
        ("net.inet.tcp.minmss", "256", "min_snd_mss", 256),
        ("net.ipv4.tcp_timestamps", "0", "timestamps", False),
        ("net.ipv4.tcp_timestamps", "2", "timestamps", True),
        ("net.ipv4.tcp_window_scaling", "0", "window_scaling", False),
        ("net.ipv4.tcp_rmem", "4096 131072 6291456", "window_scale", 7),
        ("net.ipv4.tcp_rmem", "4096\t131072\t65535", "window_scale", None),
        ("net.ipv4.tcp_rmem", "4096 131072 33554432", "window_scale", 10),
        ("net.ipv4.tcp_wmem", "4096 16384 4194304", "send_buffer", 16384),
        ("net.ipv4.tcp_ecn", "0", "ecn", 0),
        ("net.ipv4.tcp_ecn", "1", "ecn", 1),
        ("net.ipv4.tcp_ecn", "3", "ecn", None),
        ("net.inet.tcp.ecn.enable", "0", "ecn", 0),
        ("net.inet.tcp.ecn.enable", "2", "ecn", 2),
        ("net.ipv4.tcp_recovery", "1", "rack", True),
        ("net.ipv4.tcp_recovery", "2", "rack", False),
        ("net.ipv4.tcp_keepalive_time", "5", "keepalive_time", 5 * SECOND),
        ("net.inet.tcp.keepintvl", "1000", "keepalive_intvl", SECOND),
        ("net.ipv4.tcp_fin_timeout", "5", "fin_timeout", 5 * SECOND),
        ("net.ipv4.tcp_fin_timeout", "0", "fin_timeout", 1),
        ("net.ipv4.tcp_orphan_retries", "3", "orphan_retries", 3),
        ("net.ipv4.tcp_max_orphans", "5", "max_orphans", 5),
        ("net.ipv4.tcp_retries1", "5", "r1", 5),
        ("net.ipv4.tcp_retries2", "2", "r2", 7 * SECOND),
        ("net.ipv4.tcp_synack_retries", "1", "r2_synack", 3 * SECOND),
        ("net.ipv4.tcp_syn_retries", "2", "r2_syn", 7 * SECOND),
        ("net.ipv4.tcp_syn_retries", "7", "r2_syn", (1 + 2 + 4 + 8 + 16 + 32 + 60 + 60) * SECOND),
        ("net.ipv4.tcp_challenge_ack_limit", "2147483647", "challenge_ack_limit", 2147483647),
        ("net.ipv4.ip_no_pmtu_disc", "1", "path_mtu_discovery", False),
        ("net.ipv4.ip_default_ttl", "7", "default_ttl", 7),
        ("net.ipv4.ip_local_port_range", "1024 2048", "ephemeral_ports", (1024, 2048)),
        ("net.ipv4.tcp_fastopen", "0x70403", "fast_open", 0x70403),
        ("net.ipv4.tcp_fastopen_blackhole_timeout_sec", "3600", "fast_open_blackhole_timeout", 3600 * SECOND),
        ("net.ipv4.tcp_fastopen_key", "03020100-07060504-0b0a0908-0f0e0d0c", "fast_open_key", bytes(range(16))),
        ("net.ipv4.tcp_fastopen_key", "1-0-0-0,2-0-0-0", "fast_open_key", b"\1" + bytes(15) + b"\2" + bytes(15)),
        ("net.inet.tcp.fastopen.server_enable", "1", "fast_open", 3),
        ("net.inet.tcp.fastopen.client_enable", "0", "fast_open", 0),
        ("net.inet.tcp.fastopen.acceptany", "1", "fast_open", 0x201),
        ("net.ipv4.tcp_syncookies", "0", "syncookies", 0),
        ("net.ipv4.tcp_syncookies", "2", "syncookies", 2),
        ("net.ipv4.tcp_syncookies", "3", "syncookies", None),
        ("net.ipv4.tcp_max_syn_backlog", "8", "syn_backlog", 8),
        ("net.core.somaxconn", "7", "somaxconn", 7),
        ("net.ipv4.tcp_abort_on_overflow", "1", "abort_on_overflow", True),
        ("net.ipv4.tcp_tw_reuse", "1", "tw_reuse", 1),
        ("net.ipv4.tcp_tw_reuse", "3", "tw_reuse", None),
        ("net.ipv4.tcp_tw_reuse_delay", "250", "tw_reuse_delay", 250 * MILLISECOND),
        ("net.ipv4.tcp_rfc1337", "1", "rfc1337", True),
        ("net.ipv4.tcp_invalid_ratelimit", "20", "invalid_ratelimit", 20 * MILLISECOND),
        ("net.inet.tcp.syncookies", "0", "syncookies", 0),
        ("net.inet.tcp.syncookies_only", "1", "syncookies", 2),
        ("net.inet.tcp.syncookies_only", "0", "syncookies", 1),
        ("net.inet.tcp.rfc1323", "0", "window_scaling", False),
        ("net.inet.tcp.rfc1323", "0", "timestamps", False),
        ("net.inet.tcp.insecure_rst", "1", "insecure_rst", True),
        ("net.inet.tcp.insecure_syn", "1", "insecure_syn", True),
        ("net.inet.tcp.recvspace", "8192", "receive_buffer", 8192),
        ("net.inet.tcp.sendspace", "8192", "send_buffer", 8192),
        ("net.inet.tcp.rexmit_initial", "3000", "rto_initial", 3 * SECOND),
        ("net.inet.tcp.keepinit", "75000", "r2_syn", 75 * SECOND),
        ("net.inet.tcp.delacktime", "100", "delayed_ack", 100 * MILLISECOND),
        ("net.inet.tcp.msl", "500", "msl", 500 * MILLISECOND),
    ],
)
def test_a_setting_changes_its_field(name: str, value: str, field: str, expected: object) -> None:
    if expected is None:
        with pytest.raises(NotSupported):
            made(name, value)
    else:
        assert getattr(made(name, value), field) == expected


@pytest.mark.parametrize(("value", "rack"), [("0", False), ("3", True), ("4", True)])
def test_tail_loss_probes_come_with_rack_or_not_at_all(value: str, rack: bool) -> None:
    assert apply([Setting("net.ipv4.tcp_early_retrans", value)], StackConfig.linux()).rack is rack


def test_settings_are_made_one_after_the_other() -> None:
    config = apply([Setting("net.ipv4.tcp_sack", "0"), Setting("net.ipv4.tcp_sack", "1")], StackConfig())
    assert config.sack


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("net.ipv4.tcp_unheard_of", "1"),
        ("net.ipv4.tcp_sack", "many"),
        ("net.ipv4.tcp_sack", "-1"),
        ("net.ipv4.tcp_sack", ""),
        ("net.ipv4.tcp_rmem", "1 2"),
        ("net.ipv4.ip_default_ttl", "256"),
        ("net.ipv4.tcp_congestion_control", "bbr"),
        ("net.ipv4.tcp_mtu_probing", "2"),
        ("net.ipv4.tcp_fastopen", "-1"),
        ("net.ipv4.tcp_fastopen_key", "1-2-3"),
        ("net.ipv4.tcp_fastopen_key", "123456789-0-0-0"),
        ("net.ipv4.tcp_fastopen_key", "1-2-3-4,1-2-3-4,1-2-3-4"),
        ("net.inet.tcp.blackhole", "1"),
        ("net.inet.tcp.cc.algorithm", "dctcp"),
        ("net.inet.tcp.functions_default", "rack"),
        ("kern.maxfiles", "1"),
    ],
)
def test_what_is_not_known_or_not_there_skips_the_script(name: str, value: str) -> None:
    with pytest.raises(NotSupported) as refusal:
        made(name, value)
    assert refusal.value.reason.startswith(f"sysctl {name}")


def test_within_a_script_only_what_means_nothing_may_be_set() -> None:
    check_live([Setting("net.inet.tcp.hostcache.purgenow", "1"), Setting("net.ipv4.tcp_mtu_probing", "0")])
    with pytest.raises(NotSupported, match="within a script"):
        check_live([Setting("net.ipv4.tcp_sack", "0")])
    with pytest.raises(NotSupported, match="tcp_mtu_probing=1"):
        check_live([Setting("net.ipv4.tcp_mtu_probing", "1")])


@pytest.mark.parametrize(
    ("names", "profile"),
    [
        ([], "default"),
        (["net.ipv4.tcp_sack"], "linux"),
        (["net.ipv6.conf.tun0.hop_limit"], "linux"),
        (["kern.ipc.maxsockbuf"], "freebsd"),
        (["net.inet.tcp.rfc1323"], "freebsd"),
        (["kern.maxfiles"], "default"),
    ],
)
def test_the_names_tell_the_system(names: list[str], profile: str) -> None:
    assert profile_of([Setting(name, "1") for name in names]) == profile
