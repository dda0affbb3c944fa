"""The sysctls that scripts set, by their names on Linux and on FreeBSD, and what each is here: a setting, nothing, or not there.

Law: a name that is not in the table, and a value that asks for what userstack does not have, skip the script.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from userstack.config import FAST_OPEN_CLIENT, FAST_OPEN_SERVER, FAST_OPEN_WITHOUT_COOKIE, MILLISECOND, SECOND, StackConfig
from userstack.drill.errors import NotSupported
from userstack.drill.shell import Setting
from userstack.errors import InvalidArgument

Change = Callable[[str, StackConfig], dict[str, Any]]
"""What a value changes: fields of the configuration with their new values. ``ValueError``: it cannot be."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one name means; ``live``: it can change while connections are there, because it means nothing here."""

    change: Change
    live: bool = False


def profile_of(settings: Iterable[Setting]) -> str:
    """The system that a script was written for, by the names of its settings: ``linux``, ``freebsd`` or ``default``."""
    names = {_canonical(setting.name) for setting in settings}
    if any(name.startswith(_LINUX_PREFIXES) for name in names):
        return "linux"
    if any(name.startswith(_FREEBSD_PREFIXES) for name in names):
        return "freebsd"
    return "default"


def apply(settings: Iterable[Setting], config: StackConfig) -> StackConfig:
    """``config`` with the settings made, one after the other.

    Raises:
        NotSupported: one of them is not known, or cannot be honoured.
    """
    for setting in settings:
        meaning = _meaning(setting)
        try:
            config = replace(config, **meaning.change(setting.value, config))
        except (ValueError, InvalidArgument):
            raise NotSupported(f"sysctl {setting.name}={setting.value}") from None
    return config


def check_live(settings: Iterable[Setting]) -> None:
    """Settings that are made in the middle of a script.

    Raises:
        NotSupported: one of them would have to change how the running system behaves.
    """
    for setting in settings:
        if not _meaning(setting).live:
            raise NotSupported(f"sysctl {setting.name} within a script")
        apply([setting], StackConfig())


def _meaning(setting: Setting) -> Meaning:
    meaning = TABLE.get(_canonical(setting.name))
    if meaning is None:
        raise NotSupported(f"sysctl {setting.name}")
    return meaning


def _canonical(name: str) -> str:
    """Linux keeps the settings of an interface under its name; here is only one."""
    return re.sub(r"\.conf\.[^.]+\.", ".conf.all.", name)


# --- the kinds of meaning ---


def _nothing(_: str, __: StackConfig) -> dict[str, Any]:
    return {}


def _only(*values: str) -> Meaning:
    """With one of these values nothing changes; the others ask for what is not there."""

    def change(text: str, _: StackConfig) -> dict[str, Any]:
        if " ".join(text.split()) not in values:
            raise ValueError(text)
        return {}

    return Meaning(change, live=True)


def _switch(*fields: str) -> Meaning:
    """0 is off, 1 (and for Linux also 2) is on."""

    def change(text: str, _: StackConfig) -> dict[str, Any]:
        return dict.fromkeys(fields, _number(text, 0, 2) != 0)

    return Meaning(change)


def _inverted(field: str) -> Meaning:
    return Meaning(lambda text, _: {field: _number(text, 0, 3) == 0})


def _number_of(field: str, unit: int = 1) -> Meaning:
    """A count, or a time whose unit has that many nanoseconds."""
    return Meaning(lambda text, _: {field: _number(text) * unit})


def _number(text: str, least: int = 0, most: int = 2**63) -> int:
    value = int(text, 0)
    if not least <= value <= most:
        raise ValueError(text)
    return value


def _three(text: str) -> tuple[int, int, int]:
    """``"4096 131072 6291456"``."""
    least, default, most = (int(word) for word in text.replace(",", " ").split())
    if not 0 < least <= default <= most:
        raise ValueError(text)
    return least, default, most


