import asyncio
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.confined import without_capabilities
from tests.support.netns import DEVICE_PREFIX, NAMESPACE_PREFIX, kernel_namespace, nothing_left_behind
from userstack.errors import SetupError
from userstack.host.inside import open_socket, popen, read_sysctl, set_congestion_control, write_sysctl
from userstack.host.links import list_devices, read_link
from userstack.host.netns import create_namespace, in_namespace, list_namespaces, remove_namespace, temporary_namespace

THREAD_NAMESPACE = Path("/proc/thread-self/ns/net")


def test_namespace_has_a_fresh_name_and_a_loopback_that_is_up_and_goes_for_good() -> None:
    with nothing_left_behind():
        first, second = create_namespace(NAMESPACE_PREFIX), create_namespace(NAMESPACE_PREFIX)
        try:
            assert first != second
            assert {first, second} <= set(list_namespaces())
            assert list_devices(namespace=first) == ["lo"]
            assert read_link("lo", namespace=first).up
        finally:
            remove_namespace(first)
            remove_namespace(second)
        remove_namespace(first)


def test_only_the_thread_of_the_call_changes_its_namespace() -> None:
    before = THREAD_NAMESPACE.readlink()
    with temporary_namespace(NAMESPACE_PREFIX) as name:
        inside = in_namespace(name, THREAD_NAMESPACE.readlink)
        assert inside != before
        assert in_namespace(name, THREAD_NAMESPACE.readlink) == inside
        assert in_namespace(None, THREAD_NAMESPACE.readlink) == before
        assert THREAD_NAMESPACE.readlink() == before


def test_namespaces_made_at_once_do_not_disturb_each_other() -> None:
    with nothing_left_behind():
        with ThreadPoolExecutor(8) as pool:
            names = list(pool.map(lambda _: create_namespace(NAMESPACE_PREFIX), range(8)))
            places = list(pool.map(lambda name: in_namespace(name, THREAD_NAMESPACE.readlink), names))
            list(pool.map(remove_namespace, names))
        assert len(set(places)) == 8


def test_what_the_call_raises_is_raised_to_the_caller_and_the_thread_is_gone() -> None:
    threads = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        in_namespace(None, lambda: 1 // 0)
    assert threading.active_count() == threads


@pytest.mark.asyncio
async def test_everything_works_inside_a_running_event_loop() -> None:
    threads = threading.active_count()
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.tun()
        assert device.name in list_devices(namespace=kernel.name)
        await asyncio.sleep(0)
        assert threading.active_count() == threads


def test_missing_namespace_is_named() -> None:
    with pytest.raises(SetupError, match=r"cannot enter the network namespace nowhere: .*; see which .*: ip netns"):
        in_namespace("nowhere", list)


def test_without_privilege_the_mend_is_named_and_nothing_is_left() -> None:
    with nothing_left_behind(), pytest.raises(SetupError, match=r"cannot make the network namespace .*SYS_ADMIN.*sudo"):
        without_capabilities(lambda: create_namespace(NAMESPACE_PREFIX))


def test_temporary_namespace_goes_when_the_block_fails() -> None:
    with nothing_left_behind(), pytest.raises(ZeroDivisionError), temporary_namespace(NAMESPACE_PREFIX):
        raise ZeroDivisionError


def test_process_lives_in_the_namespace() -> None:
    with nothing_left_behind(), temporary_namespace(NAMESPACE_PREFIX) as name:
        process = popen(name, ["readlink", "/proc/self/ns/net"], stdout=subprocess.PIPE)
        out, _ = process.communicate(timeout=20)
        assert out.decode().strip() == str(in_namespace(name, THREAD_NAMESPACE.readlink))


def test_missing_program_is_named() -> None:
    with pytest.raises(SetupError, match="cannot run no-such-program: it is not installed"):
        popen(None, ["no-such-program"])


def test_socket_belongs_to_the_namespace() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        listener, client = kernel.socket(), kernel.socket()
        outside = kernel.keep(open_socket(None, socket.AF_INET, socket.SOCK_STREAM))
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.connect(listener.getsockname())
        with pytest.raises(ConnectionRefusedError):
            outside.connect(listener.getsockname())


def test_setting_is_the_namespaces_own() -> None:
    outside = read_sysctl("net.ipv4.ip_default_ttl")
    with temporary_namespace(NAMESPACE_PREFIX) as name:
        write_sysctl("net.ipv4.ip_default_ttl", "77", namespace=name)
        assert read_sysctl("net.ipv4.ip_default_ttl", namespace=name) == "77"
        assert read_sysctl("net/ipv4/ip_default_ttl") == outside


def test_missing_or_refused_setting_is_named() -> None:
    with temporary_namespace(NAMESPACE_PREFIX) as name:
        with pytest.raises(SetupError, match=r"cannot read net\.ipv4\.nothing: .*; this kernel has no such setting"):
            read_sysctl("net.ipv4.nothing", namespace=name)
        with pytest.raises(SetupError, match=r"cannot set net\.ipv4\.ip_default_ttl to 999: invalid argument"):
            write_sysctl("net.ipv4.ip_default_ttl", "999", namespace=name)


def test_congestion_control_is_set_where_the_machine_lets_it() -> None:
    with temporary_namespace(NAMESPACE_PREFIX) as name:
        assert set_congestion_control("reno", namespace=name)
        assert read_sysctl("net.ipv4.tcp_congestion_control", namespace=name) == "reno"
        assert not set_congestion_control("no-such-algorithm", namespace=name)
        assert read_sysctl("net.ipv4.tcp_congestion_control", namespace=name) == "reno"


def test_helper_kills_what_was_left_running_and_has_sockets_with_cubic() -> None:
    with nothing_left_behind():
        with kernel_namespace() as kernel:
            process = kernel.popen(["sleep", "1000"])
            sock = kernel.socket()
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == b"cubic"
            assert kernel.run(["echo", "hello"]).stdout == b"hello\n"
            assert kernel.veth().name.startswith(DEVICE_PREFIX)
        assert process.returncode is not None
