"""The numbers of ICMPv6 (RFC 4443, 4861, 3810); a message is an ``IcmpMessage``, whose ``rest`` holds a pointer or an MTU."""

from typing import Final

DESTINATION_UNREACHABLE: Final = 1
PACKET_TOO_BIG: Final = 2
TIME_EXCEEDED: Final = 3
PARAMETER_PROBLEM: Final = 4
ECHO_REQUEST: Final = 128
ECHO_REPLY: Final = 129
LISTENER_QUERY: Final = 130
LISTENER_REPORT: Final = 131
ROUTER_SOLICITATION: Final = 133
ROUTER_ADVERTISEMENT: Final = 134
NEIGHBOR_SOLICITATION: Final = 135
NEIGHBOR_ADVERTISEMENT: Final = 136
REDIRECT: Final = 137
LISTENER_REPORT_V2: Final = 143

# Codes of destination unreachable (RFC 4443 3.1).
NO_ROUTE: Final = 0
ADMINISTRATIVELY_PROHIBITED: Final = 1
BEYOND_SCOPE: Final = 2
ADDRESS_UNREACHABLE: Final = 3
PORT_UNREACHABLE: Final = 4
SOURCE_ADDRESS_FAILED_POLICY: Final = 5
REJECT_ROUTE: Final = 6

# Codes of parameter problem (RFC 4443 3.4).
ERRONEOUS_HEADER_FIELD: Final = 0
UNRECOGNIZED_NEXT_HEADER: Final = 1
UNRECOGNIZED_OPTION: Final = 2


def is_error(kind: int) -> bool:
    """True for the type of an error message, known or not (RFC 4443 2.1): never answered with another error."""
    return kind < 128
