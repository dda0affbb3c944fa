"""How large the IP packets of a link may be."""

import operator
from collections.abc import Iterable
from typing import Final

from userstack.errors import InvalidArgument
from userstack.net.interface import Interface

LEAST_MTU: Final = 68
"""RFC 791 3.2: every link carries that much unfragmented."""
LEAST_MTU_V6: Final = 1280
"""RFC 8200 5."""
MOST_MTU: Final = 65535
"""RFC 791 3.1: the total length has 16 bits."""


def check_mtu(mtu: int, interfaces: Iterable[Interface] = ()) -> None:
    """Refuse what cannot be the MTU of a link with the addresses of ``interfaces``, in bytes.

    Raises:
        InvalidArgument: it is too small or too large.
        TypeError: it is no integer.
    """
    six = any(len(interface.address) == 16 for interface in interfaces)
    least, source = (LEAST_MTU_V6, "RFC 8200 5") if six else (LEAST_MTU, "RFC 791 3.2")
    if not least <= operator.index(mtu) <= MOST_MTU:
        raise InvalidArgument(f"the MTU must be at least {least} ({source}) and at most {MOST_MTU} bytes, not {mtu}")
