"""Opening, initial sequence numbers, listeners (RFC 9293 3.4.1, 3.5, 3.9.1.1)."""

from tests.ledger.mutation import Mutation

ARRIVES = "tcp/arrives.py"
CALLS = "tcp/calls.py"
ISN = "tcp/isn.py"
ACTIVE = "net/active.py"
TRANSPORT = "net/transport.py"

MUTATIONS = (
    Mutation("MUST-8", "the clock stands still", ISN, "return (now // _TICK + int", "return (0 * now + int"),
    Mutation(
        "MUST-8",
        "the clock is a thousand times too slow",
        ISN,
        "_TICK: Final = 4 * MICROSECOND",
        "_TICK: Final = 4000 * MICROSECOND",
    ),
    Mutation("MUST-9", "F needs no secret", ISN, "digest_size=4, key=self._secret)", "digest_size=4)"),
    Mutation(
        "SHLD-1",
        "F is the same for every peer",
        ISN,
        "hashlib.blake2s(local.address + remote.address + ports,",
        "hashlib.blake2s(local.address,",
    ),
    Mutation(
        "MUST-10",
        "a SYN that crosses ours is dropped",
        ARRIVES,
        "    if segment.has_ack:\n        _syn_sent_acked(tcb, segment, now)\n    else:\n",
        "    if segment.has_ack:\n        _syn_sent_acked(tcb, segment, now)\n    elif False:\n",
    ),
    Mutation(
        "MUST-11",
        "an active open is remembered as passive",
        CALLS,
        "    tcb.passive = False\n    tcb.snd_nxt = tcb.iss + 1",
        "    tcb.passive = True\n    tcb.snd_nxt = tcb.iss + 1",
    ),
    Mutation(
        "MUST-11",
        "a passive open is forgotten",
        ARRIVES,
        "    tcb.passive = True\n",
        "    tcb.passive = False\n",
    ),
    Mutation(
        "MUST-41",
        "a second LISTEN takes the place of the first",
        TRANSPORT,
        "        if self.ports.listens(binding):\n",
        "        if False:\n",
    ),
    Mutation(
        "MUST-44",
        "the address is whichever comes first",
        ACTIVE,
        "return self._addresses.source_for(remote.address)",
        "return self._addresses.interfaces[-1].address",
    ),
    Mutation(
        "MUST-44",
        "nobody is asked for an address",
        ACTIVE,
        "return self._addresses.source_for(remote.address)",
        "return bytes(len(remote.address))",
    ),
    Mutation(
        "MUST-46",
        "anything can be opened to",
        ACTIVE,
        "if remote.address not in self._addresses.own and not is_valid_source(",
        "if False and not is_valid_source(",
    ),
    Mutation(
        "MUST-46",
        "the core opens to a group",
        CALLS,
        "    if multicast or is_unspecified(remote.address)",
        "    if is_unspecified(remote.address)",
    ),
    Mutation(
        "MUST-42",
        "a port with a half-open connection cannot be listened on",
        "net/ports.py",
        "return old.reuse_address or old.kind is Kind.TIME_WAIT",
        "return old.kind is Kind.TIME_WAIT",
    ),
    Mutation(
        "MUST-45",
        "segments have the address of another interface",
        TRANSPORT,
        "outgoing_of((segment, local.address,",
        "outgoing_of((segment, self.addresses.interfaces[-1].address,",
    ),
)
