"""What an established connection costs in memory whose task waits in ``recv``: all of it, coroutines, future and task included."""

import asyncio
import gc
import random
import tracemalloc
from contextlib import closing

import pytest

from tests.support.stacks import turns
from tests.support.virtual_time import virtual_time
from userstack.address import pack_address
from userstack.api.listener import Listener
from userstack.api.stack import Stack
from userstack.config import StackConfig
from userstack.net.host import Host
from userstack.net.interface import Interface
from userstack.packetio.device import Device
from userstack.packetio.memory import memory_pair
from userstack.wire.codec import make_codec
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.tcp import ACK, SYN, TcpSegment

SEVERAL = 200
PORT = 7
CODEC = make_codec("fast")
OWN, PEER = pack_address("10.9.0.2"), pack_address("10.9.0.1")


def packet(port: int, flags: int, seq: int, ack: int) -> bytes:
    segment = TcpSegment(port, PORT, seq, ack, flags, 65535)
    return CODEC.encode_ip(IPPacket(PEER, OWN, TCP, CODEC.encode_tcp(segment, PEER, OWN)))


def make_host() -> Host:
    own = Interface.parse("10.9.0.2/24")
    return Host([own], config=StackConfig(), codec=CODEC, secret=b"secret", random=random.Random(1).randrange)


async def establish(listener: Listener, far: Device, port: int) -> asyncio.Task[bytes]:
    far.write(packet(port, SYN, 99, 0))
    await turns()
    arrived = far.read()
    assert arrived is not None
    answer = CODEC.decode_tcp(CODEC.decode_ip(bytes(arrived[0])))
    far.write(packet(port, ACK, 100, answer.seq + 1))
    connection = await listener.accept()
    task = asyncio.create_task(connection.recv())
    await turns()
    return task


@pytest.mark.once
@virtual_time
async def test_a_connection_whose_task_waits_for_text_takes_no_more_than_3700_bytes() -> None:
    near, far = memory_pair()
    with closing(near), closing(far):
        async with Stack(make_host(), near) as stack, await stack.listen(PORT) as listener:
            tasks = [await establish(listener, far, 5000)]
            gc.collect()
            tracemalloc.start()
            try:
                tasks += [await establish(listener, far, 5001 + number) for number in range(SEVERAL)]
                gc.collect()
                assert tracemalloc.get_traced_memory()[0] / SEVERAL <= 3700
            finally:
                tracemalloc.stop()
            assert not any(task.done() for task in tasks)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, ConnectionAbortedError) for end in ended)
