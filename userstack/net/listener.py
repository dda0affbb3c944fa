"""A listening socket: its SYN queue of half-open connections and its accept queue, both bounded, as the kernel's behave."""

from collections import deque
from typing import Protocol

from userstack.address import Endpoint
from userstack.config import StackConfig
from userstack.errors import InvalidArgument
from userstack.net.fastopen import FastOpenQueue
from userstack.net.md5keys import Md5Keys
from userstack.net.ports import Binding
from userstack.tcp.connection import Connection
from userstack.tcp.state import State


class Owner(Protocol):
    """Whoever has the tables that a listener stands in."""

    def stop_listening(self, listener: "Listener", *, now: int) -> None:
        """Take it out and close it."""
        ...

    def turn_active(self, listener: "Listener", remote: Endpoint, *, now: int) -> Connection:
        """Take it out and make its LISTEN a connection in SYN-SENT."""
        ...


class Listener:
    """A LISTEN that stays: each SYN gets a connection of its own, which is accepted once it is established."""

    __slots__ = (
        "__weakref__", "_owner", "_sockets", "accept_queue", "backlog", "binding", "config", "cookie_sent_at",
        "fast_open", "machine", "md5_keys", "syn_queue", "young",
    )  # fmt: skip

    def __init__(
        self, owner: Owner, machine: Connection, binding: Binding, *, backlog: int, config: StackConfig, fast_open: int = 0
    ) -> None:
        self._owner = owner
        self.machine = machine
        """The connection in LISTEN that the SYNs are for; it becomes active by ``connect``."""
        self.binding = binding
        self.config = config
        self.backlog = min(max(backlog, 0), config.somaxconn)
        self.syn_queue: dict[Connection, bool] = {}
        """In their order of arrival; true of those that have not had to repeat their SYN,ACK."""
        self.young = 0
        """Of how many that is true."""
        self.cookie_sent_at: int | None = None
        """When a SYN was last answered with a SYN cookie, in ns."""
        self.accept_queue: deque[Connection] = deque()
        self._sockets: dict[bytes, Endpoint] = {}
        """By the host's own addresses: its connections at one address have one and the same local socket."""
        self.md5_keys = Md5Keys(config.md5_keys)
        """Of the peers that sign (RFC 2385); each connection gets that of its peer. After a change: ``rekey``."""
        self.fast_open = FastOpenQueue(min(fast_open, config.somaxconn))

    @property
    def local(self) -> Endpoint:
        """The socket that is listened on; its address may be the wildcard."""
        return self.machine.local

    def socket_at(self, local: Endpoint) -> Endpoint:
        """The local socket, as its connections name it, of a segment that came to ``local``."""
        return self._sockets.setdefault(local.address, local)

    @property
    def state(self) -> State:
        """LISTEN, or CLOSED."""
        return self.machine.state

    @property
    def full(self) -> bool:
        """The accept queue takes no more: as in Linux it holds one more than the backlog says."""
        return len(self.accept_queue) > self.backlog

    @property
    def acceptable(self) -> bool:
        """True when ``accept`` would give a connection."""
        return bool(self.accept_queue)

    def queue_syn(self, connection: Connection) -> None:
        """A connection in SYN-RECEIVED joins the SYN queue."""
        self.syn_queue[connection] = True
        self.young += 1

    def syn_timed_out(self, connection: Connection) -> None:
        """One of the SYN queue has to repeat its SYN,ACK."""
        self.young -= self.syn_queue[connection]
        self.syn_queue[connection] = False

    def unqueue_syn(self, connection: Connection) -> None:
        """One of the SYN queue is established, or over."""
        self.young -= self.syn_queue.pop(connection)

    def set_backlog(self, backlog: int) -> None:
        """A second ``listen`` on the same socket changes the backlog."""
        self.backlog = min(max(backlog, 0), self.config.somaxconn)

    def rekey(self) -> None:
        """Half-open connections go by changed keys at once, as in Linux."""
        for child in self.syn_queue:
            if child.remote is not None:
                child.md5_key = self.md5_keys.find(child.remote.address)

    def accept(self) -> Connection | None:
        """The oldest connection that is established and not yet accepted, or None."""
        return self.accept_queue.popleft() if self.accept_queue else None

    def connect(self, remote: Endpoint, *, now: int) -> Connection:
        """RFC 9293 3.10.1: an active OPEN in LISTEN turns the passive end active, and ends all else as ``close`` does.

        Raises:
            InvalidArgument: it is closed.
            NetworkUnreachable: the remote address is no address of one host, or cannot be reached.
        """
        if self.state is not State.LISTEN:
            raise InvalidArgument("the listener is closed")
        return self._owner.turn_active(self, remote, now=now)

    def close(self, *, now: int) -> None:
        """Stop listening; connections that nobody has accepted are reset, half-open ones forgotten. Idempotent."""
        if self.state is State.LISTEN:
            self._owner.stop_listening(self, now=now)
