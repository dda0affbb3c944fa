"""What is below and above: addresses, ICMP, Diffserv, TTL, IP options (RFC 9293 3.9)."""

from tests.ledger.mutation import Mutation

HOST = "net/host.py"
ICMP4 = "net/icmp.py"
TCP_ICMP = "tcp/icmp.py"
ACTIVE = "net/active.py"
TRANSPORT = "net/transport.py"

MUTATIONS = (
    Mutation(
        "MUST-43",
        "the local address that was asked for is not taken",
        ACTIVE,
        "            if not is_unspecified(bound):\n                return bound\n",
        "",
    ),
    Mutation(
        "MUST-47",
        "a soft error is told to nobody",
        TCP_ICMP,
        "    tcb.reports.add(now, reason, error)\n",
        "    assert reason\n",
    ),
    Mutation("MUST-47", "SO_ERROR is told of no soft error", TCP_ICMP, "    tcb.soft_error = error\n", "    assert error\n"),
    Mutation(
        "MUST-48",
        "the Diffserv field is not set",
        TRANSPORT,
        "tcb.ttl, tcb.tos\n",
        "tcb.ttl, 0\n",
    ),
    Mutation("MUST-49", "the TTL is what it is", TRANSPORT, "tcb.lower, tcb.ttl,", "tcb.lower, 64,"),
    Mutation(
        "MUST-50",
        "a packet with IP options is dropped",
        "wire/fast_codec.py",
        '    if not 20 <= header <= size:\n        raise WireError("IpInHdrErrors", f"IP header',
        '    if header != 20:\n        raise WireError("IpInHdrErrors", f"IP header',
    ),
    Mutation(
        "MUST-54",
        "no connection hears of ICMP errors",
        TRANSPORT,
        "        if entry is None or entry.connection is None or entry.record is not None:\n            return\n",
        "        if True:\n            return\n",
    ),
    Mutation(
        "MUST-55",
        "a source quench is an error like others",
        ICMP4,
        "if message.type not in ERRORS or message.type == SOURCE_QUENCH:",
        "if message.type not in ERRORS:",
    ),
    Mutation(
        "MUST-56",
        "a soft error aborts",
        TCP_ICMP,
        "    fatal = hard or tcb.config.icmp_ends_opening if opening",
        "    fatal = True if opening",
    ),
    Mutation(
        "MUST-56",
        "what stands is aborted too",
        TCP_ICMP,
        "if opening else hard and tcb.config.icmp_ends_synchronized",
        "if opening else True",
    ),
    Mutation(
        "MUST-57",
        "a SYN to everyone is answered",
        HOST,
        "        if packet.destination not in self._own or not is_valid_source(",
        '        if packet.destination not in (*self._own, b"\\xff" * 4, b"\\xe0\\0\\0\\1") or not is_valid_source(',
    ),
    Mutation(
        "MUST-63",
        "any source is believed",
        HOST,
        "        if packet.destination not in self._own or not is_valid_source(packet.source, self.interfaces):\n",
        "        if packet.destination not in self._own:\n",
    ),
    Mutation(
        "SHLD-22",
        "the Diffserv field is not passed on",
        TRANSPORT,
        "tcb.ttl, tcb.tos\n",
        "tcb.ttl, 0\n",
    ),
    Mutation(
        "SHLD-25",
        "what ICMP told cannot be asked for",
        "tcp/connection.py",
        "        return self.tcb.soft_error\n",
        "        return None\n",
    ),
    Mutation("SHLD-25", "SO_ERROR is told of no soft error", TCP_ICMP, "    tcb.soft_error = error\n", "    assert error\n"),
    Mutation(
        "SHLD-26",
        "a hard error is soft",
        TCP_ICMP,
        "    fatal = hard or tcb.config.icmp_ends_opening if opening",
        "    fatal = tcb.config.icmp_ends_opening if opening",
    ),
    Mutation("MUST-51", "the application's route is not taken", ACTIVE, "connection.give_route(route)", "assert route"),
    Mutation(
        "MUST-51",
        "the socket's route is not taken",
        "sim/ip_options.py",
        "connection.give_route(self.route)",
        "assert connection",
    ),
    Mutation(
        "MUST-52",
        "a route that comes replaces the application's",
        "tcp/connection.py",
        "if not self.tcb.lower.route_given and route",
        "if route",
    ),
    Mutation(
        "MUST-53",
        "the way back is not taken",
        "tcp/connection.py",
        "            self.tcb.lower.route = route\n",
        "            assert route\n",
    ),
    Mutation("SHLD-24", "a later route changes nothing", TRANSPORT, "connection.return_route(route)  # SHLD-24", "assert route"),
    Mutation("SHLD-20", "reports cannot be turned off", "tcp/report.py", "if not self.wanted:", "if False:"),
    Mutation("SHLD-21", "the Diffserv field stays what it was", "tcp/settings.py", "self.tcb.tos = value", "assert value >= 0"),
    Mutation("MAY-9", "what came is not passed up", "tcp/status.py", "rcv_tos=tcb.lower.rcv_tos", "rcv_tos=0"),
)
