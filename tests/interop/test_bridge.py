"""A switch between the stack and its neighbours that passes multicast on only to who has asked for it (RFC 4541)."""

import asyncio
from contextlib import closing

import pytest

import userstack
from tests.support.netns import kernel_namespace, nothing_left_behind
from userstack import StackConfig
from userstack.packetio.veth import VethDevice

SWITCH = """
set -e
ip link add switch type bridge mcast_snooping 1 mcast_querier 1
ip link set switch type bridge mcast_query_response_interval 100 mcast_startup_query_interval 100
ip link add port type veth peer name stack
ip link set port master switch
echo 1 > /proc/sys/net/ipv6/conf/stack/disable_ipv6
for device in switch port stack; do ip link set $device up; done
ip address add fd3d::1/64 dev switch nodad
"""
"""The kernel is a neighbour behind the switch, and the querier that makes it snoop."""

SNOOPING = 3.0
"""Seconds after which the switch trusts what it has heard: it floods until its first query should have been answered."""


@pytest.mark.asyncio
async def test_neighbours_find_us_through_a_switch_that_snoops() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        assert kernel.run(["sh", "-c", SWITCH]).returncode == 0
        with closing(VethDevice("stack", namespace=kernel.name)) as device:
            async with userstack.link(device, "fd3d::2/64", config=StackConfig(dad_transmits=0)) as stack:
                await asyncio.sleep(SNOOPING)
                known = await asyncio.to_thread(kernel.run, ["bridge", "mdb", "show"])
                assert b"port port grp ff02::1:ff00:2" in known.stdout
                ping = await asyncio.to_thread(kernel.run, ["ping", "-c", "1", "-W", "5", "fd3d::2"])
                assert ping.returncode == 0, ping.stdout
                assert stack.counters["Icmp6InNeighborSolicits"] == 1
