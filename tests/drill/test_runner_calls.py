"""The system calls: arguments, results, errnos, what they give out, and when they return."""

import pytest

from tests.drill.running import OPEN, check_fails, check_passes, check_skipped
from userstack.drill.settings import Variant

NONBLOCKING = OPEN + "+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n"
HUNDRED = "+0 < P. 1:101(100) ack 1 win 30000\n"
TEXT = '+0 < P. 1:6(5) ack 1 win 30000 "hello"\n'
RIGHT = (
    "fcntl(4, F_GETFL) = 2",
    "fcntl(4, F_GETFL) = 0x2 (flags O_RDWR)",
    "fcntl(4, F_GETFL) = ...",
    "write(4, ..., 10) = 10",
    "send(4, ..., 10, MSG_NOSIGNAL) = 10",
    "sendto(4, ..., 10, 0, ..., ...) = 10",
    "writev(4, [{..., 4}, {..., 6}], 2) = 10",
    "sendmsg(4, {msg_name(...)=..., msg_iov(2)=[{..., 4}, {..., 6}], msg_flags=0}, 0) = 10",
    "shutdown(4, SHUT_WR) = 0",
    "ioctl(4, SIOCINQ, [0]) = 0",
    "ioctl(4, SIOCOUTQ, [0]) = 0",
    "ioctl(4, FIONBIO, [1]) = 0",
    "getsockopt(4, SOL_SOCKET, SO_ERROR, [0], [4]) = 0",
    "getsockopt(4, SOL_TCP, TCP_MAXSEG, [1000], [4]) = 0",
    "setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0",
    'getsockname(4, {sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("192.168.0.1")}, [16]) = 0',
    "getpeername(4, ..., ...) = 0",
    "write(4, NULL, 10) = -1 EFAULT (Bad address)",
    "write(4, NULL, 0) = 0",
    "read(4, NULL, 0) = 0",
    "dup(4) = 5",
    "epoll_create(1) = 5",
    "close(9) = -1 EBADF (Bad file descriptor)",
    "read(9, ..., 1) = -1 EBADF (Bad file descriptor)",
    "listen(4, 1) = -1 EINVAL (Invalid argument)",
    "accept(4, ..., ...) = -1 EINVAL (Invalid argument)",
    "connect(4, ..., ...) = -1 EISCONN (Transport endpoint is already connected)",
    "bind(4, ..., ...) = -1 EINVAL (Invalid argument)",
)
"""Calls that the kernel answers so too: ``test_kernel`` asks it."""


