"""Runs a script: its events in their order, each at its time, against a system whose clock the runner moves.

What the system sends waits in a queue of its connection until a line ``>`` claims it, as in packetdrill: so a packet that no line
claims is found by the next one that looks, or at the end. Note: packetdrill does not look at the end. Here what was sent before
the last event counts; what the last event brought about does not, since no line could claim it any more.
"""

from collections.abc import Callable
from functools import partial

from userstack.config import SECOND
from userstack.drill import compare
from userstack.drill.calls.context import Context
from userstack.drill.errors import CodeFailed, Mismatch, NotSupported
from userstack.drill.flow import Flow, Sent
from userstack.drill.flows import Flows
from userstack.drill.hooks import Hooks
from userstack.drill.inbound import CODEC, build_icmp, build_tcp
from userstack.drill.journal import Journal
from userstack.drill.lacking import NOTHING, Lacking
from userstack.drill.notation import format_packet
from userstack.drill.outcome import Seen
from userstack.drill.process import Process
from userstack.drill.script import (
    Action,
    CodeBlock,
    Command,
    Event,
    IcmpSpec,
    IpFields,
    PacketEvent,
    Place,
    Script,
    SystemCall,
    TcpSpec,
)
from userstack.drill.settings import Settings
from userstack.drill.stream import Claim
from userstack.drill.symbols import LINUX
from userstack.drill.system import System
from userstack.drill.timing import Timeline, Window
from userstack.drill.values import Reader
from userstack.errors import InvalidArgument
from userstack.wire.codec import WireError
from userstack.wire.ip import TCP

PATIENCE = 3600 * SECOND
"""How long a packet may take that is expected at any time: longer than any timer of TCP's but keep-alive's."""


