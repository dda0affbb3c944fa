"""What a socket is called on its own host, and whom it may call: the judgement of Linux's ``inet6_bind`` and ``tcp_v6_connect``."""

import errno
from socket import AF_INET6

from userstack.address import LINK_INDEX, Endpoint, is_link_local
from userstack.errors import InvalidArgument, NetworkUnreachable
from userstack.net.interface import is_multicast
from userstack.sim.sockaddr import ANY_V6, SocketAddress, SocketName, any_address, failure, format_name


class Naming:
    """The local name of one socket. Inside it has the core's form: an IPv6 socket that is bound to IPv4 has an IPv4 address."""

    __slots__ = ("address_locked", "family", "link", "local", "port_locked")

    def __init__(self, family: int) -> None:
        self.family = family
        self.local = Endpoint(any_address(family), 0)
        self.link = 0
        """The link that the socket is held to, 0 for none (Linux sk_bound_dev_if); a link-local address names it."""
        self.address_locked = self.port_locked = False
        """What bind() named stays when a connection ends, what was picked goes (Linux SOCK_BINDADDR_LOCK, SOCK_BINDPORT_LOCK)."""

    @property
    def locked(self) -> Endpoint:
        """What bind() had named, which the socket still has when its connection or its listening is over."""
        address = self.local.address if self.address_locked else any_address(self.family)
        return Endpoint(address, self.local.port if self.port_locked else 0)

    @property
    def is_unbound(self) -> bool:
        """True where bind() has named neither an address nor a port."""
        return not (self.address_locked or self.port_locked)

    def lock(self, named: Endpoint) -> None:
        """bind() has named this."""
        self.address_locked = named.address != any_address(self.family)
        self.port_locked = named.port != 0

    def forget_address(self) -> None:
        """The connection is over: an address that was picked for it goes, the port stays."""
        if not self.address_locked:
            self.local = Endpoint(any_address(self.family), self.local.port)

    def inherit(self, listener: "Naming", remote: Endpoint) -> None:
        """A socket that was accepted: held to the listener's link, or to that over which a link-local peer came."""
        self.link = listener.link or (LINK_INDEX if is_link_local(remote.address) else 0)

    def format(self, endpoint: Endpoint) -> SocketName:
        """A name of one of the two ends, as the calls give it back."""
        return format_name(endpoint, self.family, self.link)

    def judge_local(self, address: SocketAddress, *, v6only: bool) -> None:
        """Check an address for bind().

        Raises:
            OSError: EINVAL: multicast, link-local without a link, or IPv4 on a socket for IPv6 alone; ENODEV: no such link.
        """
        packed = address.endpoint.address
        if self.family != AF_INET6 or packed == ANY_V6:
            return
        if len(packed) == 4 and v6only:
            raise InvalidArgument("an IPv4 address, and the socket is for IPv6 alone")
        if len(packed) == 16 and is_multicast(packed):
            raise InvalidArgument("a stream socket has no multicast address")
        if is_link_local(packed):
            self._hold(address.scope)
        if self.link not in (0, LINK_INDEX):
            raise failure(errno.ENODEV)

    def judge_remote(self, address: SocketAddress, *, v6only: bool) -> None:
        """Check an address for connect().

        Raises:
            OSError: EINVAL: link-local without a link, or on another than the socket's; ENETUNREACH: IPv4 from a socket for IPv6
                alone, or a link that is not there, which is ENODEV to IPv4; EAFNOSUPPORT: IPv6 from one that is bound to IPv4.
        """
        packed = address.endpoint.address
        if self.family != AF_INET6 or is_multicast(packed):  # The latter is nobody's; the core says so.
            return
        if is_link_local(packed):
            if self.link and address.scope not in (0, self.link):
                raise InvalidArgument(f"the socket is held to link {self.link}, and the address is on link {address.scope}")
            self._hold(address.scope)
        if len(packed) == 4 and v6only:
            raise NetworkUnreachable("an IPv4 address, and the socket is for IPv6 alone")
        if self.link not in (0, LINK_INDEX):
            raise failure(errno.ENODEV if len(packed) == 4 else errno.ENETUNREACH)
        if len(packed) > len(self.local.address):
            raise failure(errno.EAFNOSUPPORT)

    def _hold(self, scope: int) -> None:
        self.link = scope or self.link
        if not self.link:
            raise InvalidArgument("a link-local address is on some link: the scope, fourth in the tuple, says on which")