@pytest.mark.parametrize("call", RIGHT)
def test_a_call_that_returns_what_the_script_says_passes(call: str) -> None:
    check_passes(f"{OPEN}+0 {call}\n")


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        ("write(4, ..., 10) = 9", "write: expected 9, got 10"),
        ("write(4, ..., 10) = -1 EPIPE (Broken pipe)", "write: expected -1 EPIPE, got 10"),
        ("close(9) = 0", "close: expected 0, got -1 EBADF (Bad file descriptor)"),
        ("listen(4, 1) = -1 EISCONN (x)", "listen: expected -1 EISCONN, got -1 EINVAL"),
        ("fcntl(4, F_GETFL) = 0", "fcntl: expected 0, got 2"),
        ("ioctl(4, SIOCINQ, [1]) = 0", "ioctl: SIOCINQ: expected [1], got 0"),
        ("getsockopt(4, SOL_TCP, TCP_MAXSEG, [999], [4]) = 0", "getsockopt: value: expected [999], got 1000"),
        ("dup(4) = 3", "dup: descriptor 3 is open already"),
        ("writev(4, [{..., 4}, {..., 6}], 3) = 10", "writev: [{..., 4}, {..., 6}] has not 3 members"),
        ("readv(4, [{..., 4}], 2) = 4", "readv: [{..., 4}] has not 2 members"),
        ("sendmsg(4, {msg_iov(2)=[{..., 4}]}, 0) = 4", "sendmsg: [{..., 4}] has not 2 members"),
        ("poll([{fd=4, events=POLLOUT}], 2, 0) = 1", "poll: [{fd=4, events=POLLOUT}] has not 2 members"),
        ("read(4, ..., 10) = 10", "read would block"),
        ("accept(3, ..., ...) = 5", "accept would block"),
        ("shutdown(4) = 0", "shutdown: shutdown takes 2 arguments, not 1"),
        ("write(4, ..., -1) = -1", "write: a buffer of -1 octets"),
        ('write(4, ..., "x") = 1', 'write: "x" is no number'),
        (
            'getsockname(4, {sa_family=AF_INET, sin_port=htons(1), sin_addr=inet_addr("10.0.0.1")}, ...) = 0',
            "address: expected 10.0.0.1",
        ),
        (
            'connect(4, {sa_family=AF_INET, sin_port=htons(1), sin_addr=inet_addr("nowhere")}, ...) = 0',
            "'nowhere' is no IP address",
        ),
    ],
)
def test_another_result_fails(call: str, complaint: str) -> None:
    check_fails(f"{OPEN}+0 {call}\n", complaint)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("send(4, ..., 10, MSG_ZEROCOPY) = 10", "flags MSG_ZEROCOPY"),
        ("recv(4, ..., 10, MSG_ERRQUEUE) = 10", "flags MSG_ERRQUEUE"),
        ("fcntl(4, F_GETOWN) = 0", "constant F_GETOWN"),
        ("fcntl(4, F_DUPFD, 9) = 9", "fcntl F_DUPFD"),
        ("ioctl(4, FIOASYNC, [1]) = 0", "ioctl FIOASYNC"),
        ("setsockopt(4, SOL_TCP, TCP_ULP, [0], 4) = 0", "setsockopt SOL_TCP TCP_ULP"),
        ("getsockopt(4, SOL_TCP, TCP_ULP, [0], [4]) = 0", "getsockopt SOL_TCP TCP_ULP"),
        ("socket(AF_UNIX, SOCK_STREAM, 0) = 5", "socket domain AF_UNIX"),
        ("socket(..., SOCK_STREAM, IPPROTO_MPTCP) = 5", "socket protocol IPPROTO_MPTCP"),
        ("select(4, ..., ..., ..., ...) = 0", "system call select"),
        ("sendfile(4, 5, [0], 10) = 10", "system call sendfile"),
        (
            "recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 9}], msg_flags=0, msg_control=[{cmsg_level=1}]}, 0) = 9",
            "control messages of sendmsg and recvmsg",
        ),
    ],
)
def test_a_call_that_is_not_there_skips_the_script(call: str, reason: str) -> None:
    check_skipped(f"{OPEN}+0 {call}\n", reason)


class TestReading:
    @pytest.mark.parametrize(
        "call",
        [
            "read(4, ..., 1000) = 100",
            "recv(4, ..., 1000, 0) = 100",
            "recvfrom(4, ..., 1000, MSG_DONTWAIT, ..., ...) = 100",
            "readv(4, [{..., 50}, {..., 60}], 2) = 100",
            "recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 1000}], msg_flags=0, msg_control=[]}, 0) = 100",
        ],
    )
    def test_each_way_reads_what_came(self, call: str) -> None:
        check_passes(f"{OPEN}{HUNDRED}+0 {call}\n")

    def test_octets_given_in_the_script_are_compared(self) -> None:
        check_passes(OPEN + TEXT + '+0 read(4, "hello", 10) = 5\n')
        check_passes(OPEN + TEXT + '+0 readv(4, [{"hel", 3}, {"lo", 10}], 2) = 5\n')
        check_fails(OPEN + TEXT + '+0 read(4, "hullo", 10) = 5\n', "octets read: expected b'hullo', got b'hello'")
        check_fails(OPEN + TEXT + '+0 readv(4, [{"hel", 3}, {"no", 10}], 2) = 5\n', "octets read: expected b'no', got b'lo'")

    def test_a_buffer_that_is_nowhere_leaves_all_there(self) -> None:
        check_passes(OPEN + TEXT + '+0 read(4, NULL, 5) = -1 EFAULT (Bad address)\n+0 read(4, "hello", 5) = 5\n')

    def test_peeking_leaves_all_there(self) -> None:
        check_passes(OPEN + TEXT + '+0 recv(4, "he", 2, MSG_PEEK) = 2\n+0 read(4, "hello", 10) = 5\n')
        check_passes(OPEN + HUNDRED + "+0 recv(4, ..., 60, MSG_PEEK) = 60\n+0 read(4, ..., 60) = 60\n+0 read(4, ..., 60) = 40\n")

    def test_waiting_for_all_sleeps_until_all_is_there(self) -> None:
        rest = "+.04 > . 1:1(0) ack 101\n+.06 < P. 101:201(100) ack 1 win 30000\n"
        check_passes(OPEN + HUNDRED + "+0...0.1 recv(4, ..., 200, MSG_WAITALL) = 200\n" + rest)
        check_fails(OPEN + HUNDRED + "+0 recv(4, ..., 200, MSG_WAITALL) = 100\n" + rest, "recv would block")

    def test_msg_flags_are_compared(self) -> None:
        call = "+0 recvmsg(4, {{msg_name(...)=..., msg_iov(1)=[{{..., 1000}}], msg_flags={}}}, 0) = 100\n"
        check_passes(OPEN + HUNDRED + call.format(0))
        check_fails(OPEN + HUNDRED + call.format("MSG_TRUNC"), "msg_flags: expected MSG_TRUNC, got 0")


