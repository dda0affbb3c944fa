"""What a listener does with segments: RFC 9293 3.10.7.2, SYN cookies (RFC 4987 3.6), and a SYN that reopens TIME-WAIT (MAY-2)."""

from dataclasses import replace

from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.net.arrival import Arrival
from userstack.net.factory import ConnectionFactory
from userstack.net.fastopen import FastOpenServer
from userstack.net.flow import flow_of
from userstack.net.listener import Listener
from userstack.net.ports import Kind, use_of
from userstack.net.stateless import StatelessReplies
from userstack.net.syn_path import SynPath
from userstack.net.syncookies import VALID, SynCookies, remembered_syn, synack, without_echo
from userstack.net.synqueue import Verdict, judge
from userstack.net.table import ConnectionTable, Entry
from userstack.tcp import arrives, seq
from userstack.tcp.connection import Connection
from userstack.tcp.fastopen import FastOpen
from userstack.tcp.options import default_mss, read_syn
from userstack.tcp.state import State
from userstack.wire.tcp import ACK, FIN, RST, SYN


class PassiveOpens:
    """Gives a SYN a connection of its own, or a cookie, or nothing. Every call gives the counter where a segment is thrown away."""

    __slots__ = ("_config", "_counters", "_factory", "_fast_open", "_replies", "_syn_cookies", "_syn_path", "_table")

    def __init__(
        self,
        table: ConnectionTable,
        factory: ConnectionFactory,
        replies: StatelessReplies,
        *,
        config: StackConfig,
        counters: Counters,
        syn_cookies: SynCookies,
        syn_path: SynPath,
        fast_open: FastOpenServer,
    ) -> None:
        self._table = table
        self._factory = factory
        self._replies = replies
        self._config = config
        self._counters = counters
        self._syn_cookies = syn_cookies
        self._syn_path = syn_path
        self._fast_open = fast_open

    def segment_arrives(self, listener: Listener, arrival: Arrival) -> str | None:
        """RFC 9293 3.10.7.2; what its steps leave, a SYN alone, gets a connection of its own in LISTEN."""
        forged = arrival.forgery
        if forged is not None:
            return forged
        flags = arrival.segment.flags
        if flags & RST:
            return None
        if flags & ACK:
            return self._third_segment(listener, arrival)
        if not flags & SYN or not arrival.remote.port:
            return "TcpInErrs"
        verdict = judge(listener, self._counters)
        if verdict is Verdict.DROP or self._table.live >= self._config.max_connections:
            return "TcpExtListenDrops"
        if verdict is Verdict.COOKIE:
            return self._send_cookie(listener, arrival)
        child = self._factory.make(
            arrival.local,
            arrival.remote,
            config=listener.config,
            listening=True,
            fast_open=self._judge_fast_open(listener, arrival),
            now=arrival.now,
        )
        _equip(child, arrival)
        arrives.segment_arrives(child.tcb, arrival.segment, now=arrival.now)
        if child.tcb.state is State.SYN_RECEIVED:
            self._enter(child, listener)
        return None

    def reopen(self, entry: Entry, listener: Listener, arrival: Arrival) -> str | None:
        """RFC 9293 3.6.1, MAY-2: TIME-WAIT to SYN-RECEIVED."""
        forged = arrival.forgery
        if forged is not None:
            return forged
        if listener.full:
            self._counters.add("TcpExtListenOverflows")
            return "TcpExtListenDrops"
        if self._table.live >= self._config.max_connections:  # the record was none of them
            return "TcpExtListenDrops"
        # As in Linux the SYN queue is no limit here: the record gives its place, and its peer is no forged one.
        child = self._factory.make(
            arrival.local,
            arrival.remote,
            config=listener.config,
            reopening=entry.record,
            fast_open=self._judge_fast_open(listener, arrival),
            now=arrival.now,
        )
        _equip(child, arrival)
        child.on_segment(arrival.segment, now=arrival.now)
        self._table.leave(entry)
        self._enter(child, listener)
        return None

    def overflow(self, entry: Entry, child: Connection, arrival: Arrival) -> str:
        """The accept queue is full. Either as if the ACK had been lost: the SYN,ACK is repeated and the peer tries on; or a RST."""
        self._counters.add("TcpExtListenOverflows")
        if child.config.abort_on_overflow:
            self._counters.add("TcpExtEmbryonicRsts")
            self._replies.refuse(arrival)
            child.give_up(cause="accept queue full", now=arrival.now)
            self._table.free(entry, arrival.now)
        return "TcpExtListenDrops"

    # --- SYN cookies ---

    def _send_cookie(self, listener: Listener, arrival: Arrival) -> str | None:
        """RFC 4987 3.6: the SYN,ACK goes out, and nothing is kept of the connection that it says there is."""
        local, remote, now = arrival.local, arrival.remote, arrival.now
        syn, config = arrival.segment, listener.config
        offered = read_syn(syn.options)
        mss = offered.mss if offered.mss is not None else default_mss(local.address)
        cookie = self._syn_cookies.make(flow_of(local, remote), syn.seq, mss, now)
        if cookie is None:
            return "TcpExtListenDrops"
        if syn.flags & FIN and config.drop_synfin:
            return None
        if syn.bad_options:  # as for every SYN to a LISTEN
            self._counters.add("TcpExtTCPBadOptions")
            return None
        if now < self._factory.quiet_until:  # RFC 9293 3.4.3
            return None
        mtu, ahead = self._factory.paths.link_mtu(local.address), self._factory.timestamp_offset(local, remote)
        answer = synack(arrival, offered, cookie, config=config, counters=self._counters, mtu=mtu, ahead=ahead)
        self._counters.add("TcpOutSegs")
        listener.cookie_sent_at = now
        if self._replies.send(answer, arrival, config):
            self._counters.add("TcpExtSyncookiesSent")
            self._syn_path.learn(listener, arrival, answer)
        return None

    def _third_segment(self, listener: Listener, arrival: Arrival) -> str | None:
        """3.10.7.2, second step: an ACK for a LISTEN is answered with a RST, unless it brings a cookie back."""
        ack, now, sent_at = arrival.segment, arrival.now, listener.cookie_sent_at
        if ack.flags & SYN or not listener.config.syncookies or sent_at is None or now - sent_at > VALID:
            self._replies.refuse(arrival)
            return None
        cookie = seq.wrap(ack.ack - 1)
        mss = self._syn_cookies.check(cookie, flow_of(arrival.local, arrival.remote), ack.seq - 1, now)
        if mss is None:
            self._counters.add("TcpExtSyncookiesFailed")
            self._replies.refuse(arrival)
            return None
        self._counters.add("TcpExtSyncookiesRecv")
        if listener.full or self._table.live >= self._config.max_connections:
            if listener.full:
                self._counters.add("TcpExtListenOverflows")
            return "TcpExtListenDrops"
        self._remember(listener, arrival, cookie, mss)
        return None

    def _remember(self, listener: Listener, arrival: Arrival, cookie: int, mss: int) -> None:
        """The connection as if its SYN had been kept; the ACK, with what else it brings, is then the next of its segments."""
        local, remote, ack, now = arrival.local, arrival.remote, arrival.segment, arrival.now
        config = listener.config
        if config.defer_accept:  # as in Linux: it is here, so it is established
            config = replace(config, defer_accept=0)
        child = self._factory.make(local, remote, config=config, isn=lambda *_: cookie, listening=True, now=now)
        _equip(child, arrival)
        offset = self._factory.timestamp_offset(local, remote) if config.timestamps else None
        child.on_segment(remembered_syn(ack, mss, offset=offset), now=now)
        self._enter(child, listener)
        self._table.segment_arrives(self._table.entries[(local, remote)], without_echo(ack), now)

    # --- inside ---

    def _judge_fast_open(self, listener: Listener, arrival: Arrival) -> FastOpen:
        return self._fast_open.judge(
            listener.fast_open, listener.config, arrival.local, arrival.remote, arrival.segment, now=arrival.now
        )

    def _enter(self, child: Connection, listener: Listener) -> None:
        use = use_of(child.tcb.local.address, listener.binding.use.reuse_address, Kind.CONNECTED)
        self._table.enter(child, use, listener)


def _equip(child: Connection, arrival: Arrival) -> None:
    """What the SYN says of the way between the two ends is the child's from its first segment on."""
    if arrival.md5_key is not None:
        child.md5_key = arrival.md5_key
    if arrival.route is not None:
        child.return_route(arrival.route)
