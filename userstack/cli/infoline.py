"""A connection's TCP_INFO as ``ss -tin`` of iproute2 prints it: the same words, in the same order and units.

As there, times are milliseconds, rates bits in a second, and most of what is 0 is left out.
"""

from collections.abc import Iterator, Mapping

from userstack.tcp.linux_info import OPT_ECN, OPT_ECN_SEEN, OPT_SACK, OPT_SYN_DATA, OPT_TIMESTAMPS, OPT_WSCALE

Told = Mapping[str, int]
"""The fields of ``linux_info.values``."""

_OPTIONS = {OPT_TIMESTAMPS: "ts", OPT_SACK: "sack", OPT_ECN: "ecn", OPT_ECN_SEEN: "ecnseen", OPT_SYN_DATA: "fastopen"}
_NOTHING_MEASURED = 0xFFFFFFFF
_NO_RATE = 0xFFFFFFFFFFFFFFFF
_NEVER_SET = 0xFFFF
"""``ssthresh`` from here on is not worth telling."""
_FIRST_RTO = 3_000_000
_USUAL_REORDERING = 3


def format_line(told: Told, congestion: str) -> str:
    """The whole line, without what stands before it."""
    return " ".join(_words(told, congestion))


def _words(told: Told, congestion: str) -> Iterator[str]:
    bits = told["tcpi_options"]
    yield from (word for bit, word in _OPTIONS.items() if bits & bit)
    yield congestion
    if bits & OPT_WSCALE:
        yield f"wscale:{told['tcpi_snd_wscale']},{told['tcpi_rcv_wscale']}"
    yield from _timing(told)
    yield from _plain(told, "mss:snd_mss pmtu rcvmss:rcv_mss advmss cwnd:snd_cwnd")
    if told["tcpi_snd_ssthresh"] < _NEVER_SET:
        yield f"ssthresh:{told['tcpi_snd_ssthresh']}"
    yield from _plain(told, "bytes_sent bytes_retrans bytes_acked bytes_received segs_out segs_in data_segs_out data_segs_in")
    yield from _pace(told)
    yield from _limits(told)
    yield from _plain(told, "unacked")
    if told["tcpi_retrans"] or told["tcpi_total_retrans"]:
        yield f"retrans:{told['tcpi_retrans']}/{told['tcpi_total_retrans']}"
    yield from _plain(told, "lost sacked dsack_dups")
    if told["tcpi_reordering"] != _USUAL_REORDERING:
        yield f"reordering:{told['tcpi_reordering']}"
    yield from _plain(told, "reord_seen")
    if told["tcpi_rcv_rtt"]:
        yield f"rcv_rtt:{_ms(told['tcpi_rcv_rtt'])}"
    yield from _plain(told, "rcv_space rcv_ssthresh notsent:notsent_bytes")
    if told["tcpi_min_rtt"] not in (0, _NOTHING_MEASURED):
        yield f"minrtt:{_ms(told['tcpi_min_rtt'])}"
    yield from _plain(told, "rcv_ooopack snd_wnd rcv_wnd rehash")


def _plain(told: Told, fields: str) -> Iterator[str]:
    """``word:field``, or one name for both; what is 0 is left out."""
    for item in fields.split():
        word, _, field = item.partition(":")
        if told[f"tcpi_{field or word}"]:
            yield f"{word}:{told[f'tcpi_{field or word}']}"


def _timing(told: Told) -> Iterator[str]:
    if told["tcpi_rto"] and told["tcpi_rto"] != _FIRST_RTO:
        yield f"rto:{_ms(told['tcpi_rto'])}"
    yield from _plain(told, "backoff")
    if told["tcpi_rtt"]:
        yield f"rtt:{_ms(told['tcpi_rtt'])}/{_ms(told['tcpi_rttvar'])}"
    if told["tcpi_ato"]:
        yield f"ato:{_ms(told['tcpi_ato'])}"


def _pace(told: Told) -> Iterator[str]:
    """What the window would allow in a round trip, when something happened last, and the rates."""
    if told["tcpi_rtt"] and told["tcpi_snd_mss"] and told["tcpi_snd_cwnd"]:
        yield f"send {told['tcpi_snd_cwnd'] * told['tcpi_snd_mss'] * 8_000_000 / told['tcpi_rtt']:.0f}bps"
    yield from _plain(told, "lastsnd:last_data_sent lastrcv:last_data_recv lastack:last_ack_recv")
    if told["tcpi_pacing_rate"] not in (0, _NO_RATE):
        most = told["tcpi_max_pacing_rate"]
        limit = "" if most in (0, _NO_RATE) else f"/{most * 8}bps"
        yield f"pacing_rate {told['tcpi_pacing_rate'] * 8}bps{limit}"
    if told["tcpi_delivery_rate"]:
        yield f"delivery_rate {told['tcpi_delivery_rate'] * 8}bps"
    yield from _plain(told, "delivered delivered_ce")
    if told["tcpi_delivery_rate_app_limited"]:
        yield "app_limited"


def _limits(told: Told) -> Iterator[str]:
    busy = told["tcpi_busy_time"]
    if not busy:
        return
    yield f"busy:{busy // 1000}ms"
    for name in ("rwnd_limited", "sndbuf_limited"):
        spent = told[f"tcpi_{name}"]
        if spent:
            yield f"{name}:{spent // 1000}ms({100 * spent / busy:.1f}%)"


def _ms(microseconds: int) -> str:
    return f"{microseconds / 1000:g}"


def format_timer(name: str, left: int, again: int) -> str:
    """``timer:(keepalive,119min,0)``; ``left`` in ns. Empty where nothing that ss knows runs."""
    return f"timer:({name},{_left(max(left, 0) // 1_000_000)},{again})" if name else ""


def _left(milliseconds: int) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    text = ""
    if minutes:
        text, milliseconds = f"{minutes}min", 0
        seconds = 0 if minutes > 9 else seconds
    if seconds:
        milliseconds = 0 if seconds > 9 else milliseconds
        text += f"{seconds}." if milliseconds else f"{seconds}sec"
    return text + (f"{milliseconds:03}ms" if milliseconds or not text else "")