class TestBlocking:
    def test_a_read_returns_when_text_comes(self) -> None:
        check_passes(OPEN + "+0...0.1 read(4, ..., 1000) = 100\n+.1 < P. 1:101(100) ack 1 win 30000\n")

    @pytest.mark.parametrize(
        ("end", "complaint"),
        [
            ("0.05", "expected to return at 0.050000, but it still blocks"),
            ("0.2", "expected at 0.200000, but it happened at 0.100000"),
        ],
    )
    def test_at_another_time_it_fails(self, end: str, complaint: str) -> None:
        read = f"+0...{end} read(4, ..., 1000) = 100\n"
        check_fails(OPEN + read + "+.1 < P. 1:101(100) ack 1 win 30000\n+.2 close(3) = 0\n", complaint)

    def test_it_is_waited_for_after_the_last_event(self) -> None:
        check_passes(
            OPEN + "+0 shutdown(4, SHUT_WR) = 0\n+0 > F. 1:1(0) ack 1\n+0...0.5 poll([{fd=4, events=POLLIN}], 1, 500) = 0\n"
        )
        check_fails(OPEN + "+0...0.5 read(4, ..., 10) = 10\n", "expected to return at 0.500000, but it still blocks")

    def test_two_calls_sleep_side_by_side(self) -> None:
        check_passes(
            OPEN
            + """
+0...0.2 read(4, ..., 1000) = 100
+0...0.1 poll([{fd=4, events=POLLIN}], 1, 100) = 0
+.2 < P. 1:101(100) ack 1 win 30000
"""
        )

    def test_a_write_sleeps_until_all_is_taken(self) -> None:
        check_passes(
            OPEN
            + """
+0 setsockopt(4, SOL_SOCKET, SO_SNDBUF, [3000], 4) = 0
+0...0.1 write(4, ..., 5000) = 5000
+0 > . 1:3001(3000) ack 1
+.1 < . 1:1(0) ack 3001 win 30000
+0 > P. 3001:5001(2000) ack 1
"""
        )

    def test_two_calls_on_one_descriptor_sleep_one_after_the_other(self) -> None:
        check_passes(
            OPEN
            + """
+0...0.1 read(4, ..., 100) = 100
+.1 < P. 1:101(100) ack 1 win 30000
+0...0.2 read(4, ..., 100) = 50
+.04 > . 1:1(0) ack 101
+.16 < P. 101:151(50) ack 1 win 30000
"""
        )

    def test_a_call_that_does_not_sleep_on_a_socket_that_does_not_block(self) -> None:
        check_passes(NONBLOCKING + "+0 read(4, ..., 10) = -1 EAGAIN (Resource temporarily unavailable)\n")

    def test_close_lingers(self) -> None:
        script = OPEN + "+0 setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=3}, 8) = 0\n"
        fin = "+0 > F. 1:1(0) ack 1\n"
        check_passes(script + "+0...0.1 close(4) = 0\n" + fin + "+.1 < . 1:1(0) ack 2 win 30000\n")
        check_fails(script + "+0 close(4) = 0\n" + fin, "close would block")