class Runner:
    """One run of one script."""

    __slots__ = (
        "_claim",
        "_context",
        "_flows",
        "_hooks",
        "_journal",
        "_lacking",
        "_process",
        "_script",
        "_settings",
        "_strict",
        "_system",
        "_timeline",
        "event",
    )

    def __init__(
        self,
        script: Script,
        system: System,
        settings: Settings,
        *,
        hooks: Hooks,
        strict: bool,
        lacking: Lacking = NOTHING,
    ) -> None:
        self._script = script
        self._system = system
        self._settings = settings
        self._hooks = hooks
        self._strict = strict
        self._lacking = lacking
        self._flows = Flows(settings)
        self._context = Context(system, settings, Reader(LINUX.get, script.defines), self._flows)
        self._timeline = Timeline(settings, system.now, script.events[0].when)
        self._process = Process(self._context, self._timeline)
        self._journal = Journal()
        self._claim: Claim | None = None
        self.event: Event | None = None
        """The one that is being done."""

    def run(self) -> None:
        """Run all events.

        Raises:
            Mismatch: the system did something else than the script says.
            NotSupported: the script needs what is not there.
        """
        for event in self._script.events:
            self.event = event
            try:
                self._do(event)
            except Mismatch as mismatch:
                self._excuse(event.action, mismatch)
                raise
        self._finish(self._script.events[-1])

    def _excuse(self, action: Action, mismatch: Mismatch) -> None:
        """Skip the script where the system that it was written for does what userstack does not."""
        reason: str | None = None
        match action:
            case PacketEvent(inbound=False, content=TcpSpec() as spec):
                flow = self._flows.outbound(spec)
                reason = self._of_packet(flow, spec, mismatch) if flow is not None else None
            case CodeBlock():
                flow = self._flows.under_test
                reason = self._lacking.of_code(flow, mismatch.fields) if flow is not None else None
        if reason is not None:
            raise NotSupported(reason, mismatch.place)

    def _of_packet(self, flow: Flow, spec: TcpSpec, mismatch: Mismatch) -> str | None:
        taken = self._claim.taken if self._claim is not None else []
        return self._lacking.of_packet(flow, spec, mismatch.fields, taken[-1] if taken else None, self._system.now)

    # --- events ---

    def _do(self, event: Event) -> None:
        before = self._system.now
        window = self._timeline.window(event.when, before)
        match event.action:
            case PacketEvent(inbound=False) as packet:
                self._expect(event, packet, window)
                return
            case action:
                self._wait(event, window)
        match action:
            case PacketEvent() as packet:
                self._inject(event, packet)
            case SystemCall() as call:
                self._call(event, call, before)
            case CodeBlock() as block:
                self._run_code(event, block)
            case Command(text):
                self._journal.note(self._system.now, "", lambda: f"`{text.strip()}`")
                self._hooks.command(text)
        self._collect()
        self._process.progress()
        self._collect()

    def _wait(self, event: Event, window: Window | None) -> None:
        """Let time pass until the event; one whose time has gone by already is too late."""
        if window is None:
            return
        self._pass(window.start)
        self._timeline.check(window, self._system.now, "event", event.place)

    def _inject(self, event: Event, packet: PacketEvent) -> None:
        content = packet.content
        try:
            if isinstance(content, TcpSpec):
                flow = self._flows.inbound(content)
                octets = build_tcp(flow, content, packet.ip, absolute_echo=self._settings.absolute_echo)
            else:
                flow = self._flow_of_icmp(content)
                octets = build_icmp(flow, content, packet.ip)
        except InvalidArgument as error:
            raise Mismatch(event.place, f"packet: it cannot be built: {error}") from None
        self._journal.note(self._system.now, "<", partial(format_packet, packet))
        self._system.deliver(octets)

    def _flow_of_icmp(self, spec: IcmpSpec) -> Flow:
        quoted = spec.quoted
        named = quoted is not None and quoted.source_port is not None
        return (self._flows.outbound(quoted) if named else None) or self._flows.inbound(None)

    def _call(self, event: Event, call: SystemCall, before: int) -> None:
        if call.blocking:
            self._queue_up(call)
        end = None if call.end is None else self._timeline.end_of_call(event.when, call.end, before)
        self._journal.note(self._system.now, "", lambda: event.text.strip() or call.name)
        self._process.begin(event, call, end)

    def _queue_up(self, call: SystemCall) -> None:
        """Let the call that sleeps on the same descriptor return first."""
        for sleeper in self._process.sleeping:
            if sleeper.call.arguments[:1] == call.arguments[:1] and sleeper.window is not None:
                self._pass(sleeper.window.latest, until=partial(self._process.is_awake, sleeper))
        self._process.overdue(self._system.now)

    def _run_code(self, event: Event, block: CodeBlock) -> None:
        flow = self._flows.under_test
        info = None if flow is None or flow.socket is None else flow.socket.info()
        self._journal.note(self._system.now, "", lambda: f"%{{ {block.source.strip()} }}%")
        try:
            self._hooks.code(block.source, info)
        except CodeFailed as error:
            place = event.place
            if error.line > 1 or block.line > place.line:
                place = Place(place.path, block.line + error.line - 1, 1)
            told = ", ".join(f"{name} = {value}" for name, value in error.told.items())
            raise Mismatch(place, f"code: {error}", error.text, told, fields=error.told) from None

    # --- outbound ---

    def _expect(self, event: Event, packet: PacketEvent, window: Window | None) -> None:
        content = packet.content
        if isinstance(content, IcmpSpec):
            raise NotSupported("ICMP that goes out")
        if packet.ip.flow_label is not None:
            raise NotSupported("flow label of what goes out")
        flow = self._flows.outbound(content)
        if flow is None:
            raise Mismatch(event.place, "no connection is there that could send this packet", format_packet(packet), "nothing")
        claim = self._claim = Claim(flow, content, packet.ip, self._settings, strict=self._strict, pushes=self._lacking.pushes)
        while not claim.complete:
            sent = self._next(flow, window)
            if sent is None:
                raise self._missing(event, packet, flow, window, claim)
            rest = claim.offer(sent)
            if rest is not None:
                flow.sent.appendleft(rest)
            if claim.differences:
                self._complain(event, packet, flow, claim)
            self._timeline.check(window, sent.time, "packet", event.place)

    def _next(self, flow: Flow, window: Window | None) -> Sent | None:
        """The oldest packet of the connection that no line has claimed, waiting for it as long as it may take."""
        latest = self._system.now + PATIENCE if window is None else window.latest
        if not flow.sent:
            self._pass(latest, until=lambda: bool(flow.sent))
        return flow.sent.popleft() if flow.sent else None

    def _complain(self, event: Event, packet: PacketEvent, flow: Flow, claim: Claim) -> None:
        text = "; ".join(str(difference) for difference in claim.differences)
        got = " + ".join(_as_line(flow, sent, packet.ip, absolute=claim.spec.absolute_seq) for sent in claim.taken)
        names = (difference.name for difference in claim.differences)
        raise Mismatch(event.place, f"packet: {text}", format_packet(packet), got, fields=names)

    def _missing(self, event: Event, packet: PacketEvent, flow: Flow, window: Window | None, claim: Claim) -> Mismatch:
        when = "at any time" if window is None else f"at {self._timeline.text(window)}"
        got = " + ".join(_as_line(flow, sent, packet.ip, absolute=False) for sent in claim.taken)
        text = f"packet: expected {when}, but {claim.missing()}"
        return Mismatch(event.place, text, format_packet(packet), got or "nothing", fields=("time",))

    # --- time ---

    def _pass(self, target: int, until: Callable[[], bool] = lambda: False) -> None:
        """Let time pass up to ``target``, or until something is so, from deadline to deadline, and serve the calls that sleep."""
        self._serve()
        while self._system.now < target and not until():
            wakes = [time for time in (self._system.next_deadline(), self._process.wakes()) if time is not None and time < target]
            self._system.run(max(min(wakes, default=target), self._system.now))
            self._serve()

    def _serve(self) -> None:
        self._collect()
        self._process.progress()
        self._collect()
        self._process.overdue(self._system.now)

    def _collect(self) -> None:
        """Give what was sent to the connections that sent it.

        Note: as in packetdrill, packets of no connection of the script are not looked at.
        """
        for time, octets in self._system.take():
            try:
                packet = CODEC.decode_ip(octets)
                if packet.protocol != TCP:
                    continue
                segment = CODEC.decode_tcp(packet)
            except WireError as error:
                place = (self.event or self._script.events[0]).place
                raise Mismatch(place, f"the system sent a packet that is none: {error}") from None
            flow = self._flows.of_segment(packet, segment)
            if flow is None:
                continue
            sent = Sent(time, packet, segment, again=flow.outstanding.note_sent(segment, time))
            flow.sent.append(sent)
            self._journal.note(time, ">", partial(_as_line, flow, sent, IpFields(), absolute=False))

    def _finish(self, last: Event) -> None:
        """The end: calls that sleep return, and nothing is left that was sent before the last event, nor a part of a packet."""
        windows = [sleeper.window for sleeper in self._process.sleeping if sleeper.window is not None]
        end = self._system.now
        if windows:
            self._pass(max(window.latest for window in windows) + 1, until=lambda: not self._process.sleeping)
        for flow in self._flows.all:
            sent = flow.sent[0] if flow.sent else None
            if sent is None or (sent.whole and (flow is not self._flows.under_test or sent.time >= end - self._settings.tolerance)):
                continue
            what = "one was" if sent.whole else "the rest of one was"
            text = f"packet: {what} sent at {self._timeline.stamp(sent.time)} that the script does not have"
            raise Mismatch(last.place, text, "nothing", _as_line(flow, sent, IpFields(), absolute=False))

    def seen(self) -> tuple[Seen, ...]:
        """What happened so far."""
        return self._journal.seen(self._timeline.script_time)


def _as_line(flow: Flow, sent: Sent, ip: IpFields, *, absolute: bool) -> str:
    """A packet of the system as a line of the script."""
    fields = compare.ip_fields(sent.ip, ip)
    spec = compare.to_spec(flow, sent, absolute=absolute)
    return format_packet(PacketEvent(inbound=False, content=spec, ip=fields))
