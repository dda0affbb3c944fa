"""Socket options that scripts set in passing, and those that tell something."""

import pytest

from tests.drill.running import OPEN, check_fails, check_passes, check_skipped


@pytest.mark.parametrize("option", ["SO_DEBUG", "SO_PRIORITY", "SO_REUSEPORT", "SO_NOSIGPIPE"])
def test_options_that_change_nothing_can_be_set(option: str) -> None:
    check_passes(f" 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 setsockopt(3, SOL_SOCKET, {option}, [1], 4) = 0\n")
    check_fails(
        f" 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 setsockopt(3, SOL_SOCKET, {option}, [1], 4) = -1 EINVAL\n",
        "setsockopt: expected -1 EINVAL, got 0",
    )


def test_a_congestion_control_can_be_one_of_those_that_are_alike_until_something_is_lost() -> None:
    check_passes(OPEN + '+0 setsockopt(4, SOL_TCP, TCP_CONGESTION, "reno", 4) = 0\n')
    check_passes(OPEN + '+0 setsockopt(4, SOL_TCP, TCP_CONGESTION, ["cubic"], 5) = 0\n')
    check_skipped(OPEN + '+0 setsockopt(4, SOL_TCP, TCP_CONGESTION, "bbr", 3) = 0\n', "setsockopt SOL_TCP TCP_CONGESTION")


def test_the_tcp_of_freebsd_can_be_its_own() -> None:
    choose = OPEN + '+0 setsockopt(4, IPPROTO_TCP, TCP_FUNCTION_BLK, {{function_set_name="{}", pcbcnt=0}}, 36) = 0\n'
    check_passes(choose.format("freebsd"))
    check_skipped(choose.format("rack"), "setsockopt IPPROTO_TCP TCP_FUNCTION_BLK")


def test_tcp_info_as_a_structure() -> None:
    ask = OPEN + "+0 getsockopt(4, IPPROTO_TCP, TCP_INFO, {{{}}}, [244]) = 0\n"
    check_passes(ask.format("tcpi_state=TCPS_ESTABLISHED, tcpi_options=0, tcpi_rtt=..."))
    check_passes(ask.format("tcpi_state=TCP_ESTABLISHED"))
    check_fails(ask.format("tcpi_state=TCPS_CLOSING"), "getsockopt: tcpi_state: expected TCPS_CLOSING, got 1")
    check_skipped(ask.format("tcpi_snd_zerowin=0"), "tcpi_snd_zerowin of TCP_INFO")


def test_the_length_of_what_an_option_tells() -> None:
    made = " 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
    for length in ("[4]", "[...]", "..."):
        check_passes(f"{made}+0 getsockopt(3, SOL_SOCKET, SO_TYPE, [SOCK_STREAM], {length}) = 0\n")
    check_fails(f"{made}+0 getsockopt(3, SOL_SOCKET, SO_TYPE, [SOCK_STREAM], [5]) = 0\n", "getsockopt: length: expected 5, got 4")


def test_an_option_that_is_not_there_skips_whatever_else_the_script_expects_of_it() -> None:
    script = " 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 setsockopt(3, SOL_TCP, {}, [1], 4) = {}\n"
    for result in ("0", "-1 EPERM (Operation not permitted)"):
        check_skipped(script.format("TCP_REPAIR", result), "setsockopt SOL_TCP TCP_REPAIR")
    check_passes(script.format(9999, "-1 ENOPROTOOPT (Protocol not available)"))
