"""Letters between workers: what is sent arrives whole and at whom it is for, and nobody waits."""

import os
from contextlib import closing

from tests.support.netns import nothing_left_behind
from userstack.packetio.mesh import BUFFER, Letter, Mesh
from userstack.wire.offload import LARGEST_PACKET


def test_a_letter_arrives_as_it_was_sent() -> None:
    with nothing_left_behind(), closing(Mesh(256)) as mesh:
        sent = [
            Letter(255, 254, os.urandom(LARGEST_PACKET + 14), vouched=True),
            Letter(0, 1, b"x", vouched=False, for_all=True),
            Letter(7, 0, b"", vouched=True, for_all=True),
        ]
        for letter in sent:
            assert mesh.send(3, letter)
        mesh.take(3)
        received = []
        while (found := mesh.receive()) is not None:
            received.append(found._replace(frame=bytes(found.frame)))
        assert received == sent


def test_a_full_inbox_loses_and_holds_nobody_up() -> None:
    """As much waits as fits, which is far more than ``net.unix.max_dgram_qlen``."""
    with closing(Mesh(2)) as mesh:
        letter = Letter(0, 1, bytes(1500), vouched=True)
        waiting = 0
        while mesh.send(1, letter):
            waiting += 1
            assert waiting * 1500 < 4 * BUFFER
        assert waiting > 500
        mesh.take(1)
        for _ in range(waiting):
            assert mesh.receive() is not None
        assert mesh.receive() is None
        assert mesh.send(1, letter)


def test_a_worker_that_is_gone_is_no_error() -> None:
    mesh = Mesh(2)
    mesh.close()
    assert not mesh.send(1, Letter(0, 1, b"late", vouched=True))
    mesh.close()
