"""The connections of a host by their four-tuple, each with its one entry in the timer wheel, and which of them have work to do."""

from collections import deque
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from userstack.address import Endpoint
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.net.flow import flow_of
from userstack.net.listener import Listener
from userstack.net.ports import Kind, PortTable, Use, use_of
from userstack.net.synqueue import is_overdue
from userstack.net.wheel import Timer, TimerWheel
from userstack.tcp import arrives, output
from userstack.tcp.connection import Connection
from userstack.tcp.state import State
from userstack.tcp.tcb import Tcb
from userstack.tcp.timewait import TimeWait
from userstack.trace import Freed, Tracer
from userstack.wire.tcp import TcpSegment

Key = tuple[Endpoint, Endpoint]
"""The local and the remote socket."""

_OVER: Final = frozenset({State.CLOSED, State.LISTEN})


class Entry(Timer):
    """What the host keeps of a connection; in TIME-WAIT only ``record`` is left once the application has gone.

    It is its own timer, armed at the earliest deadline of ``machine``.
    """

    __slots__ = ("_tcb", "connection", "early", "key", "listener", "queued", "record", "use")

    def __init__(self, key: Key, connection: Connection, use: Use, listener: Listener | None) -> None:
        super().__init__(None)
        self.key = key
        self.connection: Connection | None = connection
        self._tcb: Tcb | None = connection.tcb
        self.record: TimeWait | None = None
        self.queued = False
        """It waits to be asked for output."""
        self.use = use
        self.listener = listener
        """The listener whose SYN queue the connection is in."""
        self.early: Listener | None = None
        """The listener that counts the connection as a pending Fast Open request."""

    @property
    def machine(self) -> Connection | TimeWait:
        """What takes segments and deadlines now: the record, where there is one."""
        machine = self.connection if self.record is None else self.record
        if machine is None:
            raise RuntimeError("nothing of this connection is left")
        return machine

    @property
    def tcb(self) -> Tcb | None:
        """The connection's variables; None from TIME-WAIT on, where ``machine`` is the record."""
        return self._tcb if self.record is None else None

    @property
    def plain_tcb(self) -> Tcb | None:
        """The same of a connection that no listener waits for."""
        return self.tcb if self.listener is None and self.early is None else None

    def let_go(self) -> None:
        """The application has gone, or all of it is over."""
        self.connection = self._tcb = None


class ConnectionRow(NamedTuple):
    """A line of what netstat would list."""

    local: Endpoint
    remote: Endpoint | None
    state: State
    timer: str
    """The name of the next deadline, empty where there is none."""
    expires: int | None
    """Its time in ns."""
    recv_q: int
    """Octets unread; of a listener the connections that wait to be accepted."""
    send_q: int
    """Octets not acknowledged; of a listener its backlog."""
    connection: Connection | None


