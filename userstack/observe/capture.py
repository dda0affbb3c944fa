"""What crossed the link as a pcapng file, written by scapy, that Wireshark and tshark read.

Law: the file holds what this stack's end of the link saw, also what was then lost on purpose, as a capture at that place would.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from types import TracebackType

from scapy.utils import PcapNgWriter

from userstack.config import SECOND
from userstack.errors import SetupError
from userstack.trace import Event, PacketReceived, PacketSent
from userstack.wire.checksum import finish, is_valid, pseudo_header_sum, word_sum
from userstack.wire.codec import Codec, WireError
from userstack.wire.ip import TCP
from userstack.wire.source_route import destination_of

LINKTYPE_RAW = 101
"""IP packets, the first octet tells the version."""

_INBOUND, _OUTBOUND = 1, 2


class _Frame(bytes):
    """A packet with the direction that scapy's writer puts into its block."""

    direction: int


class Capture:
    """A tracer that writes every packet, in and out, to a file.

    Args:
        path: the file to make; one that exists is overwritten.
        wall: nanoseconds since 1970 when the stack's own clock read 0.
        codec: finds the checksum of a packet where the kernel has left one to the device.

    Raises:
        SetupError: the file cannot be written.
    """

    def __init__(self, path: str, *, wall: int, codec: Codec) -> None:
        try:
            self._writer = PcapNgWriter(path)
        except OSError as error:
            raise SetupError(f"cannot write the capture {path}: {os.strerror(error.errno or 0)}", error.errno or 0) from error
        self._writer.linktype = LINKTYPE_RAW
        self._writer.write_header(None)
        self._path = path
        self._wall = wall
        self._codec = codec
        self.packets = 0
        """How many were written."""

    def __call__(self, event: Event) -> None:
        """Take an event of the stack."""
        if isinstance(event, PacketReceived | PacketSent):
            if isinstance(event, PacketSent):
                frame = _Frame(event.packet)
                frame.direction = _OUTBOUND
            else:
                frame = _Frame(complete_checksum(event.packet, self._codec))
                frame.direction = _INBOUND
            with self._naming_the_file():
                self._writer.write_packet(frame, sec=Fraction(event.time + self._wall, SECOND))
            self.packets += 1

    def close(self) -> None:
        """Write out what is left and close the file; may be called twice.

        Raises:
            OSError: what was left cannot be written; the file is closed all the same.
        """
        with self._naming_the_file():
            self._writer.close()

    @contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        """A full disk is told with the name of what could not be written."""
        try:
            yield
        except OSError as error:
            error.filename = self._path
            raise

    def __enter__(self) -> "Capture":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def complete_checksum(packet: bytes, codec: Codec) -> bytes:
    """The packet as a wire would have carried it: with the TCP checksum that a kernel with transmit offload leaves to its device.

    Such a field holds the sum of the pseudo header alone, uncomplemented. Any other packet, and any other wrong checksum, stays.
    """
    try:
        outer = codec.decode_ip(packet)
    except WireError:
        return packet
    text = outer.payload
    if outer.protocol != TCP or outer.is_fragment or len(text) < 20:
        return packet
    pseudo = pseudo_header_sum(outer.source, destination_of(outer.destination, outer.options), TCP, len(text))
    total = pseudo + word_sum(text)
    field = int.from_bytes(text[16:18], "big")
    if is_valid(total) or field % 0xFFFF != pseudo % 0xFFFF:
        return packet
    headers = 20 + len(outer.options) if outer.version == 4 else 40 + sum(header.size for header in outer.extension_headers)
    place = headers + 16
    return packet[:place] + finish(total - field).to_bytes(2, "big") + packet[place + 2 :]
