"""What may be set of a connection, before it is open or later: the options of a socket, by the names of BSD and Linux."""

from userstack.config import StackConfig
from userstack.tcp import first_text, keepalive, retransmission, uto
from userstack.tcp.pmtudisc import PmtuDiscovery
from userstack.tcp.tcb import Tcb
from userstack.tcp.uto import UserTimeoutOption
from userstack.wire.source_route import SourceRoute


class Settings:
    """The settings of one connection; they take effect with what is sent or received next."""

    __slots__ = ("tcb",)

    tcb: Tcb

    @property
    def nodelay(self) -> bool:
        """TCP_NODELAY: Nagle is off (MUST-17)."""
        return self.tcb.nodelay

    @nodelay.setter
    def nodelay(self, value: bool) -> None:
        self.tcb.nodelay = value
        # As in Linux it lets go what waits, even before a cork.
        self.tcb.override_due |= value and self.tcb.unsent > 0

    @property
    def cork(self) -> bool:
        """TCP_CORK: nothing but full segments goes out, or what has waited for the override timeout."""
        return self.tcb.cork

    @cork.setter
    def cork(self, value: bool) -> None:
        self.tcb.cork = value

    @property
    def quickack(self) -> bool:
        """TCP_QUICKACK: ACKs do not wait for answers to ride on; the connection changes it itself. Setting it pays what is owed."""
        return self.tcb.delayed_ack.quick

    @quickack.setter
    def quickack(self, value: bool) -> None:
        first_text.comes(self.tcb)
        self.tcb.delayed_ack.set_quick(value)
        self.tcb.ack_now |= value and self.tcb.timers.delayed_ack is not None

    @property
    def oob_inline(self) -> bool:
        """SO_OOBINLINE: the last octet of urgent data stays in the stream, as RFC 6093 6 wants it; else it is read apart."""
        return self.tcb.oob_inline

    @oob_inline.setter
    def oob_inline(self, value: bool) -> None:
        self.tcb.oob_inline = value

    @property
    def config(self) -> StackConfig:
        """The settings that it goes by."""
        return self.tcb.config

    def configure(self, config: StackConfig) -> None:
        """Go by other settings from now on: buffers, keep-alives, timeouts; what has been agreed or sent stays."""
        self.tcb.config = config
        self.tcb.follow_config()
        self.tcb.sendbuf.limit = config.send_buffer
        self.tcb.recvbuf.limit = config.receive_buffer
        keepalive.arm(self.tcb)

    @property
    def user_timeout(self) -> int | None:
        """TCP_USER_TIMEOUT in ns: how long something sent may stay unacknowledged; None: R2; ``FOREVER``: no limit (MUST-21)."""
        return self.tcb.user_timeout

    @user_timeout.setter
    def user_timeout(self, value: int | None) -> None:
        retransmission.set_user_timeout(self.tcb, value)

    def set_user_timeout_option(self, *, enabled: bool, advertise: int | None, changeable: bool) -> None:
        """Say what the User Timeout Option does on this connection (RFC 5482 3): ENABLED, ADV_UTO in ns and CHANGEABLE.

        ``advertise`` None is the user timeout, or R2. Before the connection is opened the option goes into the SYN too.
        """
        if self.tcb.uto is uto.OFF:
            self.tcb.uto = UserTimeoutOption(self.tcb.config)
        self.tcb.uto.set(enabled=enabled, advertise=advertise, changeable=changeable)
        retransmission.watch(self.tcb)
        keepalive.arm(self.tcb)

    @property
    def ttl(self) -> int:
        """TTL or hop limit of what is sent (MUST-49)."""
        return self.tcb.ttl

    @ttl.setter
    def ttl(self, value: int) -> None:
        self.tcb.ttl = value

    @property
    def tos(self) -> int:
        """Diffserv and ECN octet of what is sent (MUST-48, SHLD-21)."""
        return self.tcb.tos

    @tos.setter
    def tos(self, value: int) -> None:
        self.tcb.tos = value

    @property
    def md5_key(self) -> bytes | None:
        """What every segment is signed with, and what every one that comes must be (RFC 2385); None: none is."""
        return self.tcb.md5_key if self.tcb.time_wait is None else self.tcb.time_wait.md5_key

    @md5_key.setter
    def md5_key(self, value: bytes | None) -> None:
        if value == self.md5_key:
            return
        self.tcb.md5_key = value
        if self.tcb.time_wait is not None:
            self.tcb.time_wait.md5_key = value
        self.tcb.update_mss()

    @property
    def min_ttl(self) -> int:
        """IP_MINTTL, IPV6_MINHOPCOUNT: segments that come with a smaller TTL or hop limit are dropped (RFC 5082); 0: none is."""
        return self.tcb.lower.min_ttl

    @min_ttl.setter
    def min_ttl(self, value: int) -> None:
        self.tcb.lower.min_ttl = value

    @property
    def pmtu_discovery(self) -> PmtuDiscovery:
        """IP_MTU_DISCOVER, IPV6_MTU_DISCOVER: what is made of path MTUs."""
        return self.tcb.lower.pmtu_discovery

    @pmtu_discovery.setter
    def pmtu_discovery(self, value: PmtuDiscovery) -> None:
        self.tcb.lower.pmtu_discovery = value

    @property
    def route(self) -> SourceRoute | None:
        """The IPv4 source route that every segment takes."""
        return self.tcb.lower.route

    def give_route(self, route: SourceRoute | None) -> None:
        """MUST-51: the application's own source route, which takes precedence over any that is received (MUST-52)."""
        self.tcb.lower.route, self.tcb.lower.route_given = route, route is not None
        self.tcb.update_mss()
