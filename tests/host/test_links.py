import pytest

from tests.support.confined import without_capabilities
from tests.support.netns import DEVICE_PREFIX, kernel_namespace, nothing_left_behind
from userstack.errors import SetupError
from userstack.host.links import (
    check_name,
    create_veth,
    device_exists,
    list_devices,
    read_link,
    remove_link,
    set_link,
    unique_device_name,
    wait_until_running,
)
from userstack.host.quiet import allow_forwarding, stop_forwarding, stop_ipv6

OURS, THEIRS = f"{DEVICE_PREFIX}o", f"{DEVICE_PREFIX}t"


def test_veth_pair_crosses_into_a_namespace_and_goes_as_one() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        create_veth(OURS, THEIRS, peer_namespace=kernel.name, mtu=1400)
        try:
            assert device_exists(OURS)
            assert not device_exists(THEIRS)
            assert list_devices(namespace=kernel.name) == ["lo", THEIRS]
            for device, namespace in ((OURS, None), (THEIRS, kernel.name)):
                link = read_link(device, namespace=namespace)
                assert (link.name, link.mtu, link.kind, link.up, link.carrier) == (device, 1400, "veth", False, False)
                assert len(link.mac or b"") == 6
        finally:
            remove_link(OURS)
        assert list_devices(namespace=kernel.name) == ["lo"]
        remove_link(OURS)
        remove_link(OURS, namespace="nowhere")


def test_both_ends_may_be_in_one_namespace() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        create_veth(OURS, THEIRS, namespace=kernel.name)
        assert list_devices(namespace=kernel.name) == sorted(["lo", OURS, THEIRS])


def test_changes_are_made_and_read_back() -> None:
    with kernel_namespace() as kernel:
        create_veth(OURS, THEIRS, namespace=kernel.name)
        mac = bytes.fromhex("020304050607")
        set_link(THEIRS, namespace=kernel.name, up=True)
        set_link(OURS, namespace=kernel.name, up=True, mtu=1300, mac=mac, queue_length=77)
        wait_until_running(OURS, namespace=kernel.name)
        link = read_link(OURS, namespace=kernel.name)
        assert (link.mtu, link.mac, link.queue_length, link.up, link.carrier) == (1300, mac, 77, True, True)
        set_link(OURS, namespace=kernel.name, up=False)
        after = read_link(OURS, namespace=kernel.name)
        assert (after.mtu, after.mac, after.up) == (1300, mac, False)


def test_waiting_for_a_device_ends_when_it_runs_or_says_that_it_does_not() -> None:
    with kernel_namespace() as kernel:
        create_veth(OURS, THEIRS, namespace=kernel.name)
        set_link(OURS, namespace=kernel.name, up=True)
        with pytest.raises(SetupError, match=f"the device {OURS} has no carrier: raise its other end"):
            wait_until_running(OURS, namespace=kernel.name)
        set_link(THEIRS, namespace=kernel.name, up=True)
        for device in (OURS, THEIRS):
            wait_until_running(device, namespace=kernel.name)
            assert read_link(device, namespace=kernel.name).carrier


def test_loopback_of_the_kernel_has_a_mac_of_zeros_and_no_kind() -> None:
    with kernel_namespace() as kernel:
        link = read_link("lo", namespace=kernel.name)
        assert (link.mac, link.kind) == (bytes(6), "")


def test_name_that_is_taken_is_refused_with_the_mend_and_leaves_nothing() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        create_veth(OURS, THEIRS, namespace=kernel.name)
        with pytest.raises(SetupError, match=rf"file exists; choose another name or remove it with: ip link del {OURS} "):
            create_veth(OURS, "other", namespace=kernel.name)
        with pytest.raises(SetupError, match="file exists"):
            create_veth("other", THEIRS, namespace=kernel.name)
        assert list_devices(namespace=kernel.name) == sorted(["lo", OURS, THEIRS])


