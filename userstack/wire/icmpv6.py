"""The numbers of ICMPv6 (RFC 4443, RFC 4861); a message is an ``IcmpMessage``, whose ``rest`` holds a pointer or an MTU."""

DESTINATION_UNREACHABLE = 1
PACKET_TOO_BIG = 2
TIME_EXCEEDED = 3
PARAMETER_PROBLEM = 4
ECHO_REQUEST = 128
ECHO_REPLY = 129
ROUTER_SOLICITATION = 133
ROUTER_ADVERTISEMENT = 134
NEIGHBOR_SOLICITATION = 135
NEIGHBOR_ADVERTISEMENT = 136
REDIRECT = 137

# Codes of destination unreachable (RFC 4443 3.1).
NO_ROUTE = 0
ADMINISTRATIVELY_PROHIBITED = 1
BEYOND_SCOPE = 2
ADDRESS_UNREACHABLE = 3
PORT_UNREACHABLE = 4
SOURCE_ADDRESS_FAILED_POLICY = 5
REJECT_ROUTE = 6

# Codes of parameter problem (RFC 4443 3.4).
ERRONEOUS_HEADER_FIELD = 0
UNRECOGNIZED_NEXT_HEADER = 1
UNRECOGNIZED_OPTION = 2


def is_error(kind: int) -> bool:
    """True for the type of an error message, known or not (RFC 4443 2.1): never answered with another error."""
    return kind < 128