class TestPoll:
    @pytest.mark.parametrize(
        "call",
        [
            "poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLOUT}], 1, 0) = 1",
            "poll([{fd=4, events=POLLIN, revents=0}], 1, 0) = 0",
            "poll([{fd=3, events=POLLIN, revents=0}, {fd=4, events=POLLOUT, revents=POLLOUT}], 2, 0) = 1",
            "poll([{fd=9, events=POLLIN, revents=POLLNVAL}], 1, 0) = 1",
            "poll([{fd=-1, events=POLLIN, revents=0}], 1, 0) = 0",
        ],
    )
    def test_what_is_ready(self, call: str) -> None:
        check_passes(f"{OPEN}+0 {call}\n")

    def test_something_else_fails(self) -> None:
        check_fails(OPEN + "+0 poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLIN}], 1, 0) = 1\n", "revents of 4: expected POLLIN")
        check_fails(OPEN + "+0 poll([{fd=4, events=POLLIN}], 1, 0) = 1\n", "poll: expected 1, got 0")
        check_fails(OPEN + "+0 poll([{fd=4, events=POLLIN}], 1, 100) = 0\n", "poll would block")
        check_fails(OPEN + "+0 poll([7], 1, 100) = 0\n", "poll: 7 is no pollfd")

    def test_it_sleeps_until_something_is_ready_or_its_time_is_up(self) -> None:
        check_passes(OPEN + "+0...0.1 poll([{fd=4, events=POLLIN, revents=POLLIN}], 1, 1000) = 1\n+.1 < P. 1:9(8) ack 1 win 9\n")
        check_passes(OPEN + "+0...0.1 poll([{fd=4, events=POLLIN, revents=0}], 1, 100) = 0\n+.2 close(4) = 0\n")


class TestEpoll:
    WATCHED = NONBLOCKING + "+0 epoll_create(1) = 5\n+0 epoll_ctl(5, EPOLL_CTL_ADD, 4, {{events={}, fd=4}}) = 0\n"

    def test_level_triggered_tells_as_long_as_it_is_so(self) -> None:
        wait = "+0 epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 0) = 1\n"
        nothing = "+0 epoll_wait(5, {events=0, ptr=0}, 1, 0) = 0\n"
        check_passes(self.WATCHED.format("EPOLLIN") + nothing + HUNDRED + wait + wait + "+0 read(4, ..., 100) = 100\n" + nothing)

    def test_edge_triggered_tells_what_has_happened_since(self) -> None:
        wait = "+0 epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 0) = 1\n"
        nothing = "+0 epoll_wait(5, ..., 1, 0) = 0\n"
        again = "+0 < P. 101:201(100) ack 1 win 30000\n"
        check_passes(self.WATCHED.format("EPOLLIN|EPOLLET") + HUNDRED + wait + nothing + again + wait + nothing)

    def test_one_shot_tells_once_until_it_is_armed_again(self) -> None:
        wait = "+0 epoll_wait(5, {events=EPOLLOUT, fd=4}, 1, 0) = 1\n"
        arm = "+0 epoll_ctl(5, EPOLL_CTL_MOD, 4, {events=EPOLLOUT|EPOLLONESHOT, fd=4}) = 0\n"
        check_passes(self.WATCHED.format("EPOLLOUT|EPOLLONESHOT") + wait + "+0 epoll_wait(5, ..., 1, 0) = 0\n" + arm + wait)

    def test_a_socket_that_is_closed_is_not_watched_any_more(self) -> None:
        watched = self.WATCHED.format("EPOLLOUT")
        check_passes(watched + "+0 close(4) = 0\n+0 epoll_wait(5, ..., 1, 0) = 0\n")
        check_passes(watched + "+0 dup(4) = 6\n+0 close(4) = 0\n+0 epoll_wait(5, {events=EPOLLOUT, fd=4}, 1, 0) = 1\n")

    def test_it_sleeps(self) -> None:
        wait = "+0...0.1 epoll_wait(5, {events=EPOLLIN, fd=4}, 1, -1) = 1\n+.1 < P. 1:101(100) ack 1 win 30000\n"
        check_passes(self.WATCHED.format("EPOLLIN") + wait)

    def test_its_own_errors(self) -> None:
        check_passes(
            self.WATCHED.format("EPOLLIN")
            + """
+0 epoll_ctl(5, EPOLL_CTL_ADD, 4, {events=EPOLLIN, fd=4}) = -1 EEXIST (File exists)
+0 epoll_ctl(5, EPOLL_CTL_DEL, 4, {events=EPOLLIN, fd=4}) = 0
+0 epoll_ctl(5, EPOLL_CTL_MOD, 4, {events=EPOLLIN, fd=4}) = -1 ENOENT (No such file or directory)
+0 epoll_wait(4, ..., 1, 0) = -1 EINVAL (Invalid argument)
+0 close(5) = 0
"""
        )

    def test_other_events_or_data_fail(self) -> None:
        watched = self.WATCHED.format("EPOLLOUT")
        check_fails(watched + "+0 epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 0) = 1\n", "events: expected EPOLLIN, got 0x4")
        check_fails(watched + "+0 epoll_wait(5, {events=EPOLLOUT, fd=3}, 1, 0) = 1\n", "data: expected 3, got 4")