def test_missing_peer_namespace_is_refused_and_leaves_nothing() -> None:
    with nothing_left_behind(), pytest.raises(SetupError, match="ip netns"):
        create_veth(OURS, THEIRS, peer_namespace="nowhere")


def test_missing_device_is_named() -> None:
    for call in (read_link, lambda name: set_link(name, up=True)):
        with pytest.raises(SetupError, match="there is no device nodevice here; see which there are with: ip link"):
            call("nodevice")


def test_value_that_the_kernel_refuses_is_named() -> None:
    with kernel_namespace() as kernel:
        create_veth(OURS, THEIRS, namespace=kernel.name)
        with pytest.raises(SetupError, match=rf"cannot set address 01:00:00:00:00:00 of the device {OURS}: cannot assign"):
            set_link(OURS, namespace=kernel.name, mac=b"\x01" + bytes(5))


@pytest.mark.parametrize("mtu", [67, 65536])
def test_mtu_that_cannot_be_is_refused_before_the_kernel_is_asked(mtu: int) -> None:
    told = f"an MTU is 68 to 65535 bytes, not {mtu}"
    with nothing_left_behind(), pytest.raises(SetupError, match=told):
        create_veth(OURS, THEIRS, mtu=mtu)
    with pytest.raises(SetupError, match=told):
        set_link("nodevice", mtu=mtu)


def test_mtu_that_a_device_cannot_have_is_named_with_the_mend() -> None:
    with kernel_namespace() as kernel:
        tap = kernel.tap()
        with pytest.raises(
            SetupError, match=f"mtu 65535 .*invalid argument; see .* if not 65535, with: ip -d link show {tap.name}"
        ):
            set_link(tap.name, namespace=kernel.name, mtu=65535)


@pytest.mark.parametrize(("device", "peer"), [(f"{DEVICE_PREFIX}%d", THEIRS), (OURS, f"{DEVICE_PREFIX}%d")], ids=["ours", "theirs"])
def test_veth_names_are_not_completed(device: str, peer: str) -> None:
    with nothing_left_behind(), pytest.raises(SetupError, match="%d': the kernel completes no names of a veth pair"):
        create_veth(device, peer)


def test_without_privilege_the_mend_is_named() -> None:
    with nothing_left_behind(), pytest.raises(SetupError, match=r"operation not permitted; run it with sudo.*cap_add NET_ADMIN"):
        without_capabilities(lambda: create_veth(OURS, THEIRS))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a" * 16, "too long: choose another of at most 15 bytes"),
        ("ääääääää", "too long"),
        ("", "cannot be a device's name"),
        ("..", "cannot be a device's name"),
        ("a b", "cannot be a device's name"),
        ("a/b", "cannot be a device's name"),
    ],
)
def test_impossible_names_are_refused_before_the_kernel_is_asked(name: str, reason: str) -> None:
    with pytest.raises(SetupError, match=reason):
        check_name(name)


def test_unique_names_are_possible_and_differ() -> None:
    names = {unique_device_name("prefix-") for _ in range(100)}
    assert len(names) == 100
    for name in names:
        check_name(name)


def test_forwarding_and_ipv6_are_switched_for_one_device() -> None:
    with kernel_namespace() as kernel:
        create_veth(OURS, THEIRS, namespace=kernel.name)
        allow_forwarding(OURS, namespace=kernel.name)
        assert stop_forwarding(OURS, namespace=kernel.name)
        assert not stop_forwarding(OURS, namespace=kernel.name)
        allow_forwarding(OURS, namespace=kernel.name)
        assert stop_forwarding(OURS, namespace=kernel.name)
        assert stop_ipv6(OURS, namespace=kernel.name)
        assert not stop_ipv6(OURS, namespace=kernel.name)
        assert not stop_forwarding("nodevice", namespace=kernel.name)
        with pytest.raises(SetupError, match="no such file"):
            allow_forwarding("nodevice", namespace=kernel.name)