class ConnectionTable:
    """Every connection and TIME-WAIT record. Whoever does something to one calls ``touch`` afterwards."""

    def __init__(self, ports: PortTable, *, config: StackConfig, counters: Counters, trace: Tracer | None, start: int) -> None:
        self.entries: dict[Key, Entry] = {}
        self.flows: dict[bytes, Entry] = {}
        """The same by the octets that stand in the headers of what comes: source, destination and their ports."""
        self.wheel = TimerWheel(start)
        self._ports = ports
        self._config = config
        self._counters = counters
        self._trace = trace
        self._dirty: deque[Entry] = deque()
        """What waits to be asked for output, once each; one that was left meanwhile is not ``queued`` any more."""
        self._touched: set[Connection | Listener] = set()
        self._time_waits = 0
        self._closed: WeakValueDictionary[Key, Connection] = WeakValueDictionary()
        """Those in TIME-WAIT that the program has closed and still holds: perhaps it waits for the end."""

    @property
    def live(self) -> int:
        """How many connections there are, without the TIME-WAIT records."""
        return len(self.entries) - self._time_waits

    def enter(self, connection: Connection, use: Use, listener: Listener | None = None) -> None:
        """A connection that has just left CLOSED or LISTEN; with ``listener`` it goes into its SYN queue.

        Where Fast Open has been accepted it goes straight to the application (RFC 7413 4.2.2).
        """
        local, remote = connection.tcb.local, connection.tcb.remote
        if remote is None:
            raise RuntimeError("a connection without a remote socket is not for the table")
        entry = Entry((local, remote), connection, use, listener)
        if entry.key in self.entries:
            raise RuntimeError(f"there is a connection {entry.key} already")
        self.entries[entry.key] = self.flows[flow_of(*entry.key)] = entry
        self._ports.add(local.port, use)
        if listener is not None and connection.tcb.fast_open.accepted:
            entry.listener, entry.early = None, listener
            listener.fast_open.pending[connection] = None
            self._hand_over(listener, connection)
        elif listener is not None:
            listener.queue_syn(connection)
        self._touch(entry)

    def leave(self, entry: Entry) -> None:
        """Forget a connection, without a word about its end."""
        self.entries.pop(entry.key, None)
        self.flows.pop(flow_of(*entry.key), None)
        entry.queued = False
        self.wheel.cancel(entry)
        self._ports.remove(entry.key[0].port, entry.use)
        if entry.record is not None:
            self._time_waits -= 1
        connection = entry.connection or self._closed.pop(entry.key, None)
        if connection is not None:
            self._touched.add(connection)
            self._leave_syn_queue(entry, connection)
            self._leave_pending(entry, connection)
        entry.let_go()

    def _leave_syn_queue(self, entry: Entry, connection: Connection) -> None:
        if entry.listener is not None:
            entry.listener.unqueue_syn(connection)
            entry.listener = None

    def _leave_pending(self, entry: Entry, connection: Connection) -> None:
        if entry.early is not None:
            entry.early.fast_open.pending.pop(connection, None)
            entry.early = None

    def free(self, entry: Entry, now: int) -> None:
        """The connection is over."""
        self.leave(entry)
        if self._trace is not None:
            self._trace(Freed(now, *entry.key))

    def forget(self, connection: Connection, now: int) -> None:
        """Free a connection that has just been given up."""
        if connection.remote is not None:
            self.free(self.entries[(connection.local, connection.remote)], now)

    def segment_arrives(self, entry: Entry, segment: TcpSegment, now: int) -> bool:
        """Hand a segment to its connection, and a child that is thereby established to its listener.

        True where it acknowledged something new: what we sent has arrived at the other end (RFC 4861 7.3.1).
        """
        connection, listener, tcb = entry.connection, entry.listener, entry.tcb
        acknowledged = 0 if tcb is None else tcb.snd_una
        if tcb is None:
            entry.machine.on_segment(segment, now=now)
        else:
            arrives.segment_arrives(tcb, segment, now=now)
        if listener is not None and connection is not None and tcb is not None and tcb.snd_una > tcb.iss:
            self._leave_syn_queue(entry, connection)
            self._hand_over(listener, connection)
        if entry.early is not None and connection is not None:
            self._judge_pending(entry, entry.early, connection, now)
        self._touch(entry)
        live = entry.tcb
        state = entry.machine.state if live is None else live.state
        if state in _OVER and not entry.machine.owes_reset:
            self.free(entry, now)  # at once: what comes next in the same batch is no longer its
        return tcb is not None and tcb.snd_una > acknowledged

    def _judge_pending(self, entry: Entry, listener: Listener, connection: Connection, now: int) -> None:
        """The peer has confirmed its SYN, or reset; as in Linux only what the application has accepted counts on then."""
        if connection.is_established:
            self._leave_pending(entry, connection)
        elif connection.state in _OVER:
            self._leave_pending(entry, connection)
            if connection not in listener.accept_queue:
                listener.fast_open.was_reset(now=now)

    def _hand_over(self, listener: Listener, connection: Connection) -> None:
        listener.accept_queue.append(connection)
        self._counters["TcpPassiveOpens"] += 1
        self._touched.add(listener)

    def touch(self, connection: Connection) -> None:
        """After a call on a connection: its output and its timers have to follow."""
        tcb = connection.tcb
        entry = None if tcb.remote is None else self.entries.get((tcb.local, tcb.remote))
        if entry is None:
            return
        if entry.connection is connection or (entry.record is not None and entry.record is connection.time_wait):
            self._touch(entry)
            if tcb.released and entry.record is not None:
                self._let_go(entry, connection)

    def has_news(self, entry: Entry) -> None:
        """A segment was handed past the table to a connection of ``Entry.plain_tcb``, which is no nearer to its end by it."""
        if not entry.queued:
            entry.queued = True
            self._dirty.append(entry)
        if entry.connection is not None:
            self._touched.add(entry.connection)

    def touch_listener(self, listener: Listener) -> None:
        """Its readiness may have changed."""
        self._touched.add(listener)

    def touched(self) -> set[Connection | Listener]:
        """Those whose readiness may have changed since the last call."""
        touched, self._touched = self._touched, set()
        return touched

    def _touch(self, entry: Entry) -> None:
        if not entry.queued:
            entry.queued = True
            self._dirty.append(entry)
        connection = entry.connection
        if connection is None:
            return
        self._touched.add(connection)
        tcb = entry.tcb
        if tcb is not None and tcb.time_wait is not None:
            self._keep_record(entry, connection, tcb.time_wait)

    def poll_transmit(self, now: int) -> tuple[Entry, TcpSegment] | None:
        """The next segment of any connection that has one."""
        dirty = self._dirty
        while dirty:
            entry = dirty[0]
            if not entry.queued:
                dirty.popleft()
                continue
            segment, tcb = None, entry.tcb
            try:
                segment = entry.machine.poll_transmit(now=now) if tcb is None else output.poll_transmit(tcb, now=now)
            finally:
                if segment is None:  # also after a bug of ours in one connection: it must not stand in the way of the others
                    entry.queued = False
                    dirty.popleft()
            if segment is not None:
                return entry, segment
            self._settle(entry, now)
        return None

    def _settle(self, entry: Entry, now: int) -> None:
        """Nothing is left to send: go over to the TIME-WAIT record, free what is over, or arm the timer."""
        if entry.record is not None and self._time_waits > self._config.time_wait_max and entry.record.state is State.TIME_WAIT:
            self._counters.add("TcpExtTCPTimeWaitOverflow")
            entry.record.abort(now=now)
        machine, tcb = entry.machine, entry.tcb
        if tcb is not None:
            state, deadline = tcb.state, machine.next_deadline() if tcb.syn_due else tcb.timers.next()
        else:
            state, deadline = machine.state, machine.next_deadline()
        if state in _OVER:
            self.free(entry, now)
            return
        if deadline is not None and (entry.deadline is None or deadline < entry.deadline):
            self.wheel.arm(entry, deadline)

    def _keep_record(self, entry: Entry, connection: Connection, record: TimeWait) -> None:
        """From TIME-WAIT on the record is what counts."""
        entry.record = record
        self._leave_syn_queue(entry, connection)  # a reopened TIME-WAIT has become one again
        self._time_waits += 1
        self._ports.remove(entry.key[0].port, entry.use)
        entry.use = use_of(entry.use.address, entry.use.reuse_address, Kind.TIME_WAIT)
        self._ports.add(entry.key[0].port, entry.use)
        if connection.tcb.released or not connection.is_established:
            self._let_go(entry, connection)

    def _let_go(self, entry: Entry, connection: Connection) -> None:
        entry.let_go()
        self._closed[entry.key] = connection

    def advance(self, now: int) -> None:
        """Fire every deadline up to ``now``."""
        for timer in self.wheel.advance(now):
            if isinstance(timer, Entry):
                self._expire(timer, now)

    def _expire(self, entry: Entry, now: int) -> None:
        deadline = entry.machine.next_deadline()
        if deadline is None:
            return  # its timer was turned off and the wheel's entry left where it stood
        if deadline > now:  # the wheel's entry was left where it stood when the deadline moved
            self.wheel.arm(entry, deadline)
            return
        if entry.listener is not None and entry.connection is not None:
            if is_overdue(entry.listener, entry.connection):
                entry.connection.give_up(cause="SYN queue more than half full", now=now)
                self.free(entry, now)
                return
            entry.listener.syn_timed_out(entry.connection)
        entry.machine.on_deadline(now=now)
        self._touch(entry)

    def rows(self) -> list[ConnectionRow]:
        """A line for each connection and TIME-WAIT record."""
        return [_row(entry) for entry in self.entries.values()]


def _row(entry: Entry) -> ConnectionRow:
    machine = entry.machine
    if isinstance(machine, TimeWait):
        return ConnectionRow(*entry.key, machine.state, "TIME-WAIT", machine.next_deadline(), 0, 0, entry.connection)
    info = machine.info()
    queued = info.unacked + info.unsent
    return ConnectionRow(*entry.key, info.state, info.timer, info.timer_expires, info.unread, queued, machine)
