"""What each call gives in each condition: one short script per condition, for ``World``. Their names say the condition."""

from tests.sim.scripts import (
    binding,
    connecting,
    ending,
    families,
    fresh,
    listening,
    md5,
    of_ip,
    options,
    scopes,
    transfer,
    urgent,
)
from tests.sim.scripts.registry import CASES

__all__ = [
    "CASES",
    "binding",
    "connecting",
    "ending",
    "families",
    "fresh",
    "listening",
    "md5",
    "of_ip",
    "options",
    "scopes",
    "transfer",
    "urgent",
]
