"""Multicast listener discovery of a host (RFC 3810): switches that watch it pass on only what somebody says to listen for.

Law: what RFC 4861 7.2.1 has a host join it also reports, or behind such a switch nobody could ask for its addresses. All nodes'
group is never reported (RFC 3810 6).
"""

from collections.abc import Callable, Sequence
from typing import Final

from userstack.address import is_link_local
from userstack.config import MILLISECOND, SECOND
from userstack.counters import Counters
from userstack.net.addresses import Addresses
from userstack.net.nd import Sender
from userstack.wire import mld
from userstack.wire.codec import Codec
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import ICMPV6, IPPacket
from userstack.wire.nd import ALL_NODES

_UNSPECIFIED: Final = bytes(16)
_REPEAT: Final = 1 * SECOND
"""Unsolicited Report Interval of RFC 3810 9.11: a report is sent a second time within it, at random, for the first may be lost."""


class MulticastListener:
    """The groups of one Ethernet link's addresses, as routers and switches learn of them."""

    def __init__(
        self, addresses: Addresses, *, send: Sender, codec: Codec, counters: Counters, random: Callable[[int], int]
    ) -> None:
        self._addresses = addresses
        self._groups = sorted(addresses.groups - {ALL_NODES})
        self._send = send
        self._codec = codec
        self._counters = counters
        self._random = random
        self._reported_from: bytes | None = None
        self._repeat: int | None = None
        self._answer: int | None = None
        self._asked: set[bytes] = set()
        self._version = 2
        """In which the last query was put."""

    def poll(self, *, now: int) -> None:
        """Report the groups before anybody is asked for an address in them, and once more when there is an address to report from.

        RFC 3590 3: a report from :: opens the switches; routers take only one from a link-local address.
        """
        if self._reported_from not in (None, _UNSPECIFIED):
            return
        source = self._source()
        if source != self._reported_from:
            self._reported_from = source
            self._repeat = now + self._random(_REPEAT)
            self._report(mld.TO_EXCLUDE, self._groups, now)

    def receive(self, packet: IPPacket, message: IcmpMessage, *, now: int) -> None:
        """RFC 3810 6.2: answer a query, at a random time within the delay that it leaves.

        Raises:
            WireError: it is not valid.
        """
        query = mld.decode_query(packet, message)
        asked = [group for group in self._groups if query.group in (group, _UNSPECIFIED)]
        if not asked:
            return
        self._version = query.version
        self._asked.update(asked)
        # Note: there is one time for all groups, the earliest.
        answer = now + self._random(query.delay * MILLISECOND + 1)
        self._answer = answer if self._answer is None else min(answer, self._answer)

    def next_deadline(self) -> int | None:
        """When ``on_deadline`` has something to do (ns)."""
        return min((deadline for deadline in (self._repeat, self._answer) if deadline is not None), default=None)

    def on_deadline(self, *, now: int) -> None:
        """Say what is due."""
        if self._repeat is not None and self._repeat <= now:
            self._repeat = None
            self._report(mld.TO_EXCLUDE, self._groups, now)
        if self._answer is not None and self._answer <= now:
            self._answer = None
            self._report(mld.IS_EXCLUDE, sorted(self._asked), now)
            self._asked.clear()

    def _report(self, record: int, groups: Sequence[bytes], now: int) -> None:
        if self._version == 2:
            self._say(mld.encode_report(record, groups), mld.ALL_MLDV2_ROUTERS, "Icmp6OutMLDv2Reports", now)
            return
        for group in groups:
            self._say(mld.encode_report_v1(group), group, "Icmp6OutGroupMembResponses", now)

    def _say(self, message: IcmpMessage, group: bytes, counter: str, now: int) -> None:
        self._counters.add(counter)
        self._counters.add("Icmp6OutMsgs")
        source = self._source()
        payload = self._codec.encode_icmpv6(message, source, group)
        packet = IPPacket(source, group, ICMPV6, payload, ttl=mld.HOP_LIMIT, extension_headers=(mld.ROUTER_ALERT,))
        self._send(self._codec.encode_ip(packet), group, None, now=now)

    def _source(self) -> bytes:
        """RFC 3810 5.2.13: a link-local address of ours, or :: while there is none."""
        every = (interface.address for interface in self._addresses.interfaces)
        return next((address for address in every if is_link_local(address) and address in self._addresses.own), _UNSPECIFIED)