def _tcp_rmem(text: str, _: StackConfig) -> dict[str, Any]:
    """The scale is such that the largest buffer could be offered; half of the default buffer is window, the rest overhead."""
    _least, default, most = _three(text)
    return {"receive_buffer": default // 2, "window_scale": _scale(most)}


def _scale(space: int) -> int:
    return min(max(math.ceil(math.log2((space + 1) / 65536)), 0), 14)


def _tcp_wmem(text: str, _: StackConfig) -> dict[str, Any]:
    return {"send_buffer": _three(text)[1]}


def _retries(field: str) -> Change:
    """So many retransmissions of a SYN, each after twice the time: the connection ends when the last one's time has passed."""

    def change(text: str, config: StackConfig) -> dict[str, Any]:
        return {field: _backed_off(config.rto_initial, _number(text, 1, 127), config.rto_max)}

    return change


def _retries2(text: str, config: StackConfig) -> dict[str, Any]:
    return {"r2": _backed_off(config.rto_min, _number(text, 1, 127), config.rto_max)}


def _backed_off(rto: int, retries: int, most: int) -> int:
    return sum(min(rto << attempt, most) for attempt in range(retries + 1))


def _port_range(text: str, _: StackConfig) -> dict[str, Any]:
    first, last = (int(word) for word in text.split())
    return {"ephemeral_ports": (first, last)}


_ECN = Meaning(lambda text, _: {"ecn": _number(text, 0, 2)})
"""Both systems count alike: never, asked for and accepted, accepted; beyond these lies Accurate ECN."""


def _early_retrans(text: str, _: StackConfig) -> dict[str, Any]:
    """0 turns tail loss probes off, which come with RACK or not at all; 3 and 4 have them on."""
    return {} if _number(text, 0, 4) >= 3 else {"rack": False}


def _fast_open_key(text: str, _: StackConfig) -> dict[str, Any]:
    """``"a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4"``, and after a comma a second one; each number stands with its least octet first."""
    keys = [re.fullmatch("-".join(["([0-9a-fA-F]{1,8})"] * 4), key.strip()) for key in text.split(",")]
    if len(keys) > 2 or None in keys:
        raise ValueError(text)
    words = (word for key in keys if key is not None for word in key.groups())
    return {"fast_open_key": b"".join(int(word, 16).to_bytes(4, "little") for word in words)}


def _fast_open_bit(bit: int) -> Meaning:
    """Linux has in one number what FreeBSD has names for."""

    def change(text: str, config: StackConfig) -> dict[str, Any]:
        return {"fast_open": config.fast_open | bit if _number(text, 0, 1) else config.fast_open & ~bit}

    return Meaning(change)


NOTHING = Meaning(_nothing, live=True)
"""It changes nothing that can be seen of userstack: caches that it does not have, how a kernel cuts, paces or accounts."""

_LINUX: Mapping[str, Meaning] = {
    # options and what they bring
    "tcp_sack": _switch("sack"),
    "tcp_dsack": _switch("dsack"),
    "tcp_timestamps": _switch("timestamps"),
    "tcp_window_scaling": _switch("window_scaling"),
    "tcp_fack": NOTHING,
    "tcp_fastopen": _number_of("fast_open"),
    "tcp_fastopen_key": Meaning(_fast_open_key),
    "tcp_fastopen_blackhole_timeout_sec": _number_of("fast_open_blackhole_timeout", SECOND),
    "tcp_ecn": _ECN,
    "tcp_ecn_fallback": NOTHING,
    # recovery and congestion control
    "tcp_congestion_control": _only("reno", "cubic"),  # alike until something is lost
    "tcp_slow_start_after_idle": _switch("slow_start_after_idle"),
    "tcp_frto": NOTHING,
    "tcp_recovery": Meaning(lambda text, _: {"rack": _number(text, 0, 7) & 1 != 0}),
    "tcp_early_retrans": Meaning(_early_retrans),
    "tcp_reordering": _only("3"),
    "tcp_max_reordering": NOTHING,
    "tcp_no_metrics_save": NOTHING,
    "tcp_no_ssthresh_metrics_save": NOTHING,
    "tcp_thin_linear_timeouts": _only("0"),
    "tcp_thin_dupack": _only("0"),
    "tcp_syn_linear_timeouts": _only("0"),
    # buffers
    "tcp_rmem": Meaning(_tcp_rmem),
    "tcp_wmem": Meaning(_tcp_wmem),
    "tcp_mem": NOTHING,
    "tcp_moderate_rcvbuf": NOTHING,
    "tcp_adv_win_scale": _only("1"),
    "tcp_app_win": NOTHING,
    "tcp_notsent_lowat": _only("4294967295", "-1", "2147483647"),
    "tcp_shrink_window": _only("0"),
    "tcp_workaround_signed_windows": _only("0"),
    # cutting and pacing
    "tcp_min_tso_segs": NOTHING,
    "tcp_tso_win_divisor": NOTHING,
    "tcp_tso_rtt_log": NOTHING,
    "tcp_limit_output_bytes": NOTHING,
    "tcp_pacing_ss_ratio": NOTHING,
    "tcp_pacing_ca_ratio": NOTHING,
    "tcp_autocorking": NOTHING,
    "tcp_comp_sack_delay_ns": NOTHING,
    "tcp_comp_sack_slack_ns": NOTHING,
    "tcp_comp_sack_nr": NOTHING,
    "tcp_backlog_ack_defer": NOTHING,
    # opening
    "tcp_syncookies": _number_of("syncookies"),
    "tcp_syn_retries": Meaning(_retries("r2_syn")),
    "tcp_synack_retries": Meaning(_retries("r2_synack")),
    "tcp_max_syn_backlog": _number_of("syn_backlog"),
    "tcp_abort_on_overflow": _switch("abort_on_overflow"),
    "tcp_migrate_req": _only("0"),
    # time
    "tcp_fin_timeout": Meaning(lambda text, _: {"fin_timeout": max(_number(text) * SECOND, 1)}),
    "tcp_keepalive_time": _number_of("keepalive_time", SECOND),
    "tcp_keepalive_intvl": _number_of("keepalive_intvl", SECOND),
    "tcp_keepalive_probes": _number_of("keepalive_probes"),
    "tcp_orphan_retries": _number_of("orphan_retries"),
    "tcp_max_orphans": _number_of("max_orphans"),
    "tcp_retries1": _number_of("r1"),
    "tcp_retries2": Meaning(_retries2),
    "tcp_tw_reuse": _number_of("tw_reuse"),
    "tcp_tw_reuse_delay": _number_of("tw_reuse_delay", MILLISECOND),
    "tcp_tw_recycle": _only("0"),
    "tcp_max_tw_buckets": _number_of("time_wait_max"),
    "tcp_rfc1337": _switch("rfc1337"),
    # answers and limits
    "tcp_challenge_ack_limit": _number_of("challenge_ack_limit"),
    "tcp_invalid_ratelimit": _number_of("invalid_ratelimit", MILLISECOND),
    "tcp_stdurg": _switch("stdurg"),
    # path MTU
    "ip_no_pmtu_disc": _inverted("path_mtu_discovery"),
    "tcp_mtu_probing": _only("0"),
    "tcp_base_mss": NOTHING,
    "tcp_min_snd_mss": _number_of("min_snd_mss"),
    "tcp_probe_interval": NOTHING,
    "tcp_probe_threshold": NOTHING,
    # the host
    "ip_default_ttl": _number_of("default_ttl"),
    "ip_local_port_range": Meaning(_port_range),
    "ip_forward": NOTHING,
    "tcp_metrics_save": NOTHING,
    "icmp_ratelimit": NOTHING,
    "icmp_msgs_per_sec": NOTHING,
    "icmp_msgs_burst": NOTHING,
    "conf.all.rp_filter": NOTHING,
    "conf.all.accept_local": NOTHING,
    "route.flush": NOTHING,
    "route.min_pmtu": _number_of("min_path_mtu"),
    "route.mtu_expires": _number_of("path_mtu_expires", SECOND),
    "conf.all.accept_source_route": _switch("accept_source_route"),
}

_FREEBSD: Mapping[str, Meaning] = {
    "rfc1323": _switch("timestamps", "window_scaling"),
    "sack.enable": _switch("sack"),
    "ecn.enable": _ECN,
    "hostcache.purgenow": NOTHING,
    "hostcache.purge": NOTHING,
    "hostcache.enable": NOTHING,
    "recvspace": _number_of("receive_buffer"),
    "sendspace": _number_of("send_buffer"),
    "recvbuf_auto": NOTHING,
    "recvbuf_max": NOTHING,
    "sendbuf_auto": NOTHING,
    "sendbuf_max": NOTHING,
    "insecure_rst": _switch("insecure_rst"),
    "insecure_syn": _switch("insecure_syn"),
    "insecure_ack": _only("0"),
    "tolerate_missing_ts": _switch("tolerate_missing_ts"),
    "drop_synfin": _only("1"),
    "blackhole": _only("0"),
    "syncookies": _number_of("syncookies"),
    "syncookies_only": Meaning(lambda text, _: {"syncookies": 2} if _number(text, 0, 1) else {}),
    "rexmit_initial": _number_of("rto_initial", MILLISECOND),
    "rexmit_min": _number_of("rto_min", MILLISECOND),
    "rexmit_slop": _number_of("rto_slop", MILLISECOND),
    "rexmit_drop_options": _only("0"),
    "delacktime": _number_of("delayed_ack", MILLISECOND),
    "delayed_ack": NOTHING,
    "keepinit": _number_of("r2_syn", MILLISECOND),
    "keepidle": _number_of("keepalive_time", MILLISECOND),
    "keepintvl": _number_of("keepalive_intvl", MILLISECOND),
    "keepcnt": _number_of("keepalive_probes"),
    "finwait2_timeout": _number_of("fin_timeout", MILLISECOND),
    "msl": _number_of("msl", MILLISECOND),
    "always_keepalive": _switch("keepalive"),
    "maxtcptw": _number_of("time_wait_max"),
    "path_mtu_discovery": _switch("path_mtu_discovery"),
    "pmtud_blackhole_detection": _only("0"),
    "mssdflt": _only("536"),
    "v6mssdflt": _only("1220"),
    "minmss": _number_of("min_snd_mss"),
    "icmp_may_rst": _only("1"),
    "initcwnd_segments": _number_of("initial_window"),
    "cc.algorithm": _only("newreno"),
    "functions_default": _only("freebsd"),
    "functions_inherit_listen_socket_stack": NOTHING,
    "rfc3042": _only("1"),
    "rfc3390": NOTHING,
    "rfc6675_pipe": NOTHING,
    "abc_l_var": _number_of("abc_limit"),
    "tso": NOTHING,
    "ts_offset_per_conn": NOTHING,
    "isn_reseed_interval": NOTHING,
    "reass.maxqueuelen": NOTHING,
    "reass.new_limit": NOTHING,
    "log_debug": NOTHING,
    "log_in_vain": NOTHING,
    "soreceive_stream": NOTHING,
    "fastopen.server_enable": _fast_open_bit(FAST_OPEN_SERVER),
    "fastopen.client_enable": _fast_open_bit(FAST_OPEN_CLIENT),
    "fastopen.ccache_bucket_limit": NOTHING,
    "fastopen.ccache_buckets": NOTHING,
    "fastopen.acceptany": _fast_open_bit(FAST_OPEN_WITHOUT_COOKIE),
    "fastopen.autokey": NOTHING,
    "fastopen.keylen": NOTHING,
    "fastopen.maxkeys": NOTHING,
    "fastopen.numkeys": NOTHING,
    "fastopen.setkey": NOTHING,
}

TABLE: Mapping[str, Meaning] = {
    **{f"net.ipv4.{name}": meaning for name, meaning in _LINUX.items()},
    **{f"net.inet.tcp.{name}": meaning for name, meaning in _FREEBSD.items()},
    "net.ipv6.auto_flowlabels": NOTHING,
    "net.ipv6.flowlabel_consistency": NOTHING,
    "net.ipv6.route.mtu_expires": _number_of("path_mtu_expires", SECOND),
    "net.ipv6.conf.all.hop_limit": _number_of("hop_limit"),
    "net.core.somaxconn": _number_of("somaxconn"),
    "net.core.rmem_max": NOTHING,
    "net.core.wmem_max": NOTHING,
    "net.core.rmem_default": NOTHING,
    "net.core.wmem_default": NOTHING,
    "net.core.default_qdisc": NOTHING,
    "net.core.optmem_max": NOTHING,
    "net.core.netdev_max_backlog": NOTHING,
    "kern.ipc.maxsockbuf": NOTHING,
    "kern.ipc.somaxconn": _number_of("somaxconn"),
    "kern.ipc.soacceptqueue": _number_of("somaxconn"),
    "kern.timecounter.alloweddeviation": NOTHING,
    "net.inet.ip.ttl": _number_of("default_ttl"),
    "net.inet.ip.random_id": NOTHING,
    "net.inet.ip.accept_sourceroute": _switch("accept_source_route"),
    "net.inet.icmp.icmplim": NOTHING,
}
"""Every sysctl that is known, by its whole name."""

_LINUX_PREFIXES = ("net.ipv4.", "net.ipv6.", "net.core.")
_FREEBSD_PREFIXES = ("net.inet.", "net.inet6.", "kern.ipc.", "kern.timecounter.")
