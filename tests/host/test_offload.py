from dataclasses import replace

import pytest

from tests.support.confined import without_capabilities
from tests.support.netns import kernel_namespace, nothing_left_behind
from userstack.errors import SetupError
from userstack.host.offload import all_offload, read_offload, set_offload


def test_features_are_switched_and_read_back() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        peer = kernel.veth().peer
        for wanted in (all_offload(False), all_offload(True), all_offload(False)):
            set_offload(peer, wanted, namespace=kernel.name)
            assert read_offload(peer, namespace=kernel.name) == wanted


def test_one_feature_is_switched_and_the_rest_left() -> None:
    with kernel_namespace() as kernel:
        peer = kernel.veth().peer
        wanted = replace(read_offload(peer, namespace=kernel.name), tso=False)
        set_offload(peer, wanted, namespace=kernel.name)
        assert read_offload(peer, namespace=kernel.name) == wanted


def test_what_was_switched_is_switched_back_when_a_feature_is_fixed() -> None:
    with kernel_namespace() as kernel:
        before = read_offload("lo", namespace=kernel.name)
        assert before.tso
        with pytest.raises(SetupError, match="cannot change the offload of the device lo"):
            set_offload("lo", all_offload(False), namespace=kernel.name)
        assert read_offload("lo", namespace=kernel.name) == before


def test_missing_device_and_privilege_are_named() -> None:
    with pytest.raises(SetupError, match=r"cannot read the offload of the device nodevice: no such device; .*ip link"):
        read_offload("nodevice")
    with kernel_namespace() as kernel:
        device = kernel.veth().name
        with pytest.raises(SetupError, match=f"cannot change the offload of the device {device}: .*; run it with sudo"):
            without_capabilities(lambda: set_offload(device, all_offload(False)))