def test_a_descriptor_lives_as_long_as_one_of_its_numbers() -> None:
    closed = OPEN + "+0 dup(4) = 5\n+0 close(4) = 0\n"
    check_passes(closed + "+0 write(5, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n+0 close(5) = 0\n+0 > F. 11:11(0) ack 1\n")


def test_flags_of_a_socket_make_it_one_that_does_not_block() -> None:
    check_passes(
        """
 0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3
+0 fcntl(3, F_GETFL) = 0x802 (flags O_RDWR|O_NONBLOCK)
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) <...>
+0 connect(3, ..., ...) = -1 EALREADY (Operation already in progress)
"""
    )


def test_an_address_is_what_the_script_says() -> None:
    check_passes(
        """
 0 socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, 0) = 3
+0 bind(3, {sa_family=AF_INET, sin_port=htons(1234), sin_addr=INADDR_ANY}, 16) = 0
+0 getsockname(3, {sa_family=AF_INET, sin_port=htons(1234), sin_addr=INADDR_ANY}, [16]) = 0
+0 connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.7")}, 16) = -1 EINPROGRESS (...)
+0 getsockname(3, {sa_family=AF_INET, sin_port=htons(1234), sin_addr=inet_addr("192.168.0.1")}, [16]) = 0
+0 > S 0:0(0) <...>
"""
    )


@pytest.mark.parametrize(
    ("variant", "line", "reason"),
    [
        (Variant.IPV6, 'bind(3, {sa_family=AF_INET, sin_port=htons(1), sin_addr=inet_addr("10.0.0.1")}, 16) = 0', "IPv4 addresses"),
        (Variant.IPV4, 'bind(3, {sin6_port=htons(1), sin6_addr=inet_pton(AF_INET6, "fd00::1")}, 28) = 0', "IPv6 addresses"),
        (Variant.IPV6, 'getsockname(3, {sin_port=htons(1), sin_addr=inet_addr("10.0.0.1")}, ...) = 0', "IPv4 addresses"),
        (Variant.IPV6, "setsockopt(3, SOL_IP, IP_TTL, [9], 4) = 0", "SOL_IP"),
    ],
)
def test_what_speaks_of_the_other_ip_version_is_skipped(variant: Variant, line: str, reason: str) -> None:
    other = "IPv4" if variant is Variant.IPV4 else "IPv6"
    check_skipped(f" 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 {line}\n", f"{reason} in a run over {other}", variant=variant)


def test_a_socket_of_ipv4_has_no_address_in_a_run_over_ipv6() -> None:
    script = " 0 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n"
    check_skipped(script, "AF_INET in a run over IPv6", variant=Variant.IPV6)


@pytest.mark.parametrize("variant", Variant)
def test_wildcards_are_of_every_version(variant: Variant) -> None:
    script = " 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, {sin_port=htons(1), sin_addr=INADDR_ANY}, 16) = 0\n"
    check_passes(script, variant=variant)
